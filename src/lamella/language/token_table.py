"""`TokenTable`: texts cut into characters or words, each with its number. Needs no package."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable
from typing import Any

from lamella.errors import FileError

SPECIAL = {"pad": "[PAD]", "unknown": "[UNK]", "start": "[CLS]", "end": "[SEP]", "mask": "[MASK]"}
"""The first tokens of every vocabulary that is trained here, by what they are for; the names are BERT's."""

_WORD = re.compile(r"\w+(?:['’]\w+)*|[^\w\s]")
_NO_SPACE_BEFORE = re.compile(r" (?=[.,:;!?%)\]}])")


class TokenTable:
    """A vocabulary of characters or words.

    Args:
        kind: `"character"` or `"word"`; a word is letters and digits, or one sign; spaces only part words.
        tokens: The vocabulary, in the order of its numbers; the first are `SPECIAL`.
        lowercase: Whether texts are made lower case first.

    Example:
        >>> table = TokenTable.train(["to be or not to be"], "word", 8)
        >>> table.tokens[5:], table.encode(["be quick"])
        (['be', 'to', 'not'], [[5, 1]])
    """

    def __init__(self, kind: str, tokens: list[str], lowercase: bool = False) -> None:
        self.kind, self.tokens, self.lowercase = kind, tokens, lowercase
        self.ids = {token: i for i, token in enumerate(tokens)}
        self._unknown = self.ids[SPECIAL["unknown"]]

    @classmethod
    def train(cls, texts: Iterable[str], kind: str, vocabulary_size: int, lowercase: bool = False) -> TokenTable:
        """The table of the most frequent tokens in `texts`; among equals, the first of the alphabet."""
        table = cls(kind, list(SPECIAL.values()), lowercase)
        counts: Counter[str] = Counter()
        for text in texts:
            counts.update(table.cut(text))
        frequent = sorted(counts, key=lambda token: (-counts[token], token))
        return cls(kind, table.tokens + frequent[: max(0, vocabulary_size - len(SPECIAL))], lowercase)

    def special_tokens(self) -> dict[str, str]:
        """The special tokens by what they are for."""
        return SPECIAL

    def cut(self, text: str) -> Iterable[str]:
        """The tokens of a text, known or not."""
        text = text.lower() if self.lowercase else text
        return text if self.kind == "character" else _WORD.findall(text)

    def encode(self, texts: list[str]) -> list[list[int]]:
        """The numbers of the tokens of each text."""
        get, unknown = self.ids.get, self._unknown
        return [[get(token, unknown) for token in self.cut(text)] for text in texts]

    def decode(self, ids: list[int], skip_special: bool) -> str:
        """The text that the numbers stand for; between words a space."""
        first = len(SPECIAL) if skip_special else 0
        found = [self.tokens[i] for i in ids if i >= first or i == self._unknown]
        return "".join(found) if self.kind == "character" else _NO_SPACE_BEFORE.sub("", " ".join(found))

    def to_json(self) -> str:
        """The table as text, which `from_json` reads."""
        return json.dumps({"kind": self.kind, "lowercase": self.lowercase, "tokens": self.tokens}, ensure_ascii=False)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> TokenTable:
        """The table that `to_json` wrote, as parsed JSON."""
        tokens = data.get("tokens")
        if data.get("kind") not in ("character", "word") or not isinstance(tokens, list):
            raise FileError("This is no table of tokens: it needs a 'kind', 'character' or 'word', and 'tokens'.")
        missing = [token for token in SPECIAL.values() if token not in tokens[: len(SPECIAL)]]
        if missing:
            raise FileError(f"The table of tokens must begin with {list(SPECIAL.values())}; {missing} are not there.")
        return cls(data["kind"], tokens, bool(data.get("lowercase")))

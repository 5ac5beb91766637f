"""`Tokenizer`: from texts to numbers and back."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import torch

from lamella.errors import ArgumentError, DataError, FileError
from lamella.language.hugging_face_tokenizer import FILES, SubwordTokenizer
from lamella.language.text_data import checked_texts, pad_tokens
from lamella.language.token_table import SPECIAL, TokenTable
from lamella.saving import register_keras_serializable

_KINDS: dict[str, Any] = {
    "byte_bpe": SubwordTokenizer,
    "wordpiece": SubwordTokenizer,
    "character": TokenTable,
    "word": TokenTable,
}


@register_keras_serializable(package="lamella")
class Tokenizer:
    """Cuts texts into tokens and numbers them.

    Make one with `train`, `from_file` or `from_pretrained`. A model that is given one keeps it in its config, and so
    in its file.

    Args:
        vocabulary: The whole vocabulary as JSON: the text of a `tokenizer.json`, or of a table of characters or words.
        special_tokens: What is what among its tokens: `"pad"`, `"unknown"`, `"start"`, `"end"`, `"mask"`; by default
            the usual names are looked for.

    Attributes:
        num_truncated: How many texts were too long so far, and were cut.

    Raises:
        FileError: No vocabulary in `vocabulary`.
        ArgumentError: A special token that is not in it.

    Source: byte-level BPE, Sennrich et al., 2016, and Radford et al., 2019; WordPiece, Schuster and Nakajima, 2012.

    Example:
        >>> tokenizer = Tokenizer.train(["to be or not to be"], kind="word")
        >>> tokenizer.encode("to be or to sleep")
        [6, 5, 8, 6, 1]
        >>> tokenizer.decode([6, 5, 8, 6, 1])
        'to be or to [UNK]'
        >>> tokens, mask = tokenizer.encode_batch(["to be", "not"], end=True)
        >>> tokens.tolist()
        [[6, 5, 3], [7, 3, 0]]
    """

    def __init__(self, vocabulary: str, special_tokens: dict[str, str] | None = None) -> None:
        try:
            data = json.loads(vocabulary)
        except ValueError as error:
            raise FileError(f"Tokenizer: the vocabulary is no JSON: {error}") from None
        if isinstance(data, dict) and "kind" in data:
            self._engine: Any = TokenTable.from_json(data)
        else:
            self._engine = SubwordTokenizer.from_json(vocabulary)
        ids = self._engine.ids
        self.special_tokens = dict(special_tokens or self._engine.special_tokens())
        for role, token in self.special_tokens.items():
            if role not in SPECIAL or token not in ids:
                raise ArgumentError(
                    f"Tokenizer: `special_tokens` names tokens of the vocabulary for {list(SPECIAL)}; got "
                    f"{token!r} for {role!r}."
                )
        self.num_truncated = 0
        self._special = {role: ids[token] for role, token in self.special_tokens.items()}
        self._known = frozenset(ids.values())

    # -- where a vocabulary comes from ----------------------------------------------------------------------

    @classmethod
    def train(
        cls, texts: Iterable[str], kind: str = "byte_bpe", vocabulary_size: int = 8000, lowercase: bool = False
    ) -> Tokenizer:
        """Learns a vocabulary from texts.

        Its first tokens are special, under BERT's names: `[PAD]`, `[UNK]`, `[CLS]` (start), `[SEP]` (end), `[MASK]`.

        Args:
            texts: Strings; one string is one text.
            kind: `"byte_bpe"` (nothing is unknown, and decoding gives the very text back), `"wordpiece"` (as BERT's),
                `"character"` or `"word"`; the first two need the package `tokenizers`.
            vocabulary_size: How many tokens at most.
            lowercase: Whether texts are made lower case first.

        Raises:
            ArgumentError: An unknown kind, or a size too small.
            DataError: No text, or something that is no string.
        """
        if kind not in _KINDS:
            raise ArgumentError(f"Tokenizer.train: `kind` must be one of {list(_KINDS)}; got {kind!r}.")
        if isinstance(vocabulary_size, bool) or not isinstance(vocabulary_size, int) or vocabulary_size <= len(SPECIAL):
            raise ArgumentError(
                f"Tokenizer.train: `vocabulary_size` must be a whole number above {len(SPECIAL)}, the number of "
                f"special tokens; got {vocabulary_size!r}."
            )
        texts = [texts] if isinstance(texts, str) else checked_texts(texts)
        if not any(texts):
            raise DataError(f"Tokenizer.train: there is no text to learn from in {len(texts)} texts.")
        engine = _KINDS[kind].train(texts, kind, vocabulary_size, lowercase)
        return cls(engine.to_json(), SPECIAL)

    @classmethod
    def from_file(cls, path: str | Path) -> Tokenizer:
        """Reads what `save` wrote, or any `tokenizer.json`.

        Raises:
            FileNotFoundError: There is no such file.
            FileError: Something else is in it.
        """
        try:
            return cls(Path(path).read_text(encoding="utf-8"))
        except (FileError, UnicodeDecodeError) as error:
            raise FileError(f"{path}: {error}") from error

    @classmethod
    def from_pretrained(cls, path_or_id: str | Path) -> Tokenizer:
        """The tokenizer of a published model.

        Args:
            path_or_id: Its folder, or its name on the Hugging Face hub, whose files are then downloaded once. Read are
                tokenizer.json, or vocab.txt, or vocab.json with merges.txt.

        Raises:
            FileError: A folder without these.
        """
        folder = Path(path_or_id)
        if not folder.is_dir():
            try:
                from huggingface_hub import snapshot_download
            except ImportError as error:
                raise ImportError(
                    f"There is no folder {path_or_id}. To download from the hub: pip install 'lamella[language]'."
                ) from error
            folder = Path(snapshot_download(str(path_or_id), allow_patterns=FILES))
        if (folder / "tokenizer.json").exists() and '"kind"' in (folder / "tokenizer.json").read_text("utf-8")[:20]:
            return cls.from_file(folder / "tokenizer.json")  # a table of ours
        engine = SubwordTokenizer.from_folder(folder)
        return cls(engine.to_json(), engine.special_tokens(folder))

    def save(self, path: str | Path) -> None:
        """Writes the vocabulary to a file: a `tokenizer.json` (for characters and words, a JSON of Lamella's own)."""
        Path(path).write_text(self._engine.to_json(), encoding="utf-8")

    # -- from texts to numbers and back ---------------------------------------------------------------------

    def encode(self, text: str) -> list[int]:
        """The numbers of a text's tokens, without start and end.

        Raises:
            DataError: Something that is no string.
        """
        return self._engine.encode(checked_texts([text]))[0]

    def encode_batch(
        self,
        texts: Sequence[str],
        max_length: int | None = None,
        start: bool = False,
        end: bool = False,
        on_long: str = "truncate",
        pad_side: str = "right",
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """The numbers of several texts' tokens, padded to the longest. An empty text is one unknown token.

        Args:
            texts: Strings.
            max_length: The most tokens in a text, start and end included.
            start: Whether the start token comes first.
            end: Whether the end token comes last, also of what was cut.
            on_long: Longer texts are cut (`"truncate"`: counted in `num_truncated`, the first time with a warning), or
                a DataError (`"refuse"`).
            pad_side: Where padding goes, `"right"` or `"left"`.

        Returns:
            Tokens (texts, longest), int64, and the mask, True where a token is real. Without a padding token in the
            vocabulary, padding is 0.

        Raises:
            DataError: Something that is no string; a text too long.
            ArgumentError: A start or end that the vocabulary lacks; arguments out of range.
        """
        lists = self.encode_lists(texts, max_length, start, end, on_long)
        return pad_tokens(lists, self.pad_id or 0, pad_side)

    def encode_lists(
        self,
        texts: Sequence[str],
        max_length: int | None = None,
        start: bool = False,
        end: bool = False,
        on_long: str = "truncate",
    ) -> list[list[int]]:
        """As `encode_batch`, not padded: what `LengthBuckets` takes."""
        if on_long not in ("truncate", "refuse"):
            raise ArgumentError(f"Tokenizer: `on_long` must be 'truncate' or 'refuse'; got {on_long!r}.")
        first = [self._required("start")] if start else []
        last = [self._required("end")] if end else []
        lists = self._engine.encode(checked_texts(texts))
        if max_length is not None:
            room = max_length - len(first) - len(last)
            if room < 1:
                raise ArgumentError(f"Tokenizer: a `max_length` of {max_length!r} leaves no place for the text.")
            lists = self._cut(lists, room, on_long)
        if not first and not last:
            nothing = [next((self._special[role] for role in ("unknown", "end", "start") if role in self._special), 0)]
            return [tokens or nothing for tokens in lists]
        return [first + tokens + last for tokens in lists]

    def _cut(self, lists: list[list[int]], room: int, on_long: str) -> list[list[int]]:
        long = [i for i, tokens in enumerate(lists) if len(tokens) > room]
        if not long:
            return lists
        longest = max(len(lists[i]) for i in long)
        if on_long == "refuse":
            raise DataError(
                f"Tokenizer: {len(long)} of {len(lists)} texts are longer than the {room} tokens that there is room "
                f"for; the first is texts[{long[0]}] with {len(lists[long[0]])}, the longest has {longest}. "
                f"Shorten them, or pass on_long='truncate'."
            )
        if self.num_truncated == 0:
            warnings.warn(
                f"Tokenizer: {len(long)} of {len(lists)} texts are longer than the {room} tokens that there is room "
                f"for (the longest has {longest}) and are cut. Later ones are cut without a word: see num_truncated.",
                stacklevel=4,
            )
        self.num_truncated += len(long)
        return [tokens[:room] for tokens in lists]

    def decode(self, ids: Any, skip_special: bool = True) -> str:
        """The text that numbers stand for.

        Args:
            ids: A list, array or tensor of numbers.
            skip_special: Whether padding, start, end and mask are left out.

        Raises:
            DataError: Numbers that are not in the vocabulary.
        """
        numbers = ids.tolist() if hasattr(ids, "tolist") else [int(i) for i in ids]
        strange = [i for i in numbers if i not in self._known]
        if strange:
            raise DataError(
                f"Tokenizer.decode: {strange[:3]} are no tokens: the vocabulary has {self.vocabulary_size}, from 0."
            )
        return self._engine.decode(numbers, skip_special)

    def decode_batch(self, ids: Any, skip_special: bool = True) -> list[str]:
        """The texts of several rows of numbers."""
        return [self.decode(row, skip_special) for row in ids]

    # -- what is in it --------------------------------------------------------------------------------------

    @property
    def vocabulary_size(self) -> int:
        """The largest number plus one: how many rows an embedding needs."""
        return max(self._known) + 1

    @property
    def tokens(self) -> list[str]:
        """The tokens as strings, in the order of their numbers; empty where a number is none."""
        spelt = [""] * self.vocabulary_size
        for token, i in self._engine.ids.items():
            spelt[i] = token
        return spelt

    @property
    def pad_id(self) -> int | None:
        """The number of the padding token; None if there is none, as in GPT-2's vocabulary."""
        return self._special.get("pad")

    @property
    def unknown_id(self) -> int | None:
        """The number of the token for what is unknown."""
        return self._special.get("unknown")

    @property
    def start_id(self) -> int | None:
        """The number of the token that texts start with."""
        return self._special.get("start")

    @property
    def end_id(self) -> int | None:
        """The number of the token that texts end with."""
        return self._special.get("end")

    @property
    def mask_id(self) -> int | None:
        """The number of the token that stands for a hidden one."""
        return self._special.get("mask")

    def id_of(self, token: str) -> int | None:
        """The number of a token; None if it is not in the vocabulary."""
        return self._engine.ids.get(token)

    def _required(self, role: str) -> int:
        if role not in self._special:
            raise ArgumentError(f"Tokenizer: the vocabulary has no {role} token; it has {self.special_tokens}.")
        return self._special[role]

    def get_config(self) -> dict[str, Any]:
        """The whole vocabulary, as plain data."""
        return {"vocabulary": self._engine.to_json(), "special_tokens": self.special_tokens}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Tokenizer:
        """The tokenizer that `get_config` described."""
        return cls(**config)

    def __repr__(self) -> str:
        return f"<Tokenizer of {self.vocabulary_size} tokens>"

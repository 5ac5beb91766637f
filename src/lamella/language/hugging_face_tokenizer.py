"""Subword vocabularies: byte-level BPE and WordPiece, trained, read and run by Hugging Face's `tokenizers`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from lamella.errors import ArgumentError, FileError
from lamella.language.token_table import SPECIAL

FILES = ["tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "vocab.txt", "vocab.json", "merges.txt"]
"""The files of a published model that its vocabulary may need."""

_NAMES = {
    "pad": ("[PAD]", "<pad>", "<|pad|>"),
    "unknown": ("[UNK]", "<unk>"),
    "start": ("[CLS]", "<s>", "<bos>", "<|startoftext|>", "<|endoftext|>"),
    "end": ("[SEP]", "</s>", "<eos>", "<|endoftext|>"),
    "mask": ("[MASK]", "<mask>"),
}
_KEYS = {
    "pad": ("pad_token",),
    "unknown": ("unk_token",),
    "start": ("cls_token", "bos_token"),
    "end": ("sep_token", "eos_token"),
    "mask": ("mask_token",),
}


def package() -> Any:
    """The package `tokenizers`.

    Raises:
        ImportError: It is not installed.
    """
    try:
        import tokenizers
    except ImportError as error:
        raise ImportError(
            "Byte-level BPE and WordPiece need the package tokenizers: pip install 'lamella[language]'. "
            "The kinds 'character' and 'word' need none."
        ) from error
    return tokenizers


class SubwordTokenizer:
    """One of the package's tokenizers, with the methods of `TokenTable`."""

    def __init__(self, engine: Any) -> None:
        engine.no_padding()
        engine.no_truncation()
        self.engine = engine

    @property
    def ids(self) -> dict[str, int]:
        """The number of each token."""
        return self.engine.get_vocab(with_added_tokens=True)

    @classmethod
    def train(cls, texts: list[str], kind: str, vocabulary_size: int, lowercase: bool = False) -> SubwordTokenizer:
        """A byte-level BPE (as GPT-2's) or WordPiece (as BERT's) vocabulary, learned from `texts`."""
        t = package()
        special = list(SPECIAL.values())
        if kind == "byte_bpe":
            alphabet = sorted(t.pre_tokenizers.ByteLevel.alphabet())
            _check_room(vocabulary_size, alphabet)
            engine = _byte_bpe(t, t.models.BPE(), lowercase)
            trainer = t.trainers.BpeTrainer(
                vocab_size=vocabulary_size, special_tokens=special, initial_alphabet=alphabet, show_progress=False
            )
            engine.train_from_iterator(texts, trainer)
            return cls(engine)
        # The package numbers the letters within words in an order that changes from run to run, and ties between pairs
        # are settled by number. So the letters are learned first, sorted, and given as what comes first.
        alphabet = sorted(_word_pieces(t, texts, 1, [], lowercase))
        _check_room(vocabulary_size, alphabet)
        vocabulary = _word_pieces(t, texts, vocabulary_size, special + alphabet, lowercase)
        engine = _word_piece(t, vocabulary, lowercase)
        engine.add_special_tokens(special)
        return cls(engine)

    @classmethod
    def from_json(cls, text: str) -> SubwordTokenizer:
        """What a `tokenizer.json` describes."""
        try:
            return cls(package().Tokenizer.from_str(text))
        except ImportError:
            raise
        except Exception as error:  # the package raises nothing more special
            raise FileError(f"This is no tokenizer.json: {error}") from error

    @classmethod
    def from_folder(cls, folder: Path) -> SubwordTokenizer:
        """The vocabulary of a published model: its tokenizer.json, or the older vocab.txt, or vocab.json and merges."""
        if (folder / "tokenizer.json").exists():
            return cls.from_json((folder / "tokenizer.json").read_text(encoding="utf-8"))
        t = package()
        if (folder / "vocab.txt").exists():
            tokens = (folder / "vocab.txt").read_text(encoding="utf-8").splitlines()
            lowercase = _json(folder / "tokenizer_config.json").get("do_lower_case", True)
            engine = _word_piece(t, {token: i for i, token in enumerate(tokens)}, lowercase)
            engine.add_special_tokens([token for token in SPECIAL.values() if token in tokens])
            return cls(engine)
        if (folder / "vocab.json").exists() and (folder / "merges.txt").exists():
            model = t.models.BPE.from_file(str(folder / "vocab.json"), str(folder / "merges.txt"))
            engine = _byte_bpe(t, model, lowercase=False)
            known = {name for names in _NAMES.values() for name in names} & set(engine.get_vocab())
            engine.add_special_tokens(sorted(known))
            return cls(engine)
        raise FileError(f"{folder} has no vocabulary: none of tokenizer.json, vocab.txt, vocab.json with merges.txt.")

    def special_tokens(self, folder: Path | None = None) -> dict[str, str]:
        """The special tokens by what they are for: as the folder's files say, or the usual names."""
        said: dict[str, Any] = {}
        if folder is not None:
            said = _json(folder / "special_tokens_map.json") | _json(folder / "tokenizer_config.json")
        ids, found = self.ids, {}
        for role in _KEYS:
            told = [said.get(key) for key in _KEYS[role]]
            names = [token.get("content") if isinstance(token, dict) else token for token in told]
            usual = next((name for name in (*names, *_NAMES[role]) if name in ids), None)
            if usual is not None:
                found[role] = usual
        return found

    def encode(self, texts: list[str]) -> list[list[int]]:
        """The numbers of the tokens of each text."""
        return [each.ids for each in self.engine.encode_batch_fast(texts, add_special_tokens=False)]

    def decode(self, ids: list[int], skip_special: bool) -> str:
        """The text that the numbers stand for."""
        return self.engine.decode(ids, skip_special_tokens=skip_special)

    def to_json(self) -> str:
        """The text of a `tokenizer.json`."""
        return self.engine.to_str()


def _word_piece(t: Any, vocabulary: dict[str, int], lowercase: bool) -> Any:
    engine = t.Tokenizer(t.models.WordPiece(vocabulary, unk_token=SPECIAL["unknown"]))
    engine.normalizer = t.normalizers.BertNormalizer(lowercase=lowercase)
    engine.pre_tokenizer = t.pre_tokenizers.BertPreTokenizer()
    engine.decoder = t.decoders.WordPiece()
    return engine


def _word_pieces(t: Any, texts: list[str], size: int, first: list[str], lowercase: bool) -> dict[str, int]:
    engine = _word_piece(t, {}, lowercase)
    trainer = t.trainers.WordPieceTrainer(vocab_size=size, special_tokens=first, show_progress=False)
    engine.train_from_iterator(texts, trainer)
    return engine.get_vocab(with_added_tokens=False)


def _byte_bpe(t: Any, model: Any, lowercase: bool) -> Any:
    engine = t.Tokenizer(model)
    if lowercase:
        engine.normalizer = t.normalizers.Lowercase()
    engine.pre_tokenizer = t.pre_tokenizers.ByteLevel(add_prefix_space=False)
    engine.decoder = t.decoders.ByteLevel()
    return engine


def _check_room(vocabulary_size: int, alphabet: list[str]) -> None:
    needed = len(SPECIAL) + len(alphabet)
    if vocabulary_size < needed:
        raise ArgumentError(
            f"Tokenizer.train: `vocabulary_size` must be {needed} or more here: {len(SPECIAL)} special tokens and an "
            f"alphabet of {len(alphabet)}; got {vocabulary_size}."
        )


def _json(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}

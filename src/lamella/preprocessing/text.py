"""`keras.preprocessing.text`: words as numbers, as scripts of earlier days have them.

Newer code takes the layer `TextVectorization`, or the tokenizers of `lamella.language`.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np

from lamella.errors import ArgumentError, FileError

__all__ = ["Tokenizer", "hashing_trick", "one_hot", "text_to_word_sequence", "tokenizer_from_json"]

_FILTERS = '!"#$%&()*+,-./:;<=>?@[\\]^_`{|}~\t\n'
_COUNTS = ("word_counts", "word_docs", "index_docs", "index_word", "word_index")
_BY_NUMBER = ("index_docs", "index_word")
_MODES = ("binary", "count", "freq", "tfidf")


def text_to_word_sequence(input_text: str, filters: str = _FILTERS, lower: bool = True, split: str = " ") -> list[str]:
    """The words of a text.

    Args:
        input_text: The text.
        filters: The characters that are no part of a word.
        lower: Whether capitals become small letters.
        split: What stands between words.

    Example:
        >>> text_to_word_sequence("Good film, good!")
        ['good', 'film', 'good']
    """
    text = input_text.lower() if lower else input_text
    for character in filters:
        text = text.replace(character, split)
    return [word for word in text.split(split) if word]


def hashing_trick(
    text: str,
    n: int,
    hash_function: str | Callable[[str], int] | None = None,
    filters: str = _FILTERS,
    lower: bool = True,
    split: str = " ",
    analyzer: Callable[[str], list[str]] | None = None,
) -> list[int]:
    """A number from 1 to n - 1 for each word; different words may have the same.

    Args:
        text: The text.
        n: How many numbers there are, 0 included.
        hash_function: `"md5"`, which gives the same numbers everywhere, or a function; Python's `hash` by default.
        filters: As for `text_to_word_sequence`.
        lower: As for `text_to_word_sequence`.
        split: As for `text_to_word_sequence`.
        analyzer: A function that gives the words, in the place of the last three.

    Example:
        >>> hashing_trick("good film", 50, "md5")
        [17, 39]
    """
    number = _md5 if hash_function == "md5" else hash_function or hash
    words = text_to_word_sequence(text, filters, lower, split) if analyzer is None else analyzer(text)
    return [number(word) % (n - 1) + 1 for word in words]  # type: ignore[operator]


def _md5(word: str) -> int:
    return int(hashlib.md5(word.encode(), usedforsecurity=False).hexdigest(), 16)


def one_hot(
    input_text: str,
    n: int,
    filters: str = _FILTERS,
    lower: bool = True,
    split: str = " ",
    analyzer: Callable[[str], list[str]] | None = None,
) -> list[int]:
    """`hashing_trick` with Python's `hash`, whose numbers differ from run to run."""
    return hashing_trick(input_text, n, None, filters, lower, split, analyzer)


class Tokenizer:
    """Numbers the words of texts by how often they occur, from 1 on: 0 is left for padding.

    Args:
        num_words: Only words with smaller numbers are used; all by default.
        filters: The characters that are no part of a word.
        lower: Whether capitals become small letters.
        split: What stands between words.
        char_level: Whether each character is a word.
        oov_token: The word, with the number 1, that stands for unknown ones; they are left out by default.
        analyzer: A function that gives the words of a text, in the place of `filters`, `lower` and `split`.
        **kwargs: `document_count`, for a tokenizer that is made again.

    Attributes:
        word_index: The number of each word.
        index_word: The word of each number.
        word_counts: How often each word occurred.
        word_docs: In how many texts each word occurred.
        index_docs: The same, by number.
        document_count: How many texts were seen.

    Example:
        >>> tokenizer = Tokenizer(oov_token="?")
        >>> tokenizer.fit_on_texts(["good film", "a good one"])
        >>> tokenizer.texts_to_sequences(["a good thing"])
        [[4, 2, 1]]
    """

    def __init__(
        self,
        num_words: int | None = None,
        filters: str = _FILTERS,
        lower: bool = True,
        split: str = " ",
        char_level: bool = False,
        oov_token: str | None = None,
        analyzer: Callable[[str], list[str]] | None = None,
        **kwargs: Any,
    ) -> None:
        self.document_count = kwargs.pop("document_count", 0)
        if kwargs:
            raise ArgumentError(f"Tokenizer has no argument {', '.join(map(repr, kwargs))}.")
        self.num_words = num_words
        self.filters = filters
        self.lower = lower
        self.split = split
        self.char_level = char_level
        self.oov_token = oov_token
        self.analyzer = analyzer
        self.word_counts: OrderedDict[str, int] = OrderedDict()
        self.word_docs: Counter[str] = Counter()
        self.index_docs: Counter[int] = Counter()
        self.word_index: dict[str, int] = {}
        self.index_word: dict[int, str] = {}

    def _words(self, text: Any) -> Iterable[str]:
        """The words of a text, or of a list of words."""
        if self.char_level or isinstance(text, list):
            if self.lower:
                return [word.lower() for word in text] if isinstance(text, list) else text.lower()
            return text
        if self.analyzer is not None:
            return self.analyzer(text)
        return text_to_word_sequence(text, self.filters, self.lower, self.split)

    def fit_on_texts(self, texts: Iterable[Any]) -> None:
        """Counts the words of texts (or of lists of words), and numbers all that were seen so far."""
        for text in texts:
            self.document_count += 1
            words = list(self._words(text))
            for word in words:
                self.word_counts[word] = self.word_counts.get(word, 0) + 1
            self.word_docs.update(set(words))
        known = sorted(self.word_counts, key=self.word_counts.__getitem__, reverse=True)
        ranked = known if self.oov_token is None else [self.oov_token, *known]
        self.word_index = {word: number for number, word in enumerate(ranked, 1)}
        self.index_word = {number: word for word, number in self.word_index.items()}
        self.index_docs = Counter({self.word_index[word]: count for word, count in self.word_docs.items()})

    def fit_on_sequences(self, sequences: Iterable[Iterable[int]]) -> None:
        """Counts in how many sequences of numbers each occurs, for `sequences_to_matrix(mode="tfidf")`."""
        for sequence in sequences:
            self.document_count += 1
            self.index_docs.update(set(sequence))

    def texts_to_sequences(self, texts: Iterable[Any]) -> list[list[int]]:
        """The numbers of the words of each text."""
        return list(self.texts_to_sequences_generator(texts))

    def texts_to_sequences_generator(self, texts: Iterable[Any]) -> Iterator[list[int]]:
        """The same, one text after the other."""
        for text in texts:
            numbers = (self._used(self.word_index.get(word)) for word in self._words(text))
            yield [number for number in numbers if number is not None]

    def _used(self, number: int | None) -> int | None:
        """The number; where it is too large, or there is none, that of `oov_token` (None without one)."""
        if number is None or (self.num_words and number >= self.num_words):
            return None if self.oov_token is None else self.word_index.get(self.oov_token)
        return number

    def sequences_to_texts(self, sequences: Iterable[Iterable[int]]) -> list[str]:
        """The words of the numbers, with spaces between them."""
        return list(self.sequences_to_texts_generator(sequences))

    def sequences_to_texts_generator(self, sequences: Iterable[Iterable[int]]) -> Iterator[str]:
        """The same, one sequence after the other."""
        for sequence in sequences:
            numbers = (self._used(int(n) if n in self.index_word else None) for n in sequence)
            yield " ".join(self.index_word[number] for number in numbers if number is not None)

    def texts_to_matrix(self, texts: Iterable[Any], mode: str = "binary") -> np.ndarray:
        """`sequences_to_matrix` of texts."""
        return self.sequences_to_matrix(self.texts_to_sequences(texts), mode)

    def sequences_to_matrix(self, sequences: list[list[int]], mode: str = "binary") -> np.ndarray:
        """A row (num_words,) for each sequence, with a column for each number.

        Args:
            sequences: The sequences of numbers.
            mode: What stands in a column: `"binary"` (whether the word is there), `"count"` (how often), `"freq"` (its
                share) or `"tfidf"` (more, the fewer texts have it).

        Raises:
            ArgumentError: Another mode, or nothing to take the columns, or the texts' counts, from.
        """
        if mode not in _MODES:
            raise ArgumentError(f"`mode` must be one of {', '.join(_MODES)}; got {mode!r}.")
        if not (self.num_words or self.word_index):
            raise ArgumentError("The tokenizer has seen no texts: call fit_on_texts() first, or give `num_words`.")
        if mode == "tfidf" and not self.document_count:
            raise ArgumentError("'tfidf' needs the counts of texts: call fit_on_texts() or fit_on_sequences() first.")
        width = self.num_words or len(self.word_index) + 1
        matrix = np.zeros((len(sequences), width))
        for row, sequence in zip(matrix, sequences, strict=True):
            counts = Counter(number for number in sequence if number < width)
            for number, count in counts.items():
                row[number] = self._weight(mode, number, count, len(sequence))
        return matrix

    def _weight(self, mode: str, number: int, count: int, length: int) -> float:
        if mode == "tfidf":
            return float((1 + np.log(count)) * np.log(1 + self.document_count / (1 + self.index_docs.get(number, 0))))
        return {"binary": 1.0, "count": float(count), "freq": count / length}[mode]

    def get_config(self) -> dict[str, Any]:
        """What makes this tokenizer again, with its counts as JSON."""
        settings = ("num_words", "filters", "lower", "split", "char_level", "oov_token", "document_count")
        config = {name: getattr(self, name) for name in settings}
        return config | {name: json.dumps(getattr(self, name)) for name in _COUNTS}

    def to_json(self, **kwargs: Any) -> str:
        """The tokenizer as JSON; `tokenizer_from_json` makes it again. Arguments are those of `json.dumps`."""
        return json.dumps({"class_name": "Tokenizer", "config": self.get_config()}, **kwargs)


def tokenizer_from_json(json_string: str) -> Tokenizer:
    """The tokenizer that `to_json` (here or in Keras) wrote.

    Raises:
        FileError: Text that is none.
    """
    try:
        config = dict(json.loads(json_string)["config"])
        counts = {name: json.loads(config.pop(name)) for name in _COUNTS}
    except (KeyError, TypeError, ValueError) as error:
        raise FileError(f"This is no tokenizer that to_json() wrote: {type(error).__name__}: {error}") from error
    tokenizer = Tokenizer(**config)
    for name, value in counts.items():
        kind = type(getattr(tokenizer, name))
        setattr(tokenizer, name, kind({int(k): v for k, v in value.items()} if name in _BY_NUMBER else value))
    return tokenizer

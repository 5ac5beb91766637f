"""From texts and lists of tokens to batches: files, padding, batches of similar length, windows of one long text."""

from __future__ import annotations

import gzip
from collections.abc import Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import torch

from lamella.data.py_dataset import PyDataset
from lamella.errors import ArgumentError, DataError


def checked_texts(texts: Any, what: str = "texts") -> list[str]:
    """`texts` as a list of strings.

    Raises:
        DataError: A string in place of a list of them, or an entry that is no string (named by its index).
    """
    if isinstance(texts, (str, bytes)):
        raise DataError(
            f"`{what}` must be a list of strings; got one {type(texts).__name__}. Wrap it: [{texts[:20]!r}]."
        )
    texts = list(texts)
    for i, text in enumerate(texts):
        if not isinstance(text, str):
            raise DataError(
                f"`{what}`[{i}] is {text!r} ({type(text).__name__}), not a string. Missing texts are best left out; "
                f"numbers, made strings with str()."
            )
    return texts


def read_texts(path: str | Path, fallback: str | None = None) -> list[str]:
    """The lines of a text file in UTF-8, also of a `.gz`, without their ends of line.

    Args:
        path: The file.
        fallback: The encoding of lines that are not UTF-8, as `"cp1252"`: old files often mix the two.

    Raises:
        DataError: A line that is not in the encoding; the message names file, line and byte.

    Example:
        >>> import tempfile
        >>> file = Path(tempfile.mkdtemp()) / "texts.txt"
        >>> _ = file.write_bytes("naïve\\n".encode() + "café\\n".encode("cp1252"))
        >>> read_texts(file, fallback="cp1252")
        ['naïve', 'café']
    """
    path = Path(path)
    content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    if content[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return content.decode("utf-16").splitlines()
    lines = content.removeprefix(b"\xef\xbb\xbf").split(b"\n")
    if not lines[-1]:
        lines.pop()
    return [_decoded(line.removesuffix(b"\r"), fallback, path, number) for number, line in enumerate(lines, 1)]


def _decoded(line: bytes, fallback: str | None, path: Path, number: int) -> str:
    for encoding in filter(None, ("utf-8", fallback)):
        try:
            return line.decode(encoding)
        except UnicodeDecodeError as error:
            found = f"byte {error.start + 1} of the line, 0x{line[error.start]:02x}, is not {error.encoding}"
    raise DataError(
        f"{path}, line {number}: {found}. Pass read_texts(..., fallback='cp1252') or the encoding that such lines are "
        f"in, or convert the file to UTF-8."
    )


def pad_tokens(
    sequences: Sequence[Sequence[int]], pad_id: int = 0, side: str = "right"
) -> tuple[torch.Tensor, torch.Tensor]:
    """Lists of tokens as one tensor (batch, longest), int64, and its mask, True where a token is real.

    Args:
        sequences: The lists.
        pad_id: What fills the shorter ones up.
        side: Where: `"right"` or `"left"`.

    Example:
        >>> tokens, mask = pad_tokens([[5, 6, 7], [8]])
        >>> tokens.tolist(), mask.tolist()
        ([[5, 6, 7], [8, 0, 0]], [[True, True, True], [True, False, False]])
    """
    flat, lengths = _flat(sequences)
    places = np.arange(lengths.max(initial=0))
    if side == "left":
        places = places[::-1]
    elif side != "right":
        raise ArgumentError(f"`side` must be 'right' or 'left'; got {side!r}.")
    mask = places < lengths[:, None]
    tokens = np.full(mask.shape, pad_id, "int64")
    tokens[mask] = flat
    return torch.from_numpy(tokens), torch.from_numpy(mask)


def _flat(sequences: Sequence[Sequence[int]]) -> tuple[np.ndarray, np.ndarray]:
    """All tokens one after the other, and the length of each sequence."""
    lengths = np.fromiter(map(len, sequences), "int64", len(sequences))
    return np.fromiter(chain.from_iterable(sequences), "int64", int(lengths.sum())), lengths


class _Ragged:
    """Lists of tokens in one piece of memory, from which padded batches are gathered without a loop."""

    def __init__(self, name: str, sequences: Sequence[Sequence[int]], pad_id: int) -> None:
        flat, lengths = _flat(sequences)
        if not lengths.all():
            raise DataError(
                f"LengthBuckets: `{name}`[{lengths.argmin()}] has no tokens. Leave it out, or let "
                f"Tokenizer.encode_batch() make one unknown token of it."
            )
        self.lengths = torch.from_numpy(lengths)
        self.flat = torch.from_numpy(np.append(flat, pad_id))  # the last one is what padding points at
        self.starts = self.lengths.cumsum(0) - self.lengths

    def batch(self, rows: torch.Tensor) -> torch.Tensor:
        """The sequences `rows`, padded to the longest of them."""
        lengths = self.lengths[rows, None]
        places = torch.arange(int(lengths.max()))
        return self.flat[torch.where(places < lengths, self.starts[rows, None] + places, len(self.flat) - 1)]


class LengthBuckets(PyDataset):
    """Batches of token lists of similar length, so that little is computed for padding.

    Samples are sorted by length, roughly (to an eighth), and cut into batches. With `shuffle`, each epoch has other
    neighbours in a batch and another order of batches. Batch i is `tokens`, or `(tokens, targets)`: int64, (rows,
    longest of the batch), padded; targets that are numbers are (rows,).

    Args:
        sequences: A list of tokens for each sample.
        targets: Another list of tokens for each sample, or a number for each (a class, say), or nothing.
        tokens_per_batch: The most tokens of a batch, padding and targets' tokens included. A longer sample is a batch
            of its own.
        batch_size: The most samples of a batch; 32 if neither is given.
        pad_id: What fills sequences up.
        target_pad_id: What fills targets up; `pad_id` by default.
        shuffle: Whether each epoch is new; without it batches go from short to long.
        workers: As for `PyDataset`.

    Raises:
        DataError: No samples, an empty one (named by its index), or targets of another number.
        ArgumentError: Limits that are not above 0.

    Example:
        >>> data = LengthBuckets([[1, 2, 3], [4], [5, 6, 7, 8], [9, 10]], [0, 1, 0, 1], batch_size=2, shuffle=False)
        >>> tokens, classes = data[0]
        >>> tokens.tolist(), classes.tolist()
        ([[4, 0], [9, 10]], [1, 1])
    """

    def __init__(
        self,
        sequences: Sequence[Sequence[int]],
        targets: Any = None,
        tokens_per_batch: int | None = None,
        batch_size: int | None = None,
        pad_id: int = 0,
        target_pad_id: int | None = None,
        shuffle: bool = True,
        workers: int = 1,
    ) -> None:
        super().__init__(workers=workers)
        _check_positive("LengthBuckets", tokens_per_batch=tokens_per_batch, batch_size=batch_size)
        count, found = len(sequences), len(sequences) if targets is None else len(targets)
        if count == 0 or found != count:
            raise DataError(f"LengthBuckets: {count} sequences and {found} targets: give some, and as many of both.")
        self.shuffle = shuffle
        self._sequences = _Ragged("sequences", sequences, pad_id)
        self._targets = targets
        source, target = _rounded(self._sequences.lengths), torch.zeros(count, dtype=torch.int64)
        if targets is not None and np.ndim(targets[0]) == 1:
            self._targets = _Ragged("targets", targets, pad_id if target_pad_id is None else target_pad_id)
            target = _rounded(self._targets.lengths)
        elif targets is not None:
            self._targets = torch.as_tensor(np.asarray(targets))
        # Targets rise within one length of sources and fall within the next: no batch has the longest and the shortest.
        rank = source.unique(return_inverse=True)[1]
        self._keys = source * (target.max() + 1) + torch.where(rank % 2 == 0, target, target.max() - target)
        # The cuts are the same in each epoch: samples change places within one key only.
        order = self._keys.argsort()
        rows = batch_size or (count if tokens_per_batch else 32)
        self._cuts = _cuts(source[order].tolist(), target[order].tolist(), rows, tokens_per_batch)
        self.on_epoch_begin()

    def on_epoch_begin(self) -> None:
        order = torch.randperm(len(self._keys)) if self.shuffle else torch.arange(len(self._keys))
        batches = order[self._keys[order].argsort(stable=True)].tensor_split(self._cuts)
        shuffled = torch.randperm(len(batches)).tolist() if self.shuffle else range(len(batches))
        self._batches = [batches[i] for i in shuffled]

    @property
    def order(self) -> torch.Tensor:
        """(samples,), int64: the numbers of the samples in the order in which the batches of this epoch have them."""
        return torch.cat(self._batches)

    def __len__(self) -> int:
        return len(self._batches)

    def __getitem__(self, index: int) -> Any:
        rows = self._batches[index]
        tokens = self._sequences.batch(rows)
        if self._targets is None:
            return tokens
        return tokens, self._targets.batch(rows) if isinstance(self._targets, _Ragged) else self._targets[rows]


def _rounded(lengths: torch.Tensor) -> torch.Tensor:
    """Lengths rounded up to multiples of a power of two, an eighth of the length at most; below 16 as they are."""
    width = 2 ** (lengths.double().log2().floor() - 3).clamp(min=0).to(torch.int64)
    return (lengths + width - 1) // width * width


def _cuts(sources: list[int], targets: list[int], rows: int, tokens: int | None) -> list[int]:
    """Where batches begin, but for the first."""
    cuts: list[int] = []
    start = source = target = 0
    for i, (source_length, target_length) in enumerate(zip(sources, targets, strict=True)):
        source, target = max(source, source_length), max(target, target_length)
        size = i + 1 - start
        if size > rows or (tokens and size > 1 and size * (source + target) > tokens):
            cuts.append(i)
            start, source, target = i, source_length, target_length
    return cuts


def packed(tokens: Sequence[int] | torch.Tensor, length: int) -> torch.Tensor:
    """One long text as windows (windows, length), one after the other; what is left at its end is left out.

    Raises:
        DataError: A text shorter than one window.

    Example:
        >>> packed(range(7), 3).tolist()
        [[0, 1, 2], [3, 4, 5]]
    """
    _check_positive("packed", length=length)
    flat = torch.as_tensor(tokens, dtype=torch.int64)
    if len(flat) < length:
        raise DataError(f"packed: the text has {len(flat)} tokens, fewer than one window of {length}.")
    return flat[: len(flat) // length * length].view(-1, length)


class TokenBlocks(PyDataset):
    """Windows of one long text, for a model of language: batch i is `(tokens, the next token of each)`.

    Both are (rows, length), int64. With `shuffle`, the windows of an epoch begin at a place drawn anew and come in a
    new order; without, they are the whole text in its order, and the last batch is what is left, one shorter row.

    Args:
        tokens: The text.
        length: Tokens in a window.
        batch_size: Windows in a batch.
        shuffle: Whether each epoch is new.
        workers: As for `PyDataset`.

    Raises:
        DataError: A text shorter than two windows, or, without shuffling, than two tokens.
        ArgumentError: Sizes that are not above 0.

    Example:
        >>> x, y = TokenBlocks(range(100), length=4, batch_size=2, shuffle=False)[0]
        >>> x.tolist(), y.tolist()
        ([[0, 1, 2, 3], [4, 5, 6, 7]], [[1, 2, 3, 4], [5, 6, 7, 8]])
    """

    def __init__(
        self,
        tokens: Sequence[int] | torch.Tensor,
        length: int,
        batch_size: int = 32,
        shuffle: bool = True,
        workers: int = 1,
    ) -> None:
        super().__init__(workers=workers)
        _check_positive("TokenBlocks", length=length, batch_size=batch_size)
        self.tokens = torch.as_tensor(tokens, dtype=torch.int64)
        self.length, self.batch_size, self.shuffle = length, batch_size, shuffle
        pairs = len(self.tokens) - 1
        needed = 2 * length if shuffle else 1
        if pairs < needed:
            raise DataError(f"TokenBlocks: the text has {len(self.tokens)} tokens; it needs {needed + 1} or more.")
        # One window fewer than there is room for leaves all places of the first to choose from.
        self._count = pairs // length - shuffle
        self._rest = 0 if shuffle else pairs % length
        self.on_epoch_begin()

    def on_epoch_begin(self) -> None:
        self._starts = torch.arange(self._count) * self.length
        if self.shuffle:
            room = len(self.tokens) - 1 - self._count * self.length
            self._starts = self._starts[torch.randperm(self._count)] + torch.randint(room + 1, ())

    def __len__(self) -> int:
        return -(-self._count // self.batch_size) + (self._rest > 0)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, torch.Tensor]:
        starts = self._starts[index * self.batch_size : (index + 1) * self.batch_size, None]
        if len(starts) == 0:
            return self.tokens[None, -self._rest - 1 : -1], self.tokens[None, -self._rest :]
        places = starts + torch.arange(self.length)
        return self.tokens[places], self.tokens[places + 1]


def _check_positive(what: str, **values: Any) -> None:
    for name, value in values.items():
        if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
            raise ArgumentError(f"{what}: `{name}` must be a whole number, 1 or more; got {value!r}.")

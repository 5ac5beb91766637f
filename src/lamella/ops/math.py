"""Segments, Fourier transforms, complex pairs."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F

from lamella.engine.on_meta import OnMeta
from lamella.errors import ArgumentError, DTypeError, ShapeError
from lamella.ops.base import op, tensor

_NEUTRAL = {"sum": 0, "prod": 1}


def _reduced(data: Any, segment_ids: Any, num_segments: int | None, how: str) -> torch.Tensor:
    data = tensor(data)
    ids = tensor(segment_ids).long().to(data.device)
    if ids.ndim != 1 or len(ids) != len(data):
        raise ShapeError(
            f"`segment_ids` must be a vector as long as `data`; got shapes {tuple(ids.shape)} and {tuple(data.shape)}."
        )
    count = num_segments or (OnMeta.unknown if ids.is_meta else int(ids.max()) + 1)
    ids = torch.where((ids < 0) | (ids >= count), count, ids)  # one segment more takes what is out of range
    fill = _NEUTRAL[how] if how in _NEUTRAL else _limit(data.dtype, how)
    start = torch.full((count + 1, *data.shape[1:]), fill, dtype=data.dtype, device=data.device)
    places = ids.reshape(-1, *(1,) * (data.ndim - 1)).expand_as(data)
    return start.scatter_reduce(0, places, data, how)[:-1]


def _limit(kind: torch.dtype, how: str) -> Any:
    if kind.is_floating_point:
        return -torch.inf if how == "amax" else torch.inf
    return torch.iinfo(kind).min if how == "amax" else torch.iinfo(kind).max


@op
def segment_sum(data: Any, segment_ids: Any, num_segments: int | None = None, sorted: bool = False) -> torch.Tensor:
    """The sum of the items of each segment.

    Args:
        data: Items along the first axis.
        segment_ids: The segment of each; an id out of range takes its item out.
        num_segments: How many there are; without it, this waits for the device.
        sorted: Kept for Keras's signature.

    Raises:
        ShapeError: Ids that are no vector of the right length.

    Example:
        >>> segment_sum([1.0, 2.0, 3.0], [0, 1, 1], num_segments=2)
        tensor([1., 5.])
    """
    return _reduced(data, segment_ids, num_segments, "sum")


@op
def segment_max(data: Any, segment_ids: Any, num_segments: int | None = None, sorted: bool = False) -> torch.Tensor:
    """The largest item of each segment; arguments as for `segment_sum`.

    Example:
        >>> segment_max([1.0, 2.0, 3.0], [0, 1, 1], num_segments=2)
        tensor([1., 3.])
    """
    return _reduced(data, segment_ids, num_segments, "amax")


@op
def segment_min(data: Any, segment_ids: Any, num_segments: int | None = None, sorted: bool = False) -> torch.Tensor:
    """The smallest item of each segment; arguments as for `segment_sum`.

    Example:
        >>> segment_min([1.0, 2.0, 3.0], [0, 1, 1], num_segments=2)
        tensor([1., 2.])
    """
    return _reduced(data, segment_ids, num_segments, "amin")


@op
def segment_prod(data: Any, segment_ids: Any, num_segments: int | None = None, sorted: bool = False) -> torch.Tensor:
    """The product of the items of each segment; arguments as for `segment_sum`.

    Example:
        >>> segment_prod([1.0, 2.0, 3.0], [0, 1, 1], num_segments=2)
        tensor([1., 6.])
    """
    return _reduced(data, segment_ids, num_segments, "prod")


def _complex(x: Any) -> torch.Tensor:
    if not isinstance(x, (tuple, list)) or len(x) != 2:
        raise ArgumentError(f"Give a pair of tensors, the real and the imaginary part; got {type(x).__name__}.")
    real, imaginary = tensor(x[0]), tensor(x[1])
    if real.shape != imaginary.shape:
        raise ShapeError(f"Both parts must have one shape; got {tuple(real.shape)} and {tuple(imaginary.shape)}.")
    if not (real.is_floating_point() and imaginary.is_floating_point()):
        raise ArgumentError(f"Both parts must be floats; got {real.dtype} and {imaginary.dtype}.")
    return torch.complex(real, imaginary)


def _parts(x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    return x.real, x.imag


@op
def fft(x: Any) -> tuple[torch.Tensor, torch.Tensor]:
    """The discrete Fourier transform along the last axis.

    Args:
        x: The real and the imaginary part.

    Raises:
        ArgumentError: No pair, parts of different shapes, or parts that are no floats.

    Example:
        >>> fft(([1.0, 1.0], [0.0, 0.0]))
        (tensor([2., 0.]), tensor([0., 0.]))
    """
    return _parts(torch.fft.fft(_complex(x)))


@op
def fft2(x: Any) -> tuple[torch.Tensor, torch.Tensor]:
    """The discrete Fourier transform along the last two axes; arguments as for `fft`.

    Example:
        >>> fft2(([[1.0, 1.0]], [[0.0, 0.0]]))
        (tensor([[2., 0.]]), tensor([[0., 0.]]))
    """
    return _parts(torch.fft.fft2(_complex(x)))


@op
def ifft2(x: Any) -> tuple[torch.Tensor, torch.Tensor]:
    """The inverse of `fft2`.

    Example:
        >>> ifft2(([[2.0, 0.0]], [[0.0, 0.0]]))
        (tensor([[1., 1.]]), tensor([[0., 0.]]))
    """
    return _parts(torch.fft.ifft2(_complex(x)))


@op
def rfft(x: Any, fft_length: int | None = None) -> tuple[torch.Tensor, torch.Tensor]:
    """The first half of the Fourier transform of real numbers, along the last axis.

    Args:
        x: Real numbers.
        fft_length: The length that `x` is cut or filled up to with zeros.

    Example:
        >>> rfft([1.0, 1.0])
        (tensor([2., 0.]), tensor([0., 0.]))
    """
    return _parts(torch.fft.rfft(tensor(x), n=fft_length))


@op
def irfft(x: Any, fft_length: int | None = None) -> torch.Tensor:
    """The inverse of `rfft`: real numbers, of length `fft_length`.

    Example:
        >>> irfft(([2.0, 0.0], [0.0, 0.0]))
        tensor([1., 1.])
    """
    return torch.fft.irfft(_complex(x), n=fft_length)


def _window(window: Any, length: int, like: torch.Tensor) -> torch.Tensor:
    if window is None:
        return torch.ones(length, dtype=like.dtype, device=like.device)
    if isinstance(window, str):
        if window not in ("hann", "hamming"):
            raise ArgumentError(f"`window` must be 'hann', 'hamming', None or a tensor; got {window!r}.")
        make = torch.hann_window if window == "hann" else torch.hamming_window
        return make(length, periodic=True, dtype=like.dtype, device=like.device)
    window = tensor(window).to(like)
    if window.shape != (length,):
        raise ShapeError(f"`window` must have shape ({length},), the sequence length; got {tuple(window.shape)}.")
    return window


def _check_stride(sequence_stride: Any) -> None:
    if not isinstance(sequence_stride, int) or sequence_stride <= 0:
        raise ArgumentError(f"`sequence_stride` must be a positive whole number; got {sequence_stride!r}.")


def _centred(window: torch.Tensor, length: int) -> torch.Tensor:
    before = (length - len(window)) // 2
    return F.pad(window, (before, length - len(window) - before))


@op
def stft(
    x: Any,
    sequence_length: int,
    sequence_stride: int,
    fft_length: int,
    window: Any = "hann",
    center: bool = True,
) -> tuple[torch.Tensor, torch.Tensor]:
    """The short-time Fourier transform: the spectrum of each stretch of a signal.

    Args:
        x: Signals, (..., samples).
        sequence_length: The length of a stretch.
        sequence_stride: The step from one to the next.
        fft_length: The length that a stretch is filled up to with zeros.
        window: What a stretch is multiplied with: `"hann"`, `"hamming"`, None, or (sequence_length,) weights.
        center: Whether stretch t is centred on sample t * stride (the signal is mirrored at its ends).

    Returns:
        Real and imaginary part, (..., stretches, fft_length // 2 + 1).

    Raises:
        ArgumentError: A stride that is not positive, or an `fft_length` below `sequence_length`.
        DTypeError: A signal that is not in float32 or float64.

    Source: Allen, "Short term spectral analysis, synthesis, and modification", 1977.

    Example:
        >>> stft(torch.ones(16), 8, 4, 8)[0].shape
        torch.Size([5, 5])
    """
    _check_stride(sequence_stride)
    x = tensor(x)
    if x.dtype not in (torch.float32, torch.float64):
        raise DTypeError(f"stft takes float32 or float64; got {x.dtype}. Cast it first.")
    if fft_length < sequence_length:
        raise ArgumentError(f"`fft_length` ({fft_length}) must not be below `sequence_length` ({sequence_length}).")
    weights = _centred(_window(window, sequence_length, x), fft_length)
    rows = x.reshape(-1, x.shape[-1])
    if center:
        rows = F.pad(rows[:, None], (fft_length // 2, fft_length // 2), mode="reflect")[:, 0]
    found = torch.fft.rfft(rows.unfold(-1, fft_length, sequence_stride) * weights)
    return _parts(found.reshape(*x.shape[:-1], *found.shape[1:]))


@op
def istft(
    x: Any,
    sequence_length: int,
    sequence_stride: int,
    fft_length: int,
    length: int | None = None,
    window: Any = "hann",
    center: bool = True,
) -> torch.Tensor:
    """The inverse of `stft`: the stretches are added up where they overlap, and divided by their weights.

    Args:
        x: Real and imaginary part, (..., stretches, fft_length // 2 + 1).
        sequence_length: As for `stft`.
        sequence_stride: As for `stft`.
        fft_length: As for `stft`.
        length: The length of the signal; all of it by default.
        window: As for `stft`.
        center: As for `stft`.

    Example:
        >>> signal = torch.sin(torch.arange(16.0))
        >>> back = istft(stft(signal, 8, 4, 8), 8, 4, 8)
        >>> bool(torch.allclose(back, signal, atol=1e-5))
        True
    """
    _check_stride(sequence_stride)
    spectrum = _complex(x)
    frames = torch.fft.irfft(spectrum, n=fft_length)
    count = frames.shape[-2]
    total = fft_length + sequence_stride * (count - 1)
    rows = frames.reshape(-1, count, fft_length)
    weights = None if window is None else _centred(_window(window, sequence_length, frames), fft_length)
    whole = center and weights is not None and sequence_length == fft_length
    if weights is not None:
        rows = rows * (weights if whole else weights / _overlap(weights, sequence_stride))
    signal = _overlap_add(rows, total, sequence_stride)
    if whole and weights is not None:
        square = _overlap_add((weights**2).expand(1, count, -1), total, sequence_stride)
        signal = signal / torch.where(square == 0, 1.0, square)
    start = fft_length // 2 if center else 0
    end = start + length if length is not None else total - (fft_length // 2 if center else 0)
    signal = signal[:, start:end]
    if length is not None and signal.shape[-1] < length:
        signal = F.pad(signal, (0, length - signal.shape[-1]))
    return signal.reshape(*frames.shape[:-2], -1)


def _overlap(weights: torch.Tensor, stride: int) -> torch.Tensor:
    """The sum of the squares of all weights that fall on the same sample of an endless signal."""
    length = len(weights)
    rows = -(-length // stride)
    square = F.pad(weights**2, (0, rows * stride - length)).reshape(rows, stride).sum(0)
    return square.repeat(rows)[:length]


def _overlap_add(frames: torch.Tensor, total: int, stride: int) -> torch.Tensor:
    columns = frames.transpose(1, 2)
    return F.fold(columns, (1, total), (1, frames.shape[-1]), stride=(1, stride))[:, 0, 0]


@op
def extract_sequences(x: Any, sequence_length: int, sequence_stride: int) -> torch.Tensor:
    """All stretches of a length along the last axis, (..., stretches, sequence_length).

    Example:
        >>> extract_sequences([1, 2, 3, 4], 2, 1)
        tensor([[1, 2],
                [2, 3],
                [3, 4]], dtype=torch.int32)
    """
    return tensor(x).unfold(-1, sequence_length, sequence_stride)


@op
def view_as_complex(x: Any) -> torch.Tensor:
    """Pairs (real, imaginary) along the last axis as complex numbers.

    Raises:
        ShapeError: A last axis that is not of size 2.

    Example:
        >>> view_as_complex([[1.0, 2.0]])
        tensor([1.+2.j])
    """
    x = tensor(x)
    if x.ndim < 1 or x.shape[-1] != 2:
        raise ShapeError(f"The last axis must be of size 2 (real and imaginary); got shape {tuple(x.shape)}.")
    x = x if x.dtype in (torch.float32, torch.float64) else x.float()
    return torch.complex(x[..., 0], x[..., 1])


@op
def view_as_real(x: Any) -> torch.Tensor:
    """Complex numbers as pairs (real, imaginary) along a new last axis.

    Example:
        >>> view_as_real(torch.tensor([1 + 2j]))
        tensor([[1., 2.]])
    """
    x = tensor(x)
    imaginary = x.imag if x.is_complex() else torch.zeros_like(x)
    return torch.stack((x.real, imaginary), dim=-1)

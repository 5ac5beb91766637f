"""`tf.signal`: spectra of signals along the last axis, or of pictures along the last two."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F

from lamella.engine.dtypes import torch_dtype
from lamella.tensorflow_stand_in.tensors import convert_to_tensor, sizes

__all__ = [
    "fft",
    "fft2d",
    "frame",
    "hamming_window",
    "hann_window",
    "ifft",
    "ifft2d",
    "irfft",
    "irfft2d",
    "rfft",
    "rfft2d",
    "stft",
]


def _real(values: Any) -> torch.Tensor:
    """A tensor of a signal; a column of a data frame counts as an array."""
    found: torch.Tensor = convert_to_tensor(
        values if isinstance(values, torch.Tensor) else getattr(values, "values", values)
    )
    return found if found.is_floating_point() else found.float()


def fft(input: Any, name: str | None = None) -> torch.Tensor:
    """The spectrum of complex numbers."""
    return torch.fft.fft(convert_to_tensor(input))


def ifft(input: Any, name: str | None = None) -> torch.Tensor:
    """The signal of a spectrum, in complex numbers."""
    return torch.fft.ifft(convert_to_tensor(input))


def fft2d(input: Any, name: str | None = None) -> torch.Tensor:
    """The spectrum of pictures (..., height, width) of complex numbers."""
    return torch.fft.fft2(convert_to_tensor(input))


def ifft2d(input: Any, name: str | None = None) -> torch.Tensor:
    """The pictures of spectra, in complex numbers."""
    return torch.fft.ifft2(convert_to_tensor(input))


def rfft(input: Any, fft_length: Any = None, name: str | None = None) -> torch.Tensor:
    """The half of the spectrum of real numbers that says it all: length // 2 + 1 complex numbers.

    Args:
        input: The signal.
        fft_length: Its length, cut or with zeros after it; its own by default.
        name: TensorFlow's argument: it changes nothing here.

    Example:
        >>> rfft([1.0, 0.0, -1.0, 0.0]).real.tolist()
        [0.0, 2.0, 0.0]
    """
    return torch.fft.rfft(_real(input), None if fft_length is None else sizes(fft_length)[0])


def irfft(input: Any, fft_length: Any = None, name: str | None = None) -> torch.Tensor:
    """The signal of `rfft`; give `fft_length` for one of odd length."""
    return torch.fft.irfft(convert_to_tensor(input), None if fft_length is None else sizes(fft_length)[0])


def rfft2d(input: Any, fft_length: Any = None, name: str | None = None) -> torch.Tensor:
    """`rfft` along the last two axes."""
    return torch.fft.rfft2(_real(input), None if fft_length is None else sizes(fft_length))


def irfft2d(input: Any, fft_length: Any = None, name: str | None = None) -> torch.Tensor:
    """The pictures of `rfft2d`."""
    return torch.fft.irfft2(convert_to_tensor(input), None if fft_length is None else sizes(fft_length))


def hann_window(window_length: Any, periodic: bool = True, dtype: Any = torch.float32, name: str | None = None) -> Any:
    """Weights that rise from 0 to 1 and fall again, as a cosine does; periodic only at even lengths, as there."""
    length = int(window_length)
    return torch.hann_window(length, periodic=periodic and length % 2 == 0, dtype=torch_dtype(dtype))


def hamming_window(
    window_length: Any, periodic: bool = True, dtype: Any = torch.float32, name: str | None = None
) -> Any:
    """Weights that rise from 0.08 to 1 and fall again; periodic only at even lengths, as TensorFlow's."""
    length = int(window_length)
    return torch.hamming_window(length, periodic=periodic and length % 2 == 0, dtype=torch_dtype(dtype))


def frame(
    signal: Any,
    frame_length: Any,
    frame_step: Any,
    pad_end: bool = False,
    pad_value: Any = 0,
    axis: int = -1,
    name: str | None = None,
) -> torch.Tensor:
    """Overlapping pieces of a signal: the axis becomes two, (pieces, frame_length).

    Args:
        signal: The signal.
        frame_length: How long each piece is.
        frame_step: How far each begins after the one before.
        pad_end: Whether the last ones reach beyond the end.
        pad_value: What stands there.
        axis: The axis of time.
        name: TensorFlow's argument: it changes nothing here.

    Example:
        >>> frame([1, 2, 3, 4, 5], 3, 2).tolist()
        [[1, 2, 3], [3, 4, 5]]
    """
    found, length, step = convert_to_tensor(signal).movedim(axis, -1), int(frame_length), int(frame_step)
    samples = found.shape[-1]
    if pad_end:
        reached = (math.ceil(samples / step) - 1) * step + length if samples else 0
        found = F.pad(found, (0, max(0, reached - samples)), value=pad_value)
    if found.shape[-1] < length:
        pieces = found.new_empty((*found.shape[:-1], 0, length))
    else:
        pieces = found.unfold(-1, length, step)
    at = axis % found.ndim
    return pieces.movedim((-2, -1), (at, at + 1))


def stft(
    signals: Any,
    frame_length: Any,
    frame_step: Any,
    fft_length: Any = None,
    window_fn: Callable[..., Any] | None = hann_window,
    pad_end: bool = False,
    name: str | None = None,
) -> torch.Tensor:
    """The spectra of overlapping pieces of signals (..., samples): (..., pieces, fft_length // 2 + 1), complex.

    Args:
        signals: The signals.
        frame_length: How many samples a piece has.
        frame_step: How far each begins after the one before.
        fft_length: The length of the spectrum's signal; the power of two that `frame_length` fits into by default.
        window_fn: What makes the weights of a piece's samples, of their number; None for all alike.
        pad_end: Whether the last pieces reach beyond the end, where there are zeros.
        name: TensorFlow's argument: it changes nothing here.

    Example:
        >>> stft(torch.ones(16000), frame_length=255, frame_step=128).shape
        torch.Size([124, 129])
    """
    pieces = frame(_real(signals), frame_length, frame_step, pad_end)
    length = 1 << (int(frame_length) - 1).bit_length() if fft_length is None else int(fft_length)
    if window_fn is not None:
        pieces = pieces * window_fn(int(frame_length), dtype=pieces.dtype).to(pieces.device)
    return torch.fft.rfft(pieces, length)

"""`read_audio`: one sound from a file, as mono samples at the rate that is wanted; and `resample`."""

from __future__ import annotations

import functools
import math
import os
import wave
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from lamella.errors import ArgumentError, DataError

_ZERO_CROSSINGS = 16
"""Of the resampling kernel, to each side: more makes a steeper filter."""


def read_audio(
    path: str | os.PathLike[str], sample_rate: int | None = None, on_mismatch: str = "resample"
) -> np.ndarray:
    """The sound in a file: (samples,), float32 from -1 to 1; several channels are averaged.

    `.wav` files of 8, 16, 24 or 32-bit PCM need no package; soundfile, where it is installed, reads other encodings and
    formats (FLAC, OGG, MP3, ...).

    Args:
        path: The file.
        sample_rate: Samples a second that are wanted; by default as in the file.
        on_mismatch: What to do with a file of another rate: `"resample"` or `"refuse"` it.

    Raises:
        ArgumentError: A `sample_rate` or `on_mismatch` that is none.
        DataError: No such file; not a sound; cut off; without samples; samples that are not finite; another rate that
            is refused. The message names the file.

    Example:
        >>> import tempfile, wave
        >>> path = tempfile.mkdtemp() + "/a.wav"
        >>> with wave.open(path, "wb") as file:
        ...     file.setparams((1, 2, 8000, 0, "NONE", ""))
        ...     file.writeframes(np.array([0, 16384, -32768], "<i2").tobytes())
        >>> read_audio(path).tolist()
        [0.0, 0.5, -1.0]
    """
    return read_with_rate(path, sample_rate, on_mismatch)[0]


def read_with_rate(
    path: str | os.PathLike[str], sample_rate: int | None = None, on_mismatch: str = "resample"
) -> tuple[np.ndarray, int]:
    """What `read_audio` gives, and how many samples a second the file has."""
    if sample_rate is not None:
        check_rate("sample_rate", sample_rate)
    if on_mismatch not in ("resample", "refuse"):
        raise ArgumentError(f"`on_mismatch` must be 'resample' or 'refuse'; got {on_mismatch!r}.")
    path = Path(path)
    if not path.is_file():
        raise DataError(f"{path}: there is no such file.")
    samples, rate = _read_wave(path) if path.suffix.lower() in (".wav", ".wave") else _read_other(path)
    if not len(samples):
        raise DataError(f"{path}: it has no samples.")
    sound = samples.mean(axis=1, dtype="float32")
    if not np.isfinite(sound).all():
        raise DataError(f"{path}: {int((~np.isfinite(sound)).sum())} of its samples are not finite numbers.")
    if sample_rate is None or rate == sample_rate:
        return sound, rate
    if on_mismatch == "refuse":
        raise DataError(
            f"{path}: it has {rate} samples a second, but {sample_rate} are wanted. Convert it, or pass "
            f"on_mismatch='resample'."
        )
    return resample(sound, rate, sample_rate), rate


def resample(sound: np.ndarray, rate: int, new_rate: int) -> np.ndarray:
    """Mono sound (samples,) at another rate: a low-pass filter and interpolation in one, by a windowed sinc.

    The result has ceil(samples * new_rate / rate) samples. The ratio of the rates is rounded to a fraction with a
    denominator of 1000 at most: a drift of some millionths, between rates that have no common one.

    Raises:
        ArgumentError: Rates that are not whole numbers above 0.

    Source: Smith and Gossett, A flexible sampling-rate conversion method, 1984.

    Example:
        >>> resample(np.sin(np.arange(800) / 10).astype("float32"), 8000, 16000).shape
        (1600,)
    """
    check_rate("rate", rate)
    check_rate("new_rate", new_rate)
    if rate == new_rate or not len(sound):
        return np.asarray(sound, "float32")
    ratio = Fraction(new_rate, rate).limit_denominator(1000)
    up, down = max(ratio.numerator, 1), ratio.denominator
    kernels, reach = _sinc_kernels(up, down)
    length = -(-len(sound) * new_rate // rate)
    x = torch.from_numpy(np.ascontiguousarray(sound, "float32"))
    x = F.pad(x, (reach, reach + 2 * down))[None, None]
    with torch.no_grad():
        phases = F.conv1d(x, kernels, stride=down)  # (1, up, frames): the outputs of a frame one after the other
    return phases[0].t().reshape(-1)[:length].numpy()


@functools.lru_cache(maxsize=64)
def _sinc_kernels(up: int, down: int) -> tuple[torch.Tensor, int]:
    """For each of `up` outputs of a frame of `down` inputs its kernel, (up, 1, width); and how far it reaches back."""
    cutoff = 0.97 * min(1.0, up / down)  # as a share of the input's half rate
    reach = math.ceil(_ZERO_CROSSINGS / cutoff)
    inputs = torch.arange(-reach, reach + down, dtype=torch.float64)
    distance = (inputs - torch.arange(up, dtype=torch.float64)[:, None] * down / up) * cutoff
    window = torch.cos(distance.clamp(-_ZERO_CROSSINGS, _ZERO_CROSSINGS) * math.pi / _ZERO_CROSSINGS / 2).square()
    return (torch.sinc(distance) * window * cutoff).float()[:, None], reach


def _read_wave(path: Path) -> tuple[np.ndarray, int]:
    """Samples (time, channels) and the rate of a wav file."""
    try:
        with wave.open(str(path), "rb") as file:
            channels, width, rate, promised = file.getparams()[:4]
            raw = file.readframes(promised)
    except EOFError:
        raise DataError(f"{path}: the file is empty, or cut off within its header.") from None
    except wave.Error as error:
        if "unknown format" in str(error):
            return _read_other(path)
        raise DataError(f"{path}: it cannot be read as a wav file ({error}).") from None
    if len(raw) < promised * width * channels:
        raise DataError(
            f"{path}: the file is cut off: it should have {promised} samples, but has {len(raw) // (width * channels)}."
        )
    return _as_floats(raw, width).reshape(-1, channels), rate


def _as_floats(raw: bytes, width: int) -> np.ndarray:
    if width == 1:  # alone of all widths, bytes have no sign
        return (np.frombuffer(raw, "u1").astype("float32") - 128) / 128
    if width == 3:
        places = np.zeros((len(raw) // 3, 4), "u1")
        places[:, 1:] = np.frombuffer(raw, "u1").reshape(-1, 3)
        return places.view("<i4")[:, 0].astype("float32") / 2**31
    return np.frombuffer(raw, f"<i{width}").astype("float32") / 2 ** (8 * width - 1)


def _read_other(path: Path) -> tuple[np.ndarray, int]:
    try:
        import soundfile
    except ImportError:
        raise DataError(
            f"{path}: only wav files of PCM can be read without soundfile: pip install 'lamella[audio]'."
        ) from None
    try:
        return soundfile.read(str(path), dtype="float32", always_2d=True)
    except soundfile.SoundFileError as error:
        raise DataError(f"{path}: it cannot be read as sound ({error}).") from None


def check_rate(name: str, rate: Any) -> None:
    """Refuses a rate that is not a whole number above 0."""
    if isinstance(rate, bool) or not isinstance(rate, (int, np.integer)) or rate < 1:
        raise ArgumentError(f"`{name}` must be a whole number of samples a second, 1 or more; got {rate!r}.")

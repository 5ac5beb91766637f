"""`audio_dataset_from_directory`: sounds in folders, a folder for each class."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
import torch

from lamella.errors import ArgumentError
from lamella.utils.directory import dataset_from_directory
from lamella.utils.stream import joined


def audio_dataset_from_directory(
    directory: str | os.PathLike[str],
    labels: Any = "inferred",
    label_mode: str | None = "int",
    class_names: Sequence[str] | None = None,
    batch_size: int | None = 32,
    sampling_rate: int | None = None,
    output_sequence_length: int | None = None,
    ragged: bool = False,
    shuffle: bool = True,
    seed: int | None = None,
    validation_split: float | None = None,
    subset: str | None = None,
    follow_links: bool = False,
    verbose: bool = True,
) -> Any:
    """Batches of the sounds in `.wav` files with their classes, from a folder with a folder for each class.

    Read by the package soundfile where it is installed, else by SciPy.

    Args:
        directory: The folder.
        labels: `"inferred"` (from the folders), None, or a class number for each file, in the order of their paths.
        label_mode: `"int"` (batch,) int32, `"categorical"` (batch, classes) or `"binary"` (batch, 1) float32; None.
        class_names: The classes to use, in an order of one's own.
        batch_size: Sounds in a batch; None for one by one.
        sampling_rate: Samples a second to resample to; None to leave it as it is.
        output_sequence_length: Samples to cut or pad (with zeros) to; None to pad to the longest of each batch.
        ragged: Whether a batch is a list of tensors, each of its own length.
        shuffle: Whether each epoch has a new order; else they are sorted by name.
        seed: A seed for these orders.
        validation_split: The share of sounds to hold back.
        subset: `"training"`, `"validation"` or `"both"` parts of that split.
        follow_links: Whether to go into linked folders.
        verbose: Whether to print what was found.

    Returns:
        A stream of `(sounds, labels)`: sounds float32 from -1 to 1, (batch, samples, channels). It has `class_names`
        and `file_paths`. With `subset="both"` two of them.

    Raises:
        ArgumentError: Arguments that do not go together.
        DataError: No such folder, no sounds in it, or (while iterating) a file that is damaged: the error names it.

    Example:
        >>> import numpy as np, os, tempfile
        >>> from scipy.io import wavfile
        >>> folder = tempfile.mkdtemp()
        >>> for name in ("high", "low"):
        ...     os.mkdir(os.path.join(folder, name))
        ...     wavfile.write(os.path.join(folder, name, "1.wav"), 8000, np.zeros(100, "int16"))
        >>> sounds, labels = next(iter(audio_dataset_from_directory(folder, verbose=False)))
        >>> sounds.shape
        torch.Size([2, 100, 1])
    """
    if ragged and output_sequence_length is not None:
        raise ArgumentError("Give `ragged` or `output_sequence_length`, not both.")
    if sampling_rate is not None and (not isinstance(sampling_rate, int) or sampling_rate <= 0):
        raise ArgumentError(f"`sampling_rate` must be a whole number, 1 or more; got {sampling_rate!r}.")
    return dataset_from_directory(
        "audio",
        (".wav",),
        partial(_load, rate=sampling_rate, length=output_sequence_length),
        directory,
        labels,
        label_mode,
        class_names,
        batch_size,
        shuffle,
        seed,
        validation_split,
        subset,
        follow_links,
        verbose,
        list if ragged else _padded,
    )


def _load(path: str, rate: int | None, length: int | None) -> torch.Tensor:
    samples, own_rate = _read(path)
    if rate is not None and rate != own_rate:
        from scipy.signal import resample_poly

        common = math.gcd(rate, own_rate)
        samples = resample_poly(samples, rate // common, own_rate // common, axis=0)
    sound = torch.from_numpy(np.ascontiguousarray(samples, dtype="float32"))
    return sound if length is None else _to_length(sound, length)


def _read(path: str) -> tuple[np.ndarray, int]:
    """The samples (time, channels) from -1 to 1, and how many a second."""
    try:
        import soundfile
    except ImportError:
        from scipy.io import wavfile

        rate, samples = wavfile.read(path)
        if samples.dtype.kind != "f":
            low = np.iinfo(samples.dtype).max // 2 + 1 if samples.dtype.kind == "u" else 0
            half = np.iinfo(samples.dtype).max // (2 if low else 1) + 1
            samples = (samples.astype("float64") - low) / half
        return samples.reshape(len(samples), -1).astype("float32"), int(rate)
    samples, rate = soundfile.read(path, dtype="float32", always_2d=True)
    return samples, int(rate)


def _to_length(sound: torch.Tensor, length: int) -> torch.Tensor:
    return torch.nn.functional.pad(sound[:length], (0, 0, 0, max(0, length - len(sound))))


def _padded(sounds: list[torch.Tensor]) -> torch.Tensor:
    longest = max(len(sound) for sound in sounds)
    return joined([_to_length(sound, longest) for sound in sounds])

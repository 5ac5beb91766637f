"""`AudioDataset`: sounds and what is said in them, batch by batch, with sounds of like lengths together."""

from __future__ import annotations

import csv
import os
import warnings
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from lamella.data.py_dataset import PyDataset
from lamella.errors import ArgumentError, DataError
from lamella.sequences.audio import check_rate, read_with_rate
from lamella.sequences.ctc_decoding import steps_needed

Problem = tuple[str, str]

_BUDGET = 1 << 30
"""Bytes of sound that are kept in memory; what is beyond is read anew in each epoch."""
_SOUNDS = (".wav", ".wave", ".flac", ".ogg", ".opus", ".mp3")


class AudioDataset(PyDataset):
    """Sounds with their texts, for a `SpeechRecognizer`'s `fit` and `evaluate`.

    Batch i is `(inputs, labels)`: inputs a dict of `"audio"` (batch, samples), float32, padded with zeros to the
    batch's longest, and `"lengths"` (batch,), int64, in samples; labels (batch, most), int64, the characters' numbers
    from 1 in the order of the alphabet, then zeros.

    Every file is read once when the data set is made. What cannot be used (broken, cut off, silent throughout though it
    has a text, a text with characters that are not in the alphabet) is left out, reported by a warning, and listed in
    `skipped`; `report()` tells all.

    Make it with `from_manifest` or `from_directory`, which take all the arguments below, or from lists.

    Args:
        sounds: Paths, or arrays (samples,) of floats from -1 to 1 at `sample_rate`.
        texts: What is said in each.
        alphabet: The characters that texts may have, in order; by default those that they have, sorted.
        sample_rate: Samples a second.
        batch_size: Sounds in a batch.
        augment: An `AudioAugmentation`, or another function `(sound, random) -> sound`, where `random` is a NumPy
            generator.
        shuffle: Whether each epoch has a new order; by default only with `augment`.
        strict: Whether the first thing that is wrong raises a DataError instead.
        on_mismatch: What to do with files of another rate: `"resample"` and count them, or `"refuse"` them: they are
            left out like what is broken.
        workers: How many processes make batches; 0 and 1 make them in the training process.

    Attributes:
        alphabet: The characters, a string.
        texts: The texts of the sounds that are left.
        names: Their files, or "sound 0", ...
        skipped: (file, reason) of each that is left out.

    Raises:
        ArgumentError: Arguments out of range.
        DataError: Not as many sounds as texts; no sound is left; with `strict`, anything wrong.

    Example:
        >>> sounds = [np.sin(np.arange(n) / 3).astype("float32") for n in (900, 400, 800)]
        >>> data = AudioDataset(sounds, ["ba", "a", "ab"], batch_size=2)
        >>> inputs, labels = data[0]
        >>> inputs["audio"].shape, inputs["lengths"].tolist(), labels.tolist()
        ((2, 800), [400, 800], [[1, 0], [1, 2]])
    """

    def __init__(
        self,
        sounds: Sequence[Any],
        texts: Sequence[str],
        alphabet: str | Sequence[str] | None = None,
        sample_rate: int = 8000,
        batch_size: int = 16,
        augment: Callable[[np.ndarray, np.random.Generator], np.ndarray] | None = None,
        shuffle: bool | None = None,
        strict: bool = False,
        on_mismatch: str = "resample",
        workers: int = 1,
    ) -> None:
        super().__init__(workers=workers)
        check_rate("sample_rate", sample_rate)
        if isinstance(batch_size, bool) or not isinstance(batch_size, int) or batch_size < 1:
            raise ArgumentError(f"AudioDataset: `batch_size` must be a whole number, 1 or more; got {batch_size!r}.")
        if len(sounds) != len(texts):
            raise DataError(f"AudioDataset: each sound needs a text; got {len(sounds)} sounds and {len(texts)} texts.")
        self.alphabet = check_alphabet(sorted({c for text in texts for c in text}) if alphabet is None else alphabet)
        self.sample_rate = sample_rate
        self.batch_size = batch_size
        self.augment = augment
        self.shuffle = augment is not None if shuffle is None else shuffle
        self.strict = strict
        self.on_mismatch = on_mismatch
        self.skipped: list[Problem] = []
        self.names: list[str] = []
        self.texts: list[str] = []
        self._sounds: list[Any] = []  # arrays, or paths of what has no room in memory
        self._labels: list[np.ndarray] = []
        self._resampled: dict[str, int] = {}
        lengths: list[int] = []
        numbers = {character: i + 1 for i, character in enumerate(self.alphabet)}
        room = _BUDGET
        for i, (given, text) in enumerate(zip(sounds, texts, strict=True)):
            name = str(given) if isinstance(given, (str, os.PathLike)) else f"sound {i}"
            try:
                sound = self._read(given, name)
                _check(sound, text, numbers, name)
            except DataError as error:
                self._skip(name, error)
                continue
            room -= sound.nbytes
            self._sounds.append(sound if room >= 0 or not isinstance(given, (str, os.PathLike)) else given)
            self._labels.append(np.array([numbers[character] for character in text], "int64"))
            self.names.append(name)
            self.texts.append(text)
            lengths.append(len(sound))
        self._lengths = np.array(lengths, "int64")
        self._after_leaving_out()
        self._new_epoch()

    @classmethod
    def from_manifest(
        cls,
        file: str | os.PathLike[str],
        path_column: str = "path",
        text_column: str = "text",
        strict: bool = False,
        **kwargs: Any,
    ) -> AudioDataset:
        """Sounds and texts by a table with a line for each sound, and the columns' names in its first line.

        Args:
            file: A CSV file, or (by its ending) a TSV file.
            path_column: The column of the files, relative to the table's folder.
            text_column: The column of the texts.
            strict: As for the class.
            **kwargs: As for the class.

        Raises:
            DataError: No such file, column, or lines.
        """
        file = Path(file)
        if not file.is_file():
            raise DataError(f"{file}: there is no such file.")
        delimiter = "\t" if file.suffix.lower() == ".tsv" else ","
        with open(file, encoding="utf-8-sig", newline="") as lines:
            reader = csv.DictReader(lines, delimiter=delimiter)
            columns = list(reader.fieldnames or [])
            missing = [name for name in (path_column, text_column) if name not in columns]
            if missing:
                raise DataError(
                    f"{file}: there is no column {missing[0]!r}; its first line has {columns}. Say which are meant: "
                    f"path_column=..., text_column=..."
                )
            rows = [(row[path_column] or "", row[text_column] or "") for row in reader]
        return cls([file.parent / path for path, _ in rows], [text for _, text in rows], strict=strict, **kwargs)

    @classmethod
    def from_directory(cls, folder: str | os.PathLike[str], strict: bool = False, **kwargs: Any) -> AudioDataset:
        """Sounds anywhere in a folder, each with a text file of the same name beside it (a.wav, a.txt).

        Args:
            folder: The folder.
            strict: As for the class; a sound without a text is left out, too.
            **kwargs: As for the class.

        Raises:
            DataError: No such folder, or no sound in it that has a text.
        """
        folder = Path(folder)
        if not folder.is_dir():
            raise DataError(f"{folder}: there is no such folder.")
        files = sorted(file for file in folder.rglob("*") if file.suffix.lower() in _SOUNDS)
        with_text = [file for file in files if file.with_suffix(".txt").is_file()]
        without = sorted(set(files) - set(with_text))
        if without and strict:
            raise DataError(f"{without[0]}: there is no text for it ({without[0].with_suffix('.txt').name}).")
        texts = [" ".join(file.with_suffix(".txt").read_text(encoding="utf-8-sig").split()) for file in with_text]
        if not with_text:
            raise DataError(f"{folder}: {len(files)} sounds, none of which has a text file of the same name beside it.")
        data = cls(with_text, texts, strict=strict, **kwargs)
        data.skipped += [(str(file), f"{file}: there is no text for it.") for file in without]
        return data

    # -- samples --------------------------------------------------------------------------------------------

    @property
    def num_sounds(self) -> int:
        """How many sounds there are."""
        return len(self._sounds)

    def sound(self, index: int) -> np.ndarray:
        """Sound number `index` as it was given: (samples,), float32."""
        return self._read(self._sounds[index], self.names[index])

    def _read(self, given: Any, name: str) -> np.ndarray:
        if isinstance(given, (str, os.PathLike)):
            sound, rate = read_with_rate(given, self.sample_rate, self.on_mismatch)
            if rate != self.sample_rate:
                self._resampled[name] = rate
            return sound
        sound = np.asarray(given)
        if sound.ndim != 1 or sound.dtype.kind != "f":
            raise DataError(
                f"{name}: a sound is an array (samples,) of floats from -1 to 1; got {sound.dtype} of shape "
                f"{sound.shape}."
            )
        return sound.astype("float32", copy=False)

    def __len__(self) -> int:
        return -(-self.num_sounds // self.batch_size)

    def __getitem__(self, index: int) -> tuple[dict[str, np.ndarray], np.ndarray]:
        if not 0 <= index < len(self):
            raise IndexError(f"AudioDataset has {len(self)} batches; there is no batch {index}.")
        chosen = self._batches[index]
        audio, lengths = padded([self._augmented(i) for i in chosen])
        labels = np.zeros((len(chosen), max(1, *(len(self._labels[i]) for i in chosen))), "int64")
        for row, i in zip(labels, chosen, strict=True):
            row[: len(self._labels[i])] = self._labels[i]
        return {"audio": audio, "lengths": lengths}, labels

    def _augmented(self, index: int) -> np.ndarray:
        sound = self.sound(index)
        return sound if self.augment is None else self.augment(sound, np.random.default_rng([self._seed, index]))

    # -- epochs ---------------------------------------------------------------------------------------------

    def on_epoch_begin(self) -> None:
        self._new_epoch()

    def _new_epoch(self) -> None:
        keys: Any = self._lengths
        if self.shuffle:  # like lengths stay together, but with other neighbours each time
            keys = keys * torch.empty(len(keys)).uniform_(0.8, 1.25).numpy()
        order = np.argsort(keys, kind="stable")
        batches = [order[i : i + self.batch_size].tolist() for i in range(0, len(order), self.batch_size)]
        self._batches = [batches[i] for i in torch.randperm(len(batches)).tolist()] if self.shuffle else batches
        self._seed = int(torch.randint(1 << 62, ())) if self.augment is not None else 0

    # -- what is wrong --------------------------------------------------------------------------------------

    def leave_out_short(self, steps: Callable[[Any], Any]) -> None:
        """Leaves out sounds of which a network makes fewer time steps than CTC needs for their texts.

        Args:
            steps: The network's number of time steps for numbers of samples.

        Raises:
            DataError: There are some, and `strict`; or no sound is left.
        """
        given = steps(self._lengths)
        needed = np.array([int(steps_needed(torch.from_numpy(labels)[None])) for labels in self._labels])
        short = needed > given
        if not short.any():
            return
        before = len(self.skipped)
        for i in np.flatnonzero(short).tolist():
            self._skip(
                self.names[i],
                DataError(
                    f"{self.names[i]}: too short for its text {self.texts[i]!r}: the network makes {given[i]} time "
                    f"steps of it, and the text needs {needed[i]}."
                ),
            )
        keep = np.flatnonzero(~short).tolist()
        for name in ("names", "texts", "_sounds", "_labels"):
            setattr(self, name, [getattr(self, name)[i] for i in keep])
        self._lengths = self._lengths[keep]
        self._after_leaving_out(before)
        self._new_epoch()

    def _skip(self, name: str, error: DataError) -> None:
        if self.strict:
            raise error
        self.skipped.append((name, str(error)))

    def _after_leaving_out(self, before: int = 0) -> None:
        new = self.skipped[before:]
        if not self._sounds:
            first = f" {len(self.skipped)} were left out, the first: {self.skipped[0][1]}" if self.skipped else ""
            raise DataError(f"AudioDataset: there are no sounds.{first}")
        if new:
            warnings.warn(
                f"AudioDataset leaves out {len(new)} sounds, the first: {new[0][1]} See `skipped` and report().",
                stacklevel=3,
            )

    def report(self) -> str:
        """What there is and what was left out, in words."""
        seconds = self._lengths.sum() / self.sample_rate
        lines = [
            f"AudioDataset: {self.num_sounds} sounds, {seconds:.1f} seconds, in {len(self)} batches; alphabet "
            f"{self.alphabet!r}."
        ]
        for rate, count in Counter(self._resampled.values()).items():
            lines.append(f"{count} files of {rate} samples a second are resampled to {self.sample_rate}.")
        return "\n".join(lines + [f"Left out {reason}" for _, reason in self.skipped])


def padded(sounds: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Sounds of several lengths as one array (batch, longest), zeros after their ends, and the lengths."""
    lengths = np.array([len(sound) for sound in sounds], "int64")
    audio = np.zeros((len(sounds), int(lengths.max())), "float32")
    for row, sound in zip(audio, sounds, strict=True):
        row[: len(sound)] = sound
    return audio, lengths


def check_alphabet(alphabet: str | Sequence[str]) -> str:
    """The characters as a string.

    Raises:
        ArgumentError: None, some twice, or something that is not one character.
    """
    characters = list(alphabet)
    single = all(isinstance(each, str) and len(each) == 1 for each in characters)
    if not characters or not single or len(set(characters)) != len(characters):
        raise ArgumentError(f"`alphabet` must be different characters, as 'abc '; got {alphabet!r}.")
    return "".join(characters)


def _check(sound: np.ndarray, text: str, numbers: dict[str, int], name: str) -> None:
    if not len(sound):
        raise DataError(f"{name}: it has no samples.")
    if not np.isfinite(sound).all():
        raise DataError(f"{name}: it has samples that are not finite numbers.")
    if text and np.ptp(sound) == 0:
        raise DataError(f"{name}: it is silent throughout, but should say {text!r}.")
    unknown = sorted(set(text) - set(numbers))
    if unknown:
        raise DataError(f"{name}: its text {text!r} has characters that are not in the alphabet: {''.join(unknown)!r}.")

"""`AudioAugmentation`: the same words as another voice, in another room, might say them."""

from __future__ import annotations

import numpy as np

from lamella.errors import ArgumentError
from lamella.sequences.audio import resample


class AudioAugmentation:
    """Random changes of a sound that leave what is said in it: for an `AudioDataset`.

    Args:
        speed: From how slow to how fast it is played, by a factor; the pitch rises with the speed.
        gain: The most that it becomes louder or softer, in decibels.
        noise: White noise is added at a ratio of signal to noise from this many decibels (low to high); None for none.
        shift: Up to so many seconds of silence are put before and after it.

    Raises:
        ArgumentError: Ranges that are none.

    Source: the speed, Ko et al., Audio augmentation for speech recognition, 2015.

    Example:
        >>> sound = np.sin(np.arange(800) / 3).astype("float32")
        >>> augment = AudioAugmentation(speed=(2.0, 2.0), shift=0.0)
        >>> augment(sound, np.random.default_rng(0)).shape
        (400,)
    """

    def __init__(
        self,
        speed: tuple[float, float] = (0.85, 1.15),
        gain: float = 6.0,
        noise: tuple[float, float] | None = (10.0, 40.0),
        shift: float = 0.05,
        sample_rate: int = 8000,
    ) -> None:
        if not 0 < speed[0] <= speed[1]:
            raise ArgumentError(f"AudioAugmentation: `speed` must be (slowest, fastest), above 0; got {speed!r}.")
        if gain < 0 or shift < 0:
            raise ArgumentError(f"AudioAugmentation: `gain` and `shift` must not be negative; got {gain}, {shift}.")
        self.speed = speed
        self.gain = gain
        self.noise = noise
        self.shift = shift
        self.sample_rate = sample_rate

    def __call__(self, sound: np.ndarray, random: np.random.Generator) -> np.ndarray:
        """The sound (samples,), changed."""
        sound = resample(sound, round(100 * random.uniform(*self.speed)), 100)
        silence = random.integers(0, int(self.shift * self.sample_rate) + 1, 2)
        sound = np.pad(sound, tuple(silence))
        if self.noise is not None:
            ratio = 10 ** (random.uniform(*self.noise) / 20)
            loudness = float(np.sqrt(np.mean(np.square(sound))))
            sound = sound + random.standard_normal(len(sound), dtype="float32") * np.float32(loudness / ratio)
        return sound * np.float32(10 ** (random.uniform(-self.gain, self.gain) / 20))

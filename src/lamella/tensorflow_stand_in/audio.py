"""`tf.audio`: the bytes of sound files and tensors."""

from __future__ import annotations

import io
import wave
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F

from lamella.errors import DataError

__all__ = ["decode_wav"]


class DecodeWav(NamedTuple):
    """A sound and its rate."""

    audio: torch.Tensor
    sample_rate: torch.Tensor


def decode_wav(
    contents: bytes, desired_channels: int = -1, desired_samples: int = -1, name: str | None = None
) -> DecodeWav:
    """The sound of the bytes of a 16-bit WAV file: (samples, channels) from -1 to 1, and samples a second.

    Args:
        contents: The bytes of the file.
        desired_channels: How many channels; those of the file by default, the last one repeated where it has fewer.
        desired_samples: How many samples; all by default, with zeros after them where there are fewer.
        name: TensorFlow's argument: it changes nothing here.

    Raises:
        DataError: No WAV file, or one of another width than 16 bits.
    """
    try:
        with wave.open(io.BytesIO(contents)) as file:
            channels, width, rate = file.getnchannels(), file.getsampwidth(), file.getframerate()
            data = file.readframes(file.getnframes())
    except (wave.Error, EOFError) as error:
        raise DataError(f"decode_wav: this is no WAV file ({error}).") from None
    if width != 2:
        raise DataError(f"decode_wav reads samples of 16 bits; these have {8 * width}. Convert the file.")
    audio = torch.from_numpy(np.frombuffer(data, "<i2").astype("float32") / 32768).reshape(-1, channels)
    if desired_channels > 0:
        audio = audio[:, [min(channel, channels - 1) for channel in range(desired_channels)]]
    if desired_samples > 0:
        audio = F.pad(audio[:desired_samples], (0, 0, 0, max(0, desired_samples - len(audio))))
    return DecodeWav(audio, torch.tensor(rate, dtype=torch.int32))

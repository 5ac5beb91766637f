"""`SpeechRecognizer`: from sound to text, trained without an alignment of the two."""

from __future__ import annotations

import math
import os
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from lamella.engine.device import device_of
from lamella.engine.image_data_format import channels_last_inside
from lamella.engine.registry import serialize
from lamella.errors import ArgumentError, DataError
from lamella.layers import LSTM, Bidirectional, Conv2D, Dense, Dropout, LayerNormalization
from lamella.metrics import Metric
from lamella.models import Model
from lamella.saving import register_keras_serializable
from lamella.sequences.audio import check_rate, read_audio
from lamella.sequences.audio_data import AudioDataset, check_alphabet, padded
from lamella.sequences.ctc_decoding import ctc_beam_search, ctc_greedy, steps_needed
from lamella.sequences.log_mel import LogMelSpectrogram, SpecAugment, real_steps

Outputs = dict[str, torch.Tensor]


@register_keras_serializable(package="lamella")
class SpeechRecognizer(Model):
    """Hears speech and writes it down, character by character.

    A log-mel spectrogram (`LogMelSpectrogram`), masked while training (`SpecAugment`); two convolutions over time and
    pitch, of which the first halves the number of time steps; bidirectional LSTMs; and for each time step a
    probability of every character and of none (CTC's blank). All parts respect the lengths: a sound gives the same in
    a padded batch as alone.

    `fit` and `evaluate` take an `AudioDataset`, or any stream of `({"audio", "lengths"}, labels)`: sounds (batch,
    samples) from -1 to 1, their lengths in samples (batch,), and labels (batch, most), int64, from 1 in the order of
    the alphabet, then zeros as padding. The loss is CTC's, divided by the number of characters. `compile` it with
    `CharacterErrorRate` and `WordErrorRate` as metrics for `evaluate`.

    Args:
        alphabet: The characters, each once; as `AudioDataset.alphabet`.
        sample_rate: Samples a second of the sounds; `transcribe` brings files of other rates to it.
        num_mels: Bands of the spectrogram.
        filters: Of each convolution.
        hidden: Units of each LSTM, in each direction.
        layers: How many bidirectional LSTMs.
        dropout: The share that is dropped before each of them and before the last layer.
        frame_ms: How long a frame of the spectrogram is, in milliseconds.
        step_ms: From one frame to the next, in milliseconds; a time step of the network is two of them.
        frequency_masks: SpecAugment's masks of pitch; 0 for none.
        time_masks: SpecAugment's masks of time; 0 for none.
        warp: The most that frequencies are scaled by while training, as a share; 0 for not at all.
        **kwargs: As for every model.

    Raises:
        ArgumentError: Arguments out of range.

    Source: Graves et al., Connectionist temporal classification, 2006; the layers as in Amodei et al., Deep Speech 2,
    2016; the masks, Park et al., 2019.

    Example:
        >>> model = SpeechRecognizer("abc", hidden=8, layers=1)
        >>> outputs = model({"audio": torch.randn(2, 4000), "lengths": torch.tensor([4000, 2400])})
        >>> outputs["logits"].shape, outputs["lengths"].tolist()
        (torch.Size([2, 26, 4]), [26, 16])
    """

    @channels_last_inside
    def __init__(
        self,
        alphabet: str | Sequence[str],
        sample_rate: int = 8000,
        num_mels: int = 40,
        filters: int = 32,
        hidden: int = 128,
        layers: int = 2,
        dropout: float = 0.2,
        frame_ms: float = 25.0,
        step_ms: float = 10.0,
        frequency_masks: int = 2,
        time_masks: int = 2,
        warp: float = 0.1,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.alphabet = check_alphabet(alphabet)
        check_rate("sample_rate", sample_rate)
        for name, value in (("filters", filters), ("hidden", hidden), ("layers", layers)):
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise ArgumentError(f"SpeechRecognizer: `{name}` must be a whole number, 1 or more; got {value!r}.")
        self.sample_rate = sample_rate
        self.num_mels = num_mels
        self.filters = filters
        self.hidden = hidden
        self.dropout = dropout
        self.spectrogram = LogMelSpectrogram(sample_rate, num_mels, frame_ms, step_ms, name="spectrogram")
        self.augment = SpecAugment(warp, frequency_masks, time_masks=time_masks, name="augment")
        self.first = Conv2D(filters, 3, strides=2, activation="relu", kernel_initializer="he_normal", name="first")
        self.second = Conv2D(
            filters, 3, strides=(1, 2), activation="relu", kernel_initializer="he_normal", name="second"
        )
        self.project = Dense(2 * hidden, name="project")
        self.norms = [LayerNormalization(name=f"norm_{i}") for i in range(layers)]
        self.drops = [Dropout(dropout, name=f"drop_{i}") for i in range(layers + 1)]
        self.recurrent = [
            Bidirectional(LSTM(hidden, return_sequences=True), name=f"recurrent_{i}") for i in range(layers)
        ]
        self.classes = Dense(len(self.alphabet) + 1, name="classes")
        self._numbers = {character: i + 1 for i, character in enumerate(self.alphabet)}
        self._scores: list[Metric] = []
        self._warned = False
        with torch.no_grad():
            self(torch.zeros(1, self.spectrogram.frame_length, device=device_of(self)))  # makes the weights

    # -- the network ----------------------------------------------------------------------------------------

    def steps(self, samples: Any) -> Any:
        """How many time steps the network makes of so many samples."""
        return (self.spectrogram.frames(samples) + 1) // 2

    def call(self, inputs: Any, training: bool | None = None) -> Outputs:  # type: ignore[override]
        """`"logits"` (batch, time, characters + 1), class 0 the blank, and `"lengths"`, the time steps that count.

        Args:
            inputs: A dict of `"audio"` (batch, samples) and `"lengths"` (batch,), or sounds of one length as a tensor.
            training: Whether parts are masked and dropped.
        """
        if not isinstance(inputs, Mapping):
            inputs = {"audio": inputs, "lengths": inputs.new_full((len(inputs),), inputs.shape[1], dtype=torch.int64)}
        x, lengths = self.spectrogram(inputs["audio"], inputs["lengths"])
        x = self.augment(x, lengths)
        # An edge of one zero for each window, whatever the parity of the padded length: "same" would shift with it
        x = self.first(F.pad(x[..., None], (0, 0, 1, 1, 1, 1)))
        lengths = (lengths + 1) // 2
        mask = real_steps(lengths, x.shape[1])
        x = self.second(F.pad(x * mask[:, :, None, None], (0, 0, 1, 1, 1, 1)))
        x = self.project(x.flatten(2))
        for norm, drop, recurrent in zip(self.norms, self.drops[:-1], self.recurrent, strict=True):
            x = recurrent(drop(norm(x)), mask=mask)
        return {"logits": self.classes(self.drops[-1](x)), "lengths": lengths}

    # -- training -------------------------------------------------------------------------------------------

    def compile(  # type: ignore[override]
        self, optimizer: Any = "adamw", loss: Any = None, metrics: Any = None, **kwargs: Any
    ) -> None:
        """Says how to train. The loss is the model's own; metrics compare texts, as `CharacterErrorRate`.

        Raises:
            ArgumentError: A loss, or a metric that is no object.
        """
        if loss is not None:
            raise ArgumentError("SpeechRecognizer has its own loss (CTC): compile it without one.")
        metrics = [metrics] if isinstance(metrics, Metric) else list(metrics or [])
        if not all(isinstance(metric, Metric) for metric in metrics):
            raise ArgumentError(f"SpeechRecognizer: metrics are objects, as CharacterErrorRate(); got {metrics}.")
        super().compile(optimizer, **kwargs)
        self._scores = metrics

    def get_compile_config(self) -> dict[str, Any] | None:
        """What `compile` was given, as plain data; None if it was not called."""
        config = super().get_compile_config()
        return None if config is None else {**config, "metrics": serialize(self._scores)}

    def fit(self, x: Any = None, *args: Any, **kwargs: Any) -> Any:  # type: ignore[override]
        """As for every model; sounds of an `AudioDataset` that are too short for their texts are left out, by name."""
        for data in (x, kwargs.get("validation_data")):
            self._prepare_data(data)
        return super().fit(x, *args, **kwargs)

    def evaluate(self, x: Any = None, *args: Any, **kwargs: Any) -> Any:  # type: ignore[override]
        """As for every model; sounds of an `AudioDataset` that are too short for their texts are left out, by name."""
        self._prepare_data(x)
        return super().evaluate(x, *args, **kwargs)

    def _prepare_data(self, data: Any) -> None:
        if not isinstance(data, AudioDataset):
            return
        if data.alphabet != self.alphabet or data.sample_rate != self.sample_rate:
            raise ArgumentError(
                f"The data have the alphabet {data.alphabet!r} at {data.sample_rate} samples a second, the "
                f"model {self.alphabet!r} at {self.sample_rate}: make the AudioDataset with "
                f"alphabet=model.alphabet and sample_rate=model.sample_rate."
            )
        data.leave_out_short(self.steps)

    def compute_loss(
        self, x: Any = None, y: Any = None, y_pred: Any = None, sample_weight: Any = None, training: bool = True
    ) -> torch.Tensor | None:
        """The mean over sounds of -log p(text | sound) / characters.

        A sound with fewer time steps than its text needs adds nothing (on the CPU, where looking costs nothing, a
        warning says so once).
        """
        self._check_labels(y)
        logits, lengths = y_pred["logits"], y_pred["lengths"]
        sizes = (y != 0).sum(1)
        each = F.ctc_loss(
            F.log_softmax(logits.float(), -1).transpose(0, 1), y, lengths, sizes, reduction="none", zero_infinity=True
        )
        if y.device.type == "cpu" and not self._warned and bool((steps_needed(y) > lengths).any()):
            row = int((steps_needed(y) > lengths).nonzero()[0])
            self._warned = True
            warnings.warn(
                f"SpeechRecognizer: sound {row} of a batch has {int(lengths[row])} time steps, but its text "
                f"{self.texts([y[row].tolist()])[0]!r} needs {int(steps_needed(y)[row])}: it teaches nothing, and nor "
                f"will others like it. Use a smaller `step_ms`, or slow such sounds down less.",
                stacklevel=2,
            )
        total = (each / sizes.clamp(min=1)).mean()
        extra = super().compute_loss(x, None, y_pred)
        return total if extra is None else total + extra

    def _check_labels(self, y: Any) -> None:
        if not isinstance(y, torch.Tensor) or y.ndim != 2 or y.is_floating_point():
            found = tuple(y.shape) if isinstance(y, torch.Tensor) else type(y).__name__
            raise DataError(
                f"SpeechRecognizer: labels are whole numbers (batch, most), 0 for padding; got {found}. An "
                f"AudioDataset makes them of texts."
            )
        if y.device.type == "cpu" and y.numel() and not 0 <= y.min() <= y.max() <= len(self.alphabet):
            raise DataError(
                f"SpeechRecognizer: labels are from 1 to {len(self.alphabet)}, the characters of the alphabet, and 0 "
                f"for padding; got some from {int(y.min())} to {int(y.max())}."
            )

    def train_step(self, data: Any) -> None:
        """Trains on one batch."""
        x, y = data[:2]
        loss = self.compute_loss(x, y, self(x, training=True))
        assert loss is not None
        self._loss_tracker.update_state(loss.detach(), sample_weight=len(y))
        self.minimize(loss)

    def test_step(self, data: Any) -> None:
        """Evaluates one batch: the loss, and the metrics on what greedy decoding finds."""
        x, y = data[:2]
        outputs = self(x, training=False)
        loss = self.compute_loss(x, y, outputs, training=False)
        assert loss is not None
        self._loss_tracker.update_state(loss, sample_weight=len(y))
        if self._scores:
            said, found = self.texts(y.tolist()), self.decode(outputs)
            for metric in self._scores:
                metric.update_state(said, found)

    @property
    def metrics(self) -> list[Metric]:
        """The loss, and the metrics of `compile`."""
        return [self._loss_tracker, *super().metrics, *self._scores]

    def get_metrics_result(self) -> dict[str, Any]:
        """The values so far; while training no texts are compared, and so there are no values of `compile`'s."""
        texts = [metric for metric in self._scores if not getattr(metric, "count", 1)]
        return {self._name_of(metric): metric.result() for metric in self.metrics if metric not in texts}

    # -- texts ----------------------------------------------------------------------------------------------

    def labels(self, text: str) -> list[int]:
        """A text as numbers from 1.

        Raises:
            DataError: A character that is not in the alphabet.
        """
        unknown = sorted(set(text) - set(self._numbers))
        if unknown:
            raise DataError(f"{text!r} has characters that are not in the alphabet: {''.join(unknown)!r}.")
        return [self._numbers[character] for character in text]

    def texts(self, labels: Sequence[Sequence[int]]) -> list[str]:
        """Lists of numbers as texts; zeros are padding."""
        return ["".join(self.alphabet[label - 1] for label in row if label > 0) for row in labels]

    def decode(self, outputs: Outputs, num_beams: int = 1) -> list[str]:
        """What `call` returned as texts: of the best alignment, or with more beams of the best labelling found."""
        logits, lengths = outputs["logits"], outputs["lengths"]
        if num_beams == 1:
            return self.texts(ctc_greedy(logits, lengths))
        return self.texts([found[0][0] for found in ctc_beam_search(logits, lengths, num_beams)])

    def transcribe(self, sounds: Any, num_beams: int = 1, batch_size: int = 16) -> list[str]:
        """What is said in sounds.

        Args:
            sounds: Paths or arrays (samples,), float, from -1 to 1, at the model's `sample_rate`, or one of them; files
                of another rate are resampled. Or an `AudioDataset`.
            num_beams: 1 for greedy decoding; more for a prefix beam search with so many beams.
            batch_size: Sounds in a batch; those of like lengths go together.

        Returns:
            A text for each, in their order. What is silent throughout has the text "".

        Raises:
            DataError: No sounds; a file that cannot be read, or a sound that is shorter than one frame (`frame_ms`), or
                has samples that are no numbers: the message names the file.
        """
        if isinstance(sounds, AudioDataset):
            sounds = [sounds.sound(i) for i in range(sounds.num_sounds)]
        elif isinstance(sounds, (str, os.PathLike)) or getattr(sounds, "ndim", 2) == 1:
            sounds = [sounds]
        if not len(sounds):
            raise DataError("SpeechRecognizer.transcribe: there are no sounds.")
        read = [self._sound(each, i) for i, each in enumerate(sounds)]
        found = [""] * len(read)
        heard = sorted((i for i, sound in enumerate(read) if np.ptp(sound) > 0), key=lambda i: len(read[i]))
        for start in range(0, len(heard), batch_size):
            chosen = heard[start : start + batch_size]
            audio, lengths = padded([read[i] for i in chosen])
            device = device_of(self)
            inputs = {"audio": torch.from_numpy(audio).to(device), "lengths": torch.from_numpy(lengths).to(device)}
            with torch.no_grad():
                texts = self.decode(self(inputs, training=False), num_beams)
            for i, text in zip(chosen, texts, strict=True):
                found[i] = text
        return found

    def predict(self, x: Any, batch_size: int | None = None, **kwargs: Any) -> list[str]:  # type: ignore[override]
        """The same as `transcribe`, greedily."""
        return self.transcribe(x, batch_size=batch_size or 16)

    def _sound(self, given: Any, index: int) -> np.ndarray:
        if isinstance(given, (str, os.PathLike)):
            sound, name = read_audio(given, self.sample_rate), str(Path(given))
        else:
            sound = given.detach().cpu().numpy() if isinstance(given, torch.Tensor) else np.asarray(given)
            name = f"sound {index}"
            if sound.ndim != 1 or sound.dtype.kind != "f":
                raise DataError(
                    f"{name}: a sound is an array (samples,) of floats from -1 to 1; got {sound.dtype} of shape "
                    f"{sound.shape}."
                )
            if not np.isfinite(sound).all():
                raise DataError(f"{name}: it has samples that are not finite numbers.")
        if len(sound) < self.spectrogram.frame_length:
            raise DataError(
                f"{name}: it has {len(sound)} samples, too few for the network, which needs "
                f"{self.spectrogram.frame_length} ({math.ceil(self.spectrogram.frame_ms)} ms)."
            )
        return sound.astype("float32", copy=False)

    # -- configuration --------------------------------------------------------------------------------------

    def get_config(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "alphabet": self.alphabet,
            "sample_rate": self.sample_rate,
            "num_mels": self.num_mels,
            "filters": self.filters,
            "hidden": self.hidden,
            "layers": len(self.recurrent),
            "dropout": self.dropout,
            "frame_ms": self.spectrogram.frame_ms,
            "step_ms": self.spectrogram.step_ms,
            "frequency_masks": self.augment.frequency_masks,
            "time_masks": self.augment.time_masks,
            "warp": self.augment.warp,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> SpeechRecognizer:
        return cls(**config)

"""Sound as an image: `STFTSpectrogram` (its kernels are weights) and `MelSpectrogram` (on the mel scale)."""

from __future__ import annotations

import math
import warnings
from typing import Any

import torch
import torch.nn.functional as F

from lamella.engine.registry import deserialize
from lamella.engine.window_names import checked_window
from lamella.errors import DTypeError, ShapeError
from lamella.initializers import STFT
from lamella.layers.base import InputSpec, Layer, registry
from lamella.layers.data_layer import one_of, refuse
from lamella.layers.reshaping import check_data_format

_EPSILON = 1e-7
_MODES = ("log", "magnitude", "psd", "real", "imag", "angle", "stft")


@registry.register()
class STFTSpectrogram(Layer):
    """The short-time Fourier transform of sound: frames, times a window, times cosines and sines.

    Input (batch, time, channels); output (batch, frames, channels * bins), bins = fft_length / 2 + 1, or with
    `expand_dims` an image (batch, frames, bins, channels). With data_format `"channels_first"`: (batch, channels,
    time) to (batch, channels * bins, frames) or (batch, channels, frames, bins). The windowed cosines and sines are
    weights, `real_kernel` and `imag_kernel` of shape (frame_length, 1, bins), and train unless `trainable=False`.

    Args:
        mode: `"log"` or `"magnitude"`, `"psd"` (power spectral density), `"real"`, `"imag"`, `"angle"`, or `"stft"`
            (real and imaginary parts, one after the other).
        frame_length: Samples in a frame.
        frame_step: Samples from one frame to the next; half a frame by default.
        fft_length: Samples in a transform, at least `frame_length`; by default the next power of two.
        window: The name of a SciPy window, an array of `frame_length` numbers, or None.
        periodic: Whether the window is periodic rather than symmetric.
        scaling: What the window is divided by: `"density"` (its norm), `"spectrum"` (its sum) or None (nothing).
        padding: `"valid"` or `"same"`.
        expand_dims: Whether channels get an axis of their own.
        data_format: `"channels_last"` (the default) or `"channels_first"`.
        **kwargs: As for every layer.

    Raises:
        ArgumentError: Arguments that do not go together.
        DTypeError: Inputs that are not floats.

    Example:
        >>> import torch
        >>> from lamella.layers import STFTSpectrogram
        >>> STFTSpectrogram(frame_length=64)(torch.randn(2, 640, 1)).shape
        torch.Size([2, 19, 33])
    """

    def __init__(
        self,
        mode: str = "log",
        frame_length: int = 256,
        frame_step: int | None = None,
        fft_length: int | None = None,
        window: Any = "hann",
        periodic: bool = False,
        scaling: str | None = "density",
        padding: str = "valid",
        expand_dims: bool = False,
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if frame_step is not None and not 1 <= frame_step <= frame_length:
            raise refuse(self, f"`frame_step` must be from 1 to frame_length={frame_length}; got {frame_step}.")
        if fft_length is not None and fft_length < frame_length:
            raise refuse(self, f"`fft_length` must be at least frame_length={frame_length}; got {fft_length}.")
        if fft_length is not None and fft_length & (fft_length - 1):
            warnings.warn(f"A power of two is recommended for `fft_length`; got {fft_length}.", stacklevel=2)
        self.mode = one_of(self, "mode", mode, _MODES)
        self.frame_length = frame_length
        self.frame_step = frame_step
        self.fft_length = fft_length
        self.window = (
            checked_window(window)
            if window is None or isinstance(window, str)
            else tuple(float(each) for each in window)
        )
        self.periodic = periodic
        self.scaling = one_of(self, "scaling", scaling, ("density", "spectrum", None))
        self.padding = one_of(self, "padding", padding, ("valid", "same"))
        self.expand_dims = expand_dims
        self.data_format = check_data_format(self, data_format)
        self.input_spec = InputSpec(ndim=3)
        self._step = frame_step or frame_length // 2
        self._bins = (fft_length or 2 ** math.ceil(math.log2(frame_length))) // 2 + 1

    def build(self, input_shape: Any) -> None:
        for side, without in (("real", "imag"), ("imag", "real")):
            if self.mode != without:
                initializer = STFT(side, self.window, self.scaling, self.periodic)
                self.add_weight((self.frame_length, 1, self._bins), initializer, name=f"{side}_kernel")

    def call(self, inputs: torch.Tensor) -> torch.Tensor:
        if not inputs.is_floating_point():
            raise DTypeError(
                f"STFTSpectrogram {self.name!r} takes floats; got {inputs.dtype}. Divide by 32768.0 first."
            )
        if inputs.is_meta:  # torch would load its compiler, a second, for the shapes of these
            return self._arranged(self._symbolic(inputs))
        frames = self._frames(inputs)
        if self.mode == "real":
            return self._arranged(frames @ self._kernel("real", inputs))
        if self.mode == "imag":
            return self._arranged(frames @ self._kernel("imag", inputs))
        both = frames @ torch.cat([self._kernel("real", inputs), self._kernel("imag", inputs)], dim=1)
        if self.mode == "stft":
            return self._arranged(both)
        real, imag = both.split(self._bins, dim=-1)
        if self.mode == "angle":
            return self._arranged(torch.atan2(imag, real))
        power = real.square() + imag.square()
        if self.mode == "psd":  # of the two halves of the spectrum only one is here, but its ends are there once
            return self._arranged(power + F.pad(power[..., 1:-1], (1, 1)))
        magnitude = power.clamp(min=_EPSILON).sqrt()
        return self._arranged(magnitude if self.mode == "magnitude" else magnitude.clamp(min=_EPSILON).log())

    def _symbolic(self, inputs: torch.Tensor) -> torch.Tensor:
        channels, samples = inputs.shape[:0:-1] if self.data_format == "channels_last" else inputs.shape[1:]
        if self.padding == "same":
            frames = -(-samples // self._step)
        else:
            self._check_length(inputs, samples)
            frames = (samples - self.frame_length) // self._step + 1
        bins = self._bins * (2 if self.mode == "stft" else 1)
        return torch.empty((inputs.shape[0], channels, frames, bins), dtype=inputs.dtype, device="meta")

    def _kernel(self, side: str, inputs: torch.Tensor) -> torch.Tensor:
        return getattr(self, f"{side}_kernel")[:, 0].to(inputs.dtype)

    def _frames(self, inputs: torch.Tensor) -> torch.Tensor:
        """(batch, channels, frames, frame_length)."""
        signal = inputs.transpose(1, 2) if self.data_format == "channels_last" else inputs
        if self.padding == "same":
            frames = -(-signal.shape[-1] // self._step)
            missing = max((frames - 1) * self._step + self.frame_length - signal.shape[-1], 0)
            signal = F.pad(signal, (missing // 2, missing - missing // 2))
        else:
            self._check_length(inputs, signal.shape[-1])
        return signal.unfold(-1, self.frame_length, self._step)

    def _check_length(self, inputs: torch.Tensor, samples: int) -> None:
        if samples < self.frame_length:
            raise ShapeError(
                f"STFTSpectrogram {self.name!r} needs at least frame_length={self.frame_length} samples; got "
                f"{samples} (input {tuple(inputs.shape)}, {self.data_format}). Use padding='same'."
            )

    def _arranged(self, spectra: torch.Tensor) -> torch.Tensor:
        """(batch, channels, frames, bins) in the order that the layer gives."""
        if self.expand_dims:
            return spectra.permute(0, 2, 3, 1) if self.data_format == "channels_last" else spectra
        if self.data_format == "channels_last":
            return spectra.transpose(1, 2).flatten(2)
        return spectra.transpose(2, 3).flatten(1, 2)

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        config["window"] = list(self.window) if isinstance(self.window, tuple) else self.window
        return config

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Layer:
        """The layer that `get_config` (here or in Keras) described."""
        return cls(**{**config, "window": deserialize(config.get("window", "hann"))})


@registry.register()
class MelSpectrogram(Layer):
    """The power of sound by time and by pitch: a Fourier transform, then triangular bands that are even in mel.

    Input (..., samples); output (..., num_mel_bins, frames). mel(f) = 1127 ln(1 + f / 700), as in HTK (Young et al.).

    Args:
        fft_length: Samples in a transform.
        sequence_stride: Samples from one frame to the next.
        sequence_length: Samples in a frame, at most `fft_length`, which it is by default.
        window: `"hann"`, `"hamming"`, an array of `sequence_length` numbers, or None.
        sampling_rate: Samples a second.
        num_mel_bins: How many bands.
        min_freq: The lowest frequency, in hertz.
        max_freq: The highest; half the sampling rate by default.
        power_to_db: Whether to give decibels.
        top_db: Nothing lies further below the loudest value (of the whole batch, as in Keras).
        mag_exp: The power of the magnitude: 1 for magnitude, 2 for power.
        min_power: What is weaker counts as this.
        ref_power: The power that is 0 decibels.
        **kwargs: As for every layer.

    Raises:
        ArgumentError: A window or lengths that do not fit.
        ShapeError: Fewer samples than half a transform.

    Example:
        >>> import torch
        >>> from lamella.layers import MelSpectrogram
        >>> MelSpectrogram(num_mel_bins=64, sampling_rate=8000, sequence_stride=256)(torch.randn(2, 16000)).shape
        torch.Size([2, 64, 63])
    """

    _bands: torch.Tensor
    _frame_window: torch.Tensor

    def __init__(
        self,
        fft_length: int = 2048,
        sequence_stride: int = 512,
        sequence_length: int | None = None,
        window: Any = "hann",
        sampling_rate: int = 16000,
        num_mel_bins: int = 128,
        min_freq: float = 20.0,
        max_freq: float | None = None,
        power_to_db: bool = True,
        top_db: float = 80.0,
        mag_exp: float = 2.0,
        min_power: float = 1e-10,
        ref_power: float = 1.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.fft_length = fft_length
        self.sequence_stride = sequence_stride
        self.sequence_length = sequence_length or fft_length
        if self.fft_length < self.sequence_length:
            raise refuse(self, f"`sequence_length` must be at most fft_length={fft_length}; got {sequence_length}.")
        self.window = window if window is None or isinstance(window, str) else tuple(float(each) for each in window)
        self.sampling_rate = sampling_rate
        self.num_mel_bins = num_mel_bins
        self.min_freq = min_freq
        self.max_freq = max_freq or int(sampling_rate / 2)
        self.power_to_db = power_to_db
        self.top_db = top_db
        self.mag_exp = mag_exp
        self.min_power = min_power
        self.ref_power = ref_power
        bands = mel_bands(num_mel_bins, fft_length // 2 + 1, sampling_rate, min_freq, self.max_freq)
        self.register_buffer("_bands", bands, persistent=False)
        self.register_buffer("_frame_window", self._make_window(), persistent=False)
        self._build_at_init()

    def _make_window(self) -> torch.Tensor:
        if self.window is None:
            return torch.ones(self.sequence_length)
        if isinstance(self.window, str):
            one_of(self, "window", self.window, ("hann", "hamming"))
            make = torch.hann_window if self.window == "hann" else torch.hamming_window
            return make(self.sequence_length, periodic=True, dtype=torch.float32)
        if len(self.window) != self.sequence_length:
            raise refuse(
                self, f"`window` must have sequence_length={self.sequence_length} numbers, not {len(self.window)}."
            )
        return torch.tensor(self.window, dtype=torch.float32)

    def call(self, inputs: torch.Tensor) -> torch.Tensor:
        samples = inputs.shape[-1]
        if samples <= self.fft_length // 2:
            raise ShapeError(
                f"MelSpectrogram {self.name!r} needs more than fft_length / 2 = {self.fft_length // 2} samples; got "
                f"{samples} (input {tuple(inputs.shape)}). Pad the sound, or use a smaller fft_length."
            )
        if inputs.is_meta:
            frames = 1 + samples // self.sequence_stride
            return torch.empty((*inputs.shape[:-1], self.num_mel_bins, frames), dtype=self._float, device="meta")
        sound = inputs.to(torch.float64 if self._float is torch.float64 else torch.float32)
        mel = self._spectrum(sound) @ self._bands.to(sound.dtype)
        if self.power_to_db:
            mel = self._in_decibels(mel)
        return mel.transpose(-1, -2).to(self._float)

    def _spectrum(self, sound: torch.Tensor) -> torch.Tensor:
        """The magnitude to the power of `mag_exp`, (..., frames, bins)."""
        spectrum = torch.stft(
            sound.reshape(-1, sound.shape[-1]),
            self.fft_length,
            hop_length=self.sequence_stride,
            win_length=self.sequence_length,
            window=self._frame_window.to(sound.dtype),
            center=True,
            return_complex=True,
        )
        power = spectrum.real.square() + spectrum.imag.square()
        if self.mag_exp != 2:  # the power itself has a gradient at zero too; its root has none
            power = power.pow(self.mag_exp / 2)
        return power.reshape(*sound.shape[:-1], *power.shape[-2:]).transpose(-1, -2)

    def _in_decibels(self, power: torch.Tensor) -> torch.Tensor:
        reference = max(abs(self.ref_power), self.min_power)
        decibels = 10.0 * power.clamp(min=self.min_power).log10() - 10.0 * math.log10(reference)
        return torch.maximum(decibels, decibels.amax() - self.top_db)

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        config["window"] = list(self.window) if isinstance(self.window, tuple) else self.window
        return config


def mel_bands(
    num_mel_bins: int, num_spectrogram_bins: int, sampling_rate: float, min_freq: float, max_freq: float
) -> torch.Tensor:
    """Triangular bands, even on the mel scale, each with a peak of 1: (num_spectrogram_bins, num_mel_bins).

    The zero frequency belongs to none of them.
    """
    bins = _mel(torch.linspace(0.0, sampling_rate / 2, num_spectrogram_bins, dtype=torch.float64))[:, None]
    lowest, highest = _mel(torch.tensor([min_freq, max_freq], dtype=torch.float64))
    edges = torch.linspace(float(lowest), float(highest), num_mel_bins + 2, dtype=torch.float64)
    low, middle, high = edges[:-2], edges[1:-1], edges[2:]
    bands = torch.minimum((bins - low) / (middle - low), (high - bins) / (high - middle)).clamp(min=0.0)
    bands[0] = 0.0
    return bands.float()


def _mel(hertz: torch.Tensor) -> torch.Tensor:
    return 1127.0 * torch.log1p(hertz / 700.0)

"""The kernel of a short-time Fourier transform."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch

from lamella.engine import registry as _names
from lamella.engine.dtypes import torch_dtype
from lamella.engine.window_names import checked_window
from lamella.errors import ArgumentError, ShapeError
from lamella.initializers.base import Initializer, registry


@registry.register("STFTInitializer")
class STFT(Initializer):
    """The kernel of a short-time Fourier transform: cosines or sines, windowed.

    The shape is (frame_length, 1, fft_length / 2 + 1).

    Args:
        side: `"real"` (cosines) or `"imag"` (sines).
        window: The name of a SciPy window, an array, or None.
        scaling: `"density"`, `"spectrum"` or None.
        periodic: Whether the window is periodic rather than symmetric.

    Example:
        >>> STFT("real")((8, 1, 5)).shape
        torch.Size([8, 1, 5])
    """

    def __init__(
        self,
        side: str = "real",
        window: Any = "hann",
        scaling: str | None = "density",
        periodic: bool = False,
    ) -> None:
        if side not in ("real", "imag"):
            raise ArgumentError(f"side must be 'real' or 'imag'; got {side!r}.")
        if scaling not in (None, "density", "spectrum"):
            raise ArgumentError(f"scaling must be 'density', 'spectrum' or None; got {scaling!r}.")
        self.side = side
        self.window = checked_window(window)
        self.scaling = scaling
        self.periodic = periodic

    def __call__(self, shape: Sequence[int], dtype: Any = None) -> torch.Tensor:
        frame_length, _, bins = shape
        time = torch.arange(frame_length, dtype=torch.float64).reshape(-1, 1, 1)
        frequency = torch.arange(bins, dtype=torch.float64).reshape(1, 1, -1) / ((bins - 1) * 2)
        angle = -2 * math.pi * time * frequency
        kernel = torch.cos(angle) if self.side == "real" else torch.sin(angle)
        if self.window is not None:
            window = self._window(frame_length)
            kernel = kernel * window.reshape(-1, 1, 1)
            if self.scaling == "density":
                kernel = kernel / window.square().sum().sqrt()
            elif self.scaling == "spectrum":
                kernel = kernel / window.abs().sum()
        return kernel.to(torch_dtype(dtype))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "window": _names.serialize(self.window)}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> STFT:
        return cls(**{name: _names.deserialize(value) for name, value in config.items()})

    def _window(self, frame_length: int) -> torch.Tensor:
        if not isinstance(self.window, str):
            window = torch.as_tensor(self.window, dtype=torch.float64)
        else:
            from scipy.signal import get_window  # SciPy comes with scikit-learn; it is slow to import

            window = torch.as_tensor(get_window(self.window, frame_length, self.periodic))
        if window.shape != (frame_length,):
            raise ShapeError(f"The window must have shape ({frame_length},); got {tuple(window.shape)}.")
        return window

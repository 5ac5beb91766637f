"""`SpectralNormalization`."""

from __future__ import annotations

from typing import Any

import torch

from lamella.errors import ArgumentError
from lamella.initializers import TruncatedNormal
from lamella.layers.base import Layer, registry
from lamella.layers.dense import positive_int
from lamella.layers.wrapper import Wrapper


@registry.register()
class SpectralNormalization(Wrapper):
    """Before each call in training, divides the kernel of `layer` by its largest singular value.

    The kernel itself changes, so inference needs nothing more. The singular value is estimated by power iteration
    from where the last call ended. A kernel of zeros stays as it is, and so does that of a quantized layer.

    Args:
        layer: A layer with a `kernel` or `embeddings`, such as `Dense`, `Conv2D` or `Embedding`.
        power_iterations: The steps of the power iteration at each call.
        **kwargs: As for every layer.

    Weights: those of `layer`; after its kernel, vector_u (1, last size of the kernel), which no gradient trains.

    Raises:
        ArgumentError: `power_iterations` is not positive, or `layer` has no kernel.

    Source: Miyato et al., 2018.

    Example:
        >>> import torch
        >>> from lamella.layers import Dense, SpectralNormalization
        >>> layer = SpectralNormalization(Dense(3), power_iterations=200)
        >>> y = layer(torch.ones(2, 4), training=True)
        >>> round(torch.linalg.matrix_norm(layer.kernel, 2).item(), 1)
        1.0
    """

    def __init__(self, layer: Layer, power_iterations: int = 1, **kwargs: Any) -> None:
        super().__init__(layer, **kwargs)
        self.power_iterations = positive_int(self, "power_iterations", power_iterations)

    def build(self, input_shape: Any = None) -> None:
        super().build(input_shape)
        names = [name for name in ("kernel", "embeddings") if getattr(self.layer, name, None) is not None]
        if not names:
            raise ArgumentError(
                f"SpectralNormalization {self.name!r}: {type(self.layer).__name__} {self.layer.name!r} has no kernel "
                f"and no embeddings to normalize."
            )
        self._kernel_name = names[0]
        self.vector_u = self.add_weight(
            (1, self.kernel.shape[-1]),
            TruncatedNormal(stddev=0.02),
            trainable=False,
            dtype=self.kernel.dtype,
            name="vector_u",
        )

    @property
    def kernel(self) -> torch.Tensor:
        """The weight that is normalized; of a quantized layer the floats that its whole numbers stand for."""
        kernel = self.layer._parameters.get(self._kernel_name)
        return getattr(self.layer, self._kernel_name) if kernel is None else kernel

    @property
    def _is_fixed(self) -> bool:
        return self.layer._parameters.get(self._kernel_name) is None

    @property
    def changed_in_call(self) -> list[tuple[Layer, str]]:
        """Where the weight is that changes in each call."""
        return [] if not self.built or self._is_fixed else [(self.layer, self._kernel_name)]

    @property
    def weights(self) -> list[torch.Tensor]:
        """All weights in Keras's order: the kernel, vector_u, the others."""
        found = super().weights
        if not self.built or self._is_fixed:
            return found
        first = (id(self.kernel), id(self.vector_u))
        others = [weight for weight in found if id(weight) not in first]
        return [self.kernel, self.vector_u, *others]

    def _own_weights(self) -> list[torch.Tensor]:
        return (
            [self.vector_u] if self._is_fixed else [self.kernel, self.vector_u]
        )  # Keras's files have the kernel here too

    def call(self, inputs: torch.Tensor, training: bool | None = None) -> Any:
        if not training or inputs.is_meta or self._is_fixed:
            return self.layer(inputs)
        self._normalize()
        # A copy goes into the graph: the next call, perhaps in the same step, changes the kernel in its place.
        parameters: dict[str, Any] = self.layer._parameters
        kernel = self.kernel
        parameters[self._kernel_name] = kernel.clone()
        try:
            return self.layer(inputs)
        finally:
            parameters[self._kernel_name] = kernel

    @torch.no_grad()
    def _normalize(self) -> None:
        kernel, u = self.kernel, self.vector_u
        matrix = kernel.reshape(-1, kernel.shape[-1])
        for _ in range(self.power_iterations):
            v = _unit(u @ matrix.T)
            u = _unit(v @ matrix)
        largest = v @ matrix @ u.T
        zero = (kernel == 0).all()
        self.vector_u.copy_(torch.where(zero, self.vector_u, u))
        kernel.copy_(torch.where(zero, kernel, kernel / largest.reshape(())))


def _unit(x: torch.Tensor) -> torch.Tensor:
    return x * x.square().sum().rsqrt().clamp(max=1e7)

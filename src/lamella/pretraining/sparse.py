"""`SparseAutoencoder`: codes of which few numbers are active at a time."""

from __future__ import annotations

from typing import Any

import torch

from lamella.errors import ArgumentError
from lamella.models import Model
from lamella.pretraining.autoencoder import Autoencoder
from lamella.saving import register_keras_serializable

_LEAST = 1e-6  # activities of 0 and 1 would have an infinite divergence


@register_keras_serializable(package="lamella")
class SparseAutoencoder(Autoencoder):
    """An autoencoder with a penalty on active codes, so that there may be more of them than inputs.

    Two penalties, each times `weight` and added to the loss:

        "kl"  the sum over codes j of KL(target || a_j) = t log(t / a_j) + (1 - t) log((1 - t) / (1 - a_j)),
              where a_j is the mean of code j over the batch, and t the target
        "l1"  the mean over the batch of the sum of |codes|

    Args:
        encoder: As for `Autoencoder`. For `"kl"`, codes are from 0 to 1: it ends with a sigmoid.
        decoder: As for `Autoencoder`.
        penalty: `"kl"` or `"l1"`.
        target: The mean activity of a code that `"kl"` wants, above 0 and below 1.
        weight: The strength of the penalty. The loss is a mean over the inputs, the penalty a sum over codes.
        **kwargs: As for `Autoencoder`.

    Raises:
        ArgumentError: Another penalty, a target out of range, a negative weight; for `"kl"`, codes that are not from
            0 to 1 (when trained).

    Source: Olshausen and Field, 1996; the divergence: Lee, Ekanadham and Ng, 2007.

    Example:
        >>> import torch
        >>> autoencoder = SparseAutoencoder.dense(6, units=20, target=0.1)
        >>> autoencoder.compile("adam")
        >>> _ = autoencoder.fit(torch.rand(32, 6), verbose=0)
    """

    code_activation = "sigmoid"

    def __init__(
        self,
        encoder: Model,
        decoder: Model | None = None,
        penalty: str = "kl",
        target: float = 0.05,
        weight: float = 1e-3,
        **kwargs: Any,
    ) -> None:
        super().__init__(encoder, decoder, **kwargs)
        if penalty not in ("kl", "l1"):
            raise ArgumentError(f"SparseAutoencoder: `penalty` must be 'kl' or 'l1'; got {penalty!r}.")
        if not (0 < target < 1 and weight >= 0):
            raise ArgumentError(
                f"SparseAutoencoder: `target` is between 0 and 1, and `weight` 0 or more; got {target!r}, {weight!r}."
            )
        self.penalty, self.target, self.weight = penalty, target, weight

    def call(self, inputs: torch.Tensor) -> torch.Tensor:  # type: ignore[override]
        codes = self.encoder(inputs)
        self.add_loss(self.weight * self.sparsity(codes.flatten(1)))
        return self.decoder(codes)

    def sparsity(self, codes: torch.Tensor) -> torch.Tensor:
        """The penalty of codes (batch, codes), without its weight."""
        if self.penalty == "l1":
            return codes.abs().sum(1).mean()
        t, a = self.target, codes.mean(0).clamp(_LEAST, 1 - _LEAST)
        return (t * (t / a).log() + (1 - t) * ((1 - t) / (1 - a)).log()).sum()

    def fit(self, x: Any = None, y: Any = None, **kwargs: Any) -> Any:  # type: ignore[override]
        """As for `Autoencoder`; for `"kl"`, the codes of the first inputs are looked at before."""
        if self.penalty == "kl" and hasattr(x, "__array__") and len(x):
            codes = self.encoder.predict(x[:32], verbose=0)
            if codes.min() < 0 or codes.max() > 1:
                raise ArgumentError(
                    f"SparseAutoencoder: with penalty='kl' codes must be from 0 to 1; they go from {codes.min():.3g} "
                    f"to {codes.max():.3g}. End the encoder with a sigmoid, or take penalty='l1'."
                )
        return super().fit(x, y, **kwargs)

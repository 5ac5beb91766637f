"""LoRA: a large weight stays as it is, and the product of two small ones is added to it and trained.

W' = W + alpha / rank * A @ B, where A is (..., rank) and B (rank, out). B starts at zero, so at first nothing changes.

Source: Hu et al., 2021, "LoRA: Low-Rank Adaptation of Large Language Models".
"""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import nn

from lamella import initializers
from lamella.engine.variable import as_array
from lamella.errors import ArgumentError, NotBuiltError
from lamella.layers.base import Layer


class AdaptedWeight:
    """A weight, as an attribute of its layer: as it is kept or, where LoRA is on, with what LoRA adds.

    Args:
        name: The name that the layer keeps it under.
    """

    def __init__(self, name: str) -> None:
        self.name = name

    def __get__(self, layer: Any, owner: type | None = None) -> Any:
        if layer is None:
            raise AttributeError(f"{self.name!r} is an attribute of layers, not of their class.")
        kept = layer._parameters.get(self.name)
        if kept is None:
            kept = layer._float_weight(self.name)  # it is quantized; or there is none
        return layer._with_lora(kept) if layer.lora_enabled else kept


class KeptWeight:
    """The weight that LoRA adapts, as it is kept: packages around Keras reach it by a name with an underscore."""

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name.removeprefix("_")

    def __get__(self, layer: Any, owner: type | None = None) -> Any:
        kept = None if layer is None else layer._parameters.get(self.name, layer._buffers.get(self.name))
        if kept is None:
            raise AttributeError(f"There is no {self.name!r}: the layer is not built, or keeps it otherwise.")
        return kept


class AdaptableLayer(Layer):
    """A layer that `enable_lora` can make small: most of its numbers are frozen, few new ones are trained."""

    lora_enabled = False
    """Whether LoRA is on."""
    lora_rank: int | None
    lora_alpha: float | None
    _adapted = "kernel"
    """The name of the weight that LoRA adapts."""

    def _set_lora(self, rank: int | None, alpha: float | None) -> None:
        if rank is not None and (isinstance(rank, bool) or not hasattr(rank, "__index__") or rank < 1):
            raise ArgumentError(
                f"{type(self).__name__} {self.name!r}: `lora_rank` must be a positive whole number; got {rank!r}."
            )
        self.lora_rank = rank
        self.lora_alpha = rank if alpha is None else alpha

    def _begin_with_lora(self) -> None:
        """At the end of `build`: LoRA, if the layer was made with a `lora_rank`."""
        if self.lora_rank is not None:
            self._add_lora(self.lora_rank, self.lora_alpha, "he_uniform", "zeros")

    def enable_lora(
        self,
        rank: int,
        lora_alpha: float | None = None,
        a_initializer: Any = "he_uniform",
        b_initializer: Any = "zeros",
    ) -> None:
        """Freezes the large weight and trains a change of low rank instead: alpha / rank * A @ B is added to it.

        Of a model that is compiled already, the optimizer starts anew at the next `fit`. Files have the sum.

        Args:
            rank: The number of columns of A and rows of B; small, such as 4 or 8.
            lora_alpha: How much the change counts: it is multiplied by alpha / rank. By default `rank`, so by 1.
            a_initializer: Where A starts.
            b_initializer: Where B starts; at zero the layer first computes what it did.

        Raises:
            NotBuiltError: The layer has no weights yet.
            ArgumentError: LoRA is on already, the weight has a constraint, or `rank` is no positive whole number.

        Example:
            >>> import torch
            >>> from lamella.layers import Dense
            >>> layer = Dense(100)
            >>> x = torch.ones(1, 100)
            >>> before = layer(x)
            >>> layer.enable_lora(4)
            >>> [tuple(weight.shape) for weight in layer.trainable_weights], torch.equal(layer(x), before)
            ([(100,), (100, 4), (4, 100)], True)
        """
        what = f"{type(self).__name__} {self.name!r}"
        if not self.built:
            raise NotBuiltError(f"{what} has no weights yet to add LoRA to. Call it on data, or build() it, first.")
        if self.lora_enabled:
            raise ArgumentError(f"{what} has LoRA already, of rank {self.lora_rank}; it can be added once.")
        self._set_lora(rank, lora_alpha)
        try:
            self._add_lora(rank, self.lora_alpha, a_initializer, b_initializer)
        except ArgumentError:
            self._set_lora(None, None)
            raise

    def _add_lora(self, rank: int, alpha: float | None, a_initializer: Any, b_initializer: Any) -> None:
        name = self._adapted
        if getattr(self, f"{name}_constraint") is not None:
            raise ArgumentError(
                f"{type(self).__name__} {self.name!r}: LoRA does not go with `{name}_constraint`, as the sum that is "
                f"computed with would be under no constraint. Make the layer without it."
            )
        shape = self._shape_for_lora()
        regularizer = getattr(self, f"{name}_regularizer")
        for letter, size, initializer in (
            ("a", (*shape[:-1], rank), a_initializer),
            ("b", (rank, shape[-1]), b_initializer),
        ):
            weight = self.add_weight(
                size,
                initializers.get(initializer),
                dtype="float32",
                regularizer=regularizer,
                name=f"lora_{name}_{letter}",
            )
            weight.data = weight.data.to(self._kept_weight().device)
            weight.path = f"{self.path}/lora_{name}_{letter}"  # type: ignore[attr-defined]
        self._kept_weight().requires_grad_(False)
        self.lora_enabled = True

    def _shape_for_lora(self) -> tuple[int, ...]:
        """The shape of the weight that LoRA adapts."""
        return tuple(self._kept_weight().shape)

    def _kept_weight(self) -> torch.Tensor:
        """The large weight, without what LoRA adds."""
        return cast(torch.Tensor, nn.Module.__getattr__(self, self._adapted))

    def _float_weight(self, name: str) -> torch.Tensor:
        """The large weight as floats, where it is not kept as such."""
        return cast(torch.Tensor, nn.Module.__getattr__(self, name))

    def _lora_factors(self) -> tuple[torch.Tensor, torch.Tensor, float]:
        """A and B, in the type that the layer computes in, and alpha / rank."""
        a, b = (self._lora_weight(letter).to(self._float) for letter in "ab")
        return a, b, self._lora_scale()

    def _lora_scale(self) -> float:
        return cast(float, self.lora_alpha) / cast(int, self.lora_rank)

    def _lora_weight(self, letter: str) -> torch.Tensor:
        return cast(torch.Tensor, self._parameters[f"lora_{self._adapted}_{letter}"])

    def _with_lora(self, kept: torch.Tensor) -> torch.Tensor:
        """`kept` + alpha / rank * A @ B, in the type that the layer computes in."""
        return self._sum_with_lora(kept).to(self._float)

    def _sum_with_lora(self, kept: torch.Tensor) -> torch.Tensor:
        """The same in the type that A and B are kept in, or a longer one of `kept`."""
        return kept + self._lora_scale() * (self._lora_weight("a") @ self._lora_weight("b"))

    # -- files, which have the sum --------------------------------------------------------------------

    def save_own_variables(self, store: Any) -> None:
        """Puts the layer's own weights into `store`; where LoRA is on, the sum that the layer computes with."""
        merged = self._merged() if self.lora_enabled else {}
        for i, (name, weight) in enumerate(zip(self._names_in_files(), self._own_weights(), strict=True)):
            store[str(i)] = as_array(merged.get(name, weight))

    def load_own_variables(self, store: Any) -> None:
        """Takes the layer's own weights from `store`. What LoRA has learnt so far then counts no more: B is zero."""
        super().load_own_variables(store)
        if self.lora_enabled:
            self._lora_weight("b").detach().zero_()

    def _merged(self) -> dict[str, torch.Tensor]:
        """What files have in place of the large weight, by name."""
        kept = self._kept_weight()
        return {self._adapted: self._sum_with_lora(kept).detach().to(kept.dtype)}

    def _names_in_files(self) -> list[str]:
        return [name for name in super()._names_in_files() if not name.startswith("lora_")]

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        if not self.lora_rank:
            config.pop("lora_rank", None)
            config.pop("lora_alpha", None)
        return config

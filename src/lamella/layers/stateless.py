"""`stateless_call`: a layer as a function of its weights."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import nn

from lamella.engine.stateless import Exchange
from lamella.errors import NotBuiltError


class Stateless(nn.Module):
    """The part of a layer that computes with weights from outside."""

    def stateless_call(
        self,
        trainable_variables: Sequence[Any],
        non_trainable_variables: Sequence[Any],
        *args: Any,
        return_losses: bool = False,
        **kwargs: Any,
    ) -> tuple[Any, ...]:
        """Calls the layer with other weights, and changes nothing: what `torch.func.grad` and the like want.

        Args:
            trainable_variables: A tensor for each of `layer.trainable_variables`. Gradients flow to them.
            non_trainable_variables: A tensor for each of `layer.non_trainable_variables`.
            *args: What the layer is called on.
            return_losses: Whether to return the penalties of regularizers and of `add_loss`, too.
            **kwargs: Further arguments of the call, such as `training`.

        Returns:
            The outputs, the new values of `non_trainable_variables`, and with `return_losses` the list of losses.

        Raises:
            NotBuiltError: The layer has no weights yet.
            ArgumentError: Another number of tensors than of variables.

        Example:
            >>> import lamella, torch
            >>> layer = lamella.layers.Dense(1)
            >>> layer.build((None, 2))
            >>> x = torch.ones(4, 2)
            >>> def loss(weights):
            ...     outputs, _ = layer.stateless_call(weights, [], x)
            ...     return outputs.sum()
            >>> kernel, bias = torch.func.grad(loss)(layer.trainable_variables)
            >>> bias
            tensor([4.])
        """
        if not self.built:  # type: ignore[attr-defined]
            raise NotBuiltError(
                f"{type(self).__name__} {self.name!r} has no weights yet, so there are none to take the place of: "  # type: ignore[attr-defined]
                f"build it, or call it on data, before stateless_call()."
            )
        fixed = self.non_trainable_variables  # type: ignore[attr-defined]
        exchange = Exchange(self.modules())
        exchange.put(self.trainable_variables, trainable_variables, "trainable_variables")  # type: ignore[attr-defined]
        exchange.put(fixed, non_trainable_variables, "non_trainable_variables", changing=True)
        with exchange:
            outputs = self(*args, **kwargs)
            losses = list(self.losses) if return_losses else []  # type: ignore[attr-defined]
            after = exchange.now(fixed)
        return (outputs, after, losses) if return_losses else (outputs, after)

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
        layer: Any = self
        if not layer.built:
            raise NotBuiltError(
                f"{type(self).__name__} {layer.name!r} has no weights yet, so there are none to take the place of: "
                f"build it, or call it on data, before stateless_call()."
            )
        fixed = layer.non_trainable_variables
        exchange = Exchange(self.modules())
        exchange.put(layer.trainable_variables, trainable_variables, "trainable_variables")
        exchange.put(fixed, non_trainable_variables, "non_trainable_variables")
        with exchange:
            outputs = layer(*args, **kwargs)
            losses = list(layer.losses) if return_losses else []
            after = exchange.now(fixed)
        return (outputs, after, losses) if return_losses else (outputs, after)

"""`stateless_apply`: one step as a function of weights, gradients and the optimizer's state."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import torch

from lamella.errors import ArgumentError, NotBuiltError, ShapeError


class StatelessApply:
    """The part of an optimizer that changes nothing."""

    def stateless_apply(
        self, optimizer_variables: Sequence[Any], grads: Sequence[Any], trainable_variables: Sequence[Any]
    ) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
        """One step with other weights and another state; the optimizer and its weights stay as they are.

        Args:
            optimizer_variables: A tensor for each of `optimizer.variables`.
            grads: A gradient (or None) for each weight.
            trainable_variables: A tensor for each of the weights that the optimizer was built for.

        Returns:
            The new weights, and the new `optimizer_variables`.

        Raises:
            NotBuiltError: The optimizer was not built for weights yet.
            ArgumentError: Another number of tensors than of variables.
            ShapeError: A tensor of another shape than its variable.

        Example:
            >>> import torch
            >>> from lamella.optimizers import SGD
            >>> optimizer, weight = SGD(0.5), torch.nn.Parameter(torch.ones(2))
            >>> optimizer.build([weight])
            >>> (new,), state = optimizer.stateless_apply(optimizer.variables, [torch.ones(2)], [weight])
            >>> new, int(state[0]), weight.detach()
            (tensor([0.5000, 0.5000]), 1, tensor([1., 1.]))
        """
        if not self.built:  # type: ignore[attr-defined]
            raise NotBuiltError(
                "The optimizer has no state yet: optimizer.build(trainable_variables) comes before stateless_apply()."
            )
        own, weights = self.variables, self._weights  # type: ignore[attr-defined]
        memo = _copies("optimizer_variables", own, optimizer_variables)
        memo |= _copies("trainable_variables", weights, trainable_variables)
        twin = copy.deepcopy(self, memo)
        twin._take_numbers(self, list(optimizer_variables))
        twin.apply(list(grads))  # type: ignore[attr-defined]
        return twin._weights, twin.variables  # type: ignore[attr-defined]

    def _take_numbers(self, source: Any, values: list[Any]) -> None:
        """Makes a copy of `source` go on from the numbers in `values`: its tensors are there already."""
        self._take_own_numbers(values)
        ids = {id(a): id(b) for a, b in zip(source._weights, self._weights, strict=True)}  # type: ignore[attr-defined]
        for name, value in vars(self).items():
            if type(value) is set:  # what weights are known by is theirs
                vars(self)[name] = {ids.get(each, each) for each in value}
            elif type(value) is dict:
                vars(self)[name] = {ids.get(key, key): each for key, each in value.items()}
        start = 2
        for before, inner in zip(source._inner_optimizers(), self._inner_optimizers(), strict=True):
            count = len(before.variables)
            inner._take_numbers(before, values[start : start + count])
            start += count

    def _take_own_numbers(self, values: list[Any]) -> None:
        self._steps = int(values[0])
        if isinstance(self._learning_rate, float):  # type: ignore[has-type]
            self._learning_rate = float(f"{float(values[1]):.7g}")  # it was rounded to float32

    def _inner_optimizers(self) -> list[Any]:
        """The optimizers whose variables follow the first two of this one's."""
        return []


def _copies(name: str, own: Sequence[torch.Tensor], values: Sequence[Any]) -> dict[int, Any]:
    """Copies of the values, by the ids of what they stand for."""
    if len(values) != len(own):
        raise ArgumentError(f"`{name}` needs a tensor for each of the {len(own)} variables; got {len(values)}.")
    found: dict[int, Any] = {}
    for i, (variable, value) in enumerate(zip(own, values, strict=True)):
        copied = torch.as_tensor(value, device=variable.device).detach().to(variable.dtype, copy=True)
        if copied.shape != variable.shape:
            raise ShapeError(
                f"`{name}`[{i}] has shape {tuple(copied.shape)}; its variable has {tuple(variable.shape)}."
            )
        if hasattr(variable, "path"):
            copied.path = variable.path  # type: ignore[attr-defined]
        found[id(variable)] = copied
    return found

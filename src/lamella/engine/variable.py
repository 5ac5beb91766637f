"""Tensors that keep Keras's variable methods: `assign`, `assign_add`, `assign_sub`, `numpy`.

Both classes switch `__torch_function__` off, as `torch.nn.Parameter` does, so torch treats them as plain
tensors: every operation on one returns a `torch.Tensor` and costs nothing more.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import nn

from lamella.errors import ShapeError


class _Assignable:
    """In-place assignment under Keras's names; the tensor stays the same object in the same memory."""

    path = ""
    """The names of the layers that it was made within, and its own: "encoder/dense/kernel"."""
    regularizer: Any = None
    """The penalty that its layer adds to the loss for it."""
    constraint: Any = None
    """What optimizers put it within after each step."""

    @property
    def name(self) -> str | None:
        """The last part of its path."""
        return self.path.rpartition("/")[2] or None

    def assign(self, value: Any) -> torch.Tensor:
        """Copies `value` (an array of the same shape, or one number for all places) into this tensor.

        Raises:
            ShapeError: An array of another shape.
        """
        given = self._like(value)
        if given.shape != self.shape and given.ndim:  # type: ignore[attr-defined]
            raise ShapeError(
                f"The weight {getattr(self, 'path', '')!r} has shape {tuple(self.shape)}; the value that is assigned "  # type: ignore[attr-defined]
                f"has shape {tuple(given.shape)}. They must be equal."
            )
        with torch.no_grad():
            return self.copy_(given)  # type: ignore[attr-defined]

    def assign_add(self, value: Any) -> torch.Tensor:
        """Adds `value` in place."""
        with torch.no_grad():
            return self.add_(self._like(value))  # type: ignore[attr-defined]

    def assign_sub(self, value: Any) -> torch.Tensor:
        """Subtracts `value` in place."""
        with torch.no_grad():
            return self.sub_(self._like(value))  # type: ignore[attr-defined]

    def _like(self, value: Any) -> torch.Tensor:
        return torch.as_tensor(value, dtype=self.dtype, device=self.device)  # type: ignore[attr-defined]

    @property
    def value(self) -> torch.Tensor:
        """The tensor itself."""
        return self  # type: ignore[return-value]

    def numpy(self, **kwargs: Any) -> np.ndarray:
        """The value of now as an array of its own, which stays as it is when the weight is trained on."""
        return self.detach().cpu().numpy(**kwargs).copy()  # type: ignore[attr-defined]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        values = self.detach().cpu().numpy()  # type: ignore[attr-defined]
        if dtype is not None and values.dtype != dtype:
            return values.astype(dtype)
        return values if copy is False else values.copy()


class Weight(_Assignable, nn.Parameter):
    """A trainable weight: a `torch.nn.Parameter` with Keras's variable methods."""

    def __new__(cls, data: Any = None, requires_grad: bool = True, **attributes: Any) -> Weight:
        """`attributes` are those of another weight (accelerate makes parameters so, on another device)."""
        made: Weight = super().__new__(cls, data, requires_grad)
        made.__dict__.update(attributes)
        return made

    @property
    def trainable(self) -> bool:
        """Whether gradients flow to it."""
        return self.requires_grad

    @trainable.setter
    def trainable(self, value: bool) -> None:
        self.requires_grad_(bool(value))

    def __deepcopy__(self, memo: dict[int, Any]) -> Weight:
        copied: Weight = super().__deepcopy__(memo)
        copied.path, copied.regularizer, copied.constraint = self.path, self.regularizer, self.constraint
        return copied


class State(_Assignable, torch.Tensor):
    """A weight that no gradient trains: a moving average, a counter, the sums of a metric."""

    trainable = False

    __torch_function__ = torch._C._disabled_torch_function_impl  # type: ignore[assignment]

    def __new__(cls, data: torch.Tensor) -> State:
        return torch.Tensor._make_subclass(cls, data.detach(), False)

    def __deepcopy__(self, memo: dict[int, Any]) -> State:
        if id(self) not in memo:
            memo[id(self)] = type(self)(self.detach().clone(memory_format=torch.preserve_format))
            memo[id(self)].path = self.path
        return memo[id(self)]

    def __reduce_ex__(self, protocol: Any) -> Any:
        return _rebuild_state, (self.detach().as_subclass(torch.Tensor),)


def assignable_part(variable: Any, index: Any, part: torch.Tensor) -> torch.Tensor:
    """The part `variable[index]` with a method `assign`, which writes into the variable and gives it back."""

    def assign(value: Any) -> Any:
        with torch.no_grad():
            variable.detach()[index] = variable._like(value)
        return variable

    part.assign = assign  # type: ignore[attr-defined]
    return part


def whole(tensor: torch.Tensor) -> torch.Tensor:
    """A weight that may be spread over processes, as a plain tensor. All processes must ask at the same time."""
    full = getattr(tensor, "full_tensor", None)
    return tensor if full is None else full()


def in_this_process(tensors: list[torch.Tensor]) -> list[torch.Tensor]:
    """Of weights that may be spread over processes, the parts here, in the same memory; others as they are."""
    return [tensor.to_local() if hasattr(tensor, "to_local") else tensor for tensor in tensors]


def as_array(tensor: torch.Tensor) -> np.ndarray:
    """The whole of a weight; of bfloat16, which NumPy has not, as float32."""
    found = whole(tensor.detach()).cpu()
    return (found.float() if found.dtype is torch.bfloat16 else found).numpy()


def copy_into(weight: Any, value: torch.Tensor) -> None:
    """Copies a value, whole or spread in any way, into a weight that may be spread over processes."""
    if hasattr(value, "redistribute"):
        value = value.redistribute(weight.device_mesh, weight.placements)
    elif hasattr(weight, "full_tensor"):
        from torch.distributed.tensor import distribute_tensor

        value = distribute_tensor(value.to(weight.device, weight.dtype), weight.device_mesh, weight.placements)
    weight.copy_(value)


def _rebuild_state(data: torch.Tensor) -> State:
    return State(data)

"""`Metric`: sums that grow batch by batch, on the device, and a value computed from them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch

from lamella import initializers
from lamella.engine.dtypes import dtype_name, torch_dtype
from lamella.engine.naming import auto_name
from lamella.engine.registry import Registry, deserialize
from lamella.engine.variable import State
from lamella.losses.base import _as_tensor

registry = Registry("metric", "keras.metrics")

EPSILON = 1e-7


def sum_dtype(device: torch.device) -> torch.dtype:
    """The type that sums are kept in: float64, which counts exactly to 2**53 (float32 stops at 2**24)."""
    return torch.float32 if device.type == "mps" else torch.float64


@registry.register()
class Metric:
    """The base of metrics: subclasses write `update_state` and `result`.

    Args:
        dtype: The data type of the result; `floatx()` by default.
        name: A name for logs.

    Example:
        >>> import torch
        >>> from lamella.metrics import Metric
        >>> class Largest(Metric):
        ...     def __init__(self, name="largest"):
        ...         super().__init__(name=name)
        ...         self.largest = self.add_variable((), "zeros")
        ...     def update_state(self, y_true, y_pred, sample_weight=None):
        ...         self.largest.assign(torch.maximum(self.largest, y_pred.max()))
        ...     def result(self):
        ...         return self.largest
        >>> float(Largest()(None, torch.tensor([1.0, 3.0])))
        3.0
    """

    def __init__(self, dtype: Any = None, name: str | None = None) -> None:
        self.name = name or auto_name(type(self).__name__)
        self._dtype = dtype_name(dtype)
        self._variables: list[State] = []
        self._starts: list[State | None] = []

    @property
    def dtype(self) -> str:
        """The name of the data type of the result."""
        return self._dtype

    @property
    def variables(self) -> list[torch.Tensor]:
        """The sums."""
        return list(self._variables)

    def add_variable(
        self,
        shape: Sequence[int] | int,
        initializer: Any = "zeros",
        dtype: Any = None,
        aggregation: str = "sum",
        name: str | None = None,
    ) -> State:
        """Makes a sum (or another state) of this metric.

        Args:
            shape: Its shape.
            initializer: What it starts from, also after `reset_state`.
            dtype: Its data type; by default float64, in which counts are exact.
            aggregation: Kept for Keras's signature.
            name: Kept for Keras's signature.
        """
        shape = (shape,) if isinstance(shape, int) else tuple(shape)
        kind = torch_dtype(dtype) if dtype is not None else torch.float64
        initializer = "zeros" if initializer is None else initializer
        state = State(torch.as_tensor(initializers.get(initializer)(shape, dtype=kind)).to(kind))
        zero = initializer == "zeros" or isinstance(initializer, initializers.Zeros)
        self._variables.append(state)
        self._starts.append(None if zero else State(state.clone()))
        return state

    def add_weight(
        self,
        shape: Sequence[int] | int = (),
        initializer: Any = None,
        dtype: Any = None,
        name: str | None = None,
    ) -> State:
        """`add_variable` under its older name."""
        return self.add_variable(shape, initializer, dtype, name=name)

    def to(self, device: torch.device | str) -> Metric:
        """Moves the sums to a device."""
        device = torch.device(device)
        for i, state in enumerate(self._variables):
            if state.device != device:
                kind = sum_dtype(device) if state.dtype is torch.float64 else state.dtype
                self._replace(i, State(state.to(device, kind)))
        return self

    def _replace(self, index: int, state: State) -> None:
        old, self._variables[index] = self._variables[index], state
        for name, value in vars(self).items():
            if value is old:
                setattr(self, name, state)

    def update_state(self, *args: Any, **kwargs: Any) -> None:
        """Adds a batch."""
        raise NotImplementedError(f"{type(self).__name__} has no update_state().")

    def result(self) -> Any:
        """The value so far."""
        raise NotImplementedError(f"{type(self).__name__} has no result().")

    @torch.no_grad()
    def reset_state(self) -> None:
        """Starts afresh."""
        for state, start in zip(self._variables, self._starts, strict=True):
            if start is None:
                state.zero_()
            else:
                state.copy_(start)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Adds a batch and returns the value so far."""
        self.update_state(*args, **kwargs)
        return self.result()

    def _result(self, value: torch.Tensor) -> torch.Tensor:
        return value.to(torch_dtype(self._dtype))

    def get_config(self) -> dict[str, Any]:
        """The arguments that make this metric again."""
        return {"name": self.name, "dtype": self._dtype}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Metric:
        """The metric that `get_config` described."""
        config = {
            key: deserialize(value) if isinstance(value, dict) and key != "dtype" else value
            for key, value in config.items()
        }
        if config.get("dtype") is not None:
            config["dtype"] = dtype_name(config["dtype"])
        return cls(**config)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name}>"


def divide_no_nan(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """a / b, and 0 where b is 0."""
    return torch.where(b != 0, a / torch.where(b != 0, b, torch.ones_like(b)), torch.zeros_like(a))


def tensors(*values: Any) -> list[Any]:
    """The arguments as tensors, without gradients."""
    return [None if value is None else _as_tensor(value).detach() for value in values]


Function = Callable[..., torch.Tensor]

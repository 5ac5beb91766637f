"""`Metric`: sums that grow batch by batch, on the device, and a value computed from them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch
from torch.utils import _pytree as pytree

from lamella import initializers
from lamella.engine.device import on_one_device
from lamella.engine.dtypes import dtype_name, torch_dtype
from lamella.engine.naming import auto_name
from lamella.engine.registry import Registry, deserialize
from lamella.engine.stateless import Exchange, plain
from lamella.engine.variable import State
from lamella.errors import ArgumentError, NotBuiltError, ShapeError
from lamella.losses.base import _as_tensor

registry = Registry("metric", "keras.metrics")
functions = Registry("metric function", "keras.metrics.functions")

EPSILON = 1e-7


def sum_dtype(device: torch.device) -> torch.dtype:
    """The type that sums are kept in: float64, which counts exactly to 2**53 (float32 stops at 2**24), where it is sure
    that the device has it."""
    return torch.float64 if device.type in ("cpu", "cuda", "meta") else torch.float32


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
        self._dtype = dtype_name(getattr(dtype, "compute_dtype", dtype))
        self._variables: list[State] = []
        self._starts: list[State | None] = []

    @property
    def dtype(self) -> str:
        """The name of the data type of the result."""
        return self._dtype

    @property
    def variables(self) -> list[torch.Tensor]:
        """The sums, those of metrics inside this one too."""
        return [*self._variables, *(state for inner in self._inner() for state in inner.variables)]

    def _inner(self) -> list[Metric]:
        """The metrics that this one has as attributes, or in lists and dicts of them."""
        found: dict[int, Metric] = {}
        for value in vars(self).values():
            if isinstance(value, dict):
                value = list(value.values())
            several = value if isinstance(value, (list, tuple)) else [value]
            found.update({id(each): each for each in several if isinstance(each, Metric)})
        return list(found.values())

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

        Raises:
            NotBuiltError: Before `super().__init__()`.
        """
        if "_variables" not in vars(self):
            raise NotBuiltError(
                f"{type(self).__name__}: call super().__init__(name=name) in __init__() before add_variable()."
            )
        shape = (shape,) if isinstance(shape, int) else tuple(shape)
        kind = torch_dtype(dtype) if dtype is not None else torch.float64
        initializer = "zeros" if initializer is None else initializer
        with torch.device("cpu"):  # they follow the first batch; a model may be made on meta
            state = State(torch.as_tensor(initializers.get(initializer)(shape, dtype=kind)).to(kind))
        if self._variables:  # a sum made at the first batch joins those that were moved
            state = _moved(state, self._variables[0].device)
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
        """Moves the sums to a device. They stay the same objects, wherever a metric keeps them."""
        device = torch.device(device)
        for state in self.variables:
            if state.device != device:
                torch.utils.swap_tensors(state, _moved(state, device))
        return self

    def _follow(self, batch: torch.Tensor) -> None:
        """Moves the sums to where the batch is, unless they are there."""
        if self._variables and self._variables[0].device != batch.device:
            self.to(batch.device)

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
        for inner in self._inner():
            inner.reset_state()

    def stateless_update_state(self, metric_variables: Sequence[Any], *args: Any, **kwargs: Any) -> list[torch.Tensor]:
        """What the sums would be if they were `metric_variables` and a batch were added; this metric stays as it is.

        Example:
            >>> import torch
            >>> from lamella.metrics import Sum
            >>> metric = Sum()
            >>> metric.stateless_update_state([torch.tensor(2.0)], torch.tensor([3.0, 4.0]))
            [tensor(9., dtype=torch.float64)]
            >>> float(metric.result())
            0.0
        """
        with self._holding(metric_variables) as held:
            self.update_state(*args, **kwargs)
            now = self.variables
            found = [plain(state) for state in now]
            for state in now:
                if id(state) not in held:  # made by this first batch
                    state.zero_()
            return found

    def stateless_result(self, metric_variables: Sequence[Any]) -> Any:
        """The value that the sums `metric_variables` give; this metric stays as it is."""
        with self._holding(metric_variables):
            return pytree.tree_map(plain, self.result())

    def stateless_reset_state(self) -> list[torch.Tensor]:
        """What the sums start from; this metric stays as it is."""
        with self._holding(self.variables):
            self.reset_state()
            return [plain(state) for state in self.variables]

    @contextmanager
    def _holding(self, values: Sequence[Any]) -> Iterator[set[int]]:
        """For a while, `values` in place of the sums; gives the ids of what stands there."""
        states = self.variables
        if len(values) != len(states):
            raise ArgumentError(
                f"{self.name}: `metric_variables` must have one tensor for each of the {len(states)} variables of "
                f"this metric; got {len(values)}. Start from `metric.variables` or `metric.stateless_reset_state()`."
            )
        exchange = Exchange(self.with_inner())
        exchange.put(states, values, "metric_variables")
        with exchange:
            yield {id(state) for state in self.variables}

    def state_dict(self) -> dict[str, Any]:
        """What was counted, by names."""
        return {str(i): state for i, state in enumerate(self.variables)}

    @torch.no_grad()
    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Puts back what `state_dict` gave."""
        for own, value in zip(self.variables, state.values(), strict=True):
            own.copy_(value)

    def gathered(self, group: Any) -> AbstractContextManager[None]:
        """Within it, what the processes of a group counted besides `variables`, which are sums, is that of all."""
        return nullcontext()

    def with_inner(self) -> list[Metric]:
        """This metric, and those that it is made of."""
        return [self, *(each for inner in self._inner() for each in inner.with_inner())]

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Adds a batch and returns the value so far."""
        self.update_state(*args, **kwargs)
        return self.result()

    def _result(self, value: torch.Tensor) -> torch.Tensor:
        return value.to(torch_dtype(self._dtype), copy=True)  # never the sum itself, which goes on growing

    def _needs_a_batch(self) -> None:
        if not getattr(self, "_made", True):
            raise NotBuiltError(
                f"{self.name}: there is no result yet, because the number of classes is known from the first batch. "
                f"Call update_state() first."
            )

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
        return f"<{type(self).__name__} name={self.name}>"


def _moved(state: torch.Tensor, device: torch.device) -> State:
    kind = sum_dtype(device) if state.dtype is torch.float64 else state.dtype
    return State(state.detach().to(device, kind))


def divide_no_nan(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """a / b, and 0 where b is 0."""
    return torch.where(b != 0, a / torch.where(b != 0, b, torch.ones_like(b)), torch.zeros_like(a))


def tensors(*values: Any) -> list[Any]:
    """The arguments as tensors of one device, without gradients."""
    return on_one_device([None if value is None else _as_tensor(value).detach() for value in values])


def class_numbers(x: torch.Tensor, axis: int = -1) -> torch.Tensor:
    """Where the largest along `axis` is: the class of one-hot rows (of truth values too) or of scores."""
    return (x.to(torch.uint8) if x.dtype is torch.bool else x).argmax(dim=axis)


def spread(name: str, weight: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
    """Weights, one for each sample or for each element, as one for each element of `values`.

    Raises:
        ShapeError: Weights that fit neither.
    """
    given = weight
    while weight.ndim > values.ndim and weight.shape[-1] == 1:
        weight = weight.squeeze(-1)
    while weight.ndim < values.ndim:
        weight = weight.unsqueeze(-1)
    if weight.ndim != values.ndim or any(a not in (1, b) for a, b in zip(weight.shape, values.shape, strict=True)):
        raise weight_error(name, given, values)
    return weight.expand(values.shape)


def weight_error(name: str, weight: torch.Tensor, values: torch.Tensor) -> ShapeError:
    """The error for weights that do not fit."""
    return ShapeError(
        f"{name}: sample_weight of shape {tuple(weight.shape)} does not fit values of shape {tuple(values.shape)}: "
        f"give one weight a sample, shape ({values.shape[0] if values.ndim else 1},), or one an element."
    )


class Constant:
    """Numbers that a metric computes with, copied to a device once (each copy would make a GPU wait)."""

    def __init__(self, numbers: Sequence[float]) -> None:
        self.numbers = list(numbers)
        self._copies: dict[Any, torch.Tensor] = {}

    def on(self, device: torch.device, dtype: torch.dtype) -> torch.Tensor:
        """The numbers as a tensor."""
        key = (device, dtype)
        if key not in self._copies:
            self._copies[key] = torch.tensor(self.numbers, dtype=dtype, device=device)
        return self._copies[key]


Function = Callable[..., torch.Tensor]

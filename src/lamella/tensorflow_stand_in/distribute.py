"""`tf.distribute` for one device: scripts that are written for several compute the same numbers on one.

Several processes are `lamella run --nproc N` and `lamella.distribution`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from enum import Enum
from typing import Any

from lamella.errors import ArgumentError
from lamella.tensorflow_stand_in.devices import device as on_device
from lamella.tensorflow_stand_in.functions import reduce_mean, reduce_sum
from lamella.tensorflow_stand_in.tensors import convert_to_tensor

__all__ = ["MirroredStrategy", "OneDeviceStrategy", "ReduceOp", "Strategy", "get_strategy"]


class ReduceOp(Enum):
    """How `Strategy.reduce` joins numbers."""

    SUM = "SUM"
    MEAN = "MEAN"


class Strategy:
    """How training is spread over devices: here, over one.

    Example:
        >>> strategy = MirroredStrategy()
        >>> with strategy.scope():
        ...     strategy.num_replicas_in_sync, get_strategy() is strategy
        (1, True)
        >>> strategy.reduce("SUM", strategy.run(lambda x: x * 2, args=(convert_to_tensor([1.0, 2.0]),)), axis=0).item()
        6.0
    """

    num_replicas_in_sync = 1
    _device: str | None = None

    @contextmanager
    def scope(self) -> Iterator[Strategy]:
        """Within it models and variables are made on the device of the strategy."""
        with ExitStack() as entered:
            if self._device is not None:
                entered.enter_context(on_device(self._device))
            _scopes.append(self)
            entered.callback(_scopes.pop)
            yield self

    def run(self, fn: Callable[..., Any], args: Any = (), kwargs: Any = None, options: Any = None) -> Any:
        """What the function gives for this device's share of the batch, which is all of it."""
        return fn(*args, **(kwargs or {}))

    def reduce(self, reduce_op: Any, value: Any, axis: int | None = None) -> Any:
        """The sum or the mean over the devices, and along `axis`.

        Raises:
            ArgumentError: Another operation than SUM and MEAN.
        """
        name = str(getattr(reduce_op, "value", reduce_op)).upper()
        if name not in ReduceOp.__members__:
            raise ArgumentError(f"Strategy.reduce: expected 'SUM' or 'MEAN' as `reduce_op`; got {reduce_op!r}.")
        if axis is None:
            return convert_to_tensor(value)
        return (reduce_sum if name == "SUM" else reduce_mean)(value, axis)

    def experimental_distribute_dataset(self, dataset: Any, options: Any = None) -> Any:
        """The data set: its batches go to one device."""
        return dataset

    def experimental_local_results(self, value: Any) -> tuple[Any, ...]:
        """The results of each device: one."""
        return (value,)


class MirroredStrategy(Strategy):
    """A model on all devices of a machine: on one. The whole batch goes to it, whatever `devices` are named."""

    def __init__(self, devices: Any = None, cross_device_ops: Any = None) -> None:
        pass


class OneDeviceStrategy(Strategy):
    """One device, by its name (`"/CPU:0"`, `"/GPU:0"`)."""

    def __init__(self, device: str) -> None:
        self._device = device


_default = Strategy()
_scopes: list[Strategy] = []


def get_strategy() -> Strategy:
    """The strategy whose scope this is; one for one device outside of all."""
    return _scopes[-1] if _scopes else _default

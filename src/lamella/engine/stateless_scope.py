"""`StatelessScope`: variables have other values for a while, and what is assigned to them goes to the scope."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch.overrides import TorchFunctionMode
from torch.utils import _pytree as pytree

from lamella.engine.stateless import changeable, plain
from lamella.engine.variable import State, Weight
from lamella.errors import ArgumentError, ShapeError

active: StatelessScope | None = None
"""The innermost scope: quick ways of computing, which torch cannot look into, are left aside within it."""

_IN_PLACE = frozenset({"__setitem__", "__iadd__", "__isub__", "__imul__", "__itruediv__", "__idiv__"})


class StatelessScope(TorchFunctionMode):
    """Within it, variables have the values of `state_mapping`, and no variable is changed.

    Every operation of torch within the scope computes with those values, and gradients flow to them; what is assigned
    to a variable is kept by the scope. `layer.stateless_call` and the like are quicker, where they do.

    Args:
        state_mapping: Pairs of a variable (a weight, the sum of a metric, a `Variable`) and a tensor of its shape.
        collect_losses: Whether `losses` gets what layers add by `add_loss`.
        initialize_variables: Kept for Keras's signature.

    Raises:
        ArgumentError: A key that is no variable.
        ShapeError: A value of another shape than its variable.

    Example:
        >>> import lamella, torch
        >>> a, b = lamella.Variable([1.0, 2.0]), lamella.Variable([0.0, 0.0])
        >>> with lamella.StatelessScope([(a, torch.tensor([5.0, 6.0]))]) as scope:
        ...     _ = b.assign(a * 2)
        >>> b.numpy().tolist(), scope.get_current_value(b).tolist()
        ([0.0, 0.0], [10.0, 12.0])
    """

    def __init__(
        self,
        state_mapping: Iterable[tuple[Any, Any]] | None = None,
        collect_losses: bool = False,
        initialize_variables: bool = True,
    ) -> None:
        super().__init__()
        self.collect_losses = collect_losses
        self.initialize_variables = initialize_variables
        self.losses: list[torch.Tensor] = []
        self._now: dict[int, torch.Tensor] = {}
        self._kept: list[torch.Tensor] = []  # their ids are in use as long as they live
        self._owned: set[int] = set()
        self._before: list[StatelessScope | None] = []
        for variable, value in state_mapping or ():
            if not isinstance(variable, (Weight, State)):
                raise ArgumentError(f"StatelessScope: a key of `state_mapping` must be a variable; got {variable!r}.")
            self.add_update((variable, value))

    def add_update(self, update: tuple[Any, Any]) -> None:
        """Gives a variable a value: `(variable, value)`."""
        variable, value = update
        found = plain(value) if isinstance(value, State) else value
        found = torch.as_tensor(found, device=variable.device).to(variable.dtype)
        if found.shape != variable.shape:
            raise ShapeError(
                f"StatelessScope: a value of shape {tuple(found.shape)} for a variable of shape "
                f"{tuple(variable.shape)}; they must be equal."
            )
        self._now[id(variable)] = found
        self._owned.discard(id(variable))
        self._kept.append(variable)

    def add_loss(self, loss: torch.Tensor) -> None:
        """Keeps a loss."""
        self.losses.append(loss)

    def get_current_value(self, variable: Any) -> torch.Tensor | None:
        """The value that a variable has in the scope; None for one that was neither mapped nor changed."""
        found = self._now.get(id(variable))
        return None if found is None else plain(found)

    def __enter__(self) -> StatelessScope:
        global active
        self._before.append(active)
        active = self
        super().__enter__()
        return self

    def __exit__(self, *exception: Any) -> None:
        global active
        super().__exit__(*exception)
        active = self._before.pop()

    def __torch_function__(self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Runs an operation of torch on the values of now."""
        if _changes(func) and args:
            pytree.tree_map_only((Weight, State), self._own, args[0])
        if kwargs and kwargs.get("out") is not None:
            pytree.tree_map_only((Weight, State), self._own, kwargs["out"])
        if not self._now:
            return func(*args, **(kwargs or {}))
        args, kwargs = pytree.tree_map_only(torch.Tensor, self._current, (args, kwargs or {}))
        return func(*args, **kwargs)

    def _current(self, tensor: torch.Tensor) -> torch.Tensor:
        return self._now.get(id(tensor), tensor)

    def _own(self, variable: torch.Tensor) -> None:
        """Makes the value of a variable one that may be changed in place."""
        if id(variable) in self._owned or hasattr(variable, "stands_in"):  # the copy of a scope within this one
            return
        if id(variable) not in self._now:
            self._kept.append(variable)
        self._now[id(variable)] = changeable(self._now.get(id(variable), variable))
        self._owned.add(id(variable))


def _changes(func: Callable[..., Any]) -> bool:
    """Whether an operation changes its first argument."""
    name = getattr(func, "__name__", "")
    return name in _IN_PLACE or (name.endswith("_") and not name.endswith("__"))

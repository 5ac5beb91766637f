"""A small training step, recorded once as the flat list of torch's operations and played again for each batch.

Where operations are short, half of a step is bookkeeping: layers calling layers, autograd's graph. All of it is the
same in every step; only the numbers differ. So one step's operations, forward and backward, are recorded below
autograd, and later batches of the same shape go through that list. The next batch is computed both ways, and unless
every bit of loss, predictions, gradients and moving averages agrees (and the random generator is left in the same
state) the step stays as it was.

Only steps whose Python has no say in the numbers may be recorded; the caller knows which those are, and is asked when
a step turns out to be short.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from lamella.engine import masking
from lamella.engine.kept import Kept, copies, put_back

Computed = tuple[torch.Tensor, torch.Tensor, Sequence[torch.Tensor | None]]
Compute = Callable[[Any, Any, Any], Computed]
"""From (x, y, weight) to the loss, the predictions and the gradients."""

_SHORT = 5e-2
"""Seconds; recording takes about three steps' time in each `fit`, and few fits have many longer ones."""
_BOOKKEEPING, _WORTH = 8e-6, 0.04
"""Seconds that an operation costs beside its work; the share of the step from which on it is worth to save them."""
_HELD = 2**30
"""Bytes: while a step is recorded, all that it computes is held; one that computes more is not recorded."""
_UNSEEN = (torch.Tag.data_dependent_output, torch.Tag.dynamic_output_shape)


class Replay:
    """Computes as `compute` does, from the sixth batch on by playing its operations if that is worth it.

    Args:
        compute: The step without its update.
        settings: The numbers that the layers compute with (rates, ...); a recording holds while they stay equal.
        may_be_recorded: Whether Python has no say in the step's numbers.
    """

    def __init__(
        self, compute: Compute, settings: Callable[[], Any], may_be_recorded: Callable[[], bool] = lambda: True
    ) -> None:
        self.compute = compute
        self.settings = settings
        self.may_be_recorded = may_be_recorded
        self.paused = False
        self._restart()

    def _restart(self) -> None:
        self.played: Callable[[torch.Tensor, torch.Tensor], Computed] | None = None
        self._next: Compute | None = self._warm_up
        self._batch: Any = None
        self._known: Any = None
        self._seconds = 0.0
        self._changed: Sequence[torch.Tensor] = ()

    def new_epoch(self, paused: bool) -> None:
        """Forgets the recording if a setting was changed since it was made.

        Args:
            paused: Whether this epoch is to be computed afresh for every batch, as somebody may change a setting
                between two of them.
        """
        self.paused = paused
        if self._known is not None and self._known != self.settings():
            self._restart()

    def __call__(self, x: Any, y: Any, weight: Any) -> Computed:
        if self.paused:
            return self.compute(x, y, weight)
        if self._next is not None:
            return self._next(x, y, weight)
        if self.played is not None and weight is None and _likeness(x, y) == self._batch:
            with torch.no_grad():
                return self.played(x, y)
        return self.compute(x, y, weight)

    def _warm_up(self, x: Any, y: Any, weight: Any) -> Computed:
        self._next = self._measure
        return self.compute(x, y, weight)

    def _measure(self, x: Any, y: Any, weight: Any) -> Computed:
        start = time.perf_counter()
        computed = self.compute(x, y, weight)
        self._seconds = time.perf_counter() - start
        plain = weight is None and _likeness(x, y) is not None and type(computed[1]) is torch.Tensor
        short = self._seconds < _SHORT and plain and masking.get_mask(computed[1]) is None
        self._next = self._count if short and self.may_be_recorded() else None
        return computed

    def _count(self, x: Any, y: Any, weight: Any) -> Computed:
        with _Counter() as counter:
            computed = self.compute(x, y, weight)
        worth_it = counter.operations * _BOOKKEEPING > _WORTH * self._seconds
        self._next = self._record if worth_it else None
        return computed

    def _record(self, x: Any, y: Any, weight: Any) -> Computed:
        self._batch, self._known = _likeness(x, y), self.settings()
        with _Recorder() as recorder:
            computed = self.compute(x, y, weight)
        recording = recorder.recording(x, y, computed)
        self._next = None
        if recording is not None:
            self.played, self._changed = recording
            self._next = self._compare
        return computed

    def _compare(self, x: Any, y: Any, weight: Any) -> Computed:
        if weight is not None or _likeness(x, y) != self._batch or self.played is None:
            return self.compute(x, y, weight)
        self._next = None
        kept: list[Kept] = [*self._changed, torch.default_generator]
        before = copies(kept)
        try:
            with torch.no_grad():
                played = self.played(x, y)
        except (TypeError, RuntimeError):  # an operation that takes its arguments in another way
            played = None
        after = copies(kept)
        put_back(kept, before)
        computed = self.compute(x, y, weight)
        if not (played and _equal((*played[:2], *played[2], *after), (*computed[:2], *computed[2], *copies(kept)))):
            self.played = None
        return computed


def _likeness(x: Any, y: Any) -> Any:
    if not (type(x) is torch.Tensor and type(y) is torch.Tensor and x.is_contiguous() and y.is_contiguous()):
        return None
    return x.shape, y.shape, x.dtype, y.dtype


def _equal(some: Sequence[torch.Tensor | None], others: Sequence[torch.Tensor | None]) -> bool:
    return all(map(_same, some, others))


def _same(one: torch.Tensor | None, other: torch.Tensor | None) -> bool:
    if one is None or other is None:
        return one is other
    return bool(((one == other) | (one.isnan() & other.isnan())).all())


class _Recording(NamedTuple):
    play: Callable[[torch.Tensor, torch.Tensor], Computed]
    changed: Sequence[torch.Tensor]
    """What stays from batch to batch and is written to: moving averages."""


class _Counter(TorchDispatchMode):
    """Counts the operations that torch dispatches."""

    operations = 0

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False  # hiding this class from torch's compiler would load it: more than a second

    def __torch_dispatch__(self, operation: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.operations += 1
        return operation(*args, **(kwargs or {}))


class _Recorder(_Counter):
    """Keeps each operation, with its arguments and results."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[tuple[Any, tuple[Any, ...], dict[str, Any], Any]] = []
        self.held = 0
        self.playable = True

    def __torch_dispatch__(self, operation: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = super().__torch_dispatch__(operation, types, args, kwargs)
        made = [each for each in tree_leaves(result) if isinstance(each, torch.Tensor)]
        self.held += 0 if operation.is_view else sum(each.nbytes for each in made if each.layout is torch.strided)
        seen = all(each.layout is torch.strided for each in made) and not any(tag in operation.tags for tag in _UNSEEN)
        self.playable = self.playable and seen and self.held < _HELD
        if self.playable:
            self.calls.append((operation, args, kwargs or {}, result))
        else:
            self.calls.clear()
        return result

    def recording(self, x: torch.Tensor, y: torch.Tensor, computed: Computed) -> _Recording | None:
        """The function (x, y) -> (loss, predictions, gradients) of these calls; None where there can be none."""
        return _Source(self.calls, x, y, computed).recording() if self.playable else None


class _Unplayable(Exception):
    """What a call needs cannot be had again."""


def _place(tensor: torch.Tensor) -> int:
    return tensor.untyped_storage().data_ptr()


def _view(tensor: torch.Tensor) -> Any:
    """What two tensors that are the same have in common."""
    flags = tensor.is_conj(), tensor.is_neg()
    return _place(tensor), tensor.storage_offset(), tensor.shape, tensor.stride(), tensor.dtype, flags


def _quick(operation: Any) -> Any:
    """The same operation by the door that takes half the time, where it has one: as a function or method of torch."""
    name = operation.overloadpacket.__name__
    return getattr(torch._C._VariableFunctions, name, None) or getattr(torch._C.TensorBase, name, None) or operation


def _shorter(calls: Sequence[Any]) -> list[Any]:
    """The calls, where a sum that is made to keep its axes, and loses them by the next call, loses them at once.

    That is how autograd adds up the gradient of a bias. Whoever asks for the longer sum finds that it is not there.
    """
    found: list[Any] = []
    for call in calls:
        operation, args, _, result = call
        if operation is torch.ops.aten.view.default and found and found[-1][0] is torch.ops.aten.sum.dim_IntList:
            _, (summed, axes, *keepdim), options, long = found[-1]
            lost = {axis % summed.ndim for axis in axes}
            rest = [size for axis, size in enumerate(summed.shape) if axis not in lost]
            if args[0] is long and keepdim == [True] and not options and rest == list(result.shape):
                found[-1] = (torch.ops.aten.sum.dim_IntList, (summed, axes), {}, result)
                continue
        found.append(call)
    return found


def _forgetful(lines: Sequence[str]) -> list[str]:
    """The lines, each of which lets go of what none after it needs: so does autograd."""
    found: list[str] = []
    needed = set(_NAME.findall(lines[-1]))
    for line in reversed(lines[:-1]):
        last = sorted(set(_NAME.findall(line)) - needed)
        needed.update(last)
        found.append(f"{line}; del {', '.join(last)}" if last else line)
    return [*reversed(found), lines[-1]]


_NAME = re.compile(r"\bt\d+\b")


class _Source:
    """Python text for recorded calls: a line for each, a name for each tensor, the rest by reference."""

    def __init__(self, calls: Sequence[Any], x: torch.Tensor, y: torch.Tensor, computed: Computed) -> None:
        self.calls, self.computed = calls, computed
        self.names = {id(x): "x", id(y): "y"}
        self.given: dict[str, Any] = {}
        self.made = {_place(x), _place(y)}
        self.kept: set[int] = set()
        self.changed: dict[int, torch.Tensor] = {}
        self.views = {_view(x): "x", _view(y): "y"}
        self.lines: list[str] = []

    def recording(self) -> _Recording | None:
        """The function and what it changes, or None."""
        try:
            for call in _shorter(self.calls):
                self._line(*call)
            loss, predictions, gradients = self.computed
            listed = "".join(f"{self._value(gradient)}, " for gradient in gradients)
            self.lines.append(f"return {self._value(loss)}, {self._value(predictions)}, ({listed})")
        except _Unplayable:
            return None
        exec("def play(x, y):\n    " + "\n    ".join(_forgetful(self.lines)), self.given)
        return _Recording(self.given["play"], list(self.changed.values()))

    def _line(self, operation: Any, args: Any, kwargs: Any, result: Any) -> None:
        if operation is torch.ops.aten.detach.default:  # nothing is attached when played
            self.names[id(result)] = self._value(args[0])
            return
        if operation.is_view and isinstance(result, torch.Tensor) and self._is_kept(args[0]):
            self.names[id(result)] = self._given("kept", result)  # a weight seen otherwise: so it is at every batch
            return
        if operation.is_view and isinstance(result, torch.Tensor) and _view(result) in self.views:
            self.names[id(result)] = self.views[_view(result)]  # seen before: permuted forth and back, say
            return
        values = [self._value(each) for each in args]
        for place, argument in enumerate(operation._schema.arguments):
            if argument.alias_info is not None and argument.alias_info.is_write:
                written = args[place] if place < len(args) else kwargs[argument.name]
                self.changed |= {id(each): each for each in tree_leaves(written) if _place(each) in self.kept}
        values += [f"{key}={self._value(value)}" for key, value in kwargs.items() if value is not None]
        results = result if isinstance(result, (tuple, list)) else [result]
        for each in results:
            if isinstance(each, torch.Tensor):
                self.names.setdefault(id(each), f"t{len(self.names)}")
                if _place(each) not in self.kept:
                    self.made.add(_place(each))
                    self.views.setdefault(_view(each), self.names[id(each)])
        if any(self._is_given(each) and id(each) not in self.changed for each in results):
            raise _Unplayable  # a tensor that Python made of numbers, maybe those of this batch
        targets = ", ".join("_" if self._is_given(each) else self.names.get(id(each), "_") for each in results)
        self.lines.append(f"{targets} = {self._given('call', _quick(operation))}({', '.join(values)})")

    def _is_given(self, tensor: Any) -> bool:
        return self.names.get(id(tensor)) in self.given

    def _is_kept(self, tensor: torch.Tensor) -> bool:
        return self._value(tensor).startswith("kept")

    def _value(self, value: Any) -> str:
        if isinstance(value, torch.Tensor):
            if id(value) not in self.names:
                if _place(value) in self.made:
                    raise _Unplayable  # of this batch, but by a way that was not seen
                self.kept.add(_place(value))
                self.names[id(value)] = self._given("kept", value)
            return self.names[id(value)]
        if isinstance(value, torch.Generator):
            raise _Unplayable  # its state is not compared
        if isinstance(value, (list, tuple)):
            return "[" + ", ".join(self._value(each) for each in value) + "]"
        if value is None or type(value) in (int, bool, str):
            return repr(value)
        return self._given("kept", value)  # floats too: inf and nan have no literal

    def _given(self, kind: str, value: Any) -> str:
        name = f"{kind}{len(self.given)}"
        self.given[name] = value
        return name

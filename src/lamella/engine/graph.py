"""A graph of recorded calls, from some symbolic inputs to some outputs: it computes on real tensors.

The nodes stand in an order in which they can be computed, and their values in one list: each call knows the slots in
it that it reads and writes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch.nn.modules import module
from torch.utils import _pytree as pytree

from lamella.engine import masking
from lamella.engine.symbolic import Node, SymbolicTensor, record, symbolic_leaves
from lamella.errors import ArgumentError


class Graph:
    """The nodes between some symbolic inputs and outputs, in an order in which they can be computed.

    Args:
        inputs: Symbolic tensors in any nesting of lists, tuples and dicts.
        outputs: Symbolic tensors in any nesting.
        fuse: Given two functions of which the second alone uses the first's result (and, where the second takes a
            list, the place of that result in it), one that computes both quicker, or None.
        hide: Given a function whose result is no output, and those that take it, the function that is called for it.

    Raises:
        ArgumentError: An output that cannot be computed from the inputs; the message names what is missing.
    """

    def __init__(
        self,
        inputs: Any,
        outputs: Any,
        fuse: Callable[..., Any] | None = None,
        hide: Callable[..., Any] | None = None,
    ) -> None:
        self.inputs = inputs
        self.outputs = outputs
        self.input_list = _all_symbolic(inputs, "inputs")
        self.output_list = _all_symbolic(outputs, "outputs")
        self.nodes = self._sorted_nodes()
        self._compile(fuse, hide)

    def _sorted_nodes(self) -> list[Node]:
        given = {id(tensor) for tensor in self.input_list}
        done: dict[int, Node] = {}
        stack: list[tuple[SymbolicTensor, bool]] = [(tensor, False) for tensor in reversed(self.output_list)]
        while stack:  # depth first without recursion: a deep network would pass Python's limit
            tensor, ready = stack.pop()
            node = tensor.node
            if id(tensor) in given or (node is not None and id(node) in done):
                continue
            if node is None or not node.inputs:
                raise ArgumentError(
                    f"Graph disconnected: {tensor.name!r} of shape {tensor.shape} is needed for the outputs but is "
                    f"not among the inputs {[t.name for t in self.input_list]}. Add it to `inputs`."
                )
            if ready:
                done[id(node)] = node
                continue
            stack.append((tensor, True))
            stack.extend((source, False) for source in reversed(node.inputs))
        return list(done.values())

    def nodes_by_depth(self) -> list[Node]:
        """All nodes, those of the inputs too, in Keras's order: the farthest from the outputs first.

        Among equals, in the order in which a walk from the outputs back meets them.
        """
        inputs = [tensor.node for tensor in self.input_list if tensor.node is not None]
        met, finished = self._walk_back()
        depth: dict[int, int] = {}
        of_operations: dict[int, int] = {}
        for node in reversed(finished):  # a layer that is called twice is as deep as its deeper call
            own = max(depth.get(id(node), 0), of_operations.get(node.operation, 0))
            depth[id(node)] = of_operations[node.operation] = own
            for tensor in node.inputs:
                if tensor.node is not None:
                    depth[id(tensor.node)] = max(depth.get(id(tensor.node), 0), own + 1)
        every = {id(node): node for node in (*inputs, *finished)}
        return sorted(every.values(), key=lambda node: (-depth.get(id(node), 0), met.get(node.operation, len(met))))

    def _walk_back(self) -> tuple[dict[int, int], list[Node]]:
        """The operations by when a walk from the outputs back meets them, and the nodes by when it leaves them."""
        given = {id(tensor) for tensor in self.input_list}
        met: dict[int, int] = {}
        left: dict[int, Node] = {}
        stack: list[tuple[SymbolicTensor, bool]] = [(tensor, False) for tensor in reversed(_by_key(self.outputs))]
        while stack:
            tensor, leaving = stack.pop()
            node = tensor.node
            if node is None or id(node) in left:
                continue
            if leaving or id(tensor) in given:
                met.setdefault(node.operation, len(met))
                left[id(node)] = node
                continue
            met.setdefault(node.operation, len(met))
            stack.append((tensor, True))
            stack.extend((source, False) for source in reversed(_by_key((node.args, node.kwargs))))
        return met, list(left.values())

    def _compile(self, fuse: Callable[..., Any] | None, hide: Callable[..., Any] | None) -> None:
        """Gives each symbolic tensor a slot in a list, and each node the plan of its call."""
        slots = {id(tensor): slot for slot, tensor in enumerate(self.input_list)}
        steps: dict[int, Step] = {}
        for node in self.nodes:
            out_slots = [slots.setdefault(id(leaf), len(slots)) for leaf in pytree.tree_leaves(node.outputs)]
            steps[id(node)] = Step(node, slots, out_slots)
        if fuse is not None:
            self._fuse(steps, fuse)
        self.steps = list(steps.values())
        self.size = len(slots)
        self.output_slots = _with_slots(alone(self.outputs), slots)
        if hide is not None:
            self._hide({slots[id(tensor)] for tensor in self.output_list}, hide)
        for step in self.steps:
            step.direct = getattr(step.function, "direct", step.function) if step.alone else step.function

    def _fuse(self, steps: dict[int, Step], fuse: Callable[..., Any]) -> None:
        uses = Counter(id(tensor) for node in self.nodes for tensor in node.inputs)
        uses.update(id(tensor) for tensor in self.output_list)
        for node in self.nodes:
            step = steps[id(node)]
            for place, tensor in enumerate(node.inputs if step.listed or step.source >= 0 else ()):
                first = steps.get(id(tensor.node))
                if first is None or uses[id(tensor)] != 1 or not (first.alone and first.single):
                    continue
                if step.listed and first.source < 0:
                    continue
                together = fuse(first.function, step.function, *([place] if step.listed else []))
                if together is not None:
                    step.take_over(first, together, place)
                    del steps[id(tensor.node)]
                    break

    def _hide(self, seen: set[int], hide: Callable[..., Any]) -> None:
        takers: dict[int, list[Any]] = {}
        for step in self.steps:
            for slot in step.reads:
                takers.setdefault(slot, []).append(step.function)
        for step in self.steps:
            if step.single and step.out not in seen:
                step.function = hide(step.function, takers.get(step.out, ()))

    def again(self, input_list: Sequence[SymbolicTensor]) -> Any:
        """The outputs for other symbolic inputs, as symbolic tensors; the nodes of the layers stay as they are."""
        same = [one.shape == other.shape for one, other in zip(self.input_list, input_list, strict=True)]
        if all(same):
            return self.outputs
        found = {id(own): given for own, given in zip(self.input_list, input_list, strict=True)}
        for node in self.nodes:
            args, kwargs = _replaced((node.args, node.kwargs), found)
            outputs = node.function(*args, **kwargs) if node.is_layer else record(node.function, args, kwargs)
            if node.is_layer:
                node.function._nodes.pop()  # type: ignore[attr-defined]
            own, given = pytree.tree_leaves(node.outputs), pytree.tree_leaves(outputs)
            found |= {id(one): other for one, other in zip(own, given, strict=True)}
        return _replaced(self.outputs, found)

    def __call__(self, input_list: Sequence[torch.Tensor]) -> Any:
        """Computes the outputs for a flat list of input tensors: nested as they were given, one in a list by itself."""
        values: list[Any] = [None] * self.size
        values[: len(input_list)] = input_list
        direct = calls_can_be_direct()
        for step in self.steps:
            step.run(values, step.direct if direct else step.function)
        return filled(self.output_slots, values)


def calls_can_be_direct() -> bool:
    """Whether a model may go straight to its layers' `call`: no mask is on its way, no hook is on every module."""
    return not (
        masking.in_use
        or module._global_forward_hooks
        or module._global_forward_pre_hooks
        or module._global_backward_hooks
        or module._global_backward_pre_hooks
    )


def alone(structure: Any) -> Any:
    """What is in a list or tuple of one; any other structure as it is."""
    return structure[0] if isinstance(structure, (list, tuple)) and len(structure) == 1 else structure


class Slot:
    """A place in the list of values, standing in the arguments of a call.

    It is no `int`, since those may be arguments, too; and no kind of one: compilers index lists by plain ones.
    """

    def __init__(self, place: int) -> None:
        self.place = place


def _with_slots(structure: Any, slots: dict[int, int]) -> Any:
    return pytree.tree_map_only(SymbolicTensor, lambda tensor: Slot(slots[id(tensor)]), structure)


def places(structure: Any) -> set[int]:
    """Those of the slots in the structure."""
    return {slot.place for slot in pytree.tree_leaves(structure) if isinstance(slot, Slot)}


def filled(structure: Any, values: Any) -> Any:
    """The structure with each slot replaced by its value."""
    kind = type(structure)
    if kind is Slot:
        return values[structure.place]
    if kind is list or kind is tuple:
        return kind([filled(item, values) for item in structure])
    if kind is dict:
        return {key: filled(item, values) for key, item in structure.items()}
    if isinstance(structure, (tuple, dict)) and kind is not torch.Size:  # a named tuple, an ordered dict
        return pytree.tree_map_only(Slot, lambda slot: values[slot.place], structure)
    return structure


class Step:
    """How one node is computed from the list of values: the common case, one tensor in and one out, is quick."""

    def __init__(self, node: Node, slots: dict[int, int], out_slots: list[int]) -> None:
        self.function = self.direct = node.function
        self.out_slots = out_slots
        self.out = out_slots[0]
        self.alone = len(node.args) == 1 and not node.kwargs
        given = node.args[0] if self.alone else None
        self.source = slots[id(given)] if isinstance(given, SymbolicTensor) else -1
        self.listed = isinstance(given, list) and all(isinstance(item, SymbolicTensor) for item in given)
        self.args, self.kwargs = _with_slots((node.args, node.kwargs), slots)
        self.single = isinstance(node.outputs, SymbolicTensor)

    def take_over(self, first: Step, together: Callable[..., Any], place: int) -> None:
        """From now on computes both: `first`, whose result was the input in this place of its list, and itself."""
        self.function = together
        if self.listed:
            self.args[0][place] = first.args[0]
        else:
            self.source, self.args = first.source, first.args

    @property
    def reads(self) -> set[int]:
        """The places that it reads."""
        if self.source >= 0:
            return {self.source}
        return places((self.args, self.kwargs))

    def run(self, values: Any, function: Callable[..., Any]) -> None:
        if self.source >= 0:
            result = function(values[self.source])
        else:
            result = function(*filled(self.args, values), **filled(self.kwargs, values))
        if self.single:
            values[self.out] = result
        else:
            for slot, leaf in zip(self.out_slots, pytree.tree_leaves(result), strict=True):
                values[slot] = leaf


def _all_symbolic(structure: Any, what: str) -> list[SymbolicTensor]:
    leaves = pytree.tree_leaves(structure)
    for leaf in leaves:
        if not isinstance(leaf, SymbolicTensor):
            raise ArgumentError(
                f"All {what} of a functional model must be symbolic tensors, made by lamella.Input or by calling "
                f"layers on one; got {leaf!r} ({type(leaf).__name__})."
            )
    return leaves


def _replaced(structure: Any, found: dict[int, Any]) -> Any:
    return pytree.tree_map_only(SymbolicTensor, lambda tensor: found[id(tensor)], structure)


def _by_key(structure: Any) -> list[SymbolicTensor]:
    """`symbolic_leaves`, those of a dict in the order of its sorted keys, as Keras's trees have them."""
    if isinstance(structure, dict):
        keys = sorted(structure) if all(isinstance(key, str) for key in structure) else list(structure)
        return [leaf for key in keys for leaf in _by_key(structure[key])]
    if type(structure) in (list, tuple):
        return [leaf for item in structure for leaf in _by_key(item)]
    return symbolic_leaves(structure)

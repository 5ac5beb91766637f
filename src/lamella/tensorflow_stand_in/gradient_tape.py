"""`GradientTape`: gradients as TensorFlow's scripts ask for them, by torch's autograd."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum
from typing import Any
from weakref import WeakSet

import torch
from torch.autograd.graph import GradientEdge, get_gradient_edge
from torch.utils import _pytree as pytree

from lamella.errors import ShapeError
from lamella.tensorflow_stand_in.recorded_backward import gradients, is_leaf, now, recorded_since

_running: list[GradientTape] = []


class UnconnectedGradients(Enum):
    """What stands for the gradient of a source that a target does not depend on: None, or zeros."""

    NONE = "none"
    ZERO = "zero"


class GradientTape:
    """Within it operations are recorded; afterwards `gradient` differentiates. What was computed before is a constant.

    Args:
        persistent: Whether gradients can be asked for more than once.
        watch_accessed_variables: Whether variables are differentiated without being watched.

    Example:
        >>> x = torch.tensor(3.0)
        >>> with GradientTape() as tape:
        ...     tape.watch(x)
        ...     y = x * x
        >>> tape.gradient(y, x)
        tensor(6.)
    """

    def __init__(self, persistent: bool = False, watch_accessed_variables: bool = True) -> None:
        self.persistent = persistent
        self.watch_accessed_variables = watch_accessed_variables
        self._watched: dict[int, tuple[torch.Tensor, GradientEdge]] = {}
        self._constants: list[torch.Tensor] = []  # which need a gradient only for this tape
        self._used = False
        self._start = 0
        self._beside: WeakSet[GradientTape] = WeakSet()  # tapes that recorded the same operations

    def __enter__(self) -> GradientTape:
        self._start = self._start or now()
        for tape in _running:
            tape._beside.add(self)
            self._beside.add(tape)
        self._records = torch.enable_grad()
        self._records.__enter__()
        _running.append(self)
        return self

    def __exit__(self, *exception: Any) -> None:
        _running.remove(self)
        self._records.__exit__(*exception)
        for each in self._constants:  # outside they are constants again, which may be changed in place
            each.requires_grad_(False)
        self._constants.clear()

    def watch(self, tensor: Any) -> None:
        """From now on what is computed from these tensors can be differentiated with respect to them."""
        for each in pytree.tree_leaves(tensor):
            if each.is_floating_point() or each.is_complex():
                if not each.requires_grad:
                    each.requires_grad_(True)
                    self._constants.append(each)
                self._watched[id(each)] = each, get_gradient_edge(each)

    @contextmanager
    def stop_recording(self) -> Iterator[None]:
        """Within it nothing is recorded."""
        with torch.no_grad():
            yield

    def reset(self) -> None:
        """Forgets what was recorded and watched: what was computed until now is a constant."""
        self._watched.clear()
        self._used = False
        self._start = now()

    def gradient(
        self, target: Any, sources: Any, output_gradients: Any = None, unconnected_gradients: Any = "none"
    ) -> Any:
        """The gradients of the sum of `target`, nested as `sources` are.

        Args:
            target: A tensor, or several.
            sources: Tensors or variables, in any nesting.
            output_gradients: What each target is weighted by; 1 by default.
            unconnected_gradients: What stands for a source that the target does not depend on: `"none"` (None) or
                `"zero"`.

        Raises:
            RuntimeError: A second call, for a tape that is not persistent.
        """
        self._use()
        wanted, nesting = pytree.tree_flatten(sources)
        targets = pytree.tree_leaves(target)
        if output_gradients is None:
            weights = [None] * len(targets)
        else:
            weights = [output_gradients] if isinstance(target, torch.Tensor) else pytree.tree_leaves(output_gradients)
        found = self._derived(targets, wanted, weights)
        if "zero" in str(getattr(unconnected_gradients, "value", unconnected_gradients)).lower():
            found = [torch.zeros_like(each) if g is None else g for each, g in zip(wanted, found, strict=True)]
        return pytree.tree_unflatten(found, nesting)

    def jacobian(self, target: torch.Tensor, sources: Any, **kwargs: Any) -> Any:
        """The derivative of each number of `target`: (*target.shape, *source.shape), nested as `sources` are."""
        self._use()
        wanted, nesting = pytree.tree_flatten(sources)
        rows = [self._derived([each], wanted, [None], keep=True) for each in target.reshape(-1)]
        columns = [None if column[0] is None else torch.stack(column) for column in zip(*rows, strict=True)]
        shaped = [
            None if column is None else column.reshape(*target.shape, *each.shape)
            for column, each in zip(columns, wanted, strict=True)
        ]
        return pytree.tree_unflatten(shaped, nesting)

    def batch_jacobian(self, target: torch.Tensor, source: torch.Tensor, **kwargs: Any) -> Any:
        """For each sample the derivative of its `target` by its `source`: (n, *target.shape[1:], *source.shape[1:]).

        Samples must not depend on each other, which is not checked: what one does to another is summed.

        Raises:
            ShapeError: Another number of samples in `target` than in `source`.
        """
        if not target.ndim or not source.ndim or len(target) != len(source):
            raise ShapeError(
                "batch_jacobian: target and source must have the same first axis, that of the samples; "
                f"got shapes {tuple(target.shape)} and {tuple(source.shape)}."
            )
        self._use()
        flat = target.reshape(len(target), -1)
        columns = [self._derived([each], [source], [None], keep=True)[0] for each in flat.unbind(1)]
        found = [torch.zeros_like(source) if each is None else each for each in columns]
        if not found:
            return torch.zeros(*target.shape, *source.shape[1:], dtype=source.dtype, device=source.device)
        return torch.stack(found, 1).reshape(*target.shape, *source.shape[1:])

    def _use(self) -> None:
        if self._used and not self.persistent:
            raise RuntimeError(
                "A non-persistent GradientTape can only be used to compute one set of gradients (or jacobians). "
                "Make it GradientTape(persistent=True)."
            )
        self._used = True

    def _derived(self, targets: list[Any], wanted: list[Any], weights: list[Any], keep: bool = False) -> list[Any]:
        """One gradient for each source, None where the targets do not depend on it."""
        given = [
            (each, torch.ones_like(each) if weight is None else _weight_of(each, weight))
            for each, weight in zip(targets, weights, strict=True)
            if each.requires_grad
        ]
        edges = {i: edge for i, each in enumerate(wanted) if (edge := self._edge_of(each)) is not None}
        found: list[Any] = [None] * len(wanted)
        if given and edges:
            for i, gradient in zip(edges, self._through(given, list(edges.values()), keep), strict=True):
                found[i] = gradient
        return found

    def _through(
        self, given: list[tuple[torch.Tensor, torch.Tensor]], edges: list[GradientEdge], keep: bool
    ) -> list[Any]:
        """The gradients that come along the edges, through what was recorded since the tape began."""
        again = bool(_running)  # an outer tape differentiates the gradients
        still_needed = any(tape.persistent or not tape._used for tape in self._beside)
        keep = keep or self.persistent or again or still_needed
        if again and given[0][0].device.type != "cpu":
            for tape in _running:  # operations of a device's own thread are numbered apart: these tapes take in all
                tape._start = 0
        sources = {(edge.node, edge.output_nr) for edge in edges}
        outputs: list[torch.Tensor] = []
        of_outputs: list[torch.Tensor] = []
        roots: dict[tuple[Any, int], torch.Tensor] = {}
        for target, weight in given:
            at = get_gradient_edge(target)
            root = at.node, at.output_nr
            if root in sources or (not is_leaf(at.node) and at.node._sequence_nr() >= self._start):
                outputs.append(target)
                of_outputs.append(weight)
                roots[root] = roots[root] + weight if root in roots else weight
        if not outputs:
            return [None] * len(edges)
        nodes, older = recorded_since(self._start, [node for node, _ in roots if not is_leaf(node)])
        if not older:
            derived = torch.autograd.grad(
                outputs, edges, of_outputs, retain_graph=keep, create_graph=again, allow_unused=True
            )
            return list(derived)
        with torch.set_grad_enabled(again):
            by_edge = gradients(nodes, roots, sources)
        if not keep:  # torch forgets what it kept for a gradient only when it goes through itself
            torch.autograd.grad(outputs, [GradientEdge(*edge) for edge in older], of_outputs, allow_unused=True)
        return [by_edge.get((edge.node, edge.output_nr)) for edge in edges]

    def _edge_of(self, source: torch.Tensor) -> GradientEdge | None:
        """Where the gradient of a source comes out of the graph; None where nothing watches it."""
        if id(source) in self._watched:
            return self._watched[id(source)][1]
        if not source.requires_grad:
            return None
        edge = get_gradient_edge(source)
        if not self.watch_accessed_variables and not self._comes_from_watched(edge.node):
            return None
        return edge if is_leaf(edge.node) or edge.node._sequence_nr() >= self._start else None

    def _comes_from_watched(self, node: Any) -> bool:
        """Whether what this node computed was computed from something watched, and so recorded."""
        watched = {edge.node for _, edge in self._watched.values()}
        seen, ahead = {node}, [node]
        while ahead:
            inputs = {each for each, _ in ahead.pop().next_functions if each is not None}
            if inputs & watched:
                return True
            ahead.extend(inputs - seen)
            seen |= inputs
        return False


def _weight_of(target: torch.Tensor, weight: Any) -> torch.Tensor:
    return torch.as_tensor(weight, dtype=target.dtype, device=target.device)

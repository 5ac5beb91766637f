"""A training step on a CUDA device, captured once as one CUDA graph and played for each batch.

Each operation on a GPU costs the CPU some microseconds to launch. Where the operations are small, the device waits
for the next one most of the time. A graph launches all of a step's forward pass, loss and gradients at once, on the
same memory each time: batches are copied in, results are read where they lie. The optimizer and the metrics stay
outside, so that rates, schedules and counts are what they are in Python at that moment.

The first batches are computed as ever, while it is found out whether the step may be captured and is worth it. The
batch after the capture is computed both ways from the same state, and unless loss, predictions, gradients and the
state afterwards agree, everything stays as it was.

Only steps whose Python has no say in the numbers may be captured; the caller knows which those are.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch.utils import _pytree as pytree

from lamella.engine import masking
from lamella.engine.cuda_graph import CudaGraphs
from lamella.engine.kept import Kept, copies, put_back
from lamella.engine.replay import Compute, Computed

TOLERANCE = 1e-3
"""The norm of the difference over the norm, at most: kernels may add in another order each time. In half precision
it must be larger."""

_BUSY, _LAST = 1.25, 1e-4
"""A device that works for longer than this many times what the CPU needs to tell it, and these seconds for the last
operation and the waiting, is the slower of the two: launching is not what counts."""


class Captured:
    """Computes as `compute` does, from the sixth batch on by playing its graph if launching is what takes the time.

    Batches of another structure, shapes or dtypes than the captured one are computed as ever.

    Args:
        compute: The step without its update.
        settings: The numbers that the layers compute with (rates, ...); a graph holds while they stay equal.
        state: All tensors and generators that the step reads or changes beside its batch.
        graphs: The device's graphs.
        tolerance: See `TOLERANCE`. With torch's deterministic algorithms switched on it is 0: the same bits.

    Attributes:
        played: The function that plays the graph; None while, or if, there is none.
        why_not: Why there will be none, in words; None while it is open, or if there is one.
    """

    def __init__(
        self,
        compute: Compute,
        settings: Callable[[], Any],
        state: Callable[[], Sequence[Kept]],
        graphs: CudaGraphs,
        tolerance: float = TOLERANCE,
    ) -> None:
        self.compute = compute
        self.settings = settings
        self.state = state
        self.graphs = graphs
        self.tolerance = tolerance
        self.paused = False
        self._restart()

    def _restart(self) -> None:
        self.played: Callable[[list[torch.Tensor]], Computed] | None = None
        self.why_not: str | None = None
        self._next: Compute | None = self._warm_up
        self._batch: Any = None
        self._known: Any = None

    def new_epoch(self, paused: bool) -> None:
        """Forgets the graph if a setting was changed, or a weight lies elsewhere, since it was captured.

        Args:
            paused: Whether this epoch is to be computed afresh for every batch, as somebody may change a setting
                between two of them.
        """
        self.paused = paused
        if self._known is not None and self._known != self._conditions():
            self._restart()

    def let_go(self) -> None:
        """Frees the graph and the memory that it holds; `why_not` stays to be read."""
        reason = self.why_not
        self._restart()
        self.why_not = reason

    def __call__(self, x: Any, y: Any, weight: Any) -> Computed:
        if self.paused:
            return self.compute(x, y, weight)
        if self._next is not None:
            return self._next(x, y, weight)
        if self.played is not None:
            tensors, likeness = self._likeness(x, y, weight)
            if likeness == self._batch:
                return self.played(tensors)
        return self.compute(x, y, weight)

    # -- from the first batch to the graph, one batch each --------------------------------------------

    def _warm_up(self, x: Any, y: Any, weight: Any) -> Computed:
        self._next = self._rehearse
        return self.compute(x, y, weight)

    def _rehearse(self, x: Any, y: Any, weight: Any) -> Computed:
        """Refuses steps that cannot be captured. Here, as what a capture breaks is hard to mend."""
        self._batch = self._likeness(x, y, weight)[1]
        self._next = self._measure
        kept = self._state()
        start, places = copies(kept), _places(kept)
        computed = None
        try:
            computed = self.graphs.rehearse(lambda: self.compute(x, y, weight))
        except RuntimeError as error:
            self._give_up(_first_line(error))
        if computed is None:  # outside of `except`, where the error still holds what was computed
            put_back(kept, start)
            return self.compute(x, y, weight)
        if self._batch is None or not all(map(_is_plain, (*pytree.tree_leaves(computed[1]), *computed[2]))):
            self._give_up("inputs, predictions or gradients are not plain tensors on the device")
        elif places != _places(self._state()):
            self._give_up("a layer makes its state anew in each step")
        return computed

    def _measure(self, x: Any, y: Any, weight: Any) -> Computed:
        if self._likeness(x, y, weight)[1] != self._batch:
            return self.compute(x, y, weight)
        self._next = self._capture
        computed, told, done = self.graphs.timed(lambda: self.compute(x, y, weight))
        if done > _BUSY * told + _LAST:
            self._give_up("launching is not what takes the time")
        elif not self.graphs.has_room():
            self._give_up("there is not enough memory for a graph")
        return computed

    def _capture(self, x: Any, y: Any, weight: Any) -> Computed:
        tensors, likeness = self._likeness(x, y, weight)
        if likeness != self._batch:
            return self.compute(x, y, weight)
        self._known = self._conditions()
        inputs = [torch.empty_like(tensor).copy_(tensor) for tensor in tensors]
        places = iter(inputs)
        batch = pytree.tree_map(lambda leaf: None if leaf is None else next(places), (x, y, weight))
        kept = self._state()
        start = copies(kept)
        try:
            computed, play = self.graphs.capture(lambda: _bare(self.compute(*batch)))
        except RuntimeError as error:  # out of memory is one
            self._give_up(_first_line(error))
        else:
            self.played = _Player(inputs, play, computed)
            self._next = self._compare
        put_back(kept, start)  # Python's part of the step, a count of draws say, was at work
        return self.compute(x, y, weight)

    def _compare(self, x: Any, y: Any, weight: Any) -> Computed:
        tensors, likeness = self._likeness(x, y, weight)
        if likeness != self._batch or self.played is None:
            return self.compute(x, y, weight)
        self._next = None
        kept = self._state()
        start = copies(kept)
        played = self.played(tensors)
        afterwards = copies(kept)
        put_back(kept, start)
        computed = self.compute(x, y, weight)
        tolerance = 0.0 if torch.are_deterministic_algorithms_enabled() else self.tolerance
        parts = {
            "loss": (played[:1], computed[:1]),
            "predictions": (pytree.tree_leaves(played[1]), pytree.tree_leaves(computed[1])),
            "gradients": (played[2], computed[2]),
            "state": (_changes(start, afterwards), _changes(start, copies(kept))),
        }
        different = [name for name, (one, other) in parts.items() if not agree(one, other, tolerance)]
        if different:
            self._give_up(f"played, the {' and '.join(different)} of a batch came out otherwise")
        return computed

    def _give_up(self, reason: str) -> None:
        self.why_not, self.played, self._next, self._known = reason, None, None, None

    # -- what a graph depends on ---------------------------------------------------------------------------

    def _state(self) -> list[Kept]:
        return [*self.state(), torch.default_generator, self.graphs.generator]

    def _conditions(self) -> Any:
        return self.settings(), _places(self.state())

    def _likeness(self, x: Any, y: Any, weight: Any) -> tuple[list[torch.Tensor], Any]:
        """The tensors of a batch, and their structure, shapes and dtypes; None where it may not be captured."""
        leaves, structure = pytree.tree_flatten((x, y, weight))
        tensors = [leaf for leaf in leaves if leaf is not None]
        for tensor in tensors:
            if not _is_plain(tensor) or tensor.device != self.graphs.device or masking.get_mask(tensor) is not None:
                return [], None
        return tensors, (structure, [None if leaf is None else (leaf.shape, leaf.dtype) for leaf in leaves])


class _Player:
    """Plays a graph: from the tensors of a batch to its loss, predictions and gradients.

    The next batch overwrites all three in place. The loss and the gradients are used up by then; metrics may keep
    the predictions, so of these it gives copies.
    """

    def __init__(self, inputs: list[torch.Tensor], play: Callable[[], None], computed: Computed) -> None:
        self.inputs = inputs
        self.play = play
        self.computed = computed

    def __call__(self, tensors: list[torch.Tensor]) -> Computed:
        torch._foreach_copy_(self.inputs, tensors)
        self.play()
        loss, predictions, gradients = self.computed
        return loss, pytree.tree_map(_copy, predictions), gradients


def _copy(tensor: torch.Tensor | None) -> torch.Tensor | None:
    if tensor is None:
        return None
    copy, mask = tensor.clone(), masking.get_mask(tensor)
    if mask is not None:
        masking.set_mask(copy, mask.clone())
    return copy


def _bare(computed: Computed) -> Computed:
    """The same memory without autograd's graph, which would keep the streams of the capture in use."""

    def bare(tensor: torch.Tensor | None) -> torch.Tensor | None:
        if tensor is None:
            return None
        found, mask = tensor.detach(), masking.get_mask(tensor)
        if mask is not None:
            masking.set_mask(found, mask)
        return found

    loss, predictions, gradients = computed
    return loss.detach(), pytree.tree_map(bare, predictions), gradients


def _is_plain(leaf: Any) -> bool:
    return leaf is None or (type(leaf) is torch.Tensor and leaf.layout is torch.strided)


def _first_line(error: BaseException) -> str:
    return f"{type(error).__name__}: {(str(error).strip().splitlines() or [''])[0]}"


def _changes(before: Sequence[torch.Tensor], after: Sequence[torch.Tensor]) -> list[torch.Tensor]:
    """By how much each value changed (a moving average does by little); of whole numbers the new ones."""
    return [b - a if b.is_floating_point() else b for a, b in zip(before, after, strict=True)]


def _places(kept: Sequence[Kept]) -> list[Any]:
    """Where the tensors lie, and whether they are trained: a graph reads and writes these addresses for ever."""
    return [(each.data_ptr(), each.requires_grad) for each in kept if isinstance(each, torch.Tensor)]


def agree(one: Sequence[torch.Tensor | None], other: Sequence[torch.Tensor | None], tolerance: float) -> bool:
    """Whether tensors are equal to rounding, with NaN and infinities in the same places; whole numbers exactly.

    Beside each tensor's own norm counts, a thousandth as much, that of all together: some gradients (of the bias
    of attention's keys, of one before a normalization) are zero but for rounding.

    Args:
        one: Some tensors; None counts as equal to None.
        other: The same number of others.
        tolerance: The largest norm of a difference, over the norm.

    Example:
        >>> agree([torch.tensor([1.0, 2.0])], [torch.tensor([1.0, 2.001])], tolerance=1e-3)
        True
        >>> agree([torch.tensor([1.0, 2.0])], [torch.tensor([1.0, 2.01])], tolerance=1e-3)
        False
    """
    if len(one) != len(other):
        return False
    apart, norms = [], []
    for a, b in zip(one, other, strict=True):
        if a is None or b is None:
            if a is not b:
                return False
        elif a.shape != b.shape or a.dtype != b.dtype:
            return False
        elif not b.is_floating_point():
            if not torch.equal(a, b):
                return False
        else:
            a, b = a.detach(), b.detach()
            same = (a == b) | (a.isnan() & b.isnan())
            apart.append(_norm(torch.where(same, 0.0, a - b)))
            norms.append(_norm(b.nan_to_num(0.0, 0.0, 0.0)))
    whole = math.hypot(*norms)
    return all(d <= tolerance * (n + 1e-3 * whole) for d, n in zip(apart, norms, strict=True))


def _norm(tensor: torch.Tensor) -> float:
    return float(torch.linalg.vector_norm(tensor, dtype=torch.float64))

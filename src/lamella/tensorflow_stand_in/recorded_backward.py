"""Gradients through what a tape recorded, and through nothing that was computed before it.

To torch's autograd all operations are one graph. To a tape of TensorFlow, what was computed before it is a constant:
the state of a recurrent network that goes from batch to batch, say.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch

Edge = tuple[Any, int]  # a node of the graph, and which of its outputs


def now() -> int:
    """The number of the next operation that autograd records."""
    return torch.autograd._get_sequence_nr()  # type: ignore[no-any-return, attr-defined]


def is_leaf(node: Any) -> bool:
    """Whether the node stands for a tensor that was not computed."""
    return hasattr(node, "variable")


def recorded_since(start: int, results: Iterable[Any]) -> tuple[list[Any], list[Edge]]:
    """The operations behind these since then, the last first, and what they took from operations before."""
    found: set[Any] = set()
    older: list[Edge] = []
    waiting = [node for node in results if node._sequence_nr() >= start]
    while waiting:
        node = waiting.pop()
        if node in found:
            continue
        found.add(node)
        for edge in node.next_functions:
            child = edge[0]
            if child is None or is_leaf(child):
                continue
            if child._sequence_nr() >= start:
                waiting.append(child)
            else:
                older.append(edge)
    return sorted(found, key=lambda node: -node._sequence_nr()), older


def gradients(nodes: list[Any], weights: dict[Edge, torch.Tensor], sources: set[Edge]) -> dict[Edge, torch.Tensor]:
    """The gradient of each source that has one.

    Args:
        nodes: The operations to go through, the last first.
        weights: The gradients of the results.
        sources: Whose gradients are wanted.
    """
    inside, sums = set(nodes), dict(weights)
    for node in nodes:
        given = [sums.get((node, i)) for i in range(len(node._input_metadata))]
        if all(each is None for each in given):
            continue
        for edge, gradient in _of_inputs(node, given):
            if edge in sources or edge[0] in inside:
                fitted = _fitted(gradient, edge)
                sums[edge] = sums[edge] + fitted if edge in sums else fitted
    return {edge: sums[edge] for edge in sources if edge in sums}


def _of_inputs(node: Any, given: list[Any]) -> list[tuple[Edge, torch.Tensor]]:
    """The gradients of what an operation was given, by those of its results."""
    if hasattr(node, "apply"):  # a torch.autograd.Function: its backward takes tensors, and answers for all arguments
        full = [
            torch.zeros(list(kind.shape), dtype=kind.dtype, device=kind.device) if each is None else each
            for kind, each in zip(node._input_metadata, given, strict=True)
        ]
        answers, edges = _several(node.apply(*full)), [edge for edge in node.next_functions if edge[0] is not None]
        answers = [each for each, needed in zip(answers, node.needs_input_grad, strict=False) if needed]
    else:
        answers, edges = _several(node(*given)), list(node.next_functions)
    found = zip(edges, answers, strict=False)
    return [(edge, each) for edge, each in found if edge[0] is not None and each is not None]


def _several(answer: Any) -> list[Any]:
    return list(answer) if isinstance(answer, (list, tuple)) else [answer]


def _fitted(gradient: torch.Tensor, edge: Edge) -> torch.Tensor:
    """The gradient in the shape and type of the tensor, summed where that was broadcast."""
    wanted = edge[0]._input_metadata[edge[1]]
    shape = torch.Size(wanted.shape)
    return (gradient if gradient.shape == shape else gradient.sum_to_size(shape)).to(wanted.dtype)

"""The layers of a model as boxes and lines, placed for drawing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from torch.utils import _pytree as pytree

from lamella.engine.symbolic import SymbolicTensor
from lamella.errors import NotBuiltError

CHARACTER, LINE, MARGIN, GAP, DEPTH_GAP = 7.2, 18.0, 10.0, 30.0, 34.0
"""Sizes in points: the width of a character, the height of a line, the space in and between boxes."""


@dataclass
class Box:
    """A layer in a drawing: its lines of text, and the boxes that feed it."""

    name: str
    lines: list[str]
    sources: list[Box] = field(default_factory=list)
    depth: int = 0
    x: float = 0.0
    y: float = 0.0

    @property
    def width(self) -> float:
        """The width, by the longest line."""
        return max(len(line) for line in self.lines) * CHARACTER + 2 * MARGIN

    @property
    def height(self) -> float:
        """The height, by the number of lines."""
        return len(self.lines) * LINE + MARGIN


@dataclass
class Options:
    """What is written into a box."""

    shapes: bool = False
    dtype: bool = False
    names: bool = True
    activations: bool = False
    trainable: bool = False
    expand: bool = False


def boxes_of(model: Any, options: Options) -> list[Box]:
    """The boxes of a model, those that feed others before them.

    Raises:
        NotBuiltError: A model that is subclassed or not built: it has no graph to draw.
    """
    boxes: list[Box] = []
    _add(model, options, boxes, {}, "")
    return boxes


def _add(model: Any, options: Options, boxes: list[Box], producers: dict[int, Box], prefix: str) -> None:
    if getattr(model, "_graph", None) is None:
        raise NotBuiltError(
            f"Model {model.name!r} has no graph to draw: it is subclassed, or not built yet. Start it with an Input, "
            f"or call build(input_shape)."
        )
    for node in model._graph.nodes_by_depth():
        layer = node.function
        outputs = _tensors(node.outputs)
        sources = [producers[id(tensor)] for tensor in node.inputs if id(tensor) in producers]
        starts = all(id(tensor) in producers for tensor in outputs) and bool(outputs)
        if starts:  # the input of a nested model, which stands for what it is given
            continue
        inner = getattr(layer, "_graph", None) if options.expand else None
        if inner is not None:
            for own, given in zip(inner.input_list, node.inputs, strict=False):
                if id(given) in producers:
                    producers[id(own)] = producers[id(given)]
            _add(layer, options, boxes, producers, f"{prefix}{layer.name}/")
            for tensor, own in zip(outputs, inner.output_list, strict=False):
                producers[id(tensor)] = producers[id(own)]
            continue
        box = Box(f"{prefix}{node.name}", list(_lines(node, options, prefix)), _once(sources))
        boxes.append(box)
        for tensor in outputs:
            producers[id(tensor)] = box


def _once(boxes: list[Box]) -> list[Box]:
    return list({id(box): box for box in boxes}.values())


def _tensors(structure: Any) -> list[SymbolicTensor]:
    return [leaf for leaf in pytree.tree_leaves(structure) if isinstance(leaf, SymbolicTensor)]


def _lines(node: Any, options: Options, prefix: str) -> Iterator[str]:
    layer = node.function
    kind = type(layer).__name__ if node.is_layer else "Operation"
    yield f"{prefix}{node.name} ({kind})" if options.names else kind
    activation = getattr(layer, "activation", None)
    if options.activations and activation is not None:
        yield f"activation: {getattr(activation, '__name__', type(activation).__name__)}"
    outputs = _tensors(node.outputs)
    if options.dtype and outputs:
        yield f"dtype: {str(outputs[0].dtype).removeprefix('torch.')}"
    if options.shapes:
        if node.inputs:
            yield f"input: {', '.join(str(tensor.shape) for tensor in node.inputs)}"
        yield f"output: {', '.join(str(tensor.shape) for tensor in outputs)}"
    if options.trainable and getattr(layer, "weights", None):
        yield "trainable" if layer.trainable else "not trainable"


def place(boxes: list[Box], across: bool) -> tuple[float, float]:
    """Gives every box its depth and its place; returns the width and the height of the drawing.

    A box lies one row below the lowest that feeds it. Within a row boxes stand in the order of the middles of what
    feeds them.

    Args:
        boxes: Those that feed others before them.
        across: Whether rows run from left to right (`rankdir="LR"`).
    """
    for box in boxes:
        box.depth = 1 + max((source.depth for source in box.sources), default=-1)
    deepest = max((box.depth for box in boxes), default=0)
    rows = [[box for box in boxes if box.depth == depth] for depth in range(deepest + 1)]
    along = 0.0
    widest = 0.0
    for row in rows:
        row.sort(key=lambda box: _middle(box, across))
        thick = max(box.width if across else box.height for box in row)
        position = 0.0
        for box in row:
            if across:
                box.x, box.y = along, position
                position += box.height + GAP
            else:
                box.x, box.y = position, along
                position += box.width + GAP
        widest = max(widest, position - GAP)
        along += thick + DEPTH_GAP
    for row in rows:  # each row in the middle
        last = row[-1]
        spare = (widest - (last.y + last.height if across else last.x + last.width)) / 2
        for box in row:
            box.x += MARGIN + (0 if across else spare)
            box.y += MARGIN + (spare if across else 0)
    whole = along - DEPTH_GAP + 2 * MARGIN
    return (whole, widest + 2 * MARGIN) if across else (widest + 2 * MARGIN, whole)


def _middle(box: Box, across: bool) -> float:
    if not box.sources:
        return 0.0
    places = [s.y + s.height / 2 if across else s.x + s.width / 2 for s in box.sources]
    return sum(places) / len(places)


def lines_between(boxes: list[Box], across: bool) -> list[tuple[float, float, float, float]]:
    """The lines (x1, y1, x2, y2) from each box to those that it feeds."""
    found = []
    for box in boxes:
        for source in box.sources:
            if across:
                found.append((source.x + source.width, source.y + source.height / 2, box.x, box.y + box.height / 2))
            else:
                found.append((source.x + source.width / 2, source.y + source.height, box.x + box.width / 2, box.y))
    return found

"""`summary()`: the layers of a model as a table."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from torch import nn
from torch.utils import _pytree as pytree

from lamella.engine.symbolic import SymbolicTensor
from lamella.errors import ArgumentError
from lamella.layers import Layer
from lamella.layers.tracking import children_in_order

Row = tuple[str, ...]


def print_summary(
    model: Any,
    print_fn: Callable[[str], None],
    expand_nested: bool,
    show_trainable: bool,
    layer_range: Sequence[str] | None,
    line_length: int | None,
) -> None:
    """Prints a row for each layer, then the numbers of weights."""
    header: Row = ("Layer (type)", "Output shape", "Weights")
    if show_trainable:
        header += ("Trained",)
    rows = list(_rows(model, expand_nested, show_trainable, 0))
    if layer_range is not None:
        names = [row[0].split(" ")[0] for row in rows]
        for name in layer_range:
            if name not in names:
                raise ArgumentError(f"summary(): `layer_range` names {name!r}, but the layers are {names}.")
        first, last = names.index(layer_range[0]), names.index(layer_range[1])
        rows = rows[first : last + 1]
    widths = [max(len(row[i]) for row in [header, *rows]) for i in range(len(header))]
    if line_length is not None:
        widths[0] += max(0, line_length - sum(widths) - 3 * len(widths) - 1)
    print_fn(f'Model: "{model.name}"')
    print_fn(_line(widths, "┏", "┳", "┓", "━"))
    print_fn(_row(header, widths, "┃"))
    print_fn(_line(widths, "┡", "╇", "┩", "━"))
    for row in rows:
        print_fn(_row(row, widths, "│"))
    print_fn(_line(widths, "└", "┴", "┘", "─"))
    total, trained = _count(model.weights), _count(model.trainable_weights)
    size = sum(weight.numel() * weight.element_size() for weight in model.weights)
    print_fn(f"Total weights: {total:,} ({_bytes(size)})")
    print_fn(f"Trained: {trained:,}   Not trained: {total - trained:,}")
    if not model.built:
        print_fn("The model is not built yet: call it on data, or start it with an Input, to see the shapes.")


def _rows(model: Any, expand: bool, show_trainable: bool, depth: int) -> Iterator[Row]:
    for name, layer in _parts(model):
        if isinstance(layer, Layer):
            shape, built, weights, trained = _output_shape(layer), layer.built, layer.weights, layer.trainable
        else:
            shape, built, weights = "?", True, list(layer.parameters())
            trained = any(weight.requires_grad for weight in weights)
        row: Row = (
            f"{'  ' * depth}{name} ({type(layer).__name__})",
            shape,
            f"{_count(weights):,}" if built else "not built",
        )
        yield (*row, "yes" if trained else "no") if show_trainable else row
        if expand and hasattr(layer, "layers"):
            yield from _rows(layer, expand, show_trainable, depth + 1)


def _parts(model: Any) -> Iterator[tuple[str, nn.Module]]:
    """The layers with their names, and where a model is code, modules of torch under those of its attributes."""
    layers = {id(layer): layer for layer in model.layers}
    if getattr(model, "_graph", None) is None:
        names = {id(child): name for name, child in model.named_modules()}
        yield from _in_order(model, layers, names)
    yield from ((layer.name, layer) for layer in layers.values())


def _in_order(module: nn.Module, layers: dict[int, Any], names: dict[int, str]) -> Iterator[tuple[str, nn.Module]]:
    """What is inside a module; takes out of `layers` those that it gives."""
    for child in children_in_order(module):
        if isinstance(child, Layer):
            if layers.pop(id(child), None) is not None:
                yield child.name, child
        elif any(isinstance(inner, Layer) for inner in child.modules()):
            yield from _in_order(child, layers, names)
        elif any(True for _ in child.parameters()):
            yield names[id(child)], child


def _output_shape(layer: Any) -> str:
    graph = getattr(layer, "_graph", None)
    if not layer._nodes and graph is None:
        return _shape_since_built(layer)
    outputs = layer._nodes[-1].outputs if graph is None or layer._nodes else graph.outputs
    shapes = [leaf.shape for leaf in pytree.tree_leaves(outputs) if isinstance(leaf, SymbolicTensor)]
    return ", ".join(str(shape) for shape in shapes)


def _shape_since_built(layer: Any) -> str:
    """Of a layer that was built and never called on an `Input`: what it makes of the shapes it was built for."""
    built = (layer.get_build_config() if layer.built else None) or {}
    shapes = built.get("shapes_dict", built)
    if not shapes or None in shapes.values():
        return "?"
    try:
        named = "shapes_dict" in built
        found = layer.compute_output_shape(**shapes) if named else layer.compute_output_shape(*shapes.values())
    except Exception:  # it may want data, or more than the shapes
        return "?"
    leaves = pytree.tree_leaves(found, is_leaf=_is_shape)  # and numbers that a layer gives beside its tensors
    return ", ".join(str(tuple(leaf)) for leaf in leaves if _is_shape(leaf))


def _is_shape(value: Any) -> bool:
    return isinstance(value, (tuple, list)) and not any(isinstance(each, (tuple, list, dict)) for each in value)


def _count(weights: Any) -> int:
    return sum(weight.numel() for weight in weights)


def _bytes(size: float) -> str:
    for unit in ("B", "KB", "MB"):
        if size < 1024:
            return f"{size:.2f} {unit}"
        size /= 1024
    return f"{size:.2f} GB"


def _line(widths: list[int], left: str, middle: str, right: str, fill: str) -> str:
    return left + middle.join(fill * (width + 2) for width in widths) + right


def _row(cells: Row, widths: list[int], bar: str) -> str:
    padded = [
        cell.ljust(width) if i < 2 else cell.rjust(width)
        for i, (cell, width) in enumerate(zip(cells, widths, strict=True))
    ]
    return f"{bar} " + f" {bar} ".join(padded) + f" {bar}"

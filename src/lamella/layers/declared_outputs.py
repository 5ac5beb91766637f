"""What a layer says of its own outputs, where its `call` cannot tell: `compute_output_spec`, `compute_output_shape`.

A symbolic call finds the shapes by running `call` on meta tensors, with sizes of our own in place of those that are
not known. Some calls refuse such sizes (a table of 512 positions cannot be cut to one of another length). Then, as in
Keras, what the layer's class declares is believed.
"""

from __future__ import annotations

import inspect
from typing import Any

from lamella.engine.symbolic import symbolic_input
from lamella.layers.shapes import has_tensors, shapes_of


def declared_outputs(layer: Any, base: type, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Symbolic outputs as the layer's class declares them; None where it declares none.

    Args:
        layer: The layer.
        base: The class whose own methods do not count.
        args: The arguments of the call, some of them symbolic tensors.
        kwargs: Those by name.
    """
    if getattr(type(layer), "compute_output_spec", None) is not getattr(base, "compute_output_spec", None):
        return layer.compute_output_spec(*args, **kwargs)
    method = type(layer).compute_output_shape
    if method is base.compute_output_shape:  # type: ignore[attr-defined]
        return None
    shapes = layer.compute_output_shape(**_shapes_for(layer, args, kwargs))
    return _as_symbolic(shapes, layer.compute_dtype)


def _shapes_for(layer: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
    """The shapes of the inputs by the parameters of `compute_output_shape`: one, or `<input>_shape` for each."""
    named = dict(zip(inspect.signature(layer.call).parameters, args, strict=False)) | kwargs
    shapes = {f"{name}_shape": shapes_of(value) for name, value in named.items() if has_tensors(value)}
    wanted = inspect.signature(layer.compute_output_shape).parameters
    if not wanted:
        return {}  # the same shape for all inputs
    if len(wanted) == 1 or not any(name in wanted for name in shapes):
        return {next(iter(wanted)): next(iter(shapes.values()))}
    return {name: shape for name, shape in shapes.items() if name in wanted}


def _as_symbolic(shapes: Any, dtype: str) -> Any:
    if isinstance(shapes, dict):
        return {key: _as_symbolic(shape, dtype) for key, shape in shapes.items()}
    if shapes is None or not isinstance(shapes, (list, tuple)):
        return None if shapes is None else symbolic_input(tuple(shapes), dtype)
    if all(size is None or isinstance(size, int) for size in shapes):
        return symbolic_input(tuple(shapes), dtype)
    return type(shapes)(_as_symbolic(shape, dtype) for shape in shapes)


__all__ = ["declared_outputs"]

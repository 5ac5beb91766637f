"""The shapes of nested inputs, in the nesting that they have."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch.utils import _pytree as pytree

from lamella.engine.on_meta import OnMeta
from lamella.engine.symbolic import Shape, SymbolicTensor

_TENSORS = (torch.Tensor, SymbolicTensor, np.ndarray)


def declared_shape(input_shape: Any, input_dim: int | None) -> Shape | None:
    """What the first layer of a model was told by `input_shape` or `input_dim`, as a shape without the batch."""
    if input_dim is not None:
        return (int(input_dim),)
    if input_shape is None:
        return None
    return (input_shape,) if isinstance(input_shape, int) else tuple(input_shape)


def is_number_list(x: Any) -> bool:
    """Whether `x` is a (nested) list of numbers, as in `layer([[1.0, 2.0]])`."""
    while type(x) in (list, tuple) and x:
        x = x[0]
        if isinstance(x, (bool, int, float)):
            return True
    return False


def has_tensors(value: Any) -> bool:
    """Whether there is a tensor, symbolic or not, or an array (of strings), in a nested value."""
    return any(isinstance(leaf, _TENSORS) for leaf in pytree.tree_leaves(value))


def shapes_of(value: Any) -> Any:
    """The value with a shape for each tensor."""
    return pytree.tree_map_only(_TENSORS, lambda tensor: tuple(tensor.shape), value)


def map_shapes(function: Callable[[Any], Any], shapes: Any) -> Any:
    """`function` of a shape, or of each in nested lists and dicts of them."""
    if isinstance(shapes, dict):
        return {key: map_shapes(function, value) for key, value in shapes.items()}
    if isinstance(shapes, (list, tuple)) and any(isinstance(item, (list, tuple)) for item in shapes):
        return [map_shapes(function, item) for item in shapes]
    return function(tuple(shapes))


def of_any_batch(shapes: Any) -> Any:
    """Shapes that a layer is built for; while shapes are being found, the batch's size stands in for any."""
    if shapes is None or not OnMeta.depth:
        return shapes
    return map_shapes(lambda shape: (None, *shape[1:]) if shape else shape, shapes)


def as_tuples(shape: Any) -> Any:
    """A shape, or shapes in lists and dicts, as JSON gives it: tuples again."""
    if isinstance(shape, dict):
        return {key: as_tuples(value) for key, value in shape.items()}
    if isinstance(shape, (list, tuple)):
        several = any(isinstance(item, (list, tuple, dict)) for item in shape)
        return [as_tuples(item) for item in shape] if several else tuple(shape)
    return shape

"""The inputs that a computation is exported for: examples of them, and which of their axes may have any size."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch.utils import _pytree as pytree

from lamella.engine.dtypes import STRING, torch_dtype
from lamella.engine.graph import alone
from lamella.engine.symbolic import SymbolicTensor
from lamella.errors import ArgumentError
from lamella.layers.shapes import map_shapes

Example = tuple[torch.Tensor, list[int]]
"""An example of an input, and the axes whose size is not fixed."""

_EXAMPLES = 2  # torch.export takes sizes of 0 and 1 for constants
_STEPS = 16


def examples_of(model: Any, signature: Any) -> tuple[list[Example], list[str | None], pytree.TreeSpec]:
    """Examples of a model's inputs, their names, and the nesting in which a call takes them as its arguments.

    Args:
        model: A built model.
        signature: What describes the inputs: `InputSpec`s, symbolic tensors, or examples, in the model's nesting (or,
            as Keras has it, in a list of one). None for the model's own.

    Raises:
        ArgumentError: Inputs that cannot be made up, or strings.
    """
    device = next(iter(model.parameters()), torch.empty(0)).device
    wanted = _own_signature(model) if signature is None else (_unpacked(signature),)
    leaves, nesting = pytree.tree_flatten(wanted, is_leaf=_is_shape_and_type)
    if getattr(model, "_graph", None) is not None and len(leaves) == len(model.inputs):
        names = [tensor.name for tensor in model.inputs]
    else:
        names = [None] * len(leaves)
    names = [getattr(leaf, "name", None) or name for leaf, name in zip(leaves, names, strict=True)]
    return [example_of(leaf, device) for leaf in leaves], names, nesting


def example_of(leaf: Any, device: torch.device | None = None) -> Example:
    """An example for what describes one input.

    Raises:
        ArgumentError: Something that has no shape.
    """
    if isinstance(leaf, (torch.Tensor, np.ndarray)):
        return torch.as_tensor(leaf).to(device), [0] if leaf.ndim else []
    shape, dtype = leaf if _is_shape_and_type(leaf) else (getattr(leaf, "shape", None), getattr(leaf, "dtype", None))
    if shape is None:
        raise ArgumentError(
            f"An input to export for is described by InputSpec(shape=..., dtype=...), a symbolic tensor or an example; "
            f"got {leaf!r}."
        )
    if dtype is STRING or str(dtype) == "string":
        raise ArgumentError(f"The input {leaf!r} takes strings, and exported files compute with numbers alone.")
    dtype = dtype if isinstance(dtype, torch.dtype) else torch_dtype(getattr(dtype, "name", dtype))
    sizes = [_size(size, axis) for axis, size in enumerate(shape)]
    return torch.zeros(sizes, dtype=dtype, device=device), [axis for axis, size in enumerate(shape) if size is None]


def dynamic_axes(example: Example) -> dict[int, Any]:
    """What tells `torch.export` which sizes are not fixed."""
    tensor, axes = example
    return {axis: torch.export.Dim.DYNAMIC for axis in axes if axis < tensor.ndim}


def _own_signature(model: Any) -> tuple[Any, ...]:
    """The shapes and types of the arguments that a call of the model takes."""
    if getattr(model, "_graph", None) is not None:
        symbols: Sequence[SymbolicTensor] = model.inputs
        _refuse_strings(model, symbols)
        return (alone(pytree.tree_map_only(SymbolicTensor, lambda each: (each.shape, each.dtype), model.input)),)
    built = model.get_build_config() or {}
    shapes = {name.removesuffix("_shape"): shape for name, shape in built.get("shapes_dict", {}).items()}
    if shapes and set(list(inspect.signature(model.call).parameters)[: len(shapes)]) == set(shapes):
        return tuple(_of_any_batch(shapes[name]) for name in inspect.signature(model.call).parameters if name in shapes)
    if not built.get("input_shape"):
        raise ArgumentError(
            f"Model {model.name!r} is subclassed: pass an example of its inputs as input_signature=[...]."
        )
    return (_of_any_batch(built["input_shape"]),)


def _of_any_batch(shapes: Any) -> Any:
    return map_shapes(lambda shape: ((None, *shape[1:]), torch.float32), shapes)


def _unpacked(signature: Any) -> Any:
    """A list of one is that one: Keras puts what the first argument of `call` is into a list."""
    while isinstance(signature, (list, tuple)) and len(signature) == 1:
        signature = signature[0]
    return signature


def _refuse_strings(model: Any, symbols: Sequence[SymbolicTensor]) -> None:
    named = [symbol.name for symbol in symbols if symbol.dtype is STRING]
    if named:
        raise ArgumentError(
            f"Model {model.name!r} takes strings ({', '.join(named)}), and exported files compute with numbers alone. "
            f"Export what comes after the layer that makes numbers of them: "
            f"lamella.Model(that_layer.output, model.output)."
        )


def _is_shape_and_type(value: Any) -> bool:
    return isinstance(value, tuple) and len(value) == 2 and isinstance(value[1], torch.dtype)


def _size(size: int | None, axis: int) -> int:
    return size if size is not None else _EXAMPLES if axis == 0 else _STEPS

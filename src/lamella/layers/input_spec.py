"""What a layer accepts, and the error for anything else."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch.utils import _pytree as pytree

from lamella.errors import ShapeError


class InputSpec:
    """The rank, shape or axes that a layer's input must have.

    Args:
        dtype: Kept for Keras's signature.
        shape: The exact shape; None for a free dimension.
        ndim: The exact rank.
        max_ndim: The largest rank.
        min_ndim: The smallest rank.
        axes: `{axis: size}` for single dimensions; None for a free one.
        allow_last_axis_squeeze: Kept for Keras's signature.
        name: Kept for Keras's signature.
        optional: Kept for Keras's signature.

    Example:
        >>> InputSpec(min_ndim=2, axes={-1: 784}).axes
        {-1: 784}
    """

    def __init__(
        self,
        dtype: Any = None,
        shape: tuple[int | None, ...] | None = None,
        ndim: int | None = None,
        max_ndim: int | None = None,
        min_ndim: int | None = None,
        axes: Mapping[int, int | None] | None = None,
        allow_last_axis_squeeze: bool = False,
        name: str | None = None,
        optional: bool = False,
    ) -> None:
        self.dtype = dtype
        self.shape = None if shape is None else tuple(shape)
        self.ndim = len(shape) if shape is not None else ndim
        self.max_ndim = max_ndim
        self.min_ndim = min_ndim
        self.axes = {int(axis): size for axis, size in (axes or {}).items()}
        self.allow_last_axis_squeeze = allow_last_axis_squeeze
        self.name = name
        self.optional = optional

    def __repr__(self) -> str:
        names = ("dtype", "shape", "ndim", "max_ndim", "min_ndim")
        told = [f"{name}={getattr(self, name)}" for name in names if getattr(self, name) is not None]
        return f"InputSpec({', '.join(told + ([f'axes={self.axes}'] if self.axes else []))})"

    def problem(self, shape: tuple[int | None, ...]) -> str | None:
        """What is wrong with an input of `shape`, or None."""
        rank = len(shape)
        if self.ndim is not None and rank != self.ndim:
            return f"expected an input of rank {self.ndim}"
        if self.min_ndim is not None and rank < self.min_ndim:
            return f"expected an input of rank {self.min_ndim} or more"
        if self.max_ndim is not None and rank > self.max_ndim:
            return f"expected an input of rank {self.max_ndim} or less"
        wanted = {axis: size for axis, size in enumerate(self.shape or ()) if size is not None} | self.axes
        for axis, size in wanted.items():
            if size is not None and -rank <= axis < rank and shape[axis] not in (size, None):
                return f"expected size {size} in axis {axis} of its input"
        return None


def check_input(layer: Any, inputs: Any) -> None:
    """Raises ShapeError if `inputs` (tensors, symbolic or real) do not fit `layer.input_spec`."""
    specs = layer.input_spec
    if specs is None or inputs is None:
        return
    tensors = [leaf for leaf in pytree.tree_leaves(inputs) if hasattr(leaf, "shape")]
    specs = pytree.tree_leaves(specs, is_leaf=lambda x: isinstance(x, InputSpec))
    if len(specs) == 1 and len(tensors) > 1:
        raise ShapeError(f"Layer {layer.name!r} ({type(layer).__name__}) takes one input, but got {len(tensors)}.")
    for spec, tensor in zip(specs, tensors, strict=False):
        check_shape(layer, spec, tuple(tensor.shape))


def check_shape(layer: Any, spec: InputSpec, shape: tuple[int | None, ...]) -> None:
    """Raises ShapeError if an input of `shape` does not fit `spec`."""
    problem = spec.problem(shape)
    if problem:
        raise ShapeError(
            f"Layer {layer.name!r} ({type(layer).__name__}) {problem}, got shape {shape}.{_mend(spec, shape)}"
        )


def _mend(spec: InputSpec, shape: tuple[int | None, ...]) -> str:
    rank, wanted = len(shape), spec.ndim or spec.min_ndim
    if wanted is None or rank == wanted:
        return " Check the shape of the data, or the units of the layer before it."
    if rank == wanted - 1:
        return " Is the batch or the channel axis missing? Try numpy.expand_dims(x, 0) or numpy.expand_dims(x, -1)."
    if rank > wanted:
        return " Put a Flatten or Reshape layer before it."
    return ""

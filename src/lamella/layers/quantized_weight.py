"""A weight of a layer that is kept in whole numbers of 8 or 4 bits, and what is computed with it.

The numbers and their scales are buffers of the layer, under Keras's names: `kernel`, `kernel_scale`, and for numbers of
4 bits in blocks `kernel_zero` and `g_idx`, the block of each place.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F

from lamella.engine.integer_product import integer_product
from lamella.quantizers import AbsMaxQuantizer, abs_max_quantize_grouped_with_zero_point, pack_int4, unpack_int4
from lamella.quantizers.rounding import from_blocks, from_groups

Parts = dict[str, torch.Tensor]
Matrix = tuple[torch.Tensor, torch.Tensor | None]
"""Whole numbers (in, out) and the scale of each output; or floats, and None."""


@dataclass(frozen=True)
class Int8Weight:
    """A weight in int8: numbers / scale.

    Args:
        name: The name of the weight.
        shape: Its shape.
        axes: The axes along which all share one scale: those that products sum over.
        kept_axes: For each axis of the scale as it is kept, the weight's axis; None for an axis of size 1.
        quantizer: How it is rounded; by default `AbsMaxQuantizer`.
    """

    name: str
    shape: tuple[int, ...]
    axes: tuple[int, ...]
    kept_axes: tuple[int | None, ...]
    quantizer: Any = None

    def parts(self, values: torch.Tensor) -> Parts:
        """What is kept of floating-point values."""
        numbers, scale = (self.quantizer or AbsMaxQuantizer())(values, axis=self.axes)
        free = [axis for axis in self.kept_axes if axis is not None]
        scale = scale.squeeze(self.axes).permute([sorted(free).index(axis) for axis in free])
        shape = [1 if axis is None else self.shape[axis] for axis in self.kept_axes]
        return {self.name: numbers, f"{self.name}_scale": scale.reshape(shape)}

    def numbers(self, layer: Any) -> torch.Tensor:
        """The whole numbers, in the shape of the weight."""
        kept: torch.Tensor = layer._buffers[self.name]
        return kept

    def scale(self, layer: Any) -> torch.Tensor:
        """The scale, to broadcast with the weight."""
        free = [axis for axis in self.kept_axes if axis is not None]
        kept = layer._buffers[f"{self.name}_scale"].reshape([self.shape[axis] for axis in free])
        kept = kept.permute([free.index(axis) for axis in sorted(free)])
        return kept.reshape([1 if axis in self.axes else size for axis, size in enumerate(self.shape)])

    def floats(self, layer: Any, kind: torch.dtype) -> torch.Tensor:
        """The weight as floats."""
        return self.numbers(layer).to(kind) / self.scale(layer).to(kind)

    def matrix(self, layer: Any) -> Matrix:
        """The weight as a matrix (in, out): the axes that are summed over come first, or are the second of two."""
        numbers, scale = self.numbers(layer), self.scale(layer).reshape(-1)
        if self.axes[0] > 0:
            return numbers.T, scale
        return numbers.reshape(-1, len(scale)), scale

    def rows(self, layer: Any, places: torch.Tensor, kind: torch.dtype) -> torch.Tensor:
        """Rows of the table that the weight is."""
        scale = layer._buffers[f"{self.name}_scale"]
        return F.embedding(places, self.numbers(layer)).to(kind) / F.embedding(places, scale.unsqueeze(1)).to(kind)


@dataclass(frozen=True)
class Int4Weight:
    """A weight in numbers of 4 bits: numbers / scale, or in blocks (numbers - zero) * scale.

    Args:
        name: The name of the weight.
        shape: Its shape.
        matrix_shape: The shape of the matrix that it is kept as.
        axis: The matrix's axis that products sum over, along which numbers share a scale.
        packed: The axis along which two lie in a byte.
        block_size: So many numbers share a scale and a zero point; None for one scale for all.
        quantizer: How it is rounded, without blocks; by default `AbsMaxQuantizer(value_range=(-8, 7))`.
    """

    name: str
    shape: tuple[int, ...]
    matrix_shape: tuple[int, int]
    axis: int = 0
    packed: int = 1
    block_size: int | None = None
    quantizer: Any = None

    def parts(self, values: torch.Tensor) -> Parts:
        """What is kept of floating-point values."""
        matrix = values.reshape(self.matrix_shape)
        if self.block_size is None:
            quantizer = self.quantizer or AbsMaxQuantizer(value_range=(-8, 7))
            numbers, scale = quantizer(matrix, axis=self.axis)
            found = {f"{self.name}_scale": scale.squeeze(self.axis)}
        else:
            numbers, *rest = abs_max_quantize_grouped_with_zero_point(self._turned(matrix), self.block_size)
            numbers, scale, zero = (self._turned(each) for each in (numbers, *rest))
            group = torch.arange(self.matrix_shape[self.axis], device=matrix.device) // self.block_size
            found = {f"{self.name}_scale": scale, f"{self.name}_zero": zero, "g_idx": group.float()}
        return {self.name: pack_int4(numbers, self.packed)[0], **found}

    def _turned(self, matrix: torch.Tensor) -> torch.Tensor:
        return matrix.T if self.axis == 1 else matrix

    def numbers(self, layer: Any) -> torch.Tensor:
        """The whole numbers of the matrix."""
        return unpack_int4(layer._buffers[self.name], self.matrix_shape[self.packed], self.packed)

    def floats(self, layer: Any, kind: torch.dtype) -> torch.Tensor:
        """The weight as floats."""
        return self._scaled(layer, self.numbers(layer), None, kind).reshape(self.shape)

    def _scaled(
        self, layer: Any, numbers: torch.Tensor, places: torch.Tensor | None, kind: torch.dtype
    ) -> torch.Tensor:
        """Numbers of the matrix, or of some of its rows, as floats."""
        kept = [layer._buffers.get(f"{self.name}_{part}") for part in ("scale", "zero")]
        scale, zero = (each if each is None or places is None else each[places] for each in kept)
        if self.block_size is not None:
            axis = self.axis if places is None else -1
            if numbers.shape[axis] % self.block_size == 0:
                return from_blocks(numbers, scale, zero, axis).to(kind)
            return from_groups(numbers, scale, zero, layer._buffers["g_idx"], axis).to(kind)
        return numbers.to(kind) / scale.unsqueeze(self.axis if places is None else -1).to(kind)

    def matrix(self, layer: Any) -> Matrix:
        """The weight as a matrix (in, out)."""
        if self.block_size is not None:
            return self._turned(self.floats(layer, layer._float).reshape(self.matrix_shape)), None
        return self._turned(self.numbers(layer)), layer._buffers[f"{self.name}_scale"]

    def rows(self, layer: Any, places: torch.Tensor, kind: torch.dtype) -> torch.Tensor:
        """Rows of the table that the weight is; only they are unpacked."""
        packed = F.embedding(places, layer._buffers[self.name])
        return self._scaled(layer, unpack_int4(packed, self.matrix_shape[1], -1), places, kind)


def product(rows: torch.Tensor, matrix: Callable[[], Matrix], quantizer: Any) -> torch.Tensor:
    """rows @ matrix, where the rows are rounded too if there is a quantizer for them.

    Their gradient is that of the product with the matrix as floats: rounding has none of its own.

    Args:
        rows: Floats of shape (n, in).
        matrix: Gives the whole numbers (in, out) and the scale of each output, or floats and None. It is asked again
            for the gradient, so that floats are not kept meanwhile.
        quantizer: How rows are rounded, each with a scale of its own; None if they are not.
    """
    if torch.is_grad_enabled() and rows.requires_grad:
        found: torch.Tensor = _Product.apply(rows, matrix, quantizer)
        return found
    return _computed(rows, matrix, quantizer)


def _computed(rows: torch.Tensor, matrix: Callable[[], Matrix], quantizer: Any) -> torch.Tensor:
    numbers, scale = matrix()
    if quantizer is None:
        products = rows @ numbers.to(rows.dtype)
        return products if scale is None else (products / scale).to(rows.dtype)
    rounded, own_scale = quantizer(rows, axis=-1)
    if scale is None:
        return (rounded.to(rows.dtype) @ numbers) / own_scale
    return (integer_product(rounded, numbers) / (scale * own_scale)).to(rows.dtype)


class _Product(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, rows: torch.Tensor, matrix: Callable[[], Matrix], quantizer: Any) -> torch.Tensor:
        ctx.matrix = matrix
        return _computed(rows, matrix, quantizer)

    @staticmethod
    def backward(ctx: Any, *upstream: torch.Tensor) -> Any:
        (gradient,) = upstream
        numbers, scale = ctx.matrix()
        floats = numbers.to(gradient.dtype)
        floats = floats if scale is None else (floats / scale).to(gradient.dtype)
        return gradient @ floats.T, None, None


class _Rounded(torch.autograd.Function):
    """The inputs as a quantizer rounds them, in floats; the gradient goes through."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, quantizer: Any, axes: Sequence[int]) -> torch.Tensor:
        numbers, scale = quantizer(x, axis=axes)
        return numbers.to(x.dtype) / scale

    @staticmethod
    def backward(ctx: Any, *upstream: torch.Tensor) -> Any:
        return upstream[0], None, None


def rounded(x: torch.Tensor, quantizer: Any, axes: Sequence[int]) -> torch.Tensor:
    """The inputs as a quantizer rounds them, in floats, with one scale along `axes`; without one as they are."""
    if quantizer is None:
        return x
    found: torch.Tensor = _Rounded.apply(x, quantizer, axes)
    return found


def block_size_of(config: Any, policy: Any) -> int | None:
    """How many numbers of 4 bits share a scale, by the config or else the policy; None for all."""
    source = config if hasattr(config, "block_size") else policy
    size = getattr(source, "block_size", None)
    return None if size == -1 else size


def matrix_shape(shape: Sequence[int], summed: Sequence[int]) -> tuple[int, int]:
    """(in, out): the product of the sizes of the axes that are summed over, and of the others."""
    return math.prod(shape[axis] for axis in summed), math.prod(
        size for axis, size in enumerate(shape) if axis not in summed
    )

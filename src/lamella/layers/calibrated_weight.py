"""A weight that was rounded after a look at data, by GPTQ or AWQ: (levels - zero) * scale, in groups of inputs.

The levels and what brings them back are buffers of the layer, as Keras's files have them: `kernel` (outputs, inputs),
with two outputs in a byte where there are 4 bits; `kernel_scale` and `kernel_zero` (outputs, groups); `g_idx`, the
group of each input; and of AWQ `awq_scales`, what each input's weights were multiplied by.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from lamella.layers.quantized_weight import Matrix, Parts
from lamella.quantizers import pack_int4, unpack_int4
from lamella.quantizers.affine import RoundedMatrix, round_to_nearest
from lamella.quantizers.rounding import from_blocks

Rounding = Callable[[torch.Tensor], RoundedMatrix]
"""What makes levels of a matrix (inputs, outputs)."""


@dataclass(frozen=True)
class CalibratedWeight:
    """A weight in a few bits, by GPTQ or AWQ.

    Args:
        name: The name of the weight.
        shape: Its shape.
        matrix_shape: (inputs, outputs): the shape of the matrix that the weight is, read row by row.
        bits: The levels are 0 to 2**bits - 1.
        group_size: So many inputs share a scale and a zero point; -1 for all.
        scales_inputs: Whether inputs have factors, as in AWQ.
        symmetric: Whether all zero points are in the middle.
    """

    name: str
    shape: tuple[int, ...]
    matrix_shape: tuple[int, int]
    bits: int
    group_size: int
    scales_inputs: bool
    symmetric: bool = False

    def parts(self, values: torch.Tensor, rounding: Rounding | None = None) -> Parts:
        """What is kept of floating-point values: rounded as `rounding` says, or each to the next level."""
        matrix = values.reshape(self.matrix_shape).to(torch.float32)
        found = self._to_nearest(matrix) if rounding is None else rounding(matrix)
        levels = found.levels.T
        parts = {
            self.name: pack_int4(levels, 0, "uint8")[0] if self.bits == 4 else levels,
            f"{self.name}_scale": found.scale.T.to(values.dtype),
            f"{self.name}_zero": found.zero.T,
        }
        if self.scales_inputs:
            factors = torch.ones(len(matrix), device=matrix.device) if found.row_scale is None else found.row_scale
            parts["awq_scales"] = factors.to(values.dtype)
        return parts | {"g_idx": found.group.to(torch.float32)}

    def _to_nearest(self, matrix: torch.Tensor) -> RoundedMatrix:
        return round_to_nearest(matrix, self.bits, self.group_size, self.symmetric)

    def numbers(self, layer: Any) -> torch.Tensor:
        """The levels, (outputs, inputs)."""
        kept: torch.Tensor = layer._buffers[self.name]
        return unpack_int4(kept, self.matrix_shape[1], 0, "uint8") if self.bits == 4 else kept

    def floats(self, layer: Any, kind: torch.dtype) -> torch.Tensor:
        """The weight as floats."""
        return self._turned(layer).T.to(kind).reshape(self.shape)

    def matrix(self, layer: Any) -> Matrix:
        """The weight as a matrix (inputs, outputs)."""
        return self._turned(layer).to(layer._float).T, None

    def _turned(self, layer: Any) -> torch.Tensor:
        """The matrix as floats (outputs, inputs), as it lies in memory."""
        levels = self.numbers(layer)
        scale, zero = (layer._buffers[f"{self.name}_{part}"] for part in ("scale", "zero"))
        if levels.shape[1] % scale.shape[1] == 0 and self._in_order(layer):
            matrix = from_blocks(levels, scale, zero, 1)
        else:
            group = layer._buffers["g_idx"].to(torch.int64).expand(levels.shape)
            matrix = levels.to(scale.dtype) - zero.to(scale.dtype).gather(1, group)
            matrix = matrix.mul_(scale.gather(1, group))
        return matrix.div_(layer._buffers["awq_scales"]) if self.scales_inputs else matrix

    def _in_order(self, layer: Any) -> bool:
        """Whether the groups are of neighbours, which are brought back many times as fast.

        It is looked for once, and again when the groups have changed: looking waits for the device.
        """
        groups = layer._buffers[f"{self.name}_scale"].shape[1]
        if groups == 1:
            return True
        if torch.compiler.is_compiling() or torch.compiler.is_exporting():
            return False
        kept = layer._buffers["g_idx"]
        now = id(kept), kept._version
        if layer.__dict__.get("_groups_seen", (None,))[0] != now:
            size = math.ceil(len(kept) / groups)
            wanted = torch.arange(len(kept), device=kept.device) // size
            layer.__dict__["_groups_seen"] = now, torch.equal(kept.to(torch.int64), wanted)
        return bool(layer.__dict__["_groups_seen"][1])

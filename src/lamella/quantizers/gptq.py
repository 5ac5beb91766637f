"""GPTQ: weights are rounded one input after the other, and those still to come make up for the error so far.

What counts is the error of the layer's outputs on its inputs X, |XW - XQ|^2, whose second derivative by each column of
weights is H = 2 X'X. With the upper triangular U of inverse(H) = U'U, input i leaves the error
e_i = (w_i - q_i) / U_ii, and each later input j is changed by -U_ij e_i.

Source: Frantar et al., 2022, "GPTQ: Accurate Post-Training Quantization for Generative Pre-trained Transformers".
"""

from __future__ import annotations

import torch

from lamella.errors import ArgumentError
from lamella.quantizers.affine import RoundedMatrix, affine_parameters, from_levels, groups_of, to_levels
from lamella.quantizers.calibration_configs import GPTQConfig

_BLOCK = 128
"""So many inputs are rounded before all later ones are told of their errors, in one product."""


class GPTQ:
    """What GPTQ has to know of a layer's inputs, and the rounding of its weights.

    Args:
        config: How to round.
        size: The number of inputs.
        device: Where the inputs are.

    Example:
        >>> _ = torch.manual_seed(0)
        >>> inputs = torch.randn(100, 8) @ torch.randn(8, 8)  # inputs that go together: one makes up for the other
        >>> weights = torch.randn(8, 3)
        >>> rounding = GPTQ(GPTQConfig(None, None, weight_bits=3), 8, inputs.device)
        >>> rounding.see(inputs)
        >>> from lamella.quantizers.affine import round_to_nearest
        >>> errors = [(inputs @ (each.floats() - weights)).square().mean() for each in
        ...           (rounding.round(weights), round_to_nearest(weights, bits=3))]
        >>> bool(errors[0] < errors[1])
        True
    """

    def __init__(self, config: GPTQConfig, size: int, device: torch.device) -> None:
        self._config = config
        self._products = torch.zeros(size, size, device=device)
        self.seen = 0

    def see(self, inputs: torch.Tensor) -> None:
        """Takes note of inputs (rows, size)."""
        inputs = inputs.to(torch.float32)
        self._products.addmm_(inputs.T, inputs)
        self.seen += len(inputs)

    def hessian(self) -> torch.Tensor:
        """2 X'X / rows, with the damping on its diagonal; 1 for an input that was always zero."""
        hessian = self._products * (2 / max(self.seen, 1))
        diagonal = hessian.diagonal()
        diagonal += diagonal == 0
        diagonal += self._config.hessian_damping * diagonal.mean()
        return hessian

    def round(self, weights: torch.Tensor) -> RoundedMatrix:
        """The weights (size, outputs), rounded.

        Raises:
            ArgumentError: The Hessian cannot be inverted, as it is without damping where inputs depend on one another.
        """
        hessian, weights = self.hessian(), weights.to(torch.float32)
        if not self._config.activation_order:
            return round_in_order(weights, carried_errors(hessian), self._config)
        order = hessian.diagonal().argsort(descending=True, stable=True)
        found = round_in_order(weights[order], carried_errors(hessian[order][:, order]), self._config)
        back = order.argsort()
        return RoundedMatrix(found.levels[back], found.scale, found.zero, found.group[back])


def carried_errors(hessian: torch.Tensor) -> torch.Tensor:
    """The lower triangular U' of inverse(hessian) = U'U, by the Cholesky factor of the Hessian from its last row up.

    With J that turns the order around, JHJ = LL', so U' = J inverse(L)' J: no inverse of the Hessian is needed.
    """
    turned = hessian.flip(0, 1)
    lower, failed = torch.linalg.cholesky_ex(turned)
    if bool(failed):
        raise ArgumentError(
            "GPTQ: the Hessian of a layer's inputs cannot be inverted, as some inputs depend on others (or are not "
            "finite). Give GPTQConfig more `hessian_damping` (0.01 by default), or more samples."
        )
    one = torch.eye(len(hessian), dtype=hessian.dtype, device=hessian.device)
    return torch.linalg.solve_triangular(lower, one, upper=False).T.flip(0, 1).contiguous()


def round_in_order(weights: torch.Tensor, carried: torch.Tensor, config: GPTQConfig) -> RoundedMatrix:
    """Rounds the rows of `weights` from the first to the last.

    Args:
        weights: (inputs, outputs), float32.
        carried: (inputs, inputs); row j tells how much of the errors before it is taken off input j.
        config: How to round.
    """
    weights = weights.clone()
    levels, errors = torch.empty_like(weights, dtype=torch.uint8), torch.empty_like(weights)
    size = len(weights)
    group_size = size if config.group_size == -1 else config.group_size
    scales, zeros = [], []
    for start in range(0, size, _BLOCK):
        end = min(start + _BLOCK, size)
        for j in range(start, end):
            if j % group_size == 0:
                scale, zero = _parameters(weights[j : j + group_size], config)
                scales.append(scale)
                zeros.append(zero)
            row = weights[j] - carried[j, start:j] @ errors[start:j]
            level = to_levels(row, scale, zero, config.weight_bits)
            levels[j] = level
            errors[j] = (row - from_levels(level, scale, zero)) / carried[j, j]
        weights[end:] -= carried[end:, start:end] @ errors[start:end]
    group = groups_of(size, config.group_size, weights.device)
    return RoundedMatrix(levels, torch.stack(scales), torch.stack(zeros).to(torch.uint8), group)


def _parameters(rows: torch.Tensor, config: GPTQConfig) -> tuple[torch.Tensor, torch.Tensor]:
    """The scale and the zero point of one group, (outputs,)."""
    scale, zero = affine_parameters(
        rows, config.weight_bits, symmetric=config.symmetric, per_channel=config.per_channel
    )
    return scale[0], zero[0]


__all__ = ["GPTQ", "carried_errors", "round_in_order"]

"""AWQ: weights of inputs that are large are rounded finer, by growing them before and shrinking them after.

Each input i gets a factor s_i = (the largest |x_i| that was seen) ** ratio. What is rounded is s_i w_i, and 1/s_i
brings it back. The ratio from 0 to 1 is the one whose error, weighted by the inputs, is least.

Source: Lin et al., 2023, "AWQ: Activation-aware Weight Quantization for LLM Compression and Acceleration".
"""

from __future__ import annotations

from dataclasses import replace

import torch

from lamella.quantizers.affine import RoundedMatrix, round_to_nearest
from lamella.quantizers.calibration_configs import AWQConfig


class AWQ:
    """What AWQ has to know of a layer's inputs, and the rounding of its weights.

    Args:
        config: How to round.
        size: The number of inputs.
        device: Where the inputs are.

    Example:
        >>> _ = torch.manual_seed(0)
        >>> inputs = torch.randn(100, 8) * torch.tensor([30.0] + [1.0] * 7)  # the first is much larger
        >>> weights = torch.randn(8, 3)
        >>> rounding = AWQ(AWQConfig(None, None), 8, inputs.device)
        >>> rounding.see(inputs)
        >>> errors = [(inputs @ (each.floats() - weights)).square().mean() for each in
        ...           (rounding.round(weights), round_to_nearest(weights, bits=4))]
        >>> bool(errors[0] < errors[1])
        True
    """

    def __init__(self, config: AWQConfig, size: int, device: torch.device) -> None:
        self._config = config
        self._largest = torch.zeros(size, device=device)
        self.seen = 0

    def see(self, inputs: torch.Tensor) -> None:
        """Takes note of inputs (rows, size)."""
        self._largest = torch.maximum(self._largest, inputs.to(torch.float32).abs().amax(0))
        self.seen += len(inputs)

    def round(self, weights: torch.Tensor) -> RoundedMatrix:
        """The weights (size, outputs), rounded."""
        weights = weights.to(torch.float32)
        largest = torch.where(self._largest < 1e-8, 1.0, self._largest)
        factors = factors_to_try(largest, self._config.num_grid_points)
        errors = [
            ((self._rounded(weights, each).floats() - weights) * largest[:, None]).square_().mean() for each in factors
        ]
        return self._rounded(weights, factors[torch.stack(errors).argmin()])

    def _rounded(self, weights: torch.Tensor, factors: torch.Tensor) -> RoundedMatrix:
        grown = weights * factors.unsqueeze(1)
        found = round_to_nearest(grown, self._config.weight_bits, self._config.group_size)
        return replace(found, row_scale=factors)


def factors_to_try(largest: torch.Tensor, points: int) -> torch.Tensor:
    """largest ** ratio for points + 1 ratios from 0 to 1, so that the largest and smallest factor have the mean 1.

    Args:
        largest: The largest |input|, (inputs,).
        points: The number of steps.

    Returns:
        (points + 1, inputs).

    Example:
        >>> factors_to_try(torch.tensor([4.0, 1.0]), 2)
        tensor([[1.0000, 1.0000],
                [1.4142, 0.7071],
                [2.0000, 0.5000]])
    """
    ratios = torch.arange(points + 1, device=largest.device) / points
    factors = (largest ** ratios.unsqueeze(1)).clamp_(min=1e-4)
    mean = (factors.amax(1, keepdim=True) * factors.amin(1, keepdim=True)).sqrt_()
    return factors / mean.clamp_(min=1e-8)


__all__ = ["AWQ", "factors_to_try"]

"""`CategoryEncoding`: whole numbers as one-hot, multi-hot or count vectors."""

from __future__ import annotations

from typing import Any

import torch

from lamella.engine.dtypes import torch_dtype
from lamella.errors import DataError
from lamella.layers.base import registry
from lamella.layers.data_layer import NumberLayer, one_of, refuse, refuse_sparse


@registry.register()
class CategoryEncoding(NumberLayer):
    """Encodes whole numbers from 0 to `num_tokens` - 1.

    Input (..., length); output (..., num_tokens), or in `"one_hot"` mode (..., length, num_tokens), without the
    length where it is 1.

    Args:
        num_tokens: How many categories there are.
        output_mode: `"multi_hot"` (1 for each category that a sample has), `"count"` (how often it has it) or
            `"one_hot"` (each number on its own).
        sparse: Must be False.
        **kwargs: As for every layer.

    Raises:
        ArgumentError: No `num_tokens`, or an unknown mode.
        DataError: Numbers outside the range (where the data are on the CPU; elsewhere they are left out).

    Example:
        >>> from lamella.layers import CategoryEncoding
        >>> CategoryEncoding(4, output_mode="count")([[0, 1], [3, 3]])
        tensor([[1., 1., 0., 0.],
                [0., 0., 0., 2.]])
    """

    def __init__(
        self, num_tokens: int | None = None, output_mode: str = "multi_hot", sparse: bool = False, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        output_mode = "multi_hot" if output_mode == "binary" else output_mode
        one_of(self, "output_mode", output_mode, ("multi_hot", "one_hot", "count"))
        if num_tokens is None:
            raise refuse(
                self, "give `num_tokens`, the number of categories. If it is not known, use IntegerLookup and adapt()."
            )
        if num_tokens < 1:
            raise refuse(self, f"`num_tokens` must be 1 or more; got {num_tokens}.")
        refuse_sparse(self, sparse)
        self.num_tokens = num_tokens
        self.output_mode = output_mode
        self.sparse = sparse
        self._build_at_init()

    def call(self, inputs: torch.Tensor, count_weights: Any = None) -> torch.Tensor:
        if count_weights is not None and self.output_mode != "count":
            raise refuse(self, f"`count_weights` goes with output_mode='count', not {self.output_mode!r}.")
        if inputs.device.type == "cpu":  # elsewhere the check would wait for the device
            self._check_range(inputs)
        return encode(inputs, self.output_mode, self.num_tokens, torch_dtype(self.dtype), count_weights)

    def _check_range(self, inputs: torch.Tensor) -> None:
        if inputs.numel() and not (inputs.min() >= 0 and inputs.max() < self.num_tokens):
            raise DataError(
                f"CategoryEncoding {self.name!r} takes numbers from 0 to {self.num_tokens - 1}; found "
                f"{inputs.min()} to {inputs.max()}. Raise `num_tokens`, or index the values with IntegerLookup."
            )

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        del config["sparse"]
        return config


def encode(
    indices: torch.Tensor, output_mode: str, depth: int, dtype: torch.dtype, weights: torch.Tensor | None = None
) -> torch.Tensor:
    """Indices as `"int"`, `"one_hot"`, `"multi_hot"` or `"count"`; those outside [0, depth) leave no trace.

    A sample is a row, (batch, length), and its vector as long as `depth`. With more axes Keras sums over axis 1.
    """
    if output_mode == "int":
        return indices.to(dtype)
    indices = indices.long()
    if indices.ndim == 0:
        indices = indices[None]
    if output_mode == "one_hot":
        indices = indices if indices.ndim == 1 or indices.shape[-1] != 1 else indices[..., 0]
        indices = indices[..., None]
    elif indices.ndim > 2:
        indices = indices.movedim(1, -1)
        weights = None if weights is None else weights.movedim(1, -1)
    if indices.is_meta:  # torch would load its compiler, a second and more, for the shape of a scatter
        return torch.empty((*indices.shape[:-1], depth), dtype=dtype, device="meta")
    # One column more than needed takes what is out of range: no branch on the data, and nothing waits.
    indices = torch.where((indices >= 0) & (indices < depth), indices, depth)
    out = torch.zeros((*indices.shape[:-1], depth + 1), dtype=dtype, device=indices.device)
    if output_mode == "count":
        ones = torch.ones((), dtype=dtype, device=indices.device).expand(indices.shape)
        out = out.scatter_add(-1, indices, ones if weights is None else weights.to(dtype).expand(indices.shape))
    else:
        out = out.scatter(-1, indices, 1)
    return out[..., :depth]

"""`Embedding`: a vector for each whole number."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F

from lamella import constraints, initializers, regularizers
from lamella.layers.base import registry
from lamella.layers.dense import positive_int
from lamella.layers.lora import AdaptedWeight, KeptWeight
from lamella.layers.quantizable import QuantizableLayer
from lamella.layers.quantized_weight import Int4Weight, Int8Weight, block_size_of


@registry.register()
class Embedding(QuantizableLayer):
    """Row i of a table for each input i.

    Args:
        input_dim: The number of rows: the largest input plus one.
        output_dim: The size of a row.
        embeddings_initializer: Where the table starts.
        embeddings_regularizer: A penalty on the table.
        embeddings_constraint: A projection of the table after each update.
        mask_zero: Whether 0 means padding: later layers and the loss then leave it out.
        weights: The table to start from, (input_dim, output_dim).
        lora_rank: Where given, the table is frozen and a change of this rank is trained: see `enable_lora`.
        lora_alpha: How much that change counts: it is multiplied by lora_alpha / lora_rank. By default lora_rank.
        quantization_config: How the table is rounded where `dtype` is a policy such as `"int8_from_float32"`.
        **kwargs: As for every layer.

    Shapes: (batch, ...) of whole numbers -> (batch, ..., output_dim).

    Raises:
        IndexError: An input that is negative or not below `input_dim` (on the CPU).

    Example:
        >>> import torch
        >>> from lamella.layers import Embedding
        >>> Embedding(10, 4)(torch.tensor([[1, 2, 3]])).shape
        torch.Size([1, 3, 4])
    """

    embeddings = AdaptedWeight("embeddings")
    _embeddings = KeptWeight()
    _adapted = "embeddings"
    _modes = ("int8", "int4")
    _quantized: Int8Weight | Int4Weight | None

    def __init__(
        self,
        input_dim: int,
        output_dim: int,
        embeddings_initializer: Any = "uniform",
        embeddings_regularizer: Any = None,
        embeddings_constraint: Any = None,
        mask_zero: bool = False,
        weights: Any = None,
        lora_rank: int | None = None,
        lora_alpha: float | None = None,
        quantization_config: Any = None,
        **kwargs: Any,
    ) -> None:
        input_length = kwargs.pop("input_length", None)  # from Keras 2; the length is read from the data
        if input_length is not None:
            kwargs.setdefault("input_shape", (input_length,))
        super().__init__(**kwargs)
        self.input_dim = positive_int(self, "input_dim", input_dim)
        self.output_dim = positive_int(self, "output_dim", output_dim)
        self.embeddings_initializer = initializers.get(embeddings_initializer)
        self.embeddings_regularizer = regularizers.get(embeddings_regularizer)
        self.embeddings_constraint = constraints.get(embeddings_constraint)
        self._set_lora(lora_rank, lora_alpha)
        self._set_quantization(quantization_config)
        self.mask_zero = mask_zero
        self.supports_masking = mask_zero
        self.autocast = False
        if weights is not None:
            self._build((), {})
            self.set_weights(weights if isinstance(weights, (list, tuple)) else [weights])

    def build(self, input_shape: Any = None) -> None:
        self.add_weight(
            (self.input_dim, self.output_dim),
            self.embeddings_initializer,
            regularizer=self.embeddings_regularizer,
            constraint=self.embeddings_constraint,
            name="embeddings",
        )
        self._finish_build()

    def call(self, inputs: torch.Tensor) -> torch.Tensor:
        if inputs.dtype not in (torch.int32, torch.int64):
            inputs = inputs.to(torch.int64)
        try:
            return F.embedding(inputs, self.embeddings) if self._is_plain else self._adapted_rows(inputs)
        except IndexError as error:
            low, high = int(inputs.min()), int(inputs.max())
            raise IndexError(
                f"Embedding {self.name!r} has {self.input_dim} rows, so its inputs must be from 0 to "
                f"{self.input_dim - 1}; found {low} to {high}. Set input_dim to the largest input plus one."
            ) from error

    def _adapted_rows(self, inputs: torch.Tensor) -> torch.Tensor:
        """The rows with LoRA or quantized: of those that are asked for alone, not of the whole table."""
        if self._quantized is not None:
            rows = self._quantized.rows(self, inputs, self._float)
        else:
            rows = F.embedding(inputs, self._kept_weight())
        if self.lora_enabled:
            a, b, scale = self._lora_factors()
            rows = rows + scale * (F.embedding(inputs, a) @ b)
        return rows

    def _int8_weights(self, config: Any, policy: Any) -> list[Int8Weight]:
        shape = self.input_dim, self.output_dim
        return [Int8Weight("embeddings", shape, (1,), (0,), config and config.weight_quantizer)]

    def _int4_weights(self, config: Any, policy: Any) -> list[Int4Weight]:
        shape = self.input_dim, self.output_dim
        block, quantizer = block_size_of(config, policy), config and config.weight_quantizer
        return [Int4Weight("embeddings", shape, shape, axis=1, block_size=block, quantizer=quantizer)]

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        return inputs != 0 if self.mask_zero else None

    def _can_be_quick(self) -> bool:
        return not self.mask_zero and self.activity_regularizer is None

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        config.pop("weights", None)
        return config

"""`ReversibleEmbedding`: a table that is looked up in, and that projects back."""

from __future__ import annotations

from functools import partial
from typing import Any, ClassVar, cast

import torch

from lamella.engine import masking
from lamella.engine.dtypes import torch_dtype
from lamella.layers.base import registry
from lamella.layers.embedding import Embedding
from lamella.layers.quantized_weight import Int4Weight, Int8Weight, block_size_of, product
from lamella.quantizers import AbsMaxQuantizer


@registry.register()
class ReversibleEmbedding(Embedding):
    """An `Embedding` that also goes back: with `reverse=True` from vectors to a score for each row of the table.

    Args:
        input_dim: The number of rows: the largest input plus one.
        output_dim: The size of a row.
        tie_weights: Whether the way back uses the same table (transposed) or one of its own.
        embeddings_initializer: Where the table starts.
        embeddings_regularizer: A penalty on the table.
        embeddings_constraint: A projection of the table after each update.
        mask_zero: Whether 0 means padding.
        reverse_dtype: The data type of the way back; the layer's by default.
        logit_soft_cap: Brings the scores smoothly between -cap and cap: cap * tanh(scores / cap).
        **kwargs: As for every layer.

    Shapes: (batch, ...) of whole numbers -> (batch, ..., output_dim); in reverse (batch, ..., output_dim) ->
    (batch, ..., input_dim). Weights: embeddings (input_dim, output_dim); reverse_embeddings
    (output_dim, input_dim) unless tied.

    Source: Press and Wolf, 2017.

    Example:
        >>> import torch
        >>> from lamella.layers import ReversibleEmbedding
        >>> layer = ReversibleEmbedding(10, 4)
        >>> hidden = layer(torch.tensor([[1, 2, 3]]))
        >>> hidden.shape, layer(hidden, reverse=True).shape
        (torch.Size([1, 3, 4]), torch.Size([1, 3, 10]))
    """

    _default_quantizers: ClassVar[dict[str, Any]] = {"int8": AbsMaxQuantizer(), "int4": AbsMaxQuantizer()}
    _way_back: Int8Weight | Int4Weight

    def __init__(
        self,
        input_dim: int,
        output_dim: int,
        tie_weights: bool = True,
        embeddings_initializer: Any = "uniform",
        embeddings_regularizer: Any = None,
        embeddings_constraint: Any = None,
        mask_zero: bool = False,
        reverse_dtype: Any = None,
        logit_soft_cap: float | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            input_dim,
            output_dim,
            embeddings_initializer=embeddings_initializer,
            embeddings_regularizer=embeddings_regularizer,
            embeddings_constraint=embeddings_constraint,
            mask_zero=mask_zero,
            **kwargs,
        )
        self.tie_weights = tie_weights
        self.reverse_dtype = reverse_dtype
        self.logit_soft_cap = logit_soft_cap

    def _finish_build(self) -> None:
        if not self.tie_weights:
            self.add_weight((self.output_dim, self.input_dim), self.embeddings_initializer, name="reverse_embeddings")
        super()._finish_build()

    def call(self, inputs: torch.Tensor, reverse: bool = False) -> torch.Tensor:
        if not reverse:
            outputs = super().call(inputs)
            mask = super().compute_mask(inputs)
            if mask is not None:
                masking.set_mask(outputs, mask)
            return outputs
        if self.reverse_dtype is not None:
            inputs = inputs.to(torch_dtype(self.reverse_dtype))
        if inputs.is_meta:  # torch would load its compiler, most of a second, for the shape alone
            return inputs.new_empty((*inputs.shape[:-1], self.input_dim))
        logits = self._scores(inputs)
        cap = self.logit_soft_cap
        return logits if cap is None else torch.tanh(logits / cap) * cap

    def _scores(self, vectors: torch.Tensor) -> torch.Tensor:
        """Each vector's product with every row of the table of the way back."""
        if self._quantized is not None:
            weight = self._quantized if self.tie_weights else self._way_back
            flat = vectors.reshape(-1, self.output_dim)
            scores = product(flat, partial(weight.matrix, self), self._input_quantizer)
            scores = scores.view(*vectors.shape[:-1], self.input_dim)
        else:
            table = self._kept_weight().T if self.tie_weights else cast(torch.Tensor, self.reverse_embeddings)
            scores = vectors @ table.to(vectors.dtype)
        if self.lora_enabled and self.tie_weights:
            a, b, scale = self._lora_factors()
            scores = scores + scale * (vectors @ b.T.to(vectors.dtype)) @ a.T.to(vectors.dtype)
        return scores

    def _int8_weights(self, config: Any, policy: Any) -> list[Int8Weight]:
        if self.tie_weights:
            return super()._int8_weights(config, policy)
        shape = self.output_dim, self.input_dim
        self._way_back = Int8Weight("reverse_embeddings", shape, (0,), (1,), config and config.weight_quantizer)
        return [*super()._int8_weights(config, policy), self._way_back]

    def _int4_weights(self, config: Any, policy: Any) -> list[Int4Weight]:
        if self.tie_weights:
            return super()._int4_weights(config, policy)
        shape = self.output_dim, self.input_dim
        block, quantizer = block_size_of(config, policy), config and config.weight_quantizer
        self._way_back = Int4Weight("reverse_embeddings", shape, shape, packed=0, block_size=block, quantizer=quantizer)
        return [*super()._int4_weights(config, policy), self._way_back]

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        """None: the mask is set in the call, which knows its direction."""
        return None

    def get_config(self) -> dict[str, Any]:
        return {"activity_regularizer": None} | super().get_config()

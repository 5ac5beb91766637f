"""`GroupQueryAttention`: several heads of queries share one head of keys and values."""

from __future__ import annotations

import math
from typing import Any

import torch

from lamella.engine import masking
from lamella.engine.naming import auto_name
from lamella.errors import ArgumentError, ShapeError
from lamella.layers.base import registry
from lamella.layers.dense import positive_int
from lamella.layers.dropout import Dropout
from lamella.layers.multi_head_attention import merged_masks
from lamella.layers.projected_attention import ProjectedAttention


@registry.register()
class GroupQueryAttention(ProjectedAttention):
    """Attention of many query heads to few key and value heads, which take less memory and fewer weights.

    With `num_key_value_heads` equal to `num_query_heads` it is multi-head attention; with 1, multi-query attention.

    Args:
        head_dim: The size of a head.
        num_query_heads: The number of query heads.
        num_key_value_heads: The number of key and value heads; it divides `num_query_heads`.
        dropout: The share of the attention weights that is dropped while training.
        use_bias: Whether the projections have biases.
        sliding_window: Only keys less than this many positions away are looked at.
        flash_attention: True forbids what the fused kernels cannot do; they are used wherever possible anyway.
        kernel_initializer: Where the kernels start.
        bias_initializer: Where the biases start.
        kernel_regularizer: A penalty on the kernels.
        bias_regularizer: A penalty on the biases.
        activity_regularizer: A penalty on the outputs of the layer and of its projections.
        kernel_constraint: A projection of the kernels after each update.
        bias_constraint: A projection of the biases.
        use_gate: Whether each head's result is multiplied by a sigmoid of a projection of the query.
        seed: An integer for a sequence of dropout masks of its own.
        **kwargs: As for every layer.

    Called as `MultiHeadAttention` is, on (batch, T, dim) and (batch, S, dim); the weights that
    `return_attention_scores` returns have shape (batch, num_query_heads, T, S).

    Weights: kernel and bias of query, key, gate (if `use_gate`), value and attention_output.

    Raises:
        ArgumentError: Numbers of heads that do not divide, or arguments out of their range.
        ShapeError: Inputs that are not (batch, steps, features), or a mask that does not fit.

    Source: Ainslie et al., 2023.

    Example:
        >>> import torch
        >>> from lamella.layers import GroupQueryAttention
        >>> x = torch.ones(2, 5, 8)
        >>> GroupQueryAttention(head_dim=4, num_query_heads=4, num_key_value_heads=2)(x, x).shape
        torch.Size([2, 5, 8])
    """

    def __init__(
        self,
        head_dim: int,
        num_query_heads: int,
        num_key_value_heads: int,
        dropout: float = 0.0,
        use_bias: bool = True,
        sliding_window: int | None = None,
        flash_attention: bool | None = None,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        kernel_constraint: Any = None,
        bias_constraint: Any = None,
        use_gate: bool = False,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        name = kwargs.pop("name", None) or auto_name("GroupedQueryAttention")  # Keras's own name of the class
        super().__init__(activity_regularizer=activity_regularizer, name=name, **kwargs)
        self.head_dim = positive_int(self, "head_dim", head_dim)
        self.num_query_heads = positive_int(self, "num_query_heads", num_query_heads)
        self.num_key_value_heads = positive_int(self, "num_key_value_heads", num_key_value_heads)
        if num_query_heads % num_key_value_heads:
            raise ArgumentError(
                f"GroupQueryAttention {self.name!r}: `num_query_heads` must be a multiple of `num_key_value_heads`; "
                f"got {num_query_heads} and {num_key_value_heads}."
            )
        self.num_repeats = num_query_heads // num_key_value_heads
        self._scale = 1.0 / math.sqrt(self.head_dim)
        self._configure(
            dropout,
            use_bias,
            sliding_window,
            flash_attention,
            (kernel_initializer, bias_initializer),
            (kernel_regularizer, bias_regularizer, activity_regularizer),
            (kernel_constraint, bias_constraint),
            use_gate,
            seed,
        )

    def build(self, query_shape: Any, value_shape: Any, key_shape: Any = None) -> None:  # type: ignore[override]
        key_shape = value_shape if key_shape is None else key_shape
        for shape in (query_shape, value_shape, key_shape):
            if len(shape) != 3:
                raise ShapeError(
                    f"GroupQueryAttention {self.name!r} takes inputs of shape (batch, steps, features); got "
                    f"{tuple(shape)}."
                )
        self.feature_dim = query_shape[-1]
        queries, keys = [None, self.num_query_heads, self.head_dim], [None, self.num_key_value_heads, self.head_dim]
        self._set("_query_dense", self._projection("query", "bqm,muh->bquh", queries, "uh"), query_shape)
        self._set("_key_dense", self._projection("key", "bkm,mvh->bkvh", keys, "vh"), key_shape)
        if self.use_gate:
            gate = self._projection("gate", "bqm,muh->bquh", queries, "uh", "sigmoid")
            self._set("_gate_dense", gate, query_shape)
        self._set("_value_dense", self._projection("value", "bkm,mvh->bkvh", keys, "vh"), value_shape)
        self._dropout_layer = Dropout(self.dropout, seed=self.seed, autocast=False)  # in the type of the weights
        output = self._projection("attention_output", "bquh,uhm->bqm", [None, self.feature_dim], "m")
        self._set("_output_dense", output, (None, None, self.num_query_heads, self.head_dim))

    def call(
        self,
        query: torch.Tensor,
        value: torch.Tensor,
        key: torch.Tensor | None = None,
        query_mask: torch.Tensor | None = None,
        value_mask: torch.Tensor | None = None,
        key_mask: torch.Tensor | None = None,
        attention_mask: torch.Tensor | None = None,
        return_attention_scores: bool = False,
        training: bool | None = None,
        use_causal_mask: bool = False,
    ) -> Any:
        carried = masking.get_mask(query)
        if masking.in_use:
            query_mask = carried if query_mask is None else query_mask
            value_mask = masking.get_mask(value) if value_mask is None else value_mask
            key_mask = masking.get_mask(key) if key_mask is None else key_mask
        key = value if key is None else key
        if value.shape[1] != key.shape[1]:
            raise ShapeError(
                f"GroupQueryAttention {self.name!r}: value and key must have the same number of steps; got "
                f"{tuple(value.shape)} and {tuple(key.shape)}. Is the order (query, value, key)?"
            )
        scores: torch.Tensor | None
        if query.is_meta:  # torch would load its compiler, most of a second, for the shapes alone
            outputs = torch.empty_like(query)
            scores = query.new_empty((query.shape[0], self.num_query_heads, query.shape[1], value.shape[1]))
        else:
            allowed = merged_masks(self, query, value, (1,), query_mask, (value_mask, key_mask), attention_mask)
            attended, scores = self._attend(
                self._query_dense.direct(query).transpose(1, 2),
                self._for_each_query(self._key_dense.direct(key)),
                self._for_each_query(self._value_dense.direct(value)),
                allowed,
                use_causal_mask,
                training,
                return_attention_scores,
            )
            attended = attended.transpose(1, 2)
            if self.use_gate:
                attended = attended * self._gate_dense.direct(query)
            outputs = self._output_dense.direct(attended)
        if carried is not None:
            masking.set_mask(outputs, carried)
        return (outputs, scores) if return_attention_scores else outputs

    def _for_each_query(self, x: torch.Tensor) -> torch.Tensor:
        """(batch, steps, few heads, size) -> (batch, query heads, steps, size): each repeated for its group."""
        return x.repeat_interleave(self.num_repeats, dim=2).transpose(1, 2)

    def get_config(self) -> dict[str, Any]:
        config = {"activity_regularizer": None} | super().get_config()
        config.pop("flash_attention", None)
        return config

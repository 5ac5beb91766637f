"""`ProjectedAttention`: what `MultiHeadAttention` and `GroupQueryAttention` share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from lamella import constraints, initializers, regularizers
from lamella.dtype_policies import DTypePolicyMap, serialize
from lamella.engine.fused_attention import fused_attention
from lamella.errors import ArgumentError
from lamella.layers.attention import causal_mask
from lamella.layers.base import Layer
from lamella.layers.dense import positive_int
from lamella.layers.dropout import Dropout
from lamella.layers.einsum_dense import EinsumDense


class ProjectedAttention(Layer):
    """What attentions with projections share: their sublayers, their masks and the weighted mean itself."""

    dropout: float
    sliding_window: int | None
    seed: int | None
    use_bias: bool
    _scale: float
    _means_for_none = True  # whether a query that may look at nothing gets the mean of all values, not zeros
    _dropout_layer: Dropout
    _query_dense: EinsumDense
    _key_dense: EinsumDense
    _value_dense: EinsumDense
    _gate_dense: EinsumDense
    _output_dense: EinsumDense

    def _configure(
        self,
        dropout: float,
        use_bias: bool,
        sliding_window: int | None,
        flash_attention: bool | None,
        initializers_: tuple[Any, Any],
        regularizers_: tuple[Any, Any, Any],
        constraints_: tuple[Any, Any],
        use_gate: bool,
        seed: int | None,
    ) -> None:
        if flash_attention and dropout > 0:
            raise ArgumentError(
                f"{type(self).__name__} {self.name!r}: flash_attention=True does not go with dropout={dropout}. Set "
                f"one of them to 0 or None."
            )
        self.dropout = dropout
        self._means_for_none = dropout == 0
        self.use_bias = use_bias
        self.use_gate = use_gate
        self.seed = seed
        self.sliding_window = None if sliding_window is None else positive_int(self, "sliding_window", sliding_window)
        self._flash_attention = flash_attention
        self.kernel_initializer, self.bias_initializer = (initializers.get(each) for each in initializers_)
        self.kernel_regularizer, self.bias_regularizer, self._sublayer_activity = (
            regularizers.get(each) for each in regularizers_
        )
        self.kernel_constraint, self.bias_constraint = (constraints.get(each) for each in constraints_)
        self.supports_masking = True

    def _build(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        if "query" not in self._call_takes:  # a class made from it, with inputs of its own
            super()._build(args, kwargs)
            return
        given = dict(zip(self._call_names(), args, strict=False)) | kwargs
        inputs = {name: given[name] for name in ("query", "value", "key") if given.get(name) is not None}
        if "query" not in inputs or "value" not in inputs:
            raise ArgumentError(
                f"{type(self).__name__} {self.name!r} is called as layer(query, value) or layer(query, value, key); "
                f"got {', '.join(inputs) or 'neither'}. For self-attention pass the same tensor twice: layer(x, x)."
            )
        super()._build((), inputs)

    def _projection(
        self, name: str, equation: str, shape: Sequence[int | None], bias_axes: str, activation: Any = None
    ) -> EinsumDense:
        return EinsumDense(
            equation,
            output_shape=shape,
            bias_axes=bias_axes if self.use_bias else None,
            activation=activation,
            name=name,
            kernel_initializer=self.kernel_initializer,
            bias_initializer=self.bias_initializer,
            kernel_regularizer=self.kernel_regularizer,
            bias_regularizer=self.bias_regularizer,
            activity_regularizer=self._sublayer_activity,
            kernel_constraint=self.kernel_constraint,
            bias_constraint=self.bias_constraint,
            trainable=self._trainable,
            dtype=self._given_policy if isinstance(self._given_policy, DTypePolicyMap) else self._policy,
        )

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        quantized = {
            f"(.*/)?{layer.name}": layer.dtype_policy
            for layer in self.children()
            if isinstance(layer, EinsumDense) and layer.quantization_mode is not None
        }
        return config | {"dtype": serialize(DTypePolicyMap(self._policy, quantized))} if quantized else config

    def _set(self, name: str, layer: EinsumDense, input_shape: tuple[Any, ...]) -> None:
        """Builds a sublayer and makes it an attribute."""
        layer.build(input_shape)
        layer._mark_built()
        setattr(self, name, layer)

    def _attend(
        self,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        allowed: torch.Tensor | None,
        causal: bool,
        training: bool | None,
        return_scores: bool,
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """The weighted means of the values, and the weights if they are wanted.

        Args:
            query: (batch, heads, T, size); key (batch, heads, S, size); value (batch, heads, S, value size).
            key: See query.
            value: See query.
            allowed: True where a query may look at a key, to broadcast to (batch, heads, T, S).
            causal: Whether a query sees only the keys up to its own position.
            training: Whether weights are dropped.
            return_scores: Whether the weights are wanted.

        A query that may look at nothing gets what it gets in Keras: the mean of all values, or zeros where the
        layer has dropout, the weights are wanted or the inputs have more than three axes.
        """
        if return_scores and self._flash_attention:
            raise ArgumentError(
                f"{type(self).__name__} {self.name!r}: flash_attention=True never holds the attention weights, so "
                f"return_attention_scores=True cannot give them. Leave flash_attention at None."
            )
        dropped = bool(training) and self.dropout > 0
        fused_dropout = dropped and self.seed is None and query.device.type == "cuda"
        fused = not return_scores and (not dropped or fused_dropout)
        length = self.sliding_window
        if length is not None or (causal and (allowed is not None or not fused)):
            band = _near(query.shape[-2], key.shape[-2], length, causal, query.device)
            allowed = band if allowed is None else allowed & band
        if fused:
            bias = allowed
            if allowed is not None and self._means_for_none:
                bias = (~allowed).to(query.dtype) * (torch.finfo(query.dtype).min * 0.7)
            return (
                fused_attention(
                    query,
                    key,
                    value,
                    attn_mask=bias,
                    is_causal=bool(causal) and bias is None,
                    dropout_p=self.dropout if fused_dropout else 0.0,
                    scale=self._scale,
                ),
                None,
            )
        scores = (query * self._scale) @ key.transpose(-2, -1)
        if allowed is not None:
            scores = scores.masked_fill(~allowed, -3e4 if scores.dtype is torch.float16 else -1e9)
        weights = torch.softmax(scores, -1)
        if allowed is not None:
            weights = weights.masked_fill(~allowed, 0.0)
        return self._dropout_layer.call(weights, training=training) @ value, weights


def _near(rows: int, columns: int, window: int | None, causal: bool, device: torch.device) -> torch.Tensor:
    """True where a query's position is less than `window` from a key's and, if `causal`, not before it."""
    if window is None:
        return causal_mask(rows, columns, device)
    ahead = torch.arange(rows, device=device).unsqueeze(1) - torch.arange(columns, device=device)
    near = ahead.abs() < window
    return near & (ahead >= 0) if causal else near

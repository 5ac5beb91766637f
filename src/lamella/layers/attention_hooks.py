"""The inner parts of Keras's `MultiHeadAttention` by the names that classes made from it use.

Keras invites such classes to call (or to replace) `_compute_attention`, and packages build their own projections from
`_num_heads`, `_key_dim` and the like. Nothing of Lamella's own layers goes this way.
"""

from __future__ import annotations

from typing import Any

import torch

from lamella.layers.dropout import Dropout


def _alias(name: str) -> Any:
    """A property that reads and sets the attribute `name`."""
    return property(lambda self: getattr(self, name), lambda self, value: setattr(self, name, value))


class AttentionHooks:
    """For layers with `_attend` (see `ProjectedAttention`): Keras's inner names for what they have.

    Example:
        >>> from lamella.layers import MultiHeadAttention
        >>> class Cached(MultiHeadAttention):
        ...     def call(self, query, value, training=None):
        ...         q, k, v = self._query_dense(query), self._key_dense(value), self._value_dense(value)
        ...         attended, scores = self._compute_attention(q, k, v, training=training)
        ...         return self._output_dense(attended)
        >>> x = torch.ones(2, 5, 8)
        >>> Cached(num_heads=2, key_dim=4)(x, x).shape
        torch.Size([2, 5, 8])
    """

    attention_axes: Any
    _over: Any

    _num_heads = _alias("num_heads")
    _key_dim = _alias("key_dim")
    _value_dim = _alias("value_dim")
    _use_bias = _alias("use_bias")
    _dropout = _alias("dropout")
    _attention_axes = _alias("attention_axes")
    _kernel_initializer = _alias("kernel_initializer")
    _bias_initializer = _alias("bias_initializer")
    _kernel_regularizer = _alias("kernel_regularizer")
    _bias_regularizer = _alias("bias_regularizer")
    _activity_regularizer = _alias("_sublayer_activity")
    _kernel_constraint = _alias("kernel_constraint")
    _bias_constraint = _alias("bias_constraint")
    _inverse_sqrt_key_dim = _alias("_scale")

    def _get_common_kwargs_for_sublayer(self: Any) -> dict[str, Any]:
        """What all projections are made with; an initializer anew for each, so that they do not start equal."""
        kernel, bias = (
            type(each).from_config(each.get_config()) for each in (self.kernel_initializer, self.bias_initializer)
        )
        return {
            "kernel_initializer": kernel,
            "bias_initializer": bias,
            "kernel_regularizer": self.kernel_regularizer,
            "bias_regularizer": self.bias_regularizer,
            "activity_regularizer": self._sublayer_activity,
            "kernel_constraint": self.kernel_constraint,
            "bias_constraint": self.bias_constraint,
            "dtype": self._policy,
        }

    def _build_attention(self: Any, rank: int) -> None:
        """Makes what attention needs besides projections, for projected queries of `rank` axes."""
        axes = range(1, rank - 2) if self.attention_axes is None else self.attention_axes
        self.attention_axes = self._over = tuple(axis if axis >= 0 else rank - 1 + axis for axis in axes)
        self._means_for_none = self.dropout == 0 and rank == 4
        self._dropout_layer = Dropout(self.dropout, seed=self.seed, autocast=False)  # in the type of the weights
        self._dot_product_equation, self._combine_equation = equations(rank, self._over)

    def _masked_softmax(self: Any, scores: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
        """The softmax over the keys of scores (batch, heads, T, S), 0 where the mask is False."""
        keys = tuple(range(scores.ndim - len(self._over), scores.ndim))
        if mask is not None:
            while mask.ndim < scores.ndim:
                mask = mask.unsqueeze(-2 * len(self._over) - 1)
            mask = mask.to(torch.bool)
            scores = scores.masked_fill(~mask, -3e4 if scores.dtype is torch.float16 else -1e9)
        flat = scores.flatten(keys[0]) if len(keys) > 1 else scores
        weights = torch.softmax(flat, -1).reshape(scores.shape)
        return weights if mask is None else weights.masked_fill(~mask, 0.0)

    def _compute_attention(
        self: Any,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        attention_mask: torch.Tensor | None = None,
        training: bool | None = None,
        return_attention_scores: bool = False,
        use_causal_mask: bool = False,
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """The attention of projected queries (batch, T, heads, size) to keys and values: (the like, scores or None)."""
        axes, bare = self._over, (query[..., 0], value[..., 0])
        allowed = self._allowed(attention_mask, *bare) if attention_mask is not None else None
        attended, scores = self._attend(
            *(self._heads_first(each) for each in (query, key, value)),
            allowed,
            use_causal_mask,
            training,
            return_attention_scores,
        )
        if scores is not None:
            others = [size for axis, size in enumerate(bare[0].shape[:-1]) if axis not in axes]
            ends = [each.shape[axis] for each in bare for axis in axes]
            scores = scores.reshape(*others, self.num_heads, *ends)
        return self._heads_last(attended, bare[0].shape), scores


def equations(rank: int, axes: tuple[int, ...]) -> tuple[str, str]:
    """Of scores from keys and queries, and of outputs from scores and values, for tensors (batch, ..., heads, size)."""
    target = "abcdefghijklm"[:rank]
    source = "".join("nopqrstuvwxyz"[axis] if axis in axes else letter for axis, letter in enumerate(target))
    batch = [axis for axis in range(rank - 1) if axis not in axes]
    scores = "".join([*(target[axis] for axis in (*batch, *axes)), *(source[axis] for axis in axes)])
    return f"{source},{target}->{scores}", f"{scores},{source}->{target}"

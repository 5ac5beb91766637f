"""`Attention` and `AdditiveAttention`: values mixed by how well their keys answer a query."""

from __future__ import annotations

from typing import Any

import torch

from lamella.engine import masking
from lamella.engine.fused_attention import fused_attention
from lamella.errors import ArgumentError, ShapeError
from lamella.layers.base import Layer, registry
from lamella.layers.dropout import Dropout


def causal_mask(rows: int, columns: int, device: torch.device) -> torch.Tensor:
    """True where position `row` may look at position `column`: at itself and what came before.

    Example:
        >>> causal_mask(2, 3, torch.device("cpu")).int().tolist()
        [[1, 0, 0], [1, 1, 0]]
    """
    return torch.ones(rows, columns, dtype=torch.bool, device=device).tril_()


@registry.register()
class Attention(Layer):
    """softmax(score(query, key)) @ value, the score a dot product (Luong) or a sum of tanh (`"concat"`).

    Args:
        use_scale: Whether the scores are multiplied by a trained number.
        score_mode: `"dot"` for query @ key, `"concat"` for a trained number times sum(tanh(query + key)).
        dropout: The share of the attention weights that is dropped while training.
        seed: An integer for a sequence of dropout masks of its own.
        **kwargs: As for every layer.

    Called on `[query, value]` or `[query, value, key]` of shapes (batch, Tq, dim), (batch, Tv, dim) and
    (batch, Tv, dim); the key is the value by default. Further arguments of the call:

    - `mask`: `[query_mask, value_mask]` of shapes (batch, Tq) and (batch, Tv). Values with False are not looked
      at; outputs of queries with False are 0.
    - `return_attention_scores`: Whether to return (outputs, weights), the weights (batch, Tq, Tv).
    - `use_causal_mask`: Whether a query only sees values up to its own position.

    Weights: scale () if `use_scale`; concat_score_weight () for `"concat"`.

    Raises:
        ArgumentError: An unknown `score_mode`, or inputs that are not a list of two or three tensors.
        ShapeError: A query and a key of other sizes along the last axis.

    Source: Luong et al., 2015.

    Example:
        >>> import torch
        >>> from lamella.layers import Attention
        >>> query, value = torch.zeros(1, 1, 2), torch.tensor([[[1.0, 2.0], [3.0, 4.0]]])
        >>> Attention()([query, value])
        tensor([[[2., 3.]]])
    """

    def __init__(
        self,
        use_scale: bool = False,
        score_mode: str = "dot",
        dropout: float = 0.0,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if score_mode not in ("dot", "concat"):
            raise ArgumentError(
                f"{type(self).__name__} {self.name!r}: `score_mode` must be 'dot' or 'concat'; got {score_mode!r}."
            )
        self.use_scale = use_scale
        self.score_mode = score_mode
        self.dropout = dropout
        self.seed = seed
        self.supports_masking = True
        self.scale: torch.Tensor | None = None
        self.concat_score_weight: torch.Tensor | None = None
        self._can_fuse = score_mode == "dot"
        self._dropout = Dropout(dropout, seed=seed, autocast=False)  # in the type of the weights

    def build(self, input_shape: Any) -> None:
        self._check_inputs(input_shape)
        if self.use_scale:
            self.scale = self.add_weight((), "ones", name="scale")
        if self.score_mode == "concat":
            self.concat_score_weight = self.add_weight((), "ones", name="concat_score_weight")

    def call(
        self,
        inputs: Any,
        mask: Any = None,
        training: bool | None = None,
        return_attention_scores: bool = False,
        use_causal_mask: bool = False,
    ) -> Any:
        self._check_inputs(inputs)
        self._check_mask(mask)
        query, value = inputs[0], inputs[1]
        key = inputs[2] if len(inputs) > 2 else value
        query_mask, value_mask = (mask[0], mask[1]) if mask else (None, None)
        if query.shape[-1] != key.shape[-1]:
            raise ShapeError(
                f"{type(self).__name__} {self.name!r}: query and key must have the same last size; got "
                f"{tuple(query.shape)} and {tuple(key.shape)}. Put a Dense before one of them."
            )
        if key.shape[-2] != value.shape[-2]:
            raise ShapeError(
                f"{type(self).__name__} {self.name!r}: value and key must have the same number of steps; got "
                f"{tuple(value.shape)} and {tuple(key.shape)}."
            )
        if query.is_meta:  # torch would load its compiler, most of a second, for the shapes alone
            outputs = query.new_empty((*query.shape[:-1], value.shape[-1]))
            scores = query.new_empty((*query.shape[:-1], value.shape[-2]))
            return (outputs, scores) if return_attention_scores else outputs
        fused = self._can_fuse and not return_attention_scores and not (training and self.dropout > 0)
        allowed = None if value_mask is None else value_mask.to(torch.bool)
        if allowed is not None and allowed.ndim == 2:
            allowed = allowed.unsqueeze(-2)
        if use_causal_mask and not (fused and allowed is None):
            causal = causal_mask(query.shape[-2], value.shape[-2], query.device)
            allowed = causal if allowed is None else allowed & causal
        if fused:
            outputs, weights = self._fused(query, key, value, allowed, use_causal_mask), None
        else:
            scores = self._calculate_scores(query, key)
            if allowed is not None:
                scores = scores + _bias(allowed, scores.dtype)
            weights = self._dropout(torch.softmax(scores, -1), training=training)
            outputs = weights @ value
        if query_mask is not None:
            outputs = outputs.masked_fill(~query_mask.to(torch.bool).unsqueeze(-1), 0.0)
        if not return_attention_scores:
            return outputs
        if query_mask is not None:
            masking.set_mask(outputs, query_mask)
        return outputs, weights

    def _calculate_scores(self, query: torch.Tensor, key: torch.Tensor) -> torch.Tensor:
        if self.score_mode == "dot":
            scores = query @ key.transpose(-2, -1)
            return scores if self.scale is None else scores * self.scale
        sums = query.unsqueeze(-2) + key.unsqueeze(-3)
        assert self.concat_score_weight is not None
        return self.concat_score_weight * torch.tanh(sums if self.scale is None else self.scale * sums).sum(-1)

    def _fused(
        self, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, allowed: torch.Tensor | None, causal: bool
    ) -> torch.Tensor:
        """torch's fused attention, which never holds all the weights at once."""
        if self.scale is not None:
            query = query * self.scale
        one_head = query.ndim == 3
        if one_head:  # the fused kernels want heads
            query, key, value = query.unsqueeze(1), key.unsqueeze(1), value.unsqueeze(1)
        bias = None
        if allowed is not None:
            bias = _bias(allowed, query.dtype)
            bias = bias.unsqueeze(1) if one_head and bias.ndim == 3 else bias
        outputs = fused_attention(query, key, value, attn_mask=bias, is_causal=bool(causal) and bias is None, scale=1.0)
        return outputs.squeeze(1) if one_head else outputs

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        self._check_mask(mask)
        return None if not mask else mask[0]

    def _check_inputs(self, inputs: Any) -> None:
        if not isinstance(inputs, (list, tuple)) or (inputs and (inputs[0] is None or isinstance(inputs[0], int))):
            raise ArgumentError(
                f"{type(self).__name__} {self.name!r} takes a list of inputs, [query, value] or [query, value, key]; "
                f"got one. For self-attention pass the same tensor twice: layer([x, x])."
            )
        if len(inputs) not in (2, 3):
            raise ArgumentError(
                f"{type(self).__name__} {self.name!r} takes two or three inputs, [query, value] or "
                f"[query, value, key]; got {len(inputs)}."
            )

    def _check_mask(self, mask: Any) -> None:
        if mask is not None and (not isinstance(mask, (list, tuple)) or len(mask) not in (2, 3)):
            raise ArgumentError(
                f"{type(self).__name__} {self.name!r}: `mask` must be a list, [query_mask, value_mask], where each may "
                f"be None; got {mask!r}."
            )


@registry.register()
class AdditiveAttention(Attention):
    """softmax(sum(scale * tanh(query + key))) @ value: Bahdanau's attention.

    Args:
        use_scale: Whether each feature of the sum is multiplied by a trained number.
        dropout: The share of the attention weights that is dropped while training.
        **kwargs: `seed`, and as for every layer.

    Called as `Attention` is. It holds (batch, Tq, Tv, dim) numbers at once. Weights: scale (dim,) if `use_scale`.

    Source: Bahdanau et al., 2015.

    Example:
        >>> import torch
        >>> from lamella.layers import AdditiveAttention
        >>> AdditiveAttention()([torch.ones(1, 3, 2), torch.ones(1, 5, 2)]).shape
        torch.Size([1, 3, 2])
    """

    def __init__(self, use_scale: bool = True, dropout: float = 0.0, **kwargs: Any) -> None:
        super().__init__(use_scale=use_scale, dropout=dropout, **kwargs)
        self._can_fuse = False

    def build(self, input_shape: Any) -> None:
        self._check_inputs(input_shape)
        if self.use_scale:
            self.scale = self.add_weight((input_shape[0][-1],), "glorot_uniform", name="scale")

    def _calculate_scores(self, query: torch.Tensor, key: torch.Tensor) -> torch.Tensor:
        sums = torch.tanh(query.unsqueeze(-2) + key.unsqueeze(-3))
        return sums.sum(-1) if self.scale is None else sums @ self.scale

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        config.pop("score_mode", None)
        return config


def _bias(allowed: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """0 where looking is allowed; elsewhere a number that takes the weight to 0."""
    return (~allowed).to(dtype) * (-65504.0 if dtype is torch.float16 else -1e9)

"""`MultiHeadAttention`."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from typing import Any

import torch

from lamella import regularizers
from lamella.engine import masking
from lamella.errors import ArgumentError, ShapeError
from lamella.layers.attention_hooks import AttentionHooks, equations
from lamella.layers.base import Layer, registry
from lamella.layers.dense import positive_int
from lamella.layers.dropout import Dropout
from lamella.layers.einsum_dense import EinsumDense
from lamella.layers.projected_attention import ProjectedAttention

_LETTERS = "abcdefghijklmnopqrstuvwxyz"


@registry.register()
class MultiHeadAttention(AttentionHooks, ProjectedAttention):
    """Several attentions at once, each with its own projections of query, key and value.

    Per head: softmax(q @ k.T / sqrt(key_dim)) @ v, with q, k, v projected from the inputs; the heads' results
    are projected together to the output.

    Args:
        num_heads: The number of heads.
        key_dim: The size of a head's queries and keys.
        value_dim: The size of a head's values; `key_dim` by default.
        dropout: The share of the attention weights that is dropped while training.
        use_bias: Whether the projections have biases.
        output_shape: The last axis (or axes) of the output; the last of the query by default.
        attention_axes: The axes that are attended over; all but the batch and the features by default.
        sliding_window: Only keys less than this many positions away are looked at.
        flash_attention: True forbids what the fused kernels cannot do; they are used wherever possible anyway.
        kernel_initializer: Where the kernels start.
        bias_initializer: Where the biases start.
        kernel_regularizer: A penalty on the kernels.
        bias_regularizer: A penalty on the biases.
        activity_regularizer: A penalty on the projections' outputs.
        kernel_constraint: A projection of the kernels after each update.
        bias_constraint: A projection of the biases.
        use_gate: Whether each head's result is multiplied by a sigmoid of a projection of the query.
        seed: An integer for a sequence of dropout masks of its own.
        **kwargs: As for every layer.

    Called as `layer(query, value)` or `layer(query, value, key)`, of shapes (batch, T, dim) and (batch, S, dim),
    to (batch, T, dim). Further arguments of the call:

    - `query_mask`, `value_mask`, `key_mask`: (batch, T) and (batch, S), False for padding; by default those that
      the inputs carry from an `Embedding(mask_zero=True)` or `Masking`. As in Keras, the inputs then carry
      theirs no longer, and the output carries the query's.
    - `attention_mask`: (batch, T, S) or (batch, heads, T, S), False where a query must not look.
    - `return_attention_scores`: Whether to return (outputs, weights), the weights (batch, heads, T, S).
    - `use_causal_mask`: Whether a query sees only what came before it.

    Weights: kernel and bias of query, key, gate (if `use_gate`), value and attention_output.

    Raises:
        ArgumentError: Arguments out of their range.
        ShapeError: A key and a value of different lengths, or a mask that does not fit.

    Source: Vaswani et al., 2017.

    Example:
        >>> import torch
        >>> from lamella.layers import MultiHeadAttention
        >>> x = torch.ones(2, 5, 8)
        >>> MultiHeadAttention(num_heads=2, key_dim=4)(x, x, use_causal_mask=True).shape
        torch.Size([2, 5, 8])
    """

    def __init__(
        self,
        num_heads: int,
        key_dim: int,
        value_dim: int | None = None,
        dropout: float = 0.0,
        use_bias: bool = True,
        output_shape: int | Sequence[int] | None = None,
        attention_axes: int | Sequence[int] | None = None,
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
        super().__init__(**kwargs)
        self.num_heads = positive_int(self, "num_heads", num_heads)
        self.key_dim = positive_int(self, "key_dim", key_dim)
        self.value_dim = self.key_dim if value_dim is None else positive_int(self, "value_dim", value_dim)
        self._output_shape = _output_shape(self, output_shape)
        self.attention_axes = _axes(self, attention_axes)
        self._scale = 1.0 / math.sqrt(self.key_dim)
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
        self._check_lengths(value_shape, key_shape)
        rank = len(query_shape)
        if rank != len(value_shape) or rank < 3:
            raise ShapeError(
                f"MultiHeadAttention {self.name!r} takes a query and a value of one rank, 3 or more: (batch, steps, "
                f"features); got {tuple(query_shape)} and {tuple(value_shape)}."
            )
        self._means_for_none = self.dropout == 0 and rank == 3
        axes = range(1, rank - 1) if self.attention_axes is None else self.attention_axes
        over = tuple(axis if axis >= 0 else rank + axis for axis in axes)
        self._over: tuple[int, ...] = over
        self.attention_axes = over
        self._dot_product_equation, self._combine_equation = equations(rank + 1, over)
        self._set("_query_dense", self._input_dense("query", rank, self.key_dim), query_shape)
        self._set("_key_dense", self._input_dense("key", rank, self.key_dim), key_shape)
        if self.use_gate:
            self._set("_gate_dense", self._input_dense("gate", rank, self.value_dim, "sigmoid"), query_shape)
        self._set("_value_dense", self._input_dense("value", rank, self.value_dim), value_shape)
        self._dropout_layer = Dropout(self.dropout, seed=self.seed, autocast=False)  # in the type of the weights
        shape = [query_shape[-1]] if self._output_shape is None else list(self._output_shape)
        free, summed, made = _LETTERS[: rank - 1], _LETTERS[rank - 1 : rank + 1], _LETTERS[rank + 1 :][: len(shape)]
        equation = f"{free}{summed},{summed}{made}->{free}{made}"
        output = self._projection("attention_output", equation, [None] * (rank - 2) + shape, made)
        self._set("_output_dense", output, (*query_shape[:-1], self.num_heads, self.value_dim))

    def _input_dense(self, name: str, rank: int, size: int, activation: Any = None) -> EinsumDense:
        free, summed, made = _LETTERS[: rank - 1], _LETTERS[rank - 1], _LETTERS[rank : rank + 2]
        equation = f"{free}{summed},{summed}{made}->{free}{made}"
        return self._projection(name, equation, [None] * (rank - 2) + [self.num_heads, size], made, activation)

    def _check_lengths(self, value_shape: Any, key_shape: Any) -> None:
        if tuple(value_shape[1:-1]) != tuple(key_shape[1:-1]):
            raise ShapeError(
                f"MultiHeadAttention {self.name!r}: value and key must have equal sizes but for the last axis; got "
                f"{tuple(value_shape)} and {tuple(key_shape)}. Is the order (query, value, key)?"
            )

    @property
    def query_dense(self) -> EinsumDense:
        """The projection of the queries."""
        return self._query_dense

    @property
    def key_dense(self) -> EinsumDense:
        """The projection of the keys."""
        return self._key_dense

    @property
    def value_dense(self) -> EinsumDense:
        """The projection of the values."""
        return self._value_dense

    @property
    def output_dense(self) -> EinsumDense:
        """The projection of the heads' results together."""
        return self._output_dense

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
            for tensor in (query, value, key):
                if hasattr(tensor, "_keras_mask"):
                    delattr(tensor, "_keras_mask")
        key = value if key is None else key
        self._check_lengths(value.shape, key.shape)
        if query.is_meta:  # torch would load its compiler, most of a second, for the shapes alone
            outputs, scores = self._meta(query, value, return_attention_scores)
        else:
            axes = self._over
            allowed = merged_masks(self, query, value, axes, query_mask, (value_mask, key_mask), attention_mask)
            attended, scores = self._attend(
                _heads_first(self._query_dense.direct(query), axes),
                _heads_first(self._key_dense.direct(key), axes),
                _heads_first(self._value_dense.direct(value), axes),
                allowed,
                use_causal_mask,
                training,
                return_attention_scores,
            )
            attended = _heads_last(attended, query.shape, axes)
            if self.use_gate:
                attended = attended * self._gate_dense.direct(query)
            outputs = self._output_dense.direct(attended)
            if scores is not None:
                scores = scores.reshape(self._scores_shape(query, value))
        if carried is not None:
            masking.set_mask(outputs, carried)
        return (outputs, scores) if return_attention_scores else outputs

    def _meta(self, query: torch.Tensor, value: torch.Tensor, with_scores: bool) -> Any:
        shape = query.shape[-1:] if self._output_shape is None else self._output_shape
        outputs = query.new_empty((*query.shape[:-1], *shape))
        if not with_scores:
            return outputs, None
        return outputs, query.new_empty(self._scores_shape(query, value))

    def _scores_shape(self, query: torch.Tensor, value: torch.Tensor) -> list[int]:
        others, attended = _sizes(query.shape[:-1], self._over)
        return [*others, self.num_heads, *attended, *_sizes(value.shape[:-1], self._over)[1]]

    # What `AttentionHooks` needs: the ways between Keras's layout and that of the fused kernels.

    def _heads_first(self, x: torch.Tensor) -> torch.Tensor:
        return _heads_first(x, self._over)

    def _heads_last(self, x: torch.Tensor, query_shape: Sequence[int]) -> torch.Tensor:
        return _heads_last(x, query_shape, self._over)

    def _allowed(self, mask: torch.Tensor, query: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
        return _pairs(self, mask.to(torch.bool), query, value, self._over)

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        config.pop("flash_attention", None)
        activity = regularizers.serialize(self._sublayer_activity)
        return config | {"output_shape": self._output_shape, "activity_regularizer": activity}


# Attention over any axes is attention over one: the axes attended over become one axis of steps, all others but the
# last become one batch.


def _sizes(shape: Sequence[int], axes: Sequence[int]) -> tuple[list[int], list[int]]:
    """The sizes of the axes not attended over, and of those attended over."""
    return [size for axis, size in enumerate(shape) if axis not in axes], [shape[axis] for axis in axes]


def _heads_first(x: torch.Tensor, axes: Sequence[int]) -> torch.Tensor:
    """(batch, ..., heads, size) -> (batch, heads, steps, size)."""
    if x.ndim == 4 and axes == (1,):
        return x.transpose(1, 2)
    rank = x.ndim - 2
    others, attended = _sizes(x.shape[:rank], axes)
    order = [axis for axis in range(rank) if axis not in axes]
    moved = x.permute(*order, rank, *axes, rank + 1)
    return moved.reshape(math.prod(others), x.shape[rank], math.prod(attended), x.shape[-1])


def _heads_last(x: torch.Tensor, query_shape: Sequence[int], axes: Sequence[int]) -> torch.Tensor:
    """(batch, heads, steps, size) -> (batch, ..., heads, size), the axes as in the query."""
    rank = len(query_shape) - 1
    if rank == 2 and axes == (1,):
        return x.transpose(1, 2)
    others, attended = _sizes(query_shape[:rank], axes)
    order = [*(axis for axis in range(rank) if axis not in axes), rank, *axes, rank + 1]
    x = x.reshape(*others, x.shape[1], *attended, x.shape[-1])
    return x.permute([order.index(axis) for axis in range(rank + 2)])


def merged_masks(
    layer: Layer,
    query: torch.Tensor,
    value: torch.Tensor,
    axes: Sequence[int],
    query_mask: torch.Tensor | None,
    value_masks: Sequence[torch.Tensor | None],
    attention_mask: torch.Tensor | None,
) -> torch.Tensor | None:
    """All masks together, to broadcast to (batch, heads, T, S); None where there is none."""
    found = [] if query_mask is None else [_steps(query_mask, query, axes)[:, None, :, None]]
    found += [_steps(mask, value, axes)[:, None, None, :] for mask in value_masks if mask is not None]
    if attention_mask is not None:
        found.append(_pairs(layer, attention_mask.to(torch.bool), query, value, axes))
    return functools.reduce(torch.logical_and, found) if found else None


def _steps(mask: torch.Tensor, x: torch.Tensor, axes: Sequence[int]) -> torch.Tensor:
    """A mask of the steps of `x` as (batch, steps)."""
    mask = mask.to(torch.bool)
    if x.ndim == 3 and axes == (1,):
        return mask
    shape = x.shape[:-1]
    mask = mask.reshape(*mask.shape, *[1] * (len(shape) - mask.ndim)).expand(shape)
    others, attended = _sizes(shape, axes)
    order = [axis for axis in range(len(shape)) if axis not in axes]
    return mask.permute(*order, *axes).reshape(math.prod(others), math.prod(attended))


def _pairs(
    layer: Layer, mask: torch.Tensor, query: torch.Tensor, value: torch.Tensor, axes: Sequence[int]
) -> torch.Tensor:
    """A mask of pairs of a query and a key as (batch, heads, T, S)."""
    others, rows = _sizes(query.shape[:-1], axes)
    columns = _sizes(value.shape[:-1], axes)[1]
    given, ends = tuple(mask.shape), [*rows, *columns]
    wanted = [*others, -1, *ends]
    while len(ends) <= mask.ndim < len(wanted):
        mask = mask.unsqueeze(-len(ends) - 1)
    fits = mask.ndim == len(wanted) and all(
        have in (1, want) or want == -1 for have, want in zip(mask.shape, wanted, strict=True)
    )
    if not fits:
        raise ShapeError(
            f"{type(layer).__name__} {layer.name!r}: attention_mask has shape {given}, which does not broadcast to "
            f"{tuple(others + ends)} (batch, steps of the query, steps of the value)."
        )
    if len(ends) == 2 and len(others) == 1:
        return mask
    mask = mask.expand(*others, mask.shape[len(others)], *ends)
    return mask.reshape(math.prod(others), mask.shape[len(others)], math.prod(rows), math.prod(columns))


def _output_shape(layer: Layer, shape: Any) -> tuple[int, ...] | None:
    if not shape:
        return None
    sizes = (shape,) if isinstance(shape, int) else tuple(shape) if isinstance(shape, (list, tuple)) else (0,)
    if any(not isinstance(size, int) or size < 1 for size in sizes):
        raise ArgumentError(
            f"{type(layer).__name__} {layer.name!r}: `output_shape` must be a positive whole number or a tuple of "
            f"them; got {shape!r}."
        )
    return sizes


def _axes(layer: Layer, axes: Any) -> tuple[int, ...] | None:
    if axes is None or isinstance(axes, int):
        return None if axes is None else (axes,)
    if not isinstance(axes, (list, tuple)) or any(not isinstance(axis, int) for axis in axes):
        raise ArgumentError(
            f"{type(layer).__name__} {layer.name!r}: `attention_axes` must be a whole number or a tuple of them; got "
            f"{axes!r}."
        )
    return tuple(axes) or None

"""Four ways to make one vector of a text: a bag of n-grams, a convolution, a recurrent network, a Transformer.

Each is a layer from tokens (batch, length) and their mask (batch, length), True where a token is real, to
(batch, units). What is padding changes nothing.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F

from lamella.engine.image_data_format import channels_last_inside
from lamella.errors import ArgumentError, ShapeError
from lamella.initializers import RandomUniform
from lamella.language.transformer import TransformerBlock
from lamella.layers import (
    GRU,
    LSTM,
    Bidirectional,
    Conv1D,
    Dense,
    Dropout,
    Embedding,
    Layer,
    LayerNormalization,
    SpatialDropout1D,
)
from lamella.saving import register_keras_serializable

_FACTORS = (1_000_003, 0x9E3779B97F4A7C1)  # odd, so that multiplying mixes the lower bits and loses none


def _embedding(rows: int, width: int, scale: float = 0.25) -> Embedding:
    return Embedding(rows, width, embeddings_initializer=RandomUniform(-scale, scale))


@register_keras_serializable(package="lamella")
class NgramEncoder(Layer):
    """The mean vector of a text's words and n-grams, and dense layers over it: quick, and hard to beat on short texts.

    N-grams are not stored: each has the row of a table that its hash says, and some share one. With `spellings`, a
    token's vector also has the mean of its letters' n-grams in it, so that words that look alike start alike.

    Args:
        vocabulary_size: How many tokens there are.
        width: The length of a vector.
        units: The units of each dense layer; none: the mean itself comes out.
        ngrams: The longest n-gram: 1 for tokens alone, 2 for pairs of neighbours, too.
        spellings: The tokens as strings, in the order of their numbers, for n-grams of 3 to 6 letters.
        buckets: Rows of the table for n-grams.
        dropout: The share of n-grams that a text loses while training.
        **kwargs: As for every layer.

    Shapes: (batch, length) -> (batch, the last of `units`, or `width`).

    Source: Iyyer et al., 2015 (dense layers, dropped words); Joulin et al., 2016 (hashed n-grams); Bojanowski et al.,
    2017 (letters).

    Example:
        >>> NgramEncoder(100, width=8, units=[4], buckets=50)(torch.tensor([[5, 6, 7]])).shape
        torch.Size([1, 4])
    """

    def __init__(
        self,
        vocabulary_size: int,
        width: int = 64,
        units: Sequence[int] = (64,),
        ngrams: int = 2,
        spellings: Sequence[str] | None = None,
        buckets: int = 1 << 16,
        dropout: float = 0.5,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if min(width, ngrams, buckets, *units) < 1:
            raise ArgumentError(f"NgramEncoder {self.name!r}: sizes must be 1 or more.")
        self.vocabulary_size, self.width, self.units = vocabulary_size, width, list(units)
        self.ngrams, self.buckets, self.dropout = ngrams, buckets, dropout
        self.spellings = None if spellings is None else list(spellings)
        self.embedding = _embedding(vocabulary_size + buckets, width, 0.05)
        self.drop = SpatialDropout1D(dropout)
        self.hidden = [Dense(size, activation="relu") for size in self.units]
        if self.spellings is not None:
            self._letters = _letter_rows(self.spellings, vocabulary_size, buckets)

    def call(self, inputs: torch.Tensor, mask: torch.Tensor | None = None, training: bool | None = None) -> Any:
        tokens = inputs.to(torch.int64)
        real = torch.ones_like(tokens, dtype=torch.bool) if mask is None else mask
        ids, there = [tokens], [real]
        for n in range(2, min(self.ngrams, tokens.shape[1]) + 1):
            ids.append(self._hashed(tokens, n))
            there.append(real.unfold(1, n, 1).all(-1))
        vectors = self.embedding(torch.cat(ids, 1))
        if self.spellings is not None:
            vectors = torch.cat([vectors[:, : tokens.shape[1]] + self._spelt(tokens), vectors[:, tokens.shape[1] :]], 1)
        vectors = self.drop(vectors)
        weight = torch.cat(there, 1).to(vectors.dtype)
        x = torch.bmm(weight.unsqueeze(1), vectors).squeeze(1) / weight.sum(1, keepdim=True).clamp(min=1)
        for layer in self.hidden:
            x = layer(x)
        return x

    def _spelt(self, tokens: torch.Tensor) -> torch.Tensor:
        """The mean vector of the letters' n-grams of each token, (batch, length, width)."""
        if self._letters.device != tokens.device:
            self._letters = self._letters.to(tokens.device)
        table = self.embedding.embeddings
        means = F.embedding_bag(self._letters[tokens.flatten()], table, mode="mean", padding_idx=0)
        return means.view(*tokens.shape, -1)

    def _hashed(self, tokens: torch.Tensor, n: int) -> torch.Tensor:
        """The row of each n-gram: those of the tokens come first in the table."""
        count = tokens.shape[1] - n + 1
        value = torch.full_like(tokens[:, :count], n)
        for i in range(n):  # multiplications overflow, and are meant to
            value = (value * _FACTORS[0]) ^ tokens[:, i : i + count]
        return self.vocabulary_size + ((value * _FACTORS[1]) >> 20) % self.buckets


def _letter_rows(spellings: Sequence[str], vocabulary_size: int, buckets: int, most: int = 48) -> torch.Tensor:
    """The rows of each token's n-grams of 3 to 6 letters, (vocabulary_size, most), filled up with 0 (padding's row)."""
    rows = torch.zeros(vocabulary_size, most, dtype=torch.int64)
    for i, spelling in enumerate(spellings):
        word = f"<{spelling}>"
        grams = [word[at : at + n] for n in range(3, 7) for at in range(len(word) - n + 1)][:most]
        hashed = [vocabulary_size + zlib.crc32(gram.encode()) % buckets for gram in grams]
        rows[i, : len(hashed)] = torch.tensor(hashed, dtype=torch.int64)
    return rows


@register_keras_serializable(package="lamella")
class ConvolutionalEncoder(Layer):
    """What patterns of neighbouring words a text has: convolutions of several widths, and the largest value of each.

    Args:
        vocabulary_size: How many tokens there are.
        width: The length of a token's vector.
        filters: Patterns of each width.
        kernel_sizes: How many tokens a pattern spans.
        dropout: The share of a token vector's numbers, and of patterns, that is dropped while training.
        **kwargs: As for every layer.

    Shapes: (batch, length) -> (batch, filters * the number of widths).

    Source: Kim, 2014.

    Example:
        >>> ConvolutionalEncoder(100, width=8, filters=5)(torch.tensor([[5, 6, 7]])).shape
        torch.Size([1, 15])
    """

    @channels_last_inside
    def __init__(
        self,
        vocabulary_size: int,
        width: int = 128,
        filters: int = 100,
        kernel_sizes: Sequence[int] = (3, 4, 5),
        dropout: float = 0.5,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.vocabulary_size, self.width, self.filters = vocabulary_size, width, filters
        self.kernel_sizes, self.dropout = list(kernel_sizes), dropout
        self.embedding = _embedding(vocabulary_size, width)
        self.drop = Dropout(dropout)
        self.convolutions = [Conv1D(filters, size, padding="same", activation="relu") for size in self.kernel_sizes]

    def call(self, inputs: torch.Tensor, mask: torch.Tensor | None = None, training: bool | None = None) -> Any:
        x = self.drop(self.embedding(inputs))
        if mask is None:
            return self.drop(torch.cat([layer(x).amax(1) for layer in self.convolutions], -1))
        real = mask.unsqueeze(-1).to(x.dtype)  # a ReLU is 0 or more, so that 0 at padding is never the largest
        return self.drop(torch.cat([(layer(x * real) * real).amax(1) for layer in self.convolutions], -1))


@register_keras_serializable(package="lamella")
class RecurrentEncoder(Layer):
    """A text read both ways, and the largest value of each unit on the way.

    Args:
        vocabulary_size: How many tokens there are.
        width: The length of a token's vector.
        units: The units of each direction.
        cell: `"lstm"` or `"gru"`.
        dropout: The share of a token vector's numbers, and of the result, that is dropped while training.
        **kwargs: As for every layer.

    Shapes: (batch, length) -> (batch, 2 * units).

    Source: Hochreiter and Schmidhuber, 1997; Cho et al., 2014; the largest value, Conneau et al., 2017.

    Example:
        >>> RecurrentEncoder(100, width=8, units=5)(torch.tensor([[5, 6, 7]])).shape
        torch.Size([1, 10])
    """

    def __init__(
        self,
        vocabulary_size: int,
        width: int = 128,
        units: int = 64,
        cell: str = "lstm",
        dropout: float = 0.5,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if cell not in ("lstm", "gru"):
            raise ArgumentError(f"RecurrentEncoder {self.name!r}: `cell` must be 'lstm' or 'gru'; got {cell!r}.")
        self.vocabulary_size, self.width, self.units = vocabulary_size, width, units
        self.cell, self.dropout = cell, dropout
        self.embedding = _embedding(vocabulary_size, width)
        self.drop = Dropout(dropout)
        layer = LSTM if cell == "lstm" else GRU
        self.recurrent = Bidirectional(layer(units, return_sequences=True))

    def call(self, inputs: torch.Tensor, mask: torch.Tensor | None = None, training: bool | None = None) -> Any:
        x = self.recurrent(self.drop(self.embedding(inputs)), mask=mask)
        if mask is not None:
            x = x.masked_fill(~mask.unsqueeze(-1), -1.0)  # outputs lie between -1 and 1
        return self.drop(x.amax(1))


@register_keras_serializable(package="lamella")
class TransformerEncoder(Layer):
    """A text whose tokens look at each other, and the mean of what they found.

    Args:
        vocabulary_size: How many tokens there are.
        max_length: The most tokens of a text.
        width: The length of a token's vector.
        num_layers: How many Transformer blocks.
        num_heads: The attention heads of each.
        dropout: The share of token vectors' numbers, of what blocks add, and of the result that is dropped.
        **kwargs: As for every layer.

    Shapes: (batch, length) -> (batch, width).

    Raises:
        ShapeError: Texts longer than `max_length`.

    Source: Vaswani et al., 2017.

    Example:
        >>> TransformerEncoder(100, max_length=9, width=8, num_heads=2)(torch.tensor([[5, 6, 7]])).shape
        torch.Size([1, 8])
    """

    def __init__(
        self,
        vocabulary_size: int,
        max_length: int,
        width: int = 64,
        num_layers: int = 1,
        num_heads: int = 4,
        dropout: float = 0.5,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.vocabulary_size, self.max_length, self.width = vocabulary_size, max_length, width
        self.num_layers, self.num_heads, self.dropout = num_layers, num_heads, dropout
        self.embedding = _embedding(vocabulary_size, width)
        self.positions = _embedding(max_length, width, 0.05)
        self.drop = Dropout(dropout)
        self.blocks = [TransformerBlock(num_heads, 2 * width, dropout=dropout) for _ in range(num_layers)]
        self.norm = LayerNormalization()

    def call(self, inputs: torch.Tensor, mask: torch.Tensor | None = None, training: bool | None = None) -> Any:
        length = inputs.shape[1]
        if length > self.max_length:
            raise ShapeError(
                f"TransformerEncoder {self.name!r}: a text has {length} tokens, but there are only {self.max_length} "
                f"positions. Raise max_length, or cut the texts."
            )
        x = self.drop(self.embedding(inputs) + self.positions(torch.arange(length, device=inputs.device)))
        for block in self.blocks:
            x = block(x, mask=mask)
        x = self.norm(x)
        if mask is None:
            return self.drop(x.mean(1))
        real = mask.unsqueeze(-1).to(x.dtype)
        return self.drop((x * real).sum(1) / real.sum(1).clamp(min=1))

"""`Translator`: the Transformer from texts to texts."""

from __future__ import annotations

from typing import Any

import torch

from lamella.language.attention import KeyValueCache, without_need
from lamella.language.positions import PositionEncoding
from lamella.language.sequence_to_sequence import SequenceToSequence
from lamella.language.tokenization import Tokenizer
from lamella.language.transformer import TransformerBlock
from lamella.layers import LayerNormalization
from lamella.saving import register_keras_serializable

Memory = tuple[torch.Tensor, torch.Tensor | None]
"""What the encoder gave, (batch, length, width), and its mask, None where all of it is real."""


class _State:
    """What the decoder has seen: of each block the keys and values, and the mask of the source."""

    def __init__(self, memory: Memory, caches: list[KeyValueCache]) -> None:
        self.memory, self.mask = memory
        self.caches = caches

    def reorder(self, indices: torch.Tensor) -> None:
        """Row i goes on from what row `indices[i]` was."""
        if self.mask is not None:
            self.mask = self.mask[indices]
        for cache in self.caches:  # they hold all that is needed of the memory from the first step on
            cache.reorder(indices)


@register_keras_serializable(package="lamella")
class Translator(SequenceToSequence):
    """An encoder-decoder Transformer (Vaswani et al., 2017): it translates, or rewrites, texts.

    Args:
        source_tokenizer: The tokenizer of what is read.
        target_tokenizer: That of what is written. By default the same, with one table of embeddings for both.
        num_layers: The blocks of the encoder, and of the decoder.
        num_heads: The heads of each attention; they divide `width`.
        width: The size of the vectors.
        feedforward_units: The units between the two dense layers of a block; 4 times `width` by default.
        dropout: The share of numbers that is dropped while training.
        attention_dropout: The share of attention weights that is dropped; on the CPU it costs the fused kernel.
        max_length: The most tokens of a text, with its marks. `batches` and `translate` cut longer ones, and warn.
        positions: `"sinusoidal"` (any text up to `max_length`) or `"learned"`.
        norm_first: Whether each part normalizes its input, which trains without a long warm-up (Xiong et al., 2020),
            or the sum after it, as in the first Transformer.
        activation: Of the dense layers; the first Transformer has `"relu"`.
        label_smoothing: The share of each target's probability that is spread over the vocabulary.
        **kwargs: As for every model.

    It is trained on pairs `(source, target)` of token batches, as `batches` makes them of texts, by a loss of its own:
    `compile(optimizer)`, then `fit`. `translate` writes. The vocabularies are part of a saved file.

    Raises:
        ArgumentError: Arguments out of range; a tokenizer without padding, start or end token.

    Example:
        >>> numbers = Tokenizer.train(["one two three four"], kind="word")
        >>> model = Translator(numbers, num_layers=1, num_heads=2, width=16, max_length=8)
        >>> model.compile("adam")
        >>> _ = model.fit(model.batches(["one two", "three"], ["two one", "three"]), epochs=1, verbose=0)
        >>> len(model.translate(["two one", ""], num_beams=2))
        2
    """

    def __init__(
        self,
        source_tokenizer: Tokenizer,
        target_tokenizer: Tokenizer | None = None,
        num_layers: int = 3,
        num_heads: int = 4,
        width: int = 256,
        feedforward_units: int | None = None,
        dropout: float = 0.1,
        attention_dropout: float = 0.0,
        max_length: int = 128,
        positions: str = "sinusoidal",
        norm_first: bool = True,
        activation: Any = "relu",
        label_smoothing: float = 0.1,
        **kwargs: Any,
    ) -> None:
        super().__init__(source_tokenizer, target_tokenizer, width, dropout, max_length, label_smoothing, **kwargs)
        self.num_layers = num_layers
        self.num_heads = num_heads
        self.feedforward_units = feedforward_units or 4 * width
        self.attention_dropout = attention_dropout
        self.positions = positions
        self.norm_first = norm_first
        self.activation = activation
        options: dict[str, Any] = {
            "activation": activation,
            "norm_first": norm_first,
            "dropout": dropout,
            "attention_dropout": attention_dropout,
        }
        sizes = (num_heads, self.feedforward_units)
        self.source_positions = PositionEncoding(max_length, positions)
        self.target_positions = PositionEncoding(max_length, positions)
        self.encoder = [TransformerBlock(*sizes, **options) for _ in range(num_layers)]
        self.decoder = [
            TransformerBlock(*sizes, causal=True, cross_attention=True, **options) for _ in range(num_layers)
        ]
        if norm_first:  # what the last block adds is not normalized yet
            self.encoder_norm = LayerNormalization(epsilon=1e-5)
            self.decoder_norm = LayerNormalization(epsilon=1e-5)
        self._make_weights()

    def encode(self, source: torch.Tensor) -> Memory:
        """A vector for each source token, (batch, length, width), and the mask, None where nothing is padding."""
        mask = without_need(source != self.source_tokenizer.pad_id)
        x = self._drop(self.source_positions(self._embedded(source, self.source_embedding)))
        for block in self.encoder:
            x = block(x, mask=mask)
        return (self.encoder_norm(x) if self.norm_first else x), mask

    def decode(self, target: torch.Tensor, memory: Memory) -> torch.Tensor:
        """A vector for each next token. Padding comes last, where no real token looks, so it needs no mask."""
        return self._decoded(target, *memory, [None] * self.num_layers, 0)

    def decoding_state(self, source: torch.Tensor) -> _State:
        """What `step` starts from, for source tokens (batch, length)."""
        return _State(self.encode(source), [KeyValueCache(self.max_length) for _ in self.decoder])

    def step(self, tokens: torch.Tensor, state: _State) -> tuple[torch.Tensor, _State]:
        """The scores of the token after `tokens` (batch, t), which go on from the state; and the state after them."""
        start = state.caches[0].length
        vectors = self._decoded(tokens, state.memory, state.mask, state.caches, start)
        return self.scores(vectors[:, -1]), state

    def _decoded(
        self,
        target: torch.Tensor,
        memory: torch.Tensor,
        mask: torch.Tensor | None,
        caches: list[Any],
        start: int,
    ) -> torch.Tensor:
        x = self._drop(self.target_positions(self._embedded(target, self.target_embedding), start))
        for block, cache in zip(self.decoder, caches, strict=True):
            x = block(x, memory=memory, memory_mask=mask, cache=cache)
        return self.decoder_norm(x) if self.norm_first else x

"""`RecurrentTranslator`: an LSTM or GRU reads a text both ways, another writes its translation and looks back."""

from __future__ import annotations

from typing import Any

import torch

from lamella.errors import ArgumentError
from lamella.language.attention import without_need
from lamella.language.luong_attention import LuongAttention
from lamella.language.sequence_to_sequence import SequenceToSequence
from lamella.language.tokenization import Tokenizer
from lamella.layers import GRU, LSTM, Bidirectional, Dense
from lamella.saving import register_keras_serializable

CELLS: dict[str, Any] = {"lstm": LSTM, "gru": GRU}

States = list[list[torch.Tensor]]
"""Of each layer of the decoder the states, (batch, width) each."""


class _State:
    """What the encoder gave, its mask, and where the decoder is."""

    def __init__(self, memory: torch.Tensor, mask: torch.Tensor | None, layers: States) -> None:
        self.memory, self.mask, self.layers = memory, mask, layers

    def reorder(self, indices: torch.Tensor) -> None:
        """Row i goes on from what row `indices[i]` was."""
        self.memory = self.memory[indices]
        self.mask = None if self.mask is None else self.mask[indices]
        self.layers = [[state[indices] for state in layer] for layer in self.layers]


@register_keras_serializable(package="lamella")
class RecurrentTranslator(SequenceToSequence):
    """A recurrent encoder and decoder with attention: it translates, or rewrites, texts.

    The encoder reads both ways. The decoder starts from where the encoder ended; after its first layer it looks at the
    memory (Luong et al., 2015), and its further layers read what was seen, so that they know what was looked at
    before. No layer waits for the attention of an earlier step: each runs over the whole target in one fused kernel.

    Args:
        source_tokenizer: The tokenizer of what is read.
        target_tokenizer: That of what is written. By default the same, with one table of embeddings for both.
        cell: `"lstm"` or `"gru"`.
        num_layers: The layers of the encoder, and of the decoder.
        width: The size of the vectors; the encoder has half of it in each direction.
        dropout: The share of numbers that is dropped, between layers, while training.
        max_length: The most tokens of a text, with its marks. `batches` and `translate` cut longer ones, and warn.
        label_smoothing: The share of each target's probability that is spread over the vocabulary.
        **kwargs: As for every model.

    It is trained on pairs `(source, target)` of token batches, as `batches` makes them of texts, by a loss of its own:
    `compile(optimizer)`, then `fit`. `translate` writes. The vocabularies are part of a saved file.

    Raises:
        ArgumentError: Arguments out of range; a tokenizer without padding, start or end token.

    Source: Sutskever et al., 2014; Bahdanau et al., 2015; Luong et al., 2015.

    Example:
        >>> numbers = Tokenizer.train(["one two three four"], kind="word")
        >>> model = RecurrentTranslator(numbers, cell="gru", num_layers=1, width=16, max_length=8)
        >>> model.compile("adam")
        >>> _ = model.fit(model.batches(["one two", "three"], ["two one", "three"]), epochs=1, verbose=0)
        >>> len(model.translate(["two one", ""], num_beams=2))
        2
    """

    def __init__(
        self,
        source_tokenizer: Tokenizer,
        target_tokenizer: Tokenizer | None = None,
        cell: str = "lstm",
        num_layers: int = 2,
        width: int = 256,
        dropout: float = 0.2,
        max_length: int = 128,
        label_smoothing: float = 0.1,
        **kwargs: Any,
    ) -> None:
        if cell not in CELLS:
            raise ArgumentError(f"RecurrentTranslator: `cell` must be one of {list(CELLS)}; got {cell!r}.")
        if width % 2:
            raise ArgumentError(f"RecurrentTranslator: `width` must be even, for two directions; got {width!r}.")
        super().__init__(source_tokenizer, target_tokenizer, width, dropout, max_length, label_smoothing, **kwargs)
        self.cell = cell
        self.num_layers = num_layers
        self.num_states = 2 if cell == "lstm" else 1
        both: dict[str, Any] = {"return_sequences": True, "return_state": True}
        self.encoder = [Bidirectional(CELLS[cell](width // 2, **both)) for _ in range(num_layers)]
        self.decoder = [CELLS[cell](width, **both) for _ in range(num_layers)]
        self.starts = [Dense(width * self.num_states, "tanh") for _ in range(num_layers)]
        self.attention = LuongAttention(width)
        self._make_weights()

    def encode(self, source: torch.Tensor) -> _State:
        """A vector for each source token, (batch, length, width), the mask, and the states that the decoder begins in.

        Each layer of the decoder begins where the same layer of the encoder ended, by a dense layer.
        """
        mask = without_need(source != self.source_tokenizer.pad_id)
        x = self._drop(self._embedded(source, self.source_embedding))
        layers: States = []
        for i, (reader, start) in enumerate(zip(self.encoder, self.starts, strict=True)):
            y, *ends = reader(x, mask=mask)
            x = self._drop(y if i == 0 else x + y)
            layers.append(list(start(torch.cat(ends, -1)).chunk(self.num_states, -1)))
        return _State(x, mask, layers)

    def decode(self, target: torch.Tensor, memory: _State) -> torch.Tensor:
        """A vector for each next token."""
        return self._decoded(target, memory)[0]

    def decoding_state(self, source: torch.Tensor) -> _State:
        """What `step` starts from, for source tokens (batch, length)."""
        return self.encode(source)

    def step(self, tokens: torch.Tensor, state: _State) -> tuple[torch.Tensor, _State]:
        """The scores of the token after `tokens` (batch, t), which go on from the state; and the state after them."""
        vectors, layers = self._decoded(tokens, state)
        return self.scores(vectors[:, -1]), _State(state.memory, state.mask, layers)

    def _decoded(self, target: torch.Tensor, state: _State) -> tuple[torch.Tensor, States]:
        x = self._drop(self._embedded(target, self.target_embedding))
        layers: States = []
        for i, (writer, before) in enumerate(zip(self.decoder, state.layers, strict=True)):
            y, *after = writer(x, initial_state=before)
            layers.append(after)
            x = self._drop(self.attention(y, state.memory, mask=state.mask) if i == 0 else x + y)
        return x, layers

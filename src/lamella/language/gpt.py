"""`GPT`: a Transformer that writes, one token after the other."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from lamella.engine.device import device_of
from lamella.errors import ArgumentError, ShapeError
from lamella.initializers import RandomNormal
from lamella.language import gpt_files
from lamella.language.attention import KeyValueCache, without_need
from lamella.language.generation import beam_search, sample
from lamella.language.text_data import pad_tokens
from lamella.language.tokenization import Tokenizer
from lamella.language.transformer import TransformerBlock
from lamella.layers import Dropout, Embedding, LayerNormalization, ReversibleEmbedding
from lamella.losses import SparseCategoricalCrossentropy
from lamella.models import Model
from lamella.saving import register_keras_serializable


@register_keras_serializable(package="lamella")
class GPT(Model):
    """A language model in the layout of GPT-2: learned positions, normalization first, one table of tokens.

    Tokens (batch, length), int64, become the logits of each next token, (batch, length, vocabulary_size). It is
    trained by `fit(tokens[:, :-1], tokens[:, 1:])`, on one text by `fit(TokenBlocks(tokens, context_length))`; targets
    that are padding are left out. Padding stands at the right: what comes before never sees it.

    Args:
        vocabulary_size: How many tokens there are; the tokenizer's by default.
        context_length: The most tokens that it sees.
        num_layers: How many blocks.
        num_heads: The attention heads of a block; they divide the width.
        width: The size of the vectors.
        dropout: The share that is dropped while training, in the four places of GPT-2.
        tied_embeddings: Whether logits come from the table of tokens itself.
        tokenizer: A `Tokenizer`, for `generate` with text; it is saved with the model.
        activation: `"gelu_tanh"` as in GPT-2, `"gelu"`, `"relu"`, ...
        feedforward_units: The units between the two dense layers of a block; four times the width by default.
        epsilon: Of the normalizations.
        padding_token: The token that fills up shorter rows; the tokenizer's by default.
        **kwargs: As for every model.

    Raises:
        ArgumentError: Arguments out of range, or that do not fit together.

    Source: Radford et al., 2019.

    Example:
        >>> import torch
        >>> model = GPT(50, context_length=16, num_layers=2, num_heads=2, width=8)
        >>> model(torch.zeros((3, 16), dtype=torch.int64)).shape
        torch.Size([3, 16, 50])
        >>> model.generate(torch.tensor([[1, 2, 3]]), max_new_tokens=5, seed=0).shape
        torch.Size([1, 8])
    """

    def __init__(
        self,
        vocabulary_size: int | None = None,
        context_length: int = 128,
        num_layers: int = 4,
        num_heads: int = 4,
        width: int = 128,
        dropout: float = 0.0,
        tied_embeddings: bool = True,
        tokenizer: Tokenizer | dict[str, Any] | None = None,
        activation: str = "gelu_tanh",
        feedforward_units: int | None = None,
        epsilon: float = 1e-5,
        padding_token: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.tokenizer = Tokenizer.from_config(tokenizer) if isinstance(tokenizer, dict) else tokenizer
        if vocabulary_size is None and self.tokenizer is not None:
            vocabulary_size = self.tokenizer.vocabulary_size
        sizes = {
            "vocabulary_size": vocabulary_size,
            "context_length": context_length,
            "num_layers": num_layers,
            "num_heads": num_heads,
            "width": width,
        }
        wrong = [f"{k}={v!r}" for k, v in sizes.items() if isinstance(v, bool) or not isinstance(v, int) or v < 1]
        if wrong:
            raise ArgumentError(f"GPT: {', '.join(wrong)}: give a whole number above 0.")
        assert vocabulary_size is not None
        if self.tokenizer is not None and self.tokenizer.vocabulary_size > vocabulary_size:
            raise ArgumentError(
                f"GPT: the tokenizer has {self.tokenizer.vocabulary_size} tokens, more than the vocabulary_size of "
                f"{vocabulary_size}. Leave vocabulary_size out, and it is the tokenizer's."
            )
        self.vocabulary_size = vocabulary_size
        self.context_length = context_length
        self.num_layers = num_layers
        self.num_heads = num_heads
        self.width = width
        self.dropout = dropout
        self.tied_embeddings = tied_embeddings
        self.activation = activation
        self.feedforward_units = feedforward_units or 4 * width
        self.epsilon = epsilon
        self.padding_token = padding_token
        if padding_token is None and self.tokenizer is not None:
            self.padding_token = self.tokenizer.pad_id

        start, residual = RandomNormal(stddev=0.02), RandomNormal(stddev=0.02 / (2 * num_layers) ** 0.5)
        self.token_embedding = ReversibleEmbedding(
            vocabulary_size, width, tie_weights=tied_embeddings, embeddings_initializer=start, name="token_embedding"
        )
        self.position_embedding = Embedding(
            context_length, width, embeddings_initializer=start, name="position_embedding"
        )
        self.blocks = [
            TransformerBlock(
                num_heads,
                self.feedforward_units,
                activation,
                causal=True,
                dropout=dropout,
                epsilon=epsilon,
                kernel_initializer=start,
                residual_initializer=residual,
                name=f"block_{i}",
            )
            for i in range(num_layers)
        ]
        self.final_norm = LayerNormalization(epsilon=epsilon, name="final_norm")
        self._drop = Dropout(dropout)
        self.build((None, context_length))

    def build(self, input_shape: Any = None) -> None:
        """Makes all weights; the constructor has done it."""
        if self.built:
            return
        self.token_embedding.build()
        self.position_embedding.build()
        for layer in (*self.blocks, self.final_norm):
            layer.build((None, None, self.width))

    # -- from tokens to logits ------------------------------------------------------------------------------

    def call(
        self, inputs: torch.Tensor, training: bool | None = None, mask: torch.Tensor | None = None
    ) -> torch.Tensor:
        """The logits of each next token.

        Args:
            inputs: (batch, length), int64, `context_length` at most.
            training: Whether to drop.
            mask: (batch, length), True where a token is real; only needed where padding stands at the left.
        """
        return self.token_embedding(self.hidden(inputs, mask), reverse=True)

    def hidden(
        self,
        tokens: torch.Tensor,
        mask: torch.Tensor | None = None,
        caches: Sequence[KeyValueCache] | None = None,
    ) -> torch.Tensor:
        """What the logits are computed from, (batch, length, width).

        Args:
            tokens: (batch, length).
            mask: (batch, length), True where a token is real (with caches: those in them, then the new ones).
            caches: One for each block, of the tokens before these.
        """
        past = caches[0].length if caches else 0
        end = past + tokens.shape[1]
        if end > self.context_length:
            raise ShapeError(
                f"GPT {self.name!r} sees {self.context_length} tokens at most; got {end}. Cut the texts into pieces "
                f"(lamella.language.TokenBlocks), or make the model with a larger context_length."
            )
        mask = without_need(mask)
        x = self._embedded(tokens, mask, past)
        for i, block in enumerate(self.blocks):
            if mask is None and caches is None:
                x = block.direct(x)
            else:
                x = block(x, mask=mask, cache=caches[i] if caches else None)
        return self.final_norm.direct(x)

    def _embedded(self, tokens: torch.Tensor, mask: torch.Tensor | None = None, past: int = 0) -> torch.Tensor:
        """What the first block gets: the vectors of the tokens and of their places, after `past` others."""
        if mask is None:
            positions = self.position_embedding.embeddings[past : past + tokens.shape[1]]
        else:  # padding at the left has no place: the first real token is at place 0
            positions = self.position_embedding.direct((mask.cumsum(1) - 1).clamp(min=0)[:, past:])
        return self._drop.direct(self.token_embedding.direct(tokens) + positions)

    def get_quantization_layer_structure(self, mode: str | None = None) -> dict[str, list[Any]]:
        """What `quantize("gptq")` and `quantize("awq")` ask: texts become vectors, which go through the blocks."""
        return {"pre_block_layers": [self._embedded], "sequential_blocks": list(self.blocks)}

    def compile(  # type: ignore[override]
        self, optimizer: Any = "adamw", loss: Any = None, *args: Any, **kwargs: Any
    ) -> None:
        """Says how to train; by default with the cross-entropy of the next token, padding left out."""
        if loss is None:
            loss = SparseCategoricalCrossentropy(from_logits=True, ignore_class=self.padding_token)
        super().compile(optimizer, loss, *args, **kwargs)

    # -- writing --------------------------------------------------------------------------------------------

    def generate(
        self,
        prompts: Any,
        max_new_tokens: int = 100,
        temperature: float = 1.0,
        top_k: int | None = None,
        top_p: float | None = None,
        num_beams: int = 1,
        length_penalty: float = 1.0,
        end_token: int | None = None,
        stream: Callable[[Any], Any] | None = None,
        seed: int | None = None,
    ) -> Any:
        """Goes on from prompts.

        Texts longer than the context go on from its last half again and again. Of a prompt that is itself longer, the
        model sees the end, and a warning says so.

        Args:
            prompts: A text or a list of texts, with a tokenizer; or tokens: (rows, t), or a list of lists. An empty one
                begins with the tokenizer's start token, or its end token where it has no other.
            max_new_tokens: How many tokens to write at most.
            temperature: Logits are divided by it; 0 takes the most likely token.
            top_k: Only so many of the likeliest tokens may be drawn.
            top_p: Only the likeliest tokens that have this probability together may be drawn.
            num_beams: Above 1, the likeliest text by beam search, and nothing is drawn.
            length_penalty: Of beam search: more prefers longer texts.
            end_token: What ends a text; the tokenizer's by default.
            stream: Called with what is new as soon as it is there: the next piece of the text if `prompts` is one
                text, else the next token of each row, (rows,).
            seed: For the same draws each time.

        Returns:
            The prompts and what follows them, without the end token: a text for a text, a list for a list. For an
            array or tensor of tokens a tensor (rows, t + new), rows that ended earlier filled up with the end token.

        Raises:
            ArgumentError: Text without a tokenizer; an empty prompt that nothing can begin; a stream of beams.
        """
        if num_beams > 1 and stream is not None:
            raise ArgumentError(
                "GPT.generate: with num_beams above 1 the text is known at its end; there is no stream."
            )
        texts = isinstance(prompts, str) or (len(prompts) > 0 and isinstance(prompts[0], str))
        if texts and self.tokenizer is None:
            raise ArgumentError("GPT.generate: text needs a tokenizer, GPT(..., tokenizer=...); or pass tokens.")
        if end_token is None and self.tokenizer is not None:
            end_token = self.tokenizer.end_id
        if len(prompts) == 0 and not texts:
            return prompts
        tokens, mask = self._prompt_tokens(prompts, texts)
        if isinstance(prompts, str) and stream is not None:
            stream = _TextStream(self.tokenizer, tokens[0], stream)
        state = _Reading(self, mask, min(tokens.shape[1] + max_new_tokens, self.context_length))
        training = self.training
        self.eval()
        try:
            if num_beams > 1:
                found, _ = beam_search(self.step, state, tokens, max_new_tokens, num_beams, length_penalty, end_token)
            else:
                source = None if seed is None else torch.Generator(tokens.device).manual_seed(seed)
                found = sample(
                    self.step, state, tokens, max_new_tokens, temperature, top_k, top_p, end_token, source, stream
                )
        finally:
            self.train(training)
        if isinstance(prompts, (torch.Tensor, np.ndarray)):
            return found
        length = tokens.shape[1]
        lists = [
            [*row[:length][real].tolist(), *_until(row[length:].tolist(), end_token)]
            for row, real in zip(found.cpu(), mask.cpu(), strict=True)
        ]
        if not texts:
            return lists
        assert self.tokenizer is not None
        return self.tokenizer.decode(lists[0]) if isinstance(prompts, str) else self.tokenizer.decode_batch(lists)

    def step(self, tokens: torch.Tensor, state: _Reading) -> tuple[torch.Tensor, _Reading]:
        """The logits (rows, vocabulary_size) of the token after `tokens`, (rows, t), which go on from the state."""
        return self.token_embedding(state.read(tokens), reverse=True), state

    def _prompt_tokens(self, prompts: Any, texts: bool) -> tuple[torch.Tensor, torch.Tensor]:
        """The prompts as tokens (rows, t), padded at the left, and which of them are real."""
        if texts:
            assert self.tokenizer is not None
            given = [prompts] if isinstance(prompts, str) else prompts
            prompts = [self.tokenizer.encode(text) if text else [] for text in given]
        if isinstance(prompts, (torch.Tensor, np.ndarray)):
            tokens = torch.as_tensor(prompts, dtype=torch.int64, device=device_of(self))
            if tokens.ndim == 2 and tokens.shape[1]:
                return tokens, self._warned(torch.ones_like(tokens, dtype=torch.bool))
            prompts = tokens.tolist()
        if not all(isinstance(row, (list, tuple)) for row in prompts):
            raise ArgumentError(
                "GPT.generate: tokens are (rows, t), or a list of lists; put a single list into a list."
            )
        tokens, mask = pad_tokens([row or [self._first_token()] for row in prompts], side="left")
        return tokens.to(device_of(self)), self._warned(mask.to(device_of(self)))

    def _first_token(self) -> int:
        known = self.tokenizer
        first = None if known is None else known.end_id if known.start_id is None else known.start_id
        if first is None:
            raise ArgumentError("GPT.generate: an empty prompt needs a tokenizer with a start or an end token.")
        return first

    def _warned(self, mask: torch.Tensor) -> torch.Tensor:
        if mask.shape[1] > self.context_length:
            warnings.warn(
                f"GPT.generate: the longest prompt has {mask.shape[1]} tokens, but the model sees "
                f"{self.context_length}: it goes on from the end of the prompt alone.",
                stacklevel=4,
            )
        return mask

    # -- configuration and files ----------------------------------------------------------------------------

    def get_config(self) -> dict[str, Any]:
        tokenizer = None if self.tokenizer is None else self.tokenizer.get_config()
        return super().get_config() | {"tokenizer": tokenizer}

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> GPT:
        return cls(**config)

    @classmethod
    def from_pretrained(cls, path_or_id: str | Path) -> GPT:
        """A GPT-2 of Hugging Face's form: a folder, or a name on its hub, as `"openai-community/gpt2"`.

        Raises:
            FileError: No such folder, or not a GPT-2.
        """
        return gpt_files.read(cls, path_or_id)

    def save_pretrained(self, folder: str | Path) -> None:
        """Writes the model as a folder that `transformers.GPT2LMHeadModel.from_pretrained` reads.

        Raises:
            ArgumentError: An activation that GPT-2 has no name for.
        """
        gpt_files.write(self, folder)


class _Reading:
    """What a model has read so far: the state of `GPT.step`."""

    def __init__(self, model: GPT, mask: torch.Tensor, room: int) -> None:
        self.model = model
        self.mask = without_need(mask)
        self.room = room
        self.tokens = mask.new_zeros((len(mask), 0), dtype=torch.int64)
        self.caches: list[KeyValueCache] = []

    def read(self, tokens: torch.Tensor) -> torch.Tensor:
        """The vector after `tokens`, (rows, width). Where the context is full, its last half is read again."""
        self.tokens = torch.cat([self.tokens, tokens], 1)
        if self.mask is not None and self.caches:
            self.mask = torch.cat([self.mask, torch.ones_like(tokens, dtype=torch.bool)], 1)
        context = self.model.context_length
        if not self.caches or self.tokens.shape[1] > context:
            kept = max(context // 2, 1) if self.caches else context
            self.tokens = tokens = self.tokens[:, -kept:]
            self.mask = None if self.mask is None else self.mask[:, -kept:]
            self.caches = [KeyValueCache(self.room) for _ in self.model.blocks]
        return self.model.hidden(tokens, self.mask, self.caches)[:, -1]

    def reorder(self, indices: torch.Tensor) -> None:
        """Row i goes on from what row `indices[i]` was."""
        self.tokens = self.tokens[indices]
        self.mask = None if self.mask is None else self.mask[indices]
        for cache in self.caches:
            cache.reorder(indices)


class _TextStream:
    """Hands on the text of the tokens of one row, piece by piece; a character of several tokens when it is whole."""

    def __init__(self, tokenizer: Any, prompt: torch.Tensor, give: Callable[[str], Any]) -> None:
        self.tokenizer, self.give = tokenizer, give
        self.tokens = prompt.tolist()
        self.given = len(tokenizer.decode(self.tokens))

    def __call__(self, column: torch.Tensor) -> None:
        self.tokens += column.tolist()
        text = self.tokenizer.decode(self.tokens)
        if len(text) > self.given and not text.endswith("\ufffd"):
            self.give(text[self.given :])
            self.given = len(text)


def _until(tokens: list[int], end_token: int | None) -> list[int]:
    return tokens[: tokens.index(end_token)] if end_token in tokens else tokens

"""`BERT`: an encoder of text that sees both sides of a word; DistilBERT and MiniLM are its smaller kin."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from lamella.errors import ArgumentError, DataError, ShapeError
from lamella.initializers import TruncatedNormal
from lamella.language import bert_checkpoint
from lamella.language.attention import without_need
from lamella.language.pretrained import copy_tensors, read_checkpoint, write_checkpoint
from lamella.language.tokenization import Tokenizer
from lamella.language.transformer import TransformerBlock, gelu_tanh
from lamella.layers import Dense, Dropout, Embedding, LayerNormalization
from lamella.models import Model
from lamella.saving import deserialize_keras_object, register_keras_serializable


@register_keras_serializable(package="lamella")
class BERT(Model):
    """A Transformer encoder with BERT's embeddings: a vector for each token, in the light of all the others.

    By default BERT-base. `num_segments=0` makes a DistilBERT. Heads for tasks: `BERTClassifier`, `BERTTokenClassifier`,
    `BERTMaskedLanguageModel`, `SentenceEncoder`.

    Args:
        vocabulary_size: The number of tokens.
        max_length: The most tokens in a text.
        num_layers: The number of Transformer blocks.
        num_heads: The attention heads of each; they divide the width.
        width: The size of the vectors.
        feedforward_units: The units between the dense layers of a block; 4 times the width by default.
        num_segments: How many kinds of text an input may have (2: a question and an answer); 0 for none.
        pooler: Whether there is a layer that makes one vector of the first token's; by default if there are segments.
        activation: Between the dense layers; `"gelu_tanh"` is the approximation.
        dropout: The share that is dropped while training.
        attention_dropout: The share of attention weights that is dropped; `dropout` by default. 0 is quicker.
        epsilon: Of the normalizations.
        pad_id: The token that means padding; None if there is none.
        tokenizer: What makes tokens of texts, for `encode` and `embed`; it is saved with the model.
        **kwargs: As for every model.

    Called on tokens (batch, length) of whole numbers, where `pad_id` is padding; or on a dict of `"tokens"`, and if
    wanted `"mask"` (batch, length), True where a token is real, and `"segments"` (batch, length). Returns
    (batch, length, width).

    Raises:
        ArgumentError: A pooler without segments, or arguments out of range.
        ShapeError: More tokens than `max_length`, or no (batch, length).

    Source: Devlin et al., 2019; Sanh et al., 2019 (DistilBERT); Wang et al., 2020 (MiniLM).

    Example:
        >>> bert = BERT(vocabulary_size=100, max_length=16, num_layers=1, num_heads=2, width=8)
        >>> hidden = bert(torch.tensor([[2, 17, 3, 0]]))
        >>> hidden.shape, bert.pooled(hidden).shape
        (torch.Size([1, 4, 8]), torch.Size([1, 8]))
    """

    def __init__(
        self,
        vocabulary_size: int,
        max_length: int = 512,
        num_layers: int = 12,
        num_heads: int = 12,
        width: int = 768,
        feedforward_units: int | None = None,
        num_segments: int = 2,
        pooler: bool | None = None,
        activation: Any = "gelu",
        dropout: float = 0.1,
        attention_dropout: float | None = None,
        epsilon: float = 1e-12,
        pad_id: int | None = 0,
        tokenizer: Tokenizer | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        pooler = num_segments > 0 if pooler is None else pooler
        if pooler and not num_segments:
            raise ArgumentError("BERT: a pooler goes with segments (DistilBERT has neither): set num_segments=2.")
        if tokenizer is not None and tokenizer.vocabulary_size > vocabulary_size:
            raise ArgumentError(
                f"BERT: the tokenizer has {tokenizer.vocabulary_size} tokens, more than `vocabulary_size`, "
                f"{vocabulary_size}."
            )
        self.vocabulary_size = vocabulary_size
        self.max_length = max_length
        self.num_layers = num_layers
        self.num_heads = num_heads
        self.width = width
        self.feedforward_units = feedforward_units or 4 * width
        self.num_segments = num_segments
        self.activation = activation
        self.dropout = dropout
        self.attention_dropout = dropout if attention_dropout is None else attention_dropout
        self.epsilon = epsilon
        self.pad_id = pad_id
        self.tokenizer = tokenizer
        start: Any = {"embeddings_initializer": TruncatedNormal(stddev=0.02), "dtype": self.dtype_policy}
        self.token_embedding = Embedding(vocabulary_size, width, **start)
        self.position_embedding = Embedding(max_length, width, **start)
        self.segment_embedding = Embedding(num_segments, width, **start) if num_segments else None
        self.embedding_norm = LayerNormalization(epsilon=epsilon, dtype=self.dtype_policy)
        self.embedding_dropout = Dropout(dropout, dtype=self.dtype_policy)
        self.blocks = [
            TransformerBlock(
                num_heads,
                self.feedforward_units,
                activation,
                norm_first=False,
                dropout=dropout,
                attention_dropout=self.attention_dropout,
                epsilon=epsilon,
                kernel_initializer=TruncatedNormal(stddev=0.02),
                dtype=self.dtype_policy,
            )
            for _ in range(num_layers)
        ]
        self.pooler = bert_dense(self, "tanh") if pooler else None
        self.build((None, None))

    def build(self, input_shape: Any = None) -> None:
        """Makes the weights, whatever the length of texts will be."""
        if self.built:
            return
        for table in (self.token_embedding, self.position_embedding, self.segment_embedding):
            if table is not None:
                table.build((None, None))
        for layer in (self.embedding_norm, *self.blocks):
            layer.build((None, None, self.width))

    def call(  # type: ignore[override]
        self, inputs: Any, training: bool | None = None
    ) -> torch.Tensor:
        tokens, mask, segments = self._parts(inputs)
        x = self._embedded(tokens, segments)
        for block in self.blocks:
            x = block.direct(x) if mask is None else block(x, mask=mask)
        return x

    def _embedded(self, tokens: torch.Tensor, segments: torch.Tensor | None = None) -> torch.Tensor:
        """What the first block gets: the vectors of the tokens, their places and their segments."""
        x = self.token_embedding.direct(tokens) + self.position_embedding.embeddings[: tokens.shape[1]]
        if self.segment_embedding is not None:
            x = x + (self.segment_embedding.embeddings[0] if segments is None else self.segment_embedding(segments))
        return self.embedding_dropout.direct(self.embedding_norm.direct(x))

    def get_quantization_layer_structure(self, mode: str | None = None) -> dict[str, list[Any]]:
        """What `quantize("gptq")` and `quantize("awq")` ask: texts become vectors, which go through the blocks."""
        return {"pre_block_layers": [self._embedded], "sequential_blocks": list(self.blocks)}

    def _parts(self, inputs: Any) -> tuple[torch.Tensor, torch.Tensor | None, torch.Tensor | None]:
        """Tokens, the mask where it hides something, and segments."""
        parts = inputs if isinstance(inputs, Mapping) else {"tokens": inputs}
        if "tokens" not in parts:
            raise DataError(f"BERT {self.name!r}: the inputs need 'tokens'; got {sorted(parts)}.")
        tokens, segments = parts["tokens"].to(torch.int64), parts.get("segments")
        if tokens.ndim != 2 or tokens.shape[1] > self.max_length:
            raise ShapeError(
                f"BERT {self.name!r}: tokens must be (batch, length) with at most {self.max_length} in a text "
                f"(`max_length`); got {tuple(tokens.shape)}. Cut longer texts, as `encode` does."
            )
        for name in ("mask", "segments"):
            if parts.get(name) is not None and parts[name].shape != tokens.shape:
                raise ShapeError(
                    f"BERT {self.name!r}: '{name}' must have the shape of the tokens, {tuple(tokens.shape)}; got "
                    f"{tuple(parts[name].shape)}."
                )
        if segments is not None and self.segment_embedding is None:
            raise DataError(f"BERT {self.name!r} has no segments (num_segments=0), as DistilBERT: leave them out.")
        return tokens, self.mask_of(inputs), segments

    def mask_of(self, inputs: Any) -> torch.Tensor | None:
        """Which tokens of such inputs are real, (batch, length) bool; None where all are, or nobody knows."""
        parts = inputs if isinstance(inputs, Mapping) else {"tokens": inputs}
        if parts.get("mask") is not None:
            return without_need(parts["mask"].to(torch.bool))
        return None if self.pad_id is None else without_need(parts["tokens"] != self.pad_id)

    def pooled(self, hidden: torch.Tensor) -> torch.Tensor:
        """One vector (batch, width) of what `call` returned, by the pooler from the first token.

        Raises:
            ArgumentError: There is no pooler.
        """
        if self.pooler is None:
            raise ArgumentError(f"BERT {self.name!r} has no pooler; make it with pooler=True, or take hidden[:, 0].")
        return self.pooler(hidden[:, 0])

    # -- texts ------------------------------------------------------------------------------------------------

    def encode(self, texts: Sequence[str], max_length: int | None = None, on_long: str = "truncate") -> dict[str, Any]:
        """Texts as what `call` and `fit` take: `"tokens"`, with the start and end tokens, and `"mask"`.

        Args:
            texts: Strings; an empty one is just the start and end tokens.
            max_length: The most tokens in a text; as many as the model takes by default.
            on_long: Longer texts are cut (`"truncate"`, counted in `tokenizer.num_truncated`), or `"refuse"`d.

        Raises:
            ArgumentError: The model has no tokenizer.
            DataError: Something that is no string, or a text too long.
        """
        length = min(max_length or self.max_length, self.max_length)
        tokens, mask = self.known_tokenizer.encode_batch(texts, length, start=True, end=True, on_long=on_long)
        return {"tokens": tokens, "mask": mask}

    @property
    def known_tokenizer(self) -> Tokenizer:
        """The tokenizer; an ArgumentError if there is none."""
        if self.tokenizer is None:
            raise ArgumentError(
                f"BERT {self.name!r} has no tokenizer, so it cannot read texts: pass BERT(..., tokenizer=...), or load "
                f"a folder with its tokenizer.json (pip install 'lamella[language]')."
            )
        return self.tokenizer

    def embed(
        self,
        texts: Sequence[str],
        pooling: str = "mean",
        normalize: bool = True,
        batch_size: int = 32,
        max_length: int | None = None,
    ) -> np.ndarray:
        """A vector for each text, (texts, width): see `SentenceEncoder`."""
        from lamella.language.sentence_embeddings import SentenceEncoder

        return SentenceEncoder(self, pooling, normalize, max_length).embed(texts, batch_size)

    # -- files ------------------------------------------------------------------------------------------------

    @classmethod
    def from_pretrained(cls, path_or_id: str | Path) -> BERT:
        """The encoder of a BERT, MiniLM or DistilBERT in Hugging Face's form, with its tokenizer.

        Args:
            path_or_id: A folder, or the name of a model on the hub. Heads in it are left out.

        Raises:
            FileError: Another kind of model, or files that are damaged or do not fit.
            DownloadError: The hub cannot be reached, or has no such model.
        """
        config, tensors, folder = read_checkpoint(path_or_id, bert_checkpoint.MODEL_TYPES)
        tensors = bert_checkpoint.without_prefix(tensors)
        options = bert_checkpoint.encoder_options(config, tensors, folder)
        encoder = cls(**options, tokenizer=bert_checkpoint.tokenizer_in(folder))
        copy_tensors(bert_checkpoint.encoder_places(encoder), tensors, folder, bert_checkpoint.HEADS)
        return encoder

    def save_pretrained(self, folder: str | Path) -> None:
        """Writes a folder that `transformers` reads: a BertModel, or a DistilBertModel if there are no segments."""
        kind = bert_checkpoint.model_type(self)
        config = bert_checkpoint.config_of(self, {"bert": "BertModel", "distilbert": "DistilBertModel"}[kind])
        write_checkpoint(folder, config, bert_checkpoint.encoder_places(self))
        bert_checkpoint.write_tokenizer(self, folder)

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"pooler": self.pooler is not None}

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> BERT:
        return cls(**config | {"tokenizer": deserialize_keras_object(config.get("tokenizer"))})


def without_pooler(weights: Sequence[torch.Tensor], encoder: BERT) -> list[torch.Tensor]:
    """The weights but those of the pooler: for models that do not look at what it makes, so that no loss changes it."""
    unused = set() if encoder.pooler is None else {id(weight) for weight in encoder.pooler.weights}
    return [weight for weight in weights if id(weight) not in unused]


def bert_dense(encoder: BERT, activation: Any, units: int | None = None) -> Dense:
    """A dense layer, with its weights, on the vectors of an encoder; `units` are as many as these have by default."""
    activation = gelu_tanh if activation == "gelu_tanh" else activation
    layer = Dense(
        units or encoder.width, activation, kernel_initializer=TruncatedNormal(stddev=0.02), dtype=encoder.dtype
    )
    layer.build((None, encoder.width))
    return layer

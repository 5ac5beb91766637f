"""`SentenceEncoder`: one vector for a whole text, near those of texts that mean the like."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from lamella.errors import ArgumentError, DataError
from lamella.language.bert import BERT, without_pooler
from lamella.language.pretrained import find_folder
from lamella.language.text_data import LengthBuckets
from lamella.models import Model
from lamella.saving import deserialize_keras_object, register_keras_serializable

_POOLING = ("mean", "cls", "max")


@register_keras_serializable(package="lamella")
class SentenceEncoder(Model):
    """The vectors of a text's tokens, pooled to one.

    Args:
        encoder: A `BERT`, with a tokenizer if texts are to be embedded.
        pooling: `"mean"` or `"max"` over the real tokens, or `"cls"`: the first token's.
        normalize: Whether vectors have length 1, so that their product is the cosine of the angle between them.
        max_length: The most tokens of a text; longer ones are cut. As many as the encoder takes by default.
        **kwargs: As for every model.

    Called as a `BERT`; returns (batch, width).

    Raises:
        ArgumentError: Another pooling.

    Source: Reimers and Gurevych, 2019.

    Example:
        >>> encoder = BERT(vocabulary_size=100, max_length=16, num_layers=1, num_heads=2, width=8)
        >>> vectors = SentenceEncoder(encoder)(torch.tensor([[2, 17, 3, 0], [2, 17, 18, 3]]))
        >>> [round(length, 3) for length in vectors.norm(dim=1).tolist()]
        [1.0, 1.0]
    """

    def __init__(
        self,
        encoder: BERT,
        pooling: str = "mean",
        normalize: bool = True,
        max_length: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if pooling not in _POOLING:
            raise ArgumentError(f"SentenceEncoder: `pooling` must be one of {_POOLING}; got {pooling!r}.")
        self.encoder = encoder
        self.pooling = pooling
        self.normalize = normalize
        self.max_length = min(max_length or encoder.max_length, encoder.max_length)
        self.build()

    def build(self, input_shape: Any = None) -> None:
        """Nothing is left to make: the encoder has its weights."""

    @property
    def trainable_weights(self) -> list[torch.Tensor]:
        """The weights that training changes."""
        return without_pooler(super().trainable_weights, self.encoder)

    def call(  # type: ignore[override]
        self, inputs: Any, training: bool | None = None
    ) -> torch.Tensor:
        hidden = self.encoder(inputs)
        pooled = hidden[:, 0] if self.pooling == "cls" else self._over_tokens(hidden, self.encoder.mask_of(inputs))
        return F.normalize(pooled, dim=-1) if self.normalize else pooled

    def _over_tokens(self, hidden: torch.Tensor, mask: torch.Tensor | None) -> torch.Tensor:
        if mask is None:
            return hidden.mean(1) if self.pooling == "mean" else hidden.amax(1)
        real = mask.unsqueeze(-1)
        if self.pooling == "max":
            return hidden.masked_fill(~real, -torch.inf).amax(1)
        return (hidden * real).sum(1) / real.sum(1).clamp(min=1)

    def embed(self, texts: Sequence[str], batch_size: int = 32) -> np.ndarray:
        """A vector for each text, float32 (texts, width). Texts of similar length are computed together.

        Args:
            texts: Strings. Longer ones than `max_length` tokens are cut, and counted in the tokenizer's
                `num_truncated`.
            batch_size: Texts in one batch.

        Raises:
            ArgumentError: The encoder has no tokenizer.
            DataError: Something that is no list of strings.
        """
        if isinstance(texts, str):
            raise DataError("SentenceEncoder.embed takes a list of texts; for a single one: embed([text])[0].")
        lists = self.encoder.known_tokenizer.encode_lists(texts, self.max_length, start=True, end=True)
        if not lists:
            return np.empty((0, self.encoder.width), "float32")
        data = LengthBuckets(lists, batch_size=batch_size, pad_id=self.encoder.pad_id or 0, shuffle=False)
        found = self.predict(data, verbose=0)
        vectors = np.empty_like(found)
        vectors[data.order.numpy()] = found
        return vectors

    @classmethod
    def from_pretrained(cls, path_or_id: str | Path) -> SentenceEncoder:
        """A model in the form of `sentence-transformers`: BERT, MiniLM or DistilBERT, and how its vectors are pooled.

        Args:
            path_or_id: A folder, or the name of a model on the hub. Where it does not say how to pool, the mean is
                taken.

        Raises:
            FileError: Another kind of model, or files that are damaged or do not fit.
            DownloadError: The hub cannot be reached, or has no such model.
            ArgumentError: A pooling other than the mean, the maximum or the first token.
        """
        folder = find_folder(path_or_id)
        pooling, steps = _json(folder / "1_Pooling" / "config.json"), _json(folder / "modules.json")
        names = {"mean": "mean_tokens", "cls": "cls_token", "max": "max_tokens"}
        chosen = [mode for mode, name in names.items() if pooling.get(f"pooling_mode_{name}")]
        others = [key for key, value in pooling.items() if value is True and key.startswith("pooling_mode_")]
        if len(others) > 1 or len(others) > len(chosen):
            raise ArgumentError(f"{folder}: the pooling {others} is none of {_POOLING}.")
        normalize = not steps or any(str(step.get("type", "")).endswith("Normalize") for step in steps)
        length = _json(folder / "sentence_bert_config.json").get("max_seq_length")
        return cls(BERT.from_pretrained(folder), chosen[0] if chosen else "mean", normalize, length)

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> SentenceEncoder:
        return cls(**config | {"encoder": deserialize_keras_object(config["encoder"])})


def _json(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}

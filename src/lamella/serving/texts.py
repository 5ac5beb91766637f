"""How text models of `lamella.language` read texts: as one batch of tokens."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch

from lamella.language import BERTClassifier, TextClassifier, pad_tokens

Reader = Callable[[Sequence[str]], torch.Tensor | dict[str, torch.Tensor]]


def text_reader(model: Any) -> Reader | None:
    """What makes of texts that which a model is called on; None for a model that classifies no texts.

    It is tokens (batch, length) int64, padded, with their mask where the model takes one.

    Example:
        >>> from lamella.language import Tokenizer
        >>> model = TextClassifier(2, Tokenizer.train(["a b c"], kind="word"), "dnn")
        >>> text_reader(model)(["a b c", "a"]).shape
        torch.Size([2, 3])
    """
    if isinstance(model, TextClassifier):
        return lambda texts: pad_tokens(model.tokenizer.encode_lists(texts, model.max_length), model.pad_id)[0]
    if isinstance(model, BERTClassifier) and model.encoder.tokenizer is not None:
        return lambda texts: model.encoder.encode(texts)
    return None

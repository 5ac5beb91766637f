"""How models that take texts read them: as one batch of tokens, or by a layer of their own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch

from lamella.language import BERTClassifier, TextClassifier, pad_tokens
from lamella.layers import TextVectorization

Reader = Callable[[Sequence[str]], torch.Tensor | dict[str, torch.Tensor] | np.ndarray]


def text_reader(model: Any) -> Reader | None:
    """What makes of texts that which a model is called on; None for a model that takes no texts.

    It is tokens (batch, length) int64, padded, with their mask where the model takes one; the texts themselves (batch,)
    for one that begins with a `TextVectorization`.

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
    if isinstance(next(iter(getattr(model, "layers", ())), None), TextVectorization):
        return lambda texts: np.array(texts, dtype=object)
    return None

"""The samples on which a model is most wrong."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from lamella.engine.strings import holds_strings
from lamella.report.answers import Answers
from lamella.report.look import Look, Worst
from lamella.report.pictures import black_and_white, is_picture, png
from lamella.report.record import Mistake

_MOST_NUMBERS, _MOST_LETTERS = 20, 400


def mistakes(look: Look, said: Answers) -> list[Mistake]:
    """The samples with the largest losses: what each is, what the model says, and how it looks.

    Args:
        look: What was seen while samples passed through the model.
        said: What is true of them, and what the model says.
    """
    black, white = black_and_white(look.low, look.high)
    tokenizer = getattr(look.model, "tokenizer", None)
    return [_mistake(each, said, tokenizer, black, white) for each in look.worst]


def _mistake(each: Worst, said: Answers, tokenizer: Any, black: float, white: float) -> Mistake:
    true, predicted = said.told(each.place)
    sample = each.sample
    if isinstance(sample, torch.Tensor) and is_picture(sample):
        picture = png(sample, black, white)
        if picture is not None:
            return Mistake(each.number, true, predicted, each.loss, picture=picture)
    return Mistake(each.number, true, predicted, each.loss, text=_text(sample, tokenizer)[:_MOST_LETTERS])


def _text(sample: Any, tokenizer: Any) -> str:
    if isinstance(sample, dict):
        return "; ".join(f"{name}: {_text(part, None)}" for name, part in sample.items())
    if isinstance(sample, (list, tuple)):
        return "; ".join(_text(part, None) for part in sample)
    if isinstance(sample, np.ndarray) and holds_strings(sample):
        return "; ".join(map(str, sample.ravel()))
    if not hasattr(sample, "tolist") or isinstance(sample, np.str_):
        return str(sample)
    tensor = torch.as_tensor(sample)
    if tokenizer is not None and tensor.ndim == 1 and not tensor.is_floating_point():
        known = tensor[tensor < tokenizer.vocabulary_size]  # a model may pad with a token of its own
        return str(tokenizer.decode(known.tolist()))
    numbers = tensor.flatten()[:_MOST_NUMBERS].tolist()
    return ", ".join(f"{number:.4g}" for number in numbers) + (", ..." if tensor.numel() > _MOST_NUMBERS else "")

"""The samples that a model is shown before it is quantized."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from lamella.errors import ArgumentError, DataError
from lamella.quantizers.calibration_configs import CalibratedConfig


def calibration_samples(config: CalibratedConfig) -> torch.Tensor:
    """The samples of a config: tokens (samples, sequence_length), int64; or floats (samples, ...).

    Tokens of all texts are laid end to end, again from the start where they are too few, and cut at even distances.

    Raises:
        ArgumentError: There is no dataset, or it has texts and there is no tokenizer.
        DataError: The dataset is empty, or samples of floats have different shapes.

    Example:
        >>> from lamella.quantizers import GPTQConfig
        >>> calibration_samples(GPTQConfig(["abc", "de"], str.encode, num_samples=2, sequence_length=3))
        tensor([[ 97,  98,  99],
                [101,  97,  98]])
    """
    items = _items(config)
    if isinstance(items[0], str):
        tokenize = _tokenize(config)
        items = [tokenize(text) for text in items]
    arrays = [np.asarray(each.detach().cpu() if isinstance(each, torch.Tensor) else each) for each in items]
    if arrays[0].size and arrays[0].dtype.kind == "f":
        return _floats(arrays, config.num_samples)
    tokens = np.concatenate([each.reshape(-1) for each in arrays if each.size] or [np.zeros(0, np.int64)])
    if tokens.dtype.kind not in "iu":
        raise DataError(f"{type(config).__name__}: tokens must be whole numbers; got {tokens[:3].tolist()}.")
    tokens = tokens.astype(np.int64)
    if not len(tokens):
        raise DataError(f"{type(config).__name__}: the texts of the `dataset` have no token.")
    return torch.from_numpy(_pieces(tokens, config.num_samples, config.sequence_length))


def _items(config: CalibratedConfig) -> list[Any]:
    name, dataset = type(config).__name__, config.dataset
    if dataset is None or isinstance(dataset, (str, bytes)) or not hasattr(dataset, "__iter__"):
        raise ArgumentError(
            f"{name} needs a `dataset` to look at: a list (or what can be iterated) of texts, of arrays of tokens, or "
            f"of arrays of floats; got {dataset if dataset is None else type(dataset).__name__}."
        )
    items = list(dataset)
    if not items:
        raise DataError(f"{name}: the `dataset` is empty.")
    return items


def _tokenize(config: CalibratedConfig) -> Callable[[str], Any]:
    tokenizer = config.tokenizer
    for each in (getattr(tokenizer, "encode", None), getattr(tokenizer, "tokenize", None), tokenizer):
        if callable(each):
            return lambda text: _numbers(each(text))
    raise ArgumentError(
        f"{type(config).__name__}: the `dataset` has texts, so a `tokenizer` is needed: what has `encode` or "
        f"`tokenize`, or a function of a text; got {tokenizer!r}."
    )


def _numbers(found: Any) -> Any:
    """The tokens that a tokenizer gave; bytes are their numbers, and some tokenizers have them as `ids`."""
    return list(found) if isinstance(found, (bytes, bytearray)) else getattr(found, "ids", found)


def _floats(arrays: list[np.ndarray], wanted: int) -> torch.Tensor:
    shapes = sorted({each.shape for each in arrays})
    if len(shapes) > 1:
        raise DataError(f"The samples of the `dataset` must have one shape; got {shapes[:5]}.")
    places = np.linspace(0, len(arrays) - 1, min(wanted, len(arrays))).astype(int)
    return torch.from_numpy(np.stack([arrays[place] for place in places])).to(torch.float32)


def _pieces(tokens: np.ndarray, wanted: int, length: int) -> np.ndarray:
    tokens = np.resize(tokens, max(len(tokens), -(-wanted * length // len(tokens)) * len(tokens)))
    last = len(tokens) - length
    starts = np.arange(wanted) * max(1, (last + 1) // wanted) % (last + 1)
    return np.lib.stride_tricks.sliding_window_view(tokens, length)[starts].copy()


__all__ = ["calibration_samples"]

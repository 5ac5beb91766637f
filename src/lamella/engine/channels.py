"""The axes of pictures in Keras's order and in torch's: one is a view of the other, and remembers it."""

from __future__ import annotations

import torch


def channels_first(pictures: torch.Tensor) -> torch.Tensor:
    """(batch, height, width, channels) as torch's kernels take it: (batch, channels, height, width). A view."""
    known: torch.Tensor | None = getattr(pictures, "_channels_first", None)
    return pictures.permute(0, 3, 1, 2) if known is None else known


def channels_last(maps: torch.Tensor) -> torch.Tensor:
    """The inverse of `channels_first`. A view, that remembers the tensor of which it is one, for `pass_by`."""
    pictures = maps.permute(0, 2, 3, 1)
    if not torch.compiler.is_compiling():
        pictures._maps = maps  # type: ignore[attr-defined]
    return pictures


def pass_by(pictures: torch.Tensor) -> None:
    """From now on `channels_first` of them is the tensor itself of which they are a view.

    All layers that take it share that tensor. That saves views, and where gradients meet, autograd adds one onto the
    other in place, which it does not for views of them. But then no gradient comes by the pictures: this is for those
    that nobody else sees.
    """
    maps = getattr(pictures, "_maps", None)
    if maps is not None:
        pictures._channels_first = maps  # type: ignore[attr-defined]

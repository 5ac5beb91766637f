"""The axes of pictures in Keras's order and in torch's: one is a view of the other, and remembers it."""

from __future__ import annotations

import torch


def channels_first(pictures: torch.Tensor) -> torch.Tensor:
    """(batch, height, width, channels) as torch's kernels take it: (batch, channels, height, width). A view."""
    known: torch.Tensor | None = getattr(pictures, "_channels_first", None)
    return pictures.permute(0, 3, 1, 2) if known is None else known


def channels_last(maps: torch.Tensor) -> torch.Tensor:
    """The inverse of `channels_first`. A view, that remembers the tensor of which it is one.

    All layers that take it share that tensor. That saves views, and where gradients meet, autograd adds one onto the
    other in place, which it does not for views of them.
    """
    pictures = maps.permute(0, 2, 3, 1)
    if not torch.compiler.is_compiling():
        pictures._channels_first = maps  # type: ignore[attr-defined]
    return pictures

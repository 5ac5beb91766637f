"""The two modes of a layer: it trains, or it infers."""

from __future__ import annotations

from typing import Any

from torch import nn


def is_other_mode(layer: nn.Module, training: Any) -> bool:
    """Whether `training` asks a layer for the other of its two modes. (A guide of Keras's gives data for it.)"""
    return training is not None and not getattr(training, "ndim", 0) and bool(training) != layer.training


class in_mode:
    """Within it a module and everything in it trains, or infers; then each is as it was before."""

    def __init__(self, module: nn.Module, training: bool) -> None:
        self.before = [(child, child.training) for child in module.modules()]
        self.training = training

    def __enter__(self) -> None:
        for child, _ in self.before:
            child.training = self.training

    def __exit__(self, *exception: Any) -> None:
        for child, training in self.before:
            child.training = training

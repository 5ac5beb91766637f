"""Where NaN or infinity comes from."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.utils import _pytree as pytree


def has_non_finite(structure: Any) -> bool:
    """Whether there is NaN or infinity in a tensor, or in a structure of them."""
    return any(
        isinstance(leaf, torch.Tensor) and leaf.is_floating_point() and not bool(torch.isfinite(leaf).all())
        for leaf in pytree.tree_leaves(structure)
    )


def first_non_finite(model: nn.Module, x: Any) -> nn.Module | None:
    """The first of the innermost modules whose output for `x` has NaN or infinity; None if there is none."""
    found: list[nn.Module] = []

    def look(module: nn.Module, inputs: Any, output: Any) -> None:
        if not found and has_non_finite(output):
            found.append(module)

    leaves = [module for module in model.modules() if not any(module.children())]
    handles = [module.register_forward_hook(look) for module in leaves]
    try:
        with torch.compiler.set_stance("force_eager"):
            model(x)
    finally:
        for handle in handles:
            handle.remove()
    return found[0] if found else None


def name_of(module: nn.Module) -> str:
    """The layer's name; the class of a module that has none."""
    return str(getattr(module, "name", type(module).__name__))

"""`compile(rematerialize=...)`: which layers compute their activations again for the gradients."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lamella.errors import ArgumentError, nearest


def set_rematerialize(model: Any, wanted: bool | Sequence[str]) -> None:
    """A graph goes through in segments; the layers of a subclassed model, or those named, one by one."""
    names = [wanted] if isinstance(wanted, str) else list(wanted) if not isinstance(wanted, bool) else []
    within = {layer.name: layer for layer in model._flatten_layers() if layer is not model}
    unknown = [name for name in names if name not in within]
    if unknown:
        raise ArgumentError(
            f"compile(): `rematerialize` names {unknown[0]!r}, which is no layer of the model. Nearest: "
            f"{nearest(unknown[0], list(within)) or list(within)}."
        )
    model._in_segments = wanted is True
    has_graph = getattr(model, "_graph", None) is not None or hasattr(model, "_chain")
    chosen = names if not model._in_segments or has_graph else [layer.name for layer in model.layers]
    for name, layer in within.items():
        layer.rematerialize = name in chosen

"""What a model gives at its end and at some of its layers, in one pass."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from lamella.errors import NotBuiltError
from lamella.models import Model

END = "final_output"


def has_graph(model: Any) -> bool:
    """Whether a model has symbolic inputs and outputs."""
    try:
        return bool(model.inputs)
    except NotBuiltError:
        return False


def features_of(model: Any, layer_names: Iterable[str | None]) -> Any:
    """A model of the same layers that gives a dict of the final output and those of the layers; None for no layer."""
    names = sorted({name for name in layer_names if name is not None})
    if not names:
        return None
    outputs = {name: model.get_layer(name).output for name in names}
    return Model(model.input, {END: model.output, **outputs}, name=f"{model.name}_features")

"""Weights in a `.safetensors` file: names, shapes and numbers, nothing that could be run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch

from lamella.engine.variable import whole
from lamella.errors import FileError
from lamella.saving.atomic import written_aside
from lamella.saving.reading import reading


def save_weights(model: Any, path: Path, overwrite: bool = True) -> None:
    """Writes the model's `state_dict`, and the order of its names."""
    from safetensors.torch import save_file

    weights = {name: whole(tensor.detach()).cpu().contiguous().clone() for name, tensor in model.state_dict().items()}
    with written_aside(path, overwrite) as aside:
        save_file(weights, aside, metadata={"order": json.dumps(list(weights))})


def load_weights(model: Any, path: Path) -> None:
    """Reads weights of the same names and shapes into the model; all of them, or none on an error."""
    from safetensors import safe_open
    from safetensors.torch import load_file

    with reading(path, "safetensors file"):
        found = load_file(path)
        with safe_open(path, framework="pt") as file:
            order = json.loads((file.metadata() or {}).get("order", "[]"))
    own = model.state_dict()
    if own.keys() != found.keys() and _alike(own, order, found):  # other automatic names (dense_1), the same model
        found = dict(zip(own, (found[name] for name in order), strict=True))
    missing, unknown = sorted(own.keys() - found.keys()), sorted(found.keys() - own.keys())
    if missing or unknown:
        raise FileError(
            f"{path} has the weights of another model: it lacks "
            f"{missing or 'nothing'} and has {unknown or 'nothing'} besides."
        )
    for name, tensor in own.items():
        if tensor.shape != found[name].shape:
            raise FileError(
                f"{path}: {name!r} has shape {tuple(found[name].shape)}, the model's has {tuple(tensor.shape)}."
            )
    with torch.no_grad():
        for name, tensor in own.items():
            tensor.copy_(found[name])


def _alike(own: dict[str, torch.Tensor], order: list[str], found: dict[str, torch.Tensor]) -> bool:
    """Whether the weights, one by one in their order, are called alike within their layers and have one shape."""

    def signs(names: Any, weights: dict[str, torch.Tensor]) -> list[Any]:
        return [(name.rpartition(".")[2], tuple(weights[name].shape)) for name in names if name in weights]

    return bool(order) and signs(own, own) == signs(order, found)

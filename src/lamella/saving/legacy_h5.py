"""`.h5` weight files of Keras 2 and of `keras.applications`: groups by layer name, weights by their names."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import torch

from lamella.errors import FileError
from lamella.saving import h5
from lamella.saving.reading import reading


def is_legacy(path: Path) -> bool:
    """Whether a file has the older form."""
    with reading(path, "file of weights"), h5py.File(path, "r") as file:
        return any(name in file.attrs for name in ("layer_names", "layer_names0")) or "model_weights" in file


def read(model: Any, path: Path, by_name: bool = False, skip_mismatch: bool = False) -> None:
    """Reads the weights into the model: all of them, or none on an error.

    Args:
        model: A built model.
        path: The file.
        by_name: Whether layers are found by name (those that the file lacks stay as they are) rather than in order.
        skip_mismatch: Whether layers whose weights do not fit are left as they are, with a warning.

    Raises:
        FileError: A damaged file, or weights that are not this model's.
    """
    with reading(path, "file of weights"), h5py.File(path, "r") as file:
        source = h5.checked_group(file, "model_weights") if "model_weights" in file else file
        pairs = _pairs(model, source, by_name)
        changes = [change for layer, values in pairs for change in _changes(layer, values, skip_mismatch)]
    with torch.no_grad():
        for weight, value in changes:
            weight.copy_(torch.as_tensor(value))


def _pairs(model: Any, source: Any, by_name: bool) -> list[tuple[Any, list[Any]]]:
    names = names_of(source, "layer_names")
    stored = {name: _stored(source, name) for name in names}
    own = [layer for layer in model.layers if layer.weights]
    if by_name:
        return [(layer, stored[layer.name]) for layer in own if stored.get(layer.name)]
    with_weights = [values for values in stored.values() if values]
    if len(with_weights) != len(own):
        raise FileError(
            f"The file has {len(with_weights)} layers with weights, the model {len(own)}. To take those that have the "
            f"same names, pass by_name=True."
        )
    return list(zip(own, with_weights, strict=True))


def _stored(source: Any, layer: str) -> list[Any]:
    group = h5.checked_group(source, layer)
    if group is None:
        raise FileError(f"The file names a layer {layer!r}, but has no weights of it.")
    found = []
    for name in names_of(group, "weight_names"):
        folder, _, last = name.rpartition("/")
        inner = h5.checked_group(group, folder)
        if inner is None or last not in inner:
            raise FileError(f"The file names a weight {name!r}, but does not have it.")
        found.append(h5.checked_dataset(inner, last))
    return found


def names_of(group: Any, attribute: str) -> list[str]:
    """A list of names that a group has as an attribute, or, where it is long, as several numbered ones."""
    if attribute in group.attrs:
        parts = [group.attrs[attribute]]
    else:
        numbers = range(len(group.attrs))
        parts = [group.attrs[f"{attribute}{i}"] for i in numbers if f"{attribute}{i}" in group.attrs]
        if not parts:
            raise FileError(f"The file lacks the list {attribute!r} at {group.name!r}.")
    return [name.decode() if isinstance(name, bytes) else str(name) for part in parts for name in part]


def _changes(layer: Any, values: list[Any], skip_mismatch: bool) -> list[tuple[torch.Tensor, np.ndarray]]:
    weights = in_older_order(layer)
    shapes, found = [tuple(weight.shape) for weight in weights], [tuple(value.shape) for value in values]
    if shapes != found:
        message = f"Layer {layer.name!r} has weights of shapes {shapes}, the file has {found} for it."
        if not skip_mismatch:
            raise FileError(message)
        warnings.warn(f"{message} They stay as they are.", stacklevel=5)
        return []
    return [(weight, value[()]) for weight, value in zip(weights, values, strict=True)]


def in_older_order(layer: Any) -> list[torch.Tensor]:
    """Trainable weights first, then the others, over all layers inside: so the older files have them."""
    parameters = [weight for weight in layer.weights if isinstance(weight, torch.nn.Parameter)]
    return [*parameters, *(weight for weight in layer.weights if not isinstance(weight, torch.nn.Parameter))]

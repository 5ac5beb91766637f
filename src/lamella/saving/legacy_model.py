"""Whole models in `.h5` files, the form before `.keras`: read, and written for programs that read nothing else."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from lamella.engine.keras_version import KERAS_VERSION
from lamella.engine.registry import deserialize, known_too, serialize
from lamella.errors import FileError
from lamella.saving import h5, legacy_h5
from lamella.saving.atomic import written_aside
from lamella.saving.reading import making_layers, reading

"""The version that our files say they have the form of; real Keras reads it."""

_FORGOTTEN = frozenset({"implementation", "time_major", "ragged", "fused"})
"""Arguments of layers of Keras 2 that changed no number."""


def save(model: Any, path: Path, overwrite: bool = True, include_optimizer: bool = True) -> None:
    """Writes the config, the weights and, if asked, how the model is compiled and the optimizer's state."""
    path.parent.mkdir(parents=True, exist_ok=True)  # as Keras does for this form
    with written_aside(path, overwrite) as aside, h5py.File(aside, "w") as file:
        config = {key: value for key, value in serialize(model).items() if key != "compile_config"}
        file.attrs["model_config"] = json.dumps(config)
        file.attrs["keras_version"], file.attrs["backend"] = KERAS_VERSION, "torch"
        group = file.create_group("model_weights")
        group.attrs["layer_names"] = [layer.name for layer in model.layers]
        group.attrs["keras_version"], group.attrs["backend"] = KERAS_VERSION, "torch"
        for layer in [*model.layers, None]:
            _write_layer(group, layer)
        compiled = model.get_compile_config() if include_optimizer else None
        if compiled is not None:
            optimizer = compiled.pop("optimizer")
            file.attrs["training_config"] = json.dumps({**compiled, "optimizer_config": optimizer})
            if optimizer is not None:
                _write_optimizer(file, model.optimizer)


def _write_layer(group: Any, layer: Any) -> None:
    own = group.create_group("top_level_model_weights" if layer is None else layer.name)
    weights = [] if layer is None else legacy_h5.in_older_order(layer)
    names = [f"{layer.name}/weight_{i}" for i in range(len(weights))]
    own.attrs["weight_names"] = np.array(names, dtype=h5py.string_dtype()) if names else np.array([])
    for name, weight in zip(names, weights, strict=True):
        own[name] = weight.detach().cpu().numpy()


def _write_optimizer(file: Any, optimizer: Any) -> None:
    kept: dict[str, Any] = {}
    optimizer.save_own_variables(kept)
    group = file.create_group("optimizer_weights")
    names = [f"{optimizer.name}/variable_{int(key):06d}" for key in kept]
    group.attrs["weight_names"] = np.array(names, dtype=h5py.string_dtype())
    for name, value in zip(names, kept.values(), strict=True):
        group[name] = value


def load(path: Path, custom_objects: Mapping[str, Any] | None, compiled: bool, safe: bool) -> Any:
    """The model in a `.h5` file, written here or by any Keras.

    Raises:
        FileError: A damaged file, or one that has weights only.
    """
    with reading(path, "model file"), h5py.File(path, "r") as file, known_too(custom_objects):
        if "model_config" not in file.attrs:
            raise FileError(f"{path} has weights only: build the model and use load_weights().")
        config = _modern(json.loads(_text(file.attrs["model_config"])))
        with making_layers(path.stat().st_size, safe):
            model = deserialize({**config, "compile_config": None}, custom_objects)
        legacy_h5.read(model, path)
        if compiled and "training_config" in file.attrs:
            training = json.loads(_text(file.attrs["training_config"]))
            model.compile_from_config({**training, "optimizer": training.get("optimizer_config")})
            if model.optimizer is not None:
                _read_optimizer(file, model.optimizer)
        return model


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def _modern(config: Any) -> Any:
    """The config without what Keras 2 wrote and nobody needs."""
    if isinstance(config, dict):
        return {key: _modern(value) for key, value in config.items() if key not in _FORGOTTEN}
    return [_modern(value) for value in config] if isinstance(config, list) else config


def _read_optimizer(file: Any, optimizer: Any) -> None:
    group = h5.checked_group(file, "optimizer_weights")
    if group is None:
        return
    values: dict[str, Any] = {}
    for i, name in enumerate(legacy_h5.names_of(group, "weight_names")):
        folder, _, last = name.rpartition("/")
        inner = h5.checked_group(group, folder)
        if inner is None:
            raise FileError(f"The file names a state {name!r} of the optimizer, but does not have it.")
        values[str(i)] = h5.checked_dataset(inner, last)
    optimizer.load_own_variables(values)

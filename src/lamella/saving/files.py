"""`save_weights` and `load_weights`: the form by the file's ending."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from lamella.errors import ArgumentError, NotBuiltError
from lamella.saving import keras_file, legacy_h5, safetensors, weights_file
from lamella.saving.atomic import written_aside


def save_weights(
    model: Any, filepath: str | Path, overwrite: bool = True, objects_to_skip: Iterable[Any] | None = None
) -> None:
    """Writes the weights of a model to a `.weights.h5` or `.safetensors` file.

    Args:
        model: The model.
        filepath: Where to.
        overwrite: Whether a file that exists is replaced.
        objects_to_skip: Layers whose weights are left out; for `.weights.h5` files alone.

    Raises:
        ArgumentError: Another ending, or the file exists and `overwrite` is False.
        NotBuiltError: The model has no weights yet.
    """
    path = Path(filepath)
    if not model.built:
        raise NotBuiltError(f"Model {model.name!r} has no weights yet: call it on data, or build() it, before saving.")
    _only_for_h5(path, objects_to_skip)
    if path.suffix == ".safetensors":
        safetensors.save_weights(model, path, overwrite)
    elif path.name.endswith(".weights.h5"):
        with written_aside(path, overwrite) as aside:
            weights_file.write(model, aside, objects_to_skip or ())
    else:
        raise ArgumentError(
            f"Weights are written to a file that ends in .weights.h5 or .safetensors; got {path.name!r}."
        )


def load_weights(
    model: Any,
    filepath: str | Path,
    skip_mismatch: bool = False,
    by_name: bool = False,
    objects_to_skip: Iterable[Any] | None = None,
) -> None:
    """Reads weights into a model: of a `.weights.h5`, `.keras`, `.safetensors` or older `.h5` file.

    Args:
        model: A model whose weights exist.
        filepath: The file.
        skip_mismatch: Whether weights that do not fit are left as they are, with a warning.
        by_name: Whether layers are found by their names, in older `.h5` files.
        objects_to_skip: Layers whose weights are not looked for; for `.weights.h5` files alone.

    Raises:
        FileNotFoundError: There is no such file.
        FileError: A damaged file, or weights that are not this model's; the model is as it was.
        NotBuiltError: The model has no weights yet.
    """
    path = Path(filepath)
    if not model.built:
        raise NotBuiltError(f"Model {model.name!r} has no weights yet: call it on data, or build() it, before loading.")
    if not path.exists():
        raise FileNotFoundError(f"There is no file {path}.")
    _only_for_h5(path, objects_to_skip)
    if path.suffix == ".safetensors":
        safetensors.load_weights(model, path)
    elif path.suffix == ".keras":
        keras_file.read_weights(model, path, skip_mismatch)
    elif path.suffix in (".h5", ".hdf5"):
        if legacy_h5.is_legacy(path):
            legacy_h5.read(model, path, by_name, skip_mismatch)
        else:
            weights_file.read(model, path, skip_mismatch, objects_to_skip or ())
    else:
        raise ArgumentError(f"Weights are in .weights.h5, .keras, .safetensors and .h5 files; got {path.name!r}.")


def _only_for_h5(path: Path, objects_to_skip: Iterable[Any] | None) -> None:
    if objects_to_skip is not None and not path.name.endswith(".weights.h5"):
        raise ArgumentError(f"`objects_to_skip` goes with .weights.h5 files alone; got {path.name!r}.")

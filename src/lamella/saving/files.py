"""`save_weights` and `load_weights`: the form by the file's ending."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lamella.errors import ArgumentError, NoFileError, NotBuiltError
from lamella.saving import keras_file, legacy_h5, safetensors, shards, weights_file
from lamella.saving.atomic import written_aside


def save_weights(
    model: Any,
    filepath: str | Path,
    overwrite: bool = True,
    max_shard_size: float | None = None,
    objects_to_skip: Sequence[Any] | None = None,
) -> None:
    """Writes the weights of a model to a `.weights.h5` or `.safetensors` file, or to several files of limited size.

    Args:
        model: A built model.
        filepath: Where to; with `max_shard_size`, the index, which must end in `.weights.json`: the shards are written
            beside it.
        overwrite: Whether a file that exists is replaced.
        max_shard_size: The size in GiB that no file passes.
        objects_to_skip: Layers to leave out. (Not for `.safetensors`.)

    Raises:
        ArgumentError: Another ending, or the file exists and `overwrite` is False.
        NotBuiltError: The model has no weights yet.
    """
    path = Path(filepath)
    skip = objects_to_skip or ()
    if not model.built:
        raise NotBuiltError(f"Model {model.name!r} has no weights yet: call it on data, or build() it, before saving.")
    if max_shard_size is not None:
        most, index = shards.check_size(max_shard_size), shards.index_path(path)
        shards.write(weights_file.entries(model, skip), index, most, overwrite)
    elif path.suffix == ".safetensors":
        _refuse_to_skip(skip, path)
        safetensors.save_weights(model, path, overwrite)
    elif path.name.endswith(".weights.h5"):
        with written_aside(path, overwrite) as aside:
            weights_file.write(model, aside, skip)
    else:
        raise ArgumentError(
            f"Weights are written to a file that ends in .weights.h5 or .safetensors; got {path.name!r}. With "
            f"max_shard_size, to one that ends in .weights.json."
        )


def load_weights(
    model: Any,
    filepath: str | Path,
    skip_mismatch: bool = False,
    by_name: bool = False,
    objects_to_skip: Sequence[Any] | None = None,
) -> None:
    """Reads weights into a model: of a `.weights.h5`, `.weights.json`, `.keras`, `.safetensors` or older `.h5` file.

    Args:
        model: A built model.
        filepath: The file.
        skip_mismatch: Whether layers whose weights have other shapes are left as they are, with a warning.
        by_name: For older `.h5` files: take the layers by their names rather than in their order.
        objects_to_skip: Layers to leave as they are. (For `.weights.h5` and `.weights.json`.)

    Raises:
        FileNotFoundError: There is no such file.
        FileError: A damaged file, or weights that are not this model's; the model is as it was.
        ArgumentError: Another ending, or `by_name` or `objects_to_skip` for a file that they are not for.
        NotBuiltError: The model has no weights yet.
    """
    path = Path(filepath)
    skip = objects_to_skip or ()
    if not model.built:
        raise NotBuiltError(f"Model {model.name!r} has no weights yet: call it on data, or build() it, before loading.")
    if not path.exists():
        raise NoFileError(f"There is no file {path}.")
    hdf5 = path.suffix in (".h5", ".hdf5") and not legacy_h5.is_legacy(path)
    if by_name and (hdf5 or path.suffix not in (".h5", ".hdf5")):
        raise ArgumentError(
            f"`by_name` is for older .h5 files, whose layers have their names; those of {path.name!r} are found by "
            f"their places in the model. To take some of them, build the old model, load its weights, and set those of "
            f"the new layers: new.get_layer(name).set_weights(old.get_layer(name).get_weights())."
        )
    if hdf5 or path.name.endswith(".weights.json"):
        weights_file.read(model, path, skip_mismatch, skip)
    elif path.suffix in (".h5", ".hdf5", ".safetensors", ".keras"):
        _refuse_to_skip(skip, path)
        if path.suffix == ".safetensors":
            safetensors.load_weights(model, path)
        elif path.suffix == ".keras":
            keras_file.read_weights(model, path, skip_mismatch)
        else:
            legacy_h5.read(model, path, by_name, skip_mismatch)
    else:
        raise ArgumentError(
            f"Weights are in .weights.h5, .weights.json, .keras, .safetensors and .h5 files; got {path.name!r}."
        )


def _refuse_to_skip(skip: Sequence[Any], path: Path) -> None:
    if skip:
        raise ArgumentError(f"`objects_to_skip` is for .weights.h5 and .weights.json files; got {path.name!r}.")

"""`.weights.h5` files: the weights of a model, and the state of its optimizer, in Keras 3's form."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import torch

from lamella.errors import FileError, LamellaError
from lamella.layers.torch_state import TorchState
from lamella.saving import h5
from lamella.saving.reading import reading
from lamella.saving.shards import Shards
from lamella.saving.state import other_places, places


def write(model: Any, file: Any, skip: Iterable[Any] = ()) -> None:
    """Writes all weights, but for those of the objects to skip, into a path or a file object."""
    with h5py.File(file, "w") as target:
        for path, name, kept in entries(model, skip):
            group = target.require_group(path)
            if name is not None:
                group.attrs["name"] = name
            for key, value in kept.items():
                group[key] = value


def entries(model: Any, skip: Iterable[Any] = ()) -> Iterator[tuple[str, str | None, dict[str, np.ndarray]]]:
    """Each group of a file with the name of the object that it is of and that object's own weights."""
    for path, keeper in places(model, skip):
        kept: dict[str, np.ndarray] = {}
        keeper.save_own_variables(kept)
        name = getattr(keeper, "name", None)
        if kept or isinstance(name, str):
            yield f"{path}/vars" if path else "vars", name if isinstance(name, str) else None, kept


def read(model: Any, file: Any, skip_mismatch: bool = False, skip: Iterable[Any] = ()) -> None:
    """Reads all weights of an HDF5 file into the model: all of them, or none on an error.

    Args:
        model: A built model.
        file: A path (of shards: that of their index) or a file object.
        skip_mismatch: Whether weights that do not fit are left as they are, with a warning.
        skip: Layers (and what is in them) to leave as they are.

    Raises:
        FileError: A damaged file, or weights that are not this model's; the message says where.
    """
    failed: list[str] = []
    others: dict[str, list[str]] | None = None
    with _opened(file) as source, AllOrNothing(model) as attempt:
        for path, keeper in places(model, skip):
            try:
                place = source.place(path)
                if not len(place):
                    others = other_places(model) if others is None else others
                    place = next(filter(len, map(source.place, _elsewhere(path, others))), place)
                if len(place) or _must_have(keeper):
                    keeper.load_own_variables(place)
            except (LamellaError, KeyError, ValueError, TypeError, OSError, RuntimeError) as error:
                failed.append(f"{path or 'the top'}: {error}")
        if failed and not skip_mismatch:
            attempt.undo()
    if failed:
        message = f"{len(failed)} of the file's places do not fit the model. {'; '.join(failed[:3])}"
        if not skip_mismatch:
            raise FileError(f"{message}. The model is as it was. Is the file that of another model?")
        warnings.warn(f"{message}. Those weights are as they were.", stacklevel=4)


def _must_have(keeper: Any) -> bool:
    """Whether its weights may not be missing, as an optimizer's state may."""
    return isinstance(keeper, torch.nn.Module) or (isinstance(keeper, TorchState) and bool(keeper.tensors))


def _elsewhere(path: str, others: dict[str, list[str]]) -> Iterator[str]:
    """The paths that a path becomes where a part of it has further ones."""
    for own, further in others.items():
        if f"{path}/".startswith(f"{own}/"):
            yield from (each + path.removeprefix(own) for each in further)


class _OneFile:
    """The weights of one file, by their places."""

    def __init__(self, file: Any) -> None:
        with reading(file if isinstance(file, Path) else None, "file of weights"):
            self._source = h5py.File(file, "r")

    def place(self, path: str) -> h5.Place:
        """The weights at a path."""
        return h5.Place([_group(self._source, path)], path or "the top")

    def __enter__(self) -> _OneFile:
        return self

    def __exit__(self, *exception: Any) -> None:
        self._source.close()


def _group(source: h5py.File, path: str) -> h5py.Group | None:
    found = h5.checked_group(source, f"{path}/vars" if path else "vars")
    if found is None and "_layer_checkpoint_dependencies" in source:  # files of Keras on TensorFlow 2.13
        found = h5.checked_group(source, f"{path.replace('layers', '_layer_checkpoint_dependencies')}/vars")
    return found


def _opened(file: Any) -> _OneFile | Shards:
    return Shards(file) if isinstance(file, Path) and file.suffix == ".json" else _OneFile(file)


class AllOrNothing:
    """Within it a model's weights may be changed; on an error, or `undo()`, they are as they were."""

    def __init__(self, model: Any) -> None:
        self.kept = [(weight, weight.detach().clone()) for weight in model.weights]
        optimizer = getattr(model, "optimizer", None)
        self.restore: Callable[[], None] = getattr(optimizer, "remember", lambda: lambda: None)()

    def __enter__(self) -> AllOrNothing:
        return self

    def undo(self) -> None:
        """Puts every weight back."""
        with torch.no_grad():
            for weight, value in self.kept:
                weight.copy_(value)
        self.restore()

    def __exit__(self, kind: Any, *rest: Any) -> None:
        if kind is not None:
            self.undo()

"""`.weights.h5` files: the weights of a model, and the state of its optimizer, in Keras 3's form."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import torch

from lamella.errors import FileError, LamellaError
from lamella.saving import h5
from lamella.saving.reading import reading
from lamella.saving.state import places


def write(model: Any, file: Any, skipped: Iterable[Any] = ()) -> None:
    """Writes all weights into an open HDF5 file (or a path, or a file object)."""
    with h5py.File(file, "w") as target:
        for path, keeper in places(model, skipped):
            kept: dict[str, np.ndarray] = {}
            keeper.save_own_variables(kept)
            name = getattr(keeper, "name", None)
            if not kept and not isinstance(name, str):
                continue
            group = target.require_group(f"{path}/vars" if path else "vars")
            if isinstance(name, str):
                group.attrs["name"] = name
            for key, value in kept.items():
                group[key] = value


def read(model: Any, file: Any, skip_mismatch: bool = False, skipped: Iterable[Any] = ()) -> None:
    """Reads all weights of an HDF5 file into the model: all of them, or none on an error.

    Args:
        model: A built model.
        file: A path or a file object.
        skip_mismatch: Whether weights that do not fit are left as they are, with a warning.
        skipped: Layers whose weights are not looked for.

    Raises:
        FileError: A damaged file, or weights that are not this model's; the message says where.
    """
    failed: list[str] = []
    with _opened(file) as source, AllOrNothing(model) as attempt:
        for path, keeper in places(model, skipped):
            try:
                place = h5.Place(_group(source, path), path or "the top")
                if len(place) or isinstance(keeper, torch.nn.Module):  # an optimizer's state, say, may be missing
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


def _group(source: h5py.File, path: str) -> h5py.Group | None:
    found = h5.checked_group(source, f"{path}/vars" if path else "vars")
    if found is None and "_layer_checkpoint_dependencies" in source:  # files of Keras on TensorFlow 2.13
        found = h5.checked_group(source, f"{path.replace('layers', '_layer_checkpoint_dependencies')}/vars")
    return found


def _opened(file: Any) -> h5py.File:
    with reading(file if isinstance(file, Path) else None, "file of weights"):
        return h5py.File(file, "r")


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

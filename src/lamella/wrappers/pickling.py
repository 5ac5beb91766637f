"""How an estimator that holds a model is pickled: the model as a `.keras` file, the rest as ever."""

from __future__ import annotations

import inspect
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sklearn.base import BaseEstimator
from torch.utils import _pytree as pytree

from lamella.engine.registry import code_allowed, get_registered_name
from lamella.layers import Layer
from lamella.models import Model, load_model
from lamella.utils import custom_object_scope


class EstimatorWithModel(BaseEstimator):
    """An estimator whose attributes may be models: they travel to other processes, and to disk, as `.keras` files.

    Classes and functions of yours that a model is made of are pickled beside it, by reference.
    """

    def __getstate__(self) -> dict[str, Any]:
        state = super().__getstate__()
        return {name: _AsFile(value) if isinstance(value, Model) else value for name, value in state.items()}

    def __setstate__(self, state: dict[str, Any]) -> None:  # `copy.copy` hands over what was never pickled
        super().__setstate__({name: v.model if isinstance(v, _AsFile) else v for name, v in state.items()})


class _AsFile:
    """A model that pickles as the bytes of its file; unpickling gives the model itself."""

    def __init__(self, model: Model) -> None:
        self.model = model

    def __reduce__(self) -> Any:
        return _from_bytes, (_as_bytes(self.model), own_objects(self.model))


def _as_bytes(model: Model) -> bytes:
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The model has no weights yet")  # it gets them when it is fitted
        path = Path(folder) / "model.keras"
        model.save(path)
        return path.read_bytes()


def _from_bytes(data: bytes, objects: dict[str, Any]) -> Model:
    with tempfile.TemporaryDirectory() as folder, known(objects):
        path = Path(folder) / "model.keras"
        path.write_bytes(data)
        return load_model(path, safe_mode=False)  # who unpickles trusts the file already


def own_objects(model: Model) -> dict[str, Any]:
    """The classes and functions in a model, and in how it is compiled, that are not Lamella's, by name."""
    layers = [module for module in model.modules() if isinstance(module, Layer)]
    parts = [part for layer in layers for part in (layer, *pytree.tree_leaves(vars(layer)))]
    found = {}
    for part in parts:
        kind = part if inspect.isfunction(part) else type(part)
        own = inspect.isfunction(part) or hasattr(kind, "get_config")
        if own and kind.__name__ != "<lambda>" and kind.__module__.split(".")[0] not in ("lamella", "torch"):
            found[get_registered_name(kind)] = kind
    return found


@contextmanager
def known(objects: dict[str, Any]) -> Iterator[None]:
    """Within it, configs may name the objects given, and bring functions as code."""
    with custom_object_scope(objects), code_allowed(True):
        yield

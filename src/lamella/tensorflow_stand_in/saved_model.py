"""`tf.saved_model`: Keras models in a folder that Lamella writes and reads, as a `.keras` file."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from lamella.errors import ArgumentError, FileError
from lamella.saving import load_model, save_model
from lamella.tensorflow_stand_in.modules import Module
from lamella.tensorflow_stand_in.tensors import convert_to_tensor
from lamella.training.model import Model
from lamella.utils.record_files import as_path

__all__ = ["contains_saved_model", "load", "save"]

_FILE = "model.keras"


def save(obj: Any, export_dir: Any, signatures: Any = None, options: Any = None) -> None:
    """Writes a Keras model into a folder, as `model.keras`, from which `load` makes it again.

    Args:
        obj: The model.
        export_dir: The folder.
        signatures: TensorFlow's argument: the model itself is what is called.
        options: TensorFlow's argument: it changes nothing here.

    Raises:
        ArgumentError: Something else than a Keras model.
    """
    if not isinstance(obj, Model):
        what = "a tf.Module" if isinstance(obj, Module) else f"a {type(obj).__name__}"
        raise ArgumentError(
            f"tf.saved_model.save: {what} is Python code, which is not written here. Keep its variables with "
            f"tf.train.Checkpoint(model=...).save(path) and restore them into a new object of the class; or make it a "
            f"keras.Model, which is saved whole."
        )
    folder = as_path(export_dir)
    folder.mkdir(parents=True, exist_ok=True)
    save_model(obj, folder / _FILE)


def load(export_dir: Any, tags: Any = None, options: Any = None) -> Any:
    """The model of a folder, which can be called, trained on, or asked by `signatures["serving_default"]`.

    Args:
        export_dir: The folder.
        tags: TensorFlow's argument: it changes nothing here.
        options: TensorFlow's argument: it changes nothing here.

    Raises:
        FileError: The folder holds none, or one in TensorFlow's own format.
    """
    folder = as_path(export_dir)
    if not (folder / _FILE).exists():
        if (folder / "saved_model.pb").exists():
            return load_model(folder)  # which says that it is in TensorFlow's own format, and what to do
        raise FileError(f"{folder} holds no model that tf.saved_model.save wrote here: there is no {_FILE}.")
    model = load_model(folder / _FILE)
    object.__setattr__(model, "signatures", {"serving_default": _served(model)})
    return model


def _served(model: Any) -> Callable[..., dict[str, Any]]:
    """The model by the names of its inputs, which gives a dict of its outputs."""

    def served(*args: Any, **kwargs: Any) -> dict[str, Any]:
        given = [convert_to_tensor(each) for each in (*args, *kwargs.values())]
        found = model(given[0] if len(given) == 1 else dict(zip(kwargs, given, strict=True)) if kwargs else given)
        if isinstance(found, dict):
            return found
        several = found if isinstance(found, (list, tuple)) else [found]
        return {f"output_{i}": each for i, each in enumerate(several)}

    return served


def contains_saved_model(export_dir: Any) -> bool:
    """Whether `load` finds a model in the folder."""
    return (as_path(export_dir) / _FILE).exists()

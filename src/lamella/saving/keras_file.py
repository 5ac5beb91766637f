"""`.keras` files: a zip archive of the config, the weights and what layers keep in files of their own; or a folder.

The form is that of Keras 3, both ways. Loading makes objects of known and registered classes from plain data and runs
no code from the file; whatever is wrong with the file ends in a `FileError`.
"""

from __future__ import annotations

import io
import json
import os
import tempfile
import warnings
import zipfile
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import IO, Any

from lamella.engine.custom_objects import CustomObjectScope
from lamella.engine.keras_version import KERAS_VERSION
from lamella.engine.registry import deserialize, own_assets, serialize
from lamella.errors import ArgumentError, FileError
from lamella.saving import legacy_model, weights_file
from lamella.saving.atomic import folder_written_aside, written_aside
from lamella.saving.container import ASSETS, CONFIG, METADATA, WEIGHTS, Container, Folder, Zip
from lamella.saving.reading import making_layers, reading
from lamella.saving.state import places


def save_model(
    model: Any,
    filepath: str | Path | IO[bytes],
    overwrite: bool = True,
    zipped: bool | None = None,
    save_format: str | None = None,
) -> None:
    """Writes a whole model to a `.keras` file, or to a folder.

    Args:
        model: The model.
        filepath: Where to; it must end in `.keras`, or `.h5` for the older form. A folder has neither ending.
            Or a file that is open for writing bytes, such as an `io.BytesIO`, which gets the `.keras` form.
        overwrite: Whether a file or a folder that exists is replaced.
        zipped: False writes a folder of the files that a `.keras` file packs into one.
        save_format: An argument of older versions of Keras. As in Keras 3 the ending alone counts, and a warning says
            so.

    Raises:
        ArgumentError: Another ending, or the file exists and `overwrite` is False, or a folder that holds other files.

    Example:
        >>> import lamella, os, tempfile
        >>> model = lamella.Sequential([lamella.Input((2,)), lamella.layers.Dense(1)])
        >>> path = os.path.join(tempfile.mkdtemp(), "model.keras")
        >>> lamella.saving.save_model(model, path)
        >>> lamella.saving.load_model(path).count_params()
        3
    """
    if not isinstance(filepath, (str, os.PathLike)):
        _warn_of_no_weights(model)
        _write(model, filepath)
        return
    path = Path(filepath)
    if save_format is not None:
        warnings.warn(f"save_format={save_format!r} is not needed: the ending of {path.name!r} counts.", stacklevel=3)
    _check_ending(path, zipped)
    if path.suffix in (".h5", ".hdf5") and not path.name.endswith(".weights.h5"):
        legacy_model.save(model, path, overwrite)
        return
    _warn_of_no_weights(model)
    if zipped is False:
        with folder_written_aside(path, {CONFIG, METADATA, WEIGHTS, ASSETS}, overwrite) as aside:
            _write_description(model, lambda name, text: (aside / name).write_text(text, encoding="utf-8"))
            weights_file.write(model, aside / WEIGHTS)
            _write_assets(model, aside / ASSETS)
        return
    with written_aside(path, overwrite) as aside:
        _write(model, aside)


def _warn_of_no_weights(model: Any) -> None:
    if not (model.built or model.weights):
        warnings.warn("The model has no weights yet: call it on data before saving to keep them.", stacklevel=4)


def _write(model: Any, file: Path | IO[bytes]) -> None:
    with zipfile.ZipFile(file, "w") as archive:
        _write_description(model, archive.writestr)
        weights = io.BytesIO()
        weights_file.write(model, weights)
        archive.writestr(WEIGHTS, weights.getbuffer())
        with tempfile.TemporaryDirectory() as folder:
            _write_assets(model, Path(folder))
            for file in sorted(Path(folder).rglob("*")):
                if file.is_file():
                    archive.write(file, f"{ASSETS}/{file.relative_to(folder).as_posix()}")


def _check_ending(path: Path, zipped: bool | None) -> None:
    file = path.suffix in (".keras", ".h5", ".hdf5")
    if zipped is False and file:
        raise ArgumentError(f"With zipped=False a model is written to a folder: no file's ending; got {path.name!r}.")
    if zipped is not False and (not file or path.name.endswith(".weights.h5")):
        raise ArgumentError(
            f"A whole model is written to a file that ends in .keras (or .h5), or with zipped=False to a folder; got "
            f"{path.name!r}. Name it {path.name + '.keras'!r}; what needs no Lamella to run is written by "
            f"model.export()."
        )


def load_model(
    filepath: str | Path | IO[bytes],
    custom_objects: Mapping[str, Any] | None = None,
    compile: bool = True,
    safe_mode: bool = True,
) -> Any:
    """The model in a `.keras` file or a folder, written here or by Keras 3.

    Args:
        filepath: The file, or the folder; or a file that is open for reading bytes, in the `.keras` form.
        custom_objects: Classes and functions of yours by the names that the file calls them.
        compile: Whether to compile it as it was compiled.
        safe_mode: Whether functions in the file that are Python code (a `lambda`) are refused.

    Raises:
        FileNotFoundError: There is no such file.
        FileError: A damaged file, or one that is no model.
        UnknownNameError: A class that is neither Lamella's nor registered nor in `custom_objects`.
        UnsafeError: A function that is code, in safe mode.
    """
    if not isinstance(filepath, (str, os.PathLike)):
        with reading(None, "model file"), Zip(filepath) as archive:
            return _model_in(archive, "The file", custom_objects, compile, safe_mode)
    path = Path(filepath)
    if path.suffix in (".h5", ".hdf5") and path.exists():
        return legacy_model.load(path, custom_objects, compile, safe_mode)
    if (path / "saved_model.pb").exists():
        raise FileError(
            f"{path} holds a SavedModel: a graph in TensorFlow's own format, which is not read here. With the "
            f"TensorFlow that wrote it, load it by tf.keras.models.load_model and save it as a .keras or .h5 file."
        )
    if path.is_dir() and not (path / CONFIG).is_file():
        raise FileError(f"The folder {path} holds no model: there is no {CONFIG} in it.")
    if path.is_file() and path.suffix != ".keras" and not zipfile.is_zipfile(path):
        raise FileError(f"{path} is no .keras file. For weights alone, build the model and use load_weights().")
    with reading(path, "model file"), _opened(path) as container:
        return _model_in(container, path, custom_objects, compile, safe_mode)


def read_weights(model: Any, path: Path, skip_mismatch: bool = False) -> None:
    """Reads the weights of a `.keras` file into a built model; all of them, or none on an error."""
    with reading(path, "model file"), _opened(path) as container:
        weights_file.read(model, container.weights()[0], skip_mismatch)


def _opened(path: Path) -> Container:
    return Folder(path) if path.is_dir() else Zip(path)


def _model_in(
    container: Container, path: Path | str, custom_objects: Mapping[str, Any] | None, compiled: bool, safe: bool
) -> Any:
    config = json.loads(container.member(CONFIG))
    if not isinstance(config, dict) or "class_name" not in config:
        raise FileError(f"{path} describes no model.")
    if not compiled:
        config.pop("compile_config", None)
    weights, size = container.weights()
    later = {key: config.pop(key, None) for key in ("build_config", "compile_config")}
    with making_layers(size, safe), CustomObjectScope(custom_objects):  # also for the losses and metrics of compile
        model = deserialize(config, custom_objects)
        if not hasattr(model, "load_own_variables"):
            raise FileError(f"{path} describes a {type(model).__name__}, no model.")
        if not model.built:  # vocabularies say how large layers are
            _read_assets(model, container)
        for key, value in later.items():
            if value and hasattr(model, key.replace("config", "from_config")):
                getattr(model, key.replace("config", "from_config"))(value)
    weights_file.read(model, weights)
    _read_assets(model, container)
    return model


def _write_description(model: Any, write: Any) -> None:
    metadata = {"keras_version": KERAS_VERSION, "date_saved": f"{datetime.now():%Y-%m-%d@%H:%M:%S}"}
    write(METADATA, json.dumps(metadata))
    write(CONFIG, json.dumps(serialize(model)))


def _write_assets(model: Any, folder: Path) -> None:
    """What layers keep in files of their own, such as vocabularies."""
    for place, keeper in places(model):
        if hasattr(keeper, "save_assets"):
            own = folder / place
            own.mkdir(parents=True, exist_ok=True)
            keeper.save_assets(str(own))


def _read_assets(model: Any, container: Container) -> None:
    with container.assets() as root, own_assets():
        if root is None:
            return
        for place, keeper in places(model):
            if hasattr(keeper, "load_assets") and (root / place).is_dir():
                keeper.load_assets(str(root / place))

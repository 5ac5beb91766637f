"""`.keras` files: a zip archive of the config, the weights and what layers keep in files of their own.

The form is that of Keras 3, both ways. Loading makes objects of known and registered classes from plain data and runs
no code from the file; whatever is wrong with the file ends in a `FileError`.
"""

from __future__ import annotations

import io
import json
import tempfile
import warnings
import zipfile
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from lamella.engine.registry import deserialize, serialize
from lamella.errors import ArgumentError, FileError
from lamella.saving import legacy_model, weights_file
from lamella.saving.atomic import written_aside
from lamella.saving.reading import LARGE, making_layers, reading
from lamella.saving.state import places

_CONFIG, _METADATA, _WEIGHTS = "config.json", "metadata.json", "model.weights.h5"
_MOST_EXPANSION = 100


def save_model(model: Any, filepath: str | Path, overwrite: bool = True, save_format: str | None = None) -> None:
    """Writes a whole model to a `.keras` file.

    Args:
        model: The model.
        filepath: Where to; it must end in `.keras`, or `.h5` for the older form.
        overwrite: Whether a file that exists is replaced.
        save_format: An argument of older versions of Keras. As in Keras 3 the ending alone counts, and a warning says
            so.

    Raises:
        ArgumentError: Another ending, or the file exists and `overwrite` is False.

    Example:
        >>> import lamella, os, tempfile
        >>> model = lamella.Sequential([lamella.Input((2,)), lamella.layers.Dense(1)])
        >>> path = os.path.join(tempfile.mkdtemp(), "model.keras")
        >>> lamella.saving.save_model(model, path)
        >>> lamella.saving.load_model(path).count_params()
        3
    """
    path = Path(filepath)
    if save_format is not None:
        warnings.warn(f"save_format={save_format!r} is not needed: the ending of {path.name!r} counts.", stacklevel=3)
    if path.suffix in (".h5", ".hdf5") and not path.name.endswith(".weights.h5"):
        legacy_model.save(model, path, overwrite)
        return
    if path.suffix != ".keras":
        raise ArgumentError(
            f"A whole model is written to a file that ends in .keras (or .h5); got {path.name!r}. Name it "
            f"{path.name + '.keras'!r}; what needs no Lamella to run is written by model.export()."
        )
    if not model.built:
        warnings.warn("The model has no weights yet: call it on data before saving to keep them.", stacklevel=3)
    with written_aside(path, overwrite) as aside, zipfile.ZipFile(aside, "w") as archive:
        metadata = {"keras_version": legacy_model.KERAS_VERSION, "date_saved": f"{datetime.now():%Y-%m-%d@%H:%M:%S}"}
        archive.writestr(_METADATA, json.dumps(metadata))
        archive.writestr(_CONFIG, json.dumps(serialize(model)))
        weights = io.BytesIO()
        weights_file.write(model, weights)
        archive.writestr(_WEIGHTS, weights.getbuffer())
        _write_assets(model, archive)


def load_model(
    filepath: str | Path,
    custom_objects: Mapping[str, Any] | None = None,
    compile: bool = True,
    safe_mode: bool = True,
) -> Any:
    """The model in a `.keras` file, written here or by Keras 3.

    Args:
        filepath: The file.
        custom_objects: Classes and functions of yours by the names that the file calls them.
        compile: Whether to compile it as it was compiled.
        safe_mode: Whether functions in the file that are Python code (a `lambda`) are refused.

    Raises:
        FileNotFoundError: There is no such file.
        FileError: A damaged file, or one that is no model.
        UnknownNameError: A class that is neither Lamella's nor registered nor in `custom_objects`.
        UnsafeError: A function that is code, in safe mode.
    """
    path = Path(filepath)
    if path.suffix in (".h5", ".hdf5") and path.exists():
        return legacy_model.load(path, custom_objects, compile, safe_mode)
    if path.is_dir() or (path.exists() and path.suffix != ".keras" and not zipfile.is_zipfile(path)):
        if (path / "saved_model.pb").exists():
            raise FileError(
                f"{path} holds a SavedModel: a graph in TensorFlow's own format, which is not read here. With the "
                f"TensorFlow that wrote it, load it by tf.keras.models.load_model and save it as a .keras or .h5 file."
            )
        raise FileError(f"{path} is no .keras file. For weights alone, build the model and use load_weights().")
    with reading(path, "model file"), zipfile.ZipFile(path) as archive:
        return _model_in(archive, path, custom_objects, compile, safe_mode)


def read_weights(model: Any, path: Path, skip_mismatch: bool = False) -> None:
    """Reads the weights of a `.keras` file into a built model; all of them, or none on an error."""
    with reading(path, "model file"), zipfile.ZipFile(path) as archive:
        weights_file.read(model, io.BytesIO(_member(archive, _WEIGHTS)), skip_mismatch)


def _model_in(
    archive: zipfile.ZipFile, path: Path, custom_objects: Mapping[str, Any] | None, compiled: bool, safe: bool
) -> Any:
    config = json.loads(_member(archive, _CONFIG))
    if not isinstance(config, dict) or "class_name" not in config:
        raise FileError(f"{path} describes no model.")
    if not compiled:
        config.pop("compile_config", None)
    weights = _member(archive, _WEIGHTS)
    later = {key: config.pop(key, None) for key in ("build_config", "compile_config")}
    with making_layers(len(weights), safe):
        model = deserialize(config, custom_objects)
        if not hasattr(model, "load_own_variables"):
            raise FileError(f"{path} describes a {type(model).__name__}, no model.")
        if not model.built:  # vocabularies say how large layers are
            _read_assets(model, archive)
        for key, value in later.items():
            if value and hasattr(model, key.replace("config", "from_config")):
                getattr(model, key.replace("config", "from_config"))(value)
    weights_file.read(model, io.BytesIO(weights))
    _read_assets(model, archive)
    return model


def _member(archive: zipfile.ZipFile, name: str) -> bytes:
    """One file of the archive, unless it unpacks to far more than it is."""
    try:
        info = archive.getinfo(name)
    except KeyError:
        raise FileError(f"The file has no {name}: it is damaged, or no model file.") from None
    if info.file_size > LARGE and info.file_size > _MOST_EXPANSION * info.compress_size:
        raise FileError(f"{name} would unpack to {info.file_size:,} bytes from {info.compress_size:,}: refused.")
    return archive.read(name)


def _write_assets(model: Any, archive: zipfile.ZipFile) -> None:
    """What layers keep in files of their own, such as vocabularies."""
    with tempfile.TemporaryDirectory() as folder:
        for place, keeper in places(model):
            if hasattr(keeper, "save_assets"):
                own = Path(folder) / place
                own.mkdir(parents=True, exist_ok=True)
                keeper.save_assets(str(own))
        for file in sorted(Path(folder).rglob("*")):
            if file.is_file():
                archive.write(file, f"assets/{file.relative_to(folder).as_posix()}")


def _read_assets(model: Any, archive: zipfile.ZipFile) -> None:
    names = [name for name in archive.namelist() if name.startswith("assets/") and not name.endswith("/")]
    if not names:
        return
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder).resolve()
        for name in names:
            target = (root / name.removeprefix("assets/")).resolve()
            if not target.is_relative_to(root):
                raise FileError(f"The file would write to {name!r}, outside its own folder: refused.")
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(_member(archive, name))
        for place, keeper in places(model):
            if hasattr(keeper, "load_assets") and (root / place).is_dir():
                keeper.load_assets(str(root / place))

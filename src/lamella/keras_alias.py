"""`import keras` and `import tensorflow.keras`, answered by Lamella.

`install()` puts a finder before Python's own: `keras.layers` is then `lamella.layers`, the same module object,
whether or not the real Keras is installed. `tensorflow` becomes a small stand-in: `tf.keras` and the few
functions that Keras scripts use around it.
"""

from __future__ import annotations

import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import re
import sys
import types
from collections.abc import Sequence
from typing import Any

from lamella import keras_src
from lamella.engine import tensor_habits
from lamella.engine.keras_version import KERAS_VERSION
from lamella.errors import nearest


def install() -> None:
    """Answers `import keras` and `import tensorflow` with Lamella from now on.

    `keras.__version__` then begins with the version of Keras that Lamella is like: packages look whether it is new
    enough for them.

    Modules of the real ones that were imported before are dropped from `sys.modules`.

    Example:
        >>> import subprocess, sys
        >>> code = "import lamella, lamella.keras_alias as a; a.install(); import keras; print(keras is lamella)"
        >>> subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip()
        'True'
    """
    if any(isinstance(finder, _Finder) for finder in sys.meta_path):
        return
    for name in list(sys.modules):
        if name.split(".")[0] in ("keras", "tensorflow", "tf_keras"):
            del sys.modules[name]
    sys.meta_path.insert(0, _Finder())
    _wear_name_and_version()
    # TensorBoard writes its files through TensorFlow where it finds one; this module is its own way to be told of none.
    sys.modules.setdefault("tensorboard.compat.notf", types.ModuleType("tensorboard.compat.notf"))
    tensor_habits.take_on()


def _wear_name_and_version() -> None:
    """`keras.__name__` and `keras.__version__` are as Keras's own: packages choose their ways by them."""
    lamella = importlib.import_module("lamella")
    lamella.__name__ = "keras"
    lamella.__version__ = f"{KERAS_VERSION}+lamella.{lamella.__version__}"  # type: ignore[attr-defined]


class _Finder(importlib.abc.MetaPathFinder):
    """Finds `keras...` in `lamella...`, and `tensorflow` in the stand-in."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: types.ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname in _BETTER_WITHOUT_TENSORFLOW:
            return _without_tensorflow(fullname, path)
        if fullname == "tensorflow":
            return importlib.machinery.ModuleSpec(fullname, _Loader("lamella.tensorflow_stand_in"), is_package=True)
        inside = keras_src.room_of(fullname)
        if inside is not None:
            return importlib.machinery.ModuleSpec(fullname, _ViewLoader(inside), is_package=True)
        for prefix in keras_src.ROOTS:
            if fullname == prefix or fullname.startswith(prefix + "."):
                ours = "lamella" + fullname[len(prefix) :]
                if _exists(ours):
                    return importlib.machinery.ModuleSpec(fullname, _Loader(ours), is_package=True)
                raise ModuleNotFoundError(_missing(fullname, ours), name=fullname)
        if fullname.startswith("tensorflow."):
            ours = "lamella.tensorflow_stand_in" + fullname.removeprefix("tensorflow")
            if _exists(ours):
                return importlib.machinery.ModuleSpec(fullname, _Loader(ours), is_package=True)
            raise ModuleNotFoundError(
                f"No module {fullname!r}: Lamella answers for tensorflow.keras and a part of TensorFlow around it.",
                name=fullname,
            )
        return None


class _Loader(importlib.abc.Loader):
    """Gives the module of ours under the other name."""

    def __init__(self, ours: str) -> None:
        self.ours = ours

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> types.ModuleType:
        module = importlib.import_module(self.ours)
        self._own_spec = module.__spec__, module.__name__, module.__package__, module.__loader__
        return module

    def exec_module(self, module: types.ModuleType) -> None:
        # The import system wrote the other name into the module: put its own back. `tensorflow` keeps it.
        asked = module.__spec__.name if module.__spec__ else ""
        module.__spec__, module.__name__, module.__package__, module.__loader__ = self._own_spec  # type: ignore[assignment]
        if asked == "tensorflow":
            module.__name__ = asked


class _ViewLoader(importlib.abc.Loader):
    """Gives a view of a room of ours, for a module of the inside of Keras."""

    def __init__(self, room: str) -> None:
        self.room = room

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> types.ModuleType:
        return keras_src.View(spec.name, self.room)

    def exec_module(self, module: types.ModuleType) -> None:
        """There is nothing to run."""


_BETTER_WITHOUT_TENSORFLOW = frozenset({"keras_hub"})
"""Packages that have a whole way of their own where TensorFlow is missing, and want all of it where there is one."""


def _without_tensorflow(name: str, path: Sequence[str] | None) -> importlib.machinery.ModuleSpec | None:
    """The spec of a package of `_BETTER_WITHOUT_TENSORFLOW`, during whose import there is no `tensorflow`."""
    spec = importlib.machinery.PathFinder.find_spec(name, path)
    if spec is not None and spec.loader is not None:
        execute = spec.loader.exec_module

        def exec_module(module: types.ModuleType) -> None:
            hidden: dict[str, types.ModuleType] = {
                each: sys.modules[each] for each in ("tensorflow", "tensorflow_text") if each in sys.modules
            }
            absent: Any = None  # Python's sign for a module that is not there
            for name in ("tensorflow", "tensorflow_text"):
                sys.modules[name] = absent
            try:
                execute(module)
            finally:
                del sys.modules["tensorflow"], sys.modules["tensorflow_text"]
                sys.modules.update(hidden)

        spec.loader.exec_module = exec_module  # type: ignore[method-assign]
    return spec


def _exists(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except ModuleNotFoundError:
        return False


def _missing(asked: str, ours: str) -> str:
    parent, _, name = ours.rpartition(".")
    close = _nearest_in(importlib.import_module(parent), name) if _exists(parent) else ""
    return f"Lamella has no {asked!r}.{close}"


def hint(error: ImportError | AttributeError) -> str | None:
    """What to say of a name that a module of Lamella lacks; None for any other error.

    Example:
        >>> import lamella
        >>> try:
        ...     lamella.layers.Densee
        ... except AttributeError as error:
        ...     print(hint(error).split(",")[0])
        Lamella has no keras.layers.Densee. Nearest: Dense
    """
    if isinstance(error, AttributeError):
        module, name = error.obj, error.name
    else:
        found = re.match(r"cannot import name '(\w+)'", error.msg or "")
        module, name = sys.modules.get(error.name or ""), found and found.group(1)
    if not isinstance(module, types.ModuleType) or not name:
        return None
    own_name = module.__spec__.name if module.__spec__ else ""
    if own_name.split(".")[0] != "lamella":
        return None
    if own_name.startswith("lamella.tensorflow_stand_in"):
        room = own_name.removeprefix("lamella.tensorflow_stand_in")
        return str(refuse_unknown("tensorflow" + room, name, module.__all__))
    return f"Lamella has no keras{own_name.removeprefix('lamella')}.{name}.{_nearest_in(module, name)}"


def _nearest_in(module: types.ModuleType, name: str) -> str:
    known = getattr(module, "__all__", None) or [each for each in vars(module) if not each.startswith("_")]
    close = nearest(name, known)
    return f" Nearest: {', '.join(close)}." if close else ""


def refuse_unknown(module_name: str, name: str, known: Any) -> AttributeError:
    """The error for an attribute that a stand-in does not have."""
    root, close = module_name.split(".")[0], nearest(name, known)
    return AttributeError(
        f"Lamella answers for {root}.keras and a part of {root} around it: {module_name} has no {name!r} here."
        + (f" Nearest: {', '.join(close)}." if close else "")
    )

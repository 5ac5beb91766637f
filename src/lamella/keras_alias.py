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

from lamella import keras_source
from lamella.engine import tensor_habits
from lamella.engine.keras_version import KERAS_VERSION
from lamella.errors import ShapeError, nearest

_KERAS = ("keras", "tensorflow.keras", "tensorflow.python.keras", "tf_keras")


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
    # TensorBoard writes its files through TensorFlow where it finds one; this module is its own way to be told of none.
    sys.modules.setdefault("tensorboard.compat.notf", types.ModuleType("tensorboard.compat.notf"))
    ours = sys.modules["lamella"]
    ours.__version__ = f"{KERAS_VERSION}+lamella.{ours.__version__}"  # type: ignore[attr-defined]
    _let_results_be_read()
    tensor_habits.take_on()


def _let_results_be_read() -> None:
    """Results and NumPy's arrays together, as TensorFlow has them and torch has not, or not where gradients flow.

    `model(x).numpy()` and `np.array(model(x))` give arrays, NumPy's functions of tensors too, and an operator between a
    tensor and an array gives a tensor, through which gradients flow.
    """
    import numpy as np
    import torch
    from torch.utils import _pytree as pytree

    plain = torch.Tensor.numpy
    operators: dict[Any, Any] = {
        np.add: torch.add,
        np.subtract: torch.sub,
        np.multiply: torch.mul,
        np.divide: torch.true_divide,
        np.floor_divide: torch.floor_divide,
        np.remainder: torch.remainder,
        np.power: torch.pow,
        np.matmul: torch.matmul,
        np.less: torch.lt,
        np.less_equal: torch.le,
        np.greater: torch.gt,
        np.greater_equal: torch.ge,
        np.equal: torch.eq,
        np.not_equal: torch.ne,
    }

    def numpy(self: torch.Tensor, *, force: bool = False) -> np.ndarray:
        return plain(self, force=True).copy()

    def array(self: torch.Tensor, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        values = plain(self, force=True)
        if dtype is not None and values.dtype != dtype:
            return values.astype(dtype)
        return values.copy() if copy else values

    def as_arrays(structure: Any) -> Any:
        return pytree.tree_map_only(torch.Tensor, array, structure)

    def array_function(self: torch.Tensor, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
        return function(*as_arrays(args), **as_arrays(kwargs))

    def array_ufunc(self: torch.Tensor, ufunc: Any, method: str, *inputs: Any, **kwargs: Any) -> Any:
        if method != "__call__" or ufunc not in operators or kwargs:
            return getattr(ufunc, method)(*as_arrays(inputs), **as_arrays(kwargs))
        return operators[ufunc](*(beside(self, each) for each in inputs))

    def beside(tensor: torch.Tensor, other: Any) -> torch.Tensor:
        """The operand as a tensor: where both are of floating-point types, in that of the tensor, as in TensorFlow."""
        if isinstance(other, torch.Tensor):
            return other
        found = torch.as_tensor(other, device=tensor.device)
        return found.to(tensor.dtype) if tensor.is_floating_point() and not found.is_complex() else found

    def set_shape(self: torch.Tensor, shape: Any) -> None:
        """Where TensorFlow does not know the shape in a `map`, it is told; here it is known, and only compared."""
        wanted = tuple(shape)
        if len(wanted) != self.ndim or any(
            n is not None and n != own for n, own in zip(wanted, self.shape, strict=True)
        ):
            raise ShapeError(f"set_shape: the tensor has shape {tuple(self.shape)}, which does not fit {wanted}.")

    as_float = torch.Tensor.__float__
    torch.Tensor.__float__ = lambda self: as_float(self.detach())  # type: ignore[method-assign]
    torch.Tensor.set_shape = set_shape  # type: ignore[attr-defined]
    torch.Tensor.numpy = numpy  # type: ignore[method-assign, assignment]
    torch.Tensor.__array__ = array  # type: ignore[method-assign, assignment]
    torch.Tensor.__array_function__ = array_function  # type: ignore[attr-defined]
    torch.Tensor.__array_ufunc__ = array_ufunc  # type: ignore[attr-defined]


class _Finder(importlib.abc.MetaPathFinder):
    """Finds `keras...` in `lamella...`, and `tensorflow` in the stand-in."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: types.ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname in _BETTER_WITHOUT_TENSORFLOW:
            return _without_tensorflow(fullname, path)
        if fullname == "tensorflow":
            return importlib.machinery.ModuleSpec(fullname, _Loader("lamella.tensorflow_stand_in"), is_package=True)
        source = re.fullmatch(r"keras\.src(?:\.(.*))?", fullname)
        if source and keras_source.exists(source.group(1) or ""):
            return importlib.machinery.ModuleSpec(fullname, _SourceLoader(source.group(1) or ""), is_package=True)
        for prefix in _KERAS:
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
        # The import system wrote the other name into the module: put its own back.
        module.__spec__, module.__name__, module.__package__, module.__loader__ = self._own_spec  # type: ignore[assignment]


class _SourceLoader(importlib.abc.Loader):
    """Gives a module of `keras.src`."""

    def __init__(self, path: str) -> None:
        self.path = path

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> types.ModuleType:
        return keras_source.SourceModule(self.path)

    def exec_module(self, module: types.ModuleType) -> None:
        """All is there."""


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
    if not isinstance(module, types.ModuleType) or not name or module.__name__.split(".")[0] != "lamella":
        return None
    if module.__name__.startswith("lamella.tensorflow_stand_in"):
        room = module.__name__.removeprefix("lamella.tensorflow_stand_in")
        return str(refuse_unknown("tensorflow" + room, name, module.__all__))
    return f"Lamella has no keras{module.__name__.removeprefix('lamella')}.{name}.{_nearest_in(module, name)}"


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

"""Names to objects and back: `get('adam')`, `serialize(layer)`, `deserialize(config)`.

The serialized form is Keras 3's (`{"module", "class_name", "config", "registered_name"}`), so that a
config written by one can be read by the other.
"""

from __future__ import annotations

import copy
import importlib
import inspect
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from typing import Any, TypeVar

from torch import nn

from lamella.engine import code, config_values, shared_objects, torch_modules
from lamella.errors import ArgumentError, ConfigError, UnknownClassError, UnsafeError, unknown_name

T = TypeVar("T")


def snake_case(name: str) -> str:
    """`MeanSquaredError` -> `mean_squared_error`, by Keras's rule for default names.

    Example:
        >>> snake_case("Conv2D"), snake_case("MaxPooling2D"), snake_case("AUC")
        ('conv2d', 'max_pooling2d', 'auc')
    """
    name = re.sub(r"\W+", "", name)
    name = re.sub("(.)([A-Z][a-z]+)", r"\1_\2", name)
    return re.sub("([a-z])([A-Z])", r"\1_\2", name).lower()


class Registry:
    """The built-in objects of one kind (layers, losses, ...) by every name that they answer to.

    Args:
        kind: What one object is called in an error message, such as `"loss"`.
        module: Keras's module name for the kind, written into configs, such as `"keras.losses"`.
    """

    def __init__(self, kind: str, module: str) -> None:
        self.kind = kind
        self.module = module
        self._objects: dict[str, Any] = {}
        _REGISTRIES[module] = self

    def register(self, *aliases: str, written_as: tuple[str, str] | None = None) -> Callable[[T], T]:
        """Decorator: makes a class or function known under its own name and `aliases`.

        A class is also known under its snake_case name, unless a function already has that name.

        Args:
            *aliases: Further names.
            written_as: The module and name that configs get, where they are not the registry's and its own.
        """

        def add(obj: T) -> T:
            name = obj.__name__  # type: ignore[attr-defined]
            self._objects[name] = obj
            for alias in aliases:
                self._objects[alias] = obj
            if inspect.isclass(obj):
                self._objects.setdefault(snake_case(name), obj)
            _BUILT_IN[obj] = written_as or (self.module, name)
            return obj

        return add

    def __iter__(self) -> Iterator[str]:
        return iter(self._objects)

    def __getitem__(self, name: str) -> Any:
        try:
            return self._objects[name]
        except KeyError:
            raise unknown_name(self.kind, name, self._objects) from None

    def __contains__(self, name: str) -> bool:
        return name in self._objects

    def get(self, identifier: Any, custom_objects: Mapping[str, Any] | None = None) -> Any:
        """The object that `identifier` stands for.

        Args:
            identifier: `None` (returned as is), a name, a config dict, a class (instantiated), or an
                object or function (returned as is).
            custom_objects: Further names to look up first.

        Raises:
            UnknownNameError: A string that names nothing; the message lists the nearest names.
            ArgumentError: Something that is none of the above.
        """
        if identifier is None:
            return None
        if isinstance(identifier, dict):
            return deserialize(identifier, custom_objects, registry=self)
        if isinstance(identifier, str):
            found = _custom(identifier, custom_objects)
            identifier = self[identifier] if found is None else found
        if inspect.isclass(identifier):
            return identifier()
        if callable(identifier) or hasattr(identifier, "get_config"):
            return identifier
        raise ArgumentError(
            f"Cannot make a {self.kind} of {identifier!r} ({type(identifier).__name__}): give a name, "
            f"a config dict, a class, an object or a function."
        )


_TORCH_MODULE = "__torch_module__"
_AS_IN_TORCH = frozenset("relu relu6 elu selu celu gelu silu mish softplus softsign sigmoid tanh".split())
"""Functions of torch that are Keras's of the same names: configs have the names alone, which Keras can read."""

_REGISTRIES: dict[str, Registry] = {}
_BUILT_IN: dict[Any, tuple[str, str]] = {}
_CUSTOM: dict[str, Any] = {}
_CUSTOM_NAMES: dict[Any, str] = {}
_given: ContextVar[Mapping[str, Any] | None] = ContextVar("custom objects of the config being read", default=None)


def register_keras_serializable(package: str = "Custom", name: str | None = None) -> Callable[[T], T]:
    """Decorator: lets a class or function of yours be written to and read from a config.

    Args:
        package: The namespace of the registered name `package>name`.
        name: The name; the object's own by default.

    Raises:
        ArgumentError: A class without `get_config`.

    Example:
        >>> @register_keras_serializable(package="docs")
        ... def double(x):
        ...     return 2 * x
        >>> get_registered_name(double)
        'docs>double'
    """

    def add(obj: T) -> T:
        registered = f"{package}>{name or obj.__name__}"  # type: ignore[attr-defined]
        if inspect.isclass(obj) and not hasattr(obj, "get_config"):
            raise ArgumentError(f"Cannot register class {obj.__name__}: it has no get_config() method.")
        _CUSTOM[registered] = obj
        _CUSTOM_NAMES[obj] = registered
        return obj

    return add


def get_registered_name(obj: Any) -> str:
    """The name that `obj` was registered under, or its own name."""
    return _CUSTOM_NAMES.get(obj, obj.__name__)


def get_registered_object(
    name: str, custom_objects: Mapping[str, Any] | None = None, module_objects: Mapping[str, Any] | None = None
) -> Any:
    """The object registered under `name`, or in one of the two mappings; or None."""
    found = _custom(name, custom_objects)
    return found if found is not None or not module_objects else module_objects.get(name)


def get_custom_objects() -> dict[str, Any]:
    """The live table of registered names; what you put into it can be named in configs."""
    return _CUSTOM


def _custom(name: str, custom_objects: Mapping[str, Any] | None) -> Any:
    for known in (custom_objects, _given.get()):
        if known and name in known:
            return known[name]
    if name in _CUSTOM:
        return _CUSTOM[name]
    return _CUSTOM.get(f"Custom>{name}")


def class_of(obj: Any) -> type:
    """The class of an object; of a module whose class FSDP replaced, the one that it was made from."""
    cls = type(obj)
    return cls.__bases__[1] if cls.__module__.startswith("torch.distributed.fsdp") else cls


def serialize(obj: Any) -> Any:
    """`obj` as plain Python data (Keras 3's form): what `json.dump` can write.

    Objects with `get_config` become `{"module", "class_name", "config", "registered_name"}`, built-in
    functions their names, containers are walked.

    Raises:
        ArgumentError: An object that has no `get_config` and is no plain data.
    """
    if obj is None or isinstance(obj, (str, bool, int, float)):
        return obj
    if isinstance(obj, tuple):
        return tuple(serialize(item) for item in obj)
    if isinstance(obj, list):
        return [serialize(item) for item in obj]
    if isinstance(obj, dict):
        return {key: serialize(value) for key, value in obj.items()}
    alive = _alive.get()
    if alive is not None and inspect.isfunction(obj) and obj not in _BUILT_IN:
        return _kept_alive(obj, alive)
    if inspect.isfunction(obj) and obj.__name__ == "<lambda>":
        return {"class_name": "__lambda__", "config": {"value": code.dump(obj)}}
    if inspect.isfunction(obj) or inspect.isbuiltin(obj):
        return _serialize_function(obj)
    value = config_values.to_config(obj)
    if value is not None:
        return value
    if hasattr(obj, "get_config") and not inspect.isclass(obj):
        cls = class_of(obj)
        module, name = _BUILT_IN.get(cls, (cls.__module__, cls.__name__))
        config = {
            "module": module,
            "class_name": name,
            "config": _plain_config(obj.get_config()),
            "registered_name": None if cls in _BUILT_IN else get_registered_name(cls),
        }
        for extra in ("build_config", "compile_config"):
            found = getattr(obj, f"get_{extra}", lambda: None)()
            if found is not None:
                config[extra] = serialize(found)
        return _numbered(obj, config)
    if isinstance(obj, nn.Module) and (parts := torch_modules.parts_of(obj)) is not None:
        return _numbered(obj, {"class_name": _TORCH_MODULE, "config": serialize(parts)})
    if alive is not None and isinstance(obj, nn.Module):
        return _kept_alive(copy.deepcopy(obj), alive)
    raise ArgumentError(
        f"Cannot write {obj!r} ({type(obj).__name__}) to a config: it has no get_config() method. "
        f"Add one, and register the class with register_keras_serializable()."
    )


def _kept_alive(obj: Any, alive: list[Any]) -> dict[str, Any]:
    alive.append(obj)
    return {"class_name": "__lambda__", "config": {"alive": len(alive) - 1}}


def _numbered(obj: Any, config: dict[str, Any]) -> dict[str, Any]:
    number = shared_objects.number_of(obj)
    return config if number is None else {**config, shared_objects.ID: number}


def _plain_config(value: Any) -> Any:
    """A config in which objects that a user's `get_config` left as they are have become configs themselves."""
    if isinstance(value, dict):
        return {key: _plain_config(each) for key, each in value.items()}
    if type(value) in (list, tuple):
        return type(value)(map(_plain_config, value))
    return serialize(value) if hasattr(value, "get_config") and not inspect.isclass(value) else value


def _serialize_function(function: Any) -> Any:
    if function in _BUILT_IN:
        return _BUILT_IN[function][1]
    if function.__name__ not in _AS_IN_TORCH and (of_torch := config_values.to_config(function)) is not None:
        return of_torch
    return {
        "module": "builtins",
        "class_name": "function",
        "config": get_registered_name(function),
        "registered_name": "function",
    }


def deserialize(config: Any, custom_objects: Mapping[str, Any] | None = None, registry: Registry | None = None) -> Any:
    """The object that a config made by `serialize` (here or in Keras 3) describes. Runs no code from it.

    Args:
        config: What `serialize` returned, or JSON of it.
        custom_objects: Further classes and functions by name.
        registry: Where a config that names no module is looked up.

    Raises:
        UnknownNameError: A class that is neither built in nor registered.
        ConfigError: A class whose config is no dict, or a function without a name.
    """
    if isinstance(config, list):
        return [deserialize(item, custom_objects, registry) for item in config]
    if not isinstance(config, dict):
        return config
    name = config.get("class_name")
    if name is None:
        return {key: deserialize(value, custom_objects, registry) for key, value in config.items()}
    inner = config.get("config", {})
    if config_values.is_value(config):
        return config_values.from_config(config)
    if name == "__lambda__":
        return _unsafe_function(inner)
    known = shared_objects.known(config)
    if known is not None:
        return known
    if name == _TORCH_MODULE:
        module = torch_modules.made_of(deserialize(inner, custom_objects))
        shared_objects.remember(config, module)
        return module
    if name == "function":
        return _function(inner, config, custom_objects, registry)
    obj = _find(name, config, custom_objects, registry)
    if inner is None or not inspect.isclass(obj):
        return obj
    if not isinstance(inner, dict):
        raise ConfigError(f"The config of a {name!r} holds its arguments by their names; found {inner!r}.")
    made = _made(obj, inner, custom_objects)
    shared_objects.remember(config, made)
    if config.get("build_config") and hasattr(made, "build_from_config"):
        made.build_from_config(config["build_config"])
    if config.get("compile_config") and hasattr(made, "compile_from_config"):
        made.compile_from_config(config["compile_config"])
    return made


def _function(name: Any, config: dict[str, Any], custom: Mapping[str, Any] | None, registry: Registry | None) -> Any:
    """The function of a name: registered, built in, or registered in any package (Keras 3.6 left out in which)."""
    if not isinstance(name, str):
        raise ConfigError(f"The config of a function is its name; found {name!r}.")
    found = _custom(name, custom)
    if found is not None:
        return found
    for other in _REGISTRIES.values():
        if name in other and other.module != "keras.ops" and not inspect.isclass(other[name]):
            return other[name]
    return custom_function(name) or _find(name, {**config, "registered_name": name}, custom, registry)


def custom_function(name: str) -> Any:
    """What is registered, or known for now, under a name; under any package's, if nothing built in has it; or None."""
    found = _custom(name, None)
    if found is not None or any(name in built_in for built_in in _REGISTRIES.values()):
        return found
    return next((obj for key, obj in _CUSTOM.items() if key.endswith(f">{name}")), None)


@contextmanager
def known_too(custom_objects: Mapping[str, Any] | None) -> Iterator[None]:
    """Within it configs may name these objects, wherever they are read."""
    token = _given.set({**(_given.get() or {}), **(custom_objects or {})})
    try:
        yield
    finally:
        _given.reset(token)


def _made(cls: Any, config: Any, custom_objects: Mapping[str, Any] | None) -> Any:
    """The object; what its class reads from configs for itself knows the custom objects, too."""
    if not custom_objects:
        return _from_config(cls, config, None)
    with known_too(custom_objects):
        return _from_config(cls, config, custom_objects)


def _from_config(cls: Any, config: Any, custom_objects: Mapping[str, Any] | None) -> Any:
    if not hasattr(cls, "from_config"):
        return cls(**config)
    if custom_objects and "custom_objects" in inspect.signature(cls.from_config).parameters:
        return cls.from_config(config, custom_objects=custom_objects)
    return cls.from_config(config)


_safe: ContextVar[bool] = ContextVar("safe_mode", default=True)
_untrusted: ContextVar[bool] = ContextVar("untrusted", default=False)


@contextmanager
def code_allowed(allowed: bool) -> Iterator[None]:
    """Whether, within it, functions that a config brings as code are made rather than refused."""
    token = _safe.set(not allowed and _safe.get())
    untrusted = _untrusted.set(not allowed)
    try:
        yield
    finally:
        _safe.reset(token)
        _untrusted.reset(untrusted)


@contextmanager
def own_assets() -> Iterator[None]:
    """Within it layers read the files that came with them, at paths that we chose and no config named."""
    token = _untrusted.set(False)
    try:
        yield
    finally:
        _untrusted.reset(token)


def in_safe_mode() -> bool:
    """Whether a file or config is being read now that is not to be trusted."""
    return _untrusted.get()


def enable_unsafe_deserialization() -> None:
    """Lets configs bring Python code from now on. Only for files that you trust as you trust a program."""
    _safe.set(False)


_alive: ContextVar[list[Any] | None] = ContextVar("alive", default=None)


@contextmanager
def functions_as_they_are() -> Iterator[None]:
    """Within it configs hold functions of users themselves, and copies of modules of torch that tell no arguments: for
    copies within a program, which no file brings."""
    token = _alive.set([])
    try:
        yield
    finally:
        _alive.reset(token)


def copies_within_a_program() -> bool:
    """Whether it is in `functions_as_they_are`."""
    return _alive.get() is not None


def _unsafe_function(config: Any) -> Any:
    alive = _alive.get()
    if alive is not None and "alive" in config:
        return alive[config["alive"]]
    if _safe.get():
        raise UnsafeError(
            "The file brings a function as Python code (a `lambda`), which could do anything on this machine. If you "
            "trust where it comes from, pass safe_mode=False. Better: a named function, registered with "
            "@lamella.saving.register_keras_serializable()."
        )
    return code.load(config["value"] if "value" in config else [config["code"], config["defaults"], config["closure"]])


def deserialize_keras_object(
    config: Any,
    custom_objects: Mapping[str, Any] | None = None,
    safe_mode: bool = True,
    module_objects: Mapping[str, Any] | None = None,
    printable_module_name: str = "object",
) -> Any:
    """`deserialize`, with the choice to trust functions that the config brings as code.

    Args:
        config: A config, or the name of one of `module_objects`.
        custom_objects: Classes and functions of yours by their names.
        safe_mode: Whether functions that the config brings as code are refused.
        module_objects: Classes and functions by the names that a config may be instead, as in Keras's older form.
        printable_module_name: What one of them is called in an error message.

    Raises:
        UnknownNameError: A class that is neither built in nor registered.
        UnsafeError: A function that is code, in safe mode.
    """
    if module_objects is not None and isinstance(config, str):
        known = {**module_objects, **(custom_objects or {})}
        if config not in known:
            raise unknown_name(printable_module_name, config, known)
        return known[config]() if inspect.isclass(known[config]) else known[config]
    with code_allowed(not safe_mode):
        return deserialize(config, {**(module_objects or {}), **(custom_objects or {})} or None)


_FAMILIES = tuple(
    f"lamella.{room}." for room in ("applications", "energy", "language", "pretraining", "sequences", "trees", "vision")
)
"""Rooms that `import lamella` does not load: their classes register themselves when a config first names them."""

_LATER = {"keras.distillation": "lamella.distillation"}
"""Such rooms, whose classes configs name as Keras's."""


_PACKAGES = frozenset({"keras_hub", "keras_nlp", "keras_cv"})
"""Packages of Keras's own makers: classes that they did not register are found by their modules, as in Keras."""


def _of_package(name: str, module: str) -> Any:
    """A class with a config, of one of `_PACKAGES`; None for anything else."""
    if module.partition(".")[0] not in _PACKAGES:
        return None
    with suppress(ImportError):
        found = vars(importlib.import_module(module)).get(name)
        if inspect.isclass(found) and hasattr(found, "from_config"):
            return found
    return None


def _find(name: str, config: dict[str, Any], custom: Mapping[str, Any] | None, default: Registry | None) -> Any:
    found = _custom(config.get("registered_name") or name, custom)
    if found is None and str(config.get("module")).startswith(_FAMILIES):
        with suppress(ModuleNotFoundError):
            importlib.import_module(config["module"])
        found = _custom(config.get("registered_name") or name, custom)
    if found is None and custom:
        found = custom.get(name)
    if found is None:
        found = _of_package(name, str(config.get("module")))
    if found is not None:
        return found
    module = config.get("module")
    if module in _LATER:
        importlib.import_module(_LATER[module])
    was_custom = "module" in config and module is None and bool(config.get("registered_name"))  # of a script, by Keras
    registry = _REGISTRIES.get(module) if module else None if was_custom else default
    if registry is not None and name in registry:
        return registry[name]
    for other in () if was_custom else _REGISTRIES.values():  # Keras moves objects between modules now and then
        if (module is None or module.startswith("keras")) and name in other and other.module != "keras.ops":
            return other[name]
    if registry is not None:
        raise unknown_name(registry.kind, name, registry)
    raise UnknownClassError(
        f"Unknown class {name!r} (module {module!r}) in a config. Pass custom_objects={{{name!r}: ...}} or "
        f"decorate the class with @lamella.saving.register_keras_serializable()."
    )

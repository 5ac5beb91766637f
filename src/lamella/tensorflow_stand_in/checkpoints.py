"""`tf.train.Checkpoint`: models, optimizers and variables, saved together and restored in place."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from lamella.engine.variable import State, Weight
from lamella.errors import ArgumentError, FileError
from lamella.saving.atomic import written_aside
from lamella.saving.reading import reading
from lamella.saving.state import places
from lamella.tensorflow_stand_in.checkpoint_folder import SUFFIX, file_of, record_latest
from lamella.tensorflow_stand_in.modules import Module
from lamella.tensorflow_stand_in.variables import Variable

Values = dict[str, np.ndarray]


class Checkpoint:
    """Objects under names of your choice, whose variables are written to a file and read back into the same objects.

    The file is a `.safetensors` file, which holds numbers and nothing that could be run. TensorFlow's own checkpoint
    files are another format and are not read.

    Args:
        root: An object that needs no name: its variables lie at the top.
        **kwargs: Models, layers, modules, optimizers, metrics, variables, other checkpoints, or lists and dicts of
            them. They can be given later as attributes, too: `checkpoint.step = step`.

    Raises:
        ArgumentError: Something that has no variables.

    Example:
        >>> import tempfile
        >>> step = Variable(3)
        >>> checkpoint = Checkpoint(step=step)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = checkpoint.save(folder + "/ckpt")
        ...     _ = step.assign(8)
        ...     status = checkpoint.restore(path)
        >>> path.rpartition("/")[2], int(step)
        ('ckpt-1', 3)
    """

    root: Any
    save_counter: Any

    def __init__(self, root: Any = None, **kwargs: Any) -> None:
        self._named: dict[str, Any] = {}
        self._restored: tuple[Values, dict[str, str], set[str]] | None = None
        vars(self)["root"] = root
        vars(self)["save_counter"] = Variable(0, trainable=False, dtype=torch.int64)
        vars(self).update(kwargs)
        self._named.update(kwargs)
        for part, path in [(root, ""), *((part, name) for name, part in kwargs.items())]:
            if part is not None or path:
                list(_keepers_in(part, path, strict=True))

    def __setattr__(self, name: str, value: Any) -> None:
        """An attribute that has variables belongs to the checkpoint, and is restored if something was read for it."""
        super().__setattr__(name, value)
        if name[0] == "_" or name in ("root", "save_counter"):
            return
        self._named[name] = value
        if self._restored is not None:
            found, aliases, unused = self._restored
            for path, keeper in _keepers_in(value, name):
                _restore(keeper, aliases.get(path, path), found, unused)

    def _everywhere(self) -> Iterator[tuple[str, Any]]:
        """Each object that keeps values, at each of its paths."""
        parts = {} if self.root is None else {"": self.root}
        for name, part in [*parts.items(), *sorted(self._named.items()), ("save_counter", self.save_counter)]:
            yield from _keepers_in(part, name)

    def _keepers(self) -> list[tuple[str, Any]]:
        """Each object that keeps values, once, at the first of its paths."""
        first: dict[int, tuple[str, Any]] = {}
        for path, keeper in self._everywhere():
            first.setdefault(id(keeper), (path, keeper))
        return list(first.values())

    def _aliases(self) -> dict[str, str]:
        """The further paths of objects that have several, with the one that their values are saved at."""
        first = {id(keeper): path for path, keeper in self._keepers()}
        return {path: first[id(keeper)] for path, keeper in self._everywhere() if first[id(keeper)] != path}

    def save(self, file_prefix: Any, options: Any = None) -> str:
        """Writes `<file_prefix>-<number>`, one number more each time, and notes it for `latest_checkpoint`.

        Returns:
            The path to restore from.
        """
        self.save_counter.assign_add(1)
        path = self.write(f"{file_prefix}-{int(self.save_counter)}")
        record_latest(Path(path).parent, [Path(path).name])
        return path

    def write(self, file_prefix: Any, options: Any = None) -> str:
        """Writes to this path, without a number."""
        from safetensors.numpy import save_file

        values = {
            f"{path}/{key}" if path else key: np.ascontiguousarray(value).reshape(np.shape(value))
            for path, keeper in self._keepers()
            for key, value in _values_of(keeper).items()
        }
        path = file_of(file_prefix)
        path.parent.mkdir(parents=True, exist_ok=True)
        with written_aside(path) as aside:
            save_file(values, aside, {"aliases": json.dumps(self._aliases())})
        return str(path).removesuffix(SUFFIX)

    def restore(self, save_path: Any, options: Any = None) -> Status:
        """Reads the values back into the objects; those of layers that have no weights yet as soon as they have them.

        A warning names the objects for which the file has no values: they stay as they are.

        Args:
            save_path: What `save` returned. None (what `latest_checkpoint` gives where there is none) changes nothing.
            options: TensorFlow's argument: it changes nothing here.

        Raises:
            FileNotFoundError: No such checkpoint.
            FileError: A damaged file, or one of which nothing fits these objects.
        """
        if save_path is None:
            return Status([], set())
        from safetensors import safe_open

        path = file_of(save_path)
        if not path.is_file():
            raise FileNotFoundError(f"There is no checkpoint {save_path} (no file {path}).")
        with reading(path, "checkpoint"), safe_open(path, framework="numpy") as file:
            found = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
            aliases = json.loads((file.metadata() or {}).get("aliases", "{}"))
        keepers = self._keepers()
        unused = set(found)
        missing = [_name(at) for at, keeper in keepers if not _restore(keeper, aliases.get(at, at), found, unused)]
        others = {_name(at) for at, keeper in keepers if keeper is not self.save_counter}
        if others and set(missing) >= others:
            have = sorted({name.split("/")[0] for name in found})
            raise FileError(
                f"{path} has nothing for {', '.join(missing[:5])}: it was saved with {', '.join(have)}. Make the "
                f"Checkpoint with the names that it was saved with."
            )
        self._restored = (found, aliases, unused) if unused else None
        _warn_of(missing)
        return Status(missing, unused)

    read = restore


class Status:
    """What a restoration found: `missing` objects, and values of the file that were `unused` (until now)."""

    def __init__(self, missing: list[str], unused: set[str]) -> None:
        self.missing, self._unused = missing, unused

    @property
    def unused(self) -> list[str]:
        """The values of the file that belong to no object (until now)."""
        return sorted(self._unused)

    def expect_partial(self) -> Status:
        """Nothing more is said of what did not match."""
        return self

    def assert_existing_objects_matched(self) -> Status:
        """Raises an AssertionError if the file had no values for an object."""
        if self.missing:
            raise AssertionError(f"The checkpoint has no values for {self.missing}.")
        return self

    def assert_consumed(self) -> Status:
        """Raises an AssertionError if an object got no values, or a value no object."""
        self.assert_existing_objects_matched()
        if self.unused:
            raise AssertionError(f"These values of the checkpoint belong to no object: {self.unused[:10]}.")
        return self

    assert_nontrivial_match = run_restore_ops = initialize_or_restore = expect_partial


def _keepers_in(part: Any, path: str, strict: bool = False, outer: tuple[int, ...] = ()) -> Iterator[tuple[str, Any]]:
    """The objects within one part that keep values of their own, with their paths.

    Args:
        part: What is looked through.
        path: Its path.
        strict: Whether something that has no variables is an error. Of the attributes of a `tf.Module` some are none.
        outer: The `tf.Module`s that it is in, which it may refer to.
    """
    if isinstance(part, Checkpoint):
        yield from ((_joined(path, at), keeper) for at, keeper in part._keepers())
    elif hasattr(part, "save_own_variables"):
        for at, keeper in places(part):
            if not getattr(keeper, "built", True) or _values_of(keeper):
                yield _joined(path, at), keeper
    elif isinstance(part, (Weight, State)) or hasattr(part, "update_state"):
        yield path, part
    elif isinstance(part, Module):
        for name, each in sorted(vars(part).items()) if id(part) not in outer else ():
            yield from _keepers_in(each, _joined(path, name), outer=(*outer, id(part)))
    elif isinstance(part, (list, tuple, dict)):
        items = part.items() if isinstance(part, dict) else enumerate(part)
        for key, each in items:
            yield from _keepers_in(each, _joined(path, str(key)), strict, outer)
    elif strict:
        raise ArgumentError(
            f"Checkpoint: {path or 'root'!r} is a {type(part).__name__}, which has no variables. Give models, layers, "
            f"optimizers, metrics or tf.Variables; a number that should be saved is a tf.Variable(number)."
        )


def _joined(path: str, at: str) -> str:
    return f"{path}/{at}" if path and at else path or at


def _name(path: str) -> str:
    return path or "the root"


def _values_of(keeper: Any) -> Values:
    """An object's own values as "0", "1", ..."""
    if hasattr(keeper, "save_own_variables"):
        store: Values = {}
        keeper.save_own_variables(store)
        return {key: np.asarray(value) for key, value in store.items()}
    return {str(i): np.asarray(each.detach().cpu()) for i, each in enumerate(_tensors(keeper))}


def _tensors(keeper: Any) -> list[torch.Tensor]:
    return [keeper] if isinstance(keeper, torch.Tensor) else keeper.variables


def _restore(keeper: Any, path: str, found: Values, unused: set[str]) -> bool:
    """Gives an object its values, now or once its weights are made; False where the file has none."""
    start = f"{path}/" if path else ""
    own = {name.removeprefix(start): found[name] for name in found if name.rpartition("/")[0] == path}
    unused.difference_update(start + key for key in own)
    waits = hasattr(keeper, "when_built") and not keeper.built
    if waits:
        keeper.when_built = _later(path, found, unused)
        return not path or any(name.split("/")[0] == path.split("/")[0] for name in found)
    if not own:
        return False
    if hasattr(keeper, "load_own_variables"):
        keeper.load_own_variables(own)
        return True
    for i, tensor in enumerate(_tensors(keeper)):
        value = own.get(str(i))
        if value is None or value.shape != tuple(tensor.shape):
            had = "no value" if value is None else f"shape {value.shape}"
            raise FileError(f"The checkpoint has {had} for {_name(path)}, which has shape {tuple(tensor.shape)}.")
        tensor.assign(value)  # type: ignore[attr-defined]
    return True


def _warn_of(missing: list[str]) -> None:
    if missing:
        more = " ..." if len(missing) > 5 else ""
        warnings.warn(
            f"The checkpoint has no values for {', '.join(missing[:5])}{more}: left as they are.", stacklevel=3
        )


def _later(path: str, found: Values, unused: set[str]) -> Callable[[Any], None]:
    """What gives a layer or an optimizer its values once it is built, and what it made then, too."""

    def load(keeper: Any) -> None:
        keeper.when_built = None
        inside = [(_joined(path, at), each) for at, each in places(keeper)]
        kept = [(at, each) for at, each in inside if not getattr(each, "built", True) or _values_of(each)]
        _warn_of([_name(at) for at, each in kept if not _restore(each, at, found, unused)])

    return load

"""`KerasFileEditor`: the weights of a file as a tree that can be looked at, changed and written."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from lamella.errors import ArgumentError, FileError, nearest
from lamella.saving import h5, weights_file
from lamella.saving.atomic import written_aside
from lamella.saving.container import CONFIG, METADATA, Zip
from lamella.saving.reading import LARGE, reading

_MOST_EXPANSION = 100


class Node(dict[str, Any]):
    """What a file has for one object: its weights ("0", "1", ...) and the objects in it."""

    name: str | None = None
    """The name that the layer had, which the file's own names do not follow."""


class KerasFileEditor:
    """Looks into the weights of a `.weights.h5` or `.keras` file, changes them, and writes them to another file.

    For weights of before a change of the model: objects are renamed, added and deleted until `compare` is content.
    Nothing in the file is run.

    Args:
        filepath: The file.

    Attributes:
        weights_dict: The tree of objects by their names in the file, with arrays as leaves.
        config: The config of the model in a `.keras` file, else None.
        metadata: Which version wrote a `.keras` file and when, else None.

    Raises:
        FileNotFoundError: There is no such file.
        FileError: A damaged file.
        ArgumentError: Another ending.

    Example:
        >>> import lamella, os, tempfile
        >>> path = os.path.join(tempfile.mkdtemp(), "old.weights.h5")
        >>> lamella.Sequential([lamella.Input((2,)), lamella.layers.Dense(3, name="out")]).save_weights(path)
        >>> editor = lamella.saving.KerasFileEditor(path)
        >>> editor.rename_object("dense", "einsum_dense")
        >>> editor.summary()
        Weights of old.weights.h5
          layers
            einsum_dense ('out')
              0: shape=(2, 3), dtype=float32
              1: shape=(3,), dtype=float32
    """

    def __init__(self, filepath: str | Path) -> None:
        self.filepath = filepath
        self.metadata: Any = None
        self.config: Any = None
        path = Path(filepath)
        if path.suffix == ".keras":
            with reading(path, "model file"), Zip(path) as archive:
                self.config = json.loads(archive.member(CONFIG))
                self.metadata = json.loads(archive.member(METADATA))
                self.weights_dict = _tree_of(archive.weights()[0])
        elif path.name.endswith(".weights.h5"):
            with reading(path, "file of weights"):
                self.weights_dict = _tree_of(path)
        else:
            raise ArgumentError(f"KerasFileEditor opens files that end in .weights.h5 or .keras; got {path.name!r}.")

    def summary(self) -> None:
        """Prints the tree of the weights."""
        print(f"Weights of {Path(self.filepath).name}")
        for line in _lines(self.weights_dict, "  "):
            print(line)

    def compare(self, reference_model: Any) -> dict[str, Any]:
        """Prints what differs between the file and the weights of a model.

        Args:
            reference_model: A built model.

        Returns:
            `status` (`"success"` or `"error"`), `error_count` (objects that only one of the two has, counted once, and
            weights of other shapes), `match_count` (weights of the same place and shape).
        """
        errors, matches = _differences(self.weights_dict, _shapes_of(reference_model), "")
        for line in errors:
            print(line)
        status = "error" if errors else "success"
        says = "does not fit" if errors else "fits"
        print(f"The file {says} the model: {len(errors)} differences, {matches} weights that match.")
        return {"status": status, "error_count": len(errors), "match_count": matches}

    def rename_object(self, object_name: str, new_name: str) -> None:
        """Renames an object.

        Args:
            object_name: Its name, or its path (`"layers/dense_2"`) where several have that name.
            new_name: The name (no path) that it gets.

        Raises:
            ArgumentError: No such object, several, or the new name is taken.
        """
        parent, name = self._find(object_name)
        if "/" in new_name:
            raise ArgumentError(f"`new_name` is the last part of a path, without '/'; got {new_name!r}.")
        if new_name in parent and new_name != name:
            raise ArgumentError(f"There is a {new_name!r} beside {object_name!r} already: delete it first.")
        renamed = {new_name if key == name else key: value for key, value in parent.items()}
        parent.clear()
        parent.update(renamed)

    def delete_object(self, object_name: str) -> None:
        """Removes an object with all that is in it."""
        parent, name = self._find(object_name)
        del parent[name]

    def add_object(self, object_path: str, weights: Mapping[str, Any]) -> None:
        """Adds an object.

        Args:
            object_path: Its whole path; the objects above it must be there.
            weights: Its weights by their names, usually `{"0": kernel, "1": bias}`.
        """
        above, _, name = object_path.rpartition("/")
        parent = self._at(above) if above else self.weights_dict
        parent[name] = Node(_arrays(weights))

    def delete_weight(self, object_name: str, weight_name: str) -> None:
        """Removes a weight of an object."""
        parent, name = self._find(object_name)
        if weight_name not in parent[name]:
            raise ArgumentError(f"{object_name!r} has no weight {weight_name!r}; it has {list(parent[name])}.")
        del parent[name][weight_name]

    def add_weights(self, object_name: str, weights: Mapping[str, Any]) -> None:
        """Adds weights to an object, or replaces them."""
        parent, name = self._find(object_name)
        parent[name].update(_arrays(weights))

    def save(self, filepath: str | Path) -> None:
        """Writes the weights to a `.weights.h5` file: aside, and then renamed."""
        path = Path(filepath)
        if not path.name.endswith(".weights.h5"):
            raise ArgumentError(f"The weights are written to a file that ends in .weights.h5; got {path.name!r}.")
        with written_aside(path) as aside, h5py.File(aside, "w") as file:
            _write(self.weights_dict, file)

    def resave_weights(self, filepath: str | Path) -> None:
        """`save` under its other Keras name."""
        self.save(filepath)

    def _find(self, name: str) -> tuple[Node, str]:
        """The node that an object is in, and its name there."""
        if "/" in name:
            self._at(name)
            above, _, last = name.rpartition("/")
            return self._at(above), last
        parents = [node for node in _nodes(self.weights_dict) if isinstance(node.get(name), Node)]
        if len(parents) > 1:
            raise ArgumentError(f"Several objects are called {name!r}: give the whole path of one.")
        if not parents:
            known = {key for node in _nodes(self.weights_dict) for key in node if isinstance(node[key], Node)}
            close = nearest(name, known) or sorted(known)
            raise ArgumentError(f"There is no object {name!r} in the file. Nearest: {', '.join(close)}.")
        return parents[0], name

    def _at(self, path: str) -> Node:
        node = self.weights_dict
        for name in path.split("/"):
            if not isinstance(node.get(name), Node):
                raise ArgumentError(f"There is no object {path!r} in the file; {name!r} is not among {list(node)}.")
            node = node[name]
        return node


def _tree_of(file: Any) -> Node:
    with h5py.File(file, "r") as source:
        return _node(source, "")


def _node(group: h5py.Group, path: str) -> Node:
    """A group as a tree; the weights in its `vars` are its own."""
    found = Node()
    own = h5.checked_group(group, "vars")
    if own is not None:
        name = own.attrs.get("name")
        found.name = name if isinstance(name, str) else None
        place = h5.Place([own], path)
        found.update({key: _numbers(place[key], f"{path}/{key}") for key in place})
    for key in group:
        if key != "vars" and (child := _node(_child(group, key), f"{path}/{key}")):
            found[key] = child
    return found


def _child(group: h5py.Group, key: str) -> h5py.Group:
    found = h5.checked_group(group, key)
    assert found is not None
    return found


def _numbers(dataset: Any, path: str) -> np.ndarray:
    """The numbers of a data set, unless it says that it has far more than the file holds."""
    size = int(np.prod(dataset.shape, dtype=object)) * dataset.dtype.itemsize
    if size > LARGE and size > _MOST_EXPANSION * dataset.id.get_storage_size():
        raise FileError(f"{path!r} would take {size:,} bytes, which are not in the file: refused.")
    return np.asarray(dataset)


def _write(node: Node, group: h5py.Group) -> None:
    weights = {key: value for key, value in node.items() if not isinstance(value, Node)}
    if weights or node.name is not None:
        own = group.create_group("vars")
        if node.name is not None:
            own.attrs["name"] = node.name
        for key, value in weights.items():
            own[key] = value
    for key, value in node.items():
        if isinstance(value, Node):
            _write(value, group.create_group(key))


def _nodes(node: Node) -> Iterator[Node]:
    yield node
    for child in node.values():
        if isinstance(child, Node):
            yield from _nodes(child)


def _arrays(weights: Any) -> dict[str, np.ndarray]:
    if not isinstance(weights, Mapping):
        raise ArgumentError(
            f"`weights` is a dict of arrays by name, usually {{'0': kernel, '1': bias}}; got {type(weights).__name__}."
        )
    return {str(name): np.asarray(value) for name, value in weights.items()}


def _lines(node: Node, indent: str) -> Iterator[str]:
    for key, value in node.items():
        if isinstance(value, Node):
            yield f"{indent}{key}" + (f" ({value.name!r})" if value.name else "")
            yield from _lines(value, indent + "  ")
        else:
            yield f"{indent}{key}: shape={value.shape}, dtype={value.dtype}"


def _shapes_of(model: Any) -> Node:
    """The tree that a file of the model would have."""
    root = Node()
    for path, _, weights in weights_file.entries(model):
        node = root
        for name in path.split("/")[:-1] if weights else ():
            node = node.setdefault(name, Node())
        node.update(weights)
    return root


def _differences(file: Node, model: Node, path: str) -> tuple[list[str], int]:
    """What differs, in words, and how many weights do not."""
    errors: list[str] = []
    matches = 0
    for key in [*model, *(key for key in file if key not in model)]:
        here, wanted, place = file.get(key), model.get(key), f"{path}/{key}"
        if here is None:
            errors.append(f"The model has {place}{_content(wanted)}, the file does not.")
        elif wanted is None:
            errors.append(f"The file has {place}{_content(here)}, the model does not.")
        elif isinstance(here, Node) and isinstance(wanted, Node):
            inner = _differences(here, wanted, place)
            errors, matches = errors + inner[0], matches + inner[1]
        elif _kind(here) != _kind(wanted):
            errors.append(f"{place}: {_kind(wanted)} in the model, {_kind(here)} in the file.")
        else:
            matches += 1
    return errors, matches


def _kind(value: Any) -> str:
    return "an object" if isinstance(value, Node) else f"shape {value.shape}"


def _content(value: Any) -> str:
    return f" (with {', '.join(value)})" if isinstance(value, Node) else ""

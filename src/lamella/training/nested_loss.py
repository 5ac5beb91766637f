"""The losses of outputs that are nested, and losses of several outputs at once."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from lamella import metrics as metrics_module
from lamella import tree
from lamella.errors import ArgumentError, DataError
from lamella.losses import Loss
from lamella.training.loss_of_output import is_config, loss_of_output


def is_nested(outputs: Any) -> bool:
    """Whether some outputs stand in lists or dicts within the list or dict of outputs.

    Example:
        >>> is_nested({"a": 1, "b": 2}), is_nested({"a": (1, 2)})
        (False, True)
    """
    return any(len(path) > 1 for path, _ in tree.flatten_with_path(outputs))


def takes_several(loss: Any, outputs: Any) -> bool:
    """Whether a loss of all outputs together stands in a list beside the losses of each: `[whole, (first, second)]`.

    The list must be of another kind than the outputs, else its items are theirs.
    """
    beside = isinstance(loss, (list, tuple)) and isinstance(outputs, (list, tuple, dict))
    if not beside or type(loss) is type(outputs):
        return False
    return any(type(each) is type(outputs) and len(each) == len(outputs) for each in loss)


@dataclass
class Term:
    """One loss: of the part of the outputs to which the keys and indices of `path` lead."""

    path: tuple[Any, ...]
    loss: Loss
    weight: Any
    name: str


class NestedLoss:
    """The losses of nested outputs, weighted and summed; it is used as `CompiledLoss` is.

    A loss stands where its output stands. A list in the place of one output, or of several that stand together, holds
    several losses of it, and a loss may be a function of outputs that stand together: `(y_true, y_pred)` are nested
    then as they are.

    Args:
        loss: What `compile` was given: one loss for every output, or a nest of them.
        weights: The weight of each, nested alike or in a flat list.
        outputs: A few predictions.
        names: The name of each output, in the order of `lamella.tree.flatten`.

    Raises:
        ArgumentError: A loss where there is no output, or another number of weights than of losses.
    """

    single = None

    def __init__(self, loss: Any, weights: Any, outputs: Any, names: Sequence[str]) -> None:
        self._like = tree.map_structure(lambda _: None, outputs)
        if not _is_group(loss):
            loss = tree.map_structure(lambda _: loss, outputs)
        named = tree.pack_sequence_as(outputs, list(names))
        self._terms = list(_terms(loss, outputs, named, ()))
        for term, weight in zip(self._terms, _flat_weights(weights, loss, self._terms), strict=True):
            term.weight = weight
        self.losses = [term.loss for term in self._terms]
        several = len(self._terms) > 1  # one alone is the loss, as in Keras
        self.trackers = [metrics_module.Mean(name=f"{term.name}_loss") for term in self._terms if several]

    def __call__(self, y: Any, y_pred: Any, sample_weight: Any = None) -> torch.Tensor:
        """The total loss of a batch."""
        y = self._as_outputs(y, "targets")
        if sample_weight is not None and tree.is_nested(sample_weight):
            sample_weight = self._as_outputs(sample_weight, "sample weights")
        total: Any = None
        for term, tracker in itertools.zip_longest(self._terms, self.trackers):
            part = at(y_pred, term.path)
            weight = at(sample_weight, term.path) if tree.is_nested(sample_weight) else sample_weight
            value = term.loss(at(y, term.path), part, weight)
            if tracker is not None:
                tracker.update_state(value.detach(), sample_weight=len(tree.flatten(part)[0]))
            if term.weight is not None:
                value = value * term.weight
            total = value if total is None else total + value
        if total is None:
            raise ArgumentError("compile() gave no loss for any of the outputs.")
        return total

    def _as_outputs(self, y: Any, what: str) -> Any:
        """Targets nested as the outputs are: they may also be a flat list of them."""
        found, wanted = tree.flatten_with_path(y), tree.flatten_with_path(self._like)
        if len(found) != len(wanted):
            raise DataError(
                f"The model has {len(wanted)} outputs, nested as {_starred(self._like)}; there are {len(found)} {what}."
                f" Give one for each."
            )
        if isinstance(y, Mapping) and [path for path, _ in found] != [path for path, _ in wanted]:
            raise DataError(
                f"The model's outputs are nested as {_starred(self._like)}, but the {what} as {_starred(y)}. "
                f"Give them the same keys, or a flat list."
            )
        return tree.pack_sequence_as(self._like, [leaf for _, leaf in found])

    def check_targets(self, y: Any, y_pred: Any) -> None:
        """Refuses targets that cannot be right for outputs like these: see `Loss.check_targets`."""
        y = self._as_outputs(y, "targets")
        for term in self._terms:
            part, target = at(y_pred, term.path), at(y, term.path)
            if isinstance(part, torch.Tensor):
                if target is None:
                    raise DataError(f"There are no targets for output {term.name!r}, which has a loss.")
                term.loss.check_targets(target, (None, *part.shape[1:]))


def _starred(structure: Any) -> Any:
    return tree.map_structure(lambda _: "*", structure)


def at(structure: Any, path: Sequence[Any]) -> Any:
    """The part to which the keys and indices of `path` lead.

    Example:
        >>> at({"a": [1, 2]}, ("a", 1))
        2
    """
    for key in path:
        structure = structure[key]
    return structure


def _is_group(loss: Any) -> bool:
    return isinstance(loss, (list, tuple, Mapping)) and not is_config(loss)


def _terms(loss: Any, outputs: Any, names: Any, path: tuple[Any, ...]) -> Iterator[Term]:
    """The losses of the outputs to which `path` led."""
    if loss is None:
        return
    if not _is_group(loss):
        if isinstance(loss, str) and isinstance(outputs, Mapping):
            raise ArgumentError(
                f"`loss` has {loss!r} for several outputs together, nested as {_starred(outputs)}. Give one loss for "
                f"all of them, or one for each, nested alike or in a flat list."
            )
        yield Term(path, loss_of_output(loss), None, _name(path, outputs, names))
        return
    count = len(tree.flatten(outputs))
    if not isinstance(loss, Mapping):
        if len(loss) == count and not any(_is_group(each) for each in loss):
            loss = tree.pack_sequence_as(outputs, list(loss))
            if not _is_group(loss):
                yield from _terms(loss, outputs, names, path)
                return
        elif type(loss) is not type(outputs):
            for each in loss:
                yield from _terms(each, outputs, names, path)
            return
    for key, each in loss.items() if isinstance(loss, Mapping) else enumerate(loss):
        if not _has(outputs, key):
            raise ArgumentError(f"`loss` has a loss at {(*path, key)}, but the model has no output there.")
        yield from _terms(each, outputs[key], names[key], (*path, key))


def _has(outputs: Any, key: Any) -> bool:
    if isinstance(outputs, Mapping):
        return key in outputs
    return isinstance(outputs, (list, tuple)) and isinstance(key, int) and key < len(outputs)


def _name(path: tuple[Any, ...], outputs: Any, names: Any) -> str:
    """Where the loss stands; an index gives way to the name of the output, and all outputs together have all names."""
    if not path:
        several = names if isinstance(outputs, dict) else tree.flatten(names)
        return "_".join(map(str, several)) if tree.is_nested(outputs) else str(names)
    if isinstance(path[-1], int) and not tree.is_nested(outputs):
        path = (*path[:-1], names)
    return "/".join(map(str, path))


def _flat_weights(weights: Any, loss: Any, terms: Sequence[Term]) -> list[Any]:
    if weights is None or isinstance(weights, (int, float)):
        return [weights] * len(terms)
    given, wanted = tree.flatten(weights), tree.flatten(loss)
    if len(given) == len(wanted) != len(terms):
        given = [weight for weight, each in zip(given, wanted, strict=True) if each is not None]
    if len(given) != len(terms):
        raise ArgumentError(f"`loss_weights` has {len(given)} weights, but there are {len(terms)} losses.")
    return given

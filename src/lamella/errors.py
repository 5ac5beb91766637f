"""Typed errors: each says what was expected, what was found and how to mend it.

Every class is also the built-in error that Keras raises in its place (`ValueError`, `TypeError`,
`RuntimeError`), so handlers written for Keras still catch it.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class LamellaError(Exception):
    """Base of every error that Lamella raises on purpose."""


class ShapeError(LamellaError, ValueError):
    """A shape or rank that the layer, loss or model cannot take."""


class DTypeError(LamellaError, TypeError):
    """A data type that the layer, loss or model cannot take."""


class ArgumentError(LamellaError, ValueError):
    """An argument outside the values that it may have."""


class ArgumentTypeError(ArgumentError, TypeError):
    """An argument of a type that it may not have, such as a text for a number: a `ValueError` and a `TypeError`."""


class UnknownNameError(LamellaError, ValueError):
    """A string that names no known layer, loss, metric, optimizer or other object."""


class ConfigError(LamellaError, TypeError, ValueError):
    """A config that describes no object."""


class UnknownClassError(UnknownNameError, ConfigError):
    """A config of a class or function that is neither built in nor registered."""


class DataError(LamellaError, ValueError):
    """Training data that cannot be used: wrong lengths, NaN, labels out of range."""


class NotBuiltError(LamellaError, ValueError):
    """A model or layer that has no weights yet."""


class NoGraphError(NotBuiltError, AttributeError):
    """A model or layer without symbolic inputs and outputs: `hasattr(model, "input")` is False."""


class NotCompiledError(LamellaError, ValueError):
    """`fit`, `evaluate` or the like before `compile`."""


class NonFiniteError(LamellaError, ArithmeticError, ValueError, RuntimeError):
    """The loss became NaN or infinite while training."""


class OutOfMemoryError(LamellaError, MemoryError, RuntimeError):
    """A batch that does not fit into the memory of its device."""


class ClusterError(LamellaError, RuntimeError):
    """Several processes that do not find each other, or of which one was lost."""


class DownloadError(LamellaError, RuntimeError, ValueError):
    """A file that is neither on this machine nor reachable over the network, or is damaged."""


class FileError(LamellaError, ValueError):
    """A saved model or weights that are damaged, of another model, or of another format."""


class ExportError(LamellaError, RuntimeError):
    """A model that the format that was asked for has no words for."""


class NoFileError(FileError, FileNotFoundError):
    """A file that is to be loaded, and is not there."""


class UnsafeError(LamellaError, ValueError):
    """A file that could run code if it were loaded."""


def nearest(name: str, known: Iterable[str], count: int = 3) -> list[str]:
    """The `count` names in `known` that look most like `name`, best first.

    Example:
        >>> nearest("adamm", ["adam", "adamw", "sgd"])
        ['adam', 'adamw']
    """
    lowered: dict[str, str] = {}
    for candidate in sorted(known, key=lambda each: each.islower() != name.islower()):
        lowered.setdefault(candidate.lower(), candidate)
    return [lowered[match] for match in difflib.get_close_matches(name.lower(), lowered, count, 0.5)]


def unknown_name(kind: str, name: str, known: Iterable[str]) -> UnknownNameError:
    """The error for a string that names nothing, with the nearest names that exist."""
    known = list(known)
    close = nearest(name, known)
    if close:
        mend = "Did you mean " + " or ".join(repr(match) for match in close) + "?"
    else:
        mend = "Known names: " + ", ".join(sorted(known)) + "."
    return UnknownNameError(f"Unknown {kind} {name!r}. {mend}")

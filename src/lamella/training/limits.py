"""The greatest numbers of epochs and of steps, whatever `fit` is asked for: a look at whether a script runs."""

from __future__ import annotations

import warnings

from lamella.errors import ArgumentError

epochs: int | None = None
steps_per_epoch: int | None = None


def checked(name: str, value: int | None) -> int | None:
    """The limit, if it is one.

    Raises:
        ArgumentError: It is no whole number of 1 or more.

    Example:
        >>> checked("max_epochs", 2)
        2
    """
    if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
        raise ArgumentError(f"`{name}` must be a whole number, 1 or more, or None; got {value!r}.")
    return value


def limited(what: str, wanted: int | None, limit: int | None) -> int | None:
    """What is wanted, up to the limit, with a warning where that counts.

    Example:
        >>> limited("epochs", 3, None), limited("epochs", 3, 5)
        (3, 3)
    """
    if limit is None or (wanted is not None and wanted <= limit):
        return wanted
    warnings.warn(f"`{what}` is limited to {limit}, as keras.config says.", stacklevel=3)
    return limit

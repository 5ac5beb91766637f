"""The order of image axes that layers and operations use where they are told none."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar

from lamella.errors import ArgumentError

Function = TypeVar("Function", bound=Callable[..., Any])
_FORMATS = ("channels_last", "channels_first")
_IMAGE_DATA_FORMAT = "channels_last"


def image_data_format() -> str:
    """The order of image axes by default: `"channels_last"` unless it was set.

    Example:
        >>> image_data_format()
        'channels_last'
    """
    return _IMAGE_DATA_FORMAT


def set_image_data_format(data_format: str) -> None:
    """Sets the order of image axes for what is made from now on: `"channels_last"` or `"channels_first"`.

    Layers and operations go by it; the model families of Lamella take channels-last images whatever it says.

    Raises:
        ArgumentError: Any other value.
    """
    global _IMAGE_DATA_FORMAT
    _IMAGE_DATA_FORMAT = checked_data_format(str(data_format))


def checked_data_format(data_format: Any, whose: str = "") -> str:
    """`data_format` in lower case, and the default for None.

    Args:
        data_format: What was given.
        whose: What an error begins with, such as `"Conv2D 'conv2d': "`.

    Raises:
        ArgumentError: Neither of the two.

    Example:
        >>> checked_data_format(None), checked_data_format("Channels_First")
        ('channels_last', 'channels_first')
    """
    found = _IMAGE_DATA_FORMAT if data_format is None else str(data_format).lower()
    if found not in _FORMATS:
        raise ArgumentError(f"{whose}`data_format` must be 'channels_last' or 'channels_first'; got {data_format!r}.")
    return found


def channels_last_inside(function: Function) -> Function:
    """Decorator: layers that the function makes take channels-last images, whatever was set.

    Example:
        >>> @channels_last_inside
        ... def inside():
        ...     return image_data_format()
        >>> set_image_data_format("channels_first")
        >>> inside(), image_data_format()
        ('channels_last', 'channels_first')
        >>> set_image_data_format("channels_last")
    """

    @wraps(function)
    def called(*args: Any, **kwargs: Any) -> Any:
        before = image_data_format()
        set_image_data_format("channels_last")
        try:
            return function(*args, **kwargs)
        finally:
            set_image_data_format(before)

    return called  # type: ignore[return-value]

"""The order of image axes that is meant where none is named."""

from __future__ import annotations

from lamella.errors import ArgumentError

_IMAGE_DATA_FORMAT = "channels_last"


def image_data_format() -> str:
    """The order of image axes by default: `"channels_last"` unless it was set.

    Example:
        >>> image_data_format()
        'channels_last'
    """
    return _IMAGE_DATA_FORMAT


def set_image_data_format(data_format: str) -> None:
    """Sets the order of image axes: `"channels_last"` or `"channels_first"`.

    Raises:
        ArgumentError: Any other value.
    """
    global _IMAGE_DATA_FORMAT
    data_format = str(data_format).lower()
    if data_format not in ("channels_last", "channels_first"):
        raise ArgumentError(f"`data_format` must be 'channels_last' or 'channels_first'; got {data_format!r}.")
    _IMAGE_DATA_FORMAT = data_format

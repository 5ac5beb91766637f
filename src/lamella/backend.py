"""What scripts ask of `keras.backend`: the float type, the session, the name of the engine."""

from lamella.engine.dtypes import floatx, set_floatx
from lamella.engine.naming import clear_session

__all__ = ["backend", "clear_session", "epsilon", "floatx", "image_data_format", "set_floatx"]


def backend() -> str:
    """The engine: always `"torch"`.

    Example:
        >>> backend()
        'torch'
    """
    return "torch"


def epsilon() -> float:
    """The small number that keeps logarithms and divisions finite.

    Example:
        >>> epsilon()
        1e-07
    """
    return 1e-7


def image_data_format() -> str:
    """The order of image axes: `"channels_last"`.

    Example:
        >>> image_data_format()
        'channels_last'
    """
    return "channels_last"

"""The names of windows that weigh the samples of a frame of sound."""

from __future__ import annotations

from typing import Any

from lamella.errors import ArgumentError

_COMMON = frozenset({"hann", "hamming", "blackman", "bartlett", "boxcar", "cosine", "triang", "nuttall", "flattop"})


def checked_window(window: Any) -> Any:
    """`window`, unless it is a name that SciPy does not know.

    Raises:
        ArgumentError: Such a name.

    Example:
        >>> checked_window("hann")
        'hann'
    """
    if isinstance(window, str) and window not in _COMMON:
        from scipy.signal import get_window  # SciPy comes with scikit-learn; it is slow to import

        try:
            get_window(window, 8)
        except ValueError as error:
            raise ArgumentError(
                f"`window` must be the name of a SciPy window that takes no number, such as 'hann' or 'hamming', an "
                f"array or None; got {window!r}. {error}"
            ) from error
    return window


__all__ = ["checked_window"]

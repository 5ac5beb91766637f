"""Whether what is said while working goes to the screen or to Python's logging."""

from __future__ import annotations

import logging
import sys

_INTERACTIVE = True


def enable_interactive_logging() -> None:
    """Says things on the screen, as by default."""
    global _INTERACTIVE
    _INTERACTIVE = True


def disable_interactive_logging() -> None:
    """Says things by the logger `lamella` only."""
    global _INTERACTIVE
    _INTERACTIVE = False


def is_interactive_logging_enabled() -> bool:
    """Whether things are said on the screen.

    Example:
        >>> is_interactive_logging_enabled()
        True
    """
    return _INTERACTIVE


def say(message: str, end: str = "\n") -> None:
    """Writes a message where it is wanted."""
    if not _INTERACTIVE:
        logging.getLogger("lamella").info(message.strip())
        return
    try:
        print(message, end=end, flush=True)
    except UnicodeEncodeError:  # a terminal without such characters
        encoding = sys.stdout.encoding or "ascii"
        print(message.encode(encoding, "replace").decode(encoding), end=end, flush=True)

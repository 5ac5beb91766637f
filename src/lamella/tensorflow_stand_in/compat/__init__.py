"""`tf.compat`: text and bytes, and TensorFlow under the names of its two versions."""

from __future__ import annotations

from typing import Any

from lamella.tensorflow_stand_in.compat import v1, v2

__all__ = ["as_bytes", "as_str", "as_text", "v1", "v2"]


def as_bytes(bytes_or_text: Any, encoding: str = "utf-8") -> bytes:
    """Text as bytes; bytes as they are.

    Example:
        >>> as_bytes("a"), as_text(b"a")
        (b'a', 'a')
    """
    return bytes_or_text.encode(encoding) if isinstance(bytes_or_text, str) else bytes(bytes_or_text)


def as_text(bytes_or_text: Any, encoding: str = "utf-8") -> str:
    """Bytes as text; text as it is."""
    return bytes_or_text if isinstance(bytes_or_text, str) else bytes(bytes_or_text).decode(encoding)


as_str = as_text

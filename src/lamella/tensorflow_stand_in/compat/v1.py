"""`tf.compat.v1`: what TensorFlow's two versions share. Sessions, placeholders and graphs are not there."""

import sys
from typing import Any


def __getattr__(name: str) -> Any:
    if name.startswith("__"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(sys.modules["lamella.tensorflow_stand_in"], name)

"""`tf.compat.v2`: TensorFlow as `import tensorflow` gives it."""

import sys
from typing import Any


def __getattr__(name: str) -> Any:
    if name.startswith("__"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(sys.modules["lamella.tensorflow_stand_in"], name)

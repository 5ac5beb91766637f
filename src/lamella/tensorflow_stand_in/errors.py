"""`tf.errors`: names by which scripts catch what Lamella and torch raise in TensorFlow's place.

Most are several errors at once, which `except` takes; they are caught, not raised.
"""

from __future__ import annotations

import torch

from lamella.errors import DataError, LamellaError, OutOfMemoryError

__all__ = ["DataLossError", "InvalidArgumentError", "NotFoundError", "OutOfRangeError", "ResourceExhaustedError"]

InvalidArgumentError = (LamellaError, ValueError, IndexError, RuntimeError)
DataLossError = DataError
NotFoundError = FileNotFoundError
OutOfRangeError = (StopIteration, IndexError)
ResourceExhaustedError = (OutOfMemoryError, torch.OutOfMemoryError)

"""`TerminateOnNaN`."""

from __future__ import annotations

import math

from lamella.training.callbacks.base import Callback, Logs
from lamella.training.callbacks.callback_list import CallbackList


class TerminateOnNaN(Callback):
    """Stops training quietly when the loss becomes NaN or infinite (without it, `fit` raises an error).

    Args:
        raise_error: Whether to raise the error all the same (a `NonFiniteError`, which is a `RuntimeError`).

    Example:
        >>> TerminateOnNaN().params
        {}
    """

    def __init__(self, raise_error: bool = False) -> None:
        super().__init__()
        self.raise_error = raise_error

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        loss = (logs or {}).get("loss")
        if loss is not None and not math.isfinite(loss):
            self.model.stop_training = True


def has_terminate_on_nan(callbacks: CallbackList) -> bool:
    """Whether the user asked for a quiet stop at NaN."""
    return any(isinstance(callback, TerminateOnNaN) and not callback.raise_error for callback in callbacks.callbacks)

"""`keras.config`: settings of the whole process."""

from __future__ import annotations

from lamella.backend import (
    backend,
    epsilon,
    floatx,
    image_data_format,
    set_epsilon,
    set_floatx,
    set_image_data_format,
)
from lamella.dtype_policies import dtype_policy, set_dtype_policy
from lamella.engine.registry import enable_unsafe_deserialization
from lamella.errors import ArgumentError
from lamella.training import limits
from lamella.utils.logging import (
    disable_interactive_logging,
    enable_interactive_logging,
    is_interactive_logging_enabled,
)

_FLASH: bool | None = None
_TRACEBACK_FILTERING = True


def set_backend(backend: str) -> None:
    """Takes `"torch"`, the only engine.

    Raises:
        ArgumentError: Any other.
    """
    if backend != "torch":
        raise ArgumentError(f"Lamella's only engine is 'torch'; got {backend!r}.")


def enable_flash_attention() -> None:
    """Leaves it to torch to choose the quickest attention kernel, as by default."""
    global _FLASH
    _FLASH = None
    _allow_flash(True)


def disable_flash_attention() -> None:
    """Keeps torch from its flash-attention kernel on CUDA."""
    global _FLASH
    _FLASH = False
    _allow_flash(False)


def is_flash_attention_enabled() -> bool | None:
    """None where torch chooses, False where it may not."""
    return _FLASH


def _allow_flash(allowed: bool) -> None:
    import torch

    torch.backends.cuda.enable_flash_sdp(allowed)


def enable_traceback_filtering() -> None:
    """Kept for Keras's scripts: errors name the layer, and tracebacks are short anyway."""
    global _TRACEBACK_FILTERING
    _TRACEBACK_FILTERING = True


def disable_traceback_filtering() -> None:
    """Kept for Keras's scripts."""
    global _TRACEBACK_FILTERING
    _TRACEBACK_FILTERING = False


def is_traceback_filtering_enabled() -> bool:
    """What was set."""
    return _TRACEBACK_FILTERING


def is_nnx_enabled() -> bool:
    """False: NNX is a library for JAX."""
    return False


def max_epochs() -> int | None:
    """The limit set by `set_max_epochs`; None for none."""
    return limits.epochs


def set_max_epochs(max_epochs: int | None) -> None:
    """Sets the greatest number of epochs that `fit` trains, whatever it is asked for; None for no limit."""
    limits.epochs = limits.checked("max_epochs", max_epochs)


def max_steps_per_epoch() -> int | None:
    """The limit set by `set_max_steps_per_epoch`; None for none."""
    return limits.steps_per_epoch


def set_max_steps_per_epoch(max_steps_per_epoch: int | None) -> None:
    """Sets the greatest number of steps in an epoch; None for no limit."""
    limits.steps_per_epoch = limits.checked("max_steps_per_epoch", max_steps_per_epoch)


__all__ = [
    "backend",
    "disable_flash_attention",
    "disable_interactive_logging",
    "disable_traceback_filtering",
    "dtype_policy",
    "enable_flash_attention",
    "enable_interactive_logging",
    "enable_traceback_filtering",
    "enable_unsafe_deserialization",
    "epsilon",
    "floatx",
    "image_data_format",
    "is_flash_attention_enabled",
    "is_interactive_logging_enabled",
    "is_nnx_enabled",
    "is_traceback_filtering_enabled",
    "max_epochs",
    "max_steps_per_epoch",
    "set_backend",
    "set_dtype_policy",
    "set_epsilon",
    "set_floatx",
    "set_image_data_format",
    "set_max_epochs",
    "set_max_steps_per_epoch",
]

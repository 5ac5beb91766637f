"""`tf.device`: where new tensors and weights are made."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any

import torch

from lamella.engine.device import device as weights_on
from lamella.errors import ArgumentError


def names_of_devices(kind: str | None = None) -> list[str]:
    """The devices that are there: `["CPU:0", "GPU:0", ...]`, or those of one kind."""
    found = [f"GPU:{i}" for i in range(torch.cuda.device_count())]
    return [name for name in ["CPU:0", *found] if kind is None or name.startswith(kind)]


class device:
    """Within it new tensors and weights are made there: `"/CPU:0"`, `"/GPU:1"`; on the CPU where that GPU is not, as in
    TensorFlow.

    Raises:
        ArgumentError: Another kind of device.

    Example:
        >>> with device("/CPU:0"):
        ...     torch.ones(1).device
        device(type='cpu')
    """

    def __init__(self, device_name: str) -> None:
        kind, _, number = str(device_name).strip("/").split("device:")[-1].lower().partition(":")
        if kind not in ("cpu", "gpu"):
            raise ArgumentError(f"tf.device: there is no {device_name!r}, only {', '.join(names_of_devices())}.")
        self._device_name = str(device_name)
        found = kind == "gpu" and int(number or 0) < torch.cuda.device_count()
        self._torch = torch.device("cuda", int(number or 0)) if found else torch.device("cpu")
        self._entered: list[ExitStack] = []

    def __enter__(self) -> None:
        both = ExitStack()
        if torch.get_default_device() not in (self._torch, torch.device("meta")):  # on meta a layer finds its shapes
            both.enter_context(self._torch)
        both.enter_context(weights_on(self._torch))
        self._entered.append(both)

    def __exit__(self, *exception: Any) -> None:
        self._entered.pop().__exit__(*exception)

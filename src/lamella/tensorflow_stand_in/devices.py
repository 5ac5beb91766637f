"""`tf.device`: where new tensors and weights are made."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any, NamedTuple

import torch

from lamella.engine.device import device as weights_on
from lamella.errors import ArgumentError


class PhysicalDevice(NamedTuple):
    """A device that is there: `name` is `"/physical_device:GPU:0"`, `device_type` `"GPU"`."""

    name: str
    device_type: str

    @property
    def number(self) -> int:
        """Which of its kind."""
        return int(self.name.rpartition(":")[2])


class LogicalDevice(NamedTuple):
    """A device that is computed on: `name` is `"/device:GPU:0"`, `device_type` `"GPU"`."""

    name: str
    device_type: str


def list_physical_devices(device_type: str | None = None) -> list[PhysicalDevice]:
    """The devices that are there: the CPU and the GPUs, or those of one kind."""
    found = ["CPU:0", *(f"GPU:{i}" for i in range(torch.cuda.device_count()))]
    kinds = [PhysicalDevice(f"/physical_device:{each}", each[:3]) for each in found]
    return [each for each in kinds if device_type in (None, each.device_type)]


def list_logical_devices(device_type: str | None = None) -> list[LogicalDevice]:
    """The devices that are computed on, which are those that are there."""
    found = list_physical_devices(device_type)
    return [LogicalDevice(name.replace("physical_", ""), kind) for name, kind in found]


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
            known = ", ".join(each.name.removeprefix("/device:") for each in list_logical_devices())
            raise ArgumentError(f"tf.device: there is no {device_name!r}, only {known}.")
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

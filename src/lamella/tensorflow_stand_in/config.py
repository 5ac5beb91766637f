"""`tf.config`: which devices there are. What it sets of TensorFlow's own workings changes nothing here."""

from __future__ import annotations

from contextlib import ExitStack
from types import SimpleNamespace
from typing import Any

import torch

from lamella.engine.device import default_device
from lamella.tensorflow_stand_in.devices import (
    LogicalDevice,
    PhysicalDevice,
    device,
    list_logical_devices,
    list_physical_devices,
)

__all__ = [
    "LogicalDevice",
    "LogicalDeviceConfiguration",
    "PhysicalDevice",
    "experimental",
    "get_soft_device_placement",
    "get_visible_devices",
    "list_logical_devices",
    "list_physical_devices",
    "run_functions_eagerly",
    "set_logical_device_configuration",
    "set_soft_device_placement",
    "set_visible_devices",
    "threading",
]


class LogicalDeviceConfiguration:
    """How much memory a part of a device may have: torch takes what it needs.

    Args:
        memory_limit: Megabytes.
        **kwargs: TensorFlow's further arguments.
    """

    def __init__(self, memory_limit: int | None = None, **kwargs: Any) -> None:
        self.memory_limit = memory_limit


def _nothing(*args: Any, **kwargs: Any) -> None:
    """What is so here in any case."""


run_functions_eagerly = set_logical_device_configuration = set_soft_device_placement = _nothing


def get_soft_device_placement() -> bool:
    """True: what is not on one device is computed on another."""
    return True


def set_visible_devices(devices: Any, device_type: str | None = None) -> None:
    """Without any GPU among them (`set_visible_devices([], "GPU")`) new tensors and weights are made on the CPU; with
    GPUs among them, on the first of these.

    Args:
        devices: A device of `list_physical_devices`, or a list of such.
        device_type: Which kind is chosen from: `"CPU"`, `"GPU"`, or both.
    """
    if device_type == "CPU":
        return
    given = [devices] if isinstance(devices, PhysicalDevice) else list(devices)
    gpus = [each.name for each in given if each.device_type == "GPU"]
    _chosen.close()
    _chosen.enter_context(device(gpus[0] if gpus else "/CPU:0"))


_chosen = ExitStack()  # until the program ends, or another choice


def get_visible_devices(device_type: str | None = None) -> list[PhysicalDevice]:
    """Those of `list_physical_devices` that are computed on: the CPU, and a GPU unless the CPU alone was chosen."""
    on = default_device()
    found = list_physical_devices(device_type)
    return [each for each in found if each.device_type == "CPU" or on == torch.device("cuda", each.number)]


threading = SimpleNamespace(
    set_intra_op_parallelism_threads=torch.set_num_threads,
    set_inter_op_parallelism_threads=_nothing,
    get_intra_op_parallelism_threads=torch.get_num_threads,
)
experimental = SimpleNamespace(
    VirtualDeviceConfiguration=LogicalDeviceConfiguration,
    get_visible_devices=get_visible_devices,
    list_logical_devices=list_logical_devices,
    list_physical_devices=list_physical_devices,
    set_memory_growth=_nothing,
    set_virtual_device_configuration=_nothing,
    set_visible_devices=set_visible_devices,
)

"""Where tensors lie over several processes: a mesh of them with named axes, layouts, and which weight has which."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterator, MutableMapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from torch.distributed.device_mesh import DeviceMesh as TorchMesh

from lamella.engine import cluster
from lamella.engine.device import default_device
from lamella.engine.symbolic import SymbolicTensor
from lamella.errors import ArgumentError, ClusterError


def list_devices(device_type: str | None = None) -> list[str]:
    """The devices that a computation can be spread over: one for each process, or those of this one if it is alone.

    Args:
        device_type: `"cpu"` or `"gpu"`; by default `"gpu"` where there is one.

    Raises:
        ArgumentError: Another type.

    Example:
        >>> list_devices("cpu")
        ['cpu:0']
    """
    if device_type is not None and device_type.lower() not in ("cpu", "gpu", "cuda"):
        raise ArgumentError(f"list_devices(): `device_type` must be 'cpu', 'gpu' or None; got {device_type!r}.")
    kind = (device_type or default_device().type).lower().replace("cuda", "gpu")
    if dist.is_available() and dist.is_initialized():
        count = dist.get_world_size()
    elif "RANK" in os.environ:
        count = int(os.environ["WORLD_SIZE"])
    else:
        count = torch.cuda.device_count() if kind == "gpu" else 1
    return [f"{kind}:{number}" for number in range(count)]


def get_device_count(device_type: str | None = None) -> int:
    """How many devices `list_devices` lists."""
    return len(list_devices(device_type))


def initialize(
    job_addresses: str | None = None, num_processes: int | None = None, process_id: int | None = None
) -> None:
    """Joins the processes of a training. Without arguments, as the launcher (torchrun, Ray Train) says.

    Args:
        job_addresses: `"10.0.0.1:1234"`: where process 0 is; more, separated by commas, are counted only.
            By default what the environment has as KERAS_DISTRIBUTION_JOB_ADDRESSES.
        num_processes: How many there are, or KERAS_DISTRIBUTION_NUM_PROCESSES.
        process_id: The number of this one, from 0 on, or KERAS_DISTRIBUTION_PROCESS_ID.

    Raises:
        ArgumentError: An address without a port, or one of the three alone.
        ClusterError: No launcher, and no arguments.
    """
    job_addresses = job_addresses or os.environ.get("KERAS_DISTRIBUTION_JOB_ADDRESSES")
    addresses = job_addresses.split(",") if job_addresses else []
    count = num_processes or int(os.environ.get("KERAS_DISTRIBUTION_NUM_PROCESSES", len(addresses)))
    number = process_id if process_id is not None else os.environ.get("KERAS_DISTRIBUTION_PROCESS_ID")
    if addresses and (number is None or ":" not in addresses[0]):
        raise ArgumentError(
            f"initialize() needs `job_addresses` as 'host:port' and `process_id`; got {job_addresses!r}, {number!r}."
        )
    if not addresses and number is not None:
        raise ArgumentError("initialize() was given no `job_addresses`: where is process 0? Such as '10.0.0.1:1234'.")
    if not dist.is_initialized():
        cluster.start(300.0, (addresses[0], int(number), count) if addresses and number is not None else None)


class DeviceMesh:
    """The processes (each with its device) as an array with named axes.

    Args:
        shape: How many along each axis, such as (2, 4).
        axis_names: The names of the axes, such as ("batch", "model").
        devices: As `list_devices()` gives them, the default; their order is that of the mesh, its last axis first.

    Raises:
        ArgumentError: Another number of axes than names, or of places than devices.

    Example:
        >>> DeviceMesh((1,), ("batch",), devices=["cpu:0"])
        <DeviceMesh shape=(1,), axis_names=('batch',)>
    """

    def __init__(self, shape: Sequence[int], axis_names: Sequence[str], devices: Any = None) -> None:
        if not shape or len(shape) != len(axis_names) or len(set(axis_names)) != len(axis_names):
            raise ArgumentError(
                f"DeviceMesh: there must be a name of its own for each axis; got shape={tuple(shape)} and "
                f"axis_names={tuple(axis_names)}."
            )
        listed = np.array(list_devices() if devices is None else devices)
        if math.prod(shape) != listed.size:
            raise ArgumentError(
                f"DeviceMesh: shape {tuple(shape)} has {math.prod(shape)} places, but there are {listed.size} devices, "
                f"one for each process. Start {math.prod(shape)} processes (`--nproc {math.prod(shape)}`), or take a "
                f"shape with the product {listed.size}."
            )
        self.shape, self.axis_names = tuple(shape), tuple(axis_names)
        self.devices = listed.reshape(shape)

    @cached_property
    def backend_mesh(self) -> TorchMesh:
        """The same as torch's mesh. All processes must ask for it, after they have joined.

        Raises:
            ClusterError: They have not.
        """
        if not dist.is_initialized():
            raise ClusterError("The processes have not joined yet: call lamella.distribution.initialize() first.")
        kind = {"gpu": "cuda"}.get(found := str(self.devices.flat[0]).split(":")[0], found)
        numbers = [int(str(device).split(":")[-1]) for device in self.devices.flat]
        return TorchMesh(kind, torch.tensor(numbers).reshape(self.shape), mesh_dim_names=self.axis_names)

    def __repr__(self) -> str:
        return f"<DeviceMesh shape={self.shape}, axis_names={self.axis_names}>"


class TensorLayout:
    """Over which axis of a mesh each axis of a tensor is spread.

    Args:
        axes: A name of the mesh's for each axis of the tensor; None for one that stays whole.
        device_mesh: The mesh. A `LayoutMap` fills in its own.

    Raises:
        ArgumentError: A name that is no axis of the mesh, or the same name twice.

    Example:
        >>> TensorLayout((None, "model")).axes
        (None, 'model')
    """

    def __init__(self, axes: Sequence[str | None], device_mesh: DeviceMesh | None = None) -> None:
        self.axes = tuple(axes)
        self._device_mesh = device_mesh
        self._check()

    @property
    def device_mesh(self) -> DeviceMesh | None:
        """The mesh; it can be set once."""
        return self._device_mesh

    @device_mesh.setter
    def device_mesh(self, mesh: DeviceMesh) -> None:
        if self._device_mesh is not None:
            raise ArgumentError(f"The layout {self} has a mesh already: make a new TensorLayout.")
        self._device_mesh = mesh
        self._check()

    def _check(self) -> None:
        named = [name for name in self.axes if name is not None]
        if len(set(named)) != len(named):
            raise ArgumentError(f"TensorLayout: an axis of the mesh can spread one axis of a tensor; got {self.axes}.")
        unknown = set(named) - set(self._device_mesh.axis_names) if self._device_mesh is not None else None
        if unknown:
            raise ArgumentError(
                f"TensorLayout: the mesh has no axis {sorted(unknown)[0]!r}; its axes are "
                f"{self._device_mesh.axis_names}."  # type: ignore[union-attr]
            )

    @property
    def backend_layout(self) -> tuple[TorchMesh, list[Any]]:
        """The same as torch's mesh and placements.

        Raises:
            ArgumentError: The layout has no mesh yet.
        """
        from torch.distributed.tensor import Replicate, Shard

        mesh = self._device_mesh
        if mesh is None:
            raise ArgumentError(f"The layout {self} has no mesh: pass device_mesh to TensorLayout.")
        names = mesh.axis_names
        return mesh.backend_mesh, [Shard(self.axes.index(n)) if n in self.axes else Replicate() for n in names]

    def check_fits(self, shape: Sequence[int], what: str) -> None:
        """Raises ArgumentError, about `what`, where a tensor of this shape cannot lie so."""
        mesh = self._device_mesh
        if len(shape) != len(self.axes):
            raise ArgumentError(
                f"{what} has {len(shape)} axes, shape {tuple(shape)}, but its layout has {len(self.axes)}: {self.axes}."
            )
        for axis, (size, name) in enumerate(zip(shape, self.axes, strict=True)):
            parts = mesh.shape[mesh.axis_names.index(name)] if mesh is not None and name is not None else 1
            if size % parts:
                raise ArgumentError(
                    f"{what}: its axis {axis} of {size} cannot be divided over the {parts} processes along {name!r}. "
                    f"Take a multiple of {parts}, or None for this axis of the layout {self.axes}."
                )

    def __repr__(self) -> str:
        return f"<TensorLayout axes={self.axes}, device_mesh={self._device_mesh}>"


class LayoutMap(MutableMapping[str, Any]):
    """Which weights lie how: keys are patterns for the paths of weights, values their layouts.

    A weight's path is made of the names of the layers that it is in: "sequential/dense/kernel"; the name of the model
    itself may be left out. A key must match all of the path, as a regular expression.

    Args:
        device_mesh: The mesh of the layouts that have none.

    Raises:
        ArgumentError: A key that is there already, a value that is no layout, a path that two keys match.

    Example:
        >>> layouts = LayoutMap(DeviceMesh((1, 1), ("batch", "model"), devices=["cpu:0"]))
        >>> layouts[".*dense.*kernel"] = (None, "model")
        >>> layouts["mlp/dense_2/kernel"].axes
        (None, 'model')
        >>> layouts["mlp/dense_2/bias"] is None
        True
    """

    def __init__(self, device_mesh: DeviceMesh) -> None:
        self.device_mesh = device_mesh
        self._layouts: dict[str, TensorLayout] = {}

    def matching(self, *paths: str) -> str | None:
        """The key for something of these paths: the same text, or else the one pattern that matches; None: no key."""
        same = [path for path in paths if path in self._layouts]
        found = same or [key for key in self._layouts if any(re.fullmatch(key, path) for path in paths)]
        if len(found) > 1:
            raise ArgumentError(f"LayoutMap: {paths[0]!r} is matched by several keys, {found}: at most one may match.")
        return found[0] if found else None

    def __getitem__(self, key: str) -> TensorLayout | None:
        found = self.matching(key)
        return None if found is None else self._layouts[found]

    def __setitem__(self, key: str, layout: TensorLayout | Sequence[str | None]) -> None:
        if key in self._layouts:
            raise ArgumentError(f"LayoutMap: there is a layout for {key!r} already; delete it first.")
        if isinstance(layout, (tuple, list)):
            layout = TensorLayout(layout)
        if not isinstance(layout, TensorLayout):
            raise ArgumentError(
                f"LayoutMap: the value for {key!r} must be a TensorLayout or a tuple of names and None; got {layout!r}."
            )
        if layout.device_mesh is None:
            layout.device_mesh = self.device_mesh
        self._layouts[key] = layout

    def __delitem__(self, key: str) -> None:
        del self._layouts[key]

    def __len__(self) -> int:
        return len(self._layouts)

    def __iter__(self) -> Iterator[str]:
        return iter(self._layouts)


def distribute_tensor(tensor: Any, layout: TensorLayout) -> Any:
    """The tensor, the same in all processes, as one that lies as the layout says (torch's DTensor).

    Args:
        tensor: Any tensor; a symbolic one comes back as it is.
        layout: Where its parts lie. It must have a mesh, and every process must call this.

    Raises:
        ArgumentError: A tensor that the layout does not fit.
    """
    from torch.distributed.tensor import DTensor
    from torch.distributed.tensor import distribute_tensor as distribute

    if isinstance(tensor, SymbolicTensor):
        return tensor
    layout.check_fits(tensor.shape, "The tensor")
    mesh, placements = layout.backend_layout
    if isinstance(tensor, DTensor):
        return tensor.redistribute(mesh, placements)
    return distribute(tensor, mesh, placements)

"""`predict` of one batch for a plain model on the CPU: there, what `predict` sets up costs more than it."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from torch.utils import _pytree as pytree

from lamella.data.arrays import check_finite
from lamella.engine import cluster, masking
from lamella.engine.device import device_of
from lamella.engine.kernels import best_matmul
from lamella.engine.variable import as_array
from lamella.training.preparation import data_dtype
from lamella.training.step import overridden

_PLAIN = frozenset(map(np.dtype, ("float32", "float64", "uint8", "int32", "int64")))


def takes_at_once(model: Any, x: Any, batch_size: int) -> bool:
    """Whether `x` is one batch for a plain model on the CPU."""
    own = model.__dict__  # torch's own look-up takes as long as a small layer
    if type(x) is not np.ndarray or x.dtype not in _PLAIN or own.get("_graph") is None or not x.flags.carray:
        return False
    if own["_on_cpu"] is None:
        own["_on_cpu"] = device_of(model).type == "cpu"
    return (
        0 < len(x) <= batch_size
        and own["_on_cpu"]
        and not (own["_forward_hooks"] or own["_forward_pre_hooks"] or masking.in_use)
        and not overridden(model, "predict_step")
        and cluster.active is None
    )


def predict_at_once(model: Any, x: np.ndarray) -> Any:
    """The outputs for one such batch."""
    if x.dtype.kind == "f":
        flat = x.reshape(-1)
        if not math.isfinite(flat.dot(flat)):  # or so large that their squares are not
            check_finite("x", torch.from_numpy(x))
    tensor = torch.from_numpy(x)
    tensor = tensor.to(data_dtype(model)) if x.dtype == np.float64 else tensor
    with torch.inference_mode():
        if len(x) == 1:
            outputs = _STRAIGHT(model, tensor)
        else:
            with best_matmul(tensor.device, model.precision):
                outputs = _STRAIGHT(model, tensor)
    if type(outputs) is torch.Tensor and outputs.dtype is torch.float32:
        return outputs.numpy()
    return pytree.tree_map(as_array, outputs)


class _Straight(torch.nn.Module):
    """Calls a model's `call` alone; layers that ask whether they were called by hand see that they were not."""

    def forward(self, model: Any, x: torch.Tensor) -> Any:
        return model.call(x)


_STRAIGHT = _Straight()

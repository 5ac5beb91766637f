"""What `import tensorflow as tf` gives under `lamella run`: `tf.keras`, and what tutorials use around it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import torch

import lamella as keras
from lamella import activations
from lamella.engine.dtypes import torch_dtype
from lamella.utils import set_random_seed

__version__ = f"0 (Lamella {keras.__version__})"

float16, float32, float64 = torch.float16, torch.float32, torch.float64
int32, int64, uint8 = torch.int32, torch.int64, torch.uint8


def convert_to_tensor(value: Any, dtype: Any = None) -> torch.Tensor:
    """A torch tensor of an array or a number."""
    return torch.as_tensor(value, dtype=None if dtype is None else torch_dtype(dtype))


constant = convert_to_tensor


def cast(x: Any, dtype: Any) -> torch.Tensor:
    """The tensor in another type."""
    return torch.as_tensor(x).to(torch_dtype(dtype))


def reduce_mean(x: Any, axis: Any = None, keepdims: bool = False) -> torch.Tensor:
    """The mean."""
    x = torch.as_tensor(x)
    return x.mean() if axis is None else x.mean(dim=axis, keepdim=keepdims)


def reduce_sum(x: Any, axis: Any = None, keepdims: bool = False) -> torch.Tensor:
    """The sum."""
    x = torch.as_tensor(x)
    return x.sum() if axis is None else x.sum(dim=axis, keepdim=keepdims)


def argmax(x: Any, axis: int | None = None) -> torch.Tensor:
    """The place of the largest."""
    return torch.as_tensor(x).argmax(dim=axis)


def _devices(kind: str | None = None) -> list[str]:
    found = [f"GPU:{i}" for i in range(torch.cuda.device_count())]
    return [name for name in ["CPU:0", *found] if kind is None or name.startswith(kind)]


nn = SimpleNamespace(
    relu=activations.relu,
    sigmoid=activations.sigmoid,
    softmax=activations.softmax,
    tanh=activations.tanh,
    leaky_relu=activations.leaky_relu,
)
random = SimpleNamespace(set_seed=set_random_seed)
config = SimpleNamespace(list_physical_devices=_devices)
test = SimpleNamespace(is_gpu_available=torch.cuda.is_available)
newaxis = None


def __getattr__(name: str) -> Any:
    from lamella.keras_alias import refuse_unknown

    known = [
        each for each in globals() if not each.startswith("_") and each not in ("annotations", "Any", "SimpleNamespace")
    ]
    raise refuse_unknown("tensorflow", name, known)

"""What `import tensorflow as tf` gives under `lamella run`: `tf.keras`, and what tutorials use around it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import torch

import lamella as keras
from lamella import activations
from lamella.engine.dtypes import torch_dtype
from lamella.utils import set_random_seed

__all__ = [
    "argmax",
    "cast",
    "config",
    "constant",
    "convert_to_tensor",
    "float16",
    "float32",
    "float64",
    "int32",
    "int64",
    "keras",
    "newaxis",
    "nn",
    "random",
    "reduce_mean",
    "reduce_sum",
    "test",
    "uint8",
]

# The first TensorFlow whose tf.keras is Keras 3; scripts compare versions, so it must read as one.
__version__ = f"2.16.0+lamella.{keras.__version__}"

float16, float32, float64 = torch.float16, torch.float32, torch.float64
int32, int64, uint8 = torch.int32, torch.int64, torch.uint8


def convert_to_tensor(value: Any, dtype: Any = None) -> torch.Tensor:
    """A torch tensor of an array or a number; Python's whole numbers become int32, as in TensorFlow."""
    tensor = torch.as_tensor(value, dtype=None if dtype is None else torch_dtype(dtype))
    untyped = dtype is None and not hasattr(value, "dtype") and tensor.dtype is torch.int64
    return tensor.to(torch.int32) if untyped else tensor


constant = convert_to_tensor


def cast(x: Any, dtype: Any) -> torch.Tensor:
    """The tensor in another type."""
    return torch.as_tensor(x).to(torch_dtype(dtype))


def reduce_mean(x: Any, axis: Any = None, keepdims: bool = False) -> torch.Tensor:
    """The mean; of whole numbers a whole number, as in TensorFlow."""
    x = torch.as_tensor(x)
    mean = (x if x.is_floating_point() else x.double()).mean(dim=axis, keepdim=keepdims)
    return mean.to(x.dtype)


def reduce_sum(x: Any, axis: Any = None, keepdims: bool = False) -> torch.Tensor:
    """The sum."""
    x = torch.as_tensor(x)
    return x.sum(dim=axis, keepdim=keepdims, dtype=x.dtype)


def argmax(x: Any, axis: int | None = None) -> torch.Tensor:
    """The place of the largest, along the first axis by default."""
    return torch.as_tensor(x).argmax(dim=axis or 0)


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

    raise refuse_unknown("tensorflow", name, __all__)

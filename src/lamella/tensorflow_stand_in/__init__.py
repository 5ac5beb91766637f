"""What `import tensorflow as tf` gives under `lamella run`: `tf.keras`, and what tutorials use around it, on torch."""

from __future__ import annotations

import contextlib
from types import SimpleNamespace
from typing import Any

import torch

import lamella as keras
from lamella import initializers, losses, metrics, optimizers
from lamella.engine.dtypes import torch_dtype
from lamella.engine.tensor_shape import TensorShape
from lamella.engine.tensor_spec import TensorSpec
from lamella.engine.tensor_spec import spec_of as type_spec_from_value
from lamella.tensorflow_stand_in import (
    audio,
    autograph,
    compat,
    config,
    data,
    debugging,
    distribute,
    errors,
    functions,
    image,
    io,
    linalg,
    lookup,
    loops,
    nn,
    ragged,
    random,
    saved_model,
    scattering,
    signal,
    sparse,
    strings,
    summary,
    test,
    train,
)
from lamella.tensorflow_stand_in.devices import device
from lamella.tensorflow_stand_in.gradient_tape import GradientTape, UnconnectedGradients
from lamella.tensorflow_stand_in.indexed_slices import IndexedSlices
from lamella.tensorflow_stand_in.modules import Module
from lamella.tensorflow_stand_in.ragged_tensor import RaggedTensor
from lamella.tensorflow_stand_in.sparse_tensor import SparseTensor
from lamella.tensorflow_stand_in.tensors import (
    Tensor,
    cast,
    constant,
    is_tensor,
    shape,
    string,
)
from lamella.tensorflow_stand_in.tensors import own_tensor as convert_to_tensor
from lamella.tensorflow_stand_in.type_specs import RaggedTensorSpec, SparseTensorSpec
from lamella.tensorflow_stand_in.variables import Variable

# The first TensorFlow whose tf.keras is Keras 3; scripts compare versions, so it must read as one.
__version__ = f"2.16.0+lamella.{keras.__version__.rpartition('lamella.')[2]}"

bool = torch.bool
float16, float32, float64, bfloat16 = torch.float16, torch.float32, torch.float64, torch.bfloat16
int8, int16, int32, int64, uint8 = torch.int8, torch.int16, torch.int32, torch.int64, torch.uint8
double, half = float64, float16
complex64, complex128 = torch.complex64, torch.complex128
newaxis = None
print = print

math = functions
for _room in (functions, loops, scattering):
    for _name in _room.__all__:
        globals()[_name] = getattr(_room, _name)

zeros_initializer, ones_initializer = initializers.Zeros, initializers.Ones
random_normal_initializer = initializers.RandomNormal
random_uniform_initializer = initializers.RandomUniform


class constant_initializer(initializers.Constant):
    """Fills with one number, or with as many as there are, in whatever shape they are given."""

    def __call__(self, shape: Any, dtype: Any = None) -> Any:
        given = convert_to_tensor(self.value)
        if given.ndim and given.numel() == torch.Size(shape).numel():
            return cast(given.reshape(tuple(shape)), dtype or torch.float32)
        return super().__call__(shape, dtype)


cast = ragged.ragged_too("cast", cast)
name_scope = control_dependencies = contextlib.nullcontext


as_dtype = torch_dtype
dtypes = SimpleNamespace(
    as_dtype=torch_dtype,
    cast=cast,
    string=string,
    **{name: globals()[name] for name in "bool float16 float32 float64 bfloat16 double half".split()},
    **{name: globals()[name] for name in "int8 int16 int32 int64 uint8 complex64 complex128".split()},
)


version = SimpleNamespace(VERSION=__version__)


def executing_eagerly() -> Any:
    """True: functions run as they are written."""
    return True


__all__ = [
    "GradientTape",
    "IndexedSlices",
    "Module",
    "RaggedTensor",
    "RaggedTensorSpec",
    "SparseTensor",
    "SparseTensorSpec",
    "Tensor",
    "TensorShape",
    "TensorSpec",
    "UnconnectedGradients",
    "Variable",
    "as_dtype",
    "audio",
    "autograph",
    "bfloat16",
    "bool",
    "cast",
    "compat",
    "complex64",
    "complex128",
    "config",
    "constant",
    "constant_initializer",
    "control_dependencies",
    "convert_to_tensor",
    "data",
    "debugging",
    "device",
    "distribute",
    "double",
    "dtypes",
    "errors",
    "executing_eagerly",
    "float16",
    "float32",
    "float64",
    "half",
    "image",
    "initializers",
    "int8",
    "int16",
    "int32",
    "int64",
    "io",
    "is_tensor",
    "keras",
    "linalg",
    "lookup",
    "losses",
    "math",
    "metrics",
    "name_scope",
    "newaxis",
    "nn",
    "ones_initializer",
    "optimizers",
    "print",
    "ragged",
    "random",
    "random_normal_initializer",
    "random_uniform_initializer",
    "saved_model",
    "shape",
    "signal",
    "sparse",
    "string",
    "strings",
    "summary",
    "test",
    "train",
    "type_spec_from_value",
    "uint8",
    "version",
    "zeros_initializer",
]
__all__ += functions.__all__ + loops.__all__ + scattering.__all__


def __getattr__(name: str) -> Any:
    from lamella.keras_alias import refuse_unknown

    raise refuse_unknown("tensorflow", name, __all__)

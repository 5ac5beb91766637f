"""Layers: each is a `torch.nn.Module` with Keras's arguments, weights and numerics."""

from collections.abc import Mapping
from typing import Any

from lamella.engine import registry as _names
from lamella.layers.activation import ELU, Activation, LeakyReLU, PReLU, ReLU, Softmax
from lamella.layers.base import InputSpec, Layer, registry
from lamella.layers.batch_normalization import BatchNormalization
from lamella.layers.convolution import Conv2D, Convolution2D
from lamella.layers.dense import Dense
from lamella.layers.dropout import Dropout, GaussianNoise
from lamella.layers.embedding import Embedding
from lamella.layers.input_layer import Input, InputLayer
from lamella.layers.lambda_layer import Lambda
from lamella.layers.layer_normalization import LayerNormalization
from lamella.layers.merging import (
    Add,
    Average,
    Concatenate,
    Dot,
    Maximum,
    Minimum,
    Multiply,
    Subtract,
    add,
    average,
    concatenate,
    dot,
    maximum,
    minimum,
    multiply,
    subtract,
)
from lamella.layers.pooling import (
    AveragePooling2D,
    AvgPool2D,
    GlobalAveragePooling2D,
    GlobalAvgPool2D,
    GlobalMaxPool2D,
    GlobalMaxPooling2D,
    MaxPool2D,
    MaxPooling2D,
)
from lamella.layers.preprocessing import Normalization, Rescaling
from lamella.layers.reshaping import Flatten, Identity, Permute, RepeatVector, Reshape
from lamella.layers.torch_module import TorchModule

__all__ = [
    "ELU",
    "Activation",
    "Add",
    "Average",
    "AveragePooling2D",
    "AvgPool2D",
    "BatchNormalization",
    "Concatenate",
    "Conv2D",
    "Convolution2D",
    "Dense",
    "Dot",
    "Dropout",
    "Embedding",
    "Flatten",
    "GaussianNoise",
    "GlobalAveragePooling2D",
    "GlobalAvgPool2D",
    "GlobalMaxPool2D",
    "GlobalMaxPooling2D",
    "Identity",
    "Input",
    "InputLayer",
    "InputSpec",
    "Lambda",
    "Layer",
    "LayerNormalization",
    "LeakyReLU",
    "MaxPool2D",
    "MaxPooling2D",
    "Maximum",
    "Minimum",
    "Multiply",
    "Normalization",
    "PReLU",
    "Permute",
    "ReLU",
    "RepeatVector",
    "Rescaling",
    "Reshape",
    "Softmax",
    "Subtract",
    "TorchModule",
    "add",
    "average",
    "concatenate",
    "deserialize",
    "dot",
    "maximum",
    "minimum",
    "multiply",
    "serialize",
    "subtract",
]


def serialize(layer: Any) -> Any:
    """The config of a layer, in Keras's form.

    Example:
        >>> serialize(Dense(3, name="d"))["class_name"]
        'Dense'
    """
    return _names.serialize(layer)


def deserialize(config: Any, custom_objects: Mapping[str, Any] | None = None) -> Any:
    """The layer that `serialize` described.

    Example:
        >>> deserialize(serialize(Dense(3, name="d"))).units
        3
    """
    return registry.get(config, custom_objects)

"""Lamella: Keras's interface on PyTorch's engine.

import lamella as keras
"""

from lamella import (
    activations,
    backend,
    callbacks,
    constraints,
    datasets,
    errors,
    initializers,
    layers,
    losses,
    metrics,
    models,
    optimizers,
    regularizers,
    saving,
    utils,
)
from lamella.engine.device import device
from lamella.engine.dtypes import floatx, set_floatx
from lamella.initializers import Initializer
from lamella.layers import Input, InputSpec, Layer
from lamella.losses import Loss
from lamella.metrics import Metric
from lamella.models import Model, Sequential
from lamella.optimizers import Optimizer
from lamella.regularizers import Regularizer

__version__ = "0.1.0"

__all__ = [
    "Initializer",
    "Input",
    "InputSpec",
    "Layer",
    "Loss",
    "Metric",
    "Model",
    "Optimizer",
    "Regularizer",
    "Sequential",
    "__version__",
    "activations",
    "backend",
    "callbacks",
    "constraints",
    "datasets",
    "device",
    "errors",
    "floatx",
    "initializers",
    "layers",
    "losses",
    "metrics",
    "models",
    "optimizers",
    "regularizers",
    "saving",
    "set_floatx",
    "utils",
]

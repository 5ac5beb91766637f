"""Lamella: Keras's interface on PyTorch's engine.

import lamella as keras
"""

import gc as _gc
import importlib as _importlib
from typing import Any as _Any

_collects = _gc.isenabled()
_gc.disable()  # a collection while importing would look through all of torch: a fifth of the whole time

from lamella import (
    activations,
    backend,
    callbacks,
    config,
    constraints,
    datasets,
    dtype_policies,
    errors,
    initializers,
    layers,
    losses,
    metrics,
    mixed_precision,
    models,
    optimizers,
    quantizers,
    regularizers,
    tree,
    utils,
)
from lamella.dtype_policies import DTypePolicy, FloatDTypePolicy
from lamella.engine.device import device
from lamella.engine.dtypes import floatx, set_floatx
from lamella.engine.remat_scope import RematScope
from lamella.engine.stateless_scope import StatelessScope
from lamella.initializers import Initializer
from lamella.keras_names import Function, KerasTensor, Operation, Variable, name_scope, remat, version
from lamella.layers import Input, InputSpec, Layer
from lamella.losses import Loss
from lamella.metrics import Metric
from lamella.models import Model, Sequential
from lamella.optimizers import Optimizer
from lamella.quantizers import Quantizer
from lamella.regularizers import Regularizer

if _collects:
    # What is loaded now stays to the end. Looked through no more, it costs neither the collections while training nor
    # half a second when the process ends.
    _gc.freeze()
    _gc.enable()

__version__ = "0.1.0"

__all__ = [
    "DTypePolicy",
    "FloatDTypePolicy",
    "Function",
    "Initializer",
    "Input",
    "InputSpec",
    "KerasTensor",
    "Layer",
    "Loss",
    "Metric",
    "Model",
    "Operation",
    "Optimizer",
    "Quantizer",
    "Regularizer",
    "RematScope",
    "Sequential",
    "StatelessScope",
    "Variable",
    "__version__",
    "activations",
    "applications",
    "backend",
    "callbacks",
    "config",
    "constraints",
    "datasets",
    "device",
    "distillation",
    "distribution",
    "doctor",
    "dtype_policies",
    "energy",
    "errors",
    "export",
    "floatx",
    "initializers",
    "language",
    "layers",
    "losses",
    "metrics",
    "mixed_precision",
    "models",
    "name_scope",
    "neurons",
    "ops",
    "optimizers",
    "preprocessing",
    "pretraining",
    "quantizers",
    "random",
    "regularizers",
    "remat",
    "report",
    "saving",
    "sequences",
    "serving",
    "set_floatx",
    "study",
    "tree",
    "trees",
    "utils",
    "version",
    "vision",
    "visualization",
    "wrappers",
]


_LATER = frozenset(
    {
        "applications",
        "distillation",
        "distribution",
        "doctor",
        "energy",
        "export",
        "language",
        "neurons",
        "ops",
        "preprocessing",
        "pretraining",
        "random",
        "report",
        "saving",
        "sequences",
        "serving",
        "study",
        "trees",
        "vision",
        "visualization",
        "wrappers",
    }
)
"""Rooms that are loaded at first use: `import lamella` is to be quick."""


def __getattr__(name: str) -> _Any:
    if name in _LATER:
        return _importlib.import_module(f"lamella.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})

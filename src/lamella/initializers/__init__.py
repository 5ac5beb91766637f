"""Initializers: the values that weights start from.

An initializer is called with a shape and gives a tensor. With `seed=None` it draws from torch's global
generator (`set_random_seed` makes that repeatable); with an integer seed it gives the same values each time.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from lamella.engine import registry as _names
from lamella.initializers.base import Initializer, registry
from lamella.initializers.constants import Constant, FixedValues, Identity, Ones, Zeros
from lamella.initializers.fourier import STFT
from lamella.initializers.random import Orthogonal, RandomNormal, RandomUniform, TruncatedNormal
from lamella.initializers.scaled import (
    GlorotNormal,
    GlorotUniform,
    HeNormal,
    HeUniform,
    LecunNormal,
    LecunUniform,
    VarianceScaling,
    compute_fans,
)


def get(identifier: Any) -> Any:
    """The initializer for a name, a config, a class, an object, a callable or an array of values.

    Raises:
        UnknownNameError: A name that is not known; the message lists the nearest.

    Example:
        >>> get("he_normal").get_config()["seed"] is None
        True
    """
    if isinstance(identifier, (torch.Tensor, np.ndarray, np.generic)):
        return FixedValues(identifier)
    return registry.get(identifier)


def serialize(initializer: Any) -> Any:
    """The config of an initializer, in Keras's form."""
    return _names.serialize(initializer)


def deserialize(config: Any, custom_objects: Mapping[str, Any] | None = None) -> Any:
    """The initializer that `serialize` described."""
    return registry.get(config, custom_objects)


zeros = Zeros
ones = Ones
constant = Constant
identity = Identity
random_normal = RandomNormal
random_uniform = RandomUniform
truncated_normal = TruncatedNormal
variance_scaling = VarianceScaling
glorot_normal = GlorotNormal
glorot_uniform = GlorotUniform
he_normal = HeNormal
he_uniform = HeUniform
lecun_normal = LecunNormal
lecun_uniform = LecunUniform
orthogonal = Orthogonal
stft = STFT
IdentityInitializer = Identity
OrthogonalInitializer = Orthogonal
STFTInitializer = STFT

__all__ = [
    "STFT",
    "Constant",
    "GlorotNormal",
    "GlorotUniform",
    "HeNormal",
    "HeUniform",
    "Identity",
    "IdentityInitializer",
    "Initializer",
    "LecunNormal",
    "LecunUniform",
    "Ones",
    "Orthogonal",
    "OrthogonalInitializer",
    "RandomNormal",
    "RandomUniform",
    "STFTInitializer",
    "TruncatedNormal",
    "VarianceScaling",
    "Zeros",
    "compute_fans",
    "constant",
    "deserialize",
    "get",
    "glorot_normal",
    "glorot_uniform",
    "he_normal",
    "he_uniform",
    "identity",
    "lecun_normal",
    "lecun_uniform",
    "ones",
    "orthogonal",
    "random_normal",
    "random_uniform",
    "serialize",
    "stft",
    "truncated_normal",
    "variance_scaling",
    "zeros",
]

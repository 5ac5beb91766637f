"""Policies by name or config, and the policy of new layers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lamella.dtype_policies.policy import DTypePolicy, dtype_policy, keep_as_default, registry
from lamella.dtype_policies.quantized import quantized_policy
from lamella.engine import registry as _names
from lamella.engine.dtypes import dtype_name
from lamella.errors import ArgumentError


def set_dtype_policy(policy: Any) -> None:
    """Sets the policy of new layers: a name or a `DTypePolicy`; None for `floatx()` again.

    Example:
        >>> import lamella, numpy as np
        >>> set_dtype_policy("mixed_bfloat16")
        >>> layer = lamella.layers.Dense(2)
        >>> set_dtype_policy(None)
        >>> layer(np.ones((1, 3))).dtype, layer.kernel.dtype
        (torch.bfloat16, torch.float32)
    """
    if policy is not None and not isinstance(policy, (str, DTypePolicy)):
        raise ArgumentError(f"`policy` must be a name such as 'mixed_bfloat16' or a DTypePolicy; got {policy!r}.")
    keep_as_default(None if policy is None else get(policy))


def get(identifier: Any) -> DTypePolicy:
    """The policy for a name, a config, a data type or a policy; None gives that of `set_dtype_policy`.

    Example:
        >>> get("mixed_float16").variable_dtype, get("int8_from_float32").quantization_mode
        ('float32', 'int8')
    """
    if identifier is None:
        return dtype_policy()
    if isinstance(identifier, DTypePolicy):
        return identifier
    if isinstance(identifier, dict):
        return deserialize(identifier)
    name = identifier if isinstance(identifier, str) else dtype_name(identifier)
    return quantized_policy(name) if "_from_" in name else DTypePolicy(name)


def serialize(dtype_policy: DTypePolicy) -> Any:
    """The config of a policy, in Keras's form."""
    return _names.serialize(dtype_policy)


def deserialize(config: Any, custom_objects: Mapping[str, Any] | None = None) -> Any:
    """The policy that `serialize` described."""
    return registry.get(config, custom_objects)

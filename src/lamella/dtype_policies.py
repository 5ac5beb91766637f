"""Data-type policies: in which type a layer computes, and in which it keeps its weights."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, MutableMapping
from typing import Any

import torch

from lamella.engine import registry as _names
from lamella.engine.dtypes import dtype_name, floatx, torch_dtype
from lamella.engine.registry import Registry
from lamella.errors import ArgumentError, UnknownNameError

registry = Registry("dtype policy", "keras.dtype_policies")

_MIXED = {"mixed_float16": "float16", "mixed_bfloat16": "bfloat16"}


@registry.register(written_as=("keras", "DTypePolicy"))
class DTypePolicy:
    """A type to compute in and a type to keep weights in.

    Args:
        name: A data type, for both; or `"mixed_float16"` or `"mixed_bfloat16"`: computed in the short type, kept in
            float32. By default the policy of `set_dtype_policy`.

    Raises:
        ArgumentError: Another name.

    Example:
        >>> policy = DTypePolicy("mixed_bfloat16")
        >>> policy.compute_dtype, policy.variable_dtype
        ('bfloat16', 'float32')
    """

    def __init__(self, name: str | None = None) -> None:
        name = dtype_policy().name if name is None else name
        if not isinstance(name, str):
            raise TypeError(f"The name of a dtype policy is a string such as 'mixed_bfloat16'; got {name!r}.")
        self._name = name
        if name in _MIXED:
            self._compute_dtype, self._variable_dtype = _MIXED[name], "float32"
            return
        try:
            self._compute_dtype = self._variable_dtype = dtype_name(name)
        except UnknownNameError:
            raise ArgumentError(
                f"There is no dtype policy {name!r}: give a data type such as 'float32', 'mixed_float16' or "
                f"'mixed_bfloat16'. Quantised policies are not supported."
            ) from None

    @property
    def name(self) -> str:
        """The name."""
        return self._name

    @property
    def compute_dtype(self) -> str:
        """The type that layers compute in."""
        return self._compute_dtype

    @property
    def variable_dtype(self) -> str:
        """The type that weights are kept in."""
        return self._variable_dtype

    @property
    def quantization_mode(self) -> None:
        """None: nothing is quantised."""
        return None

    def convert_input(self, x: Any, autocast: bool, dtype: Any) -> Any:
        """`x` as a tensor; with `autocast`, floating-point numbers in `dtype`."""
        if not hasattr(x, "dtype"):
            return x
        wanted = torch_dtype(dtype)
        tensor = torch.as_tensor(x) if hasattr(x, "__array_interface__") else x
        return tensor.to(wanted) if autocast and tensor.dtype.is_floating_point and tensor.dtype != wanted else tensor

    def get_config(self) -> dict[str, Any]:
        """The arguments that make this policy again."""
        return {"name": self._name}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> DTypePolicy:
        """The policy that `get_config` described."""
        return cls(**config)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, DTypePolicy) and self._name == other._name

    def __hash__(self) -> int:
        return hash(self._name)

    def __repr__(self) -> str:
        return f'<DTypePolicy "{self._name}">'


@registry.register(written_as=("keras", "FloatDTypePolicy"))
class FloatDTypePolicy(DTypePolicy):
    """`DTypePolicy` under its older name."""


@registry.register()
class DTypePolicyMap(DTypePolicy, MutableMapping[str, DTypePolicy]):
    """Policies by the names of layers; a key is a name or a regular expression that fits all of it.

    Args:
        default_policy: The policy of all other layers.
        policy_map: Policies by key.

    Example:
        >>> policies = DTypePolicyMap("float32", {"encoder/.*": DTypePolicy("bfloat16")})
        >>> policies["encoder/dense"].name, policies["head"].name
        ('bfloat16', 'float32')
    """

    def __init__(self, default_policy: Any = None, policy_map: dict[str, DTypePolicy] | None = None) -> None:
        if isinstance(default_policy, DTypePolicyMap):
            raise ArgumentError("`default_policy` must be one policy, not a DTypePolicyMap.")
        if policy_map is not None and not isinstance(policy_map, dict):
            raise TypeError(f"`policy_map` must be a dict; got {policy_map!r}.")
        self._given = default_policy
        self._default = get(default_policy)
        super().__init__(self._default.name)
        self._name = f"map_{self._default.name}"
        self._map: dict[str, DTypePolicy] = dict(policy_map or {})

    @property
    def default_policy(self) -> DTypePolicy:
        """The policy of what no key fits."""
        return self._default

    def __getitem__(self, key: str) -> DTypePolicy:
        if key in self._map:
            return self._map[key]
        fitting = [pattern for pattern in self._map if re.fullmatch(pattern, key)]
        if len(fitting) > 1:
            raise ArgumentError(f"More than one key of the DTypePolicyMap fits {key!r}: {fitting}.")
        return self._map[fitting[0]] if fitting else self._default

    def __setitem__(self, key: str, policy: Any) -> None:
        if key in self._map:
            raise ArgumentError(f"{key!r} has the policy {self._map[key].name!r} already.")
        self._map[key] = get(policy)

    def __delitem__(self, key: str) -> None:
        del self._map[key]

    def __contains__(self, key: object) -> bool:
        return key in self._map

    def __iter__(self) -> Iterator[str]:
        return iter(self._map)

    def __len__(self) -> int:
        return len(self._map)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, DTypePolicyMap) and (self._default, self._map) == (other._default, other._map)

    __hash__ = object.__hash__

    def get_config(self) -> dict[str, Any]:
        return {"default_policy": _names.serialize(self._given), "policy_map": _names.serialize(self._map)}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> DTypePolicyMap:
        return cls(_names.deserialize(config["default_policy"]), _names.deserialize(config["policy_map"]))

    def __repr__(self) -> str:
        inner = {key: policy.name for key, policy in self._map.items()}
        return f"<DTypePolicyMap default={self._default.name!r} {inner}>"


_POLICY: DTypePolicy | None = None


def dtype_policy() -> DTypePolicy:
    """The policy of new layers: that of `set_dtype_policy`, else `floatx()`.

    Example:
        >>> dtype_policy()
        <DTypePolicy "float32">
    """
    return DTypePolicy(floatx()) if _POLICY is None else _POLICY


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
    global _POLICY
    if policy is not None and not isinstance(policy, (str, DTypePolicy)):
        raise ArgumentError(f"`policy` must be a name such as 'mixed_bfloat16' or a DTypePolicy; got {policy!r}.")
    _POLICY = None if policy is None else get(policy)


def get(identifier: Any) -> DTypePolicy:
    """The policy for a name, a config, a data type or a policy; None gives that of `set_dtype_policy`.

    Example:
        >>> get("mixed_float16").variable_dtype
        'float32'
    """
    if identifier is None:
        return dtype_policy()
    if isinstance(identifier, DTypePolicy):
        return identifier
    if isinstance(identifier, dict):
        return deserialize(identifier)
    return DTypePolicy(identifier if isinstance(identifier, str) else dtype_name(identifier))


def serialize(dtype_policy: DTypePolicy) -> Any:
    """The config of a policy, in Keras's form."""
    return _names.serialize(dtype_policy)


def deserialize(config: Any, custom_objects: Mapping[str, Any] | None = None) -> Any:
    """The policy that `serialize` described."""
    return registry.get(config, custom_objects)


__all__ = [
    "DTypePolicy",
    "DTypePolicyMap",
    "FloatDTypePolicy",
    "deserialize",
    "get",
    "serialize",
]

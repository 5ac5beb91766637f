"""`DTypePolicyMap`: policies by the names of layers."""

from __future__ import annotations

import re
from collections.abc import Iterator, MutableMapping
from typing import Any

from lamella.dtype_policies.names import get
from lamella.dtype_policies.policy import DTypePolicy, registry
from lamella.engine import registry as _names
from lamella.errors import ArgumentError


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


__all__ = ["DTypePolicyMap"]

"""Data-type policies: in which type a layer computes, and in which it keeps its weights."""

from __future__ import annotations

from typing import Any

import torch

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
                f"'mixed_bfloat16', or of quantized layers a name such as 'int8_from_float32'."
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
    def quantization_mode(self) -> str | None:
        """The name of the kind of quantization; None where nothing is quantized."""
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


_POLICY: DTypePolicy | None = None


def dtype_policy() -> DTypePolicy:
    """The policy of new layers: that of `set_dtype_policy`, else `floatx()`.

    Example:
        >>> dtype_policy()
        <DTypePolicy "float32">
    """
    return DTypePolicy(floatx()) if _POLICY is None else _POLICY


def keep_as_default(policy: DTypePolicy | None) -> None:
    """Makes `policy` that of new layers; None for `floatx()` again."""
    global _POLICY
    _POLICY = policy


__all__ = ["DTypePolicy", "FloatDTypePolicy", "dtype_policy", "keep_as_default", "registry"]

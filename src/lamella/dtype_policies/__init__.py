"""Data-type policies: in which type a layer computes, and in which it keeps its weights."""

from lamella.dtype_policies.names import deserialize, get, serialize, set_dtype_policy
from lamella.dtype_policies.policy import DTypePolicy, FloatDTypePolicy, dtype_policy
from lamella.dtype_policies.policy_map import DTypePolicyMap
from lamella.dtype_policies.quantized import (
    AWQDTypePolicy,
    GPTQDTypePolicy,
    Int4DTypePolicy,
    QuantizedDTypePolicy,
    QuantizedFloat8DTypePolicy,
)

__all__ = [
    "AWQDTypePolicy",
    "DTypePolicy",
    "DTypePolicyMap",
    "FloatDTypePolicy",
    "GPTQDTypePolicy",
    "Int4DTypePolicy",
    "QuantizedDTypePolicy",
    "QuantizedFloat8DTypePolicy",
    "deserialize",
    "dtype_policy",
    "get",
    "serialize",
    "set_dtype_policy",
]

"""The part of a layer that says in which types it computes and keeps its weights."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from lamella import dtype_policies
from lamella.engine.dtypes import dtype_name, torch_dtype
from lamella.errors import ArgumentError

_FLOATS = frozenset({torch.float16, torch.bfloat16, torch.float32, torch.float64})


class HasPolicy(nn.Module):
    """A module with a dtype policy. `Layer` builds on it, and has the methods that are declared here."""

    name: str
    _own_weights: Any
    _settle: Any

    def _use_policy(self, policy: Any) -> None:
        given = dtype_policies.get(policy)
        self._policy = given[self.name] if isinstance(given, dtype_policies.DTypePolicyMap) else given
        self._given_policy = given
        self._dtype = self._policy.variable_dtype
        self._float = torch_dtype(self._policy.compute_dtype)
        self._is_mixed = self._dtype != self._policy.compute_dtype

    @property
    def dtype(self) -> str:
        """The name of the data type of the weights."""
        return self._dtype

    variable_dtype = dtype

    @property
    def compute_dtype(self) -> str:
        """The name of the data type that the layer computes in, and of its floating-point outputs."""
        return self._policy.compute_dtype

    @property
    def input_dtype(self) -> str:
        """The name of the data type that the layer brings its inputs into."""
        return self._policy.compute_dtype

    @property
    def dtype_policy(self) -> dtype_policies.DTypePolicy:
        """The policy: in which type the layer computes, and in which its weights are kept."""
        return self._policy

    @dtype_policy.setter
    def dtype_policy(self, policy: Any) -> None:
        before, kind = self._policy, self._dtype
        self._use_policy(policy)
        if self._dtype != kind and self._own_weights():
            self._use_policy(before)
            raise ArgumentError(
                f"Layer {self.name!r} has weights of type {kind}: its policy can change to one that keeps them so "
                f"(such as 'mixed_bfloat16' for float32). To change them, use layer.to(torch.{policy})."
            )
        try:
            self._policy_was_set()
        except ArgumentError:
            self._use_policy(before)
            raise
        self._settle()

    def _apply(self, fn: Callable[[torch.Tensor], torch.Tensor], recurse: bool = True) -> Any:
        policy = self._policy_after(fn)
        super()._apply(fn, recurse)
        if policy is not self._policy:
            self._use_policy(policy)
            self._settle()
        return self

    def _policy_after(self, fn: Callable[[torch.Tensor], torch.Tensor]) -> dtype_policies.DTypePolicy:
        """The policy of a layer whose weights go through `fn`: that of `layer.half()` is "float16"."""
        before = torch_dtype(self._dtype)
        kind = fn(torch.empty((), dtype=before)).dtype
        if kind is before or kind not in _FLOATS:
            return self._policy
        mode = self._policy.quantization_mode and self._policy.name.partition("_from_")[0]
        return dtype_policies.get(f"{mode}_from_{dtype_name(kind)}" if mode else dtype_name(kind))

    def _policy_was_set(self) -> None:
        """What a layer does that follows its policy."""

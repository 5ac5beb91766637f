"""Whether tensors are what the quick ways of computing on the CPU are written for."""

from __future__ import annotations

import torch

from lamella.engine import stateless_scope


def are_plain(*tensors: torch.Tensor) -> bool:
    """Whether all are float32 tensors on the CPU, and nothing transforms, traces or casts what is computed of them."""
    for tensor in tensors:
        kind = type(tensor) in (torch.Tensor, torch.nn.Parameter)
        if not kind or tensor.dtype is not torch.float32 or tensor.device.type != "cpu":
            return False
    traced = torch.compiler.is_compiling() or torch.jit.is_tracing()
    return not (traced or transformed() or torch.is_autocast_enabled("cpu"))


def transformed() -> bool:
    """Whether `torch.func` or a `StatelessScope` looks at every operation: what they cannot look into is left aside."""
    return torch._C._are_functorch_transforms_active() or stateless_scope.active is not None

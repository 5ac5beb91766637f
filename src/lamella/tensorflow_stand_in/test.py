"""`tf.test`: what scripts ask of the machine."""

from __future__ import annotations

import torch

__all__ = ["gpu_device_name", "is_built_with_cuda", "is_built_with_gpu_support", "is_gpu_available"]

is_gpu_available = torch.cuda.is_available


def gpu_device_name() -> str:
    """`"/device:GPU:0"`, or nothing where there is no GPU."""
    return "/device:GPU:0" if torch.cuda.is_available() else ""


def is_built_with_cuda() -> bool:
    """Whether this torch was made for CUDA."""
    return torch.version.cuda is not None


def is_built_with_gpu_support() -> bool:
    """Whether this torch was made for CUDA or ROCm."""
    return is_built_with_cuda() or torch.version.hip is not None

"""Denormal numbers as zeros while a model trains: some processors take a hundred times as long for one.

They lie below 1.2e-38 in float32. Moments of gradients that have become zero shrink down there and stay: those of units
that are never active, say. TensorFlow and JAX take them as zeros, too; torch does so on demand, in one thread.
"""

from __future__ import annotations

import ctypes
import platform
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import torch

_REGION = ctypes.CFUNCTYPE(None, ctypes.c_void_p)


@contextmanager
def denormals_as_zeros() -> Iterator[None]:
    """Within it, computations on the CPU take and give zeros for denormal numbers, in this thread and in those that
    torch shares its work with. Where the user has said so before, it stays.

    Example:
        >>> small = torch.tensor(1e-39)
        >>> with denormals_as_zeros():
        ...     inside = (small * 1.0).item()
        >>> inside, (small * 1.0).item() > 0
        (0.0, True)
    """
    threads = torch.get_num_threads()
    if _are_zeros() or not torch.set_flush_denormal(True):
        yield
        return
    _in_all_threads(threads, True)
    try:
        yield
    finally:
        torch.set_flush_denormal(False)
        _in_all_threads(threads, False)


def _are_zeros() -> bool:
    return (torch.tensor(1.0) * 1e-39).item() == 0.0


def _in_all_threads(threads: int, flush: bool) -> None:
    region = _openmp_region()
    if region is not None and threads > 1:
        region(_REGION(lambda _: torch.set_flush_denormal(flush)), None, threads, 0)


@cache
def _openmp_region() -> Callable[..., Any] | None:
    """What runs a function in all threads of the OpenMP that torch works with; None where that is not at hand."""
    if platform.system() != "Linux" or platform.machine() != "x86_64":
        return None
    try:
        region = ctypes.CDLL(str(Path(torch.__file__).parent / "lib" / "libtorch_cpu.so")).GOMP_parallel
    except (OSError, AttributeError):
        return None
    region.argtypes, region.restype = (_REGION, ctypes.c_void_p, ctypes.c_uint, ctypes.c_uint), None
    return region

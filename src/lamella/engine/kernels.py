"""Which kernel multiplies float32 matrices on this CPU.

torch's MKL runs at half speed on AMD processors; its oneDNN does not, and is reached by
`torch.backends.mkldnn.matmul.fp32_precision = "bf16"`. On a processor with bf16 matrix units (AMX) that
setting really rounds to bf16; without them oneDNN computes in float32. So it is chosen only after a check:
the processor has no AMX, the result is as accurate as float32 is, and it is faster for the sizes at hand.
"""

from __future__ import annotations

import ctypes
import platform
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import torch

from lamella.engine import random

ACCURACY = 2e-6
"""The largest relative error (norm of the difference over the norm) that counts as float32-accurate."""

_SMALL = 10**7
"""Multiplications in a product from which on oneDNN is no slower than MKL. Of a tenth it takes twice the time."""


@cache
def cpu_flags() -> frozenset[str]:
    """The features that the processor reports (empty where that cannot be read)."""
    try:
        with open("/proc/cpuinfo") as file:
            for line in file:
                if line.startswith("flags"):
                    return frozenset(line.split(":", 1)[1].split())
    except OSError:
        pass
    return frozenset()


@cache
def is_amd() -> bool:
    """Whether the processor is made by AMD."""
    try:
        with open("/proc/cpuinfo") as file:
            return any("AuthenticAMD" in line for line in file)
    except OSError:
        return "AuthenticAMD" in platform.processor()


def _settings() -> Any:
    mkldnn: Any = getattr(torch.backends, "mkldnn", None)
    matmul = getattr(mkldnn, "matmul", None)
    return matmul if hasattr(matmul, "fp32_precision") and mkldnn.is_available() else None


@cache
def onednn_is_accurate() -> bool:
    """Whether oneDNN's product is float32-accurate on this processor; found by computing one, once."""
    settings = _settings()
    if settings is None or any(flag.startswith("amx") for flag in cpu_flags()):
        return False
    source = torch.Generator().manual_seed(0)
    a, b = (torch.randn(192, 192, generator=source) for _ in range(2))
    with _precision("bf16"):
        product = a @ b
    exact = a.double() @ b.double()
    return bool((product - exact).norm() / exact.norm() < ACCURACY)


@cache
def onednn_is_faster() -> bool:
    """Whether oneDNN multiplies middle-sized matrices faster than the default here; measured once."""
    source = torch.Generator().manual_seed(0)
    a, b = (torch.randn(384, 384, generator=source) for _ in range(2))
    best = {"bf16": float("inf"), "none": float("inf")}
    for _ in range(12):
        for precision in best:
            with _precision(precision):
                start = time.perf_counter()
                a @ b
                best[precision] = min(best[precision], time.perf_counter() - start)
    return best["bf16"] < best["none"]


@contextmanager
def _precision(value: str, settings: Any = None) -> Iterator[None]:
    settings = settings or _settings()
    before = settings.fp32_precision
    settings.fp32_precision = value
    try:
        yield
    finally:
        settings.fp32_precision = before


@contextmanager
def best_matmul(
    device: torch.device, precision: str = "accurate", multiplications: int | None = None
) -> Iterator[None]:
    """Within it, float32 products run on the device's faster unit; a setting that the user made is left alone.

    Args:
        device: Where they are computed.
        precision: `"accurate"`: only where float32's accuracy is kept. `"fast"`: also where factors are rounded,
            to TF32 (10 bits after the leading one) on NVIDIA GPUs, and to bfloat16 (7 bits) on CPUs with bf16 units;
            sums stay in float32.
        multiplications: What the largest product takes, where that is known: by it seeded runs choose.
    """
    settings, quicker = _quicker(device, precision == "fast", multiplications)
    if settings is None or settings.fp32_precision != "none":
        yield
    else:
        with _precision(quicker, settings):
            yield


@contextmanager
def default_matmul() -> Iterator[None]:
    """Within it float32 products on the CPU run by torch's default library.

    It is quick for small products too: those of fused attention, say, where it is compiled.
    """
    settings = _settings()
    if settings is None:
        yield
    else:
        with _precision("none", settings):
            yield


def _quicker(device: torch.device, fast: bool, multiplications: int | None = None) -> tuple[Any, str]:
    if device.type == "cuda" and fast:
        return torch.backends.cuda.matmul, "tf32"
    if device.type != "cpu":
        return None, "none"
    rounds = fast and _has_rounding_units()
    if rounds:
        return _settings(), "bf16"
    if is_amd() and onednn_is_accurate():
        # Seeded runs are to be bit-equal, so what a clock says has no part in them.
        large = multiplications is None or multiplications >= _SMALL
        if large if random.seeded else onednn_is_faster():
            return _settings(), "bf16"
    return None, "none"


def matmul_choices(device: torch.device, precision: str = "accurate") -> tuple[str, ...]:
    """The float32-accurate libraries that `best_matmul` could choose, the one that it does first; for `choose_matmul`.

    Empty where nothing is to be chosen: on other devices, where the user has set a library, or where factors may be
    rounded.
    """
    settings = _settings()
    if device.type != "cpu" or settings is None or settings.fp32_precision != "none" or not is_amd():
        return ()
    if not onednn_is_accurate() or (precision == "fast" and _has_rounding_units()):
        return ()
    return ("bf16", "none") if _quicker(device, fast=False)[1] == "bf16" else ("none", "bf16")


def _has_rounding_units() -> bool:
    """Whether the CPU has units that multiply bfloat16 numbers."""
    return _settings() is not None and not cpu_flags().isdisjoint({"amx_bf16", "avx512_bf16"})


def chosen_matmul() -> str:
    """The library of float32 products that is chosen now, by the name of its setting; "none" is the default."""
    settings = _settings()
    return "none" if settings is None else settings.fp32_precision


def products_are_accurate() -> bool:
    """Whether float32 products on the CPU are float32-accurate now: their factors are not rounded."""
    return chosen_matmul() == "none" or onednn_is_accurate()


def choose_matmul(name: str) -> None:
    """Chooses the library of float32 products by the name of its setting."""
    _settings().fp32_precision = name


@cache
def keep_freed_memory() -> None:
    """Asks the C library to keep freed memory for the next step instead of giving it back to the system.

    A step frees its activations and the next one wants them again: without this, each large tensor is mapped
    and cleared anew by the kernel of the system, every step. The process keeps the memory of its largest step.
    """
    if sys.platform != "linux":
        return
    library = ctypes.CDLL(None)
    if hasattr(library, "mallopt"):  # glibc; the numbers are those of malloc.h
        trim_threshold, mmap_threshold = -1, -3
        library.mallopt(mmap_threshold, 2**30)
        library.mallopt(trim_threshold, 2**31 - 1)

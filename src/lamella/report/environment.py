"""Where a training runs: versions, processor, memory, system; and the command that starts it again."""

from __future__ import annotations

import os
import platform
import shlex
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch


def environment() -> dict[str, str]:
    """Versions, system, processor, memory, threads, and the commit of the working directory.

    Example:
        >>> {"lamella", "torch", "python"} <= environment().keys()
        True
    """
    found = {
        "lamella": version("lamella"),
        "torch": torch.__version__,
        "python": platform.python_version(),
        "numpy": np.__version__,
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "processor": _processor(),
        "cores": str(os.cpu_count() or ""),
        "threads": str(torch.get_num_threads()),
        "memory": _memory(),
        "gpu": _gpu(),
        "commit": _commit(),
    }
    return {name: value for name, value in found.items() if value}


def command() -> str:
    """What to type to train again; empty where that is not known, as in a notebook."""
    arguments = sys.orig_argv[1:]
    if any("ipykernel" in argument for argument in arguments[:2]):
        return ""
    if arguments and Path(arguments[0]).name in ("lamella", "lamella.exe"):
        return shlex.join(["lamella", *arguments[1:]])
    if arguments[:2] == ["-m", "lamella"]:
        return shlex.join(["lamella", *arguments[2:]])
    return shlex.join(["python", *arguments]) if arguments else ""


def seed() -> str:
    """What torch's generator was last seeded with; empty if nobody did."""
    found = torch.initial_seed()
    return str(found) if found < 2**32 else ""  # left alone, torch draws one of 64 bits


def _processor() -> str:
    try:  # Linux; elsewhere Python knows the name, or none does
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


def _memory() -> str:
    try:
        return f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.0f} GiB"
    except (AttributeError, ValueError, OSError):  # not on Windows
        return ""


def _gpu() -> str:
    if not torch.cuda.is_available():
        return ""
    count = torch.cuda.device_count()
    return torch.cuda.get_device_name() + (f" × {count}" if count > 1 else "")


def _commit() -> str:
    try:
        done = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, timeout=2)
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""

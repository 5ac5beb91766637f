"""Tensors of an accelerator and of the CPU do not mix: on a machine without one, shown on an emulated one."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from accelerator import emulated

TESTS = Path(__file__).parent


@pytest.mark.skipif(bool(emulated.missing()), reason=f"to compile the emulated device needs {emulated.missing()}")
def test_scenarios():
    """Each of `accelerator/scenarios.py`, in a process of its own: torch cannot forget a device."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "accelerator.plugin", "-p", "no:cacheprovider"]
    paths = os.pathsep.join([str(TESTS), *filter(None, [os.environ.get("PYTHONPATH")])])
    run = subprocess.run(
        [*command, str(TESTS / "accelerator" / "scenarios.py")],
        env={**os.environ, "PYTHONPATH": paths},
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stdout[-8000:] + run.stderr[-2000:]

"""A device that torch takes for an accelerator, on a machine without one: see `emulated.cpp`.

`install()` compiles it (once for each torch: half a minute) and makes torch know it, under the name "emulated". It
cannot be undone: run what needs it in a process of its own.
"""

import contextlib
import importlib.util
import os
import subprocess
import sysconfig
import types
from pathlib import Path

import torch
from torch.utils import cpp_extension

SOURCE = Path(__file__).with_name("emulated.cpp")
NAME = "emulated_device"


def missing() -> str | None:
    """What is not here that compiling needs; None where all is."""
    headers = Path(sysconfig.get_paths()["include"]) / "Python.h"
    if not headers.exists():
        return "Python's headers"
    found = subprocess.run(["sh", "-c", "command -v g++"], capture_output=True).returncode == 0
    return None if found else "g++"


def built() -> Path:
    """The compiled library, kept beside what pytest keeps, for this torch and this source."""
    mark = f"{torch.__version__}-{int(SOURCE.stat().st_mtime)}"
    library = SOURCE.parents[2] / ".pytest_cache" / f"emulated-{mark}" / f"{NAME}.so"
    if library.exists():
        return library
    library.parent.mkdir(parents=True, exist_ok=True)
    places = Path(torch.__file__).parent / "lib"
    made = library.with_suffix(f".{os.getpid()}")
    subprocess.run(
        ["g++", "-O1", "-std=c++20", "-fPIC", "-shared", str(SOURCE), "-o", str(made)]
        + [f"-I{path}" for path in [*cpp_extension.include_paths(), sysconfig.get_paths()["include"]]]
        + [f"-DTORCH_EXTENSION_NAME={NAME}", f"-L{places}", f"-Wl,-rpath,{places}"]
        + ["-ltorch", "-ltorch_cpu", "-ltorch_python", "-lc10"],
        check=True,
    )
    made.rename(library)
    return library


def install() -> None:
    """From now on torch has the device "emulated", and Lamella makes its weights there."""
    spec = importlib.util.spec_from_file_location(NAME, built())
    compiled = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(compiled)
    generator = compiled.default_generator()
    torch.utils.rename_privateuse1_backend("emulated")
    module = types.ModuleType("torch.emulated")
    module.is_available = module.is_initialized = lambda: True
    module.device_count = lambda: 1
    module.current_device = lambda: 0
    module.set_device = module.synchronize = lambda device=None: None
    module._is_in_bad_fork = lambda: False
    module.manual_seed = module.manual_seed_all = generator.manual_seed
    module.get_rng_state = lambda device=None: generator.get_state()
    module.set_rng_state = lambda state, device=None: generator.set_state(state)
    module.get_amp_supported_dtype = lambda: [torch.float16, torch.bfloat16]
    module.device = lambda device: contextlib.nullcontext()
    torch._register_device_module("emulated", module)
    torch.utils.generate_methods_for_privateuse1_backend()

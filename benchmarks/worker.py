"""One peer on one row, in its own process and environment: ``python worker.py ROW ENGINE STEPS DEVICE``.

It prepares (data, model, warm-up), says so in a line of JSON, and then waits without computing. For each line
that it reads it times one chunk of steps and answers with a line of JSON. It ends with its standard input.
"""

import importlib
import json
import os
import sys
import time
import traceback
import types
import warnings
from importlib import metadata


def main() -> None:
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # whatever a library prints goes elsewhere
    warnings.simplefilter("ignore")

    def say(**message):
        print(json.dumps(message), file=answers, flush=True)

    row_name, engine, steps, device = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4]
    try:
        bench = prepare(importlib.import_module(f"rows.{row_name}"), engine, steps, device)
        finish(device)
    except Exception as error:
        traceback.print_exc()
        say(unavailable=reason(error))
        return
    say(parameters=int(bench.parameters), note=bench.note, versions=versions())
    for _ in sys.stdin:
        started = time.perf_counter()
        loss, accuracy = bench.epoch()  # numbers that were read: what follows on the device is the last update
        finish(device)
        milliseconds = (time.perf_counter() - started) / steps * 1e3
        say(milliseconds=milliseconds, loss=float(loss), accuracy=float(accuracy))


def finish(device: str) -> None:
    """Waits for a GPU that torch works on. (Keras on JAX reads the results of its last step, update and all.)"""
    if device == "cuda" and "torch" in sys.modules and sys.modules["torch"].cuda.is_initialized():
        sys.modules["torch"].cuda.synchronize()


def prepare(row: types.ModuleType, engine: str, steps: int, device: str):
    if engine in ("tutorial", "best", "compile"):
        from torch_bench import BestBench, TutorialBench

        if engine == "tutorial":
            return TutorialBench(row, steps, device)
        return BestBench(row, steps, compiled=engine == "compile", device=device)
    from keras_bench import KerasBench

    return KerasBench(row, engine, steps, device)


def reason(error: Exception) -> str:
    """A layer that the module has not got is told apart from a failure."""
    if isinstance(error, AttributeError) and isinstance(error.obj, types.ModuleType):
        return f"not yet: no {error.obj.__name__}.{error.name}"
    return f"failed: {type(error).__name__}: {str(error).strip().splitlines()[0] if str(error) else ''}"


def versions() -> dict[str, str]:
    found = {}
    for package in ("torch", "keras", "jax", "tensorflow", "tensorflow-cpu", "numpy"):
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found


if __name__ == "__main__":
    main()

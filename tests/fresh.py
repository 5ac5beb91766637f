"""Code in a fresh process, without waiting for `import torch` each time.

One process imports Lamella, and nothing else, and then forks for each call: what runs in the fork has never heard of
the test, its classes or its models, as in a new interpreter. (Elsewhere than on Linux it is a new interpreter.)
"""

import atexit
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

_MOTHER: list[subprocess.Popen] = []


def run(arguments, input="", env=None, cwd=None, timeout=120):
    """As `subprocess.run([sys.executable, *arguments], capture_output=True, text=True)`, with `-c` or `-m lamella`."""
    if sys.platform != "linux":
        command = [sys.executable, *arguments]
        return subprocess.run(command, input=input, env=env, cwd=cwd, timeout=timeout, capture_output=True, text=True)
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "stdin").write_text(input, encoding="utf-8")
        job = {
            "arguments": list(map(str, arguments)),
            "folder": folder,
            "environment": dict(os.environ if env is None else env),
            "cwd": str(cwd or Path.cwd()),
            "timeout": timeout,
        }
        mother = _mother()
        mother.stdin.write(json.dumps(job) + "\n")
        mother.stdin.flush()
        code = int(mother.stdout.readline())
        out, err = ((Path(folder) / name).read_text(encoding="utf-8") for name in ("stdout", "stderr"))
    return subprocess.CompletedProcess(job["arguments"], code, out, err)


def check(arguments, **options):
    """As `run`; what it printed. An exit code other than 0 fails the test."""
    done = run(arguments, **options)
    assert done.returncode == 0, done.stderr
    return done.stdout


def _mother():
    if not _MOTHER:
        command = [sys.executable, __file__]
        mother = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        _MOTHER.append(mother)
        for end in (mother.stdout.close, mother.wait, mother.stdin.close):  # from the last to the first
            atexit.register(end)
    return _MOTHER[0]


def _serve():
    """In the mother: a fork for each line, answered by its exit code."""
    import lamella  # noqa: F401

    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            os._exit(_child(json.loads(line)))
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)


def _child(job):
    import runpy
    import signal
    import threading
    import traceback
    import types

    for number, name in enumerate(("stdin", "stdout", "stderr")):
        mode = os.O_RDONLY if name == "stdin" else os.O_WRONLY | os.O_CREAT
        os.dup2(os.open(os.path.join(job["folder"], name), mode), number)
    sys.stdin = os.fdopen(0, encoding="utf-8")  # the mother's has read ahead
    signal.alarm(job["timeout"])
    os.environ.clear()
    os.environ.update(job["environment"])
    os.chdir(job["cwd"])
    sys.path[0] = ""
    kind, what, *rest = job["arguments"]
    sys.argv = [kind, *rest]
    code = 0
    try:
        if kind == "-c":
            sys.modules["__main__"] = types.ModuleType("__main__")
            exec(compile(what, "<string>", "exec"), vars(sys.modules["__main__"]))
        else:
            assert kind == "-m", kind
            runpy.run_module(what, run_name="__main__", alter_sys=True)
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
        if code and not isinstance(end.code, int):
            print(end.code, file=sys.stderr)
    except BaseException:
        traceback.print_exc()
        code = 1
    threading._shutdown()
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    return code


if __name__ == "__main__":
    _serve()

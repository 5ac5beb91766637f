"""The whole of TensorFlow's first tutorial, from the start of the process to the evaluated model."""

import gzip
import json
import mmap
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from peers import HERE, Peer, PeerUnavailable, environment_variables, find_python
from race import finalists, shuffled

TITLE = "The MNIST tutorial as a script, 5 epochs: start of the process to evaluated model"
TUTORIAL = HERE / "mnist_script.py"
COMMANDS = {
    "lamella": ["-m", "lamella", "run", TUTORIAL],
    "torch-tutorial": [HERE / "mnist" / "tutorial_script.py"],
    "torch-best": [HERE / "mnist" / "best_script.py"],
    "keras-torch": [HERE / "mnist" / "with_keras.py", HERE / "mnist" / "keras_script.py"],
    "keras-jax": [HERE / "mnist" / "with_keras.py", HERE / "mnist" / "keras_script.py"],
    "keras-tf": [HERE / "mnist" / "with_keras.py", TUTORIAL],
}


def race(peers: list[Peer], venvs: dict[str, Path], rounds: int, final: int, log) -> dict:
    """Wall seconds of every round by peer, in turns."""
    result = {"title": TITLE, "peers": {}, "missing": {}}
    with tempfile.TemporaryDirectory() as home:
        if not provide_mnist(Path(home) / "datasets" / "mnist.npz"):
            note = "no MNIST: set LAMELLA_DATA to a folder with mnist/*-ubyte.gz"
            return result | {"missing": {peer.name: note for peer in peers}}
        running = {}
        for peer in peers:
            try:
                running[peer.name] = (peer, find_python(peer.environment, venvs))
            except PeerUnavailable as reason:
                result["missing"][peer.name] = str(reason)
        for number in range(rounds + final):
            for name in shuffled(list(running) if number < rounds else finalists(result, rounds), number):
                report(number + 1, rounds + final, name)
                peer, python = running[name]
                try:
                    measured = run_once(peer, python, Path(home), log)
                except PeerUnavailable as reason:
                    result["missing"][name] = str(reason)
                    result["peers"].pop(name, None)
                    del running[name]
                    continue
                times = result["peers"].get(name, {"times": []})["times"]
                result["peers"][name] = {**measured, "times": [*times, measured["seconds"]]}
    print(file=sys.stderr)
    return result


def report(number: int, rounds: int, name: str) -> None:
    print(f"\rscript: round {number} of {rounds}, {name:20}", end="", file=sys.stderr, flush=True)


def run_once(peer: Peer, python: Path, home: Path, log) -> dict:
    if peer.name not in COMMANDS:
        raise PeerUnavailable("not in this row")
    variables = environment_variables(peer) | {"KERAS_HOME": str(home), "TF_CPP_MIN_LOG_LEVEL": "3"}
    command = [python, *COMMANDS[peer.name]]
    touch_memory()
    started = time.perf_counter()
    done = subprocess.run(command, env=variables, cwd=home, stdout=subprocess.PIPE, stderr=log, text=True)
    seconds = time.perf_counter() - started
    log.write(done.stdout)
    scores = re.findall(r"accuracy: ([\d.]+)", done.stdout), re.findall(r"loss: ([\d.]+)", done.stdout)
    if done.returncode or not all(scores):
        raise PeerUnavailable(f"failed: ended with {done.returncode} (see --log)")
    accuracy, loss = (float(found[-1]) for found in scores)
    return {"seconds": seconds, "accuracy": accuracy, "loss": loss, "versions": versions_in(python)}


def touch_memory(size: int = 2 << 30) -> None:
    """Writes to so many bytes of memory and gives them back, so that every script finds its own at once.

    A virtual machine may hand free memory to its host, which then looks for each new page while the script waits: two
    milliseconds a megabyte here, for one process and not for the next. In large pages, as NumPy asks for.
    """
    with mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS) as memory:
        if hasattr(mmap, "MADV_HUGEPAGE"):  # Linux
            memory.madvise(mmap.MADV_HUGEPAGE)
        for page in range(0, size, mmap.PAGESIZE):
            memory[page] = 1


def versions_in(python: Path) -> dict[str, str]:
    command = [python, "-c", "import json, worker; print(json.dumps(worker.versions()))"]
    return json.loads(subprocess.run(command, cwd=HERE, stdout=subprocess.PIPE, check=True).stdout)


def provide_mnist(target: Path) -> bool:
    """Put mnist.npz where Keras looks for it: from Keras's own cache, or packed from the idx files."""
    target.parent.mkdir(parents=True)
    cached = Path.home() / ".keras" / "datasets" / "mnist.npz"
    folder = Path(os.environ.get("LAMELLA_DATA", "missing")).absolute() / "mnist"
    if folder.is_dir():
        os.environ["LAMELLA_DATA"] = str(folder.parent)  # absolute: the scripts run elsewhere
        arrays = {}
        for part, file in (("train", "train"), ("test", "t10k")):
            images = read_idx(folder / f"{file}-images-idx3-ubyte.gz", header=16)
            arrays[f"x_{part}"] = images.reshape(-1, 28, 28)
            arrays[f"y_{part}"] = read_idx(folder / f"{file}-labels-idx1-ubyte.gz", header=8)
        np.savez_compressed(target, **arrays)
        return True
    if cached.exists():
        shutil.copy(cached, target)
        return True
    return False


def read_idx(path: Path, header: int) -> np.ndarray:
    with gzip.open(path) as file:
        return np.frombuffer(file.read(), dtype=np.uint8, offset=header)

"""Who is compared, and the virtual environment of each."""

import importlib.util
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
VENVS = HERE / ".venvs"


@dataclass(frozen=True)
class Peer:
    name: str  # on the command line
    title: str  # in the tables
    environment: str  # a key of PACKAGES
    engine: str  # "tutorial", "best", "compile", or the module that stands for `keras`
    backend: str = ""  # Keras's own engine
    device: str = "cpu"


PEERS = {
    peer.name: peer
    for peer in (
        Peer("lamella", "Lamella", "torch", "lamella"),
        Peer("torch-tutorial", "torch, as in a tutorial", "torch", "tutorial"),
        Peer("torch-best", "torch, best by hand", "torch", "best"),
        Peer("torch-compile", "torch.compile of the best by hand", "torch", "compile"),
        Peer("keras-torch", "Keras on torch", "keras-torch", "keras", "torch"),
        Peer("keras-jax", "Keras on JAX", "keras-jax", "keras", "jax"),
        Peer("keras-tf", "Keras on TensorFlow", "keras-tf", "keras", "tensorflow"),
    )
}
DEFAULT_PEERS = [name for name in PEERS if name != "torch-compile"]
DEFAULT_PEERS_ON_CUDA = ["lamella", "torch-tutorial", "torch-best", "torch-compile", "keras-jax"]

# The first list that installs is taken.
PACKAGES = {
    "torch": [["--editable", str(ROOT)]],
    "keras-torch": [["torch", "keras"]],
    "keras-jax": [["jax", "keras"]],
    "keras-jax-cuda": [["jax[cuda12]", "keras"], ["jax[cuda13]", "keras"]],
    "keras-tf": [["tensorflow-cpu", "keras"], ["tensorflow", "keras"]],
    "keras-tf-cuda": [["tensorflow[and-cuda]", "keras"]],
}

# Several peers share the device, each prepared and waiting; and all compute in float32, without TensorFloat-32.
ON_CUDA = {
    "XLA_PYTHON_CLIENT_PREALLOCATE": "false",
    "TF_FORCE_GPU_ALLOW_GROWTH": "true",
    "NVIDIA_TF32_OVERRIDE": "0",
    "JAX_DEFAULT_MATMUL_PRECISION": "highest",
}


def on(device: str, peer: Peer) -> Peer:
    """The peer on a device: another environment, where it needs other packages."""
    other = f"{peer.environment}-{device}"
    return replace(peer, device=device, environment=other if other in PACKAGES else peer.environment)


class PeerUnavailable(Exception):
    """A peer cannot be measured here; the message says why."""


def find_python(environment: str, given: dict[str, Path]) -> Path:
    """The interpreter of an environment: given by the user, our own if it has torch, or newly made."""
    if environment in given:
        python = given[environment] / "bin" / "python"
        if not python.exists():
            raise PeerUnavailable(f"no interpreter at {python}")
        return python
    if environment == "torch" and importlib.util.find_spec("torch"):
        return Path(sys.executable)
    python = VENVS / environment / "bin" / "python"
    if not python.exists():
        make_venv(environment)
    return python


def make_venv(environment: str) -> None:
    folder = VENVS / environment
    print(f"making {folder} (once)", file=sys.stderr)
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    for packages in PACKAGES[environment]:
        command = [folder / "bin" / "python", "-m", "pip", "install", "--quiet"]
        command += ["--constraint", ROOT / "constraints.txt", *packages]
        done = subprocess.run(command, stderr=subprocess.PIPE, text=True)
        if done.returncode == 0:
            return
    shutil.rmtree(folder)
    raise PeerUnavailable(f"pip cannot install {packages}: {done.stderr.strip().splitlines()[-1]}")


def environment_variables(peer: Peer) -> dict[str, str]:
    # A keras.json of the user's could change precision or layout: Keras is given a folder without one.
    variables = os.environ | {"PYTHONUNBUFFERED": "1", "KERAS_HOME": str(VENVS / "keras-home")}
    variables |= ON_CUDA if peer.device == "cuda" else {"CUDA_VISIBLE_DEVICES": ""}
    if peer.backend:
        variables["KERAS_BACKEND"] = peer.backend
    if peer.engine == "lamella":
        variables["PYTHONPATH"] = str(ROOT / "src")
    return variables

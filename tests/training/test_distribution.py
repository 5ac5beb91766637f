"""Several processes train as one: the same losses, metrics and weights; one that is lost is told of."""

import os
import signal
import sys
import time

import numpy as np
import pytest
import torch
from processes import ended, needed, run, start

import lamella
from lamella import distribution, layers
from lamella.engine import cluster
from lamella.errors import ArgumentError, ClusterError

pytestmark = needed

KINDS = {"ddp": distribution.DataParallel, "fsdp": distribution.FullyShardedDataParallel}
X = np.random.default_rng(0).normal(size=(203, 12)).astype("float32")
Y = np.random.default_rng(1).integers(0, 5, 203)


def a_model():
    model = lamella.Sequential(
        [
            lamella.Input((12,)),
            layers.Dense(32, activation="relu", kernel_regularizer="l2"),
            layers.LayerNormalization(),
            layers.Dense(32, activation="gelu"),
            layers.Dense(5, activation="softmax"),
        ]
    )
    top = lamella.metrics.SparseTopKCategoricalAccuracy(2)
    adam = lamella.optimizers.AdamW(1e-2, global_clipnorm=1.0)
    model.compile(adam, "sparse_categorical_crossentropy", metrics=["accuracy", top])
    return model


def train(kind, folder, callbacks=()):
    """13 batches of 16, the last of 11, four times over: 52 steps."""
    lamella.utils.set_random_seed(4)
    if kind is not None:
        distribution.set_distribution(KINDS[kind](timeout=60))
    model = a_model()
    history = model.fit(
        X, Y, 16, epochs=4, verbose=0, validation_data=(X[:51], Y[:51]), callbacks=list(callbacks)
    ).history
    evaluated = model.evaluate(X, Y, verbose=0)
    model.save(folder / "model.keras")
    weights = model.get_weights()
    if distribution.get_distribution() is None or distribution.get_distribution().rank == 0:
        np.savez(folder / "found.npz", *weights, evaluated=evaluated, **{f"h_{name}": v for name, v in history.items()})


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    folder = tmp_path_factory.mktemp("alone")
    assert ended(start(1, train, None, folder)) == [0]
    return np.load(folder / "found.npz")


def check(kind, count, alone, tmp_path):
    assert ended(start(count, train, kind, tmp_path)) == [0] * count
    found = np.load(tmp_path / "found.npz")
    assert set(found) == set(alone)
    for name in alone:
        np.testing.assert_allclose(found[name], alone[name], rtol=1e-5, atol=1e-5)
    # Another number of processes, here one, reads what they wrote: weights, and the optimizer's state.
    model = lamella.models.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(model.evaluate(X, Y, verbose=0), alone["evaluated"], rtol=1e-5)
    assert int(model.optimizer.iterations) == 52
    model.fit(X, Y, verbose=0)


@pytest.mark.parametrize("kind", KINDS)
def test_two_processes_are_as_one(kind, alone, tmp_path):
    check(kind, 2, alone, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_four_processes_are_as_one(kind, alone, tmp_path):
    check(kind, 4, alone, tmp_path)


def few_rows(folder):
    distribution.set_distribution(distribution.DataParallel())
    lamella.utils.set_random_seed(1)
    model = a_model()
    history = model.fit(X[:33], Y[:33], 16, epochs=2, verbose=0, shuffle=False).history  # batches of 16, 16 and 1
    np.save(folder / f"{distribution.get_distribution().rank}.npy", history["loss"])


def test_a_process_without_rows(tmp_path):
    assert ended(start(2, few_rows, tmp_path)) == [0, 0]
    one, other = (np.load(tmp_path / f"{rank}.npy") for rank in (0, 1))
    np.testing.assert_array_equal(one, other)
    lamella.utils.set_random_seed(1)
    expected = a_model().fit(X[:33], Y[:33], 16, epochs=2, verbose=0, shuffle=False).history["loss"]
    np.testing.assert_allclose(one, expected, rtol=1e-5)


class Dies(lamella.callbacks.Callback):
    """Process 1 is killed in the third epoch, unless this was seen before."""

    def __init__(self, seen=None):
        super().__init__()
        self.seen = seen

    def on_epoch_begin(self, epoch, logs=None):
        if epoch == 2 and os.environ["RANK"] == "1" and not (self.seen and self.seen.exists()):
            if self.seen:
                self.seen.write_text(str(time.time()))
            os.kill(os.getpid(), signal.SIGKILL)


def loses_one(folder):
    try:
        train("ddp", folder, [Dies(folder / "died.txt")])
    except ClusterError as error:
        (folder / "told.txt").write_text(f"{time.time() - float((folder / 'died.txt').read_text()):.1f} {error}")


def test_a_lost_process_is_told_of(tmp_path):
    assert ended(start(2, loses_one, tmp_path)) == [0, -signal.SIGKILL]
    seconds, told = (tmp_path / "told.txt").read_text().split(" ", 1)
    assert float(seconds) < 30
    assert told.startswith("Process 0 of 2 lost contact with another one") and "BackupAndRestore" in told


SCRIPT = f"""
import sys, pathlib
sys.path.insert(0, {os.path.dirname(__file__)!r})
import lamella, test_distribution as own
folder = pathlib.Path(sys.argv[1])
own.train("ddp", folder, [own.Dies(folder / "seen"), lamella.callbacks.BackupAndRestore(folder / "backup")])
"""


@pytest.mark.slow
def test_elastic_torchrun_goes_on(alone, tmp_path):
    import subprocess

    (tmp_path / "script.py").write_text(SCRIPT)
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone"]  # which finds a port by itself
    ranks = ["--nproc-per-node", "2", "--max-restarts", "2"]
    command = [*torchrun, *ranks, str(tmp_path / "script.py"), str(tmp_path)]
    ran = subprocess.run(command, capture_output=True, text=True, check=False, timeout=280)
    assert ran.returncode == 0, ran.stderr
    assert (tmp_path / "seen").exists()
    found = np.load(tmp_path / "found.npz")
    for name in alone:
        np.testing.assert_allclose(found[name], alone[name], rtol=1e-5, atol=1e-5)


def meets(port, attempt, late):
    os.environ |= {
        "MASTER_PORT": str(port),
        "TORCHELASTIC_USE_AGENT_STORE": "True",
        "TORCHELASTIC_RESTART_COUNT": str(attempt),
        "GROUP_WORLD_SIZE": "1",
    }
    time.sleep(late * int(os.environ["RANK"]))
    cluster.start(15)
    torch.distributed.barrier()
    os._exit(0)  # as one that was killed: it takes nothing back of what it wrote into the store


def test_a_restart_does_not_look_for_the_processes_before_it():
    """torchrun keeps one store for all attempts, where the addresses of the dead still stand."""
    store = torch.distributed.TCPStore("127.0.0.1", 0, is_master=True)
    for attempt in range(3):
        assert run(2, meets, store.port, attempt, min(attempt, 1)) == [0, 0]


def refuses(folder):
    distribution.set_distribution(distribution.DataParallel())

    class Own(lamella.Model):
        def __init__(self):
            super().__init__()
            self.dense = layers.Dense(1)

        def call(self, x):
            return self.dense(x)

        def train_step(self, data):
            return {}

    model = Own()
    model.compile("sgd", "mse")
    told = []
    for fit in (
        lambda: model.fit(X, X[:, :1], verbose=0),
        lambda: a_model_with_a_sum().fit(X, X[:, :1], verbose=0),
    ):
        try:
            fit()
        except ArgumentError as error:
            told.append(str(error))
    (folder / "told.txt").write_text("\n".join(told))


def a_model_with_a_sum():
    model = lamella.Sequential([lamella.Input((12,)), layers.Dense(1)])
    model.compile("sgd", lamella.losses.MeanSquaredError(reduction="sum"))
    return model


def test_refusals(tmp_path, monkeypatch):
    assert ended(start(1, refuses, tmp_path)) == [0]
    own_step, a_sum = (tmp_path / "told.txt").read_text().splitlines()
    assert "train_step" in own_step and "sum_over_batch_size" in a_sum
    monkeypatch.delenv("RANK", raising=False)
    with pytest.raises(ClusterError, match="torchrun"):
        distribution.DataParallel()
    with pytest.raises(ArgumentError, match="DataParallel"):
        distribution.set_distribution("ddp")


@pytest.mark.slow
def test_the_command_starts_processes(tmp_path):
    import subprocess

    script = tmp_path / "script.py"
    script.write_text(
        "import os, pathlib, sys, keras\n"
        "from lamella.distribution import get_distribution\n"
        "print('told by', get_distribution().rank, sys.argv[1:])\n"
        "pathlib.Path(__file__).with_name(os.environ['RANK']).write_text(str(get_distribution().world_size))\n"
    )
    command = [sys.executable, "-m", "lamella", "run", "--nproc", "2", str(script), "--epochs", "3"]
    ran = subprocess.run(command, capture_output=True, text=True, check=False, timeout=280)
    assert ran.returncode == 0, ran.stderr
    assert [(tmp_path / rank).read_text() for rank in "01"] == ["2", "2"]
    assert "told by 0 ['--epochs', '3']" in ran.stdout and "told by 1" not in ran.stdout
    (tmp_path / "script.py").write_text("raise SystemExit(3)")
    ran = subprocess.run(command, capture_output=True, text=True, check=False, timeout=280)
    assert ran.returncode == 3 and "ended with exit code 3" in ran.stderr

"""Batch sizes that are measured."""

import sys

import fresh
import numpy as np
import pytest
import torch

import lamella
from lamella.errors import ArgumentError, OutOfMemoryError
from lamella.training import batch_size

X = np.random.default_rng(0).normal(size=(4096, 8)).astype("float32")


class Takes(lamella.layers.Layer):
    """Takes a time that depends on the batch size only."""

    def __init__(self, clock, seconds):
        super().__init__()
        self.clock, self.seconds = clock, seconds

    def call(self, inputs):
        self.clock.sleep(self.seconds(len(inputs)))
        return inputs


def a_model(*first):
    lamella.utils.set_random_seed(2)
    layers = [lamella.layers.Dropout(0.2), lamella.layers.BatchNormalization(), lamella.layers.Dense(1)]
    model = lamella.Sequential([lamella.Input((8,)), *first, *layers])
    model.compile("adam", "mse")
    return model


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (lambda size: 0.02, 256),  # quicker and quicker: as large as 16 updates an epoch allow
        (lambda size: 4e-4 * size, 32),  # no quicker
        (lambda size: 0.03 * max(1, size / 128), 128),
    ],
)
def test_the_smallest_that_is_nearly_as_quick(seconds, expected, capsys, monkeypatch, clock):
    monkeypatch.setattr(batch_size, "time", clock)
    model = a_model(Takes(clock, seconds))
    model.fit(X, X[:, :1], batch_size="auto", steps_per_epoch=1, verbose=2)
    assert f"batch_size='auto': {expected}\n" in capsys.readouterr().out


def test_measuring_leaves_nothing_behind():
    def weights(size):
        model = a_model()
        return model, [
            model.fit(X[:100], X[:100, :1], batch_size=size, epochs=2, verbose=0).history["loss"],
            *model.get_weights(),
        ]

    model, found = weights("auto")  # 100 samples: 32 it is
    _, expected = weights(32)
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one, other)
    assert int(model.optimizer.iterations) == 8


def test_streams_make_their_own_batches():
    model = a_model()
    with pytest.warns(UserWarning, match="makes its batches itself"):
        model.fit(iter([(X[:8], X[:8, :1])]), batch_size=4, verbose=0)
    assert int(model.optimizer.iterations) == 1
    with pytest.warns(UserWarning, match="makes its"), pytest.raises(ArgumentError, match="goes with arrays"):
        model.fit(iter([(X[:8], X[:8, :1])]), batch_size="auto", verbose=0)


def test_the_largest_that_fits_is_found(monkeypatch):
    model = a_model()

    def too_much(x, y, weight):
        if len(x) > 700:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20 GiB.")

    monkeypatch.setattr(model, "_make_train_function", lambda: too_much)
    with pytest.raises(OutOfMemoryError, match=r"A batch of 2048 samples .*accumulation_steps=4") as caught:
        model.fit(X, X[:, :1], batch_size=2048, verbose=0)
    told = int(str(caught.value).split("batch_size=")[1].split(";")[0])
    assert 650 < told <= 700
    assert isinstance(caught.value, MemoryError)
    assert batch_size.is_out_of_memory(caught.value.__cause__)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="limits memory by setrlimit")
def test_memory_that_really_runs_out():
    script = """
import resource, torch, lamella
torch.set_num_threads(1)
model = lamella.Sequential([lamella.Input((64,)), lamella.layers.Dense(10_000), lamella.layers.Dense(1)])
model.compile("sgd", "mse")
x = torch.zeros(10_000, 64)
model.fit(x[:4], x[:4, :1], verbose=0)
used = int(open("/proc/self/statm").read().split()[0]) * 4096
resource.setrlimit(resource.RLIMIT_AS, (used + 2**28,) * 2)
try:
    model.fit(x, x[:, :1], len(x), verbose=0)
except lamella.errors.OutOfMemoryError as error:
    print(error)
"""
    ran = fresh.run(["-c", script])
    assert "A batch of 10000 samples does not fit into the memory of cpu" in ran.stdout, ran.stderr
    assert "batch_size=" in ran.stdout

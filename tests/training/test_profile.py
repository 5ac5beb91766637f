"""`Profile`: the parts of a step add up, the slow one is found and named."""

import json
import time

import fresh
import numpy as np
import pytest
import torch

import lamella
from lamella.callbacks import Profile
from lamella.engine import marks
from lamella.errors import ArgumentError

X, Y = np.ones((256, 8), "float32"), np.ones((256, 1), "float32")


class Sleeps(lamella.layers.Layer):
    def call(self, inputs):
        time.sleep(0.01)
        return inputs


def a_model(*layers):
    model = lamella.Sequential([lamella.Input((8,)), *layers, lamella.layers.Dense(1)])
    model.compile("adam", "mse", metrics=["mae"])
    return model


def test_a_slow_layer(tmp_path):
    look = Profile(start=2, steps=5, trace=str(tmp_path / "trace.json"))
    a_model(Sleeps()).fit(X, Y, 16, verbose=0, callbacks=[look])
    assert set(look.seconds) == {*marks.PARTS, "rest"}
    assert look.seconds["forward"] > 0.01  # no upper bound: another program may have the processor meanwhile
    assert look.seconds["backward"] > 0 and look.seconds["update"] > 0
    assert any(
        event.get("name") == "lamella::forward"
        for event in json.loads((tmp_path / "trace.json").read_text())["traceEvents"]
    )
    assert not marks.on


def test_slow_data():
    def batches():
        for _ in range(12):
            time.sleep(0.01)
            yield X[:16], Y[:16]

    look = Profile(start=2, steps=5)
    a_model().fit(batches(), verbose=0, callbacks=[look])
    assert look.seconds["input"] > 0.01


@pytest.mark.parametrize(
    ("slow", "told", "advice"),
    [
        ("input", "waiting for the next batch", "80% of the time there is nothing to compute with: read ahead"),
        ("forward", "the forward pass and the loss", None),
        ("update", "the optimizer and the metrics", "The update is a large part"),
        ("rest", "callbacks, the progress bar", "80% of the time runs between steps"),
    ],
)
def test_the_slow_part_comes_first_with_advice(slow, told, advice):
    look = Profile()
    look.seconds = dict.fromkeys((*marks.PARTS, "rest"), 0.001) | {slow: 0.016}
    first, second, *_ = look.text().splitlines()
    assert first == "A step takes 20.00 ms:"
    assert second.split()[:3] == ["80%", "16.00", "ms"] and told in second
    assert advice is None or advice in look.text()
    assert [look.text().count(each) for each in ("read ahead", "large part", "between steps")].count(1) == (
        advice is not None
    )


def test_training_is_as_without_it():
    def losses(*used):
        lamella.utils.set_random_seed(1)
        return a_model(lamella.layers.Dropout(0.5)).fit(X, Y, 16, 2, verbose=0, callbacks=list(used)).history

    assert losses(Profile(start=1, steps=3)) == losses()


class Fails(lamella.callbacks.Callback):
    def __init__(self, step):
        super().__init__()
        self.step = step

    def on_train_batch_end(self, batch, logs=None):
        if batch == self.step:
            raise RuntimeError("the disk is full")


@pytest.mark.parametrize("step", [0, 4])  # before it looks, and while it does
def test_a_training_that_fails_leaves_nothing_behind(step):
    look = Profile(start=2, steps=5)
    with pytest.raises(RuntimeError, match="the disk is full"):
        a_model().fit(X, Y, 16, verbose=0, callbacks=[look, Fails(step)])
    assert not marks.on
    assert not torch.autograd._profiler_enabled()
    a_model().fit(X, Y, 16, verbose=0, callbacks=[look])
    assert set(look.seconds) == {*marks.PARTS, "rest"}


def test_too_few_steps(capsys):
    look = Profile(start=100)
    a_model().fit(X, Y, verbose=0, callbacks=[look])
    assert "ended after 8 steps" in capsys.readouterr().out and "no step" in look.text()
    with pytest.raises(ArgumentError, match="`steps` must be 1 or more"):
        Profile(steps=0)


def test_the_command(tmp_path):
    (tmp_path / "script.py").write_text(
        "import numpy as np, keras\n"
        "model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)])\n"
        "model.compile('sgd', 'mse')\n"
        "model.fit(np.ones((400, 4)), np.ones(400), batch_size=10, verbose=0)\n"
    )
    told = fresh.check(["-m", "lamella", "profile", "--steps", "20", tmp_path / "script.py"])
    assert "steps 11 to 30" in told and "A step takes" in told and "the optimizer and the metrics" in told

"""`TensorBoard`: what stands in the event files."""

import numpy as np
import pytest

import lamella
from lamella import callbacks
from lamella.errors import ArgumentError

X = np.random.default_rng(1).normal(size=(48, 4)).astype("float32")
Y = np.random.default_rng(2).normal(size=(48, 1)).astype("float32")


def trained(tmp_path, **arguments):
    model = lamella.Sequential([lamella.Input((4,)), lamella.layers.Dense(3, name="first"), lamella.layers.Dense(1)])
    model.compile("sgd", "mse")
    board = callbacks.TensorBoard(tmp_path, **arguments)
    return model.fit(X, Y, batch_size=16, epochs=2, verbose=0, validation_split=0.25, callbacks=[board]).history


def read(folder):
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    events = accumulator.EventAccumulator(str(folder), {"scalars": 0, "histograms": 0, "images": 0, "tensors": 0})
    return events.Reload()


def scalars(events, tag):
    return [(event.step, pytest.approx(event.value, rel=1e-6)) for event in events.Scalars(tag)]


def test_metrics_of_epochs(tmp_path):
    pytest.importorskip("tensorboard")
    history = trained(tmp_path)
    train, validation = read(tmp_path / "train"), read(tmp_path / "validation")
    assert scalars(train, "epoch_loss") == list(enumerate(history["loss"]))
    assert scalars(train, "epoch_learning_rate") == [(0, 0.01), (1, 0.01)]
    assert scalars(validation, "epoch_loss") == list(enumerate(history["val_loss"]))
    steps = [3, 6]  # 36 samples in batches of 16
    assert scalars(validation, "evaluation_loss_vs_iterations") == list(zip(steps, history["val_loss"], strict=True))
    assert not any(tag.startswith("batch_") for tag in train.Tags()["scalars"])


def test_batches_weights_and_speed(tmp_path):
    pytest.importorskip("tensorboard")
    trained(tmp_path, update_freq=2, histogram_freq=1, write_images=True, write_steps_per_second=True)
    train = read(tmp_path / "train")
    assert [event.step for event in train.Scalars("batch_loss")] == [2, 4, 6]
    assert len(train.Scalars("batch_steps_per_second")) == 3
    assert len(train.Scalars("epoch_steps_per_second")) == 2
    assert {"first/kernel/histogram", "first/bias/histogram"} <= set(train.Tags()["histograms"])
    assert "first/kernel/image" in train.Tags()["images"]


def test_profile(tmp_path):
    pytest.importorskip("tensorboard")
    trained(tmp_path, profile_batch=(2, 3))
    assert len(list((tmp_path / "train" / "plugins" / "profile").iterdir())) == 1


def test_what_is_missing_is_said(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "torch.utils.tensorboard", None)
    with pytest.raises(ImportError, match="pip install tensorboard"):
        trained(tmp_path)


@pytest.mark.parametrize(
    ("arguments", "named"), [({"update_freq": "step"}, "update_freq"), ({"profile_batch": (4, 2)}, "profile_batch")]
)
def test_refusals(arguments, named):
    with pytest.raises(ArgumentError, match=named):
        callbacks.TensorBoard(**arguments)

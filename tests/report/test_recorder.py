"""`Recorder`: what a run folder holds after trainings that end well, are stopped, fail or are killed."""

import os
import shlex
import sys
import warnings
from pathlib import Path

import fresh
import numpy as np
import pytest
import torch

from lamella import Input, Sequential, callbacks, layers, losses, optimizers, utils
from lamella.doctor import Doctor
from lamella.errors import DataError, NonFiniteError
from lamella.report import Recorder, read
from lamella.report.run_file import NAME

RNG = np.random.default_rng(0)
X = RNG.normal(size=(200, 4)).astype("float32")
Y = (X[:, 0] > 0).astype("int64")


def make(rate=0.1, **more):
    utils.set_random_seed(3)
    model = Sequential([Input((4,)), layers.Dense(8, "relu", name="hidden"), layers.Dropout(0.2), layers.Dense(2)])
    loss = losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizers.SGD(rate, momentum=0.9), loss, metrics=["accuracy"], **more)
    return model


def fit(model, *watching, x=X, y=Y, **more):
    return model.fit(x, y, verbose=0, callbacks=list(watching), **{"epochs": 3, "validation_split": 0.25, **more})


def test_a_training_leaves_all_that_a_report_shows(tmp_path):
    model = make()
    history = fit(model, Recorder(tmp_path / "runs" / "first"), Doctor(shown=0))
    record = read(tmp_path / "runs" / "first")
    assert (record.name, record.state, record.error, record.epochs) == ("first", "completed", None, 3)
    assert record.history == history.history
    assert record.rates == pytest.approx([0.1] * 3)
    assert all(0 < seconds < 60 for seconds in record.seconds)
    assert record.started.startswith("20") and record.started.endswith("+00:00")
    told = record.settings
    assert (told["optimizer"], told["learning_rate"], told["momentum"]) == ("SGD", "0.1", "0.9")
    assert (told["batch_size"], told["samples"], told["validation_samples"]) == ("32", "150", "50")
    assert (told["weights"], told["seed"]) == ("58", "3")
    first = record.layers[0]
    assert (first.name, first.kind, first.output, first.weights) == ("hidden", "Dense", "(None, 8)", 40)
    assert {"lamella", "torch", "python", "numpy", "system", "cores", "threads"} <= record.environment.keys()
    assert shlex.split(record.command)[1:] == sys.orig_argv[1:]
    assert record.findings == []
    assert [reading.epoch for reading in record.readings][:: len(record.readings) - 1] == [0, 3]
    assert (record.evidence.data, record.evidence.samples) == ("validation", 50)
    assert sum(map(sum, record.evidence.confusion.counts)) == 50


@pytest.mark.parametrize("doctor_first", [True, False])
def test_the_doctors_findings_are_written_wherever_it_stands(tmp_path, doctor_first):
    x = np.concatenate([X, np.full((200, 1), 5000.0, "float32")], axis=1)
    model = Sequential([Input((5,)), layers.Dense(2, "softmax", name="output")])
    model.compile("sgd", "sparse_categorical_crossentropy")
    doctor, recorder = Doctor(shown=0), Recorder(tmp_path)
    fit(model, *((doctor, recorder) if doctor_first else (recorder, doctor)), x=x)
    assert "unscaled_inputs" in [finding.kind for finding in doctor.findings]
    assert read(tmp_path).findings == doctor.findings
    assert len(read(tmp_path).readings) == len(doctor.readings)


def test_without_a_doctor_there_are_no_findings(tmp_path):
    fit(make(), Recorder(tmp_path))
    assert read(tmp_path).findings is None
    assert list(read(tmp_path).readings) == []


def test_a_training_is_the_same_with_and_without(tmp_path):
    plain, recorded = make(), make()
    before = fit(plain).history
    after_plain = torch.rand(1), np.random.random()
    recorded = make()
    assert fit(recorded, Recorder(tmp_path)).history == before
    assert all(torch.equal(a, b) for a, b in zip(plain.weights, recorded.weights, strict=True))
    assert (torch.rand(1), np.random.random()) == after_plain


def test_it_never_listens_to_batches(tmp_path):
    run = callbacks.CallbackList([Recorder(tmp_path)], model=make(), epochs=1)
    for event in ("on_train_batch_begin", "on_train_batch_end", "on_batch_end", "on_test_batch_end"):
        assert run.listeners(event) == []


def test_of_several_processes_only_the_first_writes(tmp_path, monkeypatch):
    monkeypatch.setattr("lamella.engine.cluster.is_first", lambda: False)
    fit(make(), Recorder(tmp_path / "run"))
    assert not (tmp_path / "run").exists()


def test_a_part_of_a_model_is_not_looked_at_alone(tmp_path, monkeypatch):
    shards = object()
    monkeypatch.setattr("lamella.distribution.get_distribution", lambda: shards)
    fit(make(), Recorder(tmp_path))
    assert read(tmp_path).evidence.samples == 0
    assert read(tmp_path).state == "completed"


def test_a_stopped_training(tmp_path):
    stop = callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: setattr(model, "stop_training", epoch == 1))
    model = make()
    fit(model, Recorder(tmp_path), stop, epochs=9)
    assert (read(tmp_path).state, len(read(tmp_path).history["loss"]), read(tmp_path).epochs) == ("stopped", 2, 9)


def test_ctrl_c(tmp_path, capsys):
    def interrupt(epoch, logs):
        if epoch == 1:
            raise KeyboardInterrupt

    fit(make(), Recorder(tmp_path), callbacks.LambdaCallback(on_epoch_end=interrupt), epochs=9)
    assert read(tmp_path).state == "stopped"
    assert read(tmp_path).evidence is not None


def test_a_training_by_the_clock_ends_completed(tmp_path):
    fit(make(), Recorder(tmp_path), callbacks.Pace(0.1, minutes=0.002), epochs=1_000_000)
    assert (read(tmp_path).state, read(tmp_path).epochs) == ("completed", 0)


def test_nan_is_a_failure_with_the_doctors_finding(tmp_path):
    model = Sequential([Input((4,)), layers.Dense(8, name="hidden"), layers.Dense(1)])
    model.compile(optimizers.SGD(1e8), "mse")
    with pytest.raises(NonFiniteError):
        fit(model, Recorder(tmp_path), Doctor(shown=0))
    record = read(tmp_path)
    assert record.state == "failed"
    assert record.error.startswith("NonFiniteError: ")
    assert "non_finite" in [finding.kind for finding in record.findings]


def test_an_error_of_any_kind_is_a_failure(tmp_path):
    def fail(epoch, logs):
        raise OSError("the network is gone")

    with pytest.raises(OSError, match="network"):
        fit(make(), Recorder(tmp_path), callbacks.LambdaCallback(on_epoch_end=fail))
    assert (read(tmp_path).state, read(tmp_path).error) == ("failed", "OSError: the network is gone")


def test_no_epochs(tmp_path):
    fit(make(), Recorder(tmp_path), epochs=0)
    assert (read(tmp_path).state, read(tmp_path).history) == ("completed", {})


def test_the_second_training_of_a_recorder_begins_anew(tmp_path):
    model, recorder = make(), Recorder(tmp_path)
    fit(model, recorder, epochs=4)
    history = fit(model, recorder, epochs=2)
    assert read(tmp_path).history == history.history
    fit(model, recorder, epochs=3, initial_epoch=2)
    assert len(read(tmp_path).history["loss"]) == 3


def train_eyes(folder, killed_in=None):
    utils.set_random_seed(0)
    model = Sequential([Input((4,)), layers.Dense(1)])
    model.compile("sgd", "mse")
    die = callbacks.LambdaCallback(on_epoch_begin=lambda epoch, logs: epoch == killed_in and os.kill(os.getpid(), 9))
    watching = [callbacks.BackupAndRestore(folder / "backup"), Recorder(folder / "run"), die]
    return model.fit(np.eye(4), np.ones(4), epochs=5, verbose=0, callbacks=watching)


def test_a_training_that_goes_on_after_a_kill(tmp_path):
    rooms = [str(each) for each in Path(__file__).parents[:2]]
    code = f"import pathlib, sys; sys.path[:0] = {rooms}; import test_recorder"
    code += f"; test_recorder.train_eyes(pathlib.Path({str(tmp_path)!r}), killed_in=3)"
    assert fresh.run(["-c", code]).returncode == -9
    assert len(read(tmp_path / "run").history["loss"]) == 3
    history = train_eyes(tmp_path)
    record = read(tmp_path / "run")
    assert record.history == history.history
    assert (record.state, len(record.history["loss"])) == ("completed", 5)


def test_a_training_that_was_killed_before_its_end_event(tmp_path):
    def die(logs):
        raise SystemExit  # all epochs are trained; the backup is not yet removed

    kept = tmp_path / "backup"
    with pytest.raises(SystemExit):
        fit(make(), callbacks.LambdaCallback(on_train_end=die), callbacks.BackupAndRestore(kept), Recorder(tmp_path))
    before = read(tmp_path).history
    assert len(before["loss"]) == 3
    fit(make(), callbacks.BackupAndRestore(kept), Recorder(tmp_path), Doctor(shown=0))
    record = read(tmp_path)
    assert (record.history, record.state, record.findings) == (before, "completed", [])


def test_an_optimizer_that_cannot_tell_its_settings_does_not_end_the_training(tmp_path, monkeypatch):
    model = make()
    monkeypatch.setattr(type(model.optimizer), "get_config", lambda self: 1 / 0)
    with pytest.warns(UserWarning, match="The report leaves something out: ZeroDivisionError"):
        fit(model, Recorder(tmp_path))
    assert (read(tmp_path).state, read(tmp_path).settings) == ("completed", {})


def test_data_of_ones_own(tmp_path):
    fit(make(), Recorder(tmp_path, data=(X[:20], Y[:20])))
    assert (read(tmp_path).evidence.data, read(tmp_path).evidence.samples) == ("given", 20)


@pytest.mark.parametrize("data", [X, (X, Y[:3]), (X,), (X, np.array(["no class"] * 200))])
def test_other_data_are_refused_before_training(tmp_path, data):
    model = make()
    before = [weight.clone() for weight in model.weights]
    with pytest.raises(DataError, match="`data`"):
        fit(model, Recorder(tmp_path, data=data))
    assert all(torch.equal(a, b) for a, b in zip(model.weights, before, strict=True))


def test_streams_are_looked_at_and_a_generator_is_not_used_up(tmp_path):
    loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(torch.tensor(X), torch.tensor(Y)), 32)
    make().fit(loader, epochs=1, verbose=0, callbacks=[Recorder(tmp_path)])
    assert (read(tmp_path).evidence.data, read(tmp_path).evidence.samples) == ("training", 200)

    def batches():
        while True:
            yield X[:16], Y[:16]

    make().fit(batches(), epochs=2, steps_per_epoch=3, verbose=0, callbacks=[Recorder(tmp_path)])
    assert (read(tmp_path).evidence.samples, read(tmp_path).state) == (16, "completed")


def test_a_disk_that_is_full_ends_the_recording_not_the_training(tmp_path, monkeypatch):
    def refuse(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("lamella.report.run_file.append", refuse)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        history = fit(make(), Recorder(tmp_path))
    assert len(history.epoch) == 3
    assert [str(each.message) for each in told] == [
        f"The training goes on, but is no longer recorded in {tmp_path}: [Errno 28] No space left on device"
    ]
    assert not (tmp_path / NAME).exists()

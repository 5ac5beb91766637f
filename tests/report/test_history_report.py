"""`history.report(...)` and `lamella.report.write`: one file, of whatever is known."""

import copy
import pickle

import numpy as np
import pytest
import torch

from lamella import Input, Sequential, callbacks, layers, optimizers, report, study, utils
from lamella.callbacks import BackupAndRestore, CallbackList, History
from lamella.doctor import Doctor
from lamella.errors import ArgumentError, DataError, NonFiniteError
from lamella.report.environment import command, environment, seed
from lamella.report.recording import record_of

X = np.random.default_rng(0).normal(size=(120, 4)).astype("float32")
Y = X[:, 0] * 2


def make(rate=0.05):
    utils.set_random_seed(1)
    model = Sequential([Input((4,), name="inputs"), layers.Dense(5, name="hidden"), layers.Dense(1, name="out")])
    model.compile(optimizers.SGD(rate), "mse")
    return model


def fit(model, **more):
    return model.fit(X, Y, **{"epochs": 2, "verbose": 0, "validation_split": 0.2, **more})


def test_one_file_is_written(tmp_path):
    history = fit(make(), callbacks=[Doctor(shown=0)])
    history.report(tmp_path / "report.html", language="en")
    written = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert written.lstrip().lower().startswith("<!doctype html>")
    assert "hidden" in written and history.model.name in written
    history.report(str(tmp_path / "zh.html"), language="zh")
    assert "训练" in (tmp_path / "zh.html").read_text(encoding="utf-8")
    with pytest.raises(ArgumentError, match="de"):
        history.report(tmp_path / "de.html", language="de")


def test_what_the_record_of_a_history_holds():
    model = make()
    history = fit(model, epochs=4, validation_freq=2, callbacks=[callbacks.ReduceLROnPlateau("loss", patience=99)])
    record = record_of(history)
    assert (record.name, record.state, record.epochs) == (model.name, "completed", 4)
    assert record.history["loss"] == history.history["loss"]
    assert np.isnan(record.history["val_loss"]).tolist() == [True, False, True, False]
    assert [value for value in record.history["val_loss"] if value == value] == history.history["val_loss"]
    assert record.rates == history.rates == pytest.approx([0.05] * 4)
    assert len(record.seconds) == 4 and min(record.seconds) > 0
    assert record.settings["samples"] == "96"
    assert (record.evidence.data, record.evidence.samples) == ("validation", 24)
    assert record.findings is None
    assert [row.name for row in record.layers] == ["hidden", "out"]


def test_data_of_ones_own_and_no_validation():
    history = fit(make(), validation_split=0.0)
    assert (record_of(history).evidence.data, record_of(history).evidence.samples) == ("training", 120)
    found = record_of(history, (X[:7], Y[:7])).evidence
    assert (found.data, found.samples) == ("given", 7)
    with pytest.raises(DataError, match=r"must be \(x, y\)"):
        history.report("never.html", data=X)


def test_states():
    model = make()
    stop = callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: setattr(model, "stop_training", True))
    assert record_of(fit(model, callbacks=[stop])).state == "stopped"
    broken = make(1e9)
    with pytest.raises(NonFiniteError):
        fit(broken, epochs=9)
    record = record_of(broken.history)
    assert record.state == "failed"
    assert record.error.startswith("NonFiniteError")


def test_data_are_not_copied_but_large_ones_are_let_go_of(monkeypatch):
    x = torch.tensor(X)
    model = make()
    history = model.fit(x, torch.tensor(Y), epochs=1, verbose=0)
    assert history.data.x.data_ptr() == x.data_ptr()
    monkeypatch.setattr("lamella.training.callbacks.kept_data._MOST_BYTES", 40 * 20)
    history = model.fit(x, torch.tensor(Y), epochs=1, verbose=0)
    assert len(history.data.x) == len(history.data.y) == 40
    assert history.data.rows[0] == 0 and history.data.rows[-1] == 119
    assert torch.equal(history.data.x, x[history.data.rows])
    numbers = [mistake.index for mistake in record_of(history).evidence.mistakes]
    assert set(numbers) <= set(history.data.rows.tolist())


def test_of_a_stream_the_first_batch_is_kept():
    history = make().fit(((X[i : i + 30], Y[i : i + 30]) for i in (0, 30, 60, 90)), epochs=1, verbose=0)
    assert (history.data.kind, len(history.data.x)) == ("training", 30)
    assert record_of(history).settings.get("batch_size") is None


def test_a_history_can_be_pickled_and_copied_without_its_data(tmp_path):
    model = make()
    history = fit(model, callbacks=[callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: None)])
    assert history.callbacks is not None and history.data is not None
    for again in (pickle.loads(pickle.dumps(history)), copy.deepcopy(history)):
        assert again.history == history.history
        assert (again.data, again.callbacks) == (None, None)
        again.report(tmp_path / "again.html", language="en")
        assert "validation" in (tmp_path / "again.html").read_text(encoding="utf-8")
    assert type(history.history) is dict
    assert pickle.loads(pickle.dumps(history.history)) == copy.deepcopy(history.history) == history.history


def test_a_resumed_training_has_the_rates_and_seconds_of_all_its_epochs(tmp_path):
    def stop(epoch, logs):
        if epoch == 1:
            raise KeyboardInterrupt

    backup = BackupAndRestore(tmp_path / "backup")
    fit(make(), epochs=4, callbacks=[backup, callbacks.LambdaCallback(on_epoch_begin=stop)])
    history = fit(make(), epochs=4, callbacks=[BackupAndRestore(tmp_path / "backup")])
    assert history.epoch == [0, 1, 2, 3]
    assert len(history.rates) == len(history.seconds) == len(history.logs) == 4
    assert len(record_of(history).history["loss"]) == 4


def test_a_callback_that_is_appended_gets_the_model_and_the_list():
    run = CallbackList([], model="a model", epochs=3)
    history = History()
    run.append(history)
    assert (history.model, history.callbacks, history.params) == ("a model", run, {"epochs": 3})


def test_of_several_optimizers_the_first_ones_rate_is_kept():
    model = make()
    rates = optimizers.OptimizerMap(optimizers.SGD(0.25), {"hidden/.*": optimizers.SGD(0.5)})
    model.compile(optimizers.MultiOptimizer(rates), "mse")
    assert fit(model).rates == [model.optimizer.optimizers[0].learning_rate] * 2


def test_write_takes_records_and_studies(tmp_path):
    records = [report.Record(name=name, history={"loss": [2.0, 1.0]}) for name in ("first", "second")]
    report.write(tmp_path / "both.html", records, "en")
    written = (tmp_path / "both.html").read_text(encoding="utf-8")
    assert "first" in written and "second" in written
    model = make()
    found = study.learning_rates(model, X, Y, values=[0.001, 0.1], epochs=2)
    report.write(tmp_path / "study.html", found, "en")
    assert "0.001" in (tmp_path / "study.html").read_text(encoding="utf-8")
    for nothing, message in (([], "is empty"), ("runs/first", "made of.*'runs/first'"), ([3], "made of.*got 3")):
        with pytest.raises(ArgumentError, match=message):
            report.write(tmp_path / "none.html", nothing)
    assert not (tmp_path / "none.html").exists()


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        (["/usr/bin/python3", "/venv/bin/lamella", "train", "--out", "a b"], "lamella train --out 'a b'"),
        (["python", "-m", "lamella", "train"], "lamella train"),
        (["/venv/bin/python3.12", "script.py", "-n", "3"], "python script.py -n 3"),
        (["python", "/lib/ipykernel_launcher.py", "-f", "kernel.json"], ""),
        (["python", "-m", "ipykernel_launcher", "-f", "kernel.json"], ""),
        (["python"], ""),
    ],
)
def test_the_command_that_trains_again(monkeypatch, typed, expected):
    monkeypatch.setattr("sys.orig_argv", typed)
    assert command() == expected


def test_the_environment(monkeypatch, tmp_path):
    utils.set_random_seed(77)
    found = environment()
    assert (found["torch"], found["threads"], seed()) == (torch.__version__, str(torch.get_num_threads()), "77")
    assert all(isinstance(value, str) and value for value in found.values())
    torch.seed()
    monkeypatch.chdir(tmp_path)  # outside of any repository
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", "/")
    assert "commit" not in environment()
    assert seed() == ""

"""`lamella train` and the other verbs: what they print, write and refuse."""

import csv
import importlib.metadata
import json
import re
import subprocess
import sys

import numpy as np
import pytest

import lamella
from lamella import cli
from lamella.commands.train import Options, build

SMALL = ["train", "--epochs", "2", "--hidden", "16", "--batch-size", "64", "--verbose", "0"]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    assert cli.main([*SMALL, "--optimizer", "sgd", "--learning-rate", "0.1", "--out", str(folder)]) == 0
    return folder


def test_what_is_written(trained):
    assert {each.name for each in trained.iterdir()} == {
        "model.keras",
        "weights.safetensors",
        "events.jsonl",
        "report.html",
        "history.csv",
        "run.json",
        "learning_curve.png",
    }
    record = json.loads((trained / "run.json").read_text())
    assert record["options"]["hidden"] == [16]
    assert record["options"]["learning_rate"] == 0.1
    assert 0.2 < record["test"]["accuracy"] <= 1
    rows = list(csv.DictReader((trained / "history.csv").read_text().splitlines()))
    assert [row["epoch"] for row in rows] == ["1", "2"]
    assert set(rows[0]) == {"epoch", "loss", "accuracy", "val_loss", "val_accuracy"}
    assert float(rows[1]["loss"]) < float(rows[0]["loss"])
    assert (trained / "learning_curve.png").read_bytes().startswith(b"\x89PNG")


def test_the_weights_give_the_test_score_that_was_printed(trained):
    (x_train, _), (x_test, y_test) = lamella.datasets.digits.load_data()
    model = build(Options(hidden=(16,)), x_train, 10, lamella.layers.Rescaling(1 / 16))
    model.load_weights(trained / "weights.safetensors")
    accuracy = np.mean(np.argmax(model.predict(x_test, verbose=0), -1) == y_test)
    assert accuracy == pytest.approx(json.loads((trained / "run.json").read_text())["test"]["accuracy"])


def test_the_table_and_the_score_are_printed(capsys, tmp_path):
    assert cli.main([*SMALL, "--model", "logistic", "--out", str(tmp_path)]) == 0
    printed = capsys.readouterr().out
    assert "digits_logistic" in printed
    assert "Total weights: 650" in printed
    for heading in ("first epoch", "best", "last epoch", "val_accuracy", "Test accuracy: 0.", str(tmp_path)):
        assert heading in printed


def test_one_seed_gives_one_result(tmp_path):
    def losses(name, seed):
        folder = tmp_path / name
        assert cli.main([*SMALL, "--seed", seed, "--out", str(folder)]) == 0
        return (folder / "history.csv").read_text()

    assert losses("a", "5") == losses("b", "5")
    assert losses("a", "5") != losses("c", "6")


def test_each_run_gets_its_own_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for _ in range(2):
        assert cli.main([*SMALL, "--model", "logistic"]) == 0
    assert sorted(each.name for each in (tmp_path / "runs").iterdir()) == ["digits-logistic-1", "digits-logistic-2"]


def test_the_cnn_sees_pictures():
    x = np.zeros((2, 8, 8), "uint8")
    model = build(Options(model="cnn", hidden=(4,)), x, 10, lamella.layers.Rescaling(1 / 16))
    assert model.output_shape == (None, 10)
    assert [type(layer).__name__ for layer in model.layers].count("Conv2D") == 2
    with pytest.raises(lamella.errors.ArgumentError, match="--model cnn needs pictures"):
        build(Options(model="cnn"), np.zeros((2, 8), "float32"), None, lamella.layers.Rescaling(1.0))


REFUSED = {
    "dataset": (["--dataset", "foo"], "invalid choice: 'foo'.*digits"),
    "epochs": (["--epochs", "0"], "--epochs: must be a whole number of 1 or more; got '0'"),
    "epochs, no number": (["--epochs", "many"], "--epochs: must be a whole number.*'many'"),
    "batch size": (["--batch-size", "-4"], "--batch-size: must be a whole number of 1 or more"),
    "hidden": (["--hidden", "128,x"], "--hidden: must be whole numbers of 1 or more, such as 128,64; got '128,x'"),
    "hidden zero": (["--hidden", "0"], "--hidden: must be whole numbers"),
    "dropout": (["--dropout", "2"], "--dropout: must be a number from 0 to 1; got '2'"),
    "rate": (["--learning-rate", "-1"], "--learning-rate: must be a number above 0; got '-1'"),
    "rate NaN": (["--learning-rate", "nan"], "--learning-rate: must be a number above 0; got 'nan'"),
    "split": (["--validation-split", "1"], "--validation-split: must be a number from 0 to below 1; got '1'"),
    "seed": (["--seed", "-1"], "--seed: must be a whole number from 0 to 4294967295; got '-1'"),
    "an unknown option": (["--epoch-count", "3"], "unrecognized arguments: --epoch-count"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_bad_options_get_one_line(case, capsys):
    arguments, message = REFUSED[case]
    with pytest.raises(SystemExit) as stopped:
        cli.main(["train", *arguments])
    _one_line(stopped.value.code, capsys.readouterr().err, message)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--model", "vgg"], "--model: invalid choice: 'vgg'.*mlp"),
        (["--task", "detect", "--data", "x", "--model", "mlp"], "--model: invalid choice: 'mlp'.*yolo-n"),
        (["--task", "detect"], "--task detect needs --data, a folder"),
        (["--task", "detect", "--data", "x", "--dropout", "0"], "--dropout does not go with --task detect"),
        (["--minutes", "3"], "--minutes does not go with --task classify"),
        (["--task", "detect", "--data", "no/such/folder"], "no/such/folder: there is no such folder"),
    ],
)
def test_options_that_do_not_go_together_get_one_line(arguments, message, capsys):
    _one_line(cli.main(["train", *arguments]), capsys.readouterr().err, message)


def test_an_unknown_optimizer_names_the_nearest_and_leaves_nothing(capsys, tmp_path):
    out = tmp_path / "new"
    code = cli.main([*SMALL, "--optimizer", "adamm", "--out", str(out)])
    _one_line(code, capsys.readouterr().err, "Unknown optimizer 'adamm'. Did you mean 'adam'")
    assert not out.exists()


def test_a_folder_that_cannot_be_written_to_is_refused_before_training(capsys, tmp_path, monkeypatch):
    monkeypatch.setattr(lamella.Sequential, "fit", lambda *_, **__: pytest.fail("it trained"))
    taken = tmp_path / "file"
    taken.write_text("")
    code = cli.main([*SMALL, "--out", str(taken)])
    _one_line(code, capsys.readouterr().err, "Cannot write to .*file: .*Choose another folder with --out")

    def refuse(**_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("lamella.commands.run_folder.tempfile.TemporaryFile", refuse)
    code = cli.main([*SMALL, "--out", str(tmp_path)])
    _one_line(code, capsys.readouterr().err, "Permission denied")


def test_data_that_cannot_be_had_is_one_line(capsys, tmp_path, monkeypatch):
    def refuse():
        raise lamella.errors.DownloadError("Cannot download it.")

    monkeypatch.setattr(lamella.datasets.mnist, "load_data", refuse)
    code = cli.main(["train", "--dataset", "mnist", "--out", str(tmp_path)])
    _one_line(code, capsys.readouterr().err, "Cannot download it")


def _one_line(code, printed, message):
    assert code == 2
    assert len(printed.strip().splitlines()) == 1
    assert printed.startswith("lamella")
    assert re.search(message, printed), printed


def test_alone_it_prints_help(capsys):
    assert cli.main([]) == 0
    printed = capsys.readouterr().out
    assert "run a Keras script, unchanged" in printed
    assert "train a model on a data set" in printed


def test_version(capsys):
    assert cli.main(["--version"]) == 0
    assert capsys.readouterr().out == f"lamella {importlib.metadata.version('lamella')}\n"


def test_as_a_module():
    done = subprocess.run([sys.executable, "-m", "lamella", "--help"], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("usage: lamella")

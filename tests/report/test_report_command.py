"""`lamella train` leaves a report; `lamella report` makes one of run folders; `lamella watch` is handed its options."""

import re

import numpy as np
import pytest

import lamella
from lamella import cli
from lamella.report import read
from lamella.report.run_file import append

SMALL = ["train", "--epochs", "2", "--hidden", "16", "--batch-size", "64", "--verbose", "0"]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "first"
    assert cli.main([*SMALL, "--out", str(folder)]) == 0
    return folder


def test_the_folder_tells_all_of_the_training(trained):
    record = read(trained)
    assert (record.name, record.state, record.epochs, len(record.history["val_accuracy"])) == (
        "first",
        "completed",
        2,
        2,
    )
    assert record.findings is not None and len(record.readings) >= 2
    assert record.evidence.data == "validation"
    assert record.evidence.mistakes[0].picture.startswith("data:image/png;base64,")
    assert "hidden_1" in (trained / "report.html").read_text(encoding="utf-8")


def test_the_model_can_be_served(trained):
    model = lamella.models.load_model(trained / "model.keras")
    (_, _), (x, y) = lamella.datasets.digits.load_data()
    assert np.mean(model.predict(x, verbose=0).argmax(1) == y) > 0.2


def test_the_closing_lines_say_where_all_is(capsys, tmp_path):
    assert cli.main([*SMALL, "--no-doctor", "--out", str(tmp_path)]) == 0
    printed = capsys.readouterr().out
    assert f"Written to {tmp_path}: model.keras, weights.safetensors, report.html, events.jsonl" in printed
    assert f"open {tmp_path}/report.html" in printed
    assert f"lamella serve {tmp_path}/model.keras --pixels 0,16" in printed
    assert read(tmp_path).findings is None


def test_a_doctor_says_what_is_wrong(capsys, tmp_path):
    slow = ["--optimizer", "sgd", "--learning-rate", "1e-4", "--epochs", "5"]
    assert cli.main([*SMALL, *slow, "--out", str(tmp_path)]) == 0
    assert "[rate_too_small]" in capsys.readouterr().out
    assert "rate_too_small" in [finding.kind for finding in read(tmp_path).findings]


def test_report_of_one_and_of_several(trained, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    append(trained.parent / "second", "begin", epochs=3)
    append(trained.parent / "second", "epoch", epoch=0, logs={"loss": 1.0}, rate=0.1, seconds=1.0)
    assert cli.main(["report", str(trained), "--lang", "zh"]) == 0
    assert capsys.readouterr().out == "Written to report.html: first\n"
    assert "训练" in (tmp_path / "report.html").read_text(encoding="utf-8")
    assert cli.main(["report", str(trained.parent), "-o", "all.html", "--lang", "en"]) == 0
    assert capsys.readouterr().out == "Written to all.html: first, second\n"
    assert "second" in (tmp_path / "all.html").read_text(encoding="utf-8")


def test_what_is_no_run_folder_gets_one_line(tmp_path, capsys):
    for folder, message in ((tmp_path, "has no events.jsonl"), (tmp_path / "none", "is not there")):
        assert cli.main(["report", str(folder), "-o", str(tmp_path / "report.html")]) == 2
        printed = capsys.readouterr().err
        assert re.fullmatch(rf"lamella report: .*{re.escape(message)}.*\n", printed)
    assert not (tmp_path / "report.html").exists()


def test_a_language_that_is_not_spoken_gets_one_line(capsys):
    with pytest.raises(SystemExit):
        cli.main(["report", "runs", "--lang", "de"])
    assert "invalid choice: 'de'" in capsys.readouterr().err


def test_watch_is_handed_its_options(monkeypatch):
    seen = []
    monkeypatch.setattr("lamella.commands.watch.watch", seen.append)
    assert cli.main(["watch"]) == 0
    assert cli.main(["watch", "a", "b", "--host", "0.0.0.0", "--port", "0", "--open"]) == 0
    assert [(list(o.folders), o.host, o.port, o.open) for o in seen] == [
        (["runs"], "127.0.0.1", 6006, False),
        (["a", "b"], "0.0.0.0", 0, True),
    ]

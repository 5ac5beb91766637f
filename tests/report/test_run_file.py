"""A run folder's file: written line by line, read at any time, whatever is in it or missing."""

import json
import math
import os

import fresh
import numpy as np
import pytest

from lamella.doctor import Finding, LayerReading, Reading
from lamella.errors import FileError
from lamella.report import read
from lamella.report.record import Confusion, Embeddings, Evidence, Filters, LayerRow, Mistake, Residuals
from lamella.report.run_file import NAME, VERSION, append, this_process


def begin(folder, **more):
    append(folder, "begin", version=VERSION, epochs=3, **more)


def epoch(folder, number, **logs):
    append(folder, "epoch", epoch=number, logs=logs, rate=0.1, seconds=1.5)


def test_all_that_is_written_is_read_again(tmp_path):
    layer = LayerReading("hidden", 0.1, 0.2, math.inf, 0.4, 0.5, math.nan, 1.0, False, True)
    finding = Finding("dead_units", {"share": 0.75}, "hidden", 2, "case")
    evidence = Evidence(
        "given",
        2,
        Confusion(["a", "<b>"], [[1, 0], [0, 1]]),
        Residuals([1.0, math.nan], [-math.inf, 2.0]),
        [Mistake(7, "a", "b", math.inf, text='a "text"\nof two lines \ud800 和汉字')],
        Filters("conv", ["data:image/png;base64,AA=="]),
        Embeddings("dense", [(1.0, -2.5)], [1], ["a", "<b>"], 0.5),
    )
    begin(
        tmp_path,
        started="2026-11-21T20:15:00+00:00",
        settings={"optimizer": "Adam"},
        layers=[LayerRow("hidden", "Dense", "(None, 8)", 24)],
        environment={"torch": "2.13"},
        command="lamella train",
    )
    append(tmp_path, "reading", **vars(Reading(0, math.nan, (layer,))))
    epoch(tmp_path, 0, loss=2.0, val_loss=math.inf)
    epoch(tmp_path, 1, loss=np.float32(0.5))
    append(tmp_path, "findings", findings=[finding])
    append(tmp_path, "evidence", **vars(evidence))
    append(tmp_path, "end", state="failed", error="NonFiniteError: NaN")
    for line in (tmp_path / NAME).read_text().splitlines():
        json.loads(line, parse_constant=lambda name: pytest.fail(f"{name} is not strict JSON"))
    record = read(tmp_path)
    assert (record.name, record.started, record.epochs) == (tmp_path.name, "2026-11-21T20:15:00+00:00", 3)
    assert (record.state, record.error) == ("failed", "NonFiniteError: NaN")
    assert record.layers == [LayerRow("hidden", "Dense", "(None, 8)", 24)]
    assert (record.settings, record.environment) == ({"optimizer": "Adam"}, {"torch": "2.13"})
    assert record.history["loss"] == [2.0, 0.5]
    assert record.history["val_loss"][0] == math.inf and math.isnan(record.history["val_loss"][1])
    assert (record.rates, record.seconds) == ([0.1, 0.1], [1.5, 1.5])
    assert record.findings == [finding]
    assert repr(record.readings) == repr([Reading(0, math.nan, (layer,))])
    assert repr(record.evidence) == repr(evidence)


def test_an_epoch_is_there_as_soon_as_it_is_written(tmp_path):
    begin(tmp_path)
    for number in range(3):
        epoch(tmp_path, number, loss=float(number))
        record = read(tmp_path)
        assert record.history["loss"] == list(range(number + 1))
        assert record.state == "running"
        assert record.findings is None


def test_half_a_last_line_is_left_out_and_the_next_event_mends_the_file(tmp_path):
    begin(tmp_path)
    epoch(tmp_path, 0, loss=1.0)
    with (tmp_path / NAME).open("ab") as file:
        file.write(b'{"event": "epoch", "epoch": 1, "lo')
    assert read(tmp_path).history == {"loss": [1.0]}
    epoch(tmp_path, 1, loss=0.5)
    assert read(tmp_path).history == {"loss": [1.0, 0.5]}


def test_a_file_with_nothing_yet_is_a_run_that_is_about_to_begin(tmp_path):
    (tmp_path / NAME).write_text("")
    assert (read(tmp_path).state, read(tmp_path).name) == ("running", tmp_path.name)
    (tmp_path / NAME).write_text('{"event"')
    assert read(tmp_path).history == {}
    epoch(tmp_path, 0, loss=1.0)
    assert read(tmp_path).history == {"loss": [1.0]}


def test_a_run_that_goes_on_keeps_its_epochs_and_one_that_starts_anew_does_not(tmp_path):
    begin(tmp_path, epoch=0)
    epoch(tmp_path, 0, loss=3.0)
    epoch(tmp_path, 1, loss=2.0)
    append(tmp_path, "end", state="stopped", error=None)
    begin(tmp_path, epoch=1)
    assert (read(tmp_path).history, read(tmp_path).state) == ({"loss": [3.0]}, "running")
    epoch(tmp_path, 1, loss=1.0)
    assert read(tmp_path).history == {"loss": [3.0, 1.0]}
    begin(tmp_path, epoch=0)
    assert read(tmp_path).history == {}


def test_metrics_of_some_epochs_are_nan_in_the_others_and_lists_are_left_out(tmp_path):
    begin(tmp_path)
    epoch(tmp_path, 0, loss=3.0, per_class=[1.0, 2.0])
    epoch(tmp_path, 1, loss=2.0, val_loss=2.5)
    history = read(tmp_path).history
    assert list(history) == ["loss", "val_loss"]
    assert math.isnan(history["val_loss"][0]) and history["val_loss"][1] == 2.5


def test_kinds_of_events_that_are_not_known_are_left_out(tmp_path):
    begin(tmp_path)
    append(tmp_path, "weather", sun=True)
    epoch(tmp_path, 0, loss=1.0)
    assert read(tmp_path).history == {"loss": [1.0]}


def test_no_run_folder(tmp_path):
    with pytest.raises(FileError, match=r"has no events\.jsonl.*A run folder is what fit"):
        read(tmp_path)
    with pytest.raises(FileError, match="is not there"):
        read(tmp_path / "none")
    (tmp_path / "file").write_text("")
    with pytest.raises(FileError, match="or no folder"):
        read(tmp_path / "file")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("no JSON at all", "line 2: no JSON"),
        ("[1, 2]", "line 2: no event"),
        ('{"epoch": 1}', "line 2: no event"),
        ('{"event": "epoch"}', "line 2: a damaged 'epoch' event"),
        ('{"event": "epoch", "epoch": 0, "logs": 3, "seconds": 1}', "damaged 'epoch' event"),
        ('{"event": "reading", "epoch": 1}', "damaged 'reading' event"),
        ('{"event": "findings", "findings": [{"sort": "x"}]}', "damaged 'findings' event"),
        ('{"event": "evidence", "data": "given"}', "damaged 'evidence' event"),
        ('{"event": "end"}', "damaged 'end' event"),
        ('{"event": "begin", "layers": [3]}', "damaged 'begin' event"),
        ('{"event": "begin", "version": 99}', "newer Lamella .version 99.*pip install -U lamella"),
        ("\ufffd\x00", "no JSON"),
    ],
)
def test_a_damaged_file_says_where(tmp_path, line, message):
    begin(tmp_path)
    with (tmp_path / NAME).open("a", encoding="utf-8") as file:
        file.write(line + "\n")
    with pytest.raises(FileError, match=message):
        read(tmp_path)


def test_bytes_that_are_no_text_are_a_damaged_file(tmp_path):
    (tmp_path / NAME).write_bytes(b"\xff\xfe\x00\n")
    with pytest.raises(FileError, match="line 1: no JSON"):
        read(tmp_path)


@pytest.mark.skipif(not os.path.exists("/proc/self"), reason="only Linux tells which processes run")
def test_a_killed_run_has_stopped(tmp_path):
    code = (
        "import os, sys; from lamella.report import run_file as r;"
        "r.append(sys.argv[1], 'begin', process=r.this_process()); os.kill(os.getpid(), 9)"
    )
    assert fresh.run(["-c", code, tmp_path]).returncode == -9
    assert read(tmp_path).state == "stopped"
    begin(tmp_path, process=this_process())
    assert read(tmp_path).state == "running"
    begin(tmp_path, process={**this_process(), "machine": "another", "number": 2**30})
    assert read(tmp_path).state == "running"

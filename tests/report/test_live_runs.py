"""Runs: which are there, and which changed, whatever happens to their files."""

import os
import subprocess
import sys
from types import SimpleNamespace

import pytest

from lamella.report import live, run_file
from lamella.report.live import Runs
from lamella.report.record import Record


def begin(folder, **fields):
    run_file.append(folder, "begin", **{"epochs": 3, **fields})


def epoch(folder, number, loss=0.5, **more):
    run_file.append(folder, "epoch", epoch=number, logs={"loss": loss, **more}, rate=0.1, seconds=1.0)


def test_a_run_appears_grows_is_cut_short_and_vanishes(tmp_path):
    runs = Runs([tmp_path / "runs"])
    assert not runs.look() and not runs.stamps  # the folder is not there yet

    folder = tmp_path / "runs" / "first"
    begin(folder)
    assert runs.look() and list(runs.stamps) == ["first"]
    assert not runs.look()
    assert (runs.summary("first").epoch, runs.summary("first").loss) == (0, None)

    epoch(folder, 0, 0.7, val_loss=0.8)
    assert runs.look()
    summary = runs.summary("first")
    assert (summary.epoch, summary.epochs, summary.loss, summary.val_loss) == (1, 3, 0.7, 0.8)
    assert runs.record("first").history["loss"] == [0.7]

    file = folder / "events.jsonl"
    whole = file.read_bytes()
    file.write_bytes(whole + b'{"event": "epo')  # half a line
    assert runs.look() and runs.summary("first").epoch == 1
    file.write_bytes(whole[: whole.index(b"\n") + 1])
    assert runs.look() and runs.summary("first").epoch == 0
    file.write_bytes(b"")
    assert runs.look() and runs.summary("first").epoch == 0

    file.unlink()
    assert runs.look() and not runs.stamps
    with pytest.raises(KeyError):
        runs.record("first")
    with pytest.raises(KeyError):
        runs.summary("first")


def test_a_file_in_the_place_of_another_of_the_same_size_and_time_is_seen(tmp_path):
    begin(tmp_path / "a")
    epoch(tmp_path / "a", 0, 0.25)
    runs = Runs([tmp_path])
    runs.look()
    file, other = tmp_path / "a" / "events.jsonl", tmp_path / "other"
    other.write_bytes(file.read_bytes().replace(b"0.25", b"0.75"))
    status = file.stat()
    os.utime(other, ns=(status.st_atime_ns, status.st_mtime_ns))
    os.replace(other, file)
    assert runs.look() and runs.record("a").history["loss"] == [0.75]


def test_runs_are_found_in_folders_of_folders_but_not_in_other_runs(tmp_path):
    for path in ("a", "group/b", "group/more/c", "group/more/deeper/d", "a/inner", ".hidden"):
        begin(tmp_path / path)
    runs = Runs([tmp_path])
    runs.look()
    assert sorted(runs.stamps) == ["a", "group/b", "group/more/c"]


def test_names_are_of_the_folders_that_were_given(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for path in ("old/a", "new/a", "single"):
        begin(tmp_path / path)
    runs = Runs(["old", "new/", "single"])
    runs.look()
    assert sorted(runs.stamps) == ["new/a", "old/a", "single"]
    runs = Runs(["single"])
    runs.look()
    assert list(runs.stamps) == ["single"]
    monkeypatch.chdir(tmp_path / "single")
    runs = Runs(["."])
    runs.look()
    assert list(runs.stamps) == ["single"]


def test_a_file_that_makes_no_sense_is_told_and_read_again_when_it_changes(tmp_path):
    (tmp_path / "bad").mkdir()
    file = tmp_path / "bad" / "events.jsonl"
    file.write_text("no json\n")
    (tmp_path / "odd" / "events.jsonl").mkdir(parents=True)
    runs = Runs([tmp_path])
    runs.look()
    assert runs.summary("bad").state == "unreadable" and "line 1" in runs.summary("bad").error
    assert runs.summary("odd").state == "unreadable"
    with pytest.raises(ValueError):
        runs.record("bad")
    file.unlink()
    begin(tmp_path / "bad")
    assert runs.look() and runs.summary("bad").state == "running"


def test_a_run_is_read_once_for_each_change(tmp_path):
    reads = []

    def read(path):
        reads.append(path.name)
        return run_file.read(path)

    begin(tmp_path / "a")
    begin(tmp_path / "b")
    runs = Runs([tmp_path], read)
    for _ in range(3):
        runs.look()
        assert runs.summary("a").epochs == 3 and runs.record("b").epochs == 3 and runs.summary("b").epochs == 3
    assert sorted(reads) == ["a", "b"]
    epoch(tmp_path / "a", 0)
    runs.look()
    assert runs.summary("a").epoch == 1 and runs.summary("b").epoch == 0
    assert sorted(reads) == ["a", "a", "b"]


def test_only_the_records_looked_at_last_are_kept(tmp_path):
    runs = Runs([tmp_path], lambda path: Record(path.name))
    for i in range(40):
        begin(tmp_path / str(i))
    runs.look()
    kept = [runs.record(str(i)) for i in range(40)]
    assert runs.record("39") is kept[39] and runs.record("0") is not kept[0]
    assert len(runs._records) <= 16


def test_a_training_that_was_killed_is_seen_although_it_writes_nothing(tmp_path, monkeypatch):
    script = (
        "import sys, time\nfrom lamella.report import run_file\n"
        "run_file.append(sys.argv[1], 'begin', epochs=3, process=run_file.this_process())\n"
        "print('begun', flush=True)\ntime.sleep(60)\n"
    )
    command = [sys.executable, "-c", script, str(tmp_path / "a")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, env={**os.environ, "OMP_NUM_THREADS": "1"}) as process:
        try:
            assert process.stdout.readline() == b"begun\n"
            runs = Runs([tmp_path])
            runs.look()
            assert runs.summary("a").state == "running"
        finally:
            process.kill()
    written = (tmp_path / "a" / "events.jsonl").stat().st_mtime
    changes = []
    for age in range(60):
        monkeypatch.setattr(live, "time", SimpleNamespace(time=lambda age=age: written + age))
        if runs.look():
            changes.append(age)
    assert changes == [6, 11, 21, 41]
    assert runs.summary("a").state == "stopped"

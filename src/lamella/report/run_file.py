"""The file that a training leaves behind while it runs: a line of JSON for each event, written at once."""

from __future__ import annotations

import dataclasses
import json
import math
import os
import platform
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from lamella.doctor import Finding, LayerReading, Reading
from lamella.errors import FileError
from lamella.report.record import (
    Confusion,
    Embeddings,
    Evidence,
    Filters,
    LayerRow,
    Mistake,
    Record,
    Residuals,
)

NAME = "events.jsonl"
VERSION = 1


def append(folder: str | os.PathLike[str], event: str, **data: Any) -> None:
    """Adds an event to a run folder's file; it is on its way to the disk when this returns.

    Events are `"begin"` (`epoch`, the number of epochs trained before, and fields of `Record`), `"epoch"` (`epoch`,
    from 0, `logs`, `rate`, `seconds`), `"reading"` (a `Reading`'s fields), `"findings"` (`findings`, all of them),
    `"evidence"` (an `Evidence`'s fields) and `"end"` (`state`, `error`).

    Args:
        folder: The run folder, which is made if it is not there.
        event: What happened.
        **data: What is known of it: numbers, texts, lists, dicts and dataclasses of them.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     append(folder, "begin", epochs=2)
        ...     append(folder, "epoch", epoch=0, logs={"loss": float("nan")}, rate=0.1, seconds=1.5)
        ...     read(folder).history
        {'loss': [nan]}
    """
    path = Path(folder) / NAME
    path.parent.mkdir(parents=True, exist_ok=True)
    line = json.dumps(_strict({"event": event, **data}), allow_nan=False)
    with path.open("ab+") as file:
        _drop_half_line(file)
        file.write(line.encode() + b"\n")  # one write: a reader sees nothing of it, or most often all


def _drop_half_line(file: Any) -> None:
    """What a killed process left of its last line would spoil the next one."""
    if file.seek(0, os.SEEK_END) == 0:
        return
    file.seek(-1, os.SEEK_END)
    if file.read(1) != b"\n":
        file.seek(0)
        file.truncate(file.read().rfind(b"\n") + 1)


def read(folder: str | os.PathLike[str]) -> Record:
    """What a run folder tells of its training, at any time while it runs or after.

    A last line that is half written is left out. A run that was killed is `"stopped"` (where this is seen: on the
    machine that it ran on, under Linux).

    Args:
        folder: The run folder.

    Raises:
        FileError: There is no such folder, it is no run folder, its file is damaged or of a newer version.
    """
    path = Path(folder) / NAME
    try:
        content = path.read_bytes()
    except (FileNotFoundError, NotADirectoryError) as error:
        there = "has no" if Path(folder).is_dir() else "is not there, or no folder, so there is no"
        raise FileError(
            f"{folder} {there} {NAME}. A run folder is what fit(callbacks=[lamella.report.Recorder(folder)]) or "
            f"`lamella train` writes to."
        ) from error
    record = Record(name=Path(folder).resolve().name)
    process: Any = None
    epochs: dict[int, dict[str, Any]] = {}
    for number, event in _events(content, path):
        try:
            if event["event"] == "begin":
                process = event.get("process")
                epochs = {epoch: data for epoch, data in epochs.items() if epoch < event.get("epoch", 0)}
                record = _begun(record.name, event)
            elif event["event"] == "epoch":
                epochs[int(event["epoch"])] = {
                    "logs": dict(event["logs"]),
                    "rate": event.get("rate"),
                    "seconds": float(event["seconds"]),
                }
            else:
                _tell(record, event)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise FileError(f"{path}, line {number}: a damaged {event['event']!r} event ({error!r}).") from error
    _put_epochs(record, list(epochs.values()))
    if record.state == "running" and _is_gone(process):
        record.state = "stopped"
    return record


def _events(content: bytes, path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    *whole, _ = content.split(b"\n")  # after the last newline: nothing, or half a line
    for number, line in enumerate(whole, 1):
        try:
            event = json.loads(line, object_hook=_with_non_finite)
        except ValueError as error:
            raise FileError(f"{path}, line {number}: no JSON ({error}). The file is damaged.") from error
        if not isinstance(event, dict) or not isinstance(event.get("event"), str):
            raise FileError(f"{path}, line {number}: no event of a training. The file is damaged.")
        version = event.get("version", VERSION)
        if not isinstance(version, int) or version > VERSION:
            raise FileError(
                f"{path} was written by a newer Lamella (version {version} of the format; this one reads {VERSION}). "
                f"Upgrade: pip install -U lamella."
            )
        yield number, event


def _begun(name: str, event: Mapping[str, Any]) -> Record:
    given = {field.name: event[field.name] for field in dataclasses.fields(Record) if field.name in event}
    given["layers"] = [LayerRow(**row) for row in event.get("layers", [])]
    return Record(**{"name": name, **given, "state": "running"})


def _tell(record: Record, event: Mapping[str, Any]) -> None:
    """Puts an event after the beginning into the record. Kinds of events that are not known are left out."""
    kind, data = event["event"], {name: value for name, value in event.items() if name != "event"}
    if kind == "reading":
        layers = tuple(LayerReading(**layer) for layer in data["layers"])
        record.readings = [*record.readings, Reading(data["epoch"], data["loss"], layers)]
    elif kind == "findings":
        record.findings = [Finding(**finding) for finding in data["findings"]]
    elif kind == "evidence":
        record.evidence = _evidence(data)
    elif kind == "end":
        record.state, record.error = data["state"], data.get("error")


def _evidence(data: Mapping[str, Any]) -> Evidence:
    def whole(kind: Any, name: str) -> Any:
        return None if data.get(name) is None else kind(**data[name])

    embeddings = whole(Embeddings, "embeddings")
    if embeddings is not None:
        embeddings.points = [(x, y) for x, y in embeddings.points]
    return Evidence(
        data["data"],
        data["samples"],
        whole(Confusion, "confusion"),
        whole(Residuals, "residuals"),
        [Mistake(**mistake) for mistake in data["mistakes"]],
        whole(Filters, "filters"),
        embeddings,
    )


def _put_epochs(record: Record, epochs: list[dict[str, Any]]) -> None:
    record.history = by_metric([epoch["logs"] for epoch in epochs])
    record.rates = [epoch["rate"] for epoch in epochs if epoch["rate"] is not None]
    record.seconds = [epoch["seconds"] for epoch in epochs]


def by_metric(epochs: list[dict[str, Any]]) -> dict[str, list[float]]:
    """For each metric a number for each epoch; NaN where it was not measured (`validation_freq`) or is no number."""
    names = dict.fromkeys(name for logs in epochs for name, value in logs.items() if isinstance(value, (int, float)))
    return {name: [_number(logs.get(name)) for logs in epochs] for name in names}


def _number(value: Any) -> float:
    return float(value) if isinstance(value, (int, float)) else math.nan


def _strict(value: Any) -> Any:
    """The value as JSON has it: `{"float": "nan"}` stands for the numbers that JSON lacks."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: _strict(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(name): _strict(each) for name, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_strict(each) for each in value]
    if isinstance(value, float) and not math.isfinite(value):
        return {"float": repr(float(value))}
    if isinstance(value, (bool, int, float, str, type(None))):
        return value
    return _strict(value.item()) if getattr(value, "ndim", None) == 0 else str(value)


def _with_non_finite(found: dict[str, Any]) -> Any:
    return float(found["float"]) if found.keys() == {"float"} else found


def this_process() -> dict[str, Any]:
    """What tells later whether this process still runs."""
    return {"machine": platform.node(), "number": os.getpid()}


def _is_gone(process: Any) -> bool:
    if not isinstance(process, dict) or process.get("machine") != platform.node() or not Path("/proc/self").exists():
        return False
    return not Path(f"/proc/{process.get('number')}").exists()

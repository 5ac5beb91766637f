"""`Record`: all that is known about one training, as plain data that a file can hold."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from lamella.doctor import Finding, Reading


@dataclass
class Confusion:
    """How often each class was taken for each.

    Attributes:
        labels: The classes' names, at most 30.
        counts: A row for each true class, a column for each predicted one.
    """

    labels: list[str]
    counts: list[list[int]]


@dataclass
class Residuals:
    """What was to be predicted and what was, for at most 1,000 samples of a regression."""

    true: list[float]
    predicted: list[float]


@dataclass
class Mistake:
    """A sample on which the model is most wrong.

    Attributes:
        index: Its number in the data.
        true: What it is.
        predicted: What the model says.
        loss: How wrong that is.
        picture: A PNG picture as a `data:` address, or None.
        text: The sample as a text or as a row of numbers, where it is no picture.
    """

    index: int
    true: str
    predicted: str
    loss: float
    picture: str | None = None
    text: str | None = None


@dataclass
class Filters:
    """The kernels of the first layer that looks at pictures, each as a PNG picture (a `data:` address); at most 64."""

    layer: str
    pictures: list[str]


@dataclass
class Embeddings:
    """What the model makes of samples before its last layer, on the two directions of greatest variance.

    Attributes:
        layer: The layer whose outputs they are.
        points: A pair of numbers for each of at most 1,000 samples.
        classes: What each is, as its place in `labels`; empty where there are no classes.
        labels: The classes' names.
        variance: The share of the variance that the two directions hold.
    """

    layer: str
    points: list[tuple[float, float]]
    classes: list[int] = field(default_factory=list)
    labels: list[str] = field(default_factory=list)
    variance: float = 0.0


@dataclass
class Evidence:
    """What a look at the trained model shows, on the data named.

    Attributes:
        data: `"validation"`, `"training"` or `"given"`.
        samples: How many samples were looked at.
    """

    data: str = "validation"
    samples: int = 0
    confusion: Confusion | None = None
    residuals: Residuals | None = None
    mistakes: list[Mistake] = field(default_factory=list)
    filters: Filters | None = None
    embeddings: Embeddings | None = None


@dataclass
class LayerRow:
    """A layer as `summary()` shows it."""

    name: str
    kind: str
    output: str
    weights: int


@dataclass
class Record:
    """All that is known about one training.

    Attributes:
        name: What to call it: the run folder's name, or the model's.
        started: When, as in `2026-11-21T20:15:00+00:00`.
        state: `"running"`, `"completed"`, `"stopped"` (by a callback, Ctrl-C or a kill) or `"failed"`.
        error: What ended it, where it failed.
        epochs: How many were asked for.
        settings: How it was compiled and fitted: optimizer, learning rate, loss, batch size, samples, seed, ...
        layers: The model's layers.
        history: For each metric, a number for each epoch; NaN where it was not measured.
        rates: The learning rate at the end of each epoch.
        seconds: How long each epoch took.
        findings: What the doctor found, the worst first; None where there was no doctor.
        readings: What the doctor saw in the layers, from before training to its end.
        evidence: What a look at the trained model shows; None where there were no data to look at.
        environment: Versions, processor, memory, threads, system, by name.
        command: What to type to train it again.
        sweep: A row for each training of a study: its settings, seed, last metrics and whether it diverged.
    """

    name: str = ""
    started: str = ""
    state: str = "running"
    error: str | None = None
    epochs: int = 0
    settings: dict[str, str] = field(default_factory=dict)
    layers: list[LayerRow] = field(default_factory=list)
    history: dict[str, list[float]] = field(default_factory=dict)
    rates: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    findings: Sequence[Finding] | None = None
    readings: Sequence[Reading] = ()
    evidence: Evidence | None = None
    environment: dict[str, str] = field(default_factory=dict)
    command: str = ""
    sweep: list[dict[str, Any]] = field(default_factory=list)

"""`View`: a record, how it is told, and what its parts are called in the page."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from lamella.report.markup import tag
from lamella.report.record import Record
from lamella.report.texts import Words


@dataclass(frozen=True)
class View:
    """What a section is made of.

    Attributes:
        record: What is known about the training.
        say: The texts.
        prefix: What stands before ids, so that several records fit into one page.
    """

    record: Record
    say: Words
    prefix: str = ""

    def section(self, name: str, *content: Any, title: Any = None) -> Markup:
        """A part of the page with its heading."""
        heading = tag("h2", title or self.say(f"section.{name}"), id=f"{self.prefix}{name}-title")
        return tag(
            "section", heading, *content, id=f"{self.prefix}{name}", aria_labelledby=f"{self.prefix}{name}-title"
        )

    def missing(self, name: str) -> Markup:
        """A part of the page that says how to get what belongs there; a study of many trainings goes without."""
        return (
            Markup("")
            if self.record.sweep
            else self.section(name, tag("p", self.say(f"missing.{name}"), class_="muted"))
        )

    def details(self, name: str, summary: Any, *content: Any) -> Markup:
        """Something that is shown when it is asked for."""
        return tag("details", tag("summary", summary), *content, id=f"{self.prefix}{name}")

    @property
    def state(self) -> str:
        """The record's state; `"stopped"` where it is none that is known."""
        return self.record.state if self.record.state in ("running", "completed", "failed") else "stopped"

    @property
    def judged_by(self) -> str:
        """What the best epoch is told by."""
        return "val_loss" if "val_loss" in self.record.history else "loss"

    @property
    def best(self) -> int | None:
        """The epoch, from 0, whose validation loss (else training loss) is least; None where no loss is finite."""
        losses = self.record.history.get(self.judged_by, [])
        finite = [i for i, loss in enumerate(losses) if math.isfinite(loss)]
        return min(finite, key=losses.__getitem__) if finite else None

    @property
    def metrics(self) -> list[str]:
        """The metrics without those of validation, the loss first."""
        names = dict.fromkeys(name.removeprefix("val_") for name in self.record.history)
        rates = ("lr", "learning_rate")
        return sorted((name for name in names if name not in rates), key=lambda name: name != "loss")

    @property
    def epochs(self) -> int:
        """How many epochs have ended."""
        return max((len(values) for values in self.record.history.values()), default=0)

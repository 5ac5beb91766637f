"""Loss and metrics over the epochs: training and validation, the best epoch, the gap between them."""

from __future__ import annotations

import math

from markupsafe import Markup

from lamella.report.charts import Frame
from lamella.report.figures import score
from lamella.report.lines import Lines, Series
from lamella.report.markup import tag
from lamella.report.view import View


def render(view: View) -> Markup:
    """A chart for each metric."""
    if not view.epochs:
        return view.missing("curves")
    charts = [_chart(name, view) for name in view.metrics]
    told = tag("p", view.say("sweep.curves"), class_="message") if view.record.sweep else ""
    return view.section("curves", told, tag("div", *charts, class_="charts"))


def _chart(name: str, view: View) -> Markup:
    say, history = view.say, view.record.history
    both = name in history and f"val_{name}" in history
    shown = [each for each in (name, f"val_{name}") if each in history]
    length = max(len(history[each]) for each in shown)
    series = [
        Series(
            say.plain("validation" if each.startswith("val_") else "training") if both or each != name else "",
            [*history[each], *[math.nan] * (length - len(history[each]))],
            "validation" if each.startswith("val_") else "training",
        )
        for each in shown
    ]
    best = view.best
    mark = None if best is None or best >= length else (best, series[-1].y[best])
    frame = Frame(
        title=say.metric(name),
        message=_message(name, view),
        x_name=say.plain("epoch"),
        table_id=f"{view.prefix}values-{view.metrics.index(name)}",
    )
    return Lines(frame, range(1, length + 1), series, mark, gap=both).figure(say)


def _message(name: str, view: View) -> str:
    """What the chart shows, in words."""
    say, history, best = view.say, view.record.history, view.best
    train, valid = history.get(name), history.get(f"val_{name}")
    told = []
    if train and valid:
        ends = {"training": score(name, train[-1]), "validation": score(name, valid[-1])}
        told.append(say.plain("curve.both", epoch=len(train), **ends))
    judged = valid or train or []
    if not (train and valid) and judged:
        told.append(say.plain("curve.one", epoch=len(judged), value=score(name, judged[-1])))
    if best is not None and best < len(judged):
        told.append(say.plain("curve.best", epoch=best + 1, value=score(name, judged[best])))
    lost = sum(not math.isfinite(value) for values in (train, valid) for value in values or ())
    if lost:
        told.append(say.plain("curve.lost", count=lost))
    return say.gap.join(told)

"""The trainings of a study: each with its settings, and the loss against what was varied."""

from __future__ import annotations

import math
from typing import Any

from markupsafe import Markup

from lamella.report.charts import Frame
from lamella.report.figures import number
from lamella.report.markup import table, tag
from lamella.report.points import Cloud, Points
from lamella.report.view import View

_MOST_ROWS = 200
_OF_A_RUN = ("seed", "diverged", "how")
"""What a row has besides its settings and metrics."""


def render(view: View) -> Markup:
    """The charts and the table; nothing where there was no study."""
    rows, say = view.record.sweep, view.say
    if not rows:
        return Markup("")
    columns = list(dict.fromkeys(name for row in rows for name in row))
    settings = columns[: columns.index("seed")] if "seed" in columns else []
    judged = "val_loss" if "val_loss" in columns else "loss"
    ranked = sorted(rows, key=lambda row: _loss(row, judged))
    charts = [_chart(name, judged, view) for name in settings if _varies(name, rows)]
    head = [
        say(f"sweep.{name}") if name in _OF_A_RUN else say.name(name) if name in settings else say.metric(name)
        for name in columns
    ]
    shown = table(
        head,
        [[_shown(row.get(name), view) for name in columns] for row in ranked[:_MOST_ROWS]],
        say.plain("section.sweep"),
    )
    parts = [tag("p", _message(ranked, settings, judged, view), class_="message"), tag("div", *charts, class_="charts")]
    if len(rows) > _MOST_ROWS:
        shown += tag("p", say("sweep.left_out", count=len(rows) - _MOST_ROWS), class_="muted")
    return view.section("sweep", *parts, view.details("sweep-table", say("sweep.table", count=len(rows)), shown))


def _loss(row: dict[str, Any], judged: str) -> float:
    loss = row.get(judged)
    sound = isinstance(loss, int | float) and math.isfinite(loss) and not row.get("diverged")
    return float(loss) if sound and loss is not None else math.inf


def _varies(name: str, rows: list[dict[str, Any]]) -> bool:
    values = [row.get(name) for row in rows]
    numbers = all(isinstance(value, int | float) and not isinstance(value, bool) for value in values)
    return numbers and len(set(values)) > 1


def _message(ranked: list[dict[str, Any]], settings: list[str], judged: str, view: View) -> Markup:
    say, best = view.say, ranked[0]
    lost = sum(math.isinf(_loss(row, judged)) for row in ranked)
    if lost == len(ranked):
        return say("sweep.all_lost", count=len(ranked))
    told = ", ".join(f"{say.name(name)} = {_shown(best.get(name), view)}" for name in settings) or "–"
    first = say("sweep.best", settings=told, metric=say.metric(judged), value=number(_loss(best, judged), 3))
    return first + say.gap + say("sweep.lost", count=lost, all=len(ranked)) if lost else first


def _chart(name: str, judged: str, view: View) -> Markup:
    say, rows = view.say, view.record.sweep
    sound = [(float(row[name]), _loss(row, judged)) for row in rows if math.isfinite(_loss(row, judged))]
    worst = max((loss for _, loss in sound), default=1.0)
    lost = [(float(row[name]), worst) for row in rows if not math.isfinite(_loss(row, judged))]
    clouds = [Cloud("", sound, "training")]
    if lost:
        clouds.append(Cloud(say.plain("sweep.diverged"), lost, "failed", "cross"))
    message = say.plain("sweep.chart", metric=say.metric(judged), setting=say.name(name))
    points = say.plain("sweep.points", count=len(rows))
    told = say.gap.join((points, say.plain("sweep.crosses"))) if lost else points
    frame = Frame(message, told, say.name(name))
    return Points(frame, say.metric(judged), clouds, far=True).figure()


def _shown(value: Any, view: View) -> str:
    if isinstance(value, bool):
        return view.say.plain("yes" if value else "no")
    if isinstance(value, int | float):
        return number(float(value)) if abs(value) < 1e15 or not math.isfinite(value) else str(value)
    return "–" if value is None else str(value)

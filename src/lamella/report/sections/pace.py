"""How the learning rate went, and how long the epochs took."""

from __future__ import annotations

from statistics import median

from markupsafe import Markup

from lamella.report.charts import Frame
from lamella.report.figures import number
from lamella.report.lines import Lines, Series
from lamella.report.view import View


def rates(view: View) -> Markup:
    """The learning rate after each epoch."""
    values, say = view.record.rates, view.say
    if not values:
        return view.missing("rates")
    same = len(set(values)) == 1
    message = say.plain(
        "rates.constant" if same else "rates.moving", first=number(values[0], 3), last=number(values[-1], 3)
    )
    return _section("rates", say.plain("learning_rate"), values, message, view)


def seconds(view: View) -> Markup:
    """The seconds of each epoch."""
    values, say = view.record.seconds, view.say
    if not values:
        return view.missing("seconds")
    message = say.plain("seconds.told", typical=say.seconds(median(values)), total=say.seconds(sum(values)))
    return _section("seconds", say.plain("seconds_per_epoch"), values, message, view)


def _section(name: str, title: str, values: list[float], message: str, view: View) -> Markup:
    frame = Frame(title, message, view.say.plain("epoch"), table_id=f"{view.prefix}values-{name}", titled=False)
    chart = Lines(frame, range(1, len(values) + 1), [Series("", values, "training")])
    return view.section(name, chart.figure(view.say))

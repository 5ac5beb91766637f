"""Several trainings side by side: their curves, their scores and the settings in which they differ."""

from __future__ import annotations

import math
from collections.abc import Sequence

from markupsafe import Markup

from lamella.report.charts import Frame
from lamella.report.figures import score
from lamella.report.lines import Lines, Series
from lamella.report.markup import table, tag
from lamella.report.sections.embeddings import COLOURS
from lamella.report.sections.head import best_metric, state
from lamella.report.view import View


def render(views: Sequence[View]) -> Markup:
    """The table of runs and a chart for each metric that they share."""
    page, say = View(views[0].record, views[0].say), views[0].say
    names = _names(views)
    judged = [view.judged_by for view in views]
    metrics = list(dict.fromkeys(name for view in views for name in (view.judged_by, best_metric(view))))
    varied = _varied(views)
    head = [say("run"), say("compare.state"), say("compare.best"), *map(say.metric, metrics), *map(say.name, varied)]
    rows = [
        [
            tag("a", name, href=f"#{view.prefix}head"),
            state(view),
            "–"
            if view.best is None
            else say("epoch_of", epoch=view.best + 1, epochs=max(view.record.epochs, view.epochs)),
            *(_at_best(view, metric) for metric in metrics),
            *(view.record.settings.get(setting, "–") for setting in varied),
        ]
        for name, view in zip(names, views, strict=True)
    ]
    best = _best_run(views)
    told = (
        say(
            "compare.told",
            run=names[best],
            metric=say.metric(judged[best]),
            value=_at_best(views[best], judged[best]),
        )
        if best is not None
        else say("sentence.no_best")
    )
    charts = [_chart(metric, views, names, f"compared-{i}") for i, metric in enumerate(_metrics(views))]
    return page.section(
        "comparison",
        tag("p", told, class_="lead"),
        table(head, rows, say.plain("section.comparison")),
        tag("p", say("compare.varied" if varied else "compare.same"), class_="muted"),
        tag("div", *charts, class_="charts"),
    )


def _names(views: Sequence[View]) -> list[str]:
    """Each run's name, with its number where it is not its own alone."""
    names = [view.record.name or view.say.plain("unnamed") for view in views]
    return [f"{i}: {name}" if names.count(name) > 1 else name for i, name in enumerate(names, 1)]


def _varied(views: Sequence[View]) -> list[str]:
    settings = dict.fromkeys(name for view in views for name in view.record.settings)
    return [name for name in settings if len({view.record.settings.get(name) for view in views}) > 1]


def _at_best(view: View, metric: str) -> str:
    values = view.record.history.get(metric, [])
    return score(metric, values[view.best]) if view.best is not None and view.best < len(values) else "–"


def _best_run(views: Sequence[View]) -> int | None:
    """The run with the least validation loss; with the least training loss where none was validated."""
    for judged in ("val_loss", "loss"):
        known = [
            (view.record.history[judged][view.best], i)
            for i, view in enumerate(views)
            if view.best is not None and view.judged_by == judged
        ]
        if known:
            return min(known)[1]
    return None


def _metrics(views: Sequence[View]) -> list[str]:
    known = {name for view in views for name in view.record.history}
    names = dict.fromkeys(name for view in views for name in view.metrics)
    return [each for name in names for each in (name, f"val_{name}") if each in known]


def _chart(metric: str, views: Sequence[View], names: Sequence[str], table_id: str) -> Markup:
    say = views[0].say
    with_it = [i for i, view in enumerate(views) if metric in view.record.history]
    length = max(len(views[i].record.history[metric]) for i in with_it)
    series = []
    for i in with_it:
        values = views[i].record.history[metric]
        look = f"k{i % COLOURS} dash{i % 4}"
        series.append(Series(names[i], [*values, *[math.nan] * (length - len(values))], look))
    told = [
        say.plain("compare.ends", run=names[i], value=score(metric, values[-1]))
        for i in with_it
        if (values := views[i].record.history[metric])
    ]
    message = say.plain("list_comma").join(told)
    frame = Frame(say.metric(metric), message, say.plain("epoch"), table_id=table_id)
    return Lines(frame, range(1, length + 1), series).figure(say)

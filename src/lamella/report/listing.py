"""The list of all runs as HTML: where each stands, and which to look at."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import datetime
from urllib.parse import quote, urlencode

from markupsafe import Markup

from lamella.report.figures import number
from lamella.report.live import Summary
from lamella.report.markup import join, tag
from lamella.report.texts import Words

_HEAD = ("run", "compare.state", "watch.epoch", "watch.loss", "watch.val_loss", "watch.curve", "watch.started")
_WIDTH, _HEIGHT = 120, 28
_SHORT = 60


def listing(summaries: Sequence[Summary], folders: Sequence[str], language: str) -> str:
    """The `<main>` element of the list: a row for each run, the newest first, with boxes to tick.

    Args:
        summaries: The runs.
        folders: Where they were looked for; told where there are none.
        language: `"en"` or `"zh"`.

    Example:
        >>> page = listing([Summary("a<b", "a<b", "running", epoch=1, epochs=3, loss=0.5)], ["runs"], "en")
        >>> "a&lt;b" in page, "1 of 3" in page
        (True, True)
    """
    say = Words(language)
    title = tag("h2", say("watch.title"))
    if not summaries:
        hint = tag("p", say("watch.none", folders=", ".join(folders)))
        return tag("main", tag("section", title, hint), id="report")
    newest = sorted(sorted(summaries, key=lambda each: each.name), key=lambda each: each.started, reverse=True)
    head = tag("tr", *(tag("th", say(name), scope="col") for name in _HEAD))
    table = tag("table", tag("thead", head), tag("tbody", *(_row(each, say) for each in newest)))
    box = tag("div", table, class_="scroll", tabindex="0", role="region", aria_label=say.plain("watch.title"))
    compare = tag("p", tag("button", say("watch.compare")))
    return tag("main", tag("section", title, tag("form", compare, box, action="runs")), id="report")


def _row(run: Summary, say: Words) -> Markup:
    tick = Markup('<input type="checkbox" name="run" value="{}" aria-label="{}"> ').format(
        run.name, say.plain("watch.pick", name=run.title)
    )
    link = tag("a", run.title, href="runs?" + urlencode({"run": run.name}))
    path = [tag("br"), tag("small", run.name, class_="muted")] if run.name != run.title else []
    state = tag("span", say(f"state.{run.state}"), class_=f"state {run.state}")
    error = [tag("br"), tag("small", run.error[:_SHORT], class_="muted")] if run.error else []
    epoch = say("epoch_of", epoch=run.epoch, epochs=run.epochs) if run.epochs else run.epoch
    losses = ("–" if value is None else number(value) for value in (run.loss, run.val_loss))
    cells = (state, epoch, *losses, _spark(run.curve, say), join((_time(run.started), *error)))
    heading = tag("th", tick, link, *path, scope="row")
    return tag("tr", heading, *(tag("td", cell) for cell in cells), id=f"run-{quote(run.name, safe='')}")


def _spark(values: Sequence[float], say: Words) -> Markup | str:
    places = [(i, value) for i, value in enumerate(values) if math.isfinite(value)]
    if len(places) < 2:
        return ""
    low, high = min(value for _, value in places), max(value for _, value in places)
    right, down = (_WIDTH - 4) / (len(values) - 1), (_HEIGHT - 4) / ((high - low) or 1.0)
    points = " ".join(f"{2 + i * right:.1f},{2 + (high - value) * down:.1f}" for i, value in places)
    label = say.plain("watch.curve_says", first=number(places[0][1]), last=number(places[-1][1]))
    line = tag("polyline", points=points, fill="none", stroke="currentColor", stroke_width="1.5")
    return tag(
        "svg", line, viewBox=f"0 0 {_WIDTH} {_HEIGHT}", width=_WIDTH, height=_HEIGHT, role="img", aria_label=label
    )


def _time(started: str) -> str:
    try:
        return datetime.fromisoformat(started).astimezone().strftime("%Y-%m-%d %H:%M")
    except ValueError:
        return started

"""How a training ended and how good it was at its best, in sentences and a few large figures."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from markupsafe import Markup

from lamella.report.figures import number, score
from lamella.report.markup import join, tag
from lamella.report.view import View

_NO_SCORES = ("loss", "lr", "learning_rate")


def render(view: View) -> Markup:
    """The title, the state, the sentences and the figures."""
    record, say = view.record, view.say
    title = join((tag("span", record.name or say("unnamed"), class_="run-name"), " ", state(view)))
    parts: list[Any] = [tag("p", sentence(view), class_="lead"), tag("div", *_tiles(view), class_="tiles")]
    if record.error:
        parts.append(tag("pre", record.error, class_="error", tabindex="0"))
    if record.started:
        parts.append(tag("p", say("started", when=_moment(record.started)), class_="muted"))
    return view.section("head", *parts, title=title)


def state(view: View) -> Markup:
    """Whether it runs, is done, or came to no good end."""
    return tag("span", view.say(f"state.{view.state}"), class_=f"state {view.state}")


def sentence(view: View) -> Markup:
    """What a person wants to know first."""
    record, say, best, done = view.record, view.say, view.best, view.epochs
    first = say(f"sentence.{view.state}", done=done, asked=max(record.epochs, done))
    if best is None:
        return first if done == 0 else join((first, say.gap, say("sentence.no_best")))
    metric = best_metric(view)
    told = say(
        "sentence.best",
        epoch=best + 1,
        metric=say.metric(metric),
        value=score(metric, record.history[metric][best]),
    )
    losses = record.history[view.judged_by]
    later = (
        (say.gap, say("sentence.since", metric=say.metric(view.judged_by), value=number(losses[-1], 3)))
        if losses[-1] - losses[best] > 0.05 * abs(losses[best])
        else ()
    )
    return join((first, say.gap, told, *later))


def best_metric(view: View) -> str:
    """What a person judges by: the first metric that is no loss, on validation data if there are any."""
    record, best = view.record, view.best
    usable = [name for name, values in record.history.items() if best is not None and best < len(values)]
    ranked = sorted(usable, key=lambda name: (not name.startswith("val_"), name.removeprefix("val_") in _NO_SCORES))
    return ranked[0] if ranked else view.judged_by


def _moment(written: str) -> str:
    try:
        moment = datetime.fromisoformat(written)
    except ValueError:
        return written
    return f"{moment:%Y-%m-%d %H:%M} {moment.tzname() or ''}".rstrip()


def _tiles(view: View) -> list[Markup]:
    record, say, best = view.record, view.say, view.best
    tiles: list[tuple[str, str]] = []
    if best is not None:
        tiles.append((say("tile.best"), say("epoch_of", epoch=best + 1, epochs=max(record.epochs, view.epochs))))
        names = dict.fromkeys((best_metric(view), view.judged_by))
        tiles += [(say.metric(name), score(name, record.history[name][best])) for name in names]
    if record.seconds:
        tiles.append((say("tile.time"), say.seconds(sum(record.seconds))))
    if record.layers:
        tiles.append((say("tile.weights"), number(sum(layer.weights for layer in record.layers))))
    return [tag("div", tag("b", value), tag("span", name), class_="tile") for name, value in tiles]

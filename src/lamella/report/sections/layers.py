"""Each layer: how its gradient went over time, and what it looked like at the last reading."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import groupby
from typing import Any

from markupsafe import Markup

from lamella.doctor import LayerReading
from lamella.report.figures import power, share, size
from lamella.report.markup import join, table, tag
from lamella.report.view import View

STEPS = 12
"""How many colours a heat map has; style.css names them s0 to s11."""
_MOST_READINGS = 60
_FIGURES = ("gradient", "weight", "activation", "dead", "saturated", "entropy")
_SHARES = ("dead", "saturated")


def render(view: View) -> Markup:
    """The table of layers with the heat map of their gradients."""
    readings, say = view.record.readings, view.say
    if not readings:
        return view.missing("layers")
    last = {layer.layer: layer for layer in readings[-1].layers}
    names = list(dict.fromkeys(layer.layer for reading in readings for layer in reading.layers))
    every = -(-len(readings) // _MOST_READINGS)
    shown = [reading for i, reading in enumerate(readings) if i == 0 or (len(readings) - 1 - i) % every == 0]
    gradients = {name: [math.nan] * len(shown) for name in names}
    for i, reading in enumerate(shown):
        for layer in reading.layers:
            gradients[layer.layer][i] = layer.gradient
    powers = [math.log10(g) for row in gradients.values() for g in row if math.isfinite(g) and g > 0] or [0.0]
    low, high = math.floor(min(powers)), max(math.ceil(max(powers)), math.floor(min(powers)) + 1)
    epochs = [reading.epoch for reading in shown]
    columns = [name for name in _FIGURES if any(not math.isnan(_figure(layer, name)) for layer in last.values())]
    rows = [
        [
            _name(name, view),
            _strip(gradients[name], low, high, view),
            *(_shown(last.get(name), column) for column in columns),
        ]
        for name in names
    ]
    return view.section(
        "layers",
        tag("p", _message(names, gradients, view), class_="message"),
        _legend(low, high, view),
        table(_head(columns, epochs, view), rows, say.plain("section.layers")),
        view.details("gradients", say("layers.gradients"), _values(names, gradients, epochs, view)),
    )


def step(value: float, low: int, high: int) -> int:
    """Which colour stands for a gradient: 0 for 10**low and less, STEPS - 1 for 10**high and more.

    Example:
        >>> step(1e-4, -4, 0), step(0.5, -4, 0), step(0.0, -4, 0)
        (0, 11, 0)
    """
    part = (math.log10(value) - low) / (high - low) if value > 0 else 0.0
    return min(STEPS - 1, max(0, int(part * STEPS)))


def _strip(row: Sequence[float], low: int, high: int, view: View) -> Markup:
    """A layer's row of the heat map."""
    colours = [f"s{step(g, low, high)}" if math.isfinite(g) else "" if math.isnan(g) else "lost" for g in row]
    cells, start = [], 0
    for colour, alike in groupby(colours):
        width = len(list(alike))
        if colour:
            cells.append(tag("rect", x=start, width=width, height=1, class_=colour))
        start += width
    if not cells:
        return Markup("–")
    told = view.say.plain("layers.strip", first=size(row[0]), last=size(row[-1]))
    return tag(
        "svg",
        tag("title", told),
        *cells,
        viewBox=f"0 0 {len(row)} 1",
        preserveAspectRatio="none",
        role="img",
        class_="strip",
    )


def _message(names: Sequence[str], gradients: dict[str, list[float]], view: View) -> Markup:
    known = [(name, gradients[name][-1]) for name in names if gradients[name][-1] > 0]
    if len(known) < 2:
        return view.say("layers.told")
    (first, near), (last, far) = known[0], known[-1]
    return view.say("layers.compared", first=first, last=last, near=size(near), far=size(far), ratio=size(near / far))


def _legend(low: int, high: int, view: View) -> Markup:
    colours = [tag("rect", x=i, width=1, height=1, class_=f"s{i}") for i in range(STEPS)]
    bar = tag("svg", *colours, viewBox=f"0 0 {STEPS} 1", preserveAspectRatio="none", class_="strip", aria_hidden="true")
    return tag("p", view.say("layers.legend"), " ", power(low), " ", bar, " ", power(high), class_="legend")


def _head(columns: Sequence[str], epochs: Sequence[int], view: View) -> list[Markup]:
    marks = dict.fromkeys((0, len(epochs) // 2, len(epochs) - 1)) if len(epochs) > 4 else range(len(epochs))
    times = tag("span", *(tag("span", epochs[i]) for i in marks), class_="times")
    say = view.say
    return [say("layers.layer"), join((say("layers.flow"), times)), *(say(f"layers.{name}") for name in columns)]


def _name(name: str, view: View) -> Any:
    """A layer's name; where something was found in it, with a flag that leads there."""
    found = next((i for i, each in enumerate(view.record.findings or (), 1) if each.layer == name), None)
    if found is None:
        return name
    return tag("a", tag("span", "⚑", aria_hidden="true"), " ", name, href=f"#{view.prefix}finding-{found}")


def _figure(layer: LayerReading, name: str) -> float:
    return float(getattr(layer, name))


def _shown(layer: LayerReading | None, name: str) -> str:
    if layer is None:
        return "–"
    return (share if name in _SHARES else size)(_figure(layer, name))


def _values(names: Sequence[str], gradients: dict[str, list[float]], epochs: Sequence[int], view: View) -> Markup:
    rows = [[name, *(size(g) for g in gradients[name])] for name in names]
    return table([view.say("layers.layer"), *epochs], rows, view.say.plain("layers.gradients"))

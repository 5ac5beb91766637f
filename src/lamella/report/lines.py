"""Curves over the epochs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from markupsafe import Markup

from lamella.report.charts import BOTTOM, TOP, WIDTH, Frame, axes, drawable, left_of, shortened, whole, width
from lamella.report.figures import number
from lamella.report.markup import join, table, tag
from lamella.report.scale import Scale, covering, squeezed
from lamella.report.texts import Words

HEIGHT = 230
_MOST_POINTS = 200


@dataclass(frozen=True)
class Series:
    """One curve.

    Attributes:
        name: What stands beside it.
        y: Its values, one for each place on the horizontal axis; NaN and infinite ones are left open.
        look: The class that gives it colour and dashes.
    """

    name: str
    y: Sequence[float]
    look: str


@dataclass(frozen=True)
class Lines:
    """Curves over the same places.

    Attributes:
        frame: What it says about itself.
        x: The places.
        series: The curves.
        best: Which place is marked as the best, with its value; None for none.
        gap: Whether what lies between the first two curves is shaded.
    """

    frame: Frame
    x: Sequence[float]
    series: Sequence[Series]
    best: tuple[int, float] | None = None
    gap: bool = False

    @cached_property
    def kept(self) -> list[int]:
        """Which places are drawn."""
        return thinned([each.y for each in self.series], _MOST_POINTS)

    def figure(self, say: Words) -> Markup:
        """The chart, its message and its table."""
        values = [value for each in self.series for value in each.y]
        y = covering(values, HEIGHT - BOTTOM, TOP, log=squeezed(values))
        right = WIDTH - 12 - max((width(shortened(each.name)) for each in self.series), default=0)
        x = covering(self.x, left_of(y), right, whole=True, log=False)
        ends = [self._end(each, x, y) for each in self.series]
        drawing = join(
            (
                axes(x, y, say.plain("log_axis") if y.log else "", self.frame.x_name),
                self._gap(x, y),
                self._best(x, y, say),
                *(self._curve(each, x, y) for each in self.series),
                *(_end_labels(self.series, ends, right) if self._labelled else ()),
                tag("path", d=f"M0 {TOP}V{HEIGHT - BOTTOM}", class_="cursor"),
            )
        )
        return whole(self.frame, drawing, HEIGHT, self._table(x, say))

    @property
    def _labelled(self) -> bool:
        return any(each.name for each in self.series)

    def _curve(self, series: Series, x: Scale, y: Scale) -> Markup:
        parts: list[list[str]] = [[]]
        for i in self.kept:
            if drawable(series.y[i], y):
                parts[-1].append(f"{x.place(self.x[i]):.4g} {y.place(series.y[i]):.4g}")
            else:
                parts.append([])
        d = "".join("M" + "L".join(part) + ("h0" if len(part) == 1 else "") for part in parts if part)
        return tag("path", d=d, class_=f"curve {series.look}")

    def _end(self, series: Series, x: Scale, y: Scale) -> float:
        """How high the curve ends: there its name stands."""
        last = next((value for value in reversed(series.y) if drawable(value, y)), None)
        return (TOP + HEIGHT - BOTTOM) / 2 if last is None else y.place(last)

    def _gap(self, x: Scale, y: Scale) -> Markup:
        if not self.gap or len(self.series) < 2:
            return Markup("")
        first, second = self.series[0].y, self.series[1].y
        both = [i for i in self.kept if drawable(first[i], y) and drawable(second[i], y)]
        there = [f"{x.place(self.x[i]):.4g} {y.place(first[i]):.4g}" for i in both]
        back = [f"{x.place(self.x[i]):.4g} {y.place(second[i]):.4g}" for i in reversed(both)]
        return tag("path", d="M" + "L".join(there + back) + "z", class_="gap") if len(both) > 1 else Markup("")

    def _best(self, x: Scale, y: Scale, say: Words) -> Markup:
        if self.best is None or not drawable(self.best[1], y):
            return Markup("")
        at, high = x.place(self.x[self.best[0]]), y.place(self.best[1])
        left = at > (x.start + x.end) / 2
        return join(
            (
                tag("path", d=f"M{at:.4g} {TOP - 4}V{y.start:.4g}", class_="best"),
                tag("circle", cx=f"{at:.4g}", cy=f"{high:.4g}", r="3.6", class_="best"),
                tag(
                    "text",
                    say.plain("best_mark", epoch=number(self.x[self.best[0]])),
                    x=f"{at + (-5 if left else 5):.4g}",
                    y=TOP + 5,
                    text_anchor="end" if left else "start",
                    class_="mark",
                ),
            )
        )

    def _table(self, x: Scale, say: Words) -> Markup:
        names = [each.name or self.frame.title for each in self.series]
        rows = [[number(self.x[i]), *(number(each.y[i]) for each in self.series)] for i in self.kept]
        places = [x.place(self.x[i]) for i in self.kept]
        shown = table([self.frame.x_name, *names], rows, self.frame.title, places)
        thin = len(self.kept) < len(self.x)
        told = say("values_thinned", shown=len(self.kept), all=len(self.x)) if thin else say("values")
        return tag("details", tag("summary", told), shown, id=self.frame.table_id)


def thinned(curves: Sequence[Sequence[float]], most: int) -> list[int]:
    """Which points of curves are drawn: of each stretch its first, least and greatest, so that no peak is lost.

    Example:
        >>> len(thinned([range(1000)], 200)) <= 200, thinned([[3.0, 1.0, 2.0]], 200)
        (True, [0, 1, 2])
    """
    length = max((len(curve) for curve in curves), default=0)
    if length <= most:
        return list(range(length))
    stretch = -(-length // (most // (1 + 2 * len(curves)) or 1))
    kept = {length - 1}
    for start in range(0, length, stretch):
        places = range(start, min(start + stretch, length))
        kept.add(start)
        for curve in curves:
            finite = [i for i in places if math.isfinite(curve[i])]
            if finite:
                kept |= {min(finite, key=curve.__getitem__), max(finite, key=curve.__getitem__)}
    return sorted(kept)


def _end_labels(series: Sequence[Series], ends: Sequence[float], right: float) -> list[Markup]:
    """The curves' names where they end, moved apart where they would cover each other."""
    apart = min(13.0, (HEIGHT - BOTTOM - TOP) / len(series))
    order = sorted(range(len(series)), key=ends.__getitem__)
    places = [ends[i] for i in order]
    for i in range(1, len(places)):
        places[i] = max(places[i], places[i - 1] + apart)
    lowest = HEIGHT - BOTTOM
    places = [min(place, lowest - (len(places) - 1 - i) * apart) for i, place in enumerate(places)]
    return [
        tag(
            "text",
            shortened(series[i].name),
            x=f"{right + 6:.4g}",
            y=f"{at:.4g}",
            dy="0.35em",
            class_=f"end {series[i].look}",
        )
        for i, at in zip(order, places, strict=True)
    ]

"""Clouds of points."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from lamella.report.charts import BOTTOM, TOP, WIDTH, Frame, axes, drawable, left_of, whole
from lamella.report.markup import join, tag
from lamella.report.scale import covering, squeezed

HEIGHT = 300
MARKERS = ("circle", "cross", "triangle", "plus", "square")
_STROKES = {
    "circle": "h0",
    "square": "h0",
    "plus": "m-2.6 0h5.2m-2.6-2.6v5.2",
    "cross": "m-2-2l4 4m0-4l-4 4",
    "triangle": "m0-2.6l2.6 4.6h-5.2z",
}


@dataclass(frozen=True)
class Cloud:
    """Points of one kind.

    Attributes:
        name: What stands beside them; empty where nothing does.
        points: Their places.
        look: The class that gives them their colour.
        marker: One of `MARKERS`.
    """

    name: str
    points: Sequence[tuple[float, float]]
    look: str
    marker: str = "circle"


@dataclass(frozen=True)
class Points:
    """Clouds of points.

    Attributes:
        frame: What it says about itself.
        y_name: The vertical axis.
        clouds: The points.
        named: Whether each cloud's name stands in its middle too.
        diagonal: Whether the line on which both values are equal is drawn; both axes are then the same.
        far: Whether an axis may be logarithmic, where its values lie far apart.
    """

    frame: Frame
    y_name: str
    clouds: Sequence[Cloud]
    named: bool = False
    diagonal: bool = False
    far: bool = False

    def figure(self) -> Markup:
        """The chart, its message and what its signs stand for."""
        xs = [point[0] for cloud in self.clouds for point in cloud.points]
        ys = [point[1] for cloud in self.clouds for point in cloud.points]
        if self.diagonal:
            xs = ys = xs + ys
        y = covering(ys, HEIGHT - BOTTOM, TOP, log=self.far and squeezed(ys))
        x = covering(xs, left_of(y), WIDTH - 14, log=None if self.far else False)
        drawing = [axes(x, y, self.y_name, self.frame.x_name)]
        if self.diagonal:
            drawing.append(tag("path", d=f"M{x.start:.4g} {y.start:.4g}L{x.end:.4g} {y.end:.4g}", class_="best"))
        labels = []
        for cloud in self.clouds:
            places = [(x.place(a), y.place(b)) for a, b in cloud.points if drawable(a, x) and drawable(b, y)]
            drawing.append(_dots(cloud, places))
            if self.named and cloud.name and places:
                middle = [sorted(each)[len(places) // 2] for each in zip(*places, strict=True)]
                labels.append(tag("text", cloud.name, x=f"{middle[0]:.4g}", y=f"{middle[1] + 4:.4g}", class_="name"))
        return whole(self.frame, join([*drawing, *labels]), HEIGHT, self._legend())

    def _legend(self) -> Markup:
        named = [cloud for cloud in self.clouds if cloud.name and cloud.points]
        signs = [
            tag("span", tag("svg", _dots(cloud, [(6, 6)]), viewBox="0 0 12 12", aria_hidden="true"), cloud.name)
            for cloud in named
        ]
        return tag("p", *signs, class_="kinds") if named else Markup("")


def _dots(cloud: Cloud, places: Sequence[tuple[float, float]]) -> Markup:
    d = "".join(f"M{x:.4g} {y:.4g}{_STROKES[cloud.marker]}" for x, y in places)
    return tag("path", d=d, class_=f"dots {cloud.marker} {cloud.look}")

"""What all charts have: a frame with a title and a message, axes, and texts that fit.

They are drawn here, as SVG, rather than by a library: matplotlib's SVG can neither change its colours with the reader's
light or dark mode nor be read aloud, and plotly's script alone is larger than a whole report may be.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from markupsafe import Markup

from lamella.report.markup import join, tag
from lamella.report.scale import Scale

WIDTH = 400
TOP, BOTTOM = 18, 34
"""The room over and under what is drawn."""
ROOM = 95.0
"""How wide a curve's name may be."""


@dataclass(frozen=True)
class Frame:
    """What a chart says about itself.

    Attributes:
        title: What it shows.
        message: What one sees in it, in words.
        x_name: The horizontal axis.
        table_id: What the table of its values is called in the page.
        titled: Whether the title stands above it; not where the section's heading says the same.
    """

    title: str
    message: str
    x_name: str
    table_id: str = ""
    titled: bool = True


def whole(frame: Frame, drawing: Markup, height: int, below: Markup) -> Markup:
    """A chart as a figure: its title, the drawing, its message, and what stands below."""
    picture = tag(
        "svg",
        tag("title", frame.title),
        tag("desc", frame.message),
        drawing,
        viewBox=f"0 0 {WIDTH} {height}",
        role="img",
    )
    caption = tag("figcaption", tag("b", frame.title) if frame.titled else "", tag("output", aria_hidden="true"))
    return tag("figure", caption, picture, tag("p", frame.message, class_="message"), below, class_="chart")


def axes(x: Scale, y: Scale, y_name: str, x_name: str) -> Markup:
    """The axes with their ticks and names."""
    floor = round(y.start)
    drawn = []
    for value, text in y.ticks(4):
        at = f"{y.place(value):.4g}"
        drawn += [
            tag("path", d=f"M{x.start:.4g} {at}H{x.end:.4g}", class_="grid-line"),
            tag("text", text, x=f"{x.start - 6:.4g}", y=at, dy="0.35em", text_anchor="end"),
        ]
    for value, text in x.ticks(5):
        at = f"{x.place(value):.4g}"
        drawn += [
            tag("path", d=f"M{at} {floor}v4", class_="axis"),
            tag("text", text, x=at, y=floor + 16, text_anchor="middle"),
        ]
    middle = (x.start + x.end) / 2
    drawn += [
        tag("path", d=f"M{x.start:.4g} {floor}H{x.end:.4g}", class_="axis"),
        tag("text", x_name, x=f"{middle:.4g}", y=floor + BOTTOM - 4, text_anchor="middle", class_="axis-name"),
    ]
    if y_name:
        drawn.append(tag("text", y_name, x="2", y="9", class_="axis-name"))
    return join(drawn)


def drawable(value: float, scale: Scale) -> bool:
    """Whether a value has a place on an axis."""
    return math.isfinite(value) and (value > 0 or not scale.log)


def left_of(y: Scale) -> float:
    """Where the drawing begins, right of the ticks' texts."""
    return 10 + max((width(text) for _, text in y.ticks(4)), default=0)


def width(text: str) -> float:
    """About how wide a text is in a chart."""
    return sum(12.5 if ord(letter) > 0x2E7F else 6.6 for letter in text)


def shortened(text: str) -> str:
    """The text, or as much of it as there is room for beside a chart."""
    if width(text) <= ROOM:
        return text
    return next(text[:n] for n in range(len(text), -1, -1) if width(text[:n]) <= ROOM - 12.5) + "…"

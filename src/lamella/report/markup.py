"""HTML and SVG elements whose every text is escaped."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from markupsafe import Markup, escape

_EMPTY = {"br", "img", "link", "meta"}


def tag(name: str, /, *inside: Any, **attributes: Any) -> Markup:
    """An element. What is no markup is escaped; attributes of None are left out; `_` stands for `-`.

    Example:
        >>> print(tag("p", "1 < 2", class_="muted", data_x=3))
        <p class="muted" data-x="3">1 &lt; 2</p>
    """
    written = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escape(value)}"'
        for key, value in attributes.items()
        if value is not None
    )
    start = Markup(f"<{name}{written}>")
    return start if name in _EMPTY else start + join(inside) + Markup(f"</{name}>")


def join(parts: Iterable[Any]) -> Markup:
    """One after the other; what is no markup is escaped."""
    return Markup("").join(parts)


def table(head: Sequence[Any], rows: Iterable[Sequence[Any]], label: str, marks: Sequence[float] = ()) -> Markup:
    """A table in a box that scrolls by itself; the first cell of a row is its heading.

    Args:
        head: What stands over the columns.
        rows: The cells.
        label: What a screen reader calls it.
        marks: For each row, where in a chart it belongs.
    """
    body = [
        tag(
            "tr",
            *(tag("th", cell, scope="row") if i == 0 else tag("td", cell) for i, cell in enumerate(row)),
            data_x=f"{marks[n]:.5g}" if n < len(marks) else None,
        )
        for n, row in enumerate(rows)
    ]
    top = tag("thead", tag("tr", *(tag("th", cell, scope="col") for cell in head)))
    return tag(
        "div", tag("table", top, tag("tbody", *body)), class_="scroll", tabindex="0", role="region", aria_label=label
    )


def terms(pairs: Iterable[tuple[Any, Any]]) -> Markup:
    """Names and what they stand for."""
    return tag("dl", *(tag("div", tag("dt", name), tag("dd", value)) for name, value in pairs))

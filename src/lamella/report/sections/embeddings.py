"""What the model makes of samples before its last layer, as points on a plane."""

from __future__ import annotations

from markupsafe import Markup

from lamella.report.charts import Frame
from lamella.report.figures import share
from lamella.report.points import MARKERS, Cloud, Points
from lamella.report.view import View

COLOURS = 8
"""How many colours kinds have; style.css names them k0 to k7."""


def render(view: View) -> Markup:
    """The cloud of points, by class where there are classes."""
    evidence = view.record.evidence
    if evidence is None or evidence.embeddings is None or not evidence.embeddings.points:
        return Markup("")
    say, own = view.say, evidence.embeddings
    kinds: dict[int, list[tuple[float, float]]] = {}
    classes = own.classes if len(own.classes) == len(own.points) else [-1] * len(own.points)
    for kind, point in zip(classes, own.points, strict=True):
        kinds.setdefault(kind, []).append(point)
    clouds = [
        Cloud(
            own.labels[kind] if 0 <= kind < len(own.labels) else "" if kind < 0 else str(kind),
            kinds[kind],
            f"k{max(kind, 0) % COLOURS}",
            MARKERS[max(kind, 0) // COLOURS % len(MARKERS)] if len(kinds) > COLOURS else MARKERS[0],
        )
        for kind in sorted(kinds)
    ]
    told = say.plain("embeddings.told", layer=own.layer, count=len(own.points), share=share(own.variance, 0))
    if own.labels:
        told = say.gap.join((told, say.plain("embeddings.classes")))
    frame = Frame(say.plain("embeddings.title"), told, say.plain("embeddings.first"))
    return view.section("embeddings", Points(frame, say.plain("embeddings.second"), clouds, named=True).figure())

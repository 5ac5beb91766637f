"""What the model says about the samples looked at: which class it takes for which, or how far its numbers are off."""

from __future__ import annotations

import math

from markupsafe import Markup

from lamella.report.charts import Frame
from lamella.report.figures import number, share
from lamella.report.markup import table, tag
from lamella.report.points import Cloud, Points
from lamella.report.record import Confusion, Residuals
from lamella.report.sections.layers import STEPS
from lamella.report.view import View


def render(view: View) -> Markup:
    """The confusion matrix of a classification, the residuals of a regression, or nothing."""
    evidence = view.record.evidence
    if evidence is None:
        return Markup("") if view.record.state == "running" else view.missing("outcomes")
    if evidence.confusion is not None and evidence.confusion.labels:
        return _confusion(evidence.confusion, view)
    if evidence.residuals is not None and evidence.residuals.true:
        return _residuals(evidence.residuals, view)
    return Markup("")


def looked_at(view: View) -> Markup:
    """On which data the model was looked at."""
    evidence = view.record.evidence
    assert evidence is not None
    known = evidence.data if evidence.data in ("validation", "training", "given") else "given"
    return tag("p", view.say(f"looked_at.{known}", count=number(evidence.samples)), class_="muted")


def _confusion(confusion: Confusion, view: View) -> Markup:
    say, labels, counts = view.say, confusion.labels, confusion.counts
    sums = [sum(row) for row in counts]
    rows = [
        [
            label,
            *(_cell(count, sums[i], i == j) for j, count in enumerate(counts[i])),
            share(counts[i][i] / sums[i] if sums[i] else math.nan),
        ]
        for i, label in enumerate(labels)
    ]
    head = [
        say("confusion.corner"),
        *(tag("span", label, class_="across") for label in labels),
        say("confusion.recall"),
    ]
    wrong = [(counts[i][j], i, j) for i in range(len(labels)) for j in range(len(labels)) if i != j]
    right, total = sum(counts[i][i] for i in range(len(labels))), sum(sums)
    told = [say("confusion.right", right=right, total=total, share=share(right / total if total else math.nan))]
    most = max(wrong, default=(0, 0, 0))
    if most[0]:
        told.append(say("confusion.most", true=labels[most[1]], taken=labels[most[2]], count=most[0], of=sums[most[1]]))
    return view.section(
        "confusion",
        tag("p", say.gap.join(told), class_="message"),
        tag("div", table(head, rows, say.plain("section.confusion")), class_="confusion"),
        looked_at(view),
    )


def _cell(count: int, total: int, right: bool) -> Markup:
    part = count / total if total else 0.0
    colour = f"s{min(STEPS - 1, math.ceil(part * (STEPS - 1)))}" if count else "none"
    return tag("span", count or "·", class_=f"cell {colour}{' right' if right else ''}")


def _residuals(residuals: Residuals, view: View) -> Markup:
    say = view.say
    pairs = [
        (true, said)
        for true, said in zip(residuals.true, residuals.predicted, strict=False)
        if math.isfinite(true) and math.isfinite(said)
    ]
    count = len(pairs) or 1
    mean = sum(true for true, _ in pairs) / count
    square = sum((said - true) ** 2 for true, said in pairs)
    spread = sum((true - mean) ** 2 for true, _ in pairs)
    told = say.plain(
        "residuals.told",
        typical=number(math.sqrt(square / count), 3),
        bias=number(sum(said - true for true, said in pairs) / count, 3),
        explained=number(1 - square / spread, 3) if spread else "–",
    )
    frame = Frame(say.plain("residuals.title"), told, say.plain("residuals.true"))
    chart = Points(frame, say.plain("residuals.predicted"), [Cloud("", pairs, "training")], diagonal=True)
    return view.section("residuals", chart.figure(), looked_at(view))

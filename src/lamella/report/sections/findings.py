"""What the doctor found: first of all that a report tells."""

from __future__ import annotations

from typing import Any

from markupsafe import Markup

from lamella.doctor import Finding
from lamella.doctor.catalogue import texts
from lamella.report.markup import tag, terms
from lamella.report.view import View


def render(view: View) -> Markup:
    """A card for each finding, the worst first."""
    findings, say = view.record.findings, view.say
    if findings is None:
        return view.missing("findings")
    if not findings:
        key = "findings.none_yet" if view.record.state == "running" else "findings.none"
        return view.section("findings", tag("p", tag("span", "✓", aria_hidden="true"), " ", say(key), class_="well"))
    cards = [_card(finding, f"{view.prefix}finding-{i}", view) for i, finding in enumerate(findings, 1)]
    return view.section("findings", tag("ol", *cards, class_="findings"))


def _card(finding: Finding, name: str, view: View) -> Markup:
    say, language = view.say, view.say.language
    told: list[tuple[Any, Any]] = [
        (say("finding.seen"), finding.seen(language)),
        (say("finding.meaning"), finding.meaning(language)),
        (say("finding.advice"), finding.advice(language)),
        (say("finding.page"), tag("code", finding.page(language))),
    ]
    return tag("li", tag("h3", texts(language)[finding.kind]["name"]), terms(told), id=name)

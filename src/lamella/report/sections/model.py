"""What was trained, with which settings, where, and how to do it again."""

from __future__ import annotations

from markupsafe import Markup

from lamella.report.figures import number
from lamella.report.markup import table, tag, terms
from lamella.report.view import View


def settings(view: View) -> Markup:
    """How the model was compiled and fitted."""
    if not view.record.settings:
        return view.missing("settings")
    return view.section("settings", terms((view.say.name(name), value) for name, value in view.record.settings.items()))


def layers(view: View) -> Markup:
    """The model's layers."""
    rows, say = view.record.layers, view.say
    if not rows:
        return view.missing("model")
    head = [say("layers.layer"), say("model.kind"), say("model.output"), say("model.weights")]
    shown = table(
        head, [[row.name, row.kind, row.output, number(row.weights)] for row in rows], say.plain("section.model")
    )
    total = number(sum(row.weights for row in rows))
    return view.section("model", tag("p", say("model.told", layers=len(rows), weights=total), class_="message"), shown)


def environment(view: View) -> Markup:
    """The machine and the versions, and the command that trains it again."""
    record, say = view.record, view.say
    if not record.environment and not record.command:
        return view.missing("environment")
    parts = [terms((say.name(name), value) for name, value in record.environment.items())] if record.environment else []
    if record.command:
        parts += [tag("h3", say("command")), tag("pre", tag("code", record.command), class_="command", tabindex="0")]
    return view.section("environment", *parts)

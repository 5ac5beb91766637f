"""The samples on which the model is most wrong, and the filters of its first layer."""

from __future__ import annotations

from markupsafe import Markup

from lamella.report.figures import number
from lamella.report.markup import tag
from lamella.report.record import Mistake
from lamella.report.view import View

_MOST = 64


def mistakes(view: View) -> Markup:
    """The worst mistakes, as pictures or texts."""
    evidence = view.record.evidence
    if evidence is None or not evidence.mistakes:
        return Markup("")
    texts = any(each.text and not each.picture for each in evidence.mistakes)
    cards = [_mistake(each, view) for each in evidence.mistakes]
    return view.section("mistakes", tag("ul", *cards, class_="mistakes texts" if texts else "mistakes"))


def filters(view: View) -> Markup:
    """The kernels of the first layer that looks at pictures."""
    evidence = view.record.evidence
    if evidence is None or evidence.filters is None or not evidence.filters.pictures:
        return Markup("")
    say, own = view.say, evidence.filters
    pictures = [
        picture(address, say.plain("filters.one", number=i)) for i, address in enumerate(own.pictures[:_MOST], 1)
    ]
    return view.section(
        "filters",
        tag("p", say("filters.told", layer=own.layer), class_="message"),
        tag("div", *pictures, class_="filters"),
    )


def picture(address: str, told: str) -> Markup:
    """A picture that is part of the page; nothing where the address leads anywhere else."""
    if not address.startswith("data:image/png;base64,"):
        return Markup("")
    return tag("img", src=address, alt=told)


def _mistake(mistake: Mistake, view: View) -> Markup:
    say = view.say
    told = say.plain("mistakes.told", true=mistake.true, predicted=mistake.predicted)
    parts = [
        picture(mistake.picture, told) if mistake.picture else "",
        tag("blockquote", mistake.text) if mistake.text else "",
        tag("p", say("mistakes.true"), " ", tag("b", mistake.true)),
        tag("p", say("mistakes.predicted"), " ", tag("b", mistake.predicted)),
        tag("p", say("mistakes.loss", loss=number(mistake.loss, 3), number=mistake.index), class_="muted"),
    ]
    return tag("li", *parts)

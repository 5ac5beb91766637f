"""The report as one HTML file that needs no network."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Sequence
from functools import cache
from importlib.resources import files

from markupsafe import Markup

from lamella.errors import ArgumentError
from lamella.report.markup import join, tag
from lamella.report.record import Record
from lamella.report.sections import (
    comparison,
    curves,
    embeddings,
    findings,
    head,
    layers,
    model,
    outcomes,
    pace,
    samples,
    sweep,
)
from lamella.report.texts import Words
from lamella.report.view import View

SECTIONS: tuple[Callable[[View], Markup], ...] = (
    head.render,
    findings.render,
    curves.render,
    layers.render,
    pace.rates,
    pace.seconds,
    outcomes.render,
    samples.mistakes,
    samples.filters,
    embeddings.render,
    sweep.render,
    model.settings,
    model.layers,
    model.environment,
)
_LINKED = (
    "findings curves layers rates confusion residuals mistakes embeddings sweep settings model environment".split()
)


def html(records: Sequence[Record], language: str | None = None) -> str:
    """A report about one training, or about several side by side, as one self-contained HTML page.

    Args:
        records: What is known about each.
        language: `"en"` or `"zh"`; by default `LAMELLA_LANG`, else the system's.

    Raises:
        ArgumentError: No record, or a language that there are no texts in.

    Example:
        >>> from lamella.report.record import Record
        >>> page = html([Record("digits", history={"loss": [1.0, 0.5]})], "en")
        >>> "<h1>" in page and "digits" in page
        True
    """
    say = Words(language)
    names = ", ".join(record.name for record in records if record.name) or say.plain("unnamed")
    return document(body(records, language), f"{names} · Lamella", language)


def body(records: Sequence[Record], language: str | None = None) -> str:
    """The `<main>` element of the page alone, for a live page to put in the place of its own.

    Args:
        records: As for `html`.
        language: As for `html`.

    Raises:
        ArgumentError: No record, or a language that there are no texts in.
    """
    if not records:
        raise ArgumentError("A report is about at least one training; `records` is empty.")
    say = Words(language)
    if len(records) == 1:
        view = View(records[0], say)
        parts = [part for section in SECTIONS if (part := section(view))]
        content = [_contents(join(parts), say), tag("article", *parts)]
    else:
        views = [View(record, say, f"run-{i}-") for i, record in enumerate(records, 1)]
        content = [comparison.render(views)]
        for view in views:
            name = tag("span", view.record.name or say("unnamed"), class_="run-name")
            summary = join((name, " ", head.state(view)))
            article = tag("article", *(section(view) for section in SECTIONS))
            content.append(tag("details", tag("summary", summary), article, id=f"{view.prefix}all", class_="run"))
    return str(tag("main", *content, id="report", tabindex="-1"))


def document(main: str, title: str, language: str | None = None, script: str = "", connect: bool = False) -> str:
    """A whole page in the report's style.

    Its Content-Security-Policy lets nothing but its own style and scripts (known by their hashes) work, and no address
    be asked for.

    Args:
        main: The `<main>` element, as `body` gives it.
        title: What the browser shows over the page.
        language: As for `html`.
        script: JavaScript to run besides the report's own.
        connect: Whether scripts may ask the server that the page came from, as a live page does.
    """
    say = Words(language)
    style, own = _file("style.css"), _file("script.js")
    scripts = [each for each in (own, script) if each]
    policy = (
        f"default-src 'none'; img-src data:; style-src {_hash(style)}; script-src {' '.join(map(_hash, scripts))}; "
        f"connect-src {chr(39)}{'self' if connect else 'none'}{chr(39)}; base-uri 'none'; form-action 'none'"
    )
    top = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=policy),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="color-scheme", content="light dark"),
        tag("title", title),
        tag("link", rel="icon", href="data:,"),  # else a browser asks the server, or the disk, for one
        tag("style", Markup(style)),
    )
    toggle = tag("button", say("theme"), id="theme", type="button", hidden="")
    banner = tag("header", tag("h1", say("title")), toggle)
    skip = tag("a", say("skip"), href="#report", class_="skip")
    foot = () if connect else (tag("footer", tag("p", say("made_by"))),)
    bottom = tag("body", skip, banner, Markup(main), *foot, *(tag("script", Markup(each)) for each in scripts))
    page = f"<!doctype html>\n{tag('html', top, bottom, lang=say('html_language'))}\n"
    return page.encode("utf-8", "replace").decode("utf-8")  # half a surrogate pair can stand in no file


def _contents(page: Markup, say: Words) -> Markup:
    """Links to the sections that are there."""
    there = [name for name in _LINKED if f'<section id="{name}"' in page]
    return tag(
        "nav", *(tag("a", say(f"section.{name}"), href=f"#{name}") for name in there), aria_label=say("contents")
    )


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


@cache
def _file(name: str) -> str:
    return files("lamella.report").joinpath(name).read_text(encoding="utf-8")

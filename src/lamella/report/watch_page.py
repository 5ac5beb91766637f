"""The pages of `lamella watch`: the reports of some runs, or the list of all, in a frame that follows them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from importlib.resources import files

from markupsafe import Markup

from lamella.report import page
from lamella.report.feed import Names
from lamella.report.listing import listing
from lamella.report.live import Runs
from lamella.report.markup import tag
from lamella.report.record import Record
from lamella.report.texts import Words


def changing_part(runs: Runs, names: Names, language: str) -> str:
    """The part of a page that changes: of the runs named, side by side if several; of none: the list of all.

    Runs that are gone or make no sense are told, and the others shown.

    Args:
        runs: All runs.
        names: Which of them.
        language: `"en"` or `"zh"`.
    """
    if not names:
        rows = [runs.summary(name) for name in runs.stamps]
        return tag("div", listing(rows, runs.folders, language), id="view")
    say = Words(language)
    records: list[Record] = []
    notes = []
    for name in names:
        try:
            record = runs.record(name)
        except KeyError:
            notes.append(say("watch.gone", name=name))
        except (OSError, ValueError) as error:
            notes.append(say("watch.damaged", name=name, error=error))
        else:
            records.append(replace(record, name=name) if len(names) > 1 else record)
    main = Markup(page.body(records, language)) if records else tag("main", id="report")
    return tag("div", *map(message, notes), main, id="view")


def message(text: str) -> Markup:
    """A line that tells what is not as it should be."""
    return tag("p", text, class_="note", role="alert")


def document(view: str, names: Sequence[str], language: str, events: str, seen: str) -> str:
    """A whole page that follows what it shows.

    Args:
        view: What `changing_part` gave.
        names: The runs that it shows.
        language: `"en"` or `"zh"`.
        events: The address of the events that it follows.
        seen: The version of `view`.
    """
    say = Words(language)
    back = [tag("a", f"← {say.plain('watch.back')}", href=".")] if names else []
    told = {"data_live": say.plain("watch.live"), "data_lost": say.plain("watch.lost")}
    news = {"data_events": events, "data_seen": seen, **told}
    follow = files("lamella.report").joinpath("watch.js").read_text(encoding="utf-8")
    # `role="none"`: the page has a banner of its own.
    frame = tag("header", tag("nav", *back, tag("span", id="news", role="status", **news)), role="none")
    title = f"{', '.join(names) or say.plain('watch.title')} · Lamella"
    return page.document(frame + Markup(view), title, language, follow, connect=True)

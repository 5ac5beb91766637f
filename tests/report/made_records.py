"""Records made by hand, and a reader of pages, for the tests of the report."""

import math
from html.parser import HTMLParser

import numpy as np

from lamella.doctor import Finding, LayerReading, Reading
from lamella.report.record import (
    Confusion,
    Embeddings,
    Evidence,
    Filters,
    LayerRow,
    Mistake,
    Record,
    Residuals,
)

PIXEL = (
    "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNgAAAAAgABSK+kcQAAAABJRU5ErkJggg=="
)
EMPTY_ELEMENTS = {"br", "img", "link", "meta"}


def reading(epoch, names, gradient=0.01):
    layers = tuple(
        LayerReading(
            name, gradient * 10**-i, 0.1, 1.0, 0.5, 0.25 if i == 0 else math.nan, math.nan, math.nan, False, i == 2
        )
        for i, name in enumerate(names)
    )
    return Reading(epoch, 1.0, layers)


def full_record(epochs=50, name="digits", word=""):
    """A classification with all that a record can hold; `word` stands in all its texts."""
    rng = np.random.default_rng(0)
    names = [f"{word}layer {i}" for i in range(3)]
    labels = [f"{word}{i}" for i in range(4)]
    train = list(np.exp(-np.arange(epochs) / 10) + 0.05)
    valid = list(np.exp(-np.arange(epochs) / 10) + 0.1 + 0.004 * np.arange(epochs))
    return Record(
        name=f"{word}{name}",
        started="2026-11-21T20:15:00+00:00",
        state="completed",
        epochs=epochs,
        settings={f"{word}optimizer": f"{word}Adam", "batch size": "32"},
        layers=[LayerRow(each, f"{word}Dense", f"{word}(None, 10)", 1210) for each in names],
        history={
            "loss": train,
            "accuracy": [1 - each / 2 for each in train],
            "val_loss": valid,
            "val_accuracy": [1 - each / 2 for each in valid],
        },
        rates=[0.1 * 0.9**i for i in range(epochs)],
        seconds=[0.5 + 0.01 * (i % 3) for i in range(epochs)],
        findings=[
            Finding("dead_units", {"share": 0.75}, layer=names[1], epoch=2),
            Finding("over_fitting", {"training": 0.1, "validation": 0.5}, epoch=epochs),
        ],
        readings=[reading(epoch, names) for epoch in (0, 5, 12, epochs)],
        evidence=Evidence(
            samples=40,
            confusion=Confusion(labels, [[9, 1, 0, 0], [0, 8, 2, 0], [0, 0, 10, 0], [4, 0, 0, 6]]),
            mistakes=[
                Mistake(7, labels[0], labels[1], 4.5, picture=PIXEL),
                Mistake(9, labels[2], labels[3], 3.5, text=f"{word}a text that was misread"),
            ],
            filters=Filters(names[0], [PIXEL] * 8),
            embeddings=Embeddings(
                names[1], [tuple(p) for p in rng.normal(size=(40, 2))], [i % 4 for i in range(40)], labels, 0.6
            ),
        ),
        environment={f"{word}torch": f"{word}2.13"},
        command=f"{word}python train.py",
        sweep=[
            {f"{word}rate": rate, "seed": seed, "val_loss": 1 / rate, "diverged": rate > 1, "how": f"{word}at once"}
            for rate in (0.01, 0.1, 1.0, 10.0)
            for seed in (0, 1)
        ],
    )


def regression_record():
    true = list(np.linspace(-3, 3, 60))
    return Record(
        name="prices",
        state="completed",
        epochs=3,
        history={"loss": [3.0, 2.0, 1.0], "mae": [1.5, 1.2, 0.9]},
        evidence=Evidence("training", 60, residuals=Residuals(true, [value + 0.5 for value in true])),
    )


class Page(HTMLParser):
    """What a page holds, and where its elements are not balanced."""

    def __init__(self, text):
        super().__init__()
        self.open, self.wrong, self.ids, self.tags, self.attributes, self.texts = [], [], [], [], [], []
        self.feed(text)
        self.close()
        self.wrong += self.open

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(tag, name, value) for name, value in attrs]
        self.ids += [value for name, value in attrs if name == "id"]
        if tag not in EMPTY_ELEMENTS:
            self.open.append(tag)

    def handle_endtag(self, tag):
        if not self.open or self.open.pop() != tag:
            self.wrong.append(tag)

    def handle_data(self, data):
        if data.strip() and not {"style", "script"} & set(self.open):
            self.texts.append(data.strip())

    @property
    def text(self):
        return " ".join(self.texts)

    def hrefs(self):
        return [value for _, name, value in self.attributes if name == "href"]


def sound(text):
    """The page, after a look at what must hold of every page."""
    page = Page(text)
    assert not page.wrong
    assert len(page.ids) == len(set(page.ids))
    places = [href for href in page.hrefs() if href != "data:,"]  # the icon: none
    assert all(href.startswith("#") and href[1:] in page.ids for href in places)
    labels = {value for _, name, value in page.attributes if name == "aria-labelledby"}
    assert labels <= set(page.ids)
    assert not [each for each in page.attributes if each[1] == "style" or each[1].startswith("on")]
    sources = {value for _, name, value in page.attributes if name in ("src", "xlink:href", "data", "srcset")}
    assert all(source.startswith("data:image/png;base64,") for source in sources)
    return page

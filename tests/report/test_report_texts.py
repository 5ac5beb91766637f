"""The report's texts: complete in both languages, and nothing is said around them."""

import ast
import dataclasses
import re
import string
from pathlib import Path

import pytest
from made_records import Page, full_record, regression_record

import lamella.report
from lamella.errors import ArgumentError
from lamella.report.page import html
from lamella.report.record import Record
from lamella.report.texts import TEXTS, Words

ENGLISH = TEXTS["en"]
ROOM = Path(lamella.report.__file__).parent
SOURCES = [
    ROOM / "page.py",
    ROOM / "charts.py",
    ROOM / "lines.py",
    ROOM / "points.py",
    ROOM / "view.py",
    ROOM / "texts.py",
    ROOM / "listing.py",
    ROOM / "watch.py",
    ROOM / "watch_page.py",
    *(ROOM / "sections").glob("*.py"),
]


def placeholders(text):
    return sorted(name for _, name, _, _ in string.Formatter().parse(text) if name)


@pytest.mark.parametrize("language", TEXTS)
def test_no_text_is_missing(language):
    texts = TEXTS[language]
    assert list(texts) == list(ENGLISH)
    for key, text in texts.items():
        assert placeholders(text) == placeholders(ENGLISH[key]), key
        assert text or key == "gap", key
        assert text.count("`") % 2 == 0, key


def test_the_chinese_texts_are_chinese():
    for key, text in TEXTS["zh"].items():
        words = re.sub(r"`[^`]*`|{\w+}|Lamella", "", text)
        if key not in ("html_language", "gap", "epoch_of", *(f"name.{each}" for each in NAMES)):
            assert re.search(r"[\u4e00-\u9fff；]", words), key
        assert not re.search(r"[a-z]{4}", words) or key in ("html_language", *(f"name.{each}" for each in NAMES)), key
        assert not re.search(r"[\u4e00-\u9fff] ?[,;:!?]", words), key  # Chinese punctuation is wide


def strings(path):
    """The texts in a source, without its docstrings; of those with values inside, what stands before the first."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    told = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    parts = {id(value) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for value in node.values}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in told | parts:
            yield node.value
        if isinstance(node, ast.JoinedStr) and isinstance(node.values[0], ast.Constant):
            yield f"{node.values[0].value}…"


def test_every_text_is_used():
    used = {text for path in SOURCES for text in strings(path)}
    families = tuple(text[:-1] for text in used if text.endswith(".…"))
    assert not [key for key in ENGLISH if key not in used and not key.startswith(families)]


def test_every_key_in_the_sources_has_a_text():
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            named = isinstance(node, ast.Call) and ast.unparse(node.func) in (
                "say",
                "say.plain",
                "view.say",
                "view.say.plain",
            )
            if named and isinstance(node.args[0], ast.Constant):
                assert node.args[0].value in ENGLISH, (path.name, node.args[0].value)


def words_of(value):
    if dataclasses.is_dataclass(value):
        value = [getattr(value, field.name) for field in dataclasses.fields(value)]
    if isinstance(value, dict):
        value = [*value, *value.values()]
    if isinstance(value, list | tuple):
        return set().union(*map(words_of, value)) if value else set()
    return set(re.findall("[A-Za-z]{2,}", value)) if isinstance(value, str) else set()


NAMES = ("lamella", "torch", "python", "numpy")
KNOWN = set("PyTorch Python NumPy Lamella Doctor callbacks Recorder data validation fit UTC NaN".split())
RECORDS = {
    "all": [dataclasses.replace(full_record(), findings=[])],
    "numbers": [regression_record()],
    "nothing": [Record("r", state="completed")],
    "running": [Record("r")],
    "failed": [Record("r", state="failed", history={"loss": [float("nan")]})],
    "several": [full_record(name="a"), dataclasses.replace(full_record(name="b"), state="stopped", findings=[])],
}


@pytest.mark.parametrize("name", RECORDS)
def test_a_chinese_page_says_nothing_in_english(name):
    records = [dataclasses.replace(record, findings=record.findings and []) for record in RECORDS[name]]
    page = Page(html(records, "zh"))
    labels = [value for _, name, value in page.attributes if name in ("aria-label", "alt")]
    said = set(re.findall("[A-Za-z]{2,}", " ".join([*page.texts, *labels])))
    assert said <= KNOWN | words_of(records)
    assert re.search("[\u4e00-\u9fff]", page.text)


@pytest.mark.parametrize("name", RECORDS)
def test_an_english_page_says_nothing_in_chinese(name):
    assert not re.search("[\u4e00-\u9fff]", html(RECORDS[name], "en").split("<main")[1])


def test_values_are_escaped_and_code_is_marked():
    say = Words("en")
    assert say("filters.told", layer="<b>") == "What each kernel of &lt;b&gt; answers to."
    assert "<code>callbacks=[Doctor()]</code>" in say("missing.layers")
    assert "`" not in say.plain("missing.layers")


@pytest.mark.parametrize(
    ("value", "text"), [(0.031, "0.031 s"), (59.0, "59 s"), (61.2, "1 min 1 s"), (7322, "2 h 2 min")]
)
def test_durations(value, text):
    assert Words("en").seconds(value) == text


def test_an_unknown_language_is_an_error():
    with pytest.raises(ArgumentError, match="'fr'"):
        Words("fr")

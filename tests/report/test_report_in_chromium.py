"""The report as a browser shows it: whole, quiet, without any network, on a phone and on a desk, light and dark."""

import json

import chromium
import pytest
from made_records import full_record, regression_record
from test_page import SECTIONS

from lamella.report.page import html

pytestmark = chromium.needed


def show(tab, path, width, mode="light", script=True):
    tab.command("Emulation.setScriptExecutionDisabled", value=not script)
    tab.command("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": mode}])
    tab.command("Emulation.setDeviceMetricsOverride", width=width, height=800, deviceScaleFactor=1, mobile=width < 600)
    tab.open(path.as_uri())
    tab.until("document.readyState === 'complete' && document.querySelector('footer') !== null")


@pytest.fixture(scope="module")
def tab(tmp_path_factory):
    with chromium.running(tmp_path_factory.mktemp("chromium"), "--hide-scrollbars") as found:
        yield found


@pytest.fixture(scope="module")
def one(tmp_path_factory):
    path = tmp_path_factory.mktemp("report") / "one.html"
    path.write_text(html([full_record(word="a long word without any gap ")], "en"), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def three(tmp_path_factory):
    path = tmp_path_factory.mktemp("report") / "three.html"
    records = [full_record(), full_record(9, name="a_very_long_name_" * 6), regression_record()]
    path.write_text(html(records, "zh"), encoding="utf-8")
    return path


def quiet(tab, path):
    assert not tab.complaints
    assert {url for url in tab.requests if not url.startswith("data:")} == {path.as_uri()}


@pytest.mark.parametrize("mode", ["light", "dark"])
@pytest.mark.parametrize("width", [375, 1440])
def test_every_section_is_seen(tab, one, width, mode):
    show(tab, one, width, mode)
    for name in SECTIONS:
        assert tab(f"document.getElementById('{name}').getBoundingClientRect().height") > 40, name
    tab("document.querySelectorAll('details').forEach((each) => (each.open = true))")
    assert tab("document.documentElement.scrollWidth") == width
    assert tab("[...document.images].every((each) => each.naturalWidth === 1)")
    assert tab("getComputedStyle(document.body).backgroundColor") == (
        "rgb(244, 246, 248)" if mode == "light" else "rgb(14, 18, 22)"
    )
    quiet(tab, one)


@pytest.mark.parametrize("width", [375, 1440])
def test_several_trainings_fit_too(tab, three, width):
    show(tab, three, width)
    tab("document.querySelectorAll('details').forEach((each) => (each.open = true))")
    assert tab("document.documentElement.scrollWidth") == width
    quiet(tab, three)


@pytest.mark.parametrize("width", [375, 700, 1024, 1440])
def test_the_charts_texts_are_neither_tiny_nor_huge(tab, one, width):
    show(tab, one, width)
    sizes = tab(
        "[...document.querySelectorAll('.chart > svg text')].map((text) => parseFloat(getComputedStyle(text).fontSize)"
        " * text.ownerSVGElement.getBoundingClientRect().width / 400)"
    )
    assert min(sizes) >= 9
    assert max(sizes) <= 18


def test_a_link_to_a_training_opens_it(tab, three):
    show(tab, three, 1440)
    assert tab("document.getElementById('run-2-all').open") is False
    tab("document.querySelector('a[href=\"#run-2-head\"]').click()")
    assert tab("document.getElementById('run-2-all').open") is True


def test_the_theme_can_be_chosen(tab, one):
    show(tab, one, 1440, "dark")
    colour = "getComputedStyle(document.body).backgroundColor"
    before = tab(colour)
    tab("document.getElementById('theme').click()")
    assert tab(colour) == "rgb(244, 246, 248)"
    tab("document.getElementById('theme').click()")
    assert tab(colour) == before
    tab("localStorage.clear()")


def test_the_value_under_the_pointer_is_told(tab, one):
    show(tab, one, 1440)
    tab("document.getElementById('curves').scrollIntoView({behavior: 'instant'})")
    box = json.loads(tab("JSON.stringify(document.querySelector('#curves svg').getBoundingClientRect())"))
    tab.command("Input.dispatchMouseEvent", type="mouseMoved", x=box["x"] + box["width"] / 2, y=box["y"] + 60)
    told = tab("document.querySelector('#curves output').textContent")
    assert told.startswith("epoch 3")
    assert "training 0.1" in told and "validation 0." in told
    tab.command("Input.dispatchMouseEvent", type="mouseMoved", x=5, y=5)
    assert tab("document.querySelector('#curves output').textContent") == ""


def test_the_keyboard_reaches_the_report_first(tab, one):
    show(tab, one, 1440)
    tab.press("Tab")
    assert tab("document.activeElement.className") == "skip"
    assert tab("document.activeElement.getBoundingClientRect().left") > 0
    assert tab("getComputedStyle(document.activeElement).outlineStyle") == "solid"


def test_a_screen_reader_hears_what_the_charts_say(tab, one):
    show(tab, one, 1440)
    tab.command("Accessibility.enable")
    nodes = tab.command("Accessibility.getFullAXTree")["nodes"]
    tab.command("Accessibility.disable")
    named = {(node["role"]["value"], node["name"]["value"]) for node in nodes if node.get("name", {}).get("value")}
    told = {node["description"]["value"] for node in nodes if node.get("description", {}).get("value")}
    assert {("image", "loss"), ("image", "accuracy"), ("heading", "Confusion matrix")} <= named
    assert any(text.startswith("After epoch 50: training") for text in told)


def test_without_scripts_all_is_there(tab, one):
    show(tab, one, 1440, script=False)
    assert tab("document.getElementById('theme').hidden") is True
    assert tab("document.querySelectorAll('section').length") == len(SECTIONS)
    tab.command("Emulation.setScriptExecutionDisabled", value=False)
    quiet(tab, one)

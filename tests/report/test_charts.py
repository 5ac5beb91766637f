"""The charts: their axes, curves and colours."""

import itertools
import math
import re
from importlib.resources import files

import pytest
from made_records import Page

from lamella.report.charts import WIDTH, Frame
from lamella.report.figures import number
from lamella.report.lines import HEIGHT, Lines, Series, thinned
from lamella.report.points import Cloud, Points
from lamella.report.scale import Scale, covering
from lamella.report.sections.layers import STEPS
from lamella.report.texts import Words

SAY = Words("en")
FRAME = Frame("Loss", "It falls.", "epoch", table_id="t")


def drawn(chart):
    return Page(str(chart.figure(SAY) if isinstance(chart, Lines) else chart.figure()))


def curves(page):
    paths, current = [], None
    for tag, name, value in page.attributes:
        if tag == "path" and name == "d":
            current = value
        if tag == "path" and name == "class" and value.startswith("curve"):
            paths.append(current)
    return paths


@pytest.mark.parametrize(
    ("low", "high"), [(0, 1), (0.213, 0.987), (-3, 12), (1, 50), (1, 1000), (0, 3.7e-7), (1e6, 3e9), (-1e-3, 1e-3)]
)
def test_ticks_are_round_few_and_on_the_axis(low, high):
    ticks = Scale(low, high, 0, 300).ticks(5)
    assert 3 <= len(ticks) <= 9
    steps = {round((b[0] - a[0]) / (high - low), 6) for a, b in itertools.pairwise(ticks)}
    assert len(steps) == 1
    step = ticks[1][0] - ticks[0][0]
    assert round(step / 10 ** math.floor(math.log10(step) + 1e-9), 6) in (1, 2, 5)
    assert all(low - 1e-9 * abs(high) <= value <= high * (1 + 1e-9) for value, _ in ticks)
    assert len({text for _, text in ticks}) == len(ticks)


def test_epochs_are_whole():
    assert [text for _, text in covering([1, 2, 3], 0, 300, whole=True).ticks()] == ["1", "2", "3"]


def test_an_axis_is_logarithmic_where_a_few_values_dwarf_the_rest():
    falling = [2.0 * 0.7**i for i in range(60)]
    steady = [max(0.6, each) for each in falling]
    assert "log scale" in drawn(Lines(FRAME, range(60), [Series("", falling, "training")])).texts
    both = [Series("training", falling, "training"), Series("validation", steady, "validation")]
    assert "log scale" not in drawn(Lines(FRAME, range(60), both)).texts  # else no one would see how the second goes
    lost = [Series("a", steady, "k0"), Series("b", [2.0, 1e5, 1e9, 1e12] + [math.nan] * 56, "k1")]
    assert "log scale" in drawn(Lines(FRAME, range(60), lost)).texts
    assert "log scale" not in drawn(Lines(FRAME, range(3), [Series("", [0.0, 0.0, 9.0], "training")])).texts


def test_a_logarithmic_axis_has_powers_of_ten():
    scale = covering([1e-5, 0.5], 200, 10)
    assert scale.log
    assert [text for _, text in scale.ticks(4)] == ["10⁻⁵", "10⁻⁴", "10⁻³", "10⁻²", "0.1"]
    assert not covering([0.0, 0.5], 200, 10).log
    assert not covering([-1.0, 500.0], 200, 10).log


@pytest.mark.parametrize("values", [[], [2.0], [0.0, 0.0], [math.nan, math.inf], [-5.0], [1e-320, 1e300]])
def test_an_axis_for_any_values(values):
    scale = covering(values, 200, 10)
    assert math.isfinite(scale.low) and math.isfinite(scale.high) and scale.low < scale.high
    assert scale.ticks()


def test_thinning_keeps_every_peak():
    curve = [math.sin(i) for i in range(5000)]
    curve[1234], curve[3210] = 9.0, -9.0
    kept = thinned([curve, [math.nan] * 5000], 200)
    assert {0, 1234, 3210, 4999} <= set(kept)
    assert len(kept) <= 210
    assert kept == sorted(set(kept))


def test_a_curve_is_open_where_it_has_no_value():
    values = [3.0, 2.0, math.nan, 1.0, math.inf, 2.0, 1.5]
    page = drawn(Lines(FRAME, range(1, 8), [Series("training", values, "training")]))
    (path,) = curves(page)
    assert path.count("M") == 3
    assert "h0" in path  # the point that stands alone is a dot
    assert "NaN" in page.texts and "∞" in page.texts


def test_curves_lie_inside_the_picture():
    values = [100 * math.exp(-i / 3) for i in range(30)]
    page = drawn(Lines(FRAME, range(1, 31), [Series("a", values, "training"), Series("b", values[::-1], "validation")]))
    for path in curves(page):
        places = [tuple(map(float, pair.split())) for pair in re.split("[ML]", path)[1:]]
        assert all(0 < x < WIDTH and 0 < y < HEIGHT for x, y in places)
        assert len(places) == 30


def test_the_best_epoch_is_marked_and_the_gap_shaded():
    series = [Series("training", [3.0, 2.0, 1.0], "training"), Series("validation", [3.0, 2.5, 2.8], "validation")]
    page = drawn(Lines(FRAME, [1, 2, 3], series, best=(1, 2.5), gap=True))
    assert "best: 2" in page.texts
    assert {"gap", "best"} <= {value for _, name, value in page.attributes if name == "class"}
    plain = drawn(Lines(FRAME, [1, 2, 3], series))
    assert not {"gap", "best"} & {value for _, name, value in plain.attributes if name == "class"}


def test_names_at_the_ends_do_not_cover_each_other():
    series = [Series(f"run {i}", [1.0, 0.5 + 1e-4 * i], "k0") for i in range(10)]
    text = str(Lines(FRAME, [1, 2], series).figure(SAY))
    places = sorted(float(y) for y in re.findall(r'<text x="[\d.]+" y="([\d.]+)" dy="0.35em" class="end', text))
    assert len(places) == 10
    assert all(b - a > 12 for a, b in itertools.pairwise(places))
    assert places[0] > 0 and places[-1] < HEIGHT


def test_a_long_name_is_cut_and_whole_in_the_table():
    name = "a training with a very long name"
    page = drawn(Lines(FRAME, [1, 2], [Series(name, [1.0, 2.0], "k0")]))
    assert page.texts.count(name) == 1
    assert any(text.endswith("…") and name.startswith(text[:-1]) for text in page.texts)


def test_a_chart_can_be_read_aloud():
    page = drawn(Lines(FRAME, [1, 2], [Series("training", [1.0, 0.25], "training")]))
    assert {"title", "desc", "table", "details"} <= set(page.tags)
    assert ("svg", "role", "img") in page.attributes
    assert page.texts.count("It falls.") == 2
    assert "0.25" in page.texts


def test_points_are_drawn_in_their_kinds():
    clouds = [Cloud("a", [(0, 0), (1, 1)], "k0"), Cloud("b", [(2, 2), (math.nan, 1)], "k1", "triangle")]
    page = drawn(Points(FRAME, "loss", clouds, named=True, diagonal=True))
    paths = [value for tag, name, value in page.attributes if tag == "path" and name == "d"]
    assert sum(path.count("h0") for path in paths) == 2 + 1  # and once in the legend
    assert sum(path.count("h-5.2z") for path in paths) == 1 + 1
    assert page.texts.count("a") == page.texts.count("b") == 2


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"),
        (3.0, "3"),
        (-2.5, "−2.5"),
        (123456.0, "123,456"),
        (1234.5, "1,234"),
        (5e-324, "4.94×10⁻³²⁴"),
        (2e9, "2×10⁹"),
    ],
)
def test_numbers_as_people_read_them(value, text):
    assert number(value) == text


# The colours, by the formulas of WCAG 2 (contrast) and Ottosson, 2020 (lightness in OKLab).


def linear(colour):
    digits = "".join(2 * each for each in colour[1:]) if len(colour) == 4 else colour[1:]
    parts = [int(digits[i : i + 2], 16) / 255 for i in (0, 2, 4)]
    return [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]


def contrast(one, other):
    levels = [sum(w * p for w, p in zip((0.2126, 0.7152, 0.0722), linear(c), strict=True)) for c in (one, other)]
    light, dark = max(levels), min(levels)
    return (light + 0.05) / (dark + 0.05)


def lightness(colour):
    r, g, b = linear(colour)
    long = (0.4122214708 * r + 0.5363325363 * g + 0.0514459929 * b) ** (1 / 3)
    middle = (0.2119034982 * r + 0.6806995451 * g + 0.1073969566 * b) ** (1 / 3)
    short = (0.0883024619 * r + 0.2817188376 * g + 0.6299787005 * b) ** (1 / 3)
    return 0.2104542553 * long + 0.7936177850 * middle - 0.0040720468 * short


STYLE = files("lamella.report").joinpath("style.css").read_text(encoding="utf-8")
COLOURS = {name: pair for name, *pair in re.findall(r"--([a-z]+): light-dark\((#\w+), (#\w+)\)", STYLE.split("* {")[0])}
MAP = re.findall(r"\.s(\d+) { --s: light-dark\((#\w+), (#\w+)\); --on: light-dark\((#\w+), (#\w+)\)", STYLE)
KINDS = re.findall(r"\.k\d { --k: light-dark\((#\w+), (#\w+)\)", STYLE)


@pytest.mark.parametrize("mode", [0, 1], ids=["light", "dark"])
def test_texts_can_be_read_in_both_modes(mode):
    for name in ("text", "muted", "accent", "training", "validation", "good", "bad"):
        for ground in ("page", "card", "soft"):
            assert contrast(COLOURS[name][mode], COLOURS[ground][mode]) >= 4.5, (name, ground)
    for colours in KINDS:
        assert contrast(colours[mode], COLOURS["card"][mode]) >= 4.5
    assert len(KINDS) == 8


@pytest.mark.parametrize("mode", [0, 1], ids=["light", "dark"])
def test_the_heat_map_is_even_and_its_numbers_readable(mode):
    assert [int(row[0]) for row in MAP] == list(range(STEPS))
    levels = [lightness(row[1 + mode]) for row in MAP]
    steps = [b - a for a, b in itertools.pairwise(levels)]
    assert max(map(abs, steps)) < 1.6 * min(map(abs, steps))
    assert len({step > 0 for step in steps}) == 1
    assert abs(levels[0] - lightness(COLOURS["card"][mode])) < 0.15  # the least is nearest to the ground
    for row in MAP:
        assert contrast(row[1 + mode], row[3 + mode]) >= 4.5, row

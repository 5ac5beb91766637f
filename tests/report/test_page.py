"""The report as a page: what is in it, whatever the record holds."""

import base64
import hashlib
import math
import re
from dataclasses import replace

import numpy as np
import pytest
from made_records import PIXEL, Page, full_record, reading, regression_record, sound

import lamella
from lamella import layers
from lamella.doctor import Doctor
from lamella.errors import ArgumentError
from lamella.report.page import body, html
from lamella.report.record import Confusion, Evidence, LayerRow, Mistake, Record

SECTIONS = (
    "head findings curves layers rates seconds confusion mistakes filters embeddings sweep settings model environment"
).split()
HOSTILE = "\"'><script>alert(1)</script><img src=x onerror=alert(2)>&amp;{0}{epoch}`"


def shown(page):
    return [name for name in page.ids if name in {*SECTIONS, "residuals", "outcomes", "comparison"}]


@pytest.mark.parametrize("language", ["en", "zh"])
def test_every_section_is_there_in_its_order(language):
    page = sound(html([full_record()], language))
    assert shown(page) == SECTIONS
    assert page.tags.count("main") == page.tags.count("h1") == 1
    assert ("html", "lang", "zh-CN" if language == "zh" else "en") in page.attributes


def test_the_language_is_that_of_the_environment(monkeypatch):
    monkeypatch.setenv("LAMELLA_LANG", "zh")
    assert "训练报告" in html([full_record()])
    assert "Training report" in html([full_record()], "en")


def test_the_head_says_when_the_model_was_best():
    record = Record(
        "m",
        state="completed",
        epochs=4,
        history={"loss": [4.0, 3.0, 2.0, 1.0], "val_loss": [4.0, 2.0, 3.0, 5.0], "val_accuracy": [0.1, 0.9, 0.8, 0.7]},
    )
    text = sound(html([record], "en")).text
    assert "The model was at its best after epoch 2, with a validation accuracy of 90\N{NO-BREAK SPACE}%." in text
    assert "Since then the validation loss has risen to 5." in text


def test_the_findings_are_told_whole_and_lead_to_their_layer():
    page = sound(html([full_record()], "en"))
    finding = full_record().findings[0]
    for told in (finding.seen("en"), finding.meaning("en"), finding.advice("en"), finding.page("en")):
        assert told in page.texts
    assert "#finding-1" in page.hrefs()
    assert page.ids.index("findings") < page.ids.index("curves")


@pytest.mark.parametrize(("findings", "said"), [(None, "callbacks=[Doctor()]"), ([], "found nothing wrong")])
def test_no_findings_are_not_the_same_as_no_doctor(findings, said):
    text = sound(html([replace(full_record(), findings=findings, sweep=[])], "en")).text
    assert said in text


def test_an_empty_record_says_how_to_get_what_is_missing():
    page = sound(html([Record()], "en"))
    assert shown(page) == "head findings curves layers rates seconds settings model environment".split()
    assert page.text.count("callbacks=[Doctor()]") == 2
    done = sound(html([Record(state="completed")], "en"))
    assert "outcomes" in done.ids
    assert "validation_data" in done.text


def test_a_regression_shows_residuals_and_no_confusion():
    page = sound(html([regression_record()], "en"))
    assert "residuals" in page.ids
    assert not {"confusion", "outcomes", "mistakes", "filters", "embeddings"} & set(page.ids)
    assert "Predicted minus true is 0.5 on average and 0.5 typically" in page.text


def test_the_confusion_matrix_in_words():
    text = sound(html([full_record()], "en")).text
    assert "33 of 40 samples are right (82.5\N{NO-BREAK SPACE}%)." in text
    assert "Most often 3 is taken for 0: 4 of 10 times." in text


def test_hostile_names_stay_text():
    record = replace(
        full_record(word=HOSTILE), error=HOSTILE, state="failed", history={HOSTILE: [1.0, 2.0], "loss": [1.0]}
    )
    mistakes = [replace(each, true=HOSTILE, predicted=HOSTILE, text=HOSTILE) for each in record.evidence.mistakes]
    record.evidence = replace(record.evidence, mistakes=mistakes, data=HOSTILE)
    other = replace(record, settings={HOSTILE: "b"}, state=HOSTILE, started=HOSTILE)
    for records in ([record], [other, record, record]):
        text = html(records, "en")
        page = sound(text)
        assert page.tags.count("script") == 1
        assert {value for _, name, value in page.attributes if name == "src"} <= {PIXEL}
        assert HOSTILE in page.text
        assert "<script>alert" not in text


@pytest.mark.parametrize(
    "address", ["https://example.org/x.png", "javascript:alert(1)", "data:image/svg+xml;base64,AA", " " + PIXEL]
)
def test_a_picture_from_elsewhere_is_not_shown(address):
    record = full_record()
    record.evidence.mistakes[0].picture = address
    record.evidence.filters.pictures = [address]
    text = html([record], "en")
    assert "img" not in sound(text).tags
    assert address.strip() not in text or address.strip() == PIXEL


def test_a_picture_cannot_end_its_attribute():
    record = full_record()
    record.evidence.mistakes[0].picture = PIXEL + '"><script>alert(1)</script>'
    assert sound(html([record], "en")).tags.count("script") == 1


def test_half_a_character_can_be_written():
    html([replace(full_record(), name="caf\udce9")], "en").encode("utf-8")


def numbers_drawn(page):
    return " ".join(value for tag, name, value in page.attributes if name in ("d", "x", "y", "cx", "cy", "viewBox"))


@pytest.mark.parametrize("epochs", [0, 1, 2, 1000])
def test_any_number_of_epochs(epochs):
    text = html([replace(full_record(epochs), sweep=[])], "en")
    page = sound(text)
    assert not re.search("nan|inf", numbers_drawn(page))
    assert len(text) < 500_000
    assert ("No epoch has ended." in page.text) == (epochs == 0)


@pytest.mark.parametrize("values", [[math.nan] * 3, [1.0, math.inf, 2.0], [-math.inf, 1e300, 1e-300], [0.0, 0.0, 0.0]])
def test_losses_that_are_no_numbers(values):
    record = replace(
        full_record(3), history={"loss": values, "val_loss": values[::-1]}, rates=values, seconds=[0.0] * 3
    )
    record.readings = [reading(epoch, ["a", "b"], gradient) for epoch, gradient in enumerate(values)]
    record.evidence.embeddings.points[0] = (math.nan, math.inf)
    page = sound(html([record, record], "en"))
    assert not re.search("nan|inf", numbers_drawn(page))
    alone = sound(html([record], "en")).text
    lost = sum(not math.isfinite(value) for value in values)
    assert (f"{2 * lost} values are not finite" in alone) == (lost > 0)
    assert ("No epoch ended with a finite loss." in alone) == (lost == 3)


def test_histories_of_unequal_lengths():
    record = replace(full_record(), history={"loss": [3.0, 2.0, 1.0], "val_loss": [2.0], "val_only": [1.0, 2.0]})
    assert "only" in sound(html([record], "en")).text


def test_two_hundred_layers():
    names = [f"layer_{i}" for i in range(200)]
    record = replace(full_record(), layers=[LayerRow(name, "Dense", "(None, 8)", 72) for name in names])
    record.readings = [reading(epoch, names, 0.1) for epoch in range(300)]
    text = html([record], "en")
    assert set(names) <= set(sound(text).texts)
    assert len(text) < 3_000_000


def test_thirty_classes():
    labels = [f"a class with the number {i}" for i in range(30)]
    counts = np.random.default_rng(0).integers(0, 50, (30, 30)).tolist()
    record = full_record()
    record.evidence = Evidence(samples=9, confusion=Confusion(labels, counts))
    page = sound(html([record], "en"))
    assert page.texts.count(labels[17]) == 2 + (labels[17] in re.findall("Most often (.*) is taken", page.text))
    empty = Evidence(confusion=Confusion(["a", "b"], [[0, 0], [0, 0]]))
    assert "0 of 0 samples" in sound(html([replace(record, evidence=empty)], "en")).text


def test_a_training_that_failed_shows_its_error():
    page = sound(html([Record("m", state="failed", error="NonFiniteError: the loss is NaN")], "en"))
    assert "failed" in page.texts
    assert "NonFiniteError: the loss is NaN" in page.texts


def test_a_study_is_told_by_its_best_and_its_lost_trainings():
    text = sound(html([full_record()], "en")).text
    assert "Best: rate = 1, with a validation loss of 1." in text
    assert "2 of 8 trainings diverged." in text
    names = [{"optimizer": name, "seed": 0, "loss": 1.0, "diverged": True} for name in ("sgd", "adam")]
    text = sound(html([replace(full_record(), sweep=names)], "en")).text
    assert "All 2 trainings diverged." in text


def test_a_study_alone_goes_without_what_it_cannot_have():
    page = sound(html([Record("s", state="completed", sweep=full_record().sweep)], "en"))
    assert shown(page) == ["head", "sweep"]
    assert "callbacks=[Doctor()]" not in page.text


def test_several_trainings_side_by_side():
    first, second = full_record(name="first"), full_record(20, name="second")
    second.settings = {**second.settings, "batch size": "64"}
    second.history["val_loss"][7] = 0.001
    third = replace(full_record(0, name="third"), state="running", sweep=[])
    page = sound(html([first, second, third], "en"))
    assert page.ids.index("comparison") < page.ids.index("run-1-head")
    assert "The best is second, with a validation loss of 0.001." in page.text
    head = page.texts[page.texts.index("Side by side") : page.texts.index("loss")]
    assert "batch size" in head
    assert "64" in head
    assert "optimizer" not in head
    for prefix in ("run-1-", "run-2-", "run-3-"):
        assert {prefix + name for name in SECTIONS if name != "sweep"} <= set(page.ids)


def test_trainings_of_one_name_are_told_apart():
    page = sound(html([full_record(), full_record()], "en"))
    assert {"1: digits", "2: digits"} <= set(page.texts)


def test_the_body_is_the_main_part_of_the_page():
    records = [full_record()]
    main = body(records, "en")
    assert main.startswith("<main")
    assert main in html(records, "en")
    assert not Page(main).wrong


def test_nothing_but_the_pages_own_style_and_script_may_work():
    text = html([full_record()], "en")
    policy = next(value for _, name, value in Page(text).attributes if name == "content" and "default-src" in value)
    assert policy.startswith("default-src 'none'; img-src data:;")
    assert "unsafe" not in policy
    assert "http" not in re.sub("http-equiv", "", text)
    for tag in ("style", "script"):
        inside = re.search(f"<{tag}>(.*?)</{tag}>", text, re.DOTALL)[1]
        digest = base64.b64encode(hashlib.sha256(inside.encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in policy


def test_a_large_report_is_small_enough():
    record = full_record(50)
    names = [f"block_{i}_convolution" for i in range(60)]
    record.readings = [reading(epoch, names) for epoch in range(51)]
    record.evidence.filters.pictures = [PIXEL + "A" * 400] * 64
    record.evidence.mistakes = [Mistake(i, "a", "b", 1.0, PIXEL + "A" * 20_000) for i in range(12)]
    rng = np.random.default_rng(0)
    record.evidence.embeddings.points = [tuple(point) for point in rng.normal(size=(1000, 2))]
    record.evidence.embeddings.classes = [i % 4 for i in range(1000)]
    assert len(html([record], "en").encode()) < 1_500_000


def test_no_record_is_an_error():
    with pytest.raises(ArgumentError, match="at least one training"):
        html([], "en")
    with pytest.raises(ArgumentError, match="'de'"):
        html([full_record()], "de")


@pytest.mark.parametrize("task", ["classes", "numbers"])
def test_a_real_training(task):
    lamella.utils.set_random_seed(0)
    x = np.random.default_rng(0).normal(size=(64, 4)).astype("float32")
    y = (x[:, 0] > 0).astype("int64") if task == "classes" else x[:, :1]
    last = layers.Dense(2, "softmax", name="last") if task == "classes" else layers.Dense(1, name="last")
    model = lamella.Sequential([layers.Dense(8, "relu", name="first"), last])
    model.compile("adam", "sparse_categorical_crossentropy" if task == "classes" else "mse")
    doctor = Doctor(shown=0)
    history = model.fit(x, y, epochs=3, validation_split=0.25, verbose=0, callbacks=[doctor]).history
    record = Record(
        "real", state="completed", epochs=3, history=history, findings=doctor.findings, readings=doctor.readings
    )
    page = sound(html([record], "zh"))
    assert {"first", "last"} <= set(page.texts)

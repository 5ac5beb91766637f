"""The first half of the gallery: each example, in a quick form, shows what it says."""

import numpy as np
import pytest
from gallery_example import load, told_and_drawn


def test_sigmoids_make_gradients_vanish_and_each_cure_does_not(tmp_path, monkeypatch, capsys):
    gallery = load("vanishing_gradients")
    doctors, study = gallery.compute(epochs=3, seeds=1)
    first = {kind: gallery.gradients(each[0])[0] for kind, each in doctors.items()}
    assert first.pop("sigmoid") < 1e-3
    assert min(first.values()) > 1e-2
    kinds = {kind: [finding.kind for finding in each[0].findings] for kind, each in doctors.items()}
    assert "vanishing_gradients" in kinds.pop("sigmoid")
    assert not any("vanishing_gradients" in each for each in kinds.values())
    accuracies = {run.settings["kind"]: run.last("val_accuracy") for run in study.runs}
    assert accuracies.pop("sigmoid") < 0.15
    assert min(accuracies.values()) > 0.2
    said, size = told_and_drawn(
        gallery, (doctors, study), ["--epochs", "1", "--seeds", "1"], monkeypatch, capsys, tmp_path
    )
    assert "Gradients vanish" in said and size < 120_000


def test_a_large_rate_kills_relu_units_and_a_leak_wakes_silent_ones(tmp_path, monkeypatch, capsys):
    gallery = load("dying_relu")
    by_rate, silenced = gallery.compute(epochs=5, seeds=1, rates=(0.3, 2.0))
    well, dead, leaky, lost = by_rate.runs
    assert gallery.silent(well.model()) < 0.3 < 0.9 < gallery.silent(dead.model())
    assert well.last("val_accuracy") > 0.8 > 0.2 > dead.last("val_accuracy")
    assert leaky.last("val_accuracy") > 0.8
    assert lost.diverged
    relu, awake = silenced.runs
    assert gallery.silent(gallery.build("relu", bias=-1.0)) == gallery.silent(relu.model()) == 1.0
    assert gallery.silent(awake.model()) < 1.0
    assert relu.last("val_accuracy") < 0.15 < 0.2 < awake.last("val_accuracy")
    said, size = told_and_drawn(
        gallery, (by_rate, silenced), ["--epochs", "4", "--seeds", "1"], monkeypatch, capsys, tmp_path
    )
    assert "ReLU units are dead" in said and size < 120_000


def test_over_fitting_and_what_helps(tmp_path, monkeypatch, capsys):
    gallery = load("over_fitting")
    runs = gallery.compute(steps=120, seeds=1)
    losses = {name: each[0].history["val_binary_crossentropy"] for name, each in runs.items()}
    best = min(losses["nothing"])
    assert losses["nothing"][-1] > 1.5 * best
    assert runs["nothing"][0].last("binary_crossentropy") < 0.5 * best
    assert losses["dropout"][-1] < 0.8 * losses["nothing"][-1]
    assert losses["L2"][-1] < 1.2 * best
    assert losses["ten times the points"][-1] < best
    stop = gallery.EarlyStopping(patience=15, restore_best_weights=True)
    stopped = gallery.fit(120, 0, stop)
    assert 10 < stop.best_epoch < stop.stopped_epoch < 119
    assert stopped.evaluate(*gallery.points(300, 1), verbose=0)[0] == pytest.approx(stop.best, rel=1e-3)
    said, size = told_and_drawn(gallery, runs, ["--steps", "100", "--seeds", "1"], monkeypatch, capsys, tmp_path)
    assert "over-fits" in said and size < 120_000


def test_a_line_under_fits_and_units_mend_it(tmp_path, monkeypatch, capsys):
    gallery = load("under_fitting")
    study = gallery.compute(epochs=40, seeds=1, units=(0, 3))
    line, three = study.runs
    assert max(line.last("accuracy"), line.last("val_accuracy")) < 0.65
    assert min(three.last("accuracy"), three.last("val_accuracy")) > 0.85
    said, size = told_and_drawn(gallery, study, ["--epochs", "8", "--seeds", "1"], monkeypatch, capsys, tmp_path)
    assert "hidden units" in said and size < 120_000
    doctor = gallery.Doctor(shown=0)
    gallery.build(0).fit(*gallery.points(400, 0), epochs=8, verbose=0, callbacks=[doctor])
    assert [finding.kind for finding in doctor.findings] == ["under_fitting"]


def test_the_modes_of_descent(tmp_path, monkeypatch, capsys):
    gallery = load("descent_modes")
    assert {mode: gallery.steps(mode, 10) for mode in gallery.SIZES} == {
        "batch": 10,
        "mini-batch": 450,
        "stochastic": 14370,
    }
    ways, studies = gallery.compute(epochs=1, seeds=1)
    assert {mode: len(way) - 1 for mode, way in ways.items()} == {"batch": 6, "mini-batch": 48, "stochastic": 1536}
    batch, few, one = (studies[mode].runs[0].last("val_loss") for mode in gallery.SIZES)
    assert batch > 1.3 * few > 1.3 * 2 * one
    x, y = gallery.valley()
    target = np.linalg.lstsq(x, y, rcond=None)[0]
    apart = {mode: np.linalg.norm(way - target, axis=1) for mode, way in ways.items()}
    assert apart["batch"][-1] > apart["mini-batch"][-1] > apart["stochastic"][-100:].mean()
    assert apart["stochastic"][-100:].min() < 0.5 * apart["stochastic"][-100:].max()  # it never comes to rest
    said, size = told_and_drawn(
        gallery, (ways, studies), ["--epochs", "1", "--seeds", "1"], monkeypatch, capsys, tmp_path
    )
    assert "stochastic" in said and size < 120_000


def test_four_optimizers_on_one_valley(tmp_path, monkeypatch, capsys):
    gallery = load("optimizers_on_a_valley")
    study, best, ways = gallery.compute()
    x, y = gallery.samples()
    assert np.linalg.eigvalsh(2 * x.T @ x / len(x)) == pytest.approx(gallery.CURVATURES, rel=1e-5)
    diverged = {run.settings["learning_rate"] for run in study.runs if run.diverged}
    assert diverged == {rate for rate in gallery.RATES if rate > 2 / gallery.CURVATURES[1]}
    losses = {name: run.last("loss") for name, run in best.items()}
    assert losses["Adam"] < losses["Adagrad"] < losses["SGD"] < 1e-3 < 10 < losses["Adadelta"]
    for name, way in ways.items():
        assert np.square(x @ way[-2] - y).mean() == pytest.approx(losses[name], rel=1e-2)  # the loss before a step
    assert (np.diff(np.abs(ways["Adagrad"][20:, 0])) < 0).all()  # straight on
    assert (ways["Adam"][:, 0] > 1e-3).any()  # past the lowest point
    said, size = told_and_drawn(gallery, (study, best, ways), [], monkeypatch, capsys, tmp_path)
    assert "Adadelta" in said and size < 120_000

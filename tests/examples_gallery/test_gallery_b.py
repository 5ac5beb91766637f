"""The second half of the gallery: each example, in a quick form, shows what it says."""

import numpy as np
import pytest
from gallery_example import drawn, load


def test_the_first_weights_decide_what_reaches_the_last_layer(tmp_path):
    gallery = load("initialisation")
    doctors, study = gallery.compute(seeds=2, epochs=3)
    size = {start: gallery.sizes(doctor)[-1] for start, doctor in doctors.items()}
    assert size["zeros"] == 0
    assert size["too small: 0.01"] < 1e-12 < 1e6 < size["too large: 1"]
    assert size["Glorot"] < 0.05 < 0.3 < size["He"] < 3
    last = {start: gallery.losses(study, start)[:, -1] for start in gallery.STARTS}
    for start in ("zeros", "too small: 0.01"):
        assert last[start] == pytest.approx(np.log(10), abs=0.02)
    assert np.isnan(last["too large: 1"]).all()
    assert last["He"].max() < last["Glorot"].min()
    found = {start: [finding.kind for finding in doctor.findings] for start, doctor in doctors.items()}
    assert found["He"] == found["Glorot"] == []
    assert found["zeros"] == found["too small: 0.01"] == ["dead_units"]
    assert {"non_finite", "exploding_activations"} <= set(found["too large: 1"])
    assert drawn(gallery, (doctors, study), tmp_path) < 120_000


def test_batch_normalization_widens_the_range_of_rates():
    gallery = load("batch_normalization")
    rates = [0.01, 0.1, 1.0]
    studies = gallery.by_rate(rates, seeds=2, epochs=4)
    without, normalized = ([gallery.accuracies(runs) for runs in studies[each].by_settings()] for each in (False, True))
    assert min(accuracy.min() for accuracy in normalized) > 0.5
    assert without[0].max() < 0.4
    assert without[2].max() < 0.4


@pytest.mark.slow
def test_batch_normalization_needs_more_than_a_few_samples():
    gallery = load("batch_normalization")
    best = gallery.by_batch_size([4, 32], rates=[0.1], seeds=2, steps=256)
    small, large = (
        gallery.accuracies(best[True][i]).mean() - gallery.accuracies(best[False][i]).mean() for i in (0, 1)
    )
    assert small < large
    assert gallery.accuracies(best[True][1]).min() > 0.9


def test_batch_normalization_by_the_size_of_the_batch(tmp_path):
    gallery = load("batch_normalization")
    best = gallery.by_batch_size([8, 64], rates=[0.1], seeds=2, steps=128)
    small, large = (gallery.accuracies(runs) for runs in best[True])
    assert small.max() < large.min() and large.min() > 0.9
    assert gallery.accuracies(best[False][1]).max() < large.min()
    studies = gallery.by_rate([0.1, 1.0], seeds=1, epochs=1)
    assert drawn(gallery, ([0.1, 1.0], studies, [8, 64], best), tmp_path) < 120_000


def test_each_optimizer_has_a_range_of_rates_and_an_edge(tmp_path):
    gallery = load("learning_rates")
    studies = gallery.compute(rates=8, seeds=2, epochs=3)
    best = {name: study.best["learning_rate"] for name, study in studies.items()}
    assert best["Adam"] < best["SGD"]
    assert best["RMSprop"] < best["SGD"]
    assert best["SGD, momentum 0.9"] <= best["SGD"]
    for study in studies.values():
        losses = [np.median([run.last("val_loss") for run in runs]) for runs in study.by_settings()]
        assert min(losses) < 0.5 * losses[0]  # the smallest rate learns nothing
        assert study.edge() > study.best["learning_rate"]
        assert gallery.accuracy(study) > 0.75
    assert drawn(gallery, (studies,), tmp_path) < 120_000


@pytest.mark.parametrize(("rate", "kind"), [(1e-4, "rate_too_small"), (1.5, "dead_units"), (10.0, "rate_too_large")])
def test_the_doctor_tells_which_rate_does_not_fit(rate, kind):
    assert kind in [finding.kind for finding in load("learning_rates").diagnosis(rate).findings]


def test_one_neuron_cannot_do_exclusive_or_and_eight_hidden_ones_can(tmp_path):
    gallery = load("exclusive_or")
    neuron = gallery.one_neuron()
    assert not neuron.converged_
    assert neuron.score(*gallery.samples()) < 0.8
    study = gallery.compute(seeds=8, epochs=40, hidden=(0, 1, 2, 8))
    shares = gallery.shares(study)
    assert shares[0] == shares[1] == 0
    assert 0 < shares[2] < shares[8] == 1
    assert drawn(gallery, (neuron, study), tmp_path) < 120_000
    assert [finding.kind for finding in gallery.diagnosis().findings] == ["under_fitting"]


def test_learnt_filters_beat_random_ones_and_like_what_they_look_like(tmp_path):
    gallery = load("cnn_filters")
    study = gallery.compute(seeds=2, epochs=5)
    assert np.mean(gallery.accuracies(study, "learnt")) > np.mean(gallery.accuracies(study, "random")) > 0.7
    model = study.runs[0].model()
    before = [weight.copy() for weight in model.get_weights()]
    seen = gallery.look(model)
    for kept, weight in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(kept, weight)
    alike = [
        np.corrcoef(kernel.ravel(), patch.ravel())[0, 1]
        for kernel, patch in zip(seen.kernels, seen.favourites, strict=True)
    ]
    assert np.mean(alike) > 0.4
    assert seen.losses.max() > 0.02
    assert drawn(gallery, (seen,), tmp_path) < 120_000


def test_attention_lies_where_the_letter_stands(tmp_path):
    gallery = load("attention_maps")
    courses, maps, doctors = gallery.compute(seeds=1, epochs=10)
    assert courses[0]["share"][0] == pytest.approx(1 / 8, abs=0.02)
    assert courses[0]["share"][-1] > 0.6
    assert courses[0]["accuracy"][-1] > 0.95
    letters = gallery.samples(200, seed=2)[0]["letters"][:1]
    np.testing.assert_array_equal(maps[1].argmax(1), gallery.place(letters)[0])
    assert gallery.entropy(doctors[0], 0) > 0.95 > 0.6 > gallery.entropy(doctors[0], -1)
    assert doctors[0].findings == []
    assert drawn(gallery, (courses, maps), tmp_path) < 120_000

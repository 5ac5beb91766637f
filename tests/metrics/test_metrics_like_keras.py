"""Every metric gives what real Keras's gives, batch after batch."""

import numpy as np
import pytest
import torch
from metric_cases import CASES, IDS, labels, numbers, sparse_steps, takes_fractional_weights
from sklearn.metrics import r2_score

from lamella import metrics
from lamella.engine import masking

keras = pytest.importorskip("keras")

by_case = pytest.mark.parametrize(("name", "arguments", "make"), CASES, ids=IDS)


def same(ours, theirs, rtol=2e-5, atol=1e-6):
    expected = keras.ops.convert_to_numpy(theirs)
    assert ours.dtype is torch.float32
    assert tuple(ours.shape) == expected.shape
    np.testing.assert_allclose(np.asarray(ours), expected, rtol=rtol, atol=atol)


@by_case
@pytest.mark.parametrize("weighted", [False, True], ids=["", "weighted"])
def test_agrees_after_every_batch_and_after_a_reset(name, arguments, make, weighted, rng):
    if weighted and not takes_fractional_weights(name, arguments):
        arguments = {**arguments, "dtype": "float32"}
    ours, theirs = getattr(metrics, name)(**arguments), getattr(keras.metrics, name)(**arguments)
    for batch in range(4):
        y, p = make(rng)
        weight = rng.uniform(0.2, 2, len(y)).astype("float32") if weighted else None
        if weighted and "IoU" in name:
            weight = rng.uniform(0.2, 2, y.shape if make.__name__ != "one_hot" else len(y)).astype("float32")
        if weighted and make.__name__ == "sparse_steps":
            weight = rng.uniform(0.2, 2, y.shape).astype("float32")
        if batch == 3:
            ours.reset_state()
            theirs.reset_state()
        given = None if weight is None else torch.tensor(weight)
        ours.update_state(torch.tensor(y), torch.tensor(p), sample_weight=given)
        theirs.update_state(y, p, sample_weight=weight)
        same(ours.result(), theirs.result())


@by_case
def test_takes_arrays_and_lists_too(name, arguments, make, rng):
    y, p = make(rng)
    expected = getattr(metrics, name)(**arguments)(torch.tensor(y), torch.tensor(p))
    torch.testing.assert_close(getattr(metrics, name)(**arguments)(y, p), expected)
    torch.testing.assert_close(getattr(metrics, name)(**arguments)(y.tolist(), p.tolist()), expected)


SHAPES = {(): [()], (5,): [(), (5,), (5, 1)], (5, 1): [(), (5,), (5, 1)], (5, 3): [(), (5,), (5, 1), (5, 3)]}
SHAPES[5, 3, 2] = [*SHAPES[5, 3], (5, 3, 2)]


@pytest.mark.parametrize("name", ["Mean", "Sum"])
@pytest.mark.parametrize(("shape", "weights"), [(s, w) for s, fitting in SHAPES.items() for w in [None, *fitting]])
def test_mean_and_sum(name, shape, weights, rng):
    ours, theirs = getattr(metrics, name)(), getattr(keras.metrics, name)()
    for _ in range(2):
        values = rng.normal(size=shape).astype("float32")
        weight = None if weights is None else rng.uniform(0.2, 2, weights).astype("float32")
        ours.update_state(values, sample_weight=weight)
        theirs.update_state(values, sample_weight=weight)
        same(ours.result(), theirs.result())


@pytest.mark.parametrize("values", [[1, 2, 4], [True, False, True], 3, 2.5], ids=str)
def test_mean_of_whole_numbers_and_truth(values):
    same(metrics.Mean()(values), keras.metrics.Mean()(values))


def test_mean_of_a_loss_for_so_many_samples():
    ours, theirs = metrics.Mean(), keras.metrics.Mean()
    for value, samples in ((0.5, 32), (0.25, 32), (1.5, 7)):
        same(ours(torch.tensor(value), samples), theirs(value, samples))


def masked(values, mask):
    values = torch.tensor(values)
    masking.set_mask(values, torch.tensor(mask))
    return values


@pytest.mark.parametrize("name", ["SparseCategoricalAccuracy", "SparseCategoricalCrossentropy"])
@pytest.mark.parametrize("weighted", [False, True], ids=["", "weighted"])
def test_masked_steps_do_not_count(name, weighted, rng):
    ours, theirs = getattr(metrics, name)(), getattr(keras.metrics, name)()
    for _ in range(3):
        y, p = sparse_steps(rng)
        mask = rng.integers(0, 2, y.shape).astype(bool)
        weight = rng.uniform(0.2, 2, y.shape).astype("float32") if weighted else None
        ours.update_state(torch.tensor(y), masked(p, mask), weight)
        theirs.update_state(torch.tensor(y), masked(p, mask), weight)
        same(ours.result(), theirs.result())


def test_a_sample_s_weight_is_that_of_its_steps_that_are_not_masked(rng):
    y, p = sparse_steps(rng)
    mask, weight = rng.integers(0, 2, y.shape).astype(bool), np.array([1.0, 2.0, 0.5, 3.0], "float32")
    right = p.argmax(-1) == y
    each = np.broadcast_to(weight[:, None], y.shape) * mask
    found = metrics.SparseCategoricalAccuracy()(torch.tensor(y), masked(p, mask), weight)
    assert float(found) == pytest.approx((right * each).sum() / each.sum(), rel=1e-6)


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("Precision", {}),
        ("Recall", {"thresholds": [0.2, 0.6]}),
        ("TruePositives", {}),
        ("AUC", {}),
        ("AUC", {"from_logits": True}),
    ],
)
def test_masked_steps_are_neither_true_nor_false(name, arguments, rng):
    y, p = rng.integers(0, 2, (5, 7)).astype("float32"), rng.uniform(size=(5, 7)).astype("float32")
    mask = rng.integers(0, 2, y.shape).astype(bool)
    found = getattr(metrics, name)(**arguments)(torch.tensor(y), masked(p, mask))
    torch.testing.assert_close(found, getattr(metrics, name)(**arguments)(y[mask], p[mask]))


@pytest.mark.parametrize("weighted", [False, True], ids=["", "weighted"])
def test_an_ignored_class_is_left_out_as_in_keras(weighted, rng):
    ours = metrics.SparseCategoricalCrossentropy(ignore_class=-1)
    theirs = keras.metrics.SparseCategoricalCrossentropy(ignore_class=-1)
    y, p = sparse_steps(rng)
    y[rng.integers(0, 2, y.shape).astype(bool)] = -1
    weight = rng.uniform(0.2, 2, y.shape).astype("float32") if weighted else None
    same(ours(torch.tensor(y), torch.tensor(p, requires_grad=True), weight), theirs(y, p, weight))


def test_weights_of_every_element(rng):
    y, p = labels(rng)
    weight = rng.uniform(0.2, 2, y.shape).astype("float32")
    for name in ("TruePositives", "Precision", "AUC", "BinaryAccuracy"):
        same(getattr(metrics, name)()(y, p, weight), getattr(keras.metrics, name)()(y, p, weight))
    y, p = numbers(rng)
    weight = rng.uniform(0.2, 2, y.shape).astype("float32")
    same(metrics.R2Score()(y, p, weight), keras.metrics.R2Score()(y, p, weight))


def test_predictions_on_the_thresholds_themselves(rng):
    y, p = rng.integers(0, 2, 400).astype("float32"), (rng.integers(0, 9, 400) / 8).astype("float32")
    for name, arguments in (
        ("AUC", {"num_thresholds": 9}),
        ("TruePositives", {"thresholds": [0.0, 0.5, 1.0]}),
        ("FalsePositives", {"thresholds": [0.125, 0.5, 0.875]}),
        ("RecallAtPrecision", {"precision": 0.5, "num_thresholds": 9}),
    ):
        same(getattr(metrics, name)(**arguments)(y, p), getattr(keras.metrics, name)(**arguments)(y, p))


def test_the_area_is_that_of_all_pairs(rng):
    y, p = rng.integers(0, 2, 300), rng.uniform(size=300)
    exact = (p[y == 1][:, None] > p[y == 0][None, :]).mean()
    assert float(metrics.AUC(num_thresholds=10_000)(y, p)) == pytest.approx(exact, abs=1e-3)


@pytest.mark.parametrize("curve", ["roc", "PR", "prgain"])
@pytest.mark.parametrize("method", ["Interpolation", "minoring", "majoring"])
def test_every_curve_and_way_to_sum(curve, method, rng):
    y, p = labels(rng)
    arguments = {"curve": curve, "summation_method": method, "num_thresholds": 25}
    same(metrics.AUC(**arguments)(y, p), keras.metrics.AUC(**arguments)(y, p), rtol=1e-4)


@pytest.mark.parametrize("average", [None, "micro", "macro", "weighted"])
@pytest.mark.parametrize("threshold", [None, 0.5])
def test_f_scores_of_samples_with_nothing_predicted(average, threshold):
    y = np.array([[1, 0, 0], [0, 1, 0], [1, 1, 0]], "float32")
    p = np.array([[0.0, 0.0, 0.0], [0.6, 0.6, 0.0], [0.9, 0.2, 0.0]], "float32")
    arguments = {"average": average, "threshold": threshold}
    same(metrics.F1Score(**arguments)(y, p), keras.metrics.F1Score(**arguments)(y, p))


def test_r2_of_targets_that_never_change():
    y, p = np.ones((4, 2), "float32"), np.array([[1, 2], [1, 1], [1, 0], [1, 1]], "float32")
    same(metrics.R2Score(class_aggregation=None)(y, p), keras.metrics.R2Score(class_aggregation=None)(y, p))


def test_adjusted_r2_counts_samples_not_numbers(rng):
    """Keras up to 3.15 counts those of all outputs; samples without weight do not count either."""
    y, p = rng.normal(size=(12, 3)), rng.normal(size=(12, 3))
    weight = np.ones(12)
    weight[8:] = 0
    for given, n in ((None, 12), (weight, 8)):
        plain = r2_score(y, p, sample_weight=given, multioutput="raw_values")
        found = metrics.R2Score(class_aggregation=None, num_regressors=2)(y, p, given)
        np.testing.assert_allclose(found, 1 - (1 - plain) * (n - 1) / (n - 2 - 1), rtol=1e-5)


def test_r2_falls_back_where_there_are_too_few_samples(rng):
    y, p = rng.normal(size=(3, 1)), rng.normal(size=(3, 1))
    plain = metrics.R2Score()(y, p)
    torch.testing.assert_close(metrics.R2Score(num_regressors=2)(y, p), plain)
    torch.testing.assert_close(metrics.R2Score(num_regressors=9)(y, p), plain)


def test_classes_outside_the_range_do_not_count():
    y, p = np.array([0, 1, 5, -1, 1]), np.array([0, 1, 0, 1, 7])
    same(metrics.MeanIoU(2)(y, p), keras.metrics.MeanIoU(2)(y, p))


def test_classes_on_another_axis(rng):
    y, p = rng.uniform(size=(2, 3, 4, 4)), rng.uniform(size=(2, 3, 4, 4))
    arguments = {"num_classes": 3, "target_class_ids": [0, 2]}
    first = metrics.OneHotIoU(**arguments, axis=1)(y, p)
    same(first, keras.metrics.OneHotIoU(**arguments)(np.moveaxis(y, 1, -1), np.moveaxis(p, 1, -1)))


@pytest.mark.parametrize("k", [1, 2, 4, 9])
def test_top_k_with_ties_and_more_than_there_are(k):
    y, p = np.array([0, 1, 2, 3]), np.array([[0.4, 0.4, 0.1, 0.1]] * 4, "float32")
    found = metrics.sparse_top_k_categorical_accuracy(y, p, k)
    if k <= 4:
        same(found, keras.metrics.sparse_top_k_categorical_accuracy(y, p, k))
    else:
        assert found.tolist() == [1.0] * 4


@pytest.mark.parametrize(
    "name",
    [
        "binary_accuracy",
        "categorical_accuracy",
        "sparse_categorical_accuracy",
        "top_k_categorical_accuracy",
        "sparse_top_k_categorical_accuracy",
        "pearson_correlation",
        "concordance_correlation",
    ],
)
def test_functions(name, rng):
    p = rng.uniform(size=(8, 7)).astype("float32")
    y = rng.integers(0, 7, 8) if name.startswith("sparse") else np.eye(7, dtype="float32")[rng.integers(0, 7, 8)]
    same(getattr(metrics, name)(y, p), getattr(keras.metrics, name)(y, p))


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("CategoricalAccuracy", {}),
        ("TopKCategoricalAccuracy", {"k": 2}),
        ("OneHotIoU", {"num_classes": 4, "target_class_ids": [0, 2]}),
        ("OneHotMeanIoU", {"num_classes": 4}),
    ],
)
def test_one_hot_rows_of_truth_values(name, arguments, rng):
    y, p = np.eye(4, dtype=bool)[rng.integers(0, 4, 9)], rng.uniform(size=(9, 4)).astype("float32")
    same(getattr(metrics, name)(**arguments)(y, p), getattr(keras.metrics, name)(**arguments)(y, p))

"""Every metric gives what real Keras's gives, batch after batch, with and without weights."""

import inspect
import warnings

import numpy as np
import pytest
import torch

from lamella import metrics
from lamella.engine import masking

keras = pytest.importorskip("keras")

rng = np.random.default_rng(7)


def numbers():
    return rng.normal(size=(9, 4)).astype("float32"), rng.normal(size=(9, 4)).astype("float32")


def positive():
    return rng.uniform(0.1, 2, (9, 4)).astype("float32"), rng.uniform(0.1, 2, (9, 4)).astype("float32")


def binary():
    return rng.integers(0, 2, (9, 1)).astype("float32"), rng.uniform(size=(9, 1)).astype("float32")


def labels():
    return rng.integers(0, 2, (9, 3)).astype("float32"), rng.uniform(size=(9, 3)).astype("float32")


def one_hot():
    p = rng.uniform(size=(9, 4)).astype("float32")
    return np.eye(4, dtype="float32")[rng.integers(0, 4, 9)], p / p.sum(1, keepdims=True)


def sparse():
    y, p = one_hot()
    return y.argmax(1), p


def classes():
    return rng.integers(0, 3, (9,)), rng.integers(0, 3, (9,))


CASES = [
    ("Accuracy", {}, classes),
    ("BinaryAccuracy", {"threshold": 0.3}, binary),
    ("CategoricalAccuracy", {}, one_hot),
    ("SparseCategoricalAccuracy", {}, sparse),
    ("TopKCategoricalAccuracy", {"k": 2}, one_hot),
    ("SparseTopKCategoricalAccuracy", {"k": 2}, sparse),
    ("MeanSquaredError", {}, numbers),
    ("RootMeanSquaredError", {}, numbers),
    ("MeanAbsoluteError", {}, numbers),
    ("MeanAbsolutePercentageError", {}, numbers),
    ("MeanSquaredLogarithmicError", {}, positive),
    ("CosineSimilarity", {}, numbers),
    ("LogCoshError", {}, numbers),
    ("Hinge", {}, labels),
    ("SquaredHinge", {}, labels),
    ("CategoricalHinge", {}, one_hot),
    ("KLDivergence", {}, one_hot),
    ("Poisson", {}, positive),
    ("BinaryCrossentropy", {"label_smoothing": 0.1}, binary),
    ("CategoricalCrossentropy", {"from_logits": True}, one_hot),
    ("SparseCategoricalCrossentropy", {}, sparse),
    ("PearsonCorrelation", {}, numbers),
    ("ConcordanceCorrelation", {}, numbers),
    ("TruePositives", {}, binary),
    ("FalsePositives", {"thresholds": [0.2, 0.7]}, labels),
    ("TrueNegatives", {"thresholds": [0.7, 0.2]}, binary),
    ("FalseNegatives", {}, labels),
    ("Precision", {}, labels),
    ("Precision", {"thresholds": [0.1, 0.5, 0.9]}, labels),
    ("Precision", {"top_k": 2}, one_hot),
    ("Recall", {"class_id": 1}, labels),
    ("Recall", {"top_k": 2, "class_id": 2}, one_hot),
    ("SensitivityAtSpecificity", {"specificity": 0.4}, binary),
    ("SpecificityAtSensitivity", {"sensitivity": 0.4, "num_thresholds": 20}, binary),
    ("PrecisionAtRecall", {"recall": 0.4}, binary),
    ("RecallAtPrecision", {"precision": 0.4, "num_thresholds": 1}, binary),
    ("AUC", {}, binary),
    ("AUC", {"curve": "PR", "num_thresholds": 30}, binary),
    ("AUC", {"curve": "PR", "summation_method": "minoring"}, labels),
    ("AUC", {"summation_method": "majoring", "thresholds": [0.3, 0.35, 0.8]}, labels),
    ("AUC", {"curve": "PRGAIN"}, binary),
    ("AUC", {"multi_label": True, "num_labels": 3}, labels),
    ("AUC", {"multi_label": True, "label_weights": [1.0, 2.0, 0.5]}, labels),
    ("AUC", {"from_logits": True}, lambda: (binary()[0], numbers()[0][:, :1])),
    ("FBetaScore", {"beta": 2.0, "threshold": 0.5}, labels),
    ("FBetaScore", {"average": "weighted"}, one_hot),
    ("F1Score", {"average": "micro"}, one_hot),
    ("F1Score", {"average": "macro"}, one_hot),
    ("IoU", {"num_classes": 3, "target_class_ids": [0, 2]}, classes),
    ("MeanIoU", {"num_classes": 3, "ignore_class": 1}, classes),
    ("BinaryIoU", {"threshold": 0.4}, binary),
    ("OneHotIoU", {"num_classes": 4, "target_class_ids": [1, 2]}, one_hot),
    ("OneHotMeanIoU", {"num_classes": 4}, one_hot),
    ("R2Score", {}, numbers),
    ("R2Score", {"class_aggregation": None}, numbers),
    ("R2Score", {"class_aggregation": "variance_weighted_average", "num_regressors": 2}, numbers),
]
UNWEIGHTED = ("IoU", "BinaryIoU", "MeanIoU", "OneHotIoU", "OneHotMeanIoU")  # Keras's cast the weights to integers


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize(("name", "arguments", "make"), CASES, ids=[f"{n}-{'-'.join(a)}" for n, a, _ in CASES])
def test_agrees_after_every_batch(name, arguments, make, weighted):
    ours, theirs = getattr(metrics, name)(**arguments), getattr(keras.metrics, name)(**arguments)
    for _ in range(3):
        y, p = make()
        weight = rng.uniform(0.2, 2, len(y)).astype("float32") if weighted and name not in UNWEIGHTED else None
        ours.update_state(torch.tensor(y), torch.tensor(p), sample_weight=weight)
        theirs.update_state(y, p, sample_weight=weight)
        expected = keras.ops.convert_to_numpy(theirs.result())
        np.testing.assert_allclose(np.asarray(ours.result()), expected, rtol=2e-4, atol=2e-5)
    ours.reset_state()
    theirs.reset_state()
    y, p = make()
    np.testing.assert_allclose(np.asarray(ours(y, p)), keras.ops.convert_to_numpy(theirs(y, p)), rtol=2e-4, atol=2e-5)


@pytest.mark.parametrize(("name", "arguments", "make"), CASES, ids=[f"{n}-{'-'.join(a)}" for n, a, _ in CASES])
def test_config_goes_both_ways(name, arguments, make):
    ours, theirs = getattr(metrics, name)(**arguments), getattr(keras.metrics, name)(**arguments)
    y, p = make()
    expected = np.asarray(ours(y, p))
    again = metrics.deserialize(metrics.serialize(ours))
    np.testing.assert_allclose(np.asarray(again(y, p)), expected, rtol=1e-6)
    from_keras = metrics.deserialize(keras.metrics.serialize(theirs))
    np.testing.assert_allclose(np.asarray(from_keras(y, p)), expected, rtol=1e-6)
    to_keras = keras.metrics.deserialize(metrics.serialize(ours))
    result = keras.ops.convert_to_numpy(to_keras(y, p))
    np.testing.assert_allclose(result, expected, rtol=2e-4, atol=2e-5)


@pytest.mark.parametrize("weight", [None, np.array([1.0, 2.0, 0.5], "float32")])
def test_mean_and_sum(weight):
    values = rng.normal(size=(3, 4)).astype("float32")
    for name in ("Mean", "Sum"):
        ours, theirs = getattr(metrics, name)(), getattr(keras.metrics, name)()
        result = keras.ops.convert_to_numpy(theirs(values, sample_weight=weight))
        np.testing.assert_allclose(np.asarray(ours(values, sample_weight=weight)), result, rtol=1e-5)


def test_masked_steps_do_not_count():
    y, p = rng.integers(0, 4, (5, 6)), rng.uniform(size=(5, 6, 4)).astype("float32")
    mask = rng.integers(0, 2, (5, 6)).astype(bool)
    ours, theirs = metrics.SparseCategoricalAccuracy(), keras.metrics.SparseCategoricalAccuracy()
    one, other = torch.tensor(p), torch.tensor(p)
    masking.set_mask(one, torch.tensor(mask))
    other._keras_mask = torch.tensor(mask)
    np.testing.assert_allclose(float(ours(torch.tensor(y), one)), float(theirs(y, other)), rtol=1e-6)
    right = (p.argmax(-1) == y)[mask]
    assert float(ours.result()) == pytest.approx(right.mean())


def test_counts_stay_exact_beyond_what_float32_can_count():
    metric = metrics.SparseCategoricalAccuracy()
    metric.update_state(torch.zeros(4, dtype=torch.int64), torch.eye(4))
    for sums in metric.variables:
        sums.fill_(2**24)
    for _ in range(10):
        metric.update_state(torch.tensor([0]), torch.tensor([[1.0, 0.0]]))
    assert metric.variables[1].item() == 2**24 + 10
    assert metric.total.item() == 2**24 + 10


def test_a_metric_written_as_for_keras():
    class Positives(metrics.Metric):
        def __init__(self, name="positives"):
            super().__init__(name=name)
            self.count = self.add_weight(name="count", initializer="zeros")

        def update_state(self, y_true, y_pred, sample_weight=None):
            self.count.assign_add((y_pred > 0).sum())

        def result(self):
            return self.count

    metric = Positives()
    metric.update_state(None, torch.tensor([1.0, -1.0, 2.0]))
    assert float(metric.result()) == 2
    metric.reset_state()
    assert float(metric.result()) == 0


def test_state_keeps_its_memory():
    metric = metrics.Mean()
    place = metric.total.data_ptr()
    metric.update_state([1.0, 2.0])
    metric.reset_state()
    assert metric.total.data_ptr() == place


@pytest.mark.parametrize("name", sorted(n for n in dir(keras.metrics) if not n.startswith("_")))
def test_every_name_of_keras_is_here(name):
    if name in ("mse", "mae", "mape", "msle", "MSE", "MAE", "MAPE", "MSLE", "KLD", "kld", "logcosh"):
        return
    assert hasattr(metrics, name), name
    theirs = getattr(keras.metrics, name)
    if inspect.isclass(theirs) and name not in ("Metric",):
        want = set(inspect.signature(theirs.__init__).parameters) - {"kwargs"}
        assert want <= set(inspect.signature(getattr(metrics, name).__init__).parameters)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: metrics.Precision(thresholds=1.5), "thresholds must lie from 0 to 1"),
        (lambda: metrics.AUC(curve="ROCK"), "`curve` must be"),
        (lambda: metrics.Recall(class_id=9)([[1.0, 0.0]], [[0.2, 0.3]]), "`class_id` is 9"),
        (lambda: metrics.MeanSquaredError()(torch.ones(3), torch.ones(3, 4)), "must be equal"),
        (lambda: metrics.SparseCategoricalAccuracy()(torch.ones(3, 4), torch.ones(3, 4)), "cannot be compared"),
        (lambda: metrics.F1Score()(torch.ones(3), torch.ones(3)), "to_categorical"),
        (lambda: metrics.get("acuracy"), "Did you mean 'accuracy'"),
        (lambda: metrics.IoU(2, [5]), "there are 2 classes"),
    ],
)
def test_errors_say_what_is_wrong(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.fixture(autouse=True)
def keras_warns_of_itself():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield

"""Every loss has Keras's value and gradient, with every reduction, weight and mask."""

from __future__ import annotations

import inspect

import numpy as np
import pytest
import torch
from loss_cases import CASES, IDS, SEQUENCES, inputs

from lamella import losses
from lamella.engine import masking
from lamella.engine.registry import snake_case

keras = pytest.importorskip("keras")
from keras.src.backend import set_keras_mask  # noqa: E402

REDUCTIONS = ["sum_over_batch_size", "mean", "sum", "mean_with_sample_weight", "none", None]


def value_and_gradient(loss, y_true, y_pred, *args, mask=None, set_mask=None):
    y_pred = torch.tensor(y_pred, requires_grad=True)
    if mask is not None:
        set_mask(y_pred, torch.tensor(mask))
    value = loss(torch.tensor(y_true), y_pred, *args)
    # Weights make the gradient see each value on its own where nothing is reduced.
    weights = torch.linspace(1.0, 2.0, max(value.numel(), 1)).reshape(value.shape)
    return value, torch.autograd.grad((value * weights).sum(), y_pred)[0]


def assert_same(ours, theirs, rtol=1e-5, atol=1e-6):
    for mine, reference in zip(ours, theirs, strict=True):
        assert torch.isfinite(reference).all(), "the reference itself must be finite for this comparison"
        torch.testing.assert_close(mine, reference, rtol=rtol, atol=atol)


def compare(case, y_true, y_pred, weight=None, mask=None, **kwargs):
    name, arguments, kind = case
    ours = getattr(losses, name)(**arguments, **kwargs)
    theirs = getattr(keras.losses, name)(**arguments, **kwargs)
    weight_in_full = weight
    if weight is not None and (mask is not None or kind == "embedding" or "ignore_class" in arguments):
        # Keras on torch multiplies weights by the mask in place: they must have its shape, and are spoiled.
        shape = y_pred.shape[:-1] if mask is None else mask.shape
        if np.ndim(weight) in (0, len(shape)):
            weight_in_full = np.broadcast_to(np.float32(weight), shape).copy()
    assert_same(
        value_and_gradient(ours, y_true, y_pred, weight, mask=mask, set_mask=masking.set_mask),
        value_and_gradient(theirs, y_true, y_pred, weight_in_full, mask=mask, set_mask=set_keras_mask),
        # exponents of 80 times a distance lose digits, in Keras and here
        rtol=1e-3 if kind == "embedding" else 1e-5,
        atol=1e-4 if kind == "embedding" else 1e-6,
    )


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("case", CASES, ids=IDS)
def test_reductions(case, reduction):
    compare(case, *inputs(case[2]), reduction=reduction)


@pytest.mark.parametrize("reduction", ["sum_over_batch_size", "sum", "mean_with_sample_weight", "none"])
@pytest.mark.parametrize("case", CASES, ids=IDS)
def test_sample_weights(case, reduction):
    """One number, one for each sample, the same as a column, and none but zeros."""
    y_true, y_pred = inputs(case[2])
    samples = len(y_pred)
    values = getattr(losses, case[0])(**case[1], reduction="none")(y_true, y_pred)
    weights = [0.5, np.arange(samples, dtype="float32"), np.zeros(samples, "float32")]
    if values.ndim == 1:
        weights.append(np.arange(samples, dtype="float32")[:, None])
    if case[1].get("axis") in (1, -1) and len(values) != samples:
        weights = [0.5, np.arange(len(values), dtype="float32")]  # the loss is one of columns
    for weight in weights:
        compare(case, y_true, y_pred, weight, reduction=reduction)


@pytest.mark.parametrize("reduction", ["sum_over_batch_size", "sum", "mean_with_sample_weight", "none"])
@pytest.mark.parametrize("case", [case for case, _ in SEQUENCES], ids=[name for _, name in SEQUENCES])
def test_more_axes(case, reduction):
    """Sequences: values of shape (batch, time), weights of that shape and of (batch, 1), and masks."""
    y_true, y_pred = inputs(case[2], (3, 5, 4))
    values = getattr(losses, case[0])(**case[1], reduction="none")(y_true, y_pred)
    rng = np.random.default_rng(1)
    compare(case, y_true, y_pred, reduction=reduction)
    if values.ndim < 2:
        return
    for shape in [tuple(values.shape), (3, 1)]:
        compare(case, y_true, y_pred, rng.random(shape).astype("float32"), reduction=reduction)
    mask = rng.random(tuple(values.shape)) < 0.6
    compare(case, y_true, y_pred, mask=mask, reduction=reduction)
    compare(case, y_true, y_pred, 0.5, mask=mask, reduction=reduction)
    compare(case, y_true, y_pred, rng.random(mask.shape).astype("float32"), mask=mask, reduction=reduction)
    compare(case, y_true, y_pred, rng.random((3, 1)).astype("float32"), mask=mask, reduction=reduction)
    compare(case, y_true, y_pred, mask=np.zeros_like(mask), reduction=reduction)


@pytest.mark.parametrize("case", CASES, ids=IDS)
def test_functions(case):
    name, kwargs, kind = case
    y_true, y_pred = inputs(kind)
    if name == "CategoricalGeneralizedCrossEntropy":
        kwargs = {"q": 0.5, **kwargs}
    function = snake_case(name)
    assert_same(
        value_and_gradient(lambda y, p: getattr(losses, function)(y, p, **kwargs), y_true, y_pred),
        value_and_gradient(lambda y, p: getattr(keras.losses, function)(y, p, **kwargs), y_true, y_pred),
        rtol=1e-3 if kind == "embedding" else 1e-5,
        atol=1e-4 if kind == "embedding" else 1e-6,
    )


def test_circle_with_references():
    y, x = inputs("embedding")
    ref_y, ref_x = inputs("embedding", (9, 4), seed=1)
    kwargs = {
        "ref_labels": torch.tensor(ref_y),
        "ref_embeddings": torch.tensor(ref_x),
        "remove_diagonal": False,
    }
    assert_same(
        value_and_gradient(lambda a, b: losses.circle(a, b, **kwargs), y, x),
        value_and_gradient(lambda a, b: keras.losses.circle(a, b, **kwargs), y, x),
        rtol=1e-3,
        atol=1e-4,
    )


@pytest.mark.parametrize("case", CASES, ids=IDS)
def test_arrays_and_lists(case):
    """Arrays of doubles and nested lists give the number that tensors give."""
    name, kwargs, kind = case
    y_true, y_pred = inputs(kind)
    loss = getattr(losses, name)(**kwargs)
    expected = loss(torch.tensor(y_true), torch.tensor(y_pred))
    y_pred.flags.writeable = False
    for given in (
        loss(y_true, y_pred),
        loss(y_true.astype("float64"), y_pred.astype("float64")),
        loss(y_true.tolist(), y_pred.tolist()),
    ):
        assert given.dtype is torch.float32
        torch.testing.assert_close(given, expected)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float64", "int64", "bool"])
def test_types_are_cast(dtype):
    y_true = torch.tensor([[1, 0], [0, 1]])
    y_pred = torch.tensor([[0.5, 0.25], [0.125, 1.0]])
    for cast in ((y_true.to(getattr(torch, dtype)), y_pred), (y_true, y_pred.to(getattr(torch, dtype)))):
        assert_same([losses.MeanSquaredError()(*cast)], [keras.losses.MeanSquaredError()(*cast)])
    loss = losses.MeanSquaredError(dtype="float64")
    assert loss.dtype == "float64"
    assert loss(y_true, y_pred).dtype is torch.float64


def test_half_predictions_do_not_overflow():
    loss = losses.MeanSquaredError()(torch.zeros(2, 1), torch.full((2, 1), 300.0, dtype=torch.float16))
    assert loss.item() == 90000.0


ONE_SHORT = ["MeanSquaredError", "MeanAbsoluteError", "Huber", "LogCosh", "Hinge", "BinaryCrossentropy"]


@pytest.mark.parametrize("name", ONE_SHORT)
@pytest.mark.parametrize(("true", "pred"), [((5,), (5, 1)), ((5, 1), (5,)), ((5,), (5,)), ((5, 3), (5, 3, 1))])
@pytest.mark.parametrize("reduction", ["sum_over_batch_size", "none"])
def test_last_axis_of_one_may_miss(name, true, pred, reduction):
    y_true, y_pred = inputs("binary", (5, 3))
    compare(
        (name, {}, "binary"),
        y_true.ravel()[: np.prod(true)].reshape(true),
        y_pred.ravel()[: np.prod(pred)].reshape(pred),
        reduction=reduction,
    )


@pytest.mark.parametrize("name", ["SparseCategoricalCrossentropy", "CategoricalGeneralizedCrossEntropy"])
def test_class_numbers_in_a_column(name):
    y_true, y_pred = inputs("sparse")
    loss = getattr(losses, name)()
    torch.testing.assert_close(loss(y_true[:, None], y_pred), loss(y_true, y_pred))
    torch.testing.assert_close(loss(y_true.astype("uint8"), y_pred), loss(y_true, y_pred))


def test_one_dimension_with_weights_of_samples():
    compare(("MeanSquaredError", {}, "real"), *inputs("real", (5,)), np.arange(5, dtype="float32"))


class TestOwnLosses:
    def test_call_sees_floats(self):
        class Own(losses.Loss):
            def call(self, y_true, y_pred):
                assert y_true.dtype is torch.float32
                return (y_true - y_pred).abs().mean(-1)

        assert Own()([[1]], [[3.0]]).item() == 2.0
        assert Own().name.startswith("own")

    def test_nested_structures(self):
        class Own(losses.Loss):
            def call(self, y_true, y_pred):
                return y_pred["a"].mean(-1) + (y_true["b"] * y_pred["b"]).mean(-1)

        class Theirs(keras.losses.Loss):
            call = Own.call

        y_true = {"a": np.zeros((2, 1)), "b": np.ones((2, 1))}
        y_pred = {"a": torch.tensor([[1.0], [2.0]]), "b": torch.tensor([[3.0], [4.0]])}
        for weight in (None, [1.0, 0.0]):
            torch.testing.assert_close(Own()(y_true, y_pred, weight), Theirs()(y_true, y_pred, weight))

    def test_overriding_call_of_a_built_in_loss(self):
        class Absolute(losses.MeanSquaredError):
            def call(self, y_true, y_pred):
                return (y_true - y_pred).abs().mean(-1)

        assert Absolute()([[0.0]], [[3.0]]).item() == 3.0

    def test_wrapped_function_is_not_broadcast(self):
        y_true, y_pred = torch.arange(3.0), torch.arange(3.0)[:, None] + 0.5
        loss = losses.LossFunctionWrapper(lambda y_true, y_pred: (y_true - y_pred).abs())
        assert loss(y_true, y_pred).item() == 0.5

    def test_wrapped_function_of_nested_tensors(self):
        loss = losses.LossFunctionWrapper(lambda y_true, y_pred: (y_true[0] - y_pred[0]).abs().mean(-1))
        assert loss([torch.zeros(3)], [torch.full((3, 1), 2.0)]).item() == 2.0

    def test_mask_set_by_a_function_counts_at_the_first_call(self):
        y_true, y_pred = (torch.tensor(x) for x in inputs("sparse_missing"))
        kwargs = {"from_logits": True, "ignore_class": -1}
        loss = losses.LossFunctionWrapper(losses.sparse_categorical_crossentropy, **kwargs)
        expected = keras.losses.SparseCategoricalCrossentropy(**kwargs)(y_true, y_pred)
        for _ in range(2):
            torch.testing.assert_close(loss(y_true, y_pred), expected)

    def test_without_call(self):
        with pytest.raises(NotImplementedError, match="Loss has no call"):
            losses.Loss()([[1.0]], [[1.0]])

    def test_targets_of_none(self):
        loss = losses.LossFunctionWrapper(lambda y_true, y_pred: y_pred.mean(-1))
        assert loss(None, torch.ones(2, 1)).item() == 1.0


@pytest.mark.parametrize("axes", [(4, 4, 3), (3, 5, 4)])
def test_a_weight_of_a_sample_is_that_of_all_its_elements(axes):
    """Keras refuses these weights, or, where batch and time have one length, weighs the time steps."""
    y_true, y_pred = inputs("real", axes)
    weight = np.arange(1, axes[0] + 1, dtype="float32")
    mask = np.arange(axes[0] * axes[1]).reshape(axes[:2]) % 3 != 0
    losses_of = ((y_true - y_pred) ** 2).mean(-1) * weight[:, None]
    given = losses.MeanSquaredError()(y_true, y_pred, weight)
    np.testing.assert_allclose(given, losses_of.mean(), rtol=1e-5)
    masked = torch.tensor(y_pred)
    masking.set_mask(masked, torch.tensor(mask))
    given = losses.MeanSquaredError()(y_true, masked, weight)
    np.testing.assert_allclose(given, losses_of[mask].sum() / mask.sum(), rtol=1e-5)


class TestLogitsOfASoftmax:
    """A softmax remembers its logits; a cross-entropy uses them, and only where they are its own."""

    @pytest.mark.parametrize("name", ["CategoricalCrossentropy", "SparseCategoricalCrossentropy"])
    @pytest.mark.parametrize("activation", ["softmax", "sigmoid"])
    @pytest.mark.parametrize("shape", [(6, 4), (3, 5, 4)])
    def test_value_and_gradient(self, name, activation, shape):
        from lamella import activations

        y_true, logits = inputs("sparse_logits" if name.startswith("Sparse") else "one_hot_logits", shape)
        ours, theirs = getattr(losses, name)(), getattr(keras.losses, name)()
        reference = (lambda p: p.softmax(-1)) if activation == "softmax" else torch.sigmoid
        assert_same(
            value_and_gradient(lambda y, p: ours(y, getattr(activations, activation)(p)), y_true, logits),
            value_and_gradient(lambda y, p: theirs(y, reference(p)), y_true, logits),
        )

    def test_softmax_along_another_axis(self):
        from lamella import activations

        y_true, logits = inputs("one_hot_logits")
        ours = value_and_gradient(
            lambda y, p: losses.CategoricalCrossentropy()(y, activations.softmax(p, axis=0)), y_true, logits
        )
        theirs = value_and_gradient(
            lambda y, p: keras.losses.CategoricalCrossentropy()(y, torch.softmax(p, 0)), y_true, logits
        )
        assert_same(ours, theirs)

    def test_the_worst_mistake_still_teaches(self):
        from lamella import activations

        logits = torch.tensor([[-200.0, 200.0]], requires_grad=True)
        loss = losses.SparseCategoricalCrossentropy()(torch.tensor([0]), activations.softmax(logits))
        assert loss.item() == 400.0
        torch.testing.assert_close(torch.autograd.grad(loss, logits)[0], torch.tensor([[-1.0, 1.0]]))


EDGES = [
    ("BinaryCrossentropy", {}, [[0.0, 1.0, 0.0, 1.0]], [[0.0, 0.0, 1.0, 1.0]]),
    ("BinaryFocalCrossentropy", {}, [[0.0, 1.0, 0.0, 1.0]], [[0.0, 0.0, 1.0, 1.0]]),
    ("BinaryCrossentropy", {"from_logits": True}, [[0.0, 1.0]], [[500.0, -500.0]]),
    ("BinaryFocalCrossentropy", {"from_logits": True}, [[0.0, 1.0]], [[500.0, -500.0]]),
    ("CategoricalCrossentropy", {}, [[1.0, 0.0], [1.0, 0.0]], [[0.0, 1.0], [1.0, 0.0]]),
    ("CategoricalCrossentropy", {"from_logits": True}, [[1.0, 0.0]], [[-500.0, 500.0]]),
    ("CategoricalFocalCrossentropy", {}, [[1.0, 0.0], [1.0, 0.0]], [[0.0, 1.0], [1.0, 0.0]]),
    ("SparseCategoricalCrossentropy", {}, [0, 0], [[0.0, 1.0], [1.0, 0.0]]),
    ("SparseCategoricalCrossentropy", {"from_logits": True}, [0], [[-500.0, 500.0]]),
    ("SparseCategoricalCrossentropy", {"ignore_class": 0}, [0, 0], [[0.0, 1.0], [1.0, 0.0]]),
    (
        "SparseCategoricalCrossentropy",
        {"ignore_class": 0, "from_logits": True},
        [0, 0],
        [[0.0, 1.0], [1.0, 0.0]],
    ),
    pytest.param(
        *("KLDivergence", {}, [[0.0, 1.0], [1.0, 0.0]], [[1.0, 0.0], [1.0, 0.0]]),
        marks=pytest.mark.skipif(torch.__version__ >= "2.15", reason="each way to clip has a slope of its own there"),
    ),
    ("MeanAbsolutePercentageError", {}, [[0.0, 1.0]], [[0.0, 1.0]]),
    ("MeanSquaredLogarithmicError", {}, [[0.0, 1.0]], [[-3.0, 0.0]]),
    ("LogCosh", {}, [[0.0, 0.0]], [[500.0, -500.0]]),
    ("Huber", {}, [[0.0, 0.0, 0.0]], [[0.0, 1.0, 1e6]]),
    ("Dice", {}, [[0.0, 0.0]], [[0.0, 0.0]]),
    ("Tversky", {}, [[0.0, 0.0]], [[0.0, 0.0]]),
    ("CosineSimilarity", {}, [[1.0, 1.0]], [[3e-7, 3e-7]]),
]


@pytest.mark.parametrize(
    ("name", "kwargs", "y_true", "y_pred"),
    EDGES,
    ids=[f"{i}-{getattr(e, 'values', e)[0]}" for i, e in enumerate(EDGES)],
)
def test_edges(name, kwargs, y_true, y_pred):
    compare((name, kwargs, ""), np.array(y_true), np.array(y_pred, dtype="float32"), reduction="sum")


BEYOND_KERAS = [
    ("CosineSimilarity", {}, [[1.0, 1.0]], [[0.0, 0.0]], 0.0),  # Keras: the gradient is NaN
    ("CosineSimilarity", {}, [[0.0, 0.0]], [[1.0, 1.0]], 0.0),
    ("CategoricalGeneralizedCrossEntropy", {}, [0], [[0.0, 1.0]], 2.0),  # Keras: infinite
    ("Circle", {}, [0, 1], [[1.0, 0.0], [0.0, 1.0]], 0.0),
    ("Circle", {}, [1, 1], [[1.0, 0.0], [0.0, 1.0]], 0.0),
]


@pytest.mark.parametrize(("name", "kwargs", "y_true", "y_pred", "expected"), BEYOND_KERAS)
def test_gradients_are_finite(name, kwargs, y_true, y_pred, expected):
    value, gradient = value_and_gradient(getattr(losses, name)(**kwargs), y_true, y_pred)
    assert value.item() == pytest.approx(expected)
    assert torch.isfinite(gradient).all()


def test_no_nan_from_weights_of_zero():
    loss = losses.MeanSquaredError(reduction="mean_with_sample_weight")
    value, gradient = value_and_gradient(loss, *inputs("real"), np.zeros(6))
    assert value.item() == 0.0
    assert (gradient == 0).all()


@pytest.mark.parametrize("name", ["BinaryCrossentropy", "BinaryFocalCrossentropy", "CategoricalCrossentropy"])
def test_nan_in_nan_out(name):
    """A NaN is for the training loop to find; it must not stop the program here."""
    assert torch.isnan(getattr(losses, name)()([[0.0, 1.0]], [[float("nan"), 0.5]]))


def test_every_public_name_is_here():
    public = [name for name in dir(keras.losses) if not name.startswith("_")]
    assert len(public) > 40
    assert [name for name in public if not hasattr(losses, name)] == []
    assert sorted(losses.__all__) == sorted(set(losses.__all__))
    assert all(hasattr(losses, name) for name in losses.__all__)


@pytest.mark.parametrize("name", [n for n in dir(keras.losses) if not n.startswith("_")])
def test_signatures(name):
    """Arguments have Keras's names, order and defaults."""

    def arguments(obj):
        return [(p.name, p.default) for p in inspect.signature(obj).parameters.values()]

    ours, theirs = arguments(getattr(losses, name)), arguments(getattr(keras.losses, name))
    if name in ("serialize", "deserialize", "get"):
        assert len(ours) == len(theirs)
    else:
        assert ours == theirs


@pytest.mark.parametrize("name", ["CategoricalCrossentropy", "CategoricalFocalCrossentropy"])
@pytest.mark.parametrize("from_logits", [False, True])
def test_labels_are_smoothed_along_the_axis_of_the_classes(name, from_logits):
    """Keras up to 3.15 divides by the size of the last axis, whatever the axis."""
    arguments = {"label_smoothing": 0.3, "from_logits": from_logits, "reduction": "none"}
    y_true = torch.eye(3)[torch.tensor([[0, 2], [1, 1], [2, 0], [0, 0]])]  # (batch, places, classes)
    y_pred = torch.randn(4, 2, 3, generator=torch.Generator().manual_seed(0))
    y_pred = y_pred if from_logits else y_pred.softmax(-1)
    expected = getattr(losses, name)(**arguments)(y_true, y_pred)
    found = getattr(losses, name)(**arguments, axis=1)(y_true.movedim(-1, 1), y_pred.movedim(-1, 1))
    torch.testing.assert_close(found, expected)
    mean = getattr(losses, name)(**{**arguments, "reduction": "sum_over_batch_size"}, axis=1)
    torch.testing.assert_close(mean(y_true.movedim(-1, 1), y_pred.movedim(-1, 1)), expected.mean())

"""What losses refuse, and the words they find for it."""

from __future__ import annotations

import re

import numpy as np
import pytest
import torch

from lamella import losses
from lamella.errors import DataError, LamellaError, ShapeError

ELEMENTWISE = [
    "MeanSquaredError",
    "MeanAbsoluteError",
    "MeanAbsolutePercentageError",
    "MeanSquaredLogarithmicError",
    "Huber",
    "LogCosh",
    "CosineSimilarity",
    "Poisson",
    "KLDivergence",
    "Hinge",
    "SquaredHinge",
    "CategoricalHinge",
    "BinaryCrossentropy",
    "BinaryFocalCrossentropy",
    "Dice",
    "Tversky",
]


@pytest.mark.parametrize("name", ELEMENTWISE)
@pytest.mark.parametrize(
    ("true", "pred"),
    [((8,), (8, 3)), ((8, 3), (8, 1)), ((8, 1), (8, 3)), ((3,), (8, 3)), ((4, 1), (8, 1)), ((), (8,))],
)
@pytest.mark.parametrize("weight", [None, 1.0])
def test_shapes_that_would_broadcast(name, true, pred, weight):
    loss = getattr(losses, name)()
    with pytest.raises(ShapeError) as error:
        loss(torch.ones(true), torch.full(pred, 0.5), weight)
    message = str(error.value)
    # A class's default name and its function's may differ ("huber_loss", "huber").
    assert message.startswith((loss.name, loss.fn.__name__))
    assert re.search(rf"targets have shape .*{re.escape(str(tuple(pred)))}; they must be equal", message)
    assert "Give the last layer as many units" in message


@pytest.mark.parametrize("name", ["CategoricalCrossentropy", "CategoricalFocalCrossentropy"])
@pytest.mark.parametrize("from_logits", [True, False])
@pytest.mark.parametrize(
    ("true", "pred"), [((8,), (8, 3)), ((8, 1), (8, 3)), ((8, 5), (8, 5, 3)), ((8, 5, 1), (8, 5, 3))]
)
def test_class_numbers_for_one_hot(name, from_logits, true, pred):
    loss = getattr(losses, name)(from_logits=from_logits)
    with pytest.raises(ShapeError, match=r"sparse_categorical_crossentropy.*to_categorical\(y, 3\)"):
        loss(torch.zeros(true), torch.full(pred, 0.3))
    with pytest.raises(ShapeError, match=r"sparse_categorical_crossentropy.*to_categorical\(y, 3\)"):
        loss.check_targets(np.zeros(true), (None, *pred[1:]))


@pytest.mark.parametrize("name", ["CategoricalCrossentropy", "CategoricalFocalCrossentropy"])
def test_wrong_number_of_classes(name):
    with pytest.raises(ShapeError, match=r"shape \(8, 4\).*shape \(8, 3\)"):
        getattr(losses, name)()(torch.zeros(8, 4), torch.ones(8, 3))


@pytest.mark.parametrize("name", ["SparseCategoricalCrossentropy", "CategoricalGeneralizedCrossEntropy"])
def test_one_hot_for_class_numbers(name):
    loss = getattr(losses, name)()
    with pytest.raises(ShapeError, match=r"look one-hot: use loss='categorical_crossentropy'"):
        loss(torch.zeros(8, 3), torch.ones(8, 3))
    with pytest.raises(ShapeError, match=r"look one-hot: use loss='categorical_crossentropy'"):
        loss.check_targets(np.zeros((8, 3)), (None, 3))
    with pytest.raises(ShapeError, match=r"shape \(7,\).*shape \(8, 3\).*one class number for each"):
        loss(torch.zeros(7, dtype=torch.int64), torch.ones(8, 3))


@pytest.mark.parametrize("name", ["CategoricalCrossentropy", "CategoricalFocalCrossentropy"])
def test_one_class_is_warned_of(name):
    with pytest.warns(SyntaxWarning, match="binary_crossentropy"):
        getattr(losses, name)()(torch.ones(2, 1), torch.full((2, 1), 0.5))


@pytest.mark.parametrize(
    ("values", "weight"),
    [((8, 3), (8, 3)), ((8, 5, 3), (5,)), ((8, 5, 3), (4,)), ((8, 5, 3), (8, 4)), ((8, 3), (2, 8))],
)
def test_weights_that_do_not_fit(values, weight):
    with pytest.raises(ShapeError, match=r"sample_weight of shape .* does not fit losses of shape"):
        losses.MeanSquaredError()(torch.ones(values), torch.zeros(values), np.ones(weight))


def test_masks_that_do_not_fit():
    from lamella.engine import masking

    y_pred = torch.zeros(8, 5)
    masking.set_mask(y_pred, torch.ones(8, 5, dtype=torch.bool))
    with pytest.raises(
        ShapeError, match=r"the mask of shape \(8, 5\) does not fit losses of shape \(8,\).*further last"
    ):
        losses.MeanSquaredError()(torch.ones(8, 5), y_pred)
    y_pred = torch.zeros(8, 5, 1)
    masking.set_mask(y_pred, torch.ones(8, 5, dtype=torch.bool))
    with pytest.raises(ShapeError, match=r"sample_weight of shape \(8, 4\) does not fit"):
        losses.MeanSquaredError()(torch.ones(8, 5, 1), y_pred, np.ones((8, 4)))


@pytest.mark.parametrize(("true", "pred"), [((3,), (3, 7, 4)), ((3, 2), (3, 4)), ((2, 2), (3, 7, 4))])
def test_ctc_shapes(true, pred):
    with pytest.raises(ShapeError, match=r"ctc: .*expected \(batch, labels\) and \(batch, time, classes\)"):
        losses.CTC()(torch.ones(true), torch.zeros(pred))


sparse = losses.SparseCategoricalCrossentropy
NAN, INF = float("nan"), float("inf")

# loss, targets, output shape, words of the error
BAD_TARGETS = [
    (losses.MeanSquaredError(), np.zeros((9, 2)), (None, 3), ["(9, 2)", "(None, 3)"]),
    (losses.MeanSquaredError(), np.zeros(9), (None, 3), ["(9,)", "(None, 3)"]),
    (losses.MeanSquaredError(), np.zeros((9, 3)), (None, 1), ["(9, 3)", "(None, 1)"]),
    (losses.Huber(), np.zeros((9, 4, 1)), (None, 5, 1), ["(9, 4, 1)"]),
    (losses.MeanSquaredError(), [[0.0], [NAN]], (None, 1), ["NaN or infinite", "1 values", "sample 1"]),
    (
        losses.MeanAbsoluteError(),
        [[0.0], [INF], [-INF]],
        (None, 1),
        ["NaN or infinite", "2 values", "sample 1"],
    ),
    (losses.CategoricalCrossentropy(), [[0.0, NAN]], (None, 2), ["NaN"]),
    (losses.CategoricalCrossentropy(), [[2.0, -1.0]], (None, 2), ["0 or more", "-1"]),
    (
        losses.CategoricalCrossentropy(),
        np.zeros((9, 4)),
        (None, 2),
        ["(9, 4)", "as many units as there are classes"],
    ),
    (sparse(), [0, NAN], (None, 2), ["NaN"]),
    (sparse(), [0.0, 1.5], (None, 2), ["whole numbers"]),
    (
        sparse(),
        [0, 1, 2, 3, 3],
        (None, 3),
        ["from 0 to 2", "0 to 3", "2 out of range", "sample 3", "last layer 4 units"],
    ),
    (sparse(), [1, 2, 3], (None, 3), ["1 to 3", "sample 2", "start at 1: subtract 1"]),
    (sparse(), [0, -1, 1], (None, 2), ["-1 to 1", "sample 1", "ignore_class=-1"]),
    (sparse(ignore_class=-1), [-1, 0, 4], (None, 2), ["found 0 to 4", "last layer 5 units"]),
    (sparse(ignore_class=255), [-1, 255, 0], (None, 2), ["-1 to 0", "1 out of range", "ignore_class=-1"]),
    (sparse(), [0, 1], (None, 1), ["binary_crossentropy"]),
    (sparse(), [0, -2], (None, None), ["0 or more", "-2"]),
    (sparse(), np.zeros((9, 4), int), (None, 5, 3), ["(9, 4)", "(None, 5, 3)"]),
    (sparse(axis=1), np.full((2, 4), 7), (None, 3, 4), ["from 0 to 2", "7"]),
    (losses.BinaryCrossentropy(), [[-1.0], [1.0]], (None, 1), ["from 0 to 1", "-1 to 1", "(y + 1) / 2"]),
    (losses.BinaryCrossentropy(), [0, 1, 5], (None, 1), ["0 to 5", "sparse_categorical_crossentropy"]),
    (losses.BinaryFocalCrossentropy(), [0, 1, 5], (None, 1), ["0 to 5"]),
    (losses.BinaryCrossentropy(), [[0, 254], [30, 9]], (None, 2), ["found 0 to 254", "y / 255"]),
    (losses.Poisson(), [[1.0], [-2.0]], (None, 1), ["poisson", "-2", "sample 1", "mean_squared_error"]),
    (losses.MeanSquaredLogarithmicError(), [[-0.5]], (None, 1), ["-0.5", "sample 0"]),
    (losses.MeanSquaredError(), ["cat", "dog"], (None, 1), ["must be numbers", "numpy.unique"]),
    (sparse(), ["cat", "dog"], (None, 2), ["must be numbers", "numpy.unique"]),
    (losses.CTC(), np.zeros((3, 2), int), (None, 4), ["(batch, time, classes)"]),
    (losses.CTC(), [[1, 9]], (None, 5, 4), ["from 0 (padding) to 3", "1 to 9", "sample 0"]),
    (losses.CTC(), [[1, 2], [0, 2]], (None, 5, 4), ["after a 0", "sample 1", "number the classes from 1"]),
    (losses.CTC(), [[1, 2, 0], [2, 2, 2]], (None, 4, 4), ["sample 1 need 5 time steps", "has 4"]),
]


@pytest.mark.parametrize("as_tensor", [False, True])
@pytest.mark.parametrize(("loss", "y", "shape", "words"), BAD_TARGETS)
def test_targets_that_cannot_be_right(loss, y, shape, words, as_tensor):
    if as_tensor:
        if isinstance(y, list) and isinstance(y[0], str):
            pytest.skip("no tensor of strings")
        y = torch.as_tensor(y)
    with pytest.raises((ShapeError, DataError)) as error:
        loss.check_targets(y, shape)
    for word in [loss.name, *words]:
        assert word in str(error.value)
    assert isinstance(error.value, LamellaError) and isinstance(error.value, ValueError)


GOOD_TARGETS = [
    (losses.MeanSquaredError(), np.zeros((9, 3)), (None, 3)),
    (losses.MeanSquaredError(), np.zeros((9, 3)), (None, None)),
    (losses.MeanSquaredError(), np.zeros(9), (None, 1)),
    (losses.MeanSquaredError(), np.zeros((9, 1)), (None,)),
    (losses.MeanSquaredError(), np.zeros((9, 4)), (None, 4, 1)),
    (
        losses.MeanSquaredError(),
        np.full((9, 1), 1e38, "float32"),
        (None, 1),
    ),  # the sum overflows, the targets do not
    (losses.CategoricalCrossentropy(), np.eye(3), (None, 3)),
    (losses.CategoricalCrossentropy(), np.full((4, 3), 0.2), (None, 3)),
    (sparse(), [0, 1, 2], (None, 3)),
    (sparse(), np.array([0.0, 2.0]), (None, 3)),
    (sparse(), np.array([[0], [2]], "uint8"), (None, 3)),
    (sparse(ignore_class=-1), [-1, 0, 2], (None, 3)),
    (sparse(ignore_class=255), [255, 0, 2], (None, 3)),
    (sparse(), np.zeros((2, 4, 5), int), (None, 4, 5, 3)),
    (sparse(axis=1), np.zeros((2, 4), int), (None, 3, 4)),
    (losses.BinaryCrossentropy(), [0, 1, 1], (None, 1)),
    (losses.BinaryCrossentropy(), [True, False], (None, 1)),
    (losses.BinaryCrossentropy(), [[0.3, 1.0]], (None, 2)),
    (losses.Hinge(), [[-1.0], [1.0]], (None, 1)),
    (losses.Hinge(), [[0.0], [1.0]], (None, 1)),
    (losses.Poisson(), [[0], [3]], (None, 1)),
    (losses.Circle(), [0, 1, 1], (None, 8)),
    (losses.CTC(), [[1, 2, 0], [3, 0, 0]], (None, 5, 4)),
    (losses.CTC(), [[1, 1, 1]], (None, None, None)),
]


@pytest.mark.parametrize(("loss", "y", "shape"), GOOD_TARGETS)
def test_targets_that_are_right(loss, y, shape):
    loss.check_targets(y, shape)
    loss.check_targets(torch.as_tensor(y), shape)


def test_the_check_changes_nothing():
    y = torch.tensor([0.0, 1.0])
    losses.BinaryCrossentropy().check_targets(y, (None, 1))
    assert y.tolist() == [0.0, 1.0]

"""DiceCrossEntropy against its formula, and against Keras's cross-entropies and Dice."""

import numpy as np
import pytest
import torch

import lamella
from lamella.errors import ArgumentError, DataError, ShapeError
from lamella.vision.segmentation_loss import DiceCrossEntropy


def by_the_formula(masks, p, weights=None, ignore=None):
    """One picture and one class after the other, in plain numpy; p are probabilities with at least two channels."""
    binary = p.shape[-1] == 1
    if binary:
        p = np.concatenate([1 - p, p], -1)
    n_classes = p.shape[-1]
    weights = np.ones(n_classes) if weights is None else np.array(weights)
    losses = []
    for mask, chances in zip(masks, p, strict=True):
        pixels = [(c, q) for c, q in zip(mask.reshape(-1), chances.reshape(-1, n_classes), strict=True) if c != ignore]
        total = sum(weights[c] for c, _ in pixels)
        cross = sum(-np.log(q[c]) * weights[c] for c, q in pixels) / total if total else 0
        scores, shares = [], []
        for each in range(1 if binary else 0, n_classes):
            truth = np.array([c == each for c, _ in pixels])
            said = np.array([q[each] for _, q in pixels])
            if truth.any():
                scores.append(weights[each] * (1 - 2 * (truth * said).sum() / (truth.sum() + said.sum())))
                shares.append(weights[each])
        losses.append(cross + (sum(scores) / sum(shares) if sum(shares) else 0))
    return np.array(losses)


def sample(rng, classes, size=(5, 7), batch=3):
    logits = torch.from_numpy(rng.normal(size=(batch, *size, classes)) * 2).to(torch.float32)
    masks = torch.from_numpy(rng.integers(0, max(classes, 2), (batch, *size)))
    p = torch.sigmoid(logits) if classes == 1 else torch.softmax(logits, -1)
    return masks, logits, p


@pytest.mark.parametrize("classes", [1, 2, 5])
@pytest.mark.parametrize("ignore", [None, 0, 255])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("from_logits", [False, True])
def test_the_formula(rng, classes, ignore, weighted, from_logits):
    masks, logits, p = sample(rng, classes)
    if ignore == 255:
        masks[torch.from_numpy(rng.random(masks.shape) < 0.3)] = 255
    masks[0][masks[0] == 1] = 0  # a picture without one of the classes
    if ignore is not None:
        masks[2] = ignore  # and one that says nothing at all
    weights = rng.uniform(0.1, 3, max(classes, 2)).tolist() if weighted else None
    loss = DiceCrossEntropy(from_logits, class_weights=weights, ignore_class=ignore, reduction=None)
    found = loss(masks, logits if from_logits else p)
    assert found.shape == (3,)
    assert found.numpy() == pytest.approx(by_the_formula(masks.numpy(), p.numpy(), weights, ignore), abs=2e-5)


def test_cross_entropy_and_dice_of_keras(rng):
    keras = pytest.importorskip("keras")
    masks, logits, p = sample(rng, 4, (16, 16))
    one_hot = np.eye(4)[masks]
    cross = keras.losses.SparseCategoricalCrossentropy()(masks.numpy(), p.numpy())
    dice = keras.losses.Dice(axis=(1, 2))(one_hot, p.numpy())
    assert float(DiceCrossEntropy(dice_weight=0.0)(masks, p)) == pytest.approx(float(cross), abs=1e-5)
    assert float(DiceCrossEntropy()(masks, p)) == pytest.approx(float(cross) + float(dice), abs=1e-5)
    assert float(DiceCrossEntropy(dice_weight=0.3)(masks, p)) == pytest.approx(
        float(cross) + 0.3 * float(dice), abs=1e-5
    )
    masks, logits, p = sample(rng, 1, (16, 16))
    cross = keras.losses.BinaryCrossentropy(from_logits=True)(masks[..., None].numpy(), logits.numpy())
    dice = keras.losses.Dice(axis=(1, 2, 3))(masks[..., None].numpy(), p.numpy())
    assert float(DiceCrossEntropy(True)(masks, logits)) == pytest.approx(float(cross) + float(dice), abs=1e-5)


@pytest.mark.parametrize("classes", [1, 3])
def test_masks_may_have_a_last_axis_and_any_number_type(rng, classes):
    masks, _, p = sample(rng, classes)
    expected = float(DiceCrossEntropy()(masks, p))
    for each in (
        masks[..., None],
        masks.to(torch.uint8),
        masks.to(torch.float32),
        masks.numpy(),
        masks.numpy().tolist(),
    ):
        assert float(DiceCrossEntropy()(each, p)) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("classes", [1, 3])
def test_the_gradient(rng, classes):
    masks, logits, _ = sample(rng, classes, (2, 3), 2)
    masks[0, 0, 0] = 9
    loss = DiceCrossEntropy(
        True, class_weights=[1.0, 2.0, 3.0][: max(classes, 2)], ignore_class=9, dtype="float64", reduction="sum"
    )
    logits = logits.double().requires_grad_()
    assert torch.autograd.gradcheck(lambda z: loss(masks, z), logits)
    (gradient,) = torch.autograd.grad(loss(masks, logits), logits)
    assert (gradient[0, 0, 0] == 0).all() and (gradient[0, 0, 1] != 0).all()


@pytest.mark.parametrize("classes", [1, 3])
def test_extreme_logits_have_finite_losses_and_gradients(classes):
    logits = torch.tensor([-1e4, 1e4]).repeat(1, 2, classes).reshape(1, 2, 2, classes).requires_grad_()
    loss = DiceCrossEntropy(from_logits=True)(torch.tensor([[[0, 1], [1, 0]]]), logits)
    loss.backward()
    assert torch.isfinite(loss) and torch.isfinite(logits.grad).all()
    p = torch.zeros(1, 2, 2, 1, requires_grad=True)
    loss = DiceCrossEntropy()(torch.ones(1, 2, 2, dtype=torch.int64), p)
    loss.backward()
    assert torch.isfinite(loss) and torch.isfinite(p.grad).all()


def test_sample_weights_count_pictures(rng):
    masks, _, p = sample(rng, 3)
    each = DiceCrossEntropy(reduction=None)(masks, p)
    weights = torch.tensor([0.0, 2.0, 0.5])
    assert float(DiceCrossEntropy()(masks, p, weights)) == pytest.approx(float((each * weights).mean()), abs=1e-6)


def test_it_is_written_to_a_config_and_read_again(rng):
    masks, logits, _ = sample(rng, 3)
    loss = DiceCrossEntropy(True, 0.5, [1, 2, 3], 0, name="mine")
    again = lamella.losses.deserialize(lamella.losses.serialize(loss))
    assert type(again) is DiceCrossEntropy and again.get_config() == loss.get_config()
    assert float(again(masks, logits)) == float(loss(masks, logits))


def model(classes):
    inputs = lamella.Input((4, 4, 1))
    made = lamella.Model(inputs, lamella.layers.Conv2D(classes, 1)(inputs))
    made.compile("sgd", DiceCrossEntropy(from_logits=True, ignore_class=255))
    return made


@pytest.mark.parametrize(
    ("classes", "masks", "error", "message"),
    [
        (3, np.full((2, 4, 4), 3), DataError, "from 0 to 2, because the model has 3 outputs; found 3 to 3"),
        (1, np.full((2, 4, 4), 2), DataError, "from 0 to 1, because the model has 1 output;"),
        (3, np.full((2, 4, 4), -1), DataError, "ignore_class=255"),
        (3, np.zeros((2, 4, 5)), ShapeError, r"\(2, 4, 5\) do not fit"),
        (3, np.zeros((2, 4, 4, 3)), ShapeError, "argmax"),
        (3, np.zeros((2,)), ShapeError, "one class number a pixel"),
        (3, np.full((2, 4, 4), np.nan), DataError, "NaN"),
    ],
)
def test_masks_that_cannot_be_right_are_refused_before_training(classes, masks, error, message):
    with pytest.raises(error, match=message):
        model(classes).fit(np.zeros((2, 4, 4, 1), "float32"), masks, verbose=0)


def test_ignored_classes_are_not_out_of_range():
    history = model(3).fit(np.zeros((2, 4, 4, 1), "float32"), np.full((2, 4, 4), 255), verbose=0)
    assert history.history["loss"] == [0.0]


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"dice_weight": -1.0}, "`dice_weight` must be 0 or more"),
        ({"class_weights": [1.0, -1.0]}, "`class_weights` must be 0 or more"),
        ({"class_weights": [0.0, 0.0]}, "not all of them 0"),
    ],
)
def test_bad_arguments(kwargs, message):
    with pytest.raises(ArgumentError, match=message):
        DiceCrossEntropy(**kwargs)


def test_weights_for_another_number_of_classes(rng):
    masks, _, p = sample(rng, 3)
    with pytest.raises(ShapeError, match="there are 2 `class_weights` for 3 classes"):
        DiceCrossEntropy(class_weights=[1, 2])(masks, p)
    with pytest.raises(ShapeError, match="do not fit"):
        DiceCrossEntropy()(masks[:, :2], p)

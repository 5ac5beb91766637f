"""Losses of `torch.nn` in `compile`: called as torch calls them."""

import functools

import numpy as np
import pytest
import torch
from torch import nn

import lamella
from lamella.errors import ArgumentError
from lamella.losses import as_loss

SOURCE = torch.Generator().manual_seed(0)
SCORES, NUMBERS = torch.randn(12, 3, generator=SOURCE), torch.randint(0, 3, (12,), generator=SOURCE)
SHARES = torch.rand(12, 1, generator=SOURCE)
CASES = {
    "CrossEntropyLoss": (nn.CrossEntropyLoss(), NUMBERS, SCORES),
    "CrossEntropyLoss, weights and smoothing": (
        nn.CrossEntropyLoss(torch.tensor([1.0, 2.0, 3.0]), label_smoothing=0.1),
        NUMBERS,
        SCORES,
    ),
    "CrossEntropyLoss of shares": (nn.CrossEntropyLoss(), SCORES.softmax(-1), SCORES),
    "NLLLoss": (nn.NLLLoss(), NUMBERS, SCORES.log_softmax(-1)),
    "BCELoss": (nn.BCELoss(), SHARES.round(), SHARES),
    "BCEWithLogitsLoss": (nn.BCEWithLogitsLoss(pos_weight=torch.tensor([2.0])), SHARES.round(), SCORES[:, :1]),
    "KLDivLoss": (nn.KLDivLoss(reduction="batchmean"), SCORES.softmax(-1), SCORES.log_softmax(-1)),
    "SmoothL1Loss, a sum": (nn.SmoothL1Loss(reduction="sum", beta=0.3), SCORES * 0.9, SCORES),
    "a function": (nn.functional.cross_entropy, NUMBERS, SCORES),
    "with arguments": (functools.partial(nn.functional.cross_entropy, label_smoothing=0.2), NUMBERS, SCORES),
    "another": (nn.functional.poisson_nll_loss, SHARES, SCORES[:, :1]),
}


@pytest.mark.parametrize(("loss", "target", "prediction"), CASES.values(), ids=CASES)
def test_they_take_the_prediction_first(loss, target, prediction):
    torch.testing.assert_close(as_loss(loss)(target, prediction), loss(prediction, target))


@pytest.mark.parametrize("labels", [np.int64, np.int32, np.uint8])
def test_a_classifier_learns_with_one(labels):
    lamella.utils.set_random_seed(0)
    x = np.random.default_rng(0).normal(size=(256, 4)).astype("float32")
    y = x[:, :3].argmax(1).astype(labels)
    model = lamella.Sequential([lamella.Input((4,)), lamella.layers.Dense(3)])
    model.compile(lamella.optimizers.Adam(0.05), nn.CrossEntropyLoss(), metrics=["accuracy"])
    model.fit(x, y, epochs=15, verbose=0)
    loss, accuracy = model.evaluate(x, y, batch_size=256, verbose=0)
    assert accuracy > 0.9
    expected = nn.functional.cross_entropy(torch.as_tensor(model.predict(x, verbose=0)), torch.as_tensor(y).long())
    assert loss == pytest.approx(expected.item(), rel=1e-5)


@pytest.mark.parametrize(
    "loss",
    [
        nn.CrossEntropyLoss(torch.tensor([1.0, 2.0, 3.0]), ignore_index=1, label_smoothing=0.1),
        nn.functional.cross_entropy,
        {"scores": nn.MultiMarginLoss(p=2, margin=0.5)},
        [nn.CrossEntropyLoss(reduction="sum")],
    ],
)
def test_a_compiled_model_is_kept(loss, rng, tmp_path):
    inputs = lamella.Input((4,))
    model = lamella.Model(
        inputs,
        {"scores": lamella.layers.Dense(3, name="scores")(inputs)}
        if isinstance(loss, dict)
        else lamella.layers.Dense(3)(inputs),
    )
    model.compile("adam", loss, metrics=[nn.functional.cross_entropy] if callable(loss) else None)
    x, y = rng.normal(size=(32, 4)).astype("float32"), rng.integers(0, 3, 32)
    y = {"scores": y} if isinstance(loss, dict) else y
    model.fit(x, y, verbose=0)
    model.save(tmp_path / "model.keras")
    again = lamella.saving.load_model(tmp_path / "model.keras")
    assert again.evaluate(x, y, verbose=0) == model.evaluate(x, y, verbose=0)
    again.fit(x, y, verbose=0)


def test_one_output_takes_whole_numbers_without_an_axis():
    target, prediction = NUMBERS.clamp(max=1), SCORES[:, :1]
    expected = nn.functional.binary_cross_entropy_with_logits(prediction, target[:, None].float())
    torch.testing.assert_close(as_loss(nn.BCEWithLogitsLoss())(target, prediction), expected)


@pytest.mark.parametrize("loss", [nn.CrossEntropyLoss(), nn.functional.cross_entropy])
def test_weights_of_samples(loss):
    weights = torch.linspace(0, 2, 12)
    expected = (nn.functional.cross_entropy(SCORES, NUMBERS, reduction="none") * weights).mean()
    torch.testing.assert_close(as_loss(loss)(NUMBERS, SCORES, weights), expected)
    assert getattr(loss, "reduction", "mean") == "mean"


def test_optimizers_of_torch_are_told_what_to_be():
    model = lamella.Sequential([lamella.Input((4,)), lamella.layers.Dense(3)])
    with pytest.raises(ArgumentError, match=r"torch\.optim\.Adam .*lamella\.optimizers\.Adam"):
        model.compile(torch.optim.Adam(model.parameters()), "mse")

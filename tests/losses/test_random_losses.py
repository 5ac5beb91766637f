"""Losses with arguments, shapes and weights drawn by chance against real Keras: value and gradient."""

from __future__ import annotations

import zlib

import numpy as np
import pytest
import torch
from loss_cases import inputs

from lamella import losses
from lamella.engine import masking

keras = pytest.importorskip("keras")
from keras.src.backend import set_keras_mask  # noqa: E402

KINDS = {
    "MeanSquaredError": "real",
    "MeanAbsoluteError": "real",
    "MeanAbsolutePercentageError": "real",
    "MeanSquaredLogarithmicError": "positive",
    "Huber": "real",
    "LogCosh": "real",
    "CosineSimilarity": "real",
    "Poisson": "positive",
    "KLDivergence": "probability",
    "Hinge": "signs",
    "SquaredHinge": "signs",
    "CategoricalHinge": "one_hot_logits",
    "BinaryCrossentropy": "binary",
    "BinaryFocalCrossentropy": "binary",
    "CategoricalCrossentropy": "one_hot",
    "CategoricalFocalCrossentropy": "one_hot",
    "SparseCategoricalCrossentropy": "sparse",
    "CategoricalGeneralizedCrossEntropy": "sparse",
}
REDUCTIONS = ["sum_over_batch_size", "mean", "sum", "mean_with_sample_weight", "none", None]
SHAPES = [(5, 3), (2, 3, 4), (2, 2, 3, 3)]
OPTIONS = {
    "Huber": {"delta": [0.3, 2.0]},
    "BinaryCrossentropy": {"label_smoothing": [0.1, 0.3]},
    "BinaryFocalCrossentropy": {
        **{"label_smoothing": [0.1], "gamma": [0.0, 1.0, 3.5], "alpha": [0.1, 0.6]},
        "apply_class_balancing": [True],
    },
    "CategoricalCrossentropy": {"label_smoothing": [0.1, 0.3]},
    "CategoricalFocalCrossentropy": {"label_smoothing": [0.1], "gamma": [0.0, 1.0, 3.5], "alpha": [0.1, 0.6]},
    "SparseCategoricalCrossentropy": {"ignore_class": [0, 1]},
    "CategoricalGeneralizedCrossEntropy": {"q": [0.2, 0.9]},
}
LABELS = ["float32", "int32", "int64", "bool", "uint8"]


def drawn(name, rng):
    """The loss's arguments, the targets, the predictions, the weights (or None) and the mask (or None)."""

    def one_of(options):
        return options[int(rng.integers(len(options)))]

    kwargs = {"reduction": one_of(REDUCTIONS)}
    kwargs |= {key: one_of(values) for key, values in OPTIONS.get(name, {}).items() if rng.random() < 0.4}
    kind, shape = KINDS[name], one_of(SHAPES[:2] if KINDS[name] == "sparse" else SHAPES)  # there Keras fails on 4 axes
    if "Crossentropy" in name and rng.random() < 0.5:
        kwargs["from_logits"], kind = True, f"{kind}_logits"
    y_true, y_pred = inputs(kind, shape, int(rng.integers(1 << 30)))
    if kind.startswith(("binary", "one_hot")):
        y_true = y_true.astype(one_of(LABELS))
    elif kind.startswith("sparse"):
        y_true = y_true.astype(one_of(["int32", "int64", "float32"]))
        single = name == "CategoricalGeneralizedCrossEntropy"  # there Keras broadcasts a last axis of size 1
        y_true = y_true[..., None] if not single and rng.random() < 0.3 else y_true
    y_pred = y_pred.astype(one_of(["float32", "float32", "float16"]))
    weighed = shape[:-1]
    fitting = [(), weighed, (*weighed, 1)] if len(weighed) > 1 else [(), weighed]
    weights = rng.uniform(0, 2, one_of(fitting)).astype(one_of(["float32", "float64", "int32", "bool"]))
    mask = rng.random(weighed) < 0.7 if rng.random() < 0.3 else None
    masked = mask is not None or "ignore_class" in kwargs
    weighted = rng.random() < 0.5 and (weights.ndim or not masked)  # Keras on torch has no mask beside one weight
    return kwargs, y_true, y_pred, weights if weighted else None, mask


def computed(loss, y_true, y_pred, weights, mask, set_mask):
    y_pred = torch.tensor(y_pred, requires_grad=True)
    if mask is not None:
        set_mask(y_pred, torch.tensor(mask))
    value = loss(torch.tensor(y_true), y_pred, None if weights is None else torch.tensor(weights))
    slope = torch.linspace(1, 2, value.numel()).reshape(value.shape)
    return value.detach(), torch.autograd.grad((value * slope).sum(), y_pred)[0]


@pytest.mark.parametrize(
    "seeds", [range(25), pytest.param(range(25, 300), marks=pytest.mark.slow)], ids=["few", "many"]
)
@pytest.mark.parametrize("name", KINDS)
def test_like_keras(name, seeds):
    for seed in seeds:
        kwargs, *given = drawn(name, np.random.default_rng([seed, zlib.crc32(name.encode())]))
        ours = computed(getattr(losses, name)(**kwargs), *given, masking.set_mask)
        theirs = computed(getattr(keras.losses, name)(**kwargs), *given, set_keras_mask)
        tolerance = 3e-3 if given[1].dtype == np.float16 else 1e-4
        for one, other in zip(ours, theirs, strict=True):
            torch.testing.assert_close(
                one, other, rtol=tolerance, atol=tolerance, msg=lambda told, seed=seed: f"{seed}: {told}"
            )

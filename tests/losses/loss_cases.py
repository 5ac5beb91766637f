"""The table of losses and the random inputs that each is tested on."""

from __future__ import annotations

from typing import Any

import numpy as np

# (class name, arguments, kind of input)
CASES: list[tuple[str, dict[str, Any], str]] = [
    ("MeanSquaredError", {}, "real"),
    ("MeanAbsoluteError", {}, "real"),
    ("MeanAbsolutePercentageError", {}, "real"),
    ("MeanSquaredLogarithmicError", {}, "positive"),
    ("Huber", {}, "real"),
    ("Huber", {"delta": 0.3}, "real"),
    ("LogCosh", {}, "real"),
    ("CosineSimilarity", {}, "real"),
    ("CosineSimilarity", {"axis": 1}, "real"),
    ("Poisson", {}, "positive"),
    ("KLDivergence", {}, "probability"),
    ("Hinge", {}, "signs"),
    ("Hinge", {}, "binary_logits"),
    ("SquaredHinge", {}, "signs"),
    ("CategoricalHinge", {}, "one_hot_logits"),
    ("BinaryCrossentropy", {}, "binary"),
    ("BinaryCrossentropy", {"from_logits": True}, "binary_logits"),
    ("BinaryCrossentropy", {"label_smoothing": 0.2, "axis": 1}, "binary"),
    ("BinaryFocalCrossentropy", {}, "binary"),
    ("BinaryFocalCrossentropy", {"from_logits": True, "gamma": 1.5, "label_smoothing": 0.1}, "binary_logits"),
    ("BinaryFocalCrossentropy", {"apply_class_balancing": True, "alpha": 0.3}, "binary"),
    ("CategoricalCrossentropy", {}, "one_hot"),
    ("CategoricalCrossentropy", {"from_logits": True}, "one_hot_logits"),
    ("CategoricalCrossentropy", {"label_smoothing": 0.1}, "one_hot"),
    ("CategoricalCrossentropy", {"from_logits": True, "label_smoothing": 0.1}, "one_hot_logits"),
    ("CategoricalCrossentropy", {"axis": 1}, "probability"),
    ("CategoricalCrossentropy", {"from_logits": True, "axis": 1}, "real_probability"),
    ("CategoricalFocalCrossentropy", {}, "one_hot"),
    ("CategoricalFocalCrossentropy", {"from_logits": True, "gamma": 3.0}, "one_hot_logits"),
    ("CategoricalFocalCrossentropy", {"alpha": [0.1, 0.2, 0.3, 0.4], "label_smoothing": 0.1}, "one_hot"),
    ("SparseCategoricalCrossentropy", {}, "sparse"),
    ("SparseCategoricalCrossentropy", {"from_logits": True}, "sparse_logits"),
    ("SparseCategoricalCrossentropy", {"ignore_class": 2}, "sparse"),
    ("SparseCategoricalCrossentropy", {"from_logits": True, "ignore_class": -1}, "sparse_missing"),
    ("SparseCategoricalCrossentropy", {"axis": 1}, "sparse_first"),
    ("SparseCategoricalCrossentropy", {"from_logits": True, "axis": 1}, "sparse_first"),
    ("CategoricalGeneralizedCrossEntropy", {}, "sparse"),
    ("CategoricalGeneralizedCrossEntropy", {"q": 0.8}, "sparse"),
    ("Dice", {}, "binary"),
    ("Dice", {"axis": -1}, "binary"),
    ("Tversky", {}, "binary"),
    ("Tversky", {"alpha": 0.2, "beta": 0.9, "axis": -1}, "binary"),
    ("Circle", {}, "embedding"),
    ("Circle", {"gamma": 16.0, "margin": 0.2, "remove_diagonal": False}, "embedding"),
    ("CTC", {}, "ctc"),
]
IDS = [f"{name}-{'-'.join(f'{k}={v}' for k, v in kwargs.items())}-{kind}" for name, kwargs, kind in CASES]
SEQUENCES = [(case, name) for case, name in zip(CASES, IDS, strict=True) if case[2] not in ("embedding", "ctc")]


def softmax(x: np.ndarray, axis: int = -1) -> np.ndarray:
    e = np.exp(x - x.max(axis, keepdims=True))
    return e / e.sum(axis, keepdims=True)


def inputs(kind: str, shape: tuple[int, ...] = (6, 4), seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Targets and predictions of a kind; class numbers have the shape without the class axis."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(size=shape).astype("float32")
    labels = rng.integers(0, shape[-1], shape[:-1])
    one_hot = np.eye(shape[-1], dtype="float32")[labels]
    bits = rng.integers(0, 2, shape).astype("float32")
    real = rng.normal(size=shape).astype("float32")
    if kind == "ctc":
        return (
            np.array([[1, 2, 0], [3, 0, 0], [1, 1, 2]]),
            rng.normal(size=(3, 7, 4)).astype("float32"),
        )
    if kind == "embedding":
        return rng.integers(0, 3, shape[0]), real / np.linalg.norm(real, axis=-1, keepdims=True)
    if kind == "real_probability":
        return softmax(real, 1), logits
    if kind == "sparse_missing":
        labels = np.where(rng.random(labels.shape) < 0.4, -1, labels)
        return labels, logits
    if kind == "sparse_first":
        first = np.moveaxis(logits, -1, 1)
        return labels, softmax(first, 1)
    return {
        "real": (real, logits),
        "positive": (np.abs(real).round(1), np.abs(logits) + 0.1),
        "probability": (softmax(real), softmax(logits)),
        "binary": (bits, 1 / (1 + np.exp(-logits))),
        "binary_logits": (bits, logits),
        "signs": (2 * bits - 1, logits),
        "one_hot": (one_hot, softmax(logits) * 2.0),  # twice: predictions are scaled to sum to one
        "one_hot_logits": (one_hot, logits),
        "sparse": (labels, softmax(logits) * 0.5),
        "sparse_logits": (labels, logits),
    }[kind]

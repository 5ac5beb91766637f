"""Metrics with arguments, shapes and weights drawn by chance against real Keras, batch after batch."""

from __future__ import annotations

import zlib

import numpy as np
import pytest
import torch

from lamella import metrics

keras = pytest.importorskip("keras")

THRESHOLDS = [None, 0.3, [0.5], [0.1, 0.5, 0.9], [0.0, 1.0]]
AVERAGES = [None, "micro", "macro", "weighted"]
CLASSES = 4
COUNTS = [1, 2, 5, 50, 200]
FEW_OF = {"multi_label": [True], "thresholds": [[0.5], [0.8, 0.2]], "num_thresholds": [2, 3, 10, 200]}
CONFUSION = {"thresholds": THRESHOLDS}
PRECISION = {"thresholds": THRESHOLDS, "top_k": [1, 2], "class_id": [0, CLASSES - 1]}
AT = {"num_thresholds": COUNTS, "class_id": [0, CLASSES - 1]}
IOU = {"ignore_class": [0, -1], "dtype": ["float32"]}
# What is drawn of the arguments (each, but for those that are needed, in half of the cases), and the kind of the batch
METRICS = {
    **{f"{truth}{sign}": (CONFUSION, "truths") for truth in ("True", "False") for sign in ("Positives", "Negatives")},
    "Precision": (PRECISION, "truths"),
    "Recall": (PRECISION, "truths"),
    "PrecisionAtRecall": ({"recall": [0.2, 0.5, 0.8], **AT}, "truths"),
    "RecallAtPrecision": ({"precision": [0.2, 0.5, 0.8], **AT}, "truths"),
    "SensitivityAtSpecificity": ({"specificity": [0.2, 0.5, 0.8], **AT}, "truths"),
    "SpecificityAtSensitivity": ({"sensitivity": [0.2, 0.5, 0.8], **AT}, "truths"),
    "AUC": (
        {**FEW_OF, "curve": ["ROC", "PR", "PRGAIN"], "summation_method": ["interpolation", "minoring", "majoring"]},
        "truths",
    ),
    "BinaryAccuracy": ({"threshold": [0.3, 0.9]}, "truths"),
    "F1Score": ({"average": AVERAGES, "threshold": [0.3, 0.9]}, "one_hot"),
    "FBetaScore": ({"average": AVERAGES, "threshold": [0.3, 0.9], "beta": [0.5, 2.0]}, "one_hot"),
    "CategoricalAccuracy": ({}, "one_hot"),
    "TopKCategoricalAccuracy": ({"k": [1, 2, 3]}, "one_hot"),
    "CategoricalCrossentropy": ({"from_logits": [True], "label_smoothing": [0.1]}, "one_hot"),
    "BinaryCrossentropy": ({"from_logits": [True], "label_smoothing": [0.1]}, "truths"),
    "SparseCategoricalAccuracy": ({}, "sparse"),
    "SparseTopKCategoricalAccuracy": ({"k": [1, 2, 3]}, "sparse"),
    "SparseCategoricalCrossentropy": ({"from_logits": [True], "ignore_class": [0, 1]}, "sparse"),
    "R2Score": ({"class_aggregation": [None, "uniform_average", "variance_weighted_average"]}, "numbers"),
    "CosineSimilarity": ({"axis": [0, 1]}, "numbers"),
    "PearsonCorrelation": ({}, "numbers"),
    "ConcordanceCorrelation": ({}, "numbers"),
    "RootMeanSquaredError": ({}, "numbers"),
    "MeanSquaredError": ({}, "numbers"),
    "LogCoshError": ({}, "numbers"),
    "IoU": ({"num_classes": [CLASSES], "target_class_ids": [[0], [1, 3]], **IOU}, "classes"),
    "MeanIoU": ({"num_classes": [CLASSES], **IOU}, "classes"),
    "OneHotIoU": ({"num_classes": [CLASSES], "target_class_ids": [[0], [1, 3]], **IOU}, "one_hot"),
    "OneHotMeanIoU": ({"num_classes": [CLASSES], **IOU}, "one_hot"),
}
NEEDED = {"num_classes", "target_class_ids", "dtype", "recall", "precision", "specificity", "sensitivity", "k"}
LABELS = ["float32", "int32", "int64", "bool", "uint8"]


def batch(kind, rng):
    scores = rng.uniform(size=(9, CLASSES)).astype("float32")
    if kind == "truths" and rng.random() < 0.3:
        scores = np.round(scores, 1)  # on the thresholds themselves
    numbers = rng.integers(0, CLASSES, 9)
    label = LABELS[int(rng.integers(len(LABELS)))]
    if kind == "truths":
        return rng.integers(0, 2, scores.shape).astype(label), scores
    if kind == "one_hot":
        return np.eye(CLASSES)[numbers].astype(label), scores / scores.sum(1, keepdims=True)
    if kind == "sparse":
        numbers = numbers[:, None] if rng.random() < 0.3 else numbers
        return numbers.astype(["int32", "int64", "float32"][int(rng.integers(3))]), scores / scores.sum(
            1, keepdims=True
        )
    if kind == "classes":
        return numbers.astype("int32"), rng.integers(0, CLASSES, 9).astype("int32")
    return rng.normal(size=scores.shape).astype("float32"), rng.normal(size=scores.shape).astype("float32")


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize(
    "seeds", [range(15), pytest.param(range(15, 150), marks=pytest.mark.slow)], ids=["few", "many"]
)
@pytest.mark.parametrize("name", METRICS)
def test_like_keras(name, seeds):
    options, kind = METRICS[name]
    for seed in seeds:
        rng = np.random.default_rng([seed, zlib.crc32(name.encode())])
        chosen = {key: values[int(rng.integers(len(values)))] for key, values in options.items()}
        arguments = {key: value for key, value in chosen.items() if key in NEEDED or rng.random() < 0.5}
        ours, theirs = getattr(metrics, name)(**arguments), getattr(keras.metrics, name)(**arguments)
        ours = type(ours).from_config(ours.get_config())
        for step in range(4):
            y, p = batch(kind, rng)
            weights = rng.uniform(0, 2, 9).astype("float32") if rng.random() < 0.5 else None
            weights = None if arguments.get("axis") == 0 else weights
            if step == 3:
                ours.reset_state()
                theirs.reset_state()
            ours.update_state(torch.tensor(y), torch.tensor(p), weights)
            theirs.update_state(y, p, weights)
            found, expected = ours.result(), keras.ops.convert_to_numpy(theirs.result())
            np.testing.assert_allclose(found, expected, rtol=2e-4, atol=2e-5, err_msg=f"seed {seed}, {arguments}")

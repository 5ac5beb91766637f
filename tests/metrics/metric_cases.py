"""Every metric, its arguments, and batches that fit it."""

import numpy as np


def numbers(rng):
    return rng.normal(size=(9, 4)).astype("float32"), rng.normal(size=(9, 4)).astype("float32")


def one_number(rng):
    return rng.normal(size=(9, 1)).astype("float32"), rng.normal(size=(9, 1)).astype("float32")


def sequences(rng):
    return rng.normal(size=(4, 6, 3)).astype("float32"), rng.normal(size=(4, 6, 3)).astype("float32")


def positive(rng):
    return rng.uniform(0.1, 2, (9, 4)).astype("float32"), rng.uniform(0.1, 2, (9, 4)).astype("float32")


def binary(rng):
    return rng.integers(0, 2, (30, 1)).astype("float32"), rng.uniform(size=(30, 1)).astype("float32")


def flat(rng):
    return tuple(each[:, 0] for each in binary(rng))


def column_of_targets(rng):
    y, p = binary(rng)
    return y, p[:, 0]


def logits(rng):
    return binary(rng)[0], rng.normal(size=(30, 1)).astype("float32")


def labels(rng):
    return rng.integers(0, 2, (15, 3)).astype("float32"), rng.uniform(size=(15, 3)).astype("float32")


def one_hot(rng):
    p = rng.uniform(size=(12, 4)).astype("float32")
    return np.eye(4, dtype="float32")[rng.integers(0, 4, 12)], p / p.sum(1, keepdims=True)


def sparse(rng):
    y, p = one_hot(rng)
    return y.argmax(1), p


def sparse_column(rng):
    y, p = sparse(rng)
    return y[:, None], p


def sparse_steps(rng):
    p = rng.uniform(size=(4, 6, 5)).astype("float32")
    return rng.integers(0, 5, (4, 6)), p / p.sum(-1, keepdims=True)


def ranked(rng):
    return rng.integers(0, 6, 9), np.stack([rng.permutation(6) for _ in range(9)])


def classes(rng):
    return rng.integers(0, 3, (9,)), rng.integers(0, 3, (9,))


def images(rng):
    return rng.integers(0, 3, (2, 4, 5)), rng.integers(0, 3, (2, 4, 5))


def scores_of_images(rng):
    return rng.integers(-1, 3, (2, 4, 5)), rng.uniform(size=(2, 4, 5, 3)).astype("float32")


CASES = [
    ("Accuracy", {}, classes),
    ("BinaryAccuracy", {}, flat),
    ("BinaryAccuracy", {"threshold": 0.3}, binary),
    ("BinaryAccuracy", {}, labels),
    ("BinaryAccuracy", {}, column_of_targets),
    ("CategoricalAccuracy", {}, one_hot),
    ("SparseCategoricalAccuracy", {}, sparse),
    ("SparseCategoricalAccuracy", {}, sparse_column),
    ("SparseCategoricalAccuracy", {}, sparse_steps),
    ("TopKCategoricalAccuracy", {"k": 2}, one_hot),
    ("SparseTopKCategoricalAccuracy", {"k": 2}, sparse),
    ("SparseTopKCategoricalAccuracy", {"k": 2, "from_sorted_ids": True}, ranked),
    ("MeanSquaredError", {}, numbers),
    ("MeanSquaredError", {}, sequences),
    ("RootMeanSquaredError", {}, numbers),
    ("RootMeanSquaredError", {}, sequences),
    ("MeanAbsoluteError", {}, numbers),
    ("MeanAbsoluteError", {}, column_of_targets),
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
    ("BinaryCrossentropy", {"from_logits": True}, logits),
    ("CategoricalCrossentropy", {"from_logits": True}, one_hot),
    ("CategoricalCrossentropy", {"label_smoothing": 0.2}, one_hot),
    ("SparseCategoricalCrossentropy", {}, sparse),
    ("SparseCategoricalCrossentropy", {"ignore_class": 1}, sparse),
    ("PearsonCorrelation", {}, numbers),
    ("ConcordanceCorrelation", {}, numbers),
    ("TruePositives", {}, binary),
    ("TruePositives", {"thresholds": [0.0, 0.25, 0.5, 0.75, 1.0]}, flat),
    ("FalsePositives", {"thresholds": [0.2, 0.7]}, labels),
    ("TrueNegatives", {"thresholds": [0.7, 0.2, 0.9, 0.1]}, binary),
    ("FalseNegatives", {}, labels),
    ("Precision", {}, labels),
    ("Precision", {}, flat),
    ("Precision", {}, column_of_targets),
    ("Precision", {"thresholds": [0.1, 0.5, 0.9]}, labels),
    ("Precision", {"top_k": 2}, one_hot),
    ("Recall", {"class_id": 1}, labels),
    ("Recall", {"top_k": 2, "class_id": 2}, one_hot),
    ("Recall", {"thresholds": [0.3, 0.6], "class_id": 0}, labels),
    ("SensitivityAtSpecificity", {"specificity": 0.4}, binary),
    ("SensitivityAtSpecificity", {"specificity": 0.4, "class_id": 1}, labels),
    ("SpecificityAtSensitivity", {"sensitivity": 0.4, "num_thresholds": 20}, binary),
    ("PrecisionAtRecall", {"recall": 0.4}, binary),
    ("RecallAtPrecision", {"precision": 0.4, "num_thresholds": 1}, binary),
    ("AUC", {}, binary),
    ("AUC", {}, logits),
    ("AUC", {"num_thresholds": 2}, flat),
    ("AUC", {"curve": "PR", "num_thresholds": 30}, binary),
    ("AUC", {"curve": "PR", "summation_method": "minoring"}, labels),
    ("AUC", {"summation_method": "majoring", "thresholds": [0.3, 0.35, 0.8]}, labels),
    ("AUC", {"thresholds": [0.8, 0.2, 0.4, 0.6]}, labels),
    ("AUC", {"curve": "PRGAIN"}, binary),
    ("AUC", {"multi_label": True, "num_labels": 3}, labels),
    ("AUC", {"multi_label": True, "label_weights": [1.0, 2.0, 0.5]}, labels),
    ("AUC", {"label_weights": [1.0, 5.0, 0.1]}, labels),
    ("AUC", {"label_weights": [1.0, 5.0, 0.1], "thresholds": [0.1, 0.2]}, labels),
    ("AUC", {"multi_label": True, "curve": "PR"}, labels),
    ("AUC", {"from_logits": True}, logits),
    ("FBetaScore", {"beta": 2.0, "threshold": 0.5}, labels),
    ("FBetaScore", {"average": "weighted"}, one_hot),
    ("F1Score", {}, one_hot),
    ("F1Score", {"average": "micro"}, one_hot),
    ("F1Score", {"average": "macro"}, one_hot),
    ("IoU", {"num_classes": 3, "target_class_ids": [0, 2]}, classes),
    ("IoU", {"num_classes": 3, "target_class_ids": [1], "dtype": "float32"}, images),
    ("IoU", {"num_classes": 3, "target_class_ids": [1], "sparse_y_pred": False}, scores_of_images),
    ("MeanIoU", {"num_classes": 3, "ignore_class": 1}, classes),
    ("MeanIoU", {"num_classes": 5}, images),
    ("BinaryIoU", {"threshold": 0.4}, binary),
    ("BinaryIoU", {"target_class_ids": [1], "dtype": "float32"}, binary),
    ("OneHotIoU", {"num_classes": 4, "target_class_ids": [1, 2]}, one_hot),
    ("OneHotMeanIoU", {"num_classes": 4}, one_hot),
    ("R2Score", {}, numbers),
    ("R2Score", {"class_aggregation": None}, numbers),
    ("R2Score", {"class_aggregation": "variance_weighted_average"}, numbers),
    ("R2Score", {"num_regressors": 2}, one_number),
]
IDS = [f"{name}-{make.__name__}-{'-'.join(arguments) or 'plain'}" for name, arguments, make in CASES]


def takes_fractional_weights(name, arguments):
    """Keras's IoUs count in whole numbers, and cut weights off, unless given a float type."""
    return "IoU" not in name or "dtype" in arguments

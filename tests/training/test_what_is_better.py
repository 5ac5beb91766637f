"""`mode="auto"`: whether a callback looks for larger or smaller values of a metric."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest

import lamella

METRICS = {
    "mean_io_u": ("MeanIoU", {"num_classes": 2}),
    "p": ("Precision", {}),
    "cosine_similarity": ("CosineSimilarity", {}),
    "fbeta_score": ("FBetaScore", {"average": "macro"}),
    "pearson_correlation": ("PearsonCorrelation", {}),
    "mean_absolute_error": ("MeanAbsoluteError", {}),
    "h": ("Hinge", {}),
}


def says_larger(library: Any, name: str) -> bool:
    kind, arguments = METRICS[name]
    given = {"name": name} if len(name) == 1 else {}
    model = library.Sequential([library.Input((2,)), library.layers.Dense(2, "sigmoid")])
    model.compile("sgd", "mse", metrics=[getattr(library.metrics, kind)(**arguments, **given)])
    x = np.random.default_rng(0).random((8, 2)).astype("float32")
    stopping = library.callbacks.EarlyStopping(f"val_{name}", patience=5)
    model.fit(x, x.round(), validation_data=(x, x.round()), epochs=1, verbose=0, callbacks=[stopping])
    return bool(stopping.larger_is_better() if library is lamella else stopping.monitor_op(1.0, 0.0))


@pytest.mark.parametrize("name", METRICS)
def test_auto_is_as_in_keras(name: str) -> None:
    assert says_larger(lamella, name) == says_larger(keras, name)


def test_the_loss_of_an_output_that_is_called_after_a_metric_is_to_fall() -> None:
    stopping = lamella.callbacks.EarlyStopping("val_accuracy_loss")
    assert not stopping.larger_is_better()


def test_the_first_value_is_better_than_none() -> None:
    checkpoint = lamella.callbacks.ModelCheckpoint("m.keras", monitor="val_p", save_best_only=True)
    assert checkpoint.improved(0.3, checkpoint.worst()) and not checkpoint.improved(float("nan"), checkpoint.worst())

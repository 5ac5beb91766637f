"""Metrics of torchmetrics in `compile`: against their own numbers, resumed, and of several processes."""

import copy

import numpy as np
import processes
import pytest
import torch

import lamella
from lamella import distribution, layers
from lamella.errors import ArgumentError
from lamella.metrics.of_torch import MetricOfTorch

torchmetrics = pytest.importorskip("torchmetrics")

CLASSES = {"task": "multiclass", "num_classes": 3}


def classes(samples=50, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(samples, 4)).astype("f"), rng.integers(0, 3, samples)


def classifier(*metrics, loss="sparse_categorical_crossentropy", **arguments):
    lamella.utils.set_random_seed(0)
    model = lamella.Sequential([lamella.Input((4,)), layers.Dense(3, "softmax")])
    model.compile(lamella.optimizers.SGD(0.1), loss, metrics=list(metrics), **arguments)
    return model


def collection():
    return torchmetrics.MetricCollection(
        [torchmetrics.Accuracy(**CLASSES), torchmetrics.Precision(**CLASSES), torchmetrics.AUROC(**CLASSES)]
    )


@pytest.mark.parametrize("labels", ["int64", "int32", "float32", "column", "one-hot"])
def test_values_of_classifiers(labels):
    """The prediction comes first, and the classes are those that torchmetrics counts."""
    x, y = classes()
    given = {"column": y[:, None], "one-hot": np.eye(3, dtype="f")[y]}.get(labels)
    given = y.astype(labels) if given is None else given
    auroc = torchmetrics.AUROC(**CLASSES)
    loss = "categorical_crossentropy" if labels == "one-hot" else "sparse_categorical_crossentropy"
    model = classifier("accuracy", torchmetrics.Accuracy(**CLASSES, average="micro"), auroc, loss=loss)
    found = model.evaluate(x, given, batch_size=16, verbose=0, return_dict=True)
    predicted = torch.from_numpy(model.predict(x, verbose=0))
    expected = torchmetrics.functional.auroc(predicted, torch.from_numpy(y), **CLASSES)
    assert found["multiclass_accuracy"] == pytest.approx(found["accuracy"])
    assert found["multiclass_auroc"] == pytest.approx(expected.item())
    assert auroc.compute() == pytest.approx(expected.item())  # the user's own object


def test_a_collection_and_training_history():
    x, y = classes()
    model = classifier(collection())
    history = model.fit(x, y, batch_size=16, epochs=2, validation_data=(x, y), verbose=0).history
    found = model.evaluate(x, y, verbose=0, return_dict=True)
    predicted, target = torch.from_numpy(model.predict(x, verbose=0)), torch.from_numpy(y)
    expected = {name: float(value) for name, value in collection()(predicted, target).items()}
    assert {name: found[name] for name in expected} == pytest.approx(expected)
    assert {name: history[f"val_{name}"][-1] for name in expected} == pytest.approx(expected)


@pytest.mark.parametrize("targets", [(40,), (40, 1)])
def test_values_of_regression(targets):
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(40, 2)).astype("f"), rng.normal(size=targets).astype("f")
    model = lamella.Sequential([lamella.Input((2,)), layers.Dense(1)])
    of_torch = [torchmetrics.MeanAbsoluteError(), torchmetrics.R2Score(), torchmetrics.PearsonCorrCoef()]
    functional = torchmetrics.functional.mean_absolute_percentage_error
    model.compile("sgd", "mse", metrics=["mae", "r2_score", *of_torch, functional])
    found = model.evaluate(x, y, batch_size=20, verbose=0, return_dict=True)
    predicted = model.predict(x, verbose=0)[:, 0]
    assert found["mean_absolute_error"] == pytest.approx(found["mae"])
    assert found["r2_score_1"] == pytest.approx(found["r2_score"], abs=1e-5)
    assert found["pearson_corr_coef"] == pytest.approx(np.corrcoef(predicted, y.ravel())[0, 1], abs=1e-5)
    percentage = np.abs((predicted - y.ravel()) / y.ravel()).mean()  # not of the predictions
    assert found["mean_absolute_percentage_error"] == pytest.approx(percentage, rel=1e-4)


def test_a_metric_with_a_network_of_its_own_gets_targets_as_they_are():
    class Distance(torchmetrics.Metric):  # as those that compare pictures by what a network makes of them
        def __init__(self):
            super().__init__()
            self.network = torch.nn.Identity()
            self.add_state("seen", torch.tensor(0.0), "sum")

        def update(self, preds, target):
            assert preds.shape == target.shape
            assert target.dtype is torch.float32
            self.seen = self.seen + (self.network(preds) - self.network(target)).abs().sum()

        def compute(self):
            return self.seen

    x = np.ones((4, 3), "f")
    model = lamella.Sequential([lamella.Input((3,)), layers.Dense(3, kernel_initializer="zeros")])
    model.compile("sgd", "mse", metrics=[Distance()])
    assert model.evaluate(x, x, verbose=0, return_dict=True)["distance"] == 12


def test_classes_of_pixels_stand_last_as_in_lamella():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(6, 5, 4, 2)).astype("f"), rng.integers(0, 3, (6, 5, 4))
    model = lamella.Sequential([lamella.Input((5, 4, 2)), layers.Conv2D(3, 1)])
    loss = lamella.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("sgd", loss, metrics=["accuracy", torchmetrics.Accuracy(**CLASSES, average="micro")])
    found = model.evaluate(x, y, verbose=0, return_dict=True)
    assert found["multiclass_accuracy"] == pytest.approx(found["accuracy"])


def test_masked_steps_are_left_out():
    rng = np.random.default_rng(0)
    x, y = rng.integers(1, 9, (12, 7)), rng.integers(0, 3, (12, 7))
    x[:, 4:] = 0
    model = lamella.Sequential([layers.Embedding(9, 4, mask_zero=True), layers.Dense(3, "softmax")])
    metrics = ["accuracy", torchmetrics.Accuracy(**CLASSES, average="micro")]
    model.compile("sgd", "sparse_categorical_crossentropy", metrics=metrics)
    found = model.evaluate(x, y, verbose=0, return_dict=True)
    hits = model.predict(x, verbose=0)[:, :4].argmax(-1) == y[:, :4]
    assert found["multiclass_accuracy"] == pytest.approx(hits.mean()) == pytest.approx(found["accuracy"])


def test_what_is_better_is_known():
    x, y = classes()
    model = classifier(torchmetrics.Accuracy(**CLASSES))
    stopping = lamella.callbacks.EarlyStopping("multiclass_accuracy", min_delta=1.0)
    assert len(model.fit(x, y, epochs=5, verbose=0, callbacks=[stopping]).history["loss"]) == 2


def test_weights_of_samples_are_refused():
    x, y = classes()
    model = classifier()
    model.compile("sgd", "sparse_categorical_crossentropy", weighted_metrics=[torchmetrics.Accuracy(**CLASSES)])
    with pytest.raises(ArgumentError, match="takes no sample weights"):
        model.fit(x, y, sample_weight=np.ones(50), verbose=0)
    with pytest.raises(ArgumentError, match="stateless"):
        MetricOfTorch(torchmetrics.Accuracy(**CLASSES)).stateless_update_state([], y, y)


def test_a_model_is_saved_without_it_and_says_so(tmp_path):
    x, y = classes()
    model = classifier("accuracy", torchmetrics.Accuracy(**CLASSES))
    model.fit(x, y, verbose=0)
    with pytest.warns(UserWarning, match="MulticlassAccuracy.*compile\\(\\) again"):
        model.save(tmp_path / "m.keras")
    again = lamella.models.load_model(tmp_path / "m.keras")
    found = model.evaluate(x, y, verbose=0, return_dict=True)
    assert again.evaluate(x, y, verbose=0, return_dict=True) == {name: found[name] for name in ("accuracy", "loss")}


def test_a_copy_has_it():
    x, y = classes()
    model = classifier(torchmetrics.Accuracy(**CLASSES))
    model.fit(x, y, verbose=0)
    found = copy.deepcopy(model).evaluate(x, y, verbose=0, return_dict=True)
    assert found == model.evaluate(x, y, verbose=0, return_dict=True)
    assert "multiclass_accuracy" in found


class Killed(Exception):
    pass


class Kill(lamella.callbacks.Callback):
    def on_train_batch_end(self, batch, logs=None):
        if batch == 5:
            raise Killed


def test_a_resumed_epoch_counts_what_came_before(tmp_path):
    x, y = classes(160)
    auroc = torchmetrics.AUROC(**CLASSES)  # it keeps every prediction, in lists that grow
    whole = classifier(collection(), torchmetrics.Accuracy(**CLASSES), auroc).fit(x, y, 16, verbose=0).history
    for callbacks in ([Kill()], []):
        model = classifier(collection(), torchmetrics.Accuracy(**CLASSES), torchmetrics.AUROC(**CLASSES))
        backup = lamella.callbacks.BackupAndRestore(tmp_path, save_freq=2)
        try:
            history = model.fit(x, y, 16, verbose=0, callbacks=[backup, *callbacks]).history
        except Killed:
            assert callbacks
    assert history == whole


def evaluate_in_parts(file):
    distribution.set_distribution(distribution.DataParallel(timeout=60))
    x, y = classes(53)
    model = classifier(collection(), torchmetrics.Accuracy(**CLASSES), torchmetrics.AUROC(**CLASSES))
    history = model.fit(x, y, batch_size=16, epochs=2, shuffle=False, verbose=2).history
    if distribution.get_distribution().rank == 0:
        torch.save(history, file)


@processes.needed
def test_processes_gather_what_they_counted(tmp_path):
    x, y = classes(53)
    model = classifier(collection(), torchmetrics.Accuracy(**CLASSES), torchmetrics.AUROC(**CLASSES))
    alone = model.fit(x, y, batch_size=16, epochs=2, shuffle=False, verbose=0).history
    assert processes.run(2, evaluate_in_parts, tmp_path / "history.pt") == [0, 0]
    found = torch.load(tmp_path / "history.pt")
    assert found.keys() == alone.keys()
    for name, values in alone.items():
        assert found[name] == pytest.approx(values, abs=1e-5), name

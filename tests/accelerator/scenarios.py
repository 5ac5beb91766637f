"""What people do with Lamella where there is a GPU, on an emulated one. `tests/test_accelerator.py` runs this file."""

import threading

import numpy as np
import pytest
import torch

import lamella
from lamella import layers, ops
from lamella.data.plain_values import random_state, set_random_state
from lamella.engine.device import default_device
from lamella.language import GPT
from lamella.vision import YOLO, FasterRCNN

X = np.random.default_rng(0).random((40, 6)).astype("float32")
Y = (X.sum(1) > 3).astype("int64")


def is_there(tensor):
    return tensor.device.type == "emulated"


def classifier(*inner):
    model = lamella.Sequential([layers.Input((6,)), *inner, layers.Dense(2, activation="softmax")])
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def test_it_is_the_default():
    assert default_device() == torch.device("emulated", 0)
    assert all(map(is_there, classifier(layers.Dense(4)).weights))
    with lamella.device("cpu"):
        assert not any(map(is_there, classifier(layers.Dense(4)).weights))


def test_models_train_and_are_saved(tmp_path):
    model = classifier(layers.Normalization(mean=0.5, variance=0.1), layers.Dense(8), layers.Dropout(0.1))
    history = model.fit(X, Y, epochs=3, validation_split=0.25, verbose=0)
    assert np.isfinite(history.history["val_loss"]).all()
    model.save(tmp_path / "model.keras")
    again = lamella.models.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(again.predict(X, verbose=0), model.predict(X, verbose=0), atol=1e-6)
    assert again.evaluate(X, Y, verbose=0) == pytest.approx(model.evaluate(X, Y, verbose=0), rel=1e-5)


@pytest.mark.parametrize("start", [torch.from_numpy, np.asarray])
def test_called_by_hand(start):
    model = classifier(layers.Dense(8, activation="relu"))
    loss = model.loss if callable(model.loss) else lamella.losses.get(model.loss)
    found = model(start(X))
    assert is_there(found)
    assert is_there(loss(torch.from_numpy(Y), found))
    assert is_there(lamella.losses.SparseCategoricalCrossentropy()(torch.from_numpy(Y), found))


@pytest.mark.parametrize(
    "name",
    """accuracy binary_accuracy sparse_categorical_accuracy sparse_top_k_categorical_accuracy mse
    mae cosine_similarity auc precision recall f1_score binary_io_u true_positives r2_score binary_crossentropy
    sensitivity_at_specificity root_mean_squared_error poisson""".split(),
)
def test_metrics_by_hand(name):
    kinds = {"f1_score": "F1Score", "r2_score": "R2Score", "binary_io_u": "BinaryIoU", "auc": "AUC"}
    arguments = {"sensitivity_at_specificity": [0.5]}.get(name, [])
    metric = lamella.metrics.get(name) if name in ("mse", "mae", "accuracy") else None
    if callable(metric) and not isinstance(metric, lamella.metrics.Metric):
        metric = lamella.metrics.MeanMetricWrapper(metric)
    metric = metric or getattr(lamella.metrics, kinds.get(name, name.title().replace("_", "")))(*arguments)
    there = ops.convert_to_tensor(X[:, :2])
    truth = torch.from_numpy(Y if "sparse" in name else np.eye(2, dtype="float32")[Y])
    metric.update_state(truth, there)
    metric.update_state(truth, there, sample_weight=torch.ones(len(Y)))
    assert np.isfinite(np.asarray(metric.result())).all()


def test_masks_come_along():
    embed = layers.Embedding(5, 4, mask_zero=True)
    tokens = torch.tensor([[1, 2, 0], [3, 0, 0]])
    found = layers.LSTM(3)(embed(tokens))
    with lamella.device("cpu"):
        twin, lstm = layers.Embedding(5, 4, mask_zero=True), layers.LSTM(3)
        lstm(twin(tokens))
    assert is_there(found) and found.shape == (2, 3)
    attention = layers.MultiHeadAttention(2, 4)
    assert is_there(attention(embed(tokens), embed(tokens), use_causal_mask=True))


def test_what_a_layer_takes_up_goes_with_it():
    class Own(layers.Layer):
        def __init__(self):
            super().__init__()
            self.linear = torch.nn.Linear(6, 4)
            self.several = [torch.nn.Linear(4, 4), torch.nn.BatchNorm1d(4)]
            self.factor = torch.nn.Parameter(torch.ones(1))
            self.register_buffer("shift", torch.ones(4))

        def call(self, x):
            for each in self.several:
                x = each(self.linear(x) if each is self.several[0] else x)
            return x * self.factor + self.shift

    layer = Own()
    assert all(is_there(each) for each in [*layer.parameters(), *layer.buffers()])
    model = classifier(layer)
    model.fit(X, Y, epochs=1, verbose=0)


def test_ops_bring_their_operands_together():
    here, there = torch.arange(3.0), ops.ones(3)
    assert is_there(there) and is_there(ops.add(here, there)) and is_there(ops.stack([here, there]))
    assert is_there(ops.concatenate([there, np.zeros(2, "float32")])) and is_there(ops.convert_to_tensor([1, 2]))
    assert is_there(ops.convert_to_tensor([ops.sum(there), 1.0]))
    assert not is_there(ops.add(here, np.ones(3, "float32")))  # the CPU's tensors stay there among themselves
    assert ops.where(here > 0, here, 0.0).tolist() == [0.0, 1.0, 2.0]
    batch = ops.expand_dims(2, -1)  # of the tutorial of a small GPT
    mask = ops.tile(ops.ones((1, 2, 2)), ops.concatenate([batch, ops.array([1, 1], dtype="int32")], 0))
    assert is_there(mask) and mask.shape == (2, 2, 2)


def test_chance_goes_on_where_it_was():
    ones = ops.ones((4, 50))
    before = random_state()
    first = layers.Dropout(0.5)(ones, training=True)
    again = layers.Dropout(0.5)(ones, training=True)
    set_random_state(before)
    assert torch.equal(layers.Dropout(0.5)(ones, training=True), first) and not torch.equal(first, again)


def test_threads_choose_for_themselves():
    """A thread that prepares data on the CPU does not take the weights made in another there."""
    ready, done = threading.Event(), threading.Event()

    def prepare():
        with lamella.device("cpu"):
            ready.set()
            done.wait(10)

    other = threading.Thread(target=prepare)
    other.start()
    ready.wait(10)
    try:
        assert is_there(layers.Dense(2)(torch.ones(1, 3))) and is_there(ops.zeros(2))
    finally:
        done.set()
        other.join()


def test_what_is_compiled_is_one_graph():
    class Makes(layers.Layer):
        def call(self, x):
            return ops.concatenate([x, ops.zeros((2, 1))], -1) + ops.cast(ops.arange(7), "float32")

    layer, x = Makes(), ops.convert_to_tensor(X[:2])
    expected = layer(x)
    torch.testing.assert_close(torch.compile(layer, backend="eager", fullgraph=True)(x), expected)


def test_arrays_in_a_graph(tmp_path):
    inputs = lamella.Input((6,))
    model = lamella.Model(inputs, layers.Dense(2)((inputs - X.mean(0)) / torch.from_numpy(X.std(0))))
    model.compile("sgd", "mse")
    model.fit(X, X[:, :2], verbose=0)
    model.save(tmp_path / "model.keras")
    again = lamella.models.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(again.predict(X, verbose=0), model.predict(X, verbose=0), atol=1e-6)


def test_rows_of_a_mapped_file(tmp_path):
    np.save(tmp_path / "x.npy", X)
    model = classifier(layers.Dense(4))
    assert np.isfinite(model.fit(np.load(tmp_path / "x.npy", mmap_mode="r"), Y, verbose=0).history["loss"][0])


def test_a_loss_that_is_no_number_is_told_though_late():
    model = lamella.Sequential([layers.Input((6,)), layers.Dense(1)])
    model.compile("sgd", "mse")
    with pytest.raises(lamella.errors.NonFiniteError, match=r"by step 1\..*The weights were updated since"):
        model.train_on_batch(X, np.full((len(X), 1), 3e38, "float32"))


@pytest.mark.parametrize("prompt", [np.array([[1, 2, 3]]), torch.tensor([[1, 2, 3]]), [[1, 2], [3]]])
def test_gpt_writes(prompt):
    model = GPT(vocabulary_size=11, context_length=8, width=8, num_layers=1, num_heads=2)
    assert len(model.generate(prompt, max_new_tokens=4, seed=0)[0]) == len(prompt[0]) + 4


@pytest.mark.parametrize("kind", [YOLO, FasterRCNN])
def test_detectors_find_and_learn(kind):
    model = kind(2, image_size=(64, 64))
    x = np.random.default_rng(0).integers(0, 255, (2, 64, 64, 3)).astype("uint8")
    y = {"boxes": np.full((2, 1, 4), [8.0, 8.0, 40.0, 40.0], "float32"), "classes": np.ones((2, 1), "int64")}
    model.compile(lamella.optimizers.AdamW(1e-3))
    assert np.isfinite(model.train_on_batch(x, y)).all()
    assert model.predict(x, verbose=0)["boxes"].shape[0] == 2


def test_boxes_are_changed_with_their_pictures():
    flip = layers.RandomFlip("horizontal", bounding_box_format="rel_xyxy")
    boxes = {"boxes": np.full((1, 1, 4), [0.1, 0.2, 0.3, 0.4], "float32"), "labels": np.zeros((1, 1), "int64")}
    found = flip({"images": np.zeros((1, 8, 8, 3), "float32"), "bounding_boxes": boxes}, training=True)
    assert is_there(found["bounding_boxes"]["boxes"])

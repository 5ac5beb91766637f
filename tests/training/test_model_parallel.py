"""Weights in parts: the same losses, metrics, weights and files as one process has."""

import os
from functools import partial

import numpy as np
import pytest
import torch
import torch.distributed.tensor  # loaded once, not in each process
from processes import free_port, needed, run

import lamella
from lamella import distribution, layers
from lamella.errors import ArgumentError, ClusterError

pytestmark = needed
RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(203, 12)).astype("float32")
Y = RANDOM.integers(0, 6, 203)
TOKENS = RANDOM.integers(0, 20, (101, 6))
PICTURES = RANDOM.normal(size=(67, 8, 8, 2)).astype("float32")


def dense():
    model = lamella.Sequential(
        [
            lamella.Input((12,)),
            layers.Dense(32, activation="relu", kernel_regularizer="l2", name="up"),
            layers.Dropout(0.0),
            layers.LayerNormalization(),
            layers.Dense(16, activation="gelu", kernel_constraint="max_norm", name="down"),
            layers.Dense(6, activation="softmax", name="classes"),
        ],
        name="mlp",
    )
    top = lamella.metrics.SparseTopKCategoricalAccuracy(2)
    adam = lamella.optimizers.AdamW(1e-2, global_clipnorm=1.0)
    model.compile(adam, "sparse_categorical_crossentropy", metrics=["accuracy", top])
    return model, X, Y, 16


def attention():
    tokens = lamella.Input((6,), dtype="int32")
    x = layers.Embedding(20, 8, name="rows")(tokens) + layers.Embedding(20, 8, name="columns")(tokens)
    x = layers.LayerNormalization()(x + layers.MultiHeadAttention(4, 2, name="attention")(x, x))
    outputs = layers.Dense(1)(layers.GlobalAveragePooling1D()(x))
    model = lamella.Model(tokens, outputs)
    # Not Adam: the gradient of the keys' bias is 0 but for rounding, which Adam would make steps of.
    model.compile(lamella.optimizers.SGD(1e-2, momentum=0.9), "mse", metrics=["mae"])
    return model, TOKENS, TOKENS.mean(1, keepdims=True).astype("float32"), 8


def pictures():
    model = lamella.Sequential(
        [
            lamella.Input((8, 8, 2)),
            layers.Conv2D(8, 3, padding="same", activation="relu", name="filters"),
            layers.MaxPooling2D(),
            layers.Conv2D(6, 3, activation="gelu", name="channels"),
            layers.Flatten(),
            layers.Dense(1, name="last"),
        ]
    )
    model.compile(lamella.optimizers.SGD(1e-2, momentum=0.9, clipnorm=1.0), "mse", metrics=["mae"])
    return model, PICTURES, PICTURES.mean((1, 2, 3))[:, None], 5


@lamella.saving.register_keras_serializable("test_model_parallel")
class Residual(lamella.Model):
    """Layers in a list, states, and noise, which is the same in the processes that compute the same rows."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.blocks = [layers.Dense(12, "relu", name=f"block_{i}") for i in range(2)]
        self.norm = layers.BatchNormalization(name="norm")
        self.drop = layers.Dropout(0.3)
        self.out = layers.Dense(6, "softmax", name="out")

    def call(self, x, training=None):
        for block in self.blocks:
            x = x + block(x)
        return self.out(self.drop(self.norm(x), training=training))


def residual():
    model = Residual(name="residual")
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"], rematerialize=["block_1"])
    return model, X, Y, 16


MODELS = {"dense": dense, "attention": attention, "pictures": pictures, "residual": residual}
LAYOUTS = {
    "dense": {
        ".*up/kernel": (None, "model"),
        ".*up/bias": ("model",),
        "down/kernel": ("model", None),
        "mlp/classes/kernel": ("batch", "model"),
        ".*layer_norm.*gamma": ("batch",),
    },
    "attention": {
        "rows/embeddings": ("model", None),
        "columns/embeddings": (None, "model"),
        "attention/(query|key|value)/kernel": (None, "model", None),
        "attention/(query|key)/bias": ("model", None),
        "attention/attention_output/kernel": ("model", None, None),
    },
    "residual": {"block_./kernel": (None, "model"), "block_./bias": ("model",), "residual/out/kernel": ("model", None)},
    "pictures": {
        "filters/kernel": (None, None, None, "model"),
        "filters/bias": ("model",),
        "channels/kernel": (None, None, "model", None),
        "last/kernel": ("model", None),
    },
}


def spread(shape, layouts):
    """Weights in parts, over a mesh of this shape; or all of them, gathered for each layer."""
    if shape == "fsdp":
        return distribution.set_distribution(distribution.FullyShardedDataParallel(timeout=60))
    mesh = distribution.DeviceMesh(shape, ("batch", "model"))
    found = distribution.LayoutMap(mesh)
    for key, axes in layouts.items():
        found[key] = axes
    return distribution.set_distribution(
        distribution.ModelParallel(layout_map=found, batch_dim_name="batch", timeout=60)
    )


def train(name, shape, folder, epochs=4):
    """13 steps or more an epoch, an evaluation, a prediction and a file."""
    lamella.utils.set_random_seed(4)
    if shape is not None:
        spread(shape, LAYOUTS[name])
    model, x, y, size = MODELS[name]()
    history = model.fit(x, y, size, epochs=epochs, verbose=0, validation_data=(x[:51], y[:51])).history
    evaluated = model.evaluate(x, y, verbose=0)
    predicted = model.predict(x, verbose=0)
    model.save(folder / "model.keras")
    own = sum(getattr(w, "to_local", lambda w=w: w)().numel() for w in model.trainable_weights)
    weights = model.get_weights()
    numbers = {f"h_{key}": values for key, values in history.items()}
    if distribution.get_distribution() is None or distribution.get_distribution().rank == 0:
        np.savez(folder / "found.npz", *weights, evaluated=evaluated, predicted=predicted, **numbers)
        np.save(folder / "own.npy", own / model.count_params())


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    def found(name, epochs):
        folder = tmp_path_factory.mktemp(name)
        assert run(1, train, name, None, folder, epochs) == [0]
        return np.load(folder / "found.npz")

    return found


def check(name, shape, alone, tmp_path, epochs=4):
    count = 2 if shape == "fsdp" else shape[0] * shape[1]
    assert run(count, train, name, shape, tmp_path, epochs) == [0] * count
    found, expected = np.load(tmp_path / "found.npz"), alone(name, epochs)
    assert set(found) == set(expected)
    assert len(found["h_loss"]) * -(-len(MODELS[name]()[1]) // MODELS[name]()[3]) >= 13 * epochs
    for key in expected:
        np.testing.assert_allclose(found[key], expected[key], rtol=1e-5, atol=1e-5)
    if shape == "fsdp" or shape[1] > 1:
        assert np.load(tmp_path / "own.npy") < 0.9  # it does not hold them all
    model = lamella.models.load_model(tmp_path / "model.keras")  # in another number of processes, here one
    _, x, y, _ = MODELS[name]()
    np.testing.assert_allclose(model.evaluate(x, y, verbose=0), expected["evaluated"], rtol=1e-5)
    assert int(model.optimizer.iterations) >= 13 * epochs
    model.fit(x, y, verbose=0)


MANY_STEPS = [pytest.param(name, 4, marks=pytest.mark.slow) for name in MODELS if name != "dense"]


@pytest.mark.parametrize(
    ("name", "epochs"), [("dense", 4), ("attention", 2), ("pictures", 2), ("residual", 2), *MANY_STEPS]
)
def test_two_processes_are_as_one(name, epochs, alone, tmp_path):
    check(name, (1, 2), alone, tmp_path, epochs)


@pytest.mark.slow
@pytest.mark.parametrize("shape", [(2, 2), (4, 1), (1, 4)], ids=str)
def test_four_processes_are_as_one(shape, alone, tmp_path):
    if shape == (1, 4):
        LAYOUTS["dense"].pop("mlp/classes/kernel", None)  # 6 classes are not divided by 4
    check("dense", shape, alone, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["attention", "pictures"])
def test_four_processes_compute_attention_and_pictures(name, alone, tmp_path):
    check(name, (2, 2), alone, tmp_path)


def goes_on(kind, start, folder):
    lamella.utils.set_random_seed(4)
    if kind != "one":
        spread("fsdp" if kind == "fsdp" else (1, 2), LAYOUTS["dense"])
    model = lamella.models.load_model(start)
    losses = [model.fit(X, Y, 16, epochs=1, verbose=0, shuffle=False).history["loss"][0] for _ in range(2)]
    model.train_on_batch(X[:8], Y[:8])
    np.savez(folder / f"{kind}{os.environ['RANK']}.npz", *model.get_weights(), losses=losses)


def test_what_one_process_saved_goes_on_in_two(tmp_path):
    """The optimizer's state goes along when the weights are spread."""
    model, x, y, size = dense()
    model.fit(x, y, size, verbose=0)
    model.save(tmp_path / "start.keras")
    for kind, count in (("one", 1), ("fsdp", 2), ("parts", 2)):
        assert run(count, goes_on, kind, tmp_path / "start.keras", tmp_path) == [0] * count
    expected = np.load(tmp_path / "one0.npz")
    for kind in ("fsdp0", "fsdp1", "parts0", "parts1"):
        found = np.load(tmp_path / f"{kind}.npz")
        for key in expected:
            np.testing.assert_allclose(found[key], expected[key], rtol=1e-5, atol=1e-5, err_msg=kind)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["attention", "pictures"])
def test_fully_sharded_ones_are_as_one(name, alone, tmp_path):
    check(name, "fsdp", alone, tmp_path)


def told(work):
    try:
        work()
    except ArgumentError as error:
        return str(error)
    return "nothing"


def refuses(folder):
    x = X[:32].reshape(32, 3, 4)
    found = {}

    def fit(layouts, build):
        spread((1, 2), layouts)
        model = lamella.Sequential([lamella.Input((3, 4)), *build()])
        model.compile("sgd", "mse")
        model.fit(x, np.zeros((32, 1), "float32"), verbose=0)

    def head():
        return layers.Flatten(), layers.Dense(3, name="hidden"), layers.Dense(1, name="out")

    found["nothing"] = told(lambda: fit({"hiden/kernel": (None, "model")}, head))
    found["divide"] = told(lambda: fit({"hidden/kernel": (None, "model")}, head))
    found["axes"] = told(lambda: fit({"hidden/bias": (None, "model")}, head))
    found["twice"] = told(lambda: fit({"hidden/b.*": ("model",), ".*/bias": ("model",)}, head))
    recurrent = lambda: (layers.LSTM(4, name="memory"), layers.Dense(1))  # noqa: E731
    found["layer"] = told(lambda: fit({".*recurrent_kernel": (None, "model")}, recurrent))
    norm = lambda: (layers.Flatten(), layers.BatchNormalization(name="norm"), layers.Dense(1))  # noqa: E731
    found["states"] = told(lambda: fit({"norm/gamma": ("model",)}, norm))
    mesh = distribution.DeviceMesh((1, 2), ("batch", "model"))
    layouts = distribution.LayoutMap(mesh)
    found["batch"] = told(lambda: distribution.ModelParallel(layout_map=layouts, batch_dim_name="data"))
    found["none"] = told(lambda: distribution.ModelParallel())
    spread((1, 2), {})
    compiled = lamella.Sequential([lamella.Input((3, 4)), *head()])
    compiled.compile("sgd", "mse", jit_compile=True)
    found["compiled"] = told(lambda: compiled.fit(x, np.zeros((32, 1), "float32"), verbose=0))
    if os.environ["RANK"] == "0":
        np.savez(folder / "told.npz", **found)


def test_what_cannot_be_is_told(tmp_path):
    assert run(2, refuses, tmp_path) == [0, 0]
    found = {key: str(text) for key, text in np.load(tmp_path / "told.npz").items()}
    assert "'hiden/kernel' matches no weight" in found["nothing"] and "hidden/kernel" in found["nothing"]
    assert "hidden/kernel" in found["divide"] and "axis 1 of 3" in found["divide"] and "2 processes" in found["divide"]
    assert "has 1 axes" in found["axes"] and "layout has 2" in found["axes"]
    assert "matched by several keys" in found["twice"]
    assert "Layer 'memory' (LSTM) cannot compute" in found["layer"]
    assert "Layer 'norm' (BatchNormalization) cannot compute" in found["states"]
    assert "no axis 'data'" in found["batch"] and "layout_map=" in found["none"]
    assert "jit_compile=False" in found["compiled"]


def leaves(folder):
    x, y = X[:32], Y[:32]
    for shape in ("fsdp", (2, 1), (1, 2)):
        spread(shape, LAYOUTS["dense"])
        used, model = distribution.get_distribution(), dense()[0]
        model.fit(x, y, epochs=1, verbose=0)
        file = folder / f"{shape}.keras"
        model.save(file)
        distribution.set_distribution(None)
        for method in (model.fit, model.train_on_batch):
            error = told(partial(method, x, y))
            assert "weights of 'mlp' lie in parts" in error and "load_model()" in error, shape
        before = model.get_weights()
        loaded = lamella.models.load_model(file)
        np.testing.assert_array_equal(loaded.get_weights()[0], before[0])
        loaded.fit(x, y, verbose=0)
        distribution.set_distribution(used)
        model.fit(x, y, verbose=0)
        assert not np.array_equal(model.get_weights()[0], before[0])


def test_weights_in_parts_are_not_trained_by_one_process_alone(tmp_path):
    assert run(2, leaves, tmp_path) == [0, 0]


def test_meshes_and_layouts(monkeypatch):
    assert distribution.list_devices("cpu") == ["cpu:0"] and distribution.get_device_count("cpu") == 1
    monkeypatch.setenv("RANK", "0")
    monkeypatch.setenv("WORLD_SIZE", "4")
    assert distribution.list_devices("cpu") == ["cpu:0", "cpu:1", "cpu:2", "cpu:3"]
    with pytest.raises(ArgumentError, match=r"has 8 places, but there are 4 devices.*--nproc 8"):
        distribution.DeviceMesh((2, 4), ("batch", "model"))
    with pytest.raises(ArgumentError, match="name of its own"):
        distribution.DeviceMesh((2, 2), ("batch",))
    with pytest.raises(ArgumentError, match="device_type"):
        distribution.list_devices("abacus")
    mesh = distribution.DeviceMesh((2, 2), ("batch", "model"), devices=["cpu:3", "cpu:2", "cpu:1", "cpu:0"])
    assert mesh.devices[0, 1] == "cpu:2"
    with pytest.raises(ClusterError, match="initialize"):
        _ = mesh.backend_mesh
    layouts = distribution.LayoutMap(mesh)
    layouts[".*dense.*kernel"] = (None, "model")
    layouts["exact"] = distribution.TensorLayout(["batch"])
    assert layouts["a/dense_1/kernel"].axes == (None, "model") and layouts["a/dense_1/bias"] is None
    assert layouts["exact"].device_mesh is mesh and len(layouts) == 2 and list(layouts)[1] == "exact"
    with pytest.raises(ArgumentError, match=r"no axis 'modle'.*'batch', 'model'"):
        layouts["other"] = (None, "modle")
    with pytest.raises(ArgumentError, match="already"):
        layouts["exact"] = (None,)
    with pytest.raises(ArgumentError, match="TensorLayout"):
        layouts["more"] = "model"
    with pytest.raises(ArgumentError, match="one axis of a tensor"):
        distribution.TensorLayout(("model", "model"))
    del layouts["exact"]
    assert layouts["exact"] is None


def meets(port, folder):
    number = int(os.environ.pop("RANK"))
    distribution.initialize(f"127.0.0.1:{port}", 2, number)
    mesh = distribution.DeviceMesh((2,), ("rows",))
    layout = distribution.TensorLayout(("rows", None), mesh)
    whole = torch.arange(8.0).reshape(4, 2)
    spread_out = distribution.distribute_tensor(whole, layout)
    assert spread_out.to_local().tolist() == whole[2 * number : 2 * number + 2].tolist()
    assert spread_out.full_tensor().equal(whole)
    again = distribution.distribute_tensor(spread_out, distribution.TensorLayout((None, "rows"), mesh))
    assert again.to_local().tolist() == whole[:, number : number + 1].tolist()
    symbol = lamella.Input((2,))
    assert distribution.distribute_tensor(symbol, layout) is symbol
    assert "cannot be divided" in told(lambda: distribution.distribute_tensor(torch.zeros(3, 2), layout))
    with distribution.DataParallel(device_mesh=mesh).scope():
        assert distribution.distribution() is distribution.get_distribution() is not None
    assert distribution.distribution() is None
    assert "2 processes" in told(lambda: distribution.DataParallel(devices=["cpu:0"]))


OPTIMIZERS = {
    name: {"momentum": 0.9} if name == "SGD" else {}
    for name in sorted(lamella.optimizers.__all__)
    if isinstance(each := getattr(lamella.optimizers, name), type)
    and issubclass(each, lamella.optimizers.Optimizer)
    and name not in ("Optimizer", "LossScaleOptimizer", "MultiOptimizer")
}


def updates():
    distribution.initialize()
    mesh = distribution.DeviceMesh((2,), ("rows",))
    layout = distribution.TensorLayout(("rows", None), mesh)
    for name, settings in OPTIMIZERS.items():
        optimizers = [getattr(lamella.optimizers, name)(0.01, use_ema=True, **settings) for _ in range(2)]
        start = torch.linspace(-1, 1, 24).reshape(6, 4)
        alone = torch.nn.Parameter(start.clone())
        spread_out = torch.nn.Parameter(distribution.distribute_tensor(start, layout))
        for step in range(1, 4):
            gradient = torch.cos(start * step)
            optimizers[0].apply([gradient], [alone])
            optimizers[1].apply([distribution.distribute_tensor(gradient, layout)], [spread_out])
        torch.testing.assert_close(spread_out.full_tensor(), alone, rtol=1e-5, atol=1e-6, msg=name)


def test_optimizers_update_parts_as_the_whole():
    assert len(OPTIMIZERS) > 12
    assert run(2, updates) == [0, 0]


def test_initialize_and_distribute(tmp_path, monkeypatch):
    assert run(2, meets, free_port(), tmp_path) == [0, 0]
    with pytest.raises(ArgumentError, match="host:port"):
        distribution.initialize("10.0.0.1", 2, 0)
    with pytest.raises(ArgumentError, match="job_addresses"):
        distribution.initialize(process_id=1)
    monkeypatch.delenv("RANK", raising=False)
    with pytest.raises(ClusterError, match="torchrun"):
        distribution.initialize()

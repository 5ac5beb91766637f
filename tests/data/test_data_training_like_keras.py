"""`fit` on every kind of data ends with the weights that real Keras ends with."""

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, TensorDataset

import lamella

keras = pytest.importorskip("keras")
pd = pytest.importorskip("pandas")

RNG = np.random.default_rng(3)
X = RNG.normal(size=(40, 4))
Y = (X[:, 0] > 0).astype("int64")
WEIGHT = RNG.random(40)
KERNEL, BIAS = RNG.normal(size=(4, 1)).astype("float32"), np.zeros(1, "float32")
SIZE = 8


def weights_after(package, *args, **kwargs):
    model = package.Sequential([package.layers.Input((4,)), package.layers.Dense(1, activation="sigmoid")])
    model.set_weights([KERNEL, BIAS])
    model.compile(package.optimizers.SGD(0.5), "binary_crossentropy")
    model.fit(*args, **{"epochs": 2, "verbose": 0, "shuffle": False} | kwargs)
    return np.concatenate([np.ravel(weight) for weight in model.get_weights()])


def batches(epochs=1):
    for _ in range(epochs):
        for start in range(0, 40, SIZE):
            yield X[start : start + SIZE], Y[start : start + SIZE]


def py_dataset(package):
    class Data(package.utils.PyDataset):
        def __len__(self):
            return 5

        def __getitem__(self, i):
            return X[i * SIZE : (i + 1) * SIZE], Y[i * SIZE : (i + 1) * SIZE]

    return Data()


def tensors():
    return torch.from_numpy(X).float(), torch.from_numpy(Y)


SAME_AS_ARRAYS = {
    "arrays": lambda: ((X, Y), {"batch_size": SIZE}),
    "float32": lambda: ((X.astype("float32"), Y.astype("float32")), {"batch_size": SIZE}),
    "tensors": lambda: (tensors(), {"batch_size": SIZE}),
    "lists": lambda: ((X.tolist(), Y.tolist()), {"batch_size": SIZE}),
    "frames": lambda: ((pd.DataFrame(X), pd.Series(Y)), {"batch_size": SIZE}),
    "columns": lambda: ((X, Y[:, None]), {"batch_size": SIZE}),
    "generator": lambda: ((batches(2),), {"steps_per_epoch": 5}),
    "loader": lambda: ((DataLoader(TensorDataset(*tensors()), batch_size=SIZE),), {}),
    "torch data set": lambda: ((TensorDataset(*tensors()),), {"batch_size": SIZE}),
    "PyDataset": lambda: ((py_dataset(lamella),), {}),
    "PyDataset of Keras": lambda: ((py_dataset(keras),), {}),
}


@pytest.fixture(scope="module")
def reference():
    return weights_after(keras, X, Y, batch_size=SIZE)


@pytest.mark.parametrize("kind", SAME_AS_ARRAYS)
def test_the_kind_of_data_makes_no_difference(kind, reference):
    args, kwargs = SAME_AS_ARRAYS[kind]()
    np.testing.assert_allclose(weights_after(lamella, *args, **kwargs), reference, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    "kwargs",
    [
        {"sample_weight": WEIGHT},
        {"sample_weight": pd.Series(WEIGHT)},
        {"class_weight": {0: 0.5, 1: 3.0}},
        {"validation_split": 0.3},
        {"steps_per_epoch": 4},
        {"steps_per_epoch": 4, "batch_size": 10},
        {"batch_size": None},
    ],
    ids=lambda kwargs: "-".join(kwargs),
)
def test_arguments_of_fit_about_data(kwargs):
    kwargs = {"batch_size": None if "steps_per_epoch" in kwargs else SIZE} | kwargs
    np.testing.assert_allclose(
        weights_after(lamella, X, Y, **kwargs), weights_after(keras, X, Y, **kwargs), rtol=1e-5, atol=1e-6
    )


@pytest.mark.parametrize("kind", ["uint8", "uint16", "uint32"])
@pytest.mark.parametrize("mapped", [False, True], ids=["", "mapped"])
def test_whole_numbers_without_a_sign(kind, mapped, tmp_path):
    """Of those beyond 255 torch itself can hardly compare two, nor take rows."""
    x, y = RNG.integers(0, 200, (12, 4)).astype(kind), RNG.integers(0, 3, 12).astype(kind)
    ours = theirs = x, y
    if mapped:
        ours = []
        for i, each in enumerate(theirs):
            ours.append(np.memmap(tmp_path / str(i), kind, "w+", shape=each.shape))
            ours[-1][:] = each
    ends = []
    for package, data in ((lamella, ours), (keras, theirs)):
        layers = [package.Input((4,)), package.layers.Rescaling(0.01), package.layers.Dense(3, "softmax")]
        model = package.Sequential(layers)
        model.set_weights([np.ones((4, 3)), np.zeros(3)])
        model.compile("sgd", "sparse_categorical_crossentropy", metrics=["accuracy"])
        history = model.fit(*data, batch_size=12, epochs=2, validation_split=0, verbose=0).history
        ends.append([*history["loss"], *history["accuracy"], *np.ravel(model.get_weights()[0])])
    np.testing.assert_allclose(*ends, rtol=1e-4)

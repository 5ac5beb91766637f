"""`.h5` files of Keras, whole models and weights alone, both ways."""

import json

import h5py
import numpy as np
import pytest
import torch
from model_zoo import ZOO, branches, data, dense, nested, recurrent, residual_pictures, shared

import lamella
from lamella.errors import FileError

keras = pytest.importorskip("keras")

pytestmark = pytest.mark.filterwarnings("ignore")
MODELS = [dense, branches, shared, nested, recurrent, residual_pictures]
some_models = pytest.mark.parametrize("make", MODELS, ids=lambda make: make.__name__)


def trained(make, library):
    model = make(library)
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(*data(ZOO[make]), batch_size=3, shuffle=False, verbose=0)
    return model


def alike(one, other, make, trains=True):
    x, y = data(ZOO[make], seed=1)
    np.testing.assert_allclose(one.predict(x, verbose=0), other.predict(x, verbose=0), rtol=0, atol=1e-5)
    if not trains:
        return
    losses = [model.fit(x, y, epochs=3, shuffle=False, verbose=0).history["loss"] for model in (one, other)]
    np.testing.assert_allclose(*losses, rtol=2e-4)


@some_models
@pytest.mark.parametrize("saver", ["ours", "theirs"])
def test_whole_models(make, saver, tmp_path):
    first, second = (lamella, keras) if saver == "ours" else (keras, lamella)
    model = trained(make, first)
    model.save(tmp_path / "m.h5")
    # Keras cannot go on training a functional model of an .h5 file, not even of its own ("Unknown variable").
    alike(second.models.load_model(tmp_path / "m.h5"), model, make, trains=saver == "theirs")


@some_models
def test_ours_and_back(make, tmp_path):
    model = trained(make, lamella)
    model.save(tmp_path / "m.h5")
    alike(lamella.models.load_model(tmp_path / "m.h5"), model, make)


def weights_alone(model, path):
    from keras.src.legacy.saving.legacy_h5_format import save_weights_to_hdf5_group

    with h5py.File(path, "w") as file:
        save_weights_to_hdf5_group(file, model)


@some_models
def test_weights_in_order(make, tmp_path):
    theirs, ours = make(keras), make(lamella)
    weights_alone(theirs, tmp_path / "w.h5")
    ours.load_weights(tmp_path / "w.h5")
    x, _ = data(ZOO[make])
    np.testing.assert_allclose(ours.predict(x, verbose=0), theirs.predict(x, verbose=0), rtol=0, atol=1e-5)


def classifier(k, classes, name):
    inputs = k.Input((8,))
    h = k.layers.Dense(6, "relu", name="body")(inputs)
    return k.Model(inputs, k.layers.Dense(classes, name=name)(h))


def test_weights_by_name(tmp_path):
    theirs, ours = classifier(keras, 3, "head"), classifier(lamella, 5, "new_head")
    weights_alone(theirs, tmp_path / "w.h5")
    head = ours.get_layer("new_head").get_weights()
    ours.load_weights(tmp_path / "w.h5", by_name=True)
    np.testing.assert_array_equal(ours.get_layer("body").get_weights()[0], theirs.get_layer("body").get_weights()[0])
    np.testing.assert_array_equal(ours.get_layer("new_head").get_weights()[0], head[0])


def test_weights_of_another_model(tmp_path):
    weights_alone(classifier(keras, 3, "head"), tmp_path / "w.h5")
    ours = classifier(lamella, 5, "head")
    before = ours.get_weights()
    with pytest.raises(FileError, match=r"Layer 'head' has weights of shapes \[\(6, 5\), \(5,\)\]"):
        ours.load_weights(tmp_path / "w.h5")
    for one, other in zip(ours.get_weights(), before, strict=True):
        np.testing.assert_array_equal(one, other)
    ours.load_weights(tmp_path / "w.h5", skip_mismatch=True)
    assert not np.array_equal(ours.get_weights()[0], before[0])
    with pytest.raises(FileError, match="has 2 layers with weights, the model 1"):
        lamella.Sequential([lamella.Input((8,)), lamella.layers.Dense(2)]).load_weights(tmp_path / "w.h5")


def test_a_sequential_model_of_keras_2(tmp_path):
    """Its config names no modules, and the first layer has the shape of the input."""
    dense_config = {"units": 4, "activation": "relu", "dtype": "float32", "name": "one", "trainable": True}
    layers = [
        {"class_name": "Dense", "config": {**dense_config, "batch_input_shape": [None, 3]}},
        {"class_name": "Dense", "config": {**dense_config, "name": "two", "units": 2}},
    ]
    kernel = np.arange(12.0, dtype="float32").reshape(3, 4)
    with h5py.File(tmp_path / "m.h5", "w") as file:
        config = {"name": "sequential", "layers": layers}
        file.attrs["model_config"] = json.dumps({"class_name": "Sequential", "config": config}).encode()
        group = file.create_group("model_weights")
        group.attrs["layer_names"] = [b"one", b"two"]
        for name, weights in (("one", [kernel, np.ones(4)]), ("two", [np.ones((4, 2)), np.zeros(2)])):
            own = group.create_group(name)
            own.attrs["weight_names"] = [f"{name}/kernel:0".encode(), f"{name}/bias:0".encode()]
            own[f"{name}/kernel:0"], own[f"{name}/bias:0"] = weights
    model = lamella.models.load_model(tmp_path / "m.h5")
    x = np.ones((1, 3), "float32")
    expected = np.maximum(np.maximum(x @ kernel + 1, 0) @ np.ones((4, 2)), 0)
    np.testing.assert_allclose(model(x).detach(), expected)


def test_weights_are_no_model(tmp_path):
    weights_alone(dense(keras), tmp_path / "w.h5")
    with pytest.raises(FileError, match=r"has weights only: build the model and use load_weights\(\)"):
        lamella.models.load_model(tmp_path / "w.h5")
    (tmp_path / "damaged.h5").write_bytes((tmp_path / "w.h5").read_bytes()[:300])
    with pytest.raises(FileError, match="damaged"):
        lamella.models.load_model(tmp_path / "damaged.h5")


def test_an_older_file_that_is_cut_leaves_the_model_as_it_was(tmp_path):
    weights_alone(dense(keras), tmp_path / "w.h5")
    content = (tmp_path / "w.h5").read_bytes()
    model = dense(lamella)
    before = model.get_weights()
    for length in np.linspace(0, len(content) - 1, 25).astype(int):
        (tmp_path / "cut.h5").write_bytes(content[:length])
        with pytest.raises(FileError):
            model.load_weights(tmp_path / "cut.h5")
    for one, other in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("library", [lamella, keras])
def test_without_the_optimizer(library, tmp_path):
    model = library.Sequential([library.Input((3,)), library.layers.Dense(2)])
    model.compile("adam", "mse")
    x = np.ones((4, 3), "float32")
    model.fit(x, x[:, :2], verbose=0)
    model.save(tmp_path / "m.h5", include_optimizer=False)
    again = lamella.models.load_model(tmp_path / "m.h5")
    assert not again.compiled
    np.testing.assert_allclose(again.predict(x, verbose=0), model.predict(x, verbose=0), rtol=1e-6)
    model.save(tmp_path / "m.keras", include_optimizer=False)
    again = lamella.models.load_model(tmp_path / "m.keras")
    assert again.compiled and (library is keras or int(again.optimizer.iterations) == 0)
    np.testing.assert_allclose(again.predict(x, verbose=0), model.predict(x, verbose=0), rtol=1e-6)


TWO = np.float32(2)


def scaled(library, scale):
    shift = np.array([1.0, 2.0, 3.0], "float32")
    return library.layers.Lambda(lambda x, factor=TWO: x * scale * float(factor) + torch.as_tensor(shift))


@pytest.mark.parametrize("name", ["new/folder/m.h5", "m.keras"])
def test_a_lambda_may_hold_arrays_and_tensors(name, tmp_path):
    model = lamella.Sequential([lamella.Input((3,)), scaled(lamella, torch.tensor([1.0, 2.0, 3.0]))])
    x = np.ones((2, 3), "float32")
    model.save(tmp_path / name)
    with pytest.raises(lamella.errors.UnsafeError):
        lamella.models.load_model(tmp_path / name)
    again = lamella.models.load_model(tmp_path / name, safe_mode=False)
    np.testing.assert_array_equal(again.predict(x, verbose=0), [[3.0, 6.0, 9.0]] * 2)

"""Files of real Keras load here and ours load there: the same predictions, and training goes on alike."""

import io
import json
import zipfile

import numpy as np
import pytest
from model_zoo import OPTIMIZERS, ROWS, ZOO, data, dense, nested, several_inputs_and_outputs, subclassed

import lamella

keras = pytest.importorskip("keras")

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*input_shape.*"),
    pytest.mark.filterwarnings("ignore::UserWarning:keras"),
]
OPTIONAL = ("build_config", "compile_config")
every_model = pytest.mark.parametrize("make", ZOO, ids=lambda make: make.__name__)


def trained(make, library, shape, optimizer="Adam", arguments=None):
    """A compiled model that was trained for two steps."""
    library.utils.set_random_seed(1)
    model = make(library)
    model.compile(
        getattr(library.optimizers, optimizer)(**(arguments or {})),
        "sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    x, y = data(shape)
    model.fit(x, y, batch_size=3, shuffle=False, verbose=0)
    return model


def next_losses(model, shape):
    x, y = data(shape, seed=2)
    history = model.fit(x, y, batch_size=6, epochs=3, shuffle=False, verbose=0)
    return history.history["loss"]


def same(one, other, shape):
    x, _ = data(shape, seed=1)
    np.testing.assert_allclose(one.predict(x, verbose=0), other.predict(x, verbose=0), rtol=0, atol=1e-5)


@every_model
def test_ours_to_keras_and_back(make, tmp_path):
    shape = ZOO[make]
    ours = trained(make, lamella, shape)
    ours.save(tmp_path / "m.keras")
    make(keras)  # registers the classes of the subclassed model with Keras
    theirs = keras.models.load_model(tmp_path / "m.keras")
    again = lamella.models.load_model(tmp_path / "m.keras")
    same(ours, theirs, shape)
    x, _ = data(shape)
    np.testing.assert_array_equal(ours.predict(x, verbose=0), again.predict(x, verbose=0))
    losses = next_losses(ours, shape)
    assert next_losses(again, shape) == losses
    np.testing.assert_allclose(next_losses(theirs, shape), losses, rtol=2e-4)
    if make is not subclassed:  # whose config says nothing of its layers
        assert [layer.name for layer in again.layers] == [layer.name for layer in ours.layers]
    assert json.dumps(again.get_config(), sort_keys=True) == json.dumps(ours.get_config(), sort_keys=True)


@every_model
def test_keras_to_ours(make, tmp_path):
    shape = ZOO[make]
    theirs = trained(make, keras, shape)
    theirs.save(tmp_path / "m.keras")
    make(lamella)
    ours = lamella.models.load_model(tmp_path / "m.keras")
    same(ours, theirs, shape)
    np.testing.assert_allclose(next_losses(ours, shape), next_losses(theirs, shape), rtol=2e-4)


@every_model
def test_weights_both_ways(make, tmp_path):
    shape = ZOO[make]
    ours, theirs = make(lamella), make(keras)
    ours.save_weights(tmp_path / "ours.weights.h5")
    theirs.load_weights(tmp_path / "ours.weights.h5")
    same(ours, theirs, shape)
    theirs = make(keras)
    theirs.save_weights(tmp_path / "theirs.weights.h5")
    ours.load_weights(tmp_path / "theirs.weights.h5")
    same(ours, theirs, shape)


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("saver", ["ours", "theirs"])
def test_training_goes_on(optimizer, saver, tmp_path):
    first, second = (lamella, keras) if saver == "ours" else (keras, lamella)
    model = trained(dense, first, ROWS, optimizer, OPTIMIZERS[optimizer])
    model.save(tmp_path / "m.keras")
    again = second.models.load_model(tmp_path / "m.keras")
    assert int(again.optimizer.iterations) == 2
    np.testing.assert_allclose(next_losses(again, ROWS), next_losses(model, ROWS), rtol=2e-5)


@pytest.mark.parametrize("saver", ["ours", "theirs"])
def test_averages_and_accumulated_gradients_go_along(saver, tmp_path):
    first, second = (lamella, keras) if saver == "ours" else (keras, lamella)
    options = {"use_ema": True, "ema_momentum": 0.5, "gradient_accumulation_steps": 2}
    model = trained(dense, first, ROWS, "Adam", options)
    model.save(tmp_path / "m.keras")
    again = second.models.load_model(tmp_path / "m.keras")
    np.testing.assert_allclose(next_losses(again, ROWS), next_losses(model, ROWS), rtol=2e-5)


@pytest.mark.parametrize("saver", ["ours", "theirs"])
def test_a_learning_rate_schedule_goes_along(saver, tmp_path):
    first, second = (lamella, keras) if saver == "ours" else (keras, lamella)
    model = dense(first)
    rate = first.optimizers.schedules.ExponentialDecay(0.1, 1, 0.5)
    model.compile(first.optimizers.SGD(rate), "sparse_categorical_crossentropy")
    next_losses(model, ROWS)
    model.save(tmp_path / "m.keras")
    again = second.models.load_model(tmp_path / "m.keras")
    np.testing.assert_allclose(next_losses(again, ROWS), next_losses(model, ROWS), rtol=2e-5)


@pytest.mark.parametrize("saver", ["ours", "theirs"])
def test_several_inputs_and_outputs(saver, tmp_path):
    first, second = (lamella, keras) if saver == "ours" else (keras, lamella)
    model = several_inputs_and_outputs(first)
    model.compile("sgd", {"one": "mse", "two": first.losses.MeanAbsoluteError()}, loss_weights={"one": 2.0, "two": 0.5})
    x, _ = data(ROWS)
    y = {"one": np.ones((6, 3), "float32"), "two": np.zeros((6, 2), "float32")}
    model.fit([x, x], y, verbose=0)
    model.save(tmp_path / "m.keras")
    again = second.models.load_model(tmp_path / "m.keras")
    assert set(again.predict([x, x], verbose=0)) == {"one", "two"}
    for name, value in model.predict([x, x], verbose=0).items():
        np.testing.assert_allclose(again.predict([x, x], verbose=0)[name], value, atol=1e-5)
    losses = [each.fit([x, x], y, epochs=3, shuffle=False, verbose=0).history["loss"] for each in (model, again)]
    np.testing.assert_allclose(*losses, rtol=2e-5)


def test_the_archive_is_as_keras_writes_it(tmp_path):
    ours, theirs = trained(nested, lamella, ROWS), trained(nested, keras, ROWS)
    for name, model in (("ours", ours), ("theirs", theirs)):
        model.save(tmp_path / f"{name}.keras")
    with zipfile.ZipFile(tmp_path / "ours.keras") as one, zipfile.ZipFile(tmp_path / "theirs.keras") as other:
        assert one.namelist() == other.namelist()
        mine, yours = (json.loads(archive.read("config.json")) for archive in (one, other))
    assert {*mine} - {"build_config"} == {*yours} - {"build_config"}
    assert (mine["module"], mine["class_name"]) == (yours["module"], yours["class_name"])
    for layer, reference in zip(mine["config"]["layers"], yours["config"]["layers"], strict=True):
        assert {*layer} - {*OPTIONAL} == {*reference} - {*OPTIONAL}
        assert [layer["module"], layer["class_name"]] == [reference["module"], reference["class_name"]]
        assert len(layer["inbound_nodes"]) == len(reference["inbound_nodes"])


IMAGE_OPS = {
    "resize": lambda ops, x: ops.image.resize(x, (3, 4), interpolation="nearest"),
    "rgb_to_grayscale": lambda ops, x: ops.image.rgb_to_grayscale(x),
    "rgb_to_hsv": lambda ops, x: ops.image.rgb_to_hsv(x),
    "extract_patches": lambda ops, x: ops.image.extract_patches(x, 2),
    "pad_images": lambda ops, x: ops.image.pad_images(x, 1, 2, 1, 0),
    "crop_images": lambda ops, x: ops.image.crop_images(x, 1, 0, 1, 0),
    "gaussian_blur": lambda ops, x: ops.image.gaussian_blur(x, (3, 3), (1.0, 1.0)),
}


@pytest.mark.parametrize("name", IMAGE_OPS)
def test_models_that_change_pictures_go_both_ways(name, tmp_path):
    x = np.random.default_rng(0).uniform(size=(2, 6, 5, 3)).astype("float32")
    for library, other in ((lamella, keras), (keras, lamella)):
        inputs = library.Input((6, 5, 3))
        model = library.Model(inputs, IMAGE_OPS[name](library.ops, inputs))
        model.save(tmp_path / "m.keras")
        for reader in (library, other):
            again = reader.models.load_model(tmp_path / "m.keras")
            np.testing.assert_allclose(again.predict(x, verbose=0), model.predict(x, verbose=0), rtol=1e-5, atol=1e-5)


def test_models_of_the_newest_ops_are_kept(tmp_path):
    x = lamella.Input((4, 4, 3))
    pictures = lamella.ops.image.reconstruct_patches(lamella.ops.image.extract_patches(x, 2), 2, (4, 4))
    flat = lamella.ops.reshape(pictures, (-1, 48))
    columns = lamella.ops.column_stack([flat, lamella.ops.gammainc(2.0, lamella.ops.relu(flat))])
    powers = lamella.ops.matrix_power(pictures[:, :3, :3, 0], 2)
    model = lamella.Model(x, [pictures, powers, lamella.ops.top_k(columns, 3)[0]])
    model.save(tmp_path / "m.keras")
    again = lamella.models.load_model(tmp_path / "m.keras")
    data = np.random.default_rng(0).uniform(size=(2, 4, 4, 3)).astype("float32")
    for one, other in zip(model.predict(data, verbose=0), again.predict(data, verbose=0), strict=True):
        np.testing.assert_array_equal(one, other)
    np.testing.assert_array_equal(model.predict(data, verbose=0)[0], data)


def test_json_goes_both_ways():
    ours, theirs = nested(lamella), nested(keras)
    assert lamella.models.model_from_json(theirs.to_json()).count_params() == theirs.count_params()
    assert keras.models.model_from_json(ours.to_json()).count_params() == ours.count_params()


@pytest.mark.parametrize("saver", ["ours", "theirs"])
def test_dropout_of_a_loaded_model_drops_in_training_only(saver, tmp_path):
    library = lamella if saver == "ours" else keras
    inputs = library.Input((400,))
    library.Model(inputs, library.layers.Dropout(0.5)(inputs)).save(tmp_path / "m.keras")
    again = lamella.models.load_model(tmp_path / "m.keras")
    ones = np.ones((1, 400), "float32")
    assert (again.predict(ones, verbose=0) == 1).all()
    assert 100 < int((again(ones, training=True) == 0).sum()) < 300


def test_a_call_in_one_mode_keeps_it(tmp_path):
    inputs = lamella.Input((400,))
    base = lamella.Sequential([lamella.Input((400,)), lamella.layers.Dropout(0.5)])
    frozen, always = base(inputs, training=False), lamella.layers.Dropout(0.5)(inputs, training=True)
    lamella.Model(inputs, [frozen, always]).save(tmp_path / "m.keras")
    again = lamella.models.load_model(tmp_path / "m.keras")
    ones = np.ones((1, 400), "float32")
    for training in (False, True):
        kept, dropped = again(ones, training=training)
        assert (kept == 1).all()
        assert 100 < int((dropped == 0).sum()) < 300


def test_a_model_in_a_file_that_is_open():
    saving_lib = pytest.importorskip("keras.src.saving.saving_lib")
    model = dense(lamella)
    held = io.BytesIO()
    lamella.saving.save_model(model, held)
    x = np.random.default_rng(0).normal(size=(3, *model.input_shape[1:])).astype("float32")
    for load in (lamella.saving.load_model, saving_lib.load_model):
        again = load(io.BytesIO(held.getvalue()))
        np.testing.assert_allclose(again.predict(x, verbose=0), model.predict(x, verbose=0), rtol=1e-5, atol=1e-6)
    with pytest.raises(lamella.errors.FileError, match="damaged"):
        lamella.saving.load_model(io.BytesIO(b"PK"))

"""Training that goes on from a file: every optimizer, here and in real Keras, whichever of the two wrote the file."""

import warnings

import numpy as np
import pytest

import lamella

keras = pytest.importorskip("keras")

OPTIMIZERS = {
    "SGD": {"momentum": 0.9},
    "Adam": {"amsgrad": True},
    "AdamW": {},
    "RMSprop": {"centered": True, "momentum": 0.5},
    "Adagrad": {},
    "Adadelta": {},
    "Adamax": {},
    "Nadam": {},
    "Ftrl": {},
    "Lion": {},
    "Lamb": {},
    "Adafactor": {},
    "Muon": {},
}
OPTIONS = {"plain": {}, "averaged, of two batches": {"use_ema": True, "gradient_accumulation_steps": 2}}


@pytest.fixture
def data(rng):
    return rng.normal(size=(12, 5)).astype("f"), rng.normal(size=(12, 2)).astype("f")


def losses(model, data):
    return model.fit(*data, batch_size=4, epochs=2, shuffle=False, verbose=0).history["loss"]


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_training_goes_on_from_a_file_of_either(name, options, data, tmp_path):
    theirs = keras.Sequential([keras.Input((5,)), keras.layers.Dense(4, "tanh"), keras.layers.Dense(2)])
    rate = 0.01 if options else keras.optimizers.schedules.ExponentialDecay(0.05, 3, 0.7)
    theirs.compile(getattr(keras.optimizers, name)(learning_rate=rate, **OPTIMIZERS[name], **options), "mse")
    theirs.save(tmp_path / "new.keras")
    ours = lamella.models.load_model(tmp_path / "new.keras")
    np.testing.assert_allclose(losses(ours, data), losses(theirs, data), rtol=1e-4)

    theirs.save(tmp_path / "theirs.keras")
    ours.save(tmp_path / "ours.keras")
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # Keras and Lamella warn where a state does not fit
        others = [
            module.models.load_model(tmp_path / file)
            for module in (lamella, keras)
            for file in ("theirs.keras", "ours.keras")
        ]
    wanted = losses(theirs, data)
    for model in (ours, *others):
        np.testing.assert_allclose(losses(model, data), wanted, rtol=1e-4)


def test_slots_have_paths():
    model = lamella.Sequential([lamella.Input((2,)), lamella.layers.Dense(1, name="d", use_bias=False)])
    model.compile(lamella.optimizers.SGD(momentum=0.9, use_ema=True, name="s"), "mse")
    model.fit(np.ones((4, 2), "f"), np.ones((4, 1), "f"), verbose=0)
    paths = [variable.path for variable in model.optimizer.variables]
    assert paths == ["s/iteration", "s/learning_rate", "s/d_kernel_velocity", "s/d_kernel_average"]


@pytest.mark.parametrize("name", ["Adafactor", "Nadam", "Adam"])
def test_weights_are_loaded_before_the_first_step(name, tmp_path):
    def made():
        model = lamella.Sequential([lamella.Input((2,)), lamella.layers.Dense(1)])
        model.compile(name, "mse")
        return model

    model = made()
    model.fit(np.ones((4, 2)), np.ones((4, 1)), verbose=0)
    model.save_weights(tmp_path / "m.weights.h5")
    again = made()
    with pytest.warns(UserWarning, match="it has none yet"):  # as Keras does
        again.load_weights(tmp_path / "m.weights.h5")
    np.testing.assert_array_equal(again.get_weights()[0], model.get_weights()[0])
    again.fit(np.ones((4, 2)), np.ones((4, 1)), verbose=0)
    assert int(again.optimizer.iterations) == 1

"""The noisy layers and seed generators against real Keras: configs, moments, shapes of the noise, seeds."""

import copy
import inspect

import numpy as np
import pytest
import torch

import lamella
from lamella import layers
from lamella.engine.random import set_random_seed
from lamella.engine.seed_generator import SeedGenerator, torch_generator

keras = pytest.importorskip("keras")

CASES = [
    ("Dropout", {"rate": 0.3, "noise_shape": (None, 1)}, (4, 3)),
    ("GaussianNoise", {"stddev": 0.3, "seed": 1}, (4, 3)),
    ("GaussianDropout", {"rate": 0.3}, (4, 3)),
    ("GaussianDropout", {"rate": 0.3, "seed": 1}, (4, 5, 3)),
    ("AlphaDropout", {"rate": 0.3}, (4, 3)),
    ("AlphaDropout", {"rate": 0.3, "noise_shape": (None, 1, 3), "seed": 1}, (4, 5, 3)),
    ("SpatialDropout1D", {"rate": 0.3}, (4, 5, 3)),
    ("SpatialDropout2D", {"rate": 0.3, "seed": 1}, (4, 5, 6, 3)),
    ("SpatialDropout2D", {"rate": 0.3, "data_format": "channels_first"}, (4, 3, 5, 6)),
    ("SpatialDropout3D", {"rate": 0.3}, (4, 5, 6, 2, 3)),
    ("SpatialDropout3D", {"rate": 0.3, "data_format": "channels_first"}, (4, 3, 5, 6, 2)),
    ("ActivityRegularization", {"l1": 0.1, "l2": 0.2}, (4, 3)),
]
NOISY = CASES[:-1]


@pytest.mark.parametrize(("name", "arguments", "shape"), CASES)
def test_config_goes_both_ways(name, arguments, shape):
    ours, theirs = getattr(layers, name)(**arguments), getattr(keras.layers, name)(**arguments)
    assert set(ours.get_config()) == set(theirs.get_config())
    assert layers.deserialize(layers.serialize(ours)).get_config() == ours.get_config()
    from_keras = layers.deserialize(keras.layers.serialize(theirs))
    for key in set(arguments):
        assert getattr(from_keras, key) == getattr(ours, key)
    to_keras = keras.layers.deserialize(layers.serialize(ours))
    assert {key: getattr(to_keras, key) for key in arguments} == {key: getattr(theirs, key) for key in arguments}


@pytest.mark.parametrize("name", sorted({name for name, _, _ in CASES}))
def test_arguments_are_keras_s(name):
    ours, theirs = (list(inspect.signature(getattr(m, name).__init__).parameters) for m in (layers, keras.layers))
    assert ours == theirs


@pytest.mark.parametrize(("name", "arguments", "shape"), NOISY)
def test_inference_changes_nothing_and_training_does(name, arguments, shape):
    layer, x = getattr(layers, name)(**arguments), torch.randn(shape)
    assert torch.equal(layer(x), x)
    assert not torch.equal(layer(x, training=True), x)
    assert layer(x, training=True).shape == x.shape
    assert layer.training is False
    assert torch.equal(getattr(layers, name)(0.0)(x, training=True), x)


@pytest.mark.parametrize(("name", "arguments", "shape"), NOISY)
def test_a_seed_repeats_the_whole_sequence(name, arguments, shape):
    x = torch.randn(shape)
    one, two = (getattr(layers, name)(**(arguments | {"seed": 5})) for _ in range(2))
    first, second = one(x, training=True), one(x, training=True)
    assert torch.equal(first, two(x, training=True))
    assert torch.equal(second, two(x, training=True))
    assert not torch.equal(first, second)
    assert torch.equal(copy.deepcopy(one)(x, training=True), first)  # a copy starts anew


@pytest.mark.parametrize(("name", "arguments", "shape"), CASES)
def test_in_models_and_a_training_step(name, arguments, shape):
    inputs = lamella.Input(shape[1:])
    outputs = getattr(layers, name)(**arguments)(inputs)
    assert outputs.shape == (None, *shape[1:])
    model = lamella.Model(inputs, layers.Dense(1)(layers.Flatten()(outputs)))
    model.compile("sgd", "mse")
    x = np.random.normal(size=shape).astype("float32")
    before = model.get_weights()
    model.fit(x, np.ones((len(x), 1)), verbose=0)
    assert not np.array_equal(before[0], model.get_weights()[0])
    sequential = lamella.Sequential([getattr(layers, name)(**arguments), layers.Flatten()])
    np.testing.assert_array_equal(sequential.predict(x, verbose=0), x.reshape(len(x), -1))


@pytest.mark.parametrize(("name", "arguments", "shape"), CASES)
def test_masks_pass_through(name, arguments, shape):
    if len(shape) != 3:
        return
    embedded = layers.Embedding(9, 3, mask_zero=True)(torch.tensor([[1, 2, 0, 0, 0]] * 4))
    assert torch.equal(getattr(layers, name)(**arguments)(embedded)._keras_mask, embedded._keras_mask)


SHAPES = [
    ("SpatialDropout1D", {}, (20, 6, 30), (1,)),
    ("SpatialDropout2D", {}, (20, 6, 5, 30), (1, 2)),
    ("SpatialDropout2D", {"data_format": "channels_first"}, (20, 30, 6, 5), (2, 3)),
    ("SpatialDropout3D", {}, (20, 2, 3, 4, 30), (1, 2, 3)),
    ("SpatialDropout3D", {"data_format": "channels_first"}, (20, 30, 2, 3, 4), (2, 3, 4)),
]


@pytest.mark.parametrize("seed", [None, 3])
@pytest.mark.parametrize(("name", "arguments", "shape", "same"), SHAPES)
def test_whole_channels_are_dropped(name, arguments, shape, same, seed):
    y = getattr(layers, name)(0.4, seed=seed, **arguments)(torch.ones(shape), training=True)
    assert torch.equal(y.amax(same), y.amin(same))  # one value for each channel of each sample
    per_channel = y.amax(same)
    assert sorted(set(per_channel.flatten().tolist())) == pytest.approx([0.0, 1 / 0.6])
    assert (per_channel == 0).float().mean().item() == pytest.approx(0.4, abs=0.08)
    assert not torch.equal(per_channel[0], per_channel[1])


def test_alpha_dropout_keeps_mean_and_variance_and_has_keras_s_values():
    x = torch.randn(500, 400)
    y = layers.AlphaDropout(0.3, seed=1)(x, training=True)
    assert y.mean().item() == pytest.approx(0.0, abs=0.01)
    assert y.std().item() == pytest.approx(1.0, abs=0.01)
    theirs = keras.layers.AlphaDropout(0.3, seed=1)(x, training=True)
    dropped = theirs.min()  # the value of what is dropped, below all others here
    ones = torch.ones(50, 50)
    want = set(np.unique(keras.layers.AlphaDropout(0.3, seed=1)(ones, training=True).numpy().round(5)))
    got = set(np.unique(layers.AlphaDropout(0.3, seed=1)(ones, training=True).numpy().round(5)))
    assert got == want
    assert len(got) == 2
    assert (y == y.min()).float().mean().item() == pytest.approx((theirs == dropped).float().mean().item(), abs=0.3)


def test_alpha_dropout_of_a_noise_shape():
    y = layers.AlphaDropout(0.5, noise_shape=(None, 1), seed=1)(torch.ones(50, 7), training=True)
    assert torch.equal(y.amax(1), y.amin(1))
    assert len(set(y[:, 0].tolist())) == 2
    assert torch.equal(layers.AlphaDropout(1.0)(torch.ones(2, 2), training=True), torch.zeros(2, 2))


def test_gaussian_dropout_has_the_moments_of_dropout():
    y = layers.GaussianDropout(0.2)(torch.full((500, 400), 2.0), training=True)
    assert y.mean().item() == pytest.approx(2.0, abs=0.02)
    assert y.std().item() == pytest.approx(2.0 * 0.5, abs=0.02)


def test_activity_regularization_is_keras_s(rng):
    x = rng.normal(size=(4, 3)).astype("float32")
    ours, theirs = layers.ActivityRegularization(0.1, 0.2), keras.layers.ActivityRegularization(0.1, 0.2)
    assert np.array_equal(ours(torch.tensor(x)), x)
    theirs(torch.tensor(x))
    assert ours.losses[0].item() == pytest.approx(theirs.losses[0].item(), rel=1e-6)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: layers.AlphaDropout(1.5), "AlphaDropout .*`rate` must be a number from 0 to 1; got 1.5"),
        (lambda: layers.GaussianDropout("a"), "GaussianDropout .*`rate` must be a number"),
        (lambda: layers.SpatialDropout1D(-1), "SpatialDropout1D .*`rate` must be a number"),
        (lambda: layers.SpatialDropout2D(0.1, data_format="last"), "`data_format` must be"),
        (lambda: layers.SpatialDropout2D(0.1)(torch.ones(2, 3, 4)), "expected an input of rank 4"),
        (lambda: layers.Dropout(0.1, noise_shape="ab"), "`noise_shape` must be a tuple"),
        (lambda: layers.Dropout(0.1, noise_shape=(0, 1)), "`noise_shape` must be a tuple"),
        (lambda: layers.Dropout(0.1, noise_shape=(1,))(torch.ones(2, 2), training=True), "must have the rank"),
        (lambda: layers.AlphaDropout(0.1, seed=0.5), "`seed` must be an integer"),
        (lambda: layers.GaussianDropout(1.0)(torch.ones(2), training=True), "the noise is infinite"),
        (lambda: SeedGenerator("a"), "`seed` must be an integer"),
        (lambda: SeedGenerator(1, sead=2), "has no argument 'sead'"),
        (lambda: torch_generator("a"), "`seed` must be None, an integer or a SeedGenerator"),
    ],
)
def test_errors_say_what_is_wrong(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize("ordered", [True, False])
def test_seed_generator_counts_as_keras_s(ordered):
    ours, theirs = SeedGenerator(5), keras.random.SeedGenerator(5)
    for _ in range(4):
        np.testing.assert_array_equal(ours.next(ordered), theirs.next(ordered=ordered).numpy())
    np.testing.assert_array_equal(ours.state.numpy(), theirs.state.numpy())


def test_random_numbers_of_a_seed_are_keras_s():
    ours, theirs = SeedGenerator(123), keras.random.SeedGenerator(123)
    for _ in range(3):
        want = keras.random.uniform((4,), seed=theirs)
        assert torch.equal(torch.rand(4, generator=torch_generator(ours)), want)
    want = keras.random.normal((4,), seed=-7)
    assert torch.equal(torch.normal(0.0, 1.0, size=(4,), generator=torch_generator(-7)), want)


def test_seed_generator_without_a_seed_follows_set_random_seed():
    set_random_seed(3)
    one = SeedGenerator().next()
    set_random_seed(3)
    assert torch.equal(one, SeedGenerator().next())
    assert not torch.equal(one, SeedGenerator().next())


def test_seed_generator_config_copy_and_symbolic_use():
    seeds = SeedGenerator(9, name="noise")
    assert seeds.get_config() == {"seed": 9, "name": "noise"}
    seeds.next()
    assert SeedGenerator.from_config(seeds.get_config()).state.tolist() == [9, 0]
    copied = copy.deepcopy(seeds)
    copied.next()
    assert (seeds.state.tolist(), copied.state.tolist()) == ([9, 1], [9, 2])
    assert torch_generator(seeds, "meta") is None  # finding shapes uses up no seed
    assert seeds.state.tolist() == [9, 1]
    assert torch_generator(None) is None


def test_seed_generator_in_a_layer_of_one_s_own():
    class Jitter(layers.Layer):
        def __init__(self, **kwargs):
            super().__init__(**kwargs)
            self.seeds = SeedGenerator(1)

        def call(self, x):
            generator = torch_generator(self.seeds, x.device)
            return x + torch.empty_like(x).normal_(generator=generator)

    layer = Jitter()
    model = lamella.Model(inputs := lamella.Input((3,)), layer(inputs))
    assert layer.seeds.state.tolist() == [1, 0]
    x = torch.zeros(2, 3)
    assert not torch.equal(model(x), model(x))
    assert layer.seeds.state.tolist() == [1, 2]


SEEDED = {
    "Dropout": {"rate": 0.5},
    "GaussianNoise": {"stddev": 0.5},
    "SpatialDropout1D": {"rate": 0.5},
    "LSTM": {"units": 3, "dropout": 0.5, "recurrent_dropout": 0.5},
    "GRU": {"units": 3, "recurrent_dropout": 0.5},
}


@pytest.mark.parametrize("name", SEEDED)
def test_a_seed_and_training_in_a_functional_model(name):
    """Monte Carlo dropout: the noise is there in predict too, and goes on from call to call."""
    layer = getattr(layers, name)(**SEEDED[name], seed=1)
    inputs = lamella.Input((5, 4))
    model = lamella.Model(inputs, layer(inputs, training=True))
    x = np.random.default_rng(0).normal(size=(2, 5, 4)).astype("float32")
    first = model.predict(x, verbose=0)
    layer(inputs, training=True)  # finding shapes takes nothing from the sequence
    assert not np.array_equal(first, model.predict(x, verbose=0))

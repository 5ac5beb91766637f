"""Random numbers: Keras's for Keras's seeds, of the right distribution, type and shape."""

import inspect

import keras
import numpy as np
import pytest
import torch

import lamella
from lamella import random
from lamella.engine.symbolic import symbolic_input

NAMES = "beta binomial categorical dropout gamma normal randint shuffle truncated_normal uniform SeedGenerator"


def test_names_and_arguments_are_keras_s():
    names = {name for name in dir(keras.random) if not name.startswith("_")}
    assert names == set(random.__all__) == set(NAMES.split())
    for name in names:
        one, other = (
            [(p.name, p.default) for p in inspect.signature(getattr(module, name)).parameters.values()]
            for module in (random, keras.random)
        )
        assert one == other, name


@pytest.mark.parametrize(
    ("name", "args", "kwargs"),
    [
        ("normal", ((3, 4),), {}),
        ("normal", ((50,), 2.0, 3.0), {}),
        ("normal", ((5,),), {"dtype": "float64"}),
        ("uniform", ((3, 4),), {}),
        ("uniform", ((), -1.0, 5.0), {}),
        ("truncated_normal", ((30, 4), 1.0, 2.0), {}),
        ("randint", ((30,), -3, 9), {}),
        ("randint", ((30,), 0, 200), {"dtype": "int64"}),
        ("categorical", (np.float32([[0.1, 2.0, -1.0], [0.0, 0.0, 0.0]]), 20), {}),
        ("gamma", ((20,), 2.5), {}),
        ("binomial", ((20,), 9.0, 0.3), {}),
        ("dropout", (torch.ones(8, 9), 0.4), {}),
        ("dropout", (torch.ones(8, 9), 0.4), {"noise_shape": (None, 1)}),
    ],
)
def test_the_same_numbers_as_keras_for_a_seed(name, args, kwargs):
    ours = getattr(random, name)(*args, **kwargs, seed=1234)
    theirs = getattr(keras.random, name)(*args, **kwargs, seed=1234)
    assert ours.dtype == theirs.dtype and ours.shape == theirs.shape
    np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)
    ours, theirs = random.SeedGenerator(7), keras.random.SeedGenerator(7)
    for _ in range(2):
        one = getattr(random, name)(*args, **kwargs, seed=ours)
        other = getattr(keras.random, name)(*args, **kwargs, seed=theirs)
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)


DRAWS = {
    "normal": lambda seed: random.normal((500,), seed=seed),
    "uniform": lambda seed: random.uniform((500,), seed=seed),
    "truncated_normal": lambda seed: random.truncated_normal((500,), seed=seed),
    "randint": lambda seed: random.randint((500,), 0, 100, seed=seed),
    "gamma": lambda seed: random.gamma((500,), 2.0, seed=seed),
    "beta": lambda seed: random.beta((500,), 2.0, 3.0, seed=seed),
    "binomial": lambda seed: random.binomial((500,), 50, 0.5, seed=seed),
    "categorical": lambda seed: random.categorical(torch.zeros(2, 50), 250, seed=seed),
    "shuffle": lambda seed: random.shuffle(torch.arange(500), seed=seed),
    "dropout": lambda seed: random.dropout(torch.ones(500), 0.5, seed=seed),
}


@pytest.mark.parametrize("name", list(DRAWS))
def test_seeds(name):
    draw = DRAWS[name]
    assert torch.equal(draw(3), draw(3))  # an integer: the same at each call
    assert not torch.equal(draw(3), draw(4))
    one, two = random.SeedGenerator(3), random.SeedGenerator(3)
    first, second = draw(one), draw(one)
    assert not torch.equal(first, second)  # a generator goes on
    assert torch.equal(first, draw(two)) and torch.equal(second, draw(two))
    lamella.utils.set_random_seed(5)
    first, second = draw(None), draw(None)
    assert not torch.equal(first, second)
    lamella.utils.set_random_seed(5)
    assert torch.equal(first, draw(None))
    before = torch.get_rng_state()
    draw(3)
    assert torch.equal(before, torch.get_rng_state())  # a seeded call leaves torch's generator alone


@pytest.mark.parametrize(
    ("numbers", "mean", "deviation"),
    [
        (lambda: random.normal((200_000,), 2.0, 3.0, seed=0), 2.0, 3.0),
        (lambda: random.uniform((200_000,), -1.0, 3.0, seed=0), 1.0, 4 / 12**0.5),
        (lambda: random.truncated_normal((200_000,), seed=0), 0.0, 0.8796),
        (lambda: random.randint((200_000,), 2, 12, seed=0), 6.5, (99 / 12) ** 0.5),
        (lambda: random.gamma((200_000,), 4.0, seed=0), 4.0, 2.0),
        (lambda: random.beta((200_000,), 2.0, 3.0, seed=0), 0.4, 0.2),
        (lambda: random.binomial((200_000,), 10, 0.3, seed=0), 3.0, 2.1**0.5),
        (lambda: random.dropout(torch.ones(200_000), 0.3, seed=0), 1.0, (0.3 / 0.7) ** 0.5),
        (lambda: random.dropout(torch.ones(200_000), 0.3), 1.0, (0.3 / 0.7) ** 0.5),
    ],
)
def test_distributions(numbers, mean, deviation):
    numbers = numbers().double()
    assert float(numbers.mean()) == pytest.approx(mean, abs=5 * deviation / 200_000**0.5)
    assert float(numbers.std()) == pytest.approx(deviation, rel=0.01)


def test_the_shares_of_classes():
    chances = torch.tensor([[0.1, 0.2, 0.7], [0.5, 0.5, 0.0]])
    found = random.categorical(torch.log(chances), 50_000, seed=0)
    shares = torch.stack([(found == k).float().mean(1) for k in range(3)], 1)
    np.testing.assert_allclose(shares, chances, atol=0.01)


def test_parameters_broadcast():
    found = random.binomial((1000, 2), np.array([4, 400]), np.array([0.5, 0.5]), seed=0)
    np.testing.assert_allclose(found.mean(0), [2, 200], rtol=0.05)
    assert random.gamma((2, 3), torch.ones(3), seed=0).shape == (2, 3)
    assert random.beta((2, 3), torch.ones(2, 1), 2.0, seed=0).shape == (2, 3)
    np.testing.assert_allclose(random.normal((5000, 2), torch.tensor([0.0, 9.0]), seed=0).mean(0), [0, 9], atol=0.1)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float64", None])
def test_types(dtype):
    wanted = getattr(torch, dtype or "float32")
    assert random.normal((2,), dtype=dtype, seed=0).dtype == wanted
    assert random.uniform((2,), dtype=dtype, seed=0).dtype == wanted
    assert random.truncated_normal((2,), dtype=dtype, seed=0).dtype == wanted
    assert random.gamma((2,), 1.0, dtype=dtype, seed=0).dtype == wanted
    assert random.beta((2,), 1.0, 1.0, dtype=dtype, seed=0).dtype == wanted
    assert random.binomial((2,), 3, 0.5, dtype=dtype, seed=0).dtype == wanted


def test_shuffle_moves_whole_slices():
    x = torch.arange(24).reshape(6, 4)
    rows = random.shuffle(x, seed=0)
    assert sorted(rows.tolist()) == x.tolist() and rows.tolist() != x.tolist()
    columns = random.shuffle(x, axis=1, seed=0)
    assert sorted(columns.T.tolist()) == x.T.tolist()


def test_dropout_has_a_gradient_and_its_edges():
    x = torch.ones(100, requires_grad=True)
    y = random.dropout(x, 0.5, seed=0)
    assert torch.equal(torch.autograd.grad(y.sum(), x)[0], y)
    assert torch.equal(random.dropout(x, 0.0), x)
    assert not random.dropout(x, 1.0).any()
    assert random.dropout(torch.arange(4), 0.5, seed=1).dtype == torch.float32


def test_in_models():
    seeds = random.SeedGenerator(0)

    class Noisy(lamella.layers.Layer):
        def call(self, inputs):
            noise = random.normal(inputs.shape, seed=seeds) + random.gamma(inputs.shape, 2.0, seed=seeds)
            return random.dropout(inputs + 0 * noise, 0.5, seed=seeds)

    inputs = lamella.Input((3,))
    assert Noisy()(inputs).shape == (None, 3)
    assert seeds.next().tolist() == [0, 0]  # finding shapes draws no seed
    x = symbolic_input((None, 3))
    assert random.dropout(x, 0.5).shape == (None, 3)
    assert random.shuffle(x).shape == (None, 3)
    assert random.categorical(x, 4).shape == (None, 4)
    model = lamella.Model(inputs, random.dropout(Noisy()(inputs), 0.5, seed=seeds))
    assert model.predict(np.ones((4, 3), "float32"), verbose=0).shape == (4, 3)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: random.normal((2,), dtype="int32"), "Use random.randint"),
        (lambda: random.uniform((2,), dtype="int32"), "Use random.randint"),
        (lambda: random.randint((2,), 0, 1, dtype="float32"), "Use random.uniform"),
        (lambda: random.categorical([0.0, 1.0], 2), r"takes logits \(batch, classes\)"),
        (lambda: random.dropout(torch.ones(2), 1.5), "from 0 to 1"),
        (lambda: random.dropout(torch.ones(2), 0.5, noise_shape=(1, 1)), "must have 1 sizes"),
        (lambda: random.normal((2,), seed="a"), "`seed` must be"),
    ],
)
def test_errors_say_what_is_wrong(make, message):
    with pytest.raises(ValueError, match=message):
        make()

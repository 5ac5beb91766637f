"""Every initializer draws from the distribution that real Keras draws from."""

import inspect
import json

import numpy as np
import pytest
import torch

from lamella import initializers, random
from lamella.errors import ArgumentError, ShapeError, UnknownNameError

keras = pytest.importorskip("keras")

SHAPES = [(300, 200), (3, 3, 40, 50), (5000,)]

RANDOM = [
    ("RandomNormal", {"mean": 1.0, "stddev": 0.3}),
    ("RandomUniform", {"minval": -1.0, "maxval": 2.0}),
    ("TruncatedNormal", {"mean": 0.5, "stddev": 0.3}),
    ("VarianceScaling", {}),
    ("VarianceScaling", {"scale": 3.0, "mode": "fan_out", "distribution": "uniform"}),
    ("VarianceScaling", {"mode": "fan_avg", "distribution": "untruncated_normal"}),
    *[(name, {}) for name in ("GlorotNormal", "GlorotUniform", "HeNormal", "HeUniform", "LecunNormal", "LecunUniform")],
]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize(("name", "arguments"), RANDOM, ids=[f"{n}-{'-'.join(a)}" for n, a in RANDOM])
def test_distribution(name, arguments, shape):
    ours = getattr(initializers, name)(**arguments)(shape).flatten().numpy()
    theirs = getattr(keras.initializers, name)(**arguments, seed=1)(shape).detach().cpu().numpy().flatten()
    spread = theirs.std()
    assert ours.mean() == pytest.approx(theirs.mean(), abs=6 * spread / np.sqrt(ours.size))
    assert ours.std() == pytest.approx(spread, rel=6 / np.sqrt(ours.size))
    # The largest distance between the two distribution functions (Kolmogorov-Smirnov, far below one in a million).
    grid = np.sort(np.concatenate([ours, theirs]))
    steps = [np.searchsorted(np.sort(values), grid, side="right") / values.size for values in (ours, theirs)]
    assert np.abs(steps[0] - steps[1]).max() < 2.7 * np.sqrt(2 / ours.size)


@pytest.mark.parametrize(
    ("name", "arguments", "shape"),
    [
        ("Zeros", {}, (2, 3)),
        ("Ones", {}, (2, 3)),
        ("Constant", {"value": 3.5}, (2, 3)),
        ("Identity", {"gain": 2.0}, (3, 4)),
        ("STFT", {}, (16, 1, 9)),
        ("STFT", {"side": "imag", "window": "hamming", "scaling": "spectrum", "periodic": True}, (16, 1, 9)),
        ("STFT", {"window": None, "scaling": None}, (8, 1, 5)),
    ],
)
def test_fixed_values(name, arguments, shape):
    ours = getattr(initializers, name)(**arguments)(shape)
    theirs = getattr(keras.initializers, name)(**arguments)(shape)
    np.testing.assert_allclose(ours.numpy(), theirs.detach().cpu().numpy(), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("shape", [(6, 4), (4, 6), (3, 3, 2, 5)])
def test_orthogonal(shape):
    matrix = initializers.Orthogonal(gain=2.0)(shape).reshape(-1, shape[-1])
    small = matrix.T @ matrix if matrix.shape[0] >= matrix.shape[1] else matrix @ matrix.T
    torch.testing.assert_close(small, 4.0 * torch.eye(len(small)), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("shape", [(), (7,), (3, 4), (5, 3, 4), (3, 3, 8, 16)])
def test_fans(shape):
    from keras.src.initializers.random_initializers import compute_fans

    assert initializers.compute_fans(shape) == compute_fans(shape)


@pytest.mark.parametrize(("name", "arguments"), RANDOM, ids=[f"{n}-{'-'.join(a)}" for n, a in RANDOM])
def test_seeds_and_configs(name, arguments):
    make = getattr(initializers, name)
    seeded = make(**arguments, seed=5)
    assert torch.equal(seeded((4, 5)), seeded((4, 5)))
    assert torch.equal(seeded((4, 5)), make(**arguments, seed=5)((4, 5)))
    assert not torch.equal(seeded((4, 5)), make(**arguments, seed=6)((4, 5)))
    unseeded = make(**arguments)
    assert not torch.equal(unseeded((4, 5)), unseeded((4, 5)))
    theirs = getattr(keras.initializers, name)(**arguments, seed=5)
    assert initializers.serialize(seeded) == keras.initializers.serialize(theirs)
    assert torch.equal(initializers.deserialize(keras.initializers.serialize(theirs))((4, 5)), seeded((4, 5)))


@pytest.mark.parametrize("name", sorted(n for n in dir(keras.initializers) if not n.startswith("_")))
def test_every_name_of_keras_is_here(name):
    assert hasattr(initializers, name)
    if inspect.isclass(getattr(keras.initializers, name)) and name[0].isupper() and name != "Initializer":
        theirs = list(inspect.signature(getattr(keras.initializers, name)).parameters)
        ours = list(inspect.signature(getattr(initializers, name)).parameters)
        assert set(theirs) <= set(ours)
        assert initializers.get(name) is not None


def test_get():
    values = np.arange(6.0).reshape(2, 3)
    assert initializers.get(values)((2, 3)).dtype is torch.float32
    with pytest.raises(ValueError, match="the weight has shape"):
        initializers.get(values)((3, 2))
    with pytest.raises(ValueError, match="Did you mean 'he_normal'"):
        initializers.get("he_norml")
    with pytest.raises(ValueError, match="scale must be positive"):
        initializers.VarianceScaling(0.0)


FIXED = [
    ("Zeros", {}),
    ("Ones", {}),
    ("Constant", {"value": 3.5}),
    ("Constant", {"value": np.array([1.0, 2.0, 3.0])}),
    ("Identity", {"gain": 2.0}),
    ("STFT", {"side": "imag", "window": None, "scaling": "spectrum", "periodic": True}),
    ("STFT", {"window": np.linspace(0.0, 1.0, 3)}),
]
ALL = [*RANDOM, *FIXED, ("Orthogonal", {"gain": 2.0})]
ALL_IDS = [f"{n}-{'-'.join(a)}" for n, a in ALL]


def shape_for(name):
    return (3, 1, 3) if name == "STFT" else (3, 3)


@pytest.mark.parametrize(
    ("name", "arguments", "bound"),
    [
        ("RandomUniform", {"minval": -0.3, "maxval": 0.3}, 0.3),
        ("TruncatedNormal", {"stddev": 0.5}, 1.0),
        ("GlorotUniform", {}, np.sqrt(6 / 150)),
        ("HeUniform", {}, np.sqrt(6 / 100)),
        ("LecunUniform", {}, np.sqrt(3 / 100)),
        ("GlorotNormal", {}, 2 * np.sqrt(1 / 75) / 0.87962566),
        ("HeNormal", {}, 2 * np.sqrt(2 / 100) / 0.87962566),
        ("LecunNormal", {}, 2 * np.sqrt(1 / 100) / 0.87962566),
    ],
)
def test_bounds(name, arguments, bound):
    largest = max(float(getattr(initializers, name)(**arguments)((100, 50)).abs().max()) for _ in range(4))
    assert 0.97 * bound < largest <= bound * (1 + 1e-6)


@pytest.mark.parametrize("distribution", ["uniform", "truncated_normal", "untruncated_normal"])
@pytest.mark.parametrize(("mode", "fan"), [("fan_in", 9 * 8), ("fan_out", 9 * 64), ("fan_avg", 9 * 36)])
def test_variance_of_a_convolution_kernel(mode, fan, distribution):
    kernel = initializers.VarianceScaling(2.0, mode, distribution, seed=3)((3, 3, 8, 64))
    assert float(kernel.var()) * fan == pytest.approx(2.0, rel=0.08)
    assert float(kernel.mean()) == pytest.approx(0.0, abs=6 * np.sqrt(2.0 / fan / kernel.numel()))


@pytest.mark.parametrize(
    ("shape", "inputs", "outputs"),
    [
        ((4, 5, 6), (0,), (1, 2)),
        ((4, 5, 6), (0, 1), (2,)),
        ((4, 5, 6), (0,), (2,)),
        ((4, 5, 6), (-1,), (0,)),
        ((4, 5, 6), (0,), None),
        ((4, 5, 6), None, (2,)),
    ],
    ids=str,
)
def test_fans_along_given_axes(shape, inputs, outputs):
    from keras.src.initializers.random_initializers import compute_fans

    assert initializers.compute_fans(shape, inputs, outputs) == compute_fans(shape, inputs, outputs)


def test_given_axes_reach_the_distribution():
    per_head = initializers.HeUniform(seed=0, input_axes=[0], output_axes=[1, 2])((50, 8, 40))
    assert 0.99 * np.sqrt(6 / 50) < per_head.abs().max() <= np.sqrt(6 / 50)


@pytest.mark.parametrize("dtype", ["float64", "float32", "bfloat16", "float16"])
@pytest.mark.parametrize(("name", "arguments"), ALL, ids=ALL_IDS)
def test_dtype(name, arguments, dtype):
    values = getattr(initializers, name)(**arguments)(shape_for(name), dtype=dtype)
    assert values.dtype is getattr(torch, dtype)
    assert torch.isfinite(values).all()
    assert getattr(initializers, name)(**arguments)(shape_for(name)).dtype is torch.float32


def test_double_precision_is_drawn_in_double_precision():
    q = initializers.Orthogonal(seed=0)((20, 20), dtype="float64")
    torch.testing.assert_close(q @ q.T, torch.eye(20, dtype=torch.float64), rtol=0, atol=1e-13)
    for name in ("TruncatedNormal", "HeNormal", "RandomNormal", "GlorotUniform"):
        values = getattr(initializers, name)(seed=0)((100,), dtype="float64")
        assert not torch.equal(values, values.float().double())


def test_orthogonal_is_uniform_over_the_rotations():
    ours = torch.stack([initializers.Orthogonal()((3, 3)) for _ in range(150)])
    # Each entry has mean 0 and variance 1/3; without the sign correction the first one has mean -1/2.
    assert ours.mean(0).abs().max() < 5 * np.sqrt(1 / 3 / 150)
    torch.testing.assert_close(ours.square().mean(0), torch.full((3, 3), 1 / 3), rtol=0, atol=0.1)


def test_unseeded_values_follow_the_global_seed():
    drawn = []
    for _ in range(2):
        torch.manual_seed(11)
        initializers.HeNormal(seed=3)((5,))  # a seed of its own leaves the global generator alone
        drawn.append(initializers.GlorotUniform()((4, 5)))
    torch.manual_seed(11)
    assert torch.equal(drawn[0], drawn[1])
    assert torch.equal(drawn[0], initializers.GlorotUniform()((4, 5)))


@pytest.mark.parametrize(("name", "arguments"), ALL, ids=ALL_IDS)
def test_config_goes_through_json_and_to_keras(name, arguments):
    if name not in {name for name, _ in FIXED}:
        arguments = {**arguments, "seed": np.int64(5)}
    ours = getattr(initializers, name)(**arguments)
    shape = shape_for(name)
    config = json.loads(json.dumps(initializers.serialize(ours)))
    from_keras = keras.initializers.serialize(keras.initializers.deserialize(config))
    assert config["class_name"] == from_keras["class_name"] == name
    if name == "Identity":  # Keras forgets the gain
        from_keras["config"]["gain"] = 2.0
    for again in (initializers.deserialize(config), initializers.get(from_keras), ours.clone()):
        assert type(again) is type(ours)
        torch.testing.assert_close(again(shape), ours(shape), rtol=0, atol=0)


@pytest.mark.parametrize(("name", "arguments"), FIXED, ids=[f"{n}-{'-'.join(a)}" for n, a in FIXED])
def test_config_of_fixed_values_from_keras(name, arguments):
    theirs = getattr(keras.initializers, name)(**arguments)
    config = json.loads(json.dumps(keras.initializers.serialize(theirs)))
    if name == "Identity":  # Keras forgets the gain
        config["config"].setdefault("gain", 2.0)
    ours = initializers.get(config)
    torch.testing.assert_close(ours(shape_for(name)), theirs(shape_for(name)), rtol=1e-5, atol=1e-6)


def test_every_name_that_keras_gets():
    from keras.src.initializers import ALL_OBJECTS_DICT

    for name, cls in ALL_OBJECTS_DICT.items():
        assert type(initializers.get(name)).__name__ == cls.__name__
        assert type(initializers.get({"class_name": name, "config": {}})).__name__ == cls.__name__


def test_get_of_other_things():
    assert initializers.get(None) is None
    assert type(initializers.get(initializers.HeNormal)) is initializers.HeNormal
    made = initializers.Ones()
    assert initializers.get(made) is made
    assert initializers.get(torch.zeros) is torch.zeros
    values = torch.tensor([1.0, 2.0])
    given = initializers.get(values)((2,))
    given += 1  # the weight is a copy: training it must not change the values given
    assert values.tolist() == [1.0, 2.0]
    assert initializers.get(np.float32(3.0))(()) == 3.0


def test_an_initializer_of_ones_own():
    class Sevens(initializers.Initializer):
        def __call__(self, shape, dtype=None):
            return torch.full(tuple(shape), 7.0)

    again = initializers.deserialize(initializers.serialize(Sevens()), {"Sevens": Sevens})
    assert torch.equal(again((2,)), torch.tensor([7.0, 7.0]))


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: initializers.get("glorot"), UnknownNameError, "Unknown initializer 'glorot'. Did you mean"),
        (lambda: initializers.get(3.0), ArgumentError, "Cannot make an? initializer of 3.0"),
        (lambda: initializers.VarianceScaling(-1.0), ArgumentError, "scale must be positive; got -1.0"),
        (lambda: initializers.VarianceScaling(mode="fan"), ArgumentError, "mode must be .*'fan_avg'; got 'fan'"),
        (lambda: initializers.VarianceScaling(distribution="x"), ArgumentError, "distribution must be .* got 'x'"),
        (
            lambda: initializers.HeNormal(seed="a"),
            ArgumentError,
            "a SeedGenerator or None; got 'a'",
        ),
        (lambda: initializers.Identity()((2, 3, 4)), ShapeError, r"two dimensions, got \(2, 3, 4\)"),
        (lambda: initializers.Orthogonal()((3,)), ShapeError, r"two dimensions or more, got \(3,\)"),
        (lambda: initializers.STFT("up"), ArgumentError, "side must be 'real' or 'imag'; got 'up'"),
        (lambda: initializers.STFT(scaling="up"), ArgumentError, "scaling must be .*; got 'up'"),
        (lambda: initializers.STFT(window=[1.0, 2.0])((3, 1, 3)), ShapeError, r"shape \(3,\); got \(2,\)"),
    ],
)
def test_refused(make, error, message):
    with pytest.raises(error, match=message):
        make()


def test_a_seed_generator_gives_others_at_each_call_and_the_same_sequence_again():
    first, second = (initializers.RandomNormal(seed=random.SeedGenerator(7)) for _ in range(2))
    a, b = first((3, 4)), first((3, 4))
    assert not torch.equal(a, b)
    assert torch.equal(second((3, 4)), a) and torch.equal(second((3, 4)), b)
    again = initializers.deserialize(json.loads(json.dumps(initializers.serialize(first))))
    assert torch.equal(again((3, 4)), a)
    assert torch.equal(first.clone()((3, 4)), a)  # a generator of its own
    config = initializers.GlorotUniform(seed=random.SeedGenerator(7)).get_config()
    assert json.loads(json.dumps(config))["seed"]["config"]["seed"] == 7

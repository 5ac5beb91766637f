"""Every initializer draws from the distribution that real Keras draws from."""

import inspect

import numpy as np
import pytest
import torch

from lamella import initializers

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

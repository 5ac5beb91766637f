"""`predict`: one batch goes a short way, and gives what the long way gives."""

import numpy as np
import pytest
import torch

import lamella
from lamella import layers
from lamella.errors import DataError, ShapeError

keras = pytest.importorskip("keras")


def sequential():
    lamella.utils.set_random_seed(1)
    return lamella.Sequential(
        [
            lamella.Input((6,)),
            layers.Dense(5, "relu"),
            layers.Dropout(0.5),
            layers.BatchNormalization(),
            layers.Dense(3, "softmax"),
        ]
    )


def two_outputs():
    lamella.utils.set_random_seed(1)
    inputs = lamella.Input((6,))
    return lamella.Model(inputs, {"a": layers.Dense(2)(inputs), "b": [inputs * 2]})


@pytest.mark.parametrize("make", [sequential, two_outputs])
@pytest.mark.parametrize("kind", ["float32", "float64", "int32", "uint8"])
@pytest.mark.parametrize("count", [1, 7])
def test_the_short_way_and_the_long_way(make, kind, count):
    model = make()
    x = (np.random.default_rng(0).random((count, 6)) * 9).astype(kind)
    long_way = model.predict(x, verbose=0, callbacks=[])
    for short_way in (model.predict(x, verbose=0), model.predict_on_batch(x)):
        for one, other in zip(_leaves(short_way), _leaves(long_way), strict=True):
            assert type(one) is np.ndarray and one.dtype == other.dtype
            np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)


def _leaves(structure):
    return torch.utils._pytree.tree_leaves(structure)


def test_errors_are_those_of_the_long_way():
    model = sequential()
    holes = np.ones((3, 6), "float32")
    holes[1, 2] = np.nan
    with pytest.raises(DataError, match="sample 1, feature 2"):
        model.predict(holes, verbose=0)
    with pytest.raises(ShapeError, match=r"\(None, 6\)"):
        model.predict(np.ones((2, 5), "float32"), verbose=0)
    with pytest.raises(DataError):
        model.predict(np.ones((0, 6), "float32"), verbose=0)


def test_what_watches_is_not_passed_by():
    model, seen = sequential(), []
    model.register_forward_hook(lambda *_: seen.append("hook"))
    model.predict(np.ones((2, 6), "float32"), verbose=0)

    class Own(lamella.Sequential):
        def predict_step(self, data):
            seen.append("step")
            return super().predict_step(data)

    Own([lamella.Input((6,)), layers.Dense(1)]).predict(np.ones((2, 6), "float32"), verbose=0)
    assert "hook" in seen and seen[-1] == "step"


@pytest.mark.parametrize("k", [lamella, keras], ids=["lamella", "keras"])
def test_a_step_of_ones_own_predicts_single_batches_too(k):
    class Twice(k.Sequential):
        def predict_step(self, data):
            return 2 * super().predict_step(data)

    model, x = Twice([k.Input((6,)), k.layers.Dense(1)]), np.ones((2, 6), "float32")
    expected = 2 * model(x).detach().numpy()
    np.testing.assert_allclose(model.predict_on_batch(x), expected, rtol=1e-6)
    np.testing.assert_allclose(model.predict(x, verbose=0), expected, rtol=1e-6)

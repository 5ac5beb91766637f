"""`assign` takes values of a weight's own shape, or one number."""

import numpy as np
import pytest

import lamella
from lamella.errors import ShapeError


@pytest.fixture
def kernel():
    layer = lamella.layers.Dense(3, name="d")
    layer.build((None, 4))
    return layer.kernel


@pytest.mark.parametrize("shape", [(3, 4), (1, 3), (4, 1), (3,), (1,), (1, 4, 3)])
def test_another_shape_is_refused_and_changes_nothing(kernel, shape):
    before = kernel.numpy()
    with pytest.raises(ShapeError, match=r"'d/kernel' has shape \(4, 3\)"):
        kernel.assign(np.ones(shape))
    np.testing.assert_array_equal(kernel.numpy(), before)


def test_its_own_shape_and_one_number(kernel):
    kernel.assign(np.arange(12).reshape(4, 3))
    assert kernel.numpy()[3, 2] == 11
    kernel.assign(2.0)
    assert (kernel.numpy() == 2).all()


def test_states_of_metrics():
    mean = lamella.metrics.Mean()
    mean.total.assign(3.0)
    with pytest.raises(ShapeError):
        mean.total.assign([1.0, 2.0])


def test_a_specification_shows_what_it_asks_for():
    assert repr(lamella.layers.InputSpec(ndim=3)) == "InputSpec(ndim=3)"
    assert repr(lamella.layers.InputSpec(min_ndim=2, axes={-1: 4})) == "InputSpec(min_ndim=2, axes={-1: 4})"

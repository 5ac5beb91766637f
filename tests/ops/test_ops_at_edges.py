"""Ops where numbers lie on edges, counts do not fit and axes are several: against NumPy and real Keras."""

import keras
import numpy as np
import pytest
import torch

from lamella import ops


@pytest.mark.parametrize("kind", ["float32", "float64"])
@pytest.mark.parametrize("bins", [3, 5, 7, 10, 49])
def test_a_histogram_of_numbers_on_the_edges_of_bins(kind, bins):
    x = np.arange(bins * 2 + 1).astype(kind)
    counts, edges = ops.histogram(x, bins)
    wanted = np.histogram(x, bins)
    np.testing.assert_array_equal(counts, wanted[0])
    np.testing.assert_allclose(edges, wanted[1], rtol=1e-6)


def test_a_histogram_of_many_numbers():
    x = np.random.default_rng(0).normal(size=5000)
    np.testing.assert_array_equal(ops.histogram(x, 40)[0], np.histogram(x, 40)[0])
    single = torch.tensor(x, dtype=torch.float32)
    assert torch.equal(ops.histogram(single, 37)[0], keras.ops.histogram(single, 37)[0])


def test_repeats_that_do_not_fit():
    with pytest.raises(ValueError, match="2 `repeats` do not fit the 3 items"):
        ops.repeat([1, 2, 3], [1, 2])
    assert ops.repeat([1, 2, 3], [1, 2, 0]).tolist() == [1, 2, 2]


def test_rolling_along_several_axes():
    x = np.arange(12).reshape(3, 4)
    np.testing.assert_array_equal(ops.roll(x, 1, axis=(0, 1)), np.roll(x, 1, axis=(0, 1)))


def test_axes_out_of_range():
    x = np.ones((3, 4), "float32")
    for call in (lambda: ops.take(x, [0], axis=5), lambda: ops.sort(x, axis=2), lambda: ops.repeat(x, 2, axis=-3)):
        with pytest.raises(ValueError, match="out of range"):
            call()


def test_sizes_that_are_no_whole_numbers():
    for sizes in ((3.0,), (3, 2.0), (torch.tensor(2.5),)):
        for room in (ops, keras.ops):
            with pytest.raises(TypeError):
                room.eye(*sizes)
    assert ops.eye(np.int64(2), torch.tensor(3)).shape == (2, 3)


@pytest.mark.parametrize("kind", ["float16", "bfloat16", "float32", "int32", "bool"])
def test_one_number_divided_by_another(kind):
    x = torch.ones((), dtype=getattr(torch, kind))
    for pair in ((x, 2.0), (2.0, x), (x, 2), (2, x)):
        ours, theirs = ops.divide(*pair), keras.ops.divide(*pair)
        assert ours.dtype == theirs.dtype and ours == theirs


def test_gradients_flow_through_lists_of_lists_of_tensors():
    a, b = torch.tensor(2.0, requires_grad=True), torch.tensor(3.0)
    total = ops.sum(ops.convert_to_tensor([[a, b], [1, a]]) * ops.array([[1.0, 10.0], [100.0, 1000.0]]))
    total.backward()
    assert total.item() == 2132 and a.grad.item() == 1001

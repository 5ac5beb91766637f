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


@pytest.mark.parametrize("name", ["median", "nanmedian", "nanmean", "nanvar", "nanstd", "var", "std"])
@pytest.mark.parametrize("value", [2, True, 1.5, np.inf, np.nan])
def test_reductions_of_one_number(name, value):
    ours, theirs = getattr(ops, name)(torch.tensor(value)), getattr(keras.ops, name)(torch.tensor(value))
    assert ours.dtype == theirs.dtype
    np.testing.assert_array_equal(ours, theirs)
    assert getattr(ops, name)(torch.tensor(value), keepdims=True).shape == ()


def test_a_weight_of_zero_for_one_number():
    assert torch.isnan(ops.average(torch.tensor(2.0), weights=torch.tensor(0.0)))
    assert ops.average(torch.tensor(2.0), weights=torch.tensor(3.0)) == 2


@pytest.mark.parametrize("name", ["max", "min", "amax", "amin"])
def test_extremes_along_an_axis_beside_an_empty_one(name):
    x = torch.zeros(3, 0)
    for keepdims in (False, True):
        ours = getattr(ops, name)(x, axis=0, keepdims=keepdims)
        assert ours.shape == getattr(np, name)(x.numpy(), axis=0, keepdims=keepdims).shape
    with pytest.raises(ValueError, match="nothing"):
        getattr(ops, name)(x, axis=1)


def test_counts_of_nothing():
    assert ops.bincount(np.zeros(0, "int32")).shape == (0,)
    assert ops.bincount(np.zeros(0, "int32"), minlength=3).tolist() == [0, 0, 0]
    assert ops.bincount(np.zeros((2, 0), "int32"), minlength=1).tolist() == [[0], [0]]


def test_short_floats_are_normalized():
    x = torch.tensor([[3.0, 4.0], [0.0, 0.0]], dtype=torch.float16)
    found = ops.normalize(x)
    assert torch.equal(found[0], keras.ops.normalize(x)[0])
    assert found[1].tolist() == [0, 0]  # Keras: NaN


def test_types_that_meet_in_a_cross_entropy():
    target, output = torch.tensor([0.25, 1.0]), torch.tensor([0.5, 2.0], dtype=torch.float16)
    ours, theirs = (room.binary_crossentropy(target, output, from_logits=True) for room in (ops, keras.ops))
    assert ours.dtype == theirs.dtype == torch.float32
    torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-3)


def test_whole_numbers_in_sparse_plus():
    assert ops.sparse_plus(torch.tensor([-3, 0, 2])).tolist() == [0, 0.25, 2]


@pytest.mark.parametrize("kind", [torch.uint16, torch.uint32])
def test_unsigned_tensors_are_computed_in_the_next_wider_type(kind):
    x = torch.tensor([[1, 2], [3, 4]]).to(kind)
    wider = torch.int32 if kind is torch.uint16 else torch.int64
    assert ops.add(x, x).dtype is wider and ops.add(x, x).tolist() == [[2, 4], [6, 8]]
    for name, wanted in (("cumsum", [1, 3, 6, 10]), ("median", 2.5), ("prod", 24), ("max", 4)):
        assert getattr(ops, name)(x).tolist() == wanted
    assert ops.matmul(x, x).tolist() == [[7, 10], [15, 22]]


@pytest.mark.parametrize("ends", [(8, 1), (1, 1000), (-2, -128), (3, 7)])
@pytest.mark.parametrize("num", [0, 1, 2, 5])
@pytest.mark.parametrize("endpoint", [True, False])
def test_geometric_steps_are_exact_at_their_ends(ends, num, endpoint):
    for kind in ("int32", "float32"):
        wanted = np.geomspace(*ends, num, endpoint=endpoint)
        found = ops.geomspace(*ends, num, endpoint=endpoint, dtype=kind)
        np.testing.assert_allclose(found, wanted.astype(kind), rtol=1e-6)


def test_no_step_between_no_numbers():
    assert torch.isnan(ops.linspace(0.0, 3.0, 0, retstep=True)[1])


def test_a_sparsemax_of_large_short_floats():
    found = ops.sparsemax(torch.tensor([[60.0, 60.0, 60.0, -60.0]], dtype=torch.float16))
    np.testing.assert_allclose(found, [[1 / 3, 1 / 3, 1 / 3, 0]], atol=1e-3)

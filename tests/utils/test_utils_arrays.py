"""to_categorical, normalize, pad_sequences and the seed, against real Keras."""

import random

import numpy as np
import pytest
import torch

from lamella import utils
from lamella.errors import ArgumentError, DataError

keras = pytest.importorskip("keras")


@pytest.mark.parametrize(
    ("x", "num_classes"),
    [
        ([0, 2, 1], None),
        ([0, 2, 1], 5),
        (np.array([[0], [3]]), None),
        (np.array([[0, 1], [3, 2]]), None),
        (np.array([[[1], [0]], [[2], [2]]]), 4),
        (np.array([0.0, 1.0, 2.0]), None),
        (np.array([1, 0], "uint8"), 2),
        (2, 4),
    ],
)
def test_to_categorical_like_keras(x, num_classes):
    expected = keras.utils.to_categorical(x, num_classes)
    found = utils.to_categorical(x, num_classes)
    assert found.dtype == expected.dtype
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("shape", [(4,), (4, 1), (2, 3)])
def test_to_categorical_of_a_tensor_is_a_tensor(shape, rng):
    x = torch.from_numpy(rng.integers(0, 5, shape))
    found = utils.to_categorical(x, 5)
    assert found.dtype == torch.float32  # what losses take; Keras on torch gives whole numbers
    assert torch.equal(found, keras.utils.to_categorical(x, 5).cpu().float())


def test_to_categorical_of_many_classes_takes_memory_for_the_rows_only():
    found = utils.to_categorical([3, 10**6], 10**6 + 1)  # a square of that side would have 8 TB
    assert found.shape == (2, 10**6 + 1)
    assert found.sum() == 2 and found[0, 3] == found[1, 10**6] == 1


@pytest.mark.parametrize(("x", "num_classes", "found"), [([0, 3], 3, "0 to 3"), ([-1, 1], None, "-1 to 1")])
def test_to_categorical_refuses_classes_that_do_not_exist(x, num_classes, found):
    with pytest.raises(DataError, match=found):
        utils.to_categorical(x, num_classes)


@pytest.mark.parametrize("shape", [(4,), (3, 4), (2, 3, 4)])
@pytest.mark.parametrize("order", [1, 2, np.inf])
def test_normalize_like_keras(shape, order, rng):
    x = rng.normal(size=shape)
    x[(0,) * (len(shape) - 1)] = 0  # a row of zeros stays one
    np.testing.assert_allclose(utils.normalize(x, order=order), keras.utils.normalize(x, order=order))


def test_normalize_along_another_axis(rng):
    x = rng.normal(size=(3, 4))
    np.testing.assert_allclose(np.linalg.norm(utils.normalize(x, axis=0), axis=0), np.ones(4))


@pytest.mark.parametrize(("axis", "order"), [(-1, 2), (-1, 1), (1, 2), (0, 3)])
def test_normalize_of_a_tensor_is_a_tensor(axis, order, rng):
    x = torch.from_numpy(rng.normal(size=(3, 4)).astype("float32"))
    x[1] = 0
    found = utils.normalize(x, axis=axis, order=order)
    assert isinstance(found, torch.Tensor)
    expected = keras.utils.normalize(x, axis=axis, order=order).cpu()
    np.testing.assert_allclose(found.numpy(), expected.numpy(), rtol=1e-5, atol=1e-6)


SEQUENCES = {
    "lists": [[1], [2, 3], [4, 5, 6], []],
    "arrays": [np.arange(4), np.arange(2), np.arange(7)],
    "tuples": ((1, 2), (3,)),
    "floats": [[0.5, 1.5], [2.5]],
    "vectors": [[[1, 2]], [[3, 4], [5, 6]], [[7, 8], [9, 10], [11, 12]]],
    "empty first": [[], [[1, 2], [3, 4]]],
    "words": [["a"], ["bee", "c"]],
}


@pytest.mark.parametrize("name", SEQUENCES)
@pytest.mark.parametrize("maxlen", [None, 1, 2, 5])
@pytest.mark.parametrize("padding", ["pre", "post"])
@pytest.mark.parametrize("truncating", ["pre", "post"])
def test_pad_sequences_like_keras(name, maxlen, padding, truncating):
    more = {"floats": {"dtype": "float32", "value": -1.0}, "words": {"dtype": object, "value": ""}}.get(name, {})
    kwargs = {"maxlen": maxlen, "padding": padding, "truncating": truncating, **more}
    found = utils.pad_sequences(SEQUENCES[name], **kwargs)
    expected = keras.utils.pad_sequences(SEQUENCES[name], **kwargs)
    assert found.dtype == expected.dtype
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(
    ("args", "kind", "message"),
    [
        (([[1]], None, "int32", "left"), ArgumentError, "`padding` must be 'pre' or 'post'; got 'left'"),
        (([[1]], None, "int32", "pre", "right"), ArgumentError, "`truncating` must be"),
        (([[[1, 2]], [[3]]],), DataError, r"Sequence 1 has entries of shape \(1,\).*\(2,\)"),
        (([1, 2],), DataError, "needs a list of sequences"),
    ],
)
def test_pad_sequences_refuses(args, kind, message):
    with pytest.raises(kind, match=message):
        utils.pad_sequences(*args)


def test_one_seed_for_all_generators():
    def draw():
        return random.random(), np.random.rand(), torch.rand(2).tolist()

    utils.set_random_seed(11)
    first = draw()
    assert draw() != first
    utils.set_random_seed(11)
    assert draw() == first


def test_names_are_those_of_keras():
    assert [name for name in utils.__all__ if not hasattr(keras.utils, name)] == [
        "records_dataset_from_files",
        "table_dataset_from_files",
        "write_records",
    ]
    assert all(hasattr(utils, name) for name in utils.__all__)

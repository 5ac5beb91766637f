"""Masks where several inputs meet, where a layer has an argument for each, and in Softmax: against real Keras."""

import numpy as np
import pytest
import torch
from test_layers_against_keras import close

import lamella
from lamella import layers
from lamella.engine import masking
from lamella.errors import ArgumentError, ShapeError

keras = pytest.importorskip("keras")

A = np.array([[[0, 0], [0, 0], [1, 2], [-3, 4]]], "float32")
B = np.array([[[0, 0], [5, -6], [0, 0], [7, 2]]], "float32")
ELEMENTWISE = ["Add", "Subtract", "Average", "Multiply", "Maximum", "Minimum"]


def merged(library, name, masked, **arguments):
    """The output and its mask of a merge of A and B, where those named have masks."""
    inputs = [library.layers.Masking()(x) if key in masked else x for key, x in (("a", A), ("b", B))]
    layer = getattr(library.layers, name)(**arguments)
    output = layer([torch.as_tensor(x) for x in inputs] if not masked else inputs)
    return output, getattr(output, "_keras_mask", None)


@pytest.mark.parametrize("masked", ["", "a", "b", "ab"])
@pytest.mark.parametrize("name", ELEMENTWISE)
def test_a_step_is_real_where_any_input_is(name, masked):
    (ours, mask), (theirs, wanted) = (merged(library, name, masked) for library in (lamella, keras))
    close(ours, theirs)
    assert (mask is None) == (wanted is None)
    if mask is not None:
        assert mask.tolist() == wanted.tolist() == [[False, True, True, True]]


@pytest.mark.parametrize("axis", [1, -1])
@pytest.mark.parametrize("masked", ["a", "ab"])
def test_concatenated_masks(axis, masked):
    (ours, mask), (theirs, wanted) = (merged(library, "Concatenate", masked, axis=axis) for library in (lamella, keras))
    close(ours, theirs)
    assert mask.tolist() == wanted.tolist()


def test_a_mask_may_be_an_array_and_must_be_one_for_each_input():
    first, second = np.array([[True, False]]), np.array([[False, False]])
    x = np.ones((1, 2, 3), "float32")
    assert layers.Add().compute_mask([x, x], [first, second]).tolist() == [[True, False]]
    assert layers.Concatenate(axis=1).compute_mask([x, x], [first, None]).tolist() == [[True, False, True, True]]
    for layer in (layers.Multiply(), layers.Concatenate()):
        for inputs, mask in (([x, x], first), (x, [first, second]), ([x, x], [first])):
            with pytest.raises(ArgumentError, match="a list with a mask"):
                layer.compute_mask(inputs, mask)


MASKS = [
    np.array([[True, True, False], [False, False, False]]),
    np.array([[1.0, 0.0, 0.3], [0.7, 1.0, 1.0]], "float32"),
    np.array([[True, False, True]]),
    np.array([True, False, True]),
]


@pytest.mark.parametrize("axis", [-1, 0, (0, 1)])
@pytest.mark.parametrize("mask", MASKS)
def test_softmax_is_zero_where_it_is_masked_also_where_all_is(mask, axis):
    x = np.array([[1.0, 2.0, 3.0], [4.0, 0.0, -1.0]], "float32")
    close(layers.Softmax(axis)(x, mask=mask), keras.layers.Softmax(axis)(x, mask=mask))


@pytest.mark.parametrize("shape", [(2, 3), (1, 1, 3), (1, 2)])
def test_softmax_takes_no_mask_that_is_larger(shape):
    for kind, error in ((layers.Softmax, ShapeError), (keras.layers.Softmax, ValueError)):
        with pytest.raises(error, match="broadcast"):
            kind()(np.ones((1, 3), "float32"), mask=np.ones(shape, bool))


def asked(library):
    """A layer that keeps which masks its `call` was given."""

    class Asks(library.layers.Layer):
        def __init__(self):
            super().__init__()
            self.supports_masking = True

        def call(self, left, right, left_mask=None, right_mask=None):
            self.seen = [mask if mask is None else mask.tolist() for mask in (left_mask, right_mask)]
            return left + right

    return Asks()


def test_each_argument_gets_its_own_mask():
    for library in (lamella, keras):
        a, b = library.layers.Masking()(A), library.layers.Masking()(B)
        layer = asked(library)
        layer(a, b)
        assert layer.seen == [[[False, False, True, True]], [[False, True, False, True]]]
        layer(left=a, right=torch.as_tensor(B))
        assert layer.seen == [[[False, False, True, True]], None]


def test_a_mask_that_is_given_goes_on_to_the_next_layer():
    class Passes(layers.Layer):
        def __init__(self):
            super().__init__()
            self.supports_masking = True

        def call(self, inputs, mask=None):
            return inputs * 1.0

    mask = torch.tensor([[True, False]])
    assert masking.get_mask(Passes()(torch.ones(1, 2, 3), mask=mask)) is mask
    assert masking.get_mask(layers.Dense(2)(layers.Masking()(A))).tolist() == [[False, False, True, True]]


@pytest.mark.parametrize("axis", [1, -1])
def test_masks_of_each_number_are_joined(axis):
    """A mask with as many axes as its input: a sample is real where any of its numbers is, as in Keras."""
    masks = [torch.tensor([[True, False], [False, False]]), torch.tensor([[False], [False]])]

    def found(library):
        inputs = [torch.ones(2, 2), torch.ones(2, 1)]
        return np.asarray(library.layers.Concatenate(axis=axis).compute_mask(inputs, masks)).tolist()

    assert found(lamella) == found(keras) == [True, False]

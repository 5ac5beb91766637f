"""Shapes of symbolic tensors where an unknown size meets another, against real Keras."""

import keras
import numpy as np
import pytest
import torch

import lamella
from lamella import ops
from lamella.engine.symbolic import symbolic_input
from lamella.errors import ShapeError

OF_TWO = [
    *[(name, (None, 3), (2, None), {}) for name in ("add", "multiply", "maximum", "less", "arctan2", "logical_and")],
    ("add", (None, 3), (2, None, 3), {}),
    ("subtract", (None, None, 4), (5, 1), {}),
    ("matmul", (None, 3, 4), (3, None, 4, 5), {}),
    ("matmul", (None, None), (7, 2), {}),
    ("dot", (2, None), (3, 4), {}),
    ("append", (None, 3), (2, None), {}),
    ("linspace", (None, 3, 4), (2, 3, 4), {"num": 10, "axis": 1}),
    ("cross", (2, 3, 3), (None, 1, 2), {}),
]
OF_LISTS = [
    ("concatenate", [(None, 3), (2, None)], {"axis": 0}),
    ("concatenate", [(None, 3), (2, None)], {"axis": 1}),
    ("concatenate", [(None, 3), (None, 3), (None, 3), (2, 3)], {"axis": -1}),
    ("stack", [(None, 3), (2, None)], {"axis": 1}),
    ("vstack", [(None, 3), (2, None)], {}),
]


def both(name, shapes, kwargs, listed):
    found = []
    for room, make in ((ops, symbolic_input), (keras.ops, keras.KerasTensor)):
        tensors = [make(shape) for shape in shapes]
        found.append(tuple(getattr(room, name)(*([tensors] if listed else tensors), **kwargs).shape))
    return found


def agree(ours, theirs):
    """Whether ours is theirs, where Keras infers a size; it leaves some unknown that follow."""
    return len(ours) == len(theirs) and all(b is None or a == b for a, b in zip(ours, theirs, strict=True))


@pytest.mark.parametrize(("name", "first", "second", "kwargs"), OF_TWO)
def test_two_tensors(name, first, second, kwargs):
    ours, theirs = both(name, [first, second], kwargs, False)
    assert agree(ours, theirs)


@pytest.mark.parametrize(("name", "shapes", "kwargs"), OF_LISTS)
def test_lists_of_tensors(name, shapes, kwargs):
    ours, theirs = both(name, shapes, kwargs, True)
    assert agree(ours, theirs)


@pytest.mark.parametrize("equation", ["ijk,jkl->li", "ijk,jkl->lij", "...,...j->...j", "i...,...j->i...j"])
def test_einsum(equation):
    shapes = (None, 3, 4), (None, 4, 5)
    theirs = keras.ops.einsum(equation, *map(keras.KerasTensor, shapes)).shape
    assert ops.einsum(equation, *map(symbolic_input, shapes)).shape == theirs


def test_arrays_tell_sizes():
    assert ops.add(symbolic_input((None, 3)), np.ones((2, 3), "float32")).shape == (2, 3)
    assert (symbolic_input((None, 3)) * torch.ones(2, 1)).shape == (2, 3)
    assert ops.broadcast_to(symbolic_input((None, 3)), (2, 3)).shape == (2, 3)


def test_the_number_of_slices_tells_a_size():
    slices = ops.unstack(symbolic_input((2, None, None)), num=3, axis=1)
    assert [tuple(each.shape) for each in slices] == [(2, None)] * 3
    with pytest.raises(ShapeError, match="has 4 slices, not 3"):
        ops.unstack(symbolic_input((2, 4)), num=3, axis=1)


@pytest.mark.parametrize("layer", ["Add", "Concatenate", "Maximum"])
def test_models_join_inputs_of_known_and_unknown_length(layer):
    shapes = (None, 4), (6, 4)
    found = []
    for library in (lamella, keras):
        inputs = [library.Input(shape) for shape in shapes]
        model = library.Model(inputs, getattr(library.layers, layer)()(inputs))
        found.append((tuple(model.output_shape), tuple(model([np.ones((2, 6, 4), "float32")] * 2).shape)))
    assert agree(found[0][0], found[1][0]) and found[0][0] == (None, *found[0][1][1:]) and found[0][1] == found[1][1]


def test_tensors_of_one_input_tell_nothing():
    x = lamella.Input((None, 4))
    with pytest.raises(ShapeError):  # one step was cut: no length fits
        lamella.layers.Add()([x, x[:, 1:]])
    rows = lamella.Input((10,))
    with pytest.raises(ShapeError):  # forgotten: the transposition
        ops.matmul(lamella.layers.Dense(10)(rows), rows)
    assert ops.matmul(rows, ops.transpose(rows)).shape == (None, None)


@pytest.mark.parametrize(
    "call",
    [
        lambda room, make: room.add(make((None, 3)), make((2, 4))),
        lambda room, make: room.matmul(make((2, 3)), make((2, 3))),
        lambda room, make: room.stack([make((2, 3)), make((3, 3))]),
        lambda room, make: room.concatenate([make((3, 4)), make((3, 4))], axis=10),
        lambda room, make: room.swapaxes(make((3, 4)), 5, 0),
        lambda room, make: room.sort(make((3, 4)), axis=10),
        lambda room, make: room.argsort(make((3, 4)), axis=10),
        lambda room, make: room.softmax(make((3, 4)), axis=10),
        lambda room, make: room.take(make((3, 4)), make((2,), "int32"), axis=5),
        lambda room, make: room.squeeze(make((None, 1)), axis=0),
        lambda room, make: room.repeat(make((2, 3)), [1, 1]),
        lambda room, make: room.einsum("ijk,jk->ik", make((None, 3)), make((3, 4))),
        lambda room, make: room.transpose(make((2, 3, 4)), axes=[0, 0, 0]),
        lambda room, make: room.get_item(make((None, 5)), (slice(None), 17)),
        lambda room, make: room.reshape(make((4, 5)), (-2, 5)),
        lambda room, make: room.diagonal(make((4, 5)), axis1=0, axis2=-2),
        lambda room, make: room.meshgrid(make((4,)), make((5,)), indexing="kk"),
        lambda room, make: room.where(make((4,), "bool"), make((4,)), None),
    ],
)
def test_mistakes_are_value_errors(call):
    for room, make in ((ops, symbolic_input), (keras.ops, keras.KerasTensor)):
        with pytest.raises(ValueError):
            call(room, make)


def test_the_error_names_the_op_and_the_shapes():
    with pytest.raises(ShapeError, match=r"'add.*\(None, 3\), \(2, 4\).*12 and 192 stand for unknown"):
        ops.add(symbolic_input((None, 3)), symbolic_input((2, 4)))


def test_errors_of_users_stay_theirs():
    class Refuses(lamella.layers.Layer):
        def call(self, x):
            raise RuntimeError("not today")

    with pytest.raises(RuntimeError, match="not today"):
        Refuses()(lamella.Input((3,)))

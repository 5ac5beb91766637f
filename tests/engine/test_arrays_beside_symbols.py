"""NumPy's arrays and numbers beside symbolic tensors: in operators, and as the constants of ops."""

import operator

import keras
import numpy as np
import pytest

import lamella
from lamella import ops

ROW = np.array([1.0, 2.0, 4.0], "float32")
OPERATORS = ["add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "lt", "le", "gt", "ge"]


@pytest.mark.parametrize("name", OPERATORS)
@pytest.mark.parametrize("array", [ROW, ROW.astype("float64"), np.array(2.0), np.float64(2), np.arange(1, 4)], ids=repr)
def test_an_array_in_an_operator(name, array, rng):
    function, data = getattr(operator, name), rng.uniform(0.5, 2, (5, 3)).astype("float32")
    x = lamella.Input((3,))
    right, left = function(x, array), function(array, x)
    assert right.shape == left.shape == (None, 3)
    expected = function(data, array), function(array, data)
    for found, wanted in zip(lamella.Model(x, [right, left])(data), expected, strict=True):
        assert found.dtype == right.dtype
        np.testing.assert_allclose(found, wanted.astype(bool if wanted.dtype == bool else "float32"), rtol=2e-5)
    x = keras.Input((3,))
    assert keras.backend.standardize_dtype(right.dtype) == function(x, array).dtype


def test_standardized_by_arrays_and_saved(tmp_path, rng):
    mean, deviation = rng.normal(size=(4, 3)), rng.uniform(0.5, 2, (4, 3))
    x = lamella.Input((4, 3))
    model = lamella.Model(x, ((x - mean) / deviation) @ np.eye(3)[:, :2] * np.float32(2))
    data = rng.normal(size=(5, 4, 3)).astype("float32")
    wanted = model.predict(data, verbose=0)
    np.testing.assert_allclose(wanted, 2 * ((data - mean) / deviation)[..., :2], rtol=1e-4, atol=1e-5)
    model.save(tmp_path / "standardized.keras")
    for room in (lamella, keras):
        again = room.saving.load_model(tmp_path / "standardized.keras")
        np.testing.assert_allclose(again.predict(data, verbose=0), wanted, rtol=1e-5, atol=1e-6)


def test_arrays_are_copied(rng):
    array = ROW.copy()
    x = lamella.Input((3,))
    model = lamella.Model(x, array * x)
    array[:] = 0
    np.testing.assert_array_equal(model(np.ones((1, 3), "float32"))[0], ROW)


def test_numpy_s_functions_are_refused():
    with pytest.raises(TypeError, match=r"a result of numpy\.exp cannot be read.*lamella\.ops"):
        np.exp(lamella.Input((3,)))


CONSTANTS = [
    ("take_along_axis", lambda room, x: room.take_along_axis(np.ones((1, 4), "float32"), x, axis=1), (None, 3)),
    ("segment_sum", lambda room, x: room.segment_sum(np.ones((3, 2), "float32"), x[0], num_segments=4), (4, 2)),
    ("repeat", lambda room, x: room.repeat(x, np.array([1, 0, 3]), axis=1), (None, 4)),
    ("lstsq", lambda room, x: room.lstsq(np.ones((3, 2), "float32"), room.cast(x[:1], "float32")[0]), (2,)),
]


@pytest.mark.parametrize(("name", "function", "shape"), CONSTANTS, ids=[case[0] for case in CONSTANTS])
def test_an_op_of_a_constant(name, function, shape):
    x = lamella.Input((3,), dtype="int32")
    found = function(ops, x)
    assert found.shape == shape
    data = np.array([[0, 2, 1]], "int32")
    wanted = function(keras.ops, keras.ops.convert_to_tensor(data))
    np.testing.assert_allclose(lamella.Model(x, found)(data), wanted, rtol=1e-5, atol=1e-5)


def test_a_layer_that_moves_its_input_to_a_table():
    class Looks(lamella.layers.Layer):
        def build(self, shape):
            self.table = self.add_weight(shape=(4, 2))

        def call(self, x):
            return self.table[x.to(self.table.device).cpu().long()]

    assert Looks()(lamella.Input((3,), dtype="int32")).shape == (None, 3, 2)

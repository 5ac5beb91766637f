"""NumPy arrays beside tensors: of which type the result is; and parts of variables, as TensorFlow 2.21 said."""

import numpy as np
import pandas as pd
import pytest
import torch

import lamella.tensorflow_stand_in as tf
from lamella import layers

T, WHOLE, V = torch.ones(2), torch.tensor([1, 2], dtype=torch.int32), tf.Variable([1.0, 2.0])
A, AI = np.ones(2), np.array([1, 2])

RESULTS = {
    "float32": [
        lambda: tf.add(T, A),
        lambda: tf.add(V, A),
        lambda: tf.add(T, AI),
        lambda: tf.maximum(A, T),
        lambda: tf.concat([T, A], 0),
        lambda: tf.concat([A, T], 0),
        lambda: tf.stack([A, T]),
        lambda: tf.where([True, False], T, A),
        lambda: tf.where([True, False], A, T),
        lambda: tf.pow(T, A),
        lambda: tf.matmul(T[None], A[:, None]),
        lambda: tf.math.atan2(A, T),
        lambda: tf.clip_by_value(T, A, A),
        lambda: tf.math.squared_difference(T, A),
        lambda: tf.divide(T, A),
        lambda: tf.math.divide_no_nan(T, A),
    ],
    "float64": [lambda: tf.add(A, A), lambda: tf.concat([A, A], 0), lambda: tf.where([True, False], A, A)],
    "int32": [lambda: tf.add(WHOLE, AI), lambda: tf.subtract(WHOLE, AI), lambda: tf.concat([AI, WHOLE], 0)],
    "bool": [lambda: tf.equal(T, A), lambda: tf.less(WHOLE, A)],
}


@pytest.mark.parametrize("dtype", RESULTS)
def test_an_array_beside_a_tensor_is_of_its_type(dtype):
    assert {str(result().dtype) for result in RESULTS[dtype]} == {f"torch.{dtype}"}


def test_fractions_do_not_become_whole_numbers():
    assert tf.add(WHOLE, A / 2).tolist() == [1.5, 2.5]


def test_tensors_of_data_frames():
    frame = pd.DataFrame({"a": [1.0, 2.0], "b": [3.0, 5.0]})
    assert tf.convert_to_tensor(frame).tolist() == [[1, 3], [2, 5]]
    assert tf.convert_to_tensor(frame["a"], dtype=tf.float32).dtype is torch.float32
    assert tf.constant(pd.Series(["a", "b"])).numpy().tolist() == [b"a", b"b"]


def test_in_a_graph_too():
    x = layers.Input((2,))
    assert tf.add(x, A).dtype is torch.float32
    assert tf.concat([x, x], 1).shape == (None, 4)


def test_numbers_scattered_into_a_variable():
    v = tf.Variable([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
    v.scatter_nd_update(indices=[[0, 0], [1, 2]], updates=[100.0, 200.0])
    assert v.numpy().tolist() == [[100, 2, 3], [4, 5, 200]]
    v.scatter_update(tf.IndexedSlices([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]], [1, 0]))
    assert v.numpy().tolist() == [[4, 5, 6], [1, 2, 3]]
    found = v.scatter_add(tf.IndexedSlices([[1.0, 1.0, 1.0], [2.0, 2.0, 2.0]], [1, 1]))
    assert found is v and v.numpy().tolist() == [[4, 5, 6], [4, 5, 6]]
    v.scatter_nd_sub([[0]], [[1.0, 1.0, 1.0]])
    v.scatter_sub(tf.IndexedSlices([[1.0, 1.0, 1.0]], [0]))
    v.scatter_nd_add([[0, 1], [0, 1]], [5.0, 6.0])
    assert v.numpy().tolist() == [[2, 14, 4], [4, 5, 6]]

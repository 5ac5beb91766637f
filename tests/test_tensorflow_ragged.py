"""Ragged and sparse tensors, against what TensorFlow 2.21 gives (`tensorflow_ragged_values.json`)."""

import pytest
import torch
from tensorflow_recorded import evaluated, expected, same

import lamella
import lamella.tensorflow_stand_in as tf
from lamella import layers
from lamella.errors import ArgumentError, DataError, ShapeError

EXPECTED = expected("tensorflow_ragged_values.json")
NAMES = """
r = tf.ragged.constant([[1, 2], [], [3, 4, 5]])
f = tf.ragged.constant([[1.0, 2.5], [], [3.0, 4.0, -5.0]])
s = tf.ragged.constant([["a", "bc"], ["d"]])
n = tf.ragged.constant([[[1, 2], [3]], [], [[4]]])
u = tf.RaggedTensor.from_row_splits(tf.reshape(tf.range(8.0), [4, 2]), [0, 3, 4])
sp = tf.SparseTensor([[0, 1], [1, 0]], [5.0, -6.0], [2, 3])
"""


@pytest.fixture(scope="module")
def found():
    return evaluated(list(EXPECTED), NAMES)


@pytest.mark.parametrize("expression", EXPECTED)
def test_gives_what_tensorflow_gives(expression, found):
    assert same(EXPECTED[expression], found[expression]), found[expression]


def test_gradients_flow_to_values():
    values = torch.tensor([1.0, 2.0, 3.0], requires_grad=True)
    ragged = tf.RaggedTensor.from_row_lengths(values, [2, 0, 1])
    (ragged.to_tensor().square().sum() + tf.reduce_sum(ragged * 2, axis=1).sum()).backward()
    assert values.grad.tolist() == [4, 6, 8]
    kept = torch.tensor([2.0, 3.0], requires_grad=True)
    sparse = tf.SparseTensor([[0, 1], [1, 0]], kept, [2, 2])
    (tf.sparse.sparse_dense_matmul(sparse, torch.tensor([[1.0], [10.0]])).sum() + sparse.to_dense().sum()).backward()
    assert kept.grad.tolist() == [11, 2]


def test_a_model_learns_from_words():
    texts = tf.constant(["good film", "bad film", "a good good one", "so bad", "good", "bad bad"] * 4)
    tokens = tf.strings.split(texts)
    names = sorted({word for row in tokens.to_list() for word in row})
    table = {name: number + 1 for number, name in enumerate(names)}
    numbers = tf.ragged.constant([[table[word] for word in row] for row in tokens.to_list()])
    model = lamella.Sequential(
        [layers.Embedding(len(names) + 1, 4, mask_zero=True), layers.GlobalAveragePooling1D(), layers.Dense(1)]
    )
    model.compile(lamella.optimizers.Adam(0.1), lamella.losses.BinaryCrossentropy(from_logits=True))
    x, y = numbers.to_tensor(), torch.tensor([1.0, 0, 1, 0, 1, 0] * 4)[:, None]
    assert model.fit(x, y, epochs=15, verbose=0).history["loss"][-1] < 0.1


@pytest.mark.parametrize(
    ("refused", "error", "told"),
    [
        (lambda ragged: ragged[:, 0], ArgumentError, "number along an axis"),
        (lambda ragged: ragged[7], IndexError, "3 rows"),
        (lambda ragged: tf.RaggedTensor([1, 2], [0, 1]), ShapeError, "must begin at 0 and end at 2"),
        (lambda ragged: tf.RaggedTensor.from_tensor([[1]], lengths=[1], padding=0), ArgumentError, "`lengths` or"),
        (lambda ragged: ragged + tf.ragged.constant([[1], [], [2]]), ShapeError, "rows of the same lengths"),
        (lambda ragged: tf.reduce_sum(ragged, axis=[0, 1]), ArgumentError, "along one axis"),
        (lambda ragged: tf.concat([ragged, ragged[:1]], 1), ShapeError, "numbers of rows differ"),
        (lambda ragged: tf.stack([ragged], axis=1), ArgumentError, "axis=0"),
        (lambda ragged: bool(ragged), TypeError, "neither true nor false"),
        (lambda ragged: tf.SparseTensor([[0, 5]], [1.0], [2, 2]).to_dense(), DataError, "outside"),
        (
            lambda ragged: tf.sparse.concat(0, [tf.SparseTensor([[0, 0]], [1.0], [1, each]) for each in (1, 2)]),
            ShapeError,
            "sizes differ",
        ),
    ],
)
def test_what_cannot_be_is_said(refused, error, told):
    with pytest.raises(error, match=told):
        refused(tf.ragged.constant([[1, 2], [], [3]]))

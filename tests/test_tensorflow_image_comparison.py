"""Colours and likeness of pictures, against what TensorFlow 2.21 gave (`tensorflow_image_values.json`)."""

import pytest
from tensorflow_recorded import evaluated, expected, same

EXPECTED = expected("tensorflow_image_values.json")
NAMES = """
P = tf.reshape(tf.range(24.0), (2, 4, 3))
I = tf.range(2 * 16 * 18 * 3, dtype=tf.float32)
A = tf.reshape((I * 7.0) % 31.0 / 31.0, (2, 16, 18, 3))
B = tf.reshape(((I * 7.0) % 31.0 + (I * 3.0) % 5.0) / 36.0, (2, 16, 18, 3))
W, V = tf.cast(A * 255.0, tf.uint8), tf.cast(B * 255.0, tf.uint8)
"""


@pytest.fixture(scope="module")
def found():
    return evaluated(list(EXPECTED), NAMES)


@pytest.mark.parametrize("expression", EXPECTED)
def test_as_tensorflow(expression, found):
    assert same(EXPECTED[expression], found[expression]), f"{EXPECTED[expression]} is {found[expression]}"

"""Shapes that a layer computes as tensors, from sizes and numbers, as layers written for TensorFlow do."""

import numpy as np
import torch

import lamella
from lamella import layers, ops


class CausalMask(layers.Layer):
    def call(self, x):
        batch, steps = ops.shape(x)[0], ops.shape(x)[1]
        rows, columns = ops.arange(steps)[:, None], ops.arange(steps)
        mask = ops.reshape(ops.cast(rows >= columns, "int32"), (1, steps, steps))
        times = ops.concatenate([ops.expand_dims(batch, -1), ops.convert_to_tensor([1, 1])], 0)
        return ops.tile(mask, times)


class ReflectPadding(layers.Layer):
    def call(self, x):
        return ops.pad(x, ops.convert_to_tensor([[0, 0], [1, 1], [2, 2], [0, 0]]), mode="reflect")


class Grown(layers.Layer):
    def build(self, input_shape):
        self.calls = self.add_weight((), "zeros", trainable=False, name="calls")

    def call(self, x):
        self.calls.add_(1.0)
        made = torch.zeros(3)
        made[0] = 1.0
        return made.expand(x.shape[0], 3)


def test_a_causal_mask():
    inputs = lamella.Input((5, 4))
    model = lamella.Model(inputs, CausalMask()(inputs))
    assert model.output_shape == (None, 5, 5)
    np.testing.assert_array_equal(model.predict(np.ones((2, 5, 4)), verbose=0)[1], np.tri(5))


def test_a_causal_mask_over_any_number_of_steps():
    inputs = lamella.Input((None, 4))
    model = lamella.Model(inputs, CausalMask()(inputs))
    assert model.output_shape == (None, None, None)
    assert model(torch.ones(3, 6, 4)).shape == (3, 6, 6)


def test_padding_by_a_tensor():
    inputs = lamella.Input((8, 8, 3))
    model = lamella.Model(inputs, ReflectPadding()(inputs))
    assert model.output_shape == (None, 10, 12, 3)


def test_state_stays_and_made_tensors_are_outputs():
    layer = Grown()
    inputs = lamella.Input((2,))
    model = lamella.Model(inputs, layer(inputs))
    assert model.output_shape == (None, 3) and float(layer.calls) == 0.0
    assert model(torch.ones(4, 2)).tolist() == [[1.0, 0.0, 0.0]] * 4

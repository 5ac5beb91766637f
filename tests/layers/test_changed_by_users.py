"""What users of Keras change in its layers: the convolution, the activation of a layer that is made, weights' names."""

import copy

import numpy as np
import pytest
import torch

import lamella
from lamella import layers

PICTURES = torch.randn(2, 6, 6, 3, generator=torch.Generator().manual_seed(0))


class Doubled(layers.Conv2D):
    def convolution_op(self, inputs, kernel):
        return super().convolution_op(inputs, 2 * kernel)


@pytest.mark.parametrize("activation", [None, "relu"])
@pytest.mark.parametrize(
    ("settings", "size"), [({"padding": "same"}, 3), ({"strides": 2}, 3), ({"use_bias": False}, 3), ({}, 1)]
)
def test_a_convolution_computes_by_its_convolution_op(activation, settings, size):
    own, plain = (kind(4, size, activation=activation, **settings) for kind in (Doubled, layers.Conv2D))
    own(PICTURES), plain(PICTURES)
    kernel, *bias = own.get_weights()
    plain.set_weights([2 * kernel, *(each + 1 for each in bias)])
    own.set_weights([kernel, *(each + 1 for each in bias)])
    torch.testing.assert_close(own(PICTURES), plain(PICTURES), rtol=1e-5, atol=1e-5)


def test_convolution_op_by_hand():
    layer = layers.Conv2D(4, 3, strides=2, padding="same", use_bias=False)
    torch.testing.assert_close(layer(PICTURES), layer.convolution_op(PICTURES, layer.kernel), rtol=1e-5, atol=1e-5)


def test_an_own_convolution_trains_with_pooling_after_it():
    model = lamella.Sequential(
        [lamella.Input((6, 6, 3)), Doubled(4, 3, activation="relu"), layers.MaxPooling2D(), layers.Flatten()]
    )
    model.compile("sgd", "mse")
    before = model.get_weights()[0]
    model.fit(PICTURES, torch.zeros(2, 16), verbose=0)
    assert not np.array_equal(before, model.get_weights()[0])


@pytest.mark.parametrize(
    ("layer", "x"),
    [
        (layers.Dense(3, activation="softmax"), PICTURES),
        (layers.Conv2D(3, 1, activation="tanh"), PICTURES),
        (layers.EinsumDense("...a,ab->...b", 3, activation="relu"), PICTURES),
    ],
)
def test_an_activation_can_be_taken_away(layer, x):
    """As scripts for class activation maps do with the last layer of a trained classifier."""
    activated = layer(x)
    function, layer.activation = layer.activation, None
    torch.testing.assert_close(function(layer(x)), activated)
    assert not torch.equal(layer(x), activated)
    assert layer.get_config()["activation"] is None


@pytest.mark.parametrize("name", ["weights", "losses", "input", "training"])
def test_a_weight_may_have_the_name_of_what_every_layer_has(name):
    class Own(layers.Layer):
        def build(self, shape):
            self.w = self.add_weight(name=name, shape=(shape[-1], 2))

        def call(self, x):
            return x @ self.w

    layer = Own()
    assert layer(torch.ones(1, 3)).shape == (1, 2)
    assert len(layer.weights) == 1 and layer.losses == []


def test_the_mask_of_a_symbolic_tensor():
    inputs = lamella.Input((None,), dtype="int32")
    embedded = layers.Embedding(4, 3, mask_zero=True)(inputs)
    assert embedded._keras_mask.shape == (None, None) and embedded._keras_mask.dtype is torch.bool
    assert inputs._keras_mask is None


def test_weights_have_the_names_that_keras_gives():
    keras = pytest.importorskip("keras")
    names, paths = [], []
    for k in (lamella, keras):
        inputs = k.Input((4,), name="given")
        middle = k.layers.BatchNormalization(name="even")(k.layers.Dense(3, name="first")(inputs))
        model = k.Model(inputs, middle)
        names.append([weight.name for weight in model.weights])
        paths.append([weight.path for weight in model.weights])
    assert names[0] == names[1] == ["kernel", "bias", "gamma", "beta", "moving_mean", "moving_variance"]
    assert paths[0] == paths[1]


def test_a_copied_weight_keeps_its_name():
    layer = layers.BatchNormalization(name="even")
    layer.build((None, 3))
    copied = copy.deepcopy(layer).to(torch.float64)
    assert [weight.name for weight in copied.weights] == [weight.name for weight in layer.weights]


class ListsFirst(layers.Layer):
    """Its attributes come before `super().__init__()`, as in layers of TensorFlow's days."""

    def __init__(self, **kwargs):
        self.blocks = []
        self.kept = {}
        self.units = 3
        super().__init__(**kwargs)

    def build(self, input_shape):
        self.blocks.append(layers.Dense(self.units))
        self.kept["last"] = layers.Dense(self.units)

    def call(self, inputs):
        self.branches = []
        for block in (*self.blocks, self.kept["last"]):
            self.branches.append(block(inputs))
        return layers.Add()(self.branches)


def test_lists_that_were_set_before_the_base_class_was_told():
    layer = ListsFirst()
    result = layer(torch.ones(2, 4))
    assert len(layer.weights) == 4
    torch.testing.assert_close(result, layer.blocks[0](torch.ones(2, 4)) + layer.kept["last"](torch.ones(2, 4)))


@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16"])
def test_the_type_that_inputs_are_brought_into(policy):
    keras = pytest.importorskip("keras")
    assert layers.Dense(1, dtype=policy).input_dtype == keras.layers.Dense(1, dtype=policy).input_dtype


def test_a_thresholded_relu():
    layer = layers.ThresholdedReLU(theta=0.5, name="above")
    again = layers.ThresholdedReLU.from_config(layer.get_config())
    assert again(torch.tensor([-1.0, 0.5, 0.6])).tolist() == pytest.approx([0, 0, 0.6])
    with pytest.raises(lamella.errors.ArgumentError, match="theta"):
        layers.ThresholdedReLU(theta=-1.0)


@pytest.mark.parametrize(
    ("kind", "arguments", "x"),
    [
        (layers.Dropout, (0.5,), torch.ones(2, 3)),
        (layers.Activation, ("relu",), torch.ones(2, 3)),
        (layers.MaxPooling2D, (2,), torch.ones(1, 4, 4, 3)),
        (layers.Rescaling, (0.5,), torch.ones(2, 3)),
    ],
)
def test_the_build_of_a_class_made_of_a_layer_without_weights_is_called(kind, arguments, x):
    class Own(kind):
        def build(self, input_shape):
            self.shift = self.add_weight((input_shape[-1],), "ones", name="shift")

        def call(self, inputs):
            return super().call(inputs) + self.shift

    plain, own = kind(*arguments), Own(*arguments)
    assert plain.built and not own.built
    torch.testing.assert_close(own(x), plain(x) + 1)
    assert own.built and own.shift.shape == (3,)


def test_weights_without_names():
    class Three(layers.Layer):
        def __init__(self):
            super().__init__()
            self.first = self.add_weight((2,), "ones")
            self.counted = self.add_weight((2,), "zeros", trainable=False)
            self.counted_too = self.add_weight((3,), "zeros", trainable=False)
            self.second = self.add_weight((3,), "ones")

    layer = Three()
    assert [tuple(weight.shape) for weight in layer.trainable_weights] == [(2,), (3,)]
    assert len(layer.weights) == 4


def test_a_weight_and_a_layer_of_one_name():
    class Both(layers.Layer):
        def __init__(self, weight_first):
            super().__init__()
            if weight_first:
                self.scale = self.add_weight((1,), "ones", name="inner", constraint="non_neg")
            self.inner = layers.Dense(2)
            if not weight_first:
                self.scale = self.add_weight((1,), "ones", name="inner", constraint="non_neg")

        def call(self, inputs):
            return self.inner(inputs) * self.scale

    for weight_first in (True, False):
        layer = Both(weight_first)
        assert layer(torch.ones(2, 3)).shape == (2, 2)
        assert [tuple(weight.shape) for weight in layer.weights] == [(1,), (3, 2), (2,)]
        assert list(layer._constraints) == ["inner_1"]


def test_a_shape_that_is_a_name():
    with pytest.raises(lamella.errors.ArgumentError, match=r"name='kernel'"):
        layers.Layer().add_weight("kernel")


def test_layers_and_weights_that_were_set_before_the_base_class_was_told():
    class Early(layers.Layer):
        def __init__(self):
            self.dense = layers.Dense(2)
            self.factor = torch.nn.Parameter(torch.ones(1))
            super().__init__()

        def call(self, inputs):
            return self.dense(inputs) * self.factor

    layer = Early()
    assert layer(torch.ones(2, 3)).shape == (2, 2)
    assert len(layer.trainable_weights) == 3


def test_the_dtype_that_a_class_of_ones_own_is_made_again_with():
    seen = []

    class Own(layers.Dense):
        def __init__(self, *args, dtype=None, **kwargs):
            seen.append(dtype)
            super().__init__(*args, dtype=dtype, **kwargs)

    for policy in ("float32", "mixed_bfloat16", "int8_from_float32"):
        Own.from_config(Own(2, dtype=policy).get_config())
    assert seen[1::2][:2] == ["float32", "mixed_bfloat16"]
    assert seen[-1].quantization_mode == "int8"


def test_the_penalty_of_no_samples_is_zero():
    layer = layers.Dense(2, activity_regularizer="l2")
    layer(torch.ones(0, 3))
    assert layer.losses[0].item() == 0


@pytest.mark.parametrize("n", [0, -3])
def test_repeat_vector_wants_one_step_or_more(n):
    with pytest.raises(lamella.errors.ArgumentError, match="1 or more"):
        layers.RepeatVector(n)


@pytest.mark.parametrize("shape", [(-2, 5), (2.0, 3), ("a",)])
def test_reshape_wants_whole_sizes(shape):
    with pytest.raises(lamella.errors.ArgumentError, match="whole number"):
        layers.Reshape(shape)


def test_objects_that_a_config_of_ones_own_holds_are_written(tmp_path):
    @lamella.saving.register_keras_serializable("tests")
    class Holds(layers.Layer):
        def __init__(self, dtype=None, **kwargs):
            super().__init__(dtype=dtype, **kwargs)
            self.dense = layers.Dense(8, dtype=dtype, name="inner")

        def call(self, inputs):
            return self.dense(inputs)

        def get_config(self):
            policies = lamella.dtype_policies.DTypePolicyMap()
            for layer in self._flatten_layers():
                if layer.quantization_mode is not None:
                    policies[layer.name] = layer.dtype_policy
            return {**super().get_config(), "dtype": policies}

    inputs = lamella.Input((4,))
    model = lamella.Model(inputs, Holds()(inputs))
    model.quantize("int8")
    x = torch.randn(3, 4)
    before = model(x)
    model.save(tmp_path / "model.keras")
    torch.testing.assert_close(lamella.saving.load_model(tmp_path / "model.keras")(x), before)


def test_a_weight_tells_its_regularizer_and_its_constraint():
    layer = layers.Dense(2, kernel_regularizer="l2", kernel_constraint="non_neg")
    layer(torch.ones(1, 3))
    for made in (layer, copy.deepcopy(layer)):
        assert type(made.kernel.regularizer).__name__ == "L2" and type(made.kernel.constraint).__name__ == "NonNeg"
        assert made.bias.regularizer is None and made.bias.constraint is None


@pytest.mark.parametrize(("mode", "shape"), [("int", (None, 3)), ("one_hot", (None, 3, 4)), ("count", (None, 4))])
def test_a_model_is_made_before_its_discretization_is_adapted(mode, shape):
    layer = layers.Discretization(num_bins=4, output_mode=mode)
    inputs = lamella.Input((3,))
    model = lamella.Model(inputs, layer(inputs))
    assert model.output_shape == shape
    with pytest.raises(lamella.errors.NotBuiltError):
        layer(torch.ones(2, 3))
    layer.adapt(np.random.default_rng(0).normal(size=(100, 3)).astype("float32"))
    assert model(torch.ones(2, 3)).shape == (2, *shape[1:])


def test_pictures_may_be_arrays_where_they_are_changed_by_hand():
    layer = layers.RandomFlip(seed=1)
    x = np.random.default_rng(0).random((2, 4, 4, 3)).astype("float32")
    drawn = layer.get_random_transformation(x)
    torch.testing.assert_close(layer.transform_images(x, drawn), layer.transform_images(torch.as_tensor(x), drawn))


def test_axes_that_inputs_do_not_have():
    for axis, shape in ((3, (2, 2)), (-4, (2, 3, 4))):
        with pytest.raises(lamella.errors.ArgumentError, match="each `axis` must be from"):
            layers.Normalization(axis=axis).build(shape)

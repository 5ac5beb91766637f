"""Two layers computed as one give exactly what one after the other gives: outputs, gradients, moving averages."""

import copy

import numpy as np
import pytest
import torch

import lamella
from lamella import layers
from lamella.errors import ShapeError
from lamella.layers.fusion import ReluAfterNormalization, ReluAfterPooling, ReluAfterSum, fused
from lamella.layers.unseen import Unseen


def residual(relu):
    """Normalization, sum and pooling, each followed or preceded by a relu."""
    x = lamella.Input((8, 8, 4))
    h = relu()(layers.BatchNormalization()(layers.Conv2D(4, 3, padding="same")(x)))
    h = layers.BatchNormalization()(layers.Conv2D(4, 3, padding="same", use_bias=False)(h))
    h = relu()(layers.Add()([h, x]))
    h = layers.MaxPooling2D()(layers.Conv2D(3, 3, activation="relu", use_bias=False)(h))
    return lamella.Model(x, layers.Flatten()(h))


def kinds_of_steps(model):
    functions = [step.function for step in model._graph.steps]
    return [type(each.function if isinstance(each, Unseen) else each).__name__ for each in functions]


def trained(model, x):
    y = model(x, training=True)
    grads = torch.autograd.grad(y.square().sum(), [each for each in model.trainable_weights if each.requires_grad])
    return [y, *grads, *model.non_trainable_weights]


@pytest.mark.parametrize("relu", [layers.ReLU, lambda: layers.Activation("relu")])
def test_pairs_are_exact(relu, rng, monkeypatch):
    x = torch.from_numpy(rng.normal(size=(6, 8, 8, 4)).astype("float32"))
    one = residual(relu)
    kinds = kinds_of_steps(one)
    assert sorted(kind for kind in kinds if kind.startswith("ReluAfter")) == [
        "ReluAfterNormalization",
        "ReluAfterNormalizedSum",
        "ReluAfterPooling",
    ]
    other = copy.deepcopy(one)
    for layer in other.layers:
        layer.register_forward_hook(lambda *_: None)  # a hook: each layer runs on its own
    for mine, theirs in zip(trained(one, x), trained(other, x), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=0, atol=0)
    np.testing.assert_array_equal(one.predict(x, verbose=0), other.predict(x, verbose=0))


POOLED = [
    (layers.Conv1D, layers.MaxPooling1D, (9, 4), {}),
    (layers.Conv2D, layers.MaxPooling2D, (9, 8, 4), {"padding": "same"}),
    (layers.Conv2D, layers.MaxPooling2D, (4, 9, 8), {"data_format": "channels_first"}),
    (layers.Conv3D, layers.MaxPooling3D, (6, 6, 7, 2), {}),
]


@pytest.mark.parametrize("trainable", [True, False])
@pytest.mark.parametrize(("convolution", "pooling", "shape", "options"), POOLED)
def test_a_bias_that_is_added_after_pooling_is_the_same(convolution, pooling, shape, options, trainable, rng):
    """To rounding in training: the sum that is its gradient adds up in another order. To the bit otherwise."""
    inputs = lamella.Input(shape)
    h = convolution(3, 3, activation="relu", bias_initializer="random_normal", name="convolution", **options)(inputs)
    h = pooling(2, data_format=options.get("data_format"), padding=options.get("padding", "valid"))(h)
    one = lamella.Model(inputs, layers.Flatten()(h))
    one.get_layer("convolution").bias.requires_grad_(trainable)
    x = torch.from_numpy(rng.normal(size=(5, *shape)).astype("float32"))
    other = copy.deepcopy(one)
    other.get_layer("convolution").register_forward_hook(lambda *_: None)
    for mine, theirs in zip(trained(one, x), trained(other, x), strict=True):
        torch.testing.assert_close(mine, theirs)
    np.testing.assert_array_equal(one.predict(x, verbose=0), other.predict(x, verbose=0))


def downsampling(x, relu=True):
    """A block of a residual network whose two branches both end in a normalization."""
    long = layers.BatchNormalization()(layers.Conv2D(6, 3, strides=2, padding="same", use_bias=False)(x))
    short = layers.BatchNormalization()(layers.Conv2D(6, 1, strides=2, use_bias=False)(x))
    total = layers.Add()([short, long])
    return layers.ReLU()(total) if relu else total


@pytest.mark.parametrize("relu", [True, False])
def test_sums_onto_normalized_values_are_exact(relu, rng):
    x = torch.from_numpy(rng.normal(size=(6, 8, 8, 4)).astype("float32"))
    inputs = lamella.Input((8, 8, 4))
    one = lamella.Model(inputs, downsampling(downsampling(inputs, relu), relu))
    kinds = kinds_of_steps(one)
    assert kinds.count("ReluAfterNormalizedSum" if relu else "SumWithNormalization") == 2
    assert kinds.count("BatchNormalization") == 2  # the other branch's
    other = copy.deepcopy(one)
    for layer in other.layers:
        layer.register_forward_hook(lambda *_: None)
    for mine, theirs in zip(trained(one, x), trained(other, x), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=0, atol=0)
    np.testing.assert_array_equal(one.predict(x, verbose=0), other.predict(x, verbose=0))


def test_a_normalization_that_others_use_is_not_overwritten():
    x = lamella.Input((4,))
    normal = layers.BatchNormalization()(x)
    model = lamella.Model(x, [normal, layers.Add()([normal, x])])
    batch = torch.randn(8, 4)
    before, after = model(batch)
    torch.testing.assert_close(after, before + batch)


def test_a_sum_of_other_shapes_stretches_as_it_does_alone():
    x = lamella.Input((3, 4))
    row = lamella.Input((1, 4))
    model = lamella.Model([x, row], layers.ReLU()(layers.Add()([layers.BatchNormalization()(row), x])))
    wide, narrow = torch.randn(5, 3, 4), torch.randn(5, 1, 4)
    expected = (narrow / (1 + 1e-3) ** 0.5 + wide).relu()
    torch.testing.assert_close(model([wide, narrow]), expected)


def test_a_hook_sees_what_its_layer_gave():
    model = residual(layers.ReLU)
    seen = []
    normalization = next(layer for layer in model.layers if isinstance(layer, layers.BatchNormalization))
    normalization.register_forward_hook(lambda *args: seen.append(args[-1].clone()))
    model(torch.randn(2, 8, 8, 4))
    assert (seen[0] < 0).any()


def test_an_output_between_is_not_overwritten():
    x = lamella.Input((4,))
    normal = layers.BatchNormalization()(x)
    model = lamella.Model(x, [normal, layers.ReLU()(normal)])
    before, after = model(torch.randn(8, 4))
    assert (before < 0).any()
    torch.testing.assert_close(after, before.relu())


def test_what_is_not_the_same_is_not_fused():
    normal = layers.BatchNormalization()
    assert fused(normal, layers.ReLU(max_value=6)) is None
    assert fused(normal, layers.ReLU(negative_slope=0.1)) is None
    assert fused(normal, layers.Activation("silu")) is None
    assert fused(layers.Multiply(), layers.ReLU()) is None
    assert fused(layers.Conv2D(2, 3), layers.MaxPooling2D()) is None
    assert isinstance(fused(normal, layers.ReLU()), ReluAfterNormalization)
    assert isinstance(fused(layers.Add(), layers.ReLU()), ReluAfterSum)
    assert isinstance(fused(layers.Conv2D(2, 3, activation="relu"), layers.MaxPooling2D()), ReluAfterPooling)


def test_a_sum_of_one_does_not_overwrite_its_input(rng):
    """Sequential models fuse too; a sum of one tensor is that tensor itself."""
    x = lamella.Input((3,))
    h = layers.Rescaling(1.0)(x)
    model = lamella.Model(x, [layers.ReLU()(layers.Add()([h])), h])
    relu, kept = model(torch.tensor([[-1.0, 0.0, 2.0]]))
    assert kept.tolist() == [[-1.0, 0.0, 2.0]]
    assert relu.tolist() == [[0.0, 0.0, 2.0]]


def test_an_error_of_a_pair_names_its_layer():
    first, second = layers.Conv2D(4, 3, activation="relu", name="narrow"), layers.MaxPooling2D()
    second(first(torch.ones(1, 8, 8, 3)))
    with pytest.raises(ShapeError, match="narrow"):
        fused(first, second)(torch.ones(1, 8, 8, 5))

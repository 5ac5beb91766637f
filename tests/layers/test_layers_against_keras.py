"""Every layer computes what real Keras's computes: outputs, gradients, weights; and its config goes both ways."""

import numpy as np
import pytest
import torch

import lamella
from lamella import layers

keras = pytest.importorskip("keras")

pytestmark = pytest.mark.filterwarnings("ignore:Do not pass an `input_shape`")

SHAPE = (4, 8, 8, 3)

CASES = [
    ("Dense", {"units": 5}, (4, 3)),
    ("Dense", {"units": 5, "activation": "relu", "use_bias": False}, (4, 3)),
    ("Dense", {"units": 2, "activation": "softmax", "kernel_initializer": "he_normal"}, (4, 7, 3)),
    ("Activation", {"activation": "gelu"}, (4, 3)),
    ("ReLU", {}, (4, 3)),
    ("ReLU", {"max_value": 1.0, "negative_slope": 0.1, "threshold": 0.2}, (4, 9)),
    ("LeakyReLU", {}, (4, 3)),
    ("ELU", {"alpha": 0.7}, (4, 3)),
    ("PReLU", {"alpha_initializer": "glorot_uniform", "shared_axes": [1, 2]}, SHAPE),
    ("PReLU", {"alpha_initializer": "ones"}, (4, 3)),
    ("Softmax", {}, (4, 3)),
    ("Softmax", {"axis": [1, 2]}, (4, 3, 5)),
    ("Flatten", {}, SHAPE),
    ("Flatten", {"data_format": "channels_first"}, SHAPE),
    ("Reshape", {"target_shape": (3, -1)}, (4, 6, 2)),
    ("Permute", {"dims": (2, 1)}, (4, 6, 2)),
    ("RepeatVector", {"n": 3}, (4, 6)),
    ("Dropout", {"rate": 0.5}, (4, 3)),
    ("GaussianNoise", {"stddev": 0.5}, (4, 3)),
    ("Rescaling", {"scale": 0.5, "offset": -1.0}, (4, 3)),
    ("Normalization", {"mean": [1.0, 2.0, 3.0], "variance": [1.0, 4.0, 9.0]}, (4, 3)),
    ("Normalization", {"mean": 2.0, "variance": 3.0, "axis": None, "invert": True}, (4, 3)),
    ("Conv2D", {"filters": 5, "kernel_size": 3}, SHAPE),
    ("Conv2D", {"filters": 5, "kernel_size": (3, 2), "padding": "same", "activation": "relu"}, SHAPE),
    ("Conv2D", {"filters": 6, "kernel_size": 3, "strides": 2, "padding": "same", "use_bias": False}, SHAPE),
    ("Conv2D", {"filters": 6, "kernel_size": 3, "strides": (2, 3), "padding": "same"}, (2, 9, 10, 3)),
    ("Conv2D", {"filters": 6, "kernel_size": 3, "dilation_rate": 2, "padding": "same"}, SHAPE),
    ("Conv2D", {"filters": 6, "kernel_size": 1, "groups": 3}, SHAPE),
    ("Conv2D", {"filters": 4, "kernel_size": 3, "data_format": "channels_first"}, (2, 3, 8, 8)),
    ("Conv2D", {"filters": 4, "kernel_size": 5, "padding": "same"}, (2, 7, 7, 1)),
    ("MaxPooling2D", {}, SHAPE),
    ("MaxPooling2D", {"pool_size": 3, "strides": 2, "padding": "same"}, (2, 7, 8, 3)),
    ("MaxPooling2D", {"data_format": "channels_first"}, (2, 3, 8, 8)),
    ("AveragePooling2D", {"pool_size": 2}, SHAPE),
    ("AveragePooling2D", {"pool_size": 3, "strides": 2, "padding": "same"}, (2, 7, 8, 3)),
    ("GlobalAveragePooling2D", {}, SHAPE),
    ("GlobalAveragePooling2D", {"keepdims": True, "data_format": "channels_first"}, SHAPE),
    ("GlobalMaxPooling2D", {}, SHAPE),
    ("BatchNormalization", {}, (6, 3)),
    ("BatchNormalization", {"momentum": 0.8, "epsilon": 1e-2, "center": False}, SHAPE),
    ("BatchNormalization", {"axis": 1, "scale": False}, SHAPE),
    ("LayerNormalization", {}, (4, 3)),
    ("LayerNormalization", {"axis": (1, 2), "epsilon": 1e-5}, (4, 3, 5)),
    ("LayerNormalization", {"axis": 1, "center": False}, (4, 3, 5)),
    ("Identity", {}, (4, 3)),
]


# Where Keras on torch fails, or differs from Keras on TensorFlow and JAX, the tests below give the reference.
def on_keras_torch(case):
    name, arguments, _ = case
    odd = (name, arguments.get("padding")) == ("AveragePooling2D", "same")
    return not odd and (name, arguments.get("axis")) != ("LayerNormalization", 1)


MERGES = [
    ("Add", {}, [(4, 3), (4, 3), (4, 3)]),
    ("Add", {}, [(4, 3), (4, 5, 3)]),
    ("Subtract", {}, [(4, 3), (4, 3)]),
    ("Multiply", {}, [(4, 3), (4, 3)]),
    ("Average", {}, [(4, 3), (4, 3), (4, 3)]),
    ("Maximum", {}, [(4, 3), (4, 3)]),
    ("Minimum", {}, [(4, 3), (4, 3)]),
    ("Concatenate", {}, [(4, 3), (4, 2)]),
    ("Concatenate", {"axis": 1}, [(4, 3, 2), (4, 5, 2)]),
    ("Dot", {"axes": 1}, [(4, 3), (4, 3)]),
    ("Dot", {"axes": (2, 1), "normalize": True}, [(4, 5, 3), (4, 3, 6)]),
]


def pair(name, arguments, shape, rng):
    """Our layer and Keras's, built, with the same random weights."""
    ours, theirs = getattr(layers, name)(**arguments), getattr(keras.layers, name)(**arguments)
    theirs.build(shape)
    x = rng.normal(size=shape).astype("float32")
    ours(torch.tensor(x))
    values = [rng.uniform(0.5, 1.5, size=w.shape).astype("float32") for w in theirs.weights]
    assert [tuple(w.shape) for w in ours.weights] == [tuple(w.shape) for w in theirs.weights]
    ours.set_weights(values)
    theirs.set_weights(values)
    return ours, theirs, x


def close(ours, theirs, tolerance=2e-5):
    np.testing.assert_allclose(np.asarray(ours), np.asarray(theirs), rtol=tolerance, atol=tolerance)


def compare(ours, theirs, x, rng, **call):
    a, b = torch.tensor(x, requires_grad=True), torch.tensor(x, requires_grad=True)
    y_ours, y_theirs = ours(a, **call), theirs(b, **call)
    assert tuple(y_ours.shape) == tuple(y_theirs.shape)
    close(y_ours.detach(), y_theirs.detach())
    upstream = torch.tensor(rng.normal(size=tuple(y_ours.shape)).astype("float32"))
    weights_ours = list(ours.trainable_weights)
    weights_theirs = [w.value for w in theirs.trainable_weights]
    grads_ours = torch.autograd.grad((y_ours * upstream).sum(), [a, *weights_ours])
    grads_theirs = torch.autograd.grad((y_theirs * upstream).sum(), [b, *weights_theirs])
    for one, other in zip(grads_ours, grads_theirs, strict=True):
        close(one, other, 1e-4)


@pytest.mark.parametrize(("name", "arguments", "shape"), list(filter(on_keras_torch, CASES)))
def test_output_gradient_and_weights(name, arguments, shape, rng):
    ours, theirs, x = pair(name, arguments, shape, rng)
    compare(ours, theirs, x, rng)


@pytest.mark.parametrize(("name", "arguments", "shape"), [c for c in CASES if c[0] == "BatchNormalization"])
def test_batch_normalization_while_training(name, arguments, shape, rng):
    ours, theirs, x = pair(name, arguments, shape, rng)
    for _ in range(3):
        compare(ours, theirs, x, rng, training=True)
    for one, other in zip(ours.get_weights(), theirs.get_weights(), strict=True):
        close(one, other)
    assert ours.training is False


def test_frozen_batch_normalization_does_not_move(rng):
    ours, _, x = pair("BatchNormalization", {}, (6, 3), rng)
    ours.trainable = False
    before = ours.get_weights()
    ours(torch.tensor(x), training=True)
    for one, other in zip(ours.get_weights(), before, strict=True):
        np.testing.assert_array_equal(one, other)


def test_masked_batch_normalization(rng):
    ours, theirs, x = pair("BatchNormalization", {}, (4, 5, 3), rng)
    mask = torch.tensor(rng.integers(0, 2, (4, 5)).astype(bool))
    y_ours = ours(torch.tensor(x), training=True, mask=mask)
    y_theirs = theirs(torch.tensor(x), training=True, mask=mask)
    close(y_ours.detach(), y_theirs.detach())
    for one, other in zip(ours.get_weights(), theirs.get_weights(), strict=True):
        close(one, other)


@pytest.mark.parametrize(("name", "arguments", "shapes"), MERGES)
def test_merging(name, arguments, shapes, rng):
    ours, theirs = getattr(layers, name)(**arguments), getattr(keras.layers, name)(**arguments)
    xs = [rng.normal(size=shape).astype("float32") for shape in shapes]
    a = [torch.tensor(x, requires_grad=True) for x in xs]
    b = [torch.tensor(x, requires_grad=True) for x in xs]
    y_ours, y_theirs = ours(a), theirs(b)
    close(y_ours.detach(), y_theirs.detach())
    for one, other in zip(
        torch.autograd.grad(y_ours.square().sum(), a), torch.autograd.grad(y_theirs.square().sum(), b), strict=True
    ):
        close(one, other, 1e-4)
    again = layers.deserialize(keras.layers.serialize(theirs))
    close(again(a).detach(), y_theirs.detach())


def test_embedding_and_its_mask(rng):
    ours, theirs = layers.Embedding(7, 3, mask_zero=True), keras.layers.Embedding(7, 3, mask_zero=True)
    x = rng.integers(0, 7, (4, 5))
    ours(torch.tensor(x))
    theirs.build((4, 5))
    theirs.set_weights(ours.get_weights())
    y_ours, y_theirs = ours(torch.tensor(x)), theirs(torch.tensor(x))
    close(y_ours.detach(), y_theirs.detach())
    np.testing.assert_array_equal(y_ours._keras_mask, y_theirs._keras_mask)
    dense = layers.Dense(2)(y_ours)
    np.testing.assert_array_equal(dense._keras_mask, x != 0)  # Dense passes the mask on


def test_average_pooling_leaves_the_padding_out(rng):
    """As TensorFlow and JAX have it; Keras on torch repeats the edge instead."""
    x = rng.normal(size=(2, 7, 8, 3)).astype("float32")
    y = layers.AveragePooling2D(3, 2, padding="same")(torch.tensor(x)).numpy()
    assert y.shape == (2, 4, 4, 3)
    for i in range(4):
        for j in range(4):  # one row above and none left of the picture is padding
            window = x[:, max(2 * i - 1, 0) : 2 * i + 2, 2 * j : 2 * j + 3]
            close(y[:, i, j], window.mean(axis=(1, 2)))


def test_layer_normalization_along_a_middle_axis(rng):
    x = rng.normal(size=(4, 3, 5)).astype("float32")
    y = layers.LayerNormalization(axis=1, epsilon=1e-3)(torch.tensor(x)).detach()
    close(y, (x - x.mean(1, keepdims=True)) / np.sqrt(x.var(1, keepdims=True) + 1e-3))


@pytest.mark.parametrize(("name", "arguments", "shape"), list(filter(on_keras_torch, CASES)))
def test_config_goes_both_ways(name, arguments, shape, rng):
    ours, theirs = getattr(layers, name)(**arguments), getattr(keras.layers, name)(**arguments)
    config, reference = ours.get_config(), theirs.get_config()
    missing = set(reference) - set(config)
    assert not missing, f"keys of Keras's config that ours lacks: {missing}"
    again = layers.deserialize(layers.serialize(ours))
    assert again.get_config() == config
    from_keras = layers.deserialize(keras.layers.serialize(theirs))
    x = rng.normal(size=shape).astype("float32")
    assert tuple(from_keras(torch.tensor(x)).shape) == tuple(theirs(torch.tensor(x)).shape)
    to_keras = keras.layers.deserialize(layers.serialize(ours))
    assert tuple(to_keras(torch.tensor(x)).shape) == tuple(theirs(torch.tensor(x)).shape)


@pytest.mark.parametrize(("name", "arguments", "shape"), list(filter(on_keras_torch, CASES)))
def test_symbolic_shape_and_a_training_step(name, arguments, shape, rng):
    inputs = lamella.Input(shape[1:])
    outputs = getattr(layers, name)(**arguments)(inputs)
    reference = getattr(keras.layers, name)(**arguments)(keras.Input(shape[1:]))
    assert outputs.shape == tuple(reference.shape)
    model = lamella.Model(inputs, layers.Dense(1)(layers.Flatten()(outputs)))
    model.compile("sgd", "mse")
    x = rng.normal(size=shape).astype("float32")
    before = model.get_weights()
    model.fit(x, np.ones((len(x), 1)), verbose=0, batch_size=2)
    assert any(not np.array_equal(a, b) for a, b in zip(model.get_weights(), before, strict=True))
    assert model.predict(x, verbose=0).shape == (len(x), 1)


@pytest.mark.parametrize("name", sorted({name for name, _, _ in CASES}))
def test_arguments_are_keras_s(name):
    import inspect

    def names(cls):
        return list(inspect.signature(cls.__init__).parameters)

    ours, theirs = names(getattr(layers, name)), names(getattr(keras.layers, name))
    added_later = {"kwargs"}
    if name == "Conv2D":  # the rest goes through **kwargs to the base of all convolutions
        ours += names(layers.Conv2D.__mro__[1])
    assert set(theirs) - added_later <= set(ours)


def test_dropout_drops_and_scales():
    torch.manual_seed(0)
    x = torch.ones(400, 500)
    y = layers.Dropout(0.3)(x, training=True)
    kept = (y != 0).float().mean().item()
    assert kept == pytest.approx(0.7, abs=0.01)
    assert y.max().item() == pytest.approx(1 / 0.7)
    assert torch.equal(layers.Dropout(0.3)(x), x)
    rows = layers.Dropout(0.5, noise_shape=(None, 1), seed=3)(x, training=True)
    assert all(len(set(row.tolist())) == 1 for row in rows[:20])
    one, two = (layers.Dropout(0.5, seed=3)(x, training=True) for _ in range(2))
    assert torch.equal(one, two)


def test_normalization_adapts_like_keras(rng):
    data = rng.normal(100.0, 5.0, (300, 4)).astype("float32")
    ours, theirs = layers.Normalization(), keras.layers.Normalization()
    ours.adapt(data)
    theirs.adapt(data)
    close(ours(torch.tensor(data)), theirs(torch.tensor(data)).detach(), 1e-4)
    batched = layers.Normalization()
    batched.adapt([data[:100], data[100:250], data[250:]])
    close(batched.variance, ours.variance, 1e-6)


def test_lambda_gets_what_it_asks_for():
    assert layers.Lambda(lambda x, training: training)(torch.ones(1), training=True) is True
    assert layers.Lambda(lambda x, factor: x * factor, arguments={"factor": 3})(torch.ones(1)).item() == 3.0


def test_a_torch_module_is_a_layer(rng):
    linear = torch.nn.Linear(3, 2)
    model = lamella.Sequential([lamella.Input((3,)), linear, torch.nn.Dropout(0.5)])
    x = rng.normal(size=(4, 3)).astype("float32")
    close(model.predict(x, verbose=0), linear(torch.tensor(x)).detach())
    assert model.count_params() == 8


def test_a_layer_is_a_torch_module(rng):
    class Net(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.norm, self.last = layers.Dense(4, "relu"), layers.BatchNormalization(), layers.Dense(1)

        def forward(self, x):
            return self.last(self.norm(self.first(x)))

    net, x = Net(), torch.tensor(rng.normal(size=(8, 3)).astype("float32"))
    net(x)
    optimizer = torch.optim.SGD(net.parameters(), 0.1)
    net.train()
    before = net.norm.moving_mean.clone()
    loss = net(x).square().mean()
    loss.backward()
    optimizer.step()
    assert net(x).square().mean() < loss
    assert not torch.equal(before, net.norm.moving_mean)
    assert {"first.kernel", "norm.moving_mean", "last.bias"} <= set(net.state_dict())
    other = Net()
    other(x)
    other.load_state_dict(net.state_dict())
    net.eval(), other.eval()
    assert torch.equal(net(x), other(x))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: layers.Dense(0), "`units` must be a positive whole number"),
        (lambda: layers.Dense(3, activation="rellu"), "Unknown activation 'rellu'. Did you mean 'relu'"),
        (lambda: layers.Dense(3, kernal_initializer="zeros"), "has no argument 'kernal_initializer'"),
        (lambda: layers.Dense(3, kernel_initializer="he_norml"), "Unknown initializer 'he_norml'"),
        (lambda: layers.Dropout(1.5), "`rate` must be a number from 0 to 1"),
        (lambda: layers.Conv2D(4, 3, padding="full"), "`padding` must be 'valid' or 'same'"),
        (lambda: layers.Conv2D(5, 3, groups=2), "must be a multiple of `groups`"),
        (lambda: layers.Conv2D(4, 3)(torch.ones(2, 28, 28)), "expected an input of rank 4"),
        (lambda: layers.Conv2D(4, 9)(torch.ones(2, 5, 5, 1)), "does not fit"),
        (lambda: layers.Reshape((5,))(torch.ones(2, 6)), "5 is not 6"),
        (lambda: layers.Add()(torch.ones(2, 3)), "takes a list of inputs"),
        (lambda: layers.Concatenate()([torch.ones(2, 3, 1), torch.ones(2, 4, 1)]), "must have equal sizes"),
        (lambda: layers.Dot(1)([torch.ones(2, 3), torch.ones(2, 4)]), "their sizes must be equal"),
        (lambda: lamella.Input(784), r"must be a tuple, such as \(784,\)"),
    ],
)
def test_errors_say_what_is_wrong(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_a_built_layer_refuses_another_shape_by_name():
    layer = layers.Dense(3, name="hidden")
    layer(torch.ones(2, 4))
    with pytest.raises(
        ValueError, match=r"Layer 'hidden' \(Dense\) expected size 4 in axis -1 of its input, got shape \(2, 5\)"
    ):
        layer(torch.ones(2, 5))


def test_embedding_out_of_range_is_said():
    with pytest.raises(IndexError, match="must be from 0 to 4; found 1 to 9"):
        layers.Embedding(5, 2)(torch.tensor([1, 9]))

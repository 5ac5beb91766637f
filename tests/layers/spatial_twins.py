"""Our layer and real Keras's side by side: outputs, gradients, weights, configs, and in a model that trains."""

import inspect

import keras
import numpy as np
import torch

import lamella
from lamella import layers


def pair(name, arguments, shape, rng):
    """Our layer and Keras's, built, with the same random weights, and an input."""
    ours, theirs = getattr(layers, name)(**arguments), getattr(keras.layers, name)(**arguments)
    theirs.build(shape)
    x = rng.normal(size=shape).astype("float32")
    ours(torch.tensor(x))
    names = [weight.name.removesuffix(":0") for weight in theirs.weights]
    assert [key for key, _ in ours.named_parameters()] == names
    assert [tuple(w.shape) for w in ours.weights] == [tuple(w.shape) for w in theirs.weights]
    values = [rng.uniform(-1, 1, size=w.shape).astype("float32") for w in theirs.weights]
    ours.set_weights(values)
    theirs.set_weights(values)
    return ours, theirs, x


def close(ours, theirs, tolerance=2e-5):
    np.testing.assert_allclose(np.asarray(ours), np.asarray(theirs), rtol=tolerance, atol=tolerance)


def check_numbers(name, arguments, shape, rng, tolerance=2e-5):
    """Outputs, and the gradients of inputs and weights."""
    ours, theirs, x = pair(name, arguments, shape, rng)
    a, b = torch.tensor(x, requires_grad=True), torch.tensor(x, requires_grad=True)
    y_ours, y_theirs = ours(a), theirs(b)
    assert tuple(y_ours.shape) == tuple(y_theirs.shape)
    close(y_ours.detach(), y_theirs.detach(), tolerance)
    upstream = torch.tensor(rng.normal(size=tuple(y_ours.shape)).astype("float32"))
    grads_ours = torch.autograd.grad((y_ours * upstream).sum(), [a, *ours.trainable_weights])
    weights_theirs = [w.value for w in theirs.trainable_weights]
    grads_theirs = torch.autograd.grad((y_theirs * upstream).sum(), [b, *weights_theirs])
    for one, other in zip(grads_ours, grads_theirs, strict=True):
        close(one, other, 1e-4)


def check_config(name, arguments, shape, rng):
    """The config has Keras's keys and values, and goes both ways."""
    ours, theirs = getattr(layers, name)(**arguments), getattr(keras.layers, name)(**arguments)
    config, reference = ours.get_config(), theirs.get_config()
    assert set(config) == set(reference) - {"quantization_config"} | (set(config) & {"activity_regularizer"})
    for key in ("kernel_size", "strides", "pool_size", "padding", "cropping", "size", "output_size", "data_format"):
        assert _as_tuples(config.get(key)) == _as_tuples(reference.get(key)), key
    x = torch.tensor(rng.normal(size=shape).astype("float32"))
    expected = tuple(theirs(x).shape)
    again = layers.deserialize(layers.serialize(ours))
    assert again.get_config() == config
    assert tuple(layers.deserialize(keras.layers.serialize(theirs))(x).shape) == expected
    assert tuple(keras.layers.deserialize(layers.serialize(ours))(x).shape) == expected


def check_models(name, arguments, shape, rng):
    """Symbolic shapes are Keras's; a functional and a Sequential model train and predict alike."""
    make = getattr(layers, name)
    inputs = lamella.Input(shape[1:])
    outputs = make(**arguments)(inputs)
    assert outputs.shape == tuple(getattr(keras.layers, name)(**arguments)(keras.Input(shape[1:])).shape)
    functional = lamella.Model(inputs, layers.Dense(1)(layers.Flatten()(outputs)))
    sequential = lamella.Sequential([lamella.Input(shape[1:]), make(**arguments), layers.Flatten(), layers.Dense(1)])
    sequential.set_weights(functional.get_weights())
    x, y = rng.normal(size=shape).astype("float32"), rng.normal(size=(shape[0], 1)).astype("float32")
    before = functional.get_weights()
    for model in (functional, sequential):
        model.compile(lamella.optimizers.SGD(1e-3), "mse")
        model.fit(x, y, verbose=0, batch_size=shape[0], shuffle=False)
    for one, other, start in zip(functional.get_weights(), sequential.get_weights(), before, strict=True):
        close(one, other, 1e-6)
        assert not np.array_equal(one, start)
    close(functional.predict(x, verbose=0), sequential.predict(x, verbose=0), 1e-5)


def check_unknown_space(name, arguments, shape):
    """With space unknown, the symbolic shape is Keras's too."""
    axis = 2 if arguments.get("data_format") == "channels_first" else 1
    open_shape = list(shape[1:])
    for i in range(len(shape) - 2):
        open_shape[axis - 1 + i] = None
    ours = getattr(layers, name)(**arguments)(lamella.Input(open_shape))
    assert ours.shape == tuple(getattr(keras.layers, name)(**arguments)(keras.Input(open_shape)).shape)


def check_signature(name):
    """Keras's arguments in Keras's order, with its defaults (2 for (2, 2))."""

    def arguments(cls):
        parameters = inspect.signature(cls.__init__).parameters.values()
        return [(p.name, p.default) for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD]

    ours, theirs = arguments(getattr(layers, name)), arguments(getattr(keras.layers, name))
    assert [name for name, _ in ours] == [name for name, _ in theirs]
    for (key, own), (_, other) in zip(ours, theirs, strict=True):
        alike = isinstance(other, tuple) and isinstance(own, int) and set(np.ravel(other).tolist()) == {own}
        assert own == other or alike, key


def _as_tuples(value):
    return tuple(_as_tuples(item) for item in value) if isinstance(value, (list, tuple)) else value

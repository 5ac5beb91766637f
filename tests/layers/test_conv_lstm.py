"""Convolutional LSTMs against real Keras."""

import inspect

import numpy as np
import pytest
import torch

import lamella
from lamella import layers

keras = pytest.importorskip("keras")

PLANE = (2, 4, 6, 5, 3)
CASES = [
    (1, {}, (2, 4, 7, 3)),
    (1, {"padding": "same", "return_sequences": True, "return_state": True, "dilation_rate": 2}, (2, 4, 7, 3)),
    (1, {"strides": 2, "data_format": "channels_first", "go_backwards": True}, (2, 4, 3, 9)),
    (2, {}, PLANE),
    (2, {"padding": "same", "return_sequences": True, "return_state": True}, PLANE),
    (2, {"padding": "same", "strides": 2, "use_bias": False}, PLANE),
    (2, {"kernel_size": (2, 3), "data_format": "channels_first", "return_sequences": True}, (2, 4, 3, 6, 5)),
    (2, {"kernel_size": (2, 3), "padding": "same", "data_format": "channels_first"}, (2, 4, 3, 6, 5)),
    (2, {"activation": "relu", "recurrent_activation": "hard_sigmoid", "unit_forget_bias": False}, PLANE),
    (2, {"go_backwards": True, "return_sequences": True, "zero_output_for_mask": True}, PLANE),
    (3, {"kernel_size": 2}, (1, 3, 4, 4, 3, 2)),
    (3, {"kernel_size": 2, "padding": "same", "return_sequences": True}, (1, 3, 4, 4, 3, 2)),
]


def identify(case):
    return f"{case[0]}D-" + "-".join(f"{key}={value}" for key, value in case[1].items())


def close(ours, theirs, tolerance=2e-5):
    np.testing.assert_allclose(
        np.asarray(torch.as_tensor(ours).detach()),
        np.asarray(torch.as_tensor(theirs).detach()),
        rtol=tolerance,
        atol=tolerance,
    )


def leaves(outputs):
    return torch.utils._pytree.tree_leaves(outputs)


def make(module, rank, arguments):
    return getattr(module, f"ConvLSTM{rank}D")(4, **{"kernel_size": 3, **arguments})


def pair(rank, arguments, shape, rng):
    ours, theirs = make(layers, rank, arguments), make(keras.layers, rank, arguments)
    x = torch.tensor(rng.normal(size=shape).astype("float32"))
    ours(x), theirs(x)
    assert [tuple(w.shape) for w in ours.weights] == [tuple(w.shape) for w in theirs.weights]
    values = [rng.uniform(-0.4, 0.4, size=tuple(w.shape)).astype("float32") for w in theirs.weights]
    ours.set_weights(values), theirs.set_weights(values)
    return ours, theirs, x


def compare(ours, theirs, x, rng, **call):
    a, b = x.clone().requires_grad_(), x.clone().requires_grad_()
    y_ours, y_theirs = leaves(ours(a, **call)), leaves(theirs(b, **call))
    assert [tuple(y.shape) for y in y_ours] == [tuple(y.shape) for y in y_theirs]
    totals = [0.0, 0.0]
    for one, other in zip(y_ours, y_theirs, strict=True):
        close(one, other)
        upstream = torch.tensor(rng.normal(size=tuple(one.shape)).astype("float32"))
        totals = [totals[0] + (one * upstream).sum(), totals[1] + (other * upstream).sum()]
    grads_ours = torch.autograd.grad(totals[0], [a, *ours.trainable_weights])
    grads_theirs = torch.autograd.grad(totals[1], [b, *[w.value for w in theirs.trainable_weights]])
    for one, other in zip(grads_ours, grads_theirs, strict=True):
        close(one, other, 2e-4)


@pytest.mark.parametrize(("rank", "arguments", "shape"), CASES, ids=map(identify, CASES))
def test_outputs_states_and_gradients(rank, arguments, shape, rng):
    ours, theirs, x = pair(rank, arguments, shape, rng)
    compare(ours, theirs, x, rng)
    mask = torch.tensor([[1, 1, 1, 0], [0, 1, 0, 1]], dtype=torch.bool)[: shape[0], : shape[1]]
    compare(ours, theirs, x, rng, mask=mask)


@pytest.mark.parametrize(("rank", "arguments", "shape"), CASES, ids=map(identify, CASES))
def test_configs_shapes_and_names(rank, arguments, shape, rng):
    ours, theirs, x = pair(rank, arguments, shape, rng)
    missing = set(theirs.get_config()) - set(ours.get_config()) - {"quantization_config"}
    assert not missing, f"keys of Keras's config that ours lacks: {missing}"
    assert layers.deserialize(layers.serialize(ours)).get_config() == ours.get_config()
    for read in (layers.deserialize(keras.layers.serialize(theirs)), keras.layers.deserialize(layers.serialize(ours))):
        read(x)
        read.set_weights(ours.get_weights())
        for one, other in zip(leaves(read(x)), leaves(ours(x)), strict=True):
            close(one, other)
    assert list(ours.state_dict()) == [f"cell.{w.name}" for w in theirs.weights]
    inputs, reference = lamella.Input((None, *shape[2:])), keras.Input((None, *shape[2:]))
    symbolic, expected = make(layers, rank, arguments)(inputs), make(keras.layers, rank, arguments)(reference)
    for one, other in zip(leaves(symbolic), keras.tree.flatten(expected), strict=True):
        assert one.shape == tuple(other.shape)


@pytest.mark.parametrize("arguments", [{"dropout": 0.4}, {"recurrent_dropout": 0.4}])
@pytest.mark.parametrize("order", ["channels_last", "channels_first"])
def test_dropout_with_the_same_noise_as_keras(order, arguments, rng):
    shape, state = ((2, 3, 5, 5, 2), (2, 3, 3, 4)) if order == "channels_last" else ((2, 3, 2, 5, 5), (2, 4, 3, 3))
    ours, theirs, x = pair(2, {**arguments, "data_format": order}, shape, rng)
    attribute, size = (
        ("_dropout_mask", (2, *shape[2:])) if "dropout" in arguments else ("_recurrent_dropout_mask", state)
    )
    noise = [torch.tensor((rng.random(size) < 0.6).astype("float32") / 0.6) for _ in range(4)]
    setattr(ours.cell, attribute, torch.stack(noise))
    setattr(theirs.cell, attribute, noise)
    close(ours(x, training=True), theirs(x, training=True))
    drawn = ours(x, training=True)
    assert not torch.equal(drawn, ours(x)) and not torch.equal(drawn, ours(x, training=True))


def test_states_to_start_from_and_stateful(rng):
    ours, theirs, x = pair(2, {"return_state": True}, PLANE, rng)
    states = [torch.tensor(rng.normal(size=(2, 4, 3, 4)).astype("float32")) for _ in range(2)]
    compare(ours, theirs, x, rng, initial_state=states)
    ours, theirs, x = pair(2, {"stateful": True}, PLANE, rng)
    ours.reset_state(), theirs.reset_state()
    for _ in range(2):
        close(ours(x), theirs(x))


def test_in_models(rng):
    x = rng.normal(size=(4, 3, 6, 6, 1)).astype("float32")
    sequential = lamella.Sequential(
        [
            lamella.Input((None, 6, 6, 1)),
            layers.ConvLSTM2D(2, 3, padding="same", return_sequences=True),
            layers.ConvLSTM2D(2, 3),
            layers.Flatten(),
            layers.Dense(1),
        ]
    )
    inputs = lamella.Input((3, 6, 6, 1))
    both = layers.Bidirectional(layers.ConvLSTM2D(2, 3))(inputs)
    assert both.shape == (None, 4, 4, 4)
    functional = lamella.Model(inputs, layers.Dense(1)(layers.Flatten()(both)))
    for model in (sequential, functional):
        model.compile("adam", "mse")
        before = model.get_weights()
        model.fit(x, np.ones((4, 1)), batch_size=2, verbose=0)
        assert all(not np.array_equal(a, b) for a, b in zip(model.get_weights(), before, strict=True))


@pytest.mark.parametrize("rank", [1, 2, 3])
def test_arguments_are_keras_s_in_order(rank):
    ours, theirs = (
        list(inspect.signature(getattr(module, f"ConvLSTM{rank}D").__init__).parameters)
        for module in (layers, keras.layers)
    )
    assert ours == theirs


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: layers.ConvLSTM2D(0, 3), "`filters` must be a positive whole number"),
        (lambda: layers.ConvLSTM2D(4, (3, 3, 3)), "`kernel_size` must be"),
        (lambda: layers.ConvLSTM2D(4, 3, padding="full"), "`padding` must be"),
        (lambda: layers.ConvLSTM2D(4, 3, strides=2, dilation_rate=2), "cannot both be more than 1"),
        (lambda: layers.ConvLSTM2D(4, 3)(torch.ones(2, 5, 5, 1)), "rank 5"),
        (lambda: layers.ConvLSTM2D(4, 9)(torch.ones(2, 3, 5, 5, 1)), "does not fit"),
        (lambda: layers.ConvLSTM2D(4, 3)(lamella.Input((3, None, None, 1))), "known sizes of space and channels"),
    ],
)
def test_errors_say_what_is_wrong(call, message):
    with pytest.raises(ValueError, match=message):
        call()

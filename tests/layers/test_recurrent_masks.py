"""Masks in recurrent layers: outputs and states are real Keras's, whatever the padding, fused or step by step."""

import numpy as np
import pytest
import torch

import lamella
from lamella import layers

keras = pytest.importorskip("keras")

STEPS = 6
MASKS = {
    "right": [[1, 1, 1, 1, 1, 1], [1, 1, 1, 0, 0, 0], [1, 0, 0, 0, 0, 0]],
    "left": [[1, 1, 1, 1, 1, 1], [0, 0, 0, 1, 1, 1], [0, 0, 0, 0, 0, 1]],
    "holes": [[1, 0, 1, 0, 1, 1], [0, 1, 0, 0, 1, 0], [1, 0, 0, 0, 0, 1]],
    "one sample has nothing": [[0, 0, 0, 0, 0, 0], [1, 1, 0, 0, 0, 0], [0, 0, 1, 1, 0, 0]],
}
CASES = [
    ("SimpleRNN", {}),
    ("SimpleRNN", {"activation": "relu", "use_bias": False}),
    ("SimpleRNN", {"activation": "elu"}),
    ("LSTM", {}),
    ("LSTM", {"use_bias": False}),
    ("LSTM", {"use_cudnn": False}),
    ("GRU", {}),
    ("GRU", {"use_bias": False}),
    ("GRU", {"reset_after": False}),
    ("GRU", {"use_cudnn": False}),
]


def identify(case):
    return f"{case[0]}-" + "-".join(f"{key}={value}" for key, value in case[1].items())


def mask_of(kind):
    return torch.tensor(MASKS[kind], dtype=torch.bool)


def close(ours, theirs, tolerance=2e-5):
    np.testing.assert_allclose(
        np.asarray(torch.as_tensor(ours).detach()),
        np.asarray(torch.as_tensor(theirs).detach()),
        rtol=tolerance,
        atol=tolerance,
    )


def pair(name, arguments, rng):
    ours, theirs = getattr(layers, name)(5, **arguments), getattr(keras.layers, name)(5, **arguments)
    x = torch.tensor(rng.normal(size=(3, STEPS, 4)).astype("float32"))
    ours(x), theirs(x)
    values = [rng.uniform(-0.8, 0.8, size=tuple(w.shape)).astype("float32") for w in theirs.weights]
    ours.set_weights(values), theirs.set_weights(values)
    return ours, theirs, x


def leaves(outputs):
    return torch.utils._pytree.tree_leaves(outputs)


def compare(ours, theirs, x, rng, **call):
    a, b = x.clone().requires_grad_(), x.clone().requires_grad_()
    y_ours, y_theirs = leaves(ours(a, **call)), leaves(theirs(b, **call))
    totals = [0.0, 0.0]
    assert len(y_ours) == len(y_theirs)
    for one, other in zip(y_ours, y_theirs, strict=True):
        close(one, other)
        upstream = torch.tensor(rng.normal(size=tuple(one.shape)).astype("float32"))
        totals = [totals[0] + (one * upstream).sum(), totals[1] + (other * upstream).sum()]
    grads_ours = torch.autograd.grad(totals[0], [a, *ours.trainable_weights])
    grads_theirs = torch.autograd.grad(totals[1], [b, *[w.value for w in theirs.trainable_weights]])
    for one, other in zip(grads_ours, grads_theirs, strict=True):
        close(one, other, 1e-4)
    return grads_ours[0]


@pytest.mark.parametrize("kind", MASKS)
@pytest.mark.parametrize(("name", "arguments"), CASES, ids=map(identify, CASES))
def test_all_outputs_and_states(name, arguments, kind, rng):
    ours, theirs, x = pair(name, {**arguments, "return_sequences": True, "return_state": True}, rng)
    in_x = compare(ours, theirs, x, rng, mask=mask_of(kind))
    assert not in_x[~mask_of(kind)].any()  # padding has no say


@pytest.mark.parametrize("kind", MASKS)
@pytest.mark.parametrize("zero", [False, True])
@pytest.mark.parametrize("backwards", [False, True])
@pytest.mark.parametrize(("name", "arguments"), CASES, ids=map(identify, CASES))
def test_last_output_and_zeros(name, arguments, backwards, zero, kind, rng):
    for every in (False, True):
        further = {"zero_output_for_mask": zero, "go_backwards": backwards, "return_sequences": every}
        ours, theirs, x = pair(name, {**arguments, **further}, rng)
        compare(ours, theirs, x, rng, mask=mask_of(kind))


@pytest.mark.parametrize("kind", MASKS)
@pytest.mark.parametrize(("name", "arguments"), CASES, ids=map(identify, CASES))
def test_states_to_start_from(name, arguments, kind, rng):
    """Where a sequence begins with padding, its first outputs are 0 while its state is the one given."""
    ours, theirs, x = pair(name, {**arguments, "return_sequences": True, "return_state": True}, rng)
    states = [torch.tensor(rng.normal(size=(3, 5)).astype("float32")) for _ in ours.state_size]
    compare(ours, theirs, x, rng, mask=mask_of(kind), initial_state=states)


@pytest.mark.parametrize("kind", MASKS)
def test_stacks(kind, rng):
    made = [
        module.RNN([module.LSTMCell(4), module.GRUCell(5)], return_sequences=True, return_state=True)
        for module in (layers, keras.layers)
    ]
    x = torch.tensor(rng.normal(size=(3, STEPS, 4)).astype("float32"))
    for each in made:
        each(x)
    values = [rng.uniform(-0.8, 0.8, size=tuple(w.shape)).astype("float32") for w in made[1].weights]
    for each in made:
        each.set_weights(values)
    compare(*made, x, rng, mask=mask_of(kind))


@pytest.mark.parametrize("name", ["SimpleRNN", "LSTM", "GRU"])
def test_what_is_in_the_padding_does_not_matter(name, rng):
    """Not even NaN, in the outputs or in the gradients."""
    layer = getattr(layers, name)(5, return_sequences=True, return_state=True)
    x, mask = torch.tensor(rng.normal(size=(3, STEPS, 4)).astype("float32")), mask_of("holes")
    clean = leaves(layer(x, mask=mask))
    spoilt = leaves(layer(x.masked_fill(~mask.unsqueeze(-1), float("nan")), mask=mask))
    for one, other in zip(clean, spoilt, strict=True):
        assert torch.equal(one, other)
    grads = torch.autograd.grad(sum(y.sum() for y in spoilt), layer.trainable_weights)
    assert all(grad.isfinite().all() for grad in grads)


def test_long_padding_leaves_the_carry_exactly_as_it_was(rng):
    layer = layers.LSTM(8, return_state=True)
    x = torch.tensor(rng.normal(size=(2, 7, 3)).astype("float32") * 3)
    short = layer(x)
    padded = torch.cat([x, torch.full((2, 200, 3), 50.0)], 1)
    long = layer(padded, mask=(torch.arange(207) < 7).expand(2, -1))
    for one, other in zip(short, long, strict=True):
        close(one, other, 1e-6)


def test_the_mask_of_the_layer_before_is_used_and_passed_on(rng):
    models = []
    for module in (lamella, keras):
        models.append(
            module.Sequential(
                [
                    module.Input((None,), dtype="int32"),
                    module.layers.Embedding(9, 4, mask_zero=True),
                    module.layers.LSTM(5, return_sequences=True),
                    module.layers.GRU(3),
                ]
            )
        )
    ours, theirs = models
    values = [rng.normal(size=tuple(w.shape)).astype("float32") for w in theirs.weights]
    ours.set_weights(values), theirs.set_weights(values)
    words = np.array([[3, 1, 4, 0, 0], [0, 0, 2, 7, 1], [0, 0, 0, 0, 0]])
    close(ours(torch.tensor(words)), theirs(torch.tensor(words)))
    embedded = ours.layers[0](torch.tensor(words))
    every = ours.layers[1](embedded)
    assert torch.equal(every._keras_mask, torch.tensor(words != 0))
    assert not hasattr(ours.layers[2](every), "_keras_mask")
    outputs, *states = layers.LSTM(2, return_sequences=True, return_state=True)(embedded)
    assert torch.equal(outputs._keras_mask, embedded._keras_mask)
    assert not any(hasattr(state, "_keras_mask") for state in states)


def test_masks_in_training_like_keras(rng):
    words, y = rng.integers(0, 4, (12, 6)), rng.normal(size=(12, 6, 1)).astype("float32")
    models = []
    for module in (lamella, keras):
        models.append(
            module.Sequential(
                [
                    module.Input((6,), dtype="int32"),
                    module.layers.Embedding(4, 3, mask_zero=True),
                    module.layers.GRU(4, return_sequences=True),
                    module.layers.Dense(1),
                ]
            )
        )
    models[0].set_weights([np.asarray(w) for w in models[1].get_weights()])
    histories = []
    for model in models:
        model.compile("sgd", "mse")
        histories.append(model.fit(words, y, batch_size=4, epochs=2, shuffle=False, verbose=0).history["loss"])
    np.testing.assert_allclose(histories[0], histories[1], rtol=1e-4)


def test_masks_of_other_kinds_of_numbers_and_with_a_last_axis(rng):
    layer = layers.GRU(3)
    x, mask = torch.tensor(rng.normal(size=(3, STEPS, 4)).astype("float32")), mask_of("right")
    expected = layer(x, mask=mask)
    for other in (mask.int(), mask.float(), mask.unsqueeze(-1), mask.numpy()):
        assert torch.equal(layer(x, mask=other), expected)


def test_masking_layer_like_keras(rng):
    x = rng.normal(size=(3, 5, 2)).astype("float32")
    x[0, 2:] = x[2, 1] = 7.0
    x[1, 0, 0] = 7.0
    for value in (0.0, 7.0):
        ours, theirs = layers.Masking(value), keras.layers.Masking(value)
        y_ours, y_theirs = ours(torch.tensor(x)), theirs(torch.tensor(x))
        close(y_ours, y_theirs)
        assert torch.equal(y_ours._keras_mask, y_theirs._keras_mask)
        again = layers.deserialize(keras.layers.serialize(theirs))
        assert again.get_config() == {**ours.get_config(), "name": theirs.name}
        assert keras.layers.deserialize(layers.serialize(ours)).mask_value == value
    model = lamella.Sequential([lamella.Input((5, 2)), layers.Masking(7.0), layers.LSTM(3), layers.Dense(1)])
    model.compile("sgd", "mse")
    before = model.get_weights()
    model.fit(x, np.ones((3, 1)), verbose=0)
    assert all(not np.array_equal(a, b) for a, b in zip(model.get_weights(), before, strict=True))
    other = x.copy()
    other[2, 1] = 7.0
    close(model(torch.tensor(other)), model.predict(x, verbose=0))

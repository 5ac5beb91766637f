"""Gradients written by hand against torch's kernels, steps, and differences, and by gradients of gradients."""

import pytest
import torch

from lamella import layers
from lamella.layers import (
    gru_gradients,
    lstm_gradients,
    recurrent_gradients,
    reset_before_gradients,
    simple_rnn_gradients,
)
from lamella.layers.gru_gradients import gru
from lamella.layers.lstm_gradients import lstm
from lamella.layers.reset_before_gradients import gru_reset_before
from lamella.layers.simple_rnn_gradients import simple

STEPS, BATCH, UNITS = 3, 2, 3


def noise(*gates):
    drawn = torch.rand(*gates, BATCH, UNITS, generator=torch.Generator().manual_seed(2)) < 0.6
    return drawn.to(torch.float64) / 0.6


KINDS = {
    "gru": (3, lambda x, h, kernel, bias: gru(x, h, kernel, bias)),
    "gru without bias": (3, lambda x, h, kernel, bias: gru(x, h, kernel, None)),
    "gru with noise": (3, lambda x, h, kernel, bias: gru(x, h, kernel, bias, noise(3))),
    "gru that resets before": (3, lambda x, h, kernel, bias: gru_reset_before(x + bias, h, kernel)),
    "gru that resets before, with noise": (
        3,
        lambda x, h, kernel, bias: gru_reset_before(x + bias, h, kernel, noise(3)),
    ),
    "tanh": (1, lambda x, h, kernel, bias: simple(x, h, kernel)),
    "relu": (1, lambda x, h, kernel, bias: simple(x, h, kernel, relu=True)),
    "tanh with noise": (1, lambda x, h, kernel, bias: simple(x, h, kernel, noise=noise())),
    "relu with noise": (1, lambda x, h, kernel, bias: simple(x, h, kernel, relu=True, noise=noise())),
}
USES = {
    "all": lambda outputs, last: outputs.sin(),
    "last": lambda outputs, last: last,
    "both": lambda outputs, last: outputs.cos() + last,
}


def inputs(gates):
    generator = torch.Generator().manual_seed(1)

    def drawn(*shape):
        return torch.randn(*shape, generator=generator, dtype=torch.float64, requires_grad=True)

    x, h, kernel = drawn(STEPS, BATCH, gates * UNITS), drawn(BATCH, UNITS), drawn(UNITS, gates * UNITS)
    return x, h, kernel, drawn(gates * UNITS)


# How many steps are computed together has nothing to do with what is made of the outputs.
USED_TOGETHER = [(use, 2 * BATCH * UNITS) for use in USES] + [("both", 1), ("both", 2**18)]


@pytest.mark.parametrize(("use", "together"), USED_TOGETHER)
@pytest.mark.parametrize("kind", KINDS)
def test_gradients_are_those_of_differences(kind, use, together, monkeypatch):
    monkeypatch.setattr(recurrent_gradients, "_TOGETHER", together)
    gates, function = KINDS[kind]
    assert torch.autograd.gradcheck(lambda *given: USES[use](*function(*given)), inputs(gates))


MORE = ["gru", "gru that resets before, with noise", "tanh"]


@pytest.mark.parametrize(
    ("kind", "use"), [(kind, "both") for kind in KINDS] + [(kind, use) for kind in MORE for use in ("all", "last")]
)
def test_gradients_have_gradients(kind, use):
    gates, function = KINDS[kind]
    assert torch.autograd.gradgradcheck(lambda *given: USES[use](*function(*given)), inputs(gates))


def with_noise(x, h, kernel, bias):
    return lstm(x + bias, h, h.flip(0), kernel, noise(4))


CARRIES = {
    "all": lambda outputs, last, carry: outputs.sin(),
    "carry": lambda outputs, last, carry: carry,
    "both": lambda outputs, last, carry: outputs.cos() + last * carry,
}


@pytest.mark.parametrize("together", [1, 2 * BATCH * UNITS, 2**18])
@pytest.mark.parametrize("use", CARRIES)
def test_gradients_of_an_lstm_with_noise_are_those_of_differences(use, together, monkeypatch):
    monkeypatch.setattr(recurrent_gradients, "_TOGETHER", together)
    assert torch.autograd.gradcheck(lambda *given: CARRIES[use](*with_noise(*given)), inputs(4))


@pytest.mark.parametrize("use", CARRIES)
def test_gradients_of_an_lstm_with_noise_have_gradients(use):
    assert torch.autograd.gradgradcheck(lambda *given: CARRIES[use](*with_noise(*given)), inputs(4))


def both(**options):
    return {**options, "dropout": 0.3, "recurrent_dropout": 0.4, "seed": 1}


OF_TORCH = {
    "gru": (layers.GRU, {}),
    "gru without bias": (layers.GRU, {"use_bias": False}),
    "gru that drops inputs": (layers.GRU, {"dropout": 0.3, "seed": 1}),
    "tanh": (layers.SimpleRNN, {}),
    "relu": (layers.SimpleRNN, {"activation": "relu"}),
}
OF_LAMELLA = {
    "lstm with noise": (layers.LSTM, {"recurrent_dropout": 0.4, "seed": 1}),
    "lstm that drops inputs too": (layers.LSTM, both()),
    "gru with noise": (layers.GRU, {"recurrent_dropout": 0.4, "seed": 1}),
    "gru that drops inputs too": (layers.GRU, both()),
    "gru that drops inputs too, without bias": (layers.GRU, both(use_bias=False)),
    "gru that drops inputs for each gate": (layers.GRU, {"dropout": 0.3, "implementation": 1, "seed": 1}),
    "gru that resets before": (layers.GRU, {"reset_after": False}),
    "gru that resets before, without bias": (layers.GRU, {"reset_after": False, "use_bias": False}),
    "gru that resets before, drops inputs": (layers.GRU, {"reset_after": False, "dropout": 0.3, "seed": 1}),
    "gru that resets before, drops inputs too": (layers.GRU, both(reset_after=False)),
    "tanh with noise": (layers.SimpleRNN, {"recurrent_dropout": 0.4, "seed": 1}),
    "tanh that drops inputs too": (layers.SimpleRNN, both()),
    "relu with noise": (layers.SimpleRNN, {"recurrent_dropout": 0.4, "activation": "relu", "seed": 1}),
}
OPTIONS = [{}, {"return_sequences": True}, {"return_state": True, "go_backwards": True}]


@pytest.fixture
def taken(monkeypatch):
    """What was computed by the functions under test."""
    taken = []
    for module, name in (
        (gru_gradients, "gru"),
        (reset_before_gradients, "gru_reset_before"),
        (simple_rnn_gradients, "simple"),
        (lstm_gradients, "lstm"),
    ):
        own = getattr(module, name)
        monkeypatch.setattr(module, name, lambda *given, own=own: taken.append(1) or own(*given))
    return taken


def trained(layer, masked):
    """Outputs, and gradients of the inputs, the states at first and the weights."""
    generator = torch.Generator().manual_seed(3)
    x = torch.randn(5, 9, 6, generator=generator, requires_grad=True)
    mask = torch.rand(5, 9, generator=generator) < 0.7 if masked else None
    if masked:
        mask[2] = False
    count = 2 if isinstance(layer, layers.LSTM) else 1
    states = [torch.randn(5, 8, generator=generator, requires_grad=True) for _ in range(count)]
    layer.cell._generator = None  # the same noise again
    found = layer(x, initial_state=states, mask=mask, training=True)
    found = list(found) if isinstance(found, (list, tuple)) else [found]
    total = sum((each * torch.linspace(0.1, 1.0, each.numel()).view_as(each)).sum() for each in found)
    return [*found, *torch.autograd.grad(total, [x, *states, *layer.trainable_weights])]


def assert_close(mine, others):
    for one, other in zip(mine, others, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("kind", OF_TORCH)
def test_layers_train_as_with_the_kernels_of_torch(kind, options, masked, taken, monkeypatch):
    torch.manual_seed(0)
    cls, arguments = OF_TORCH[kind]
    layer = cls(8, bias_initializer="random_normal", **arguments, **options)
    by_hand = trained(layer, masked)
    assert len(taken) == 1
    monkeypatch.setattr(recurrent_gradients, "pays", lambda *tensors: False)
    assert_close(by_hand, trained(layer, masked))
    assert len(taken) == 1


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("kind", {**OF_TORCH, **OF_LAMELLA})
def test_layers_train_as_step_by_step(kind, options, masked, taken):
    torch.manual_seed(0)
    cls, arguments = {**OF_TORCH, **OF_LAMELLA}[kind]
    layer = cls(8, bias_initializer="random_normal", **arguments, **options)
    by_hand = trained(layer, masked)
    assert len(taken) == 1
    layer.use_cudnn = False
    assert_close(by_hand, trained(layer, masked))
    assert len(taken) == 1


def test_states_in_padding_do_not_grow_until_gradients_are_no_numbers():
    layer = layers.SimpleRNN(8, activation="relu", recurrent_initializer="ones")
    x, mask = torch.rand(3, 60, 6), torch.arange(60).expand(3, 60) < 4

    def gradients():
        return torch.autograd.grad(layer(x, mask=mask, training=True).sum(), layer.trainable_weights)

    layer(x)
    by_hand = gradients()
    layer.use_cudnn = False
    torch.testing.assert_close(by_hand, gradients())


def test_what_does_not_train_takes_the_kernel_of_torch(taken):
    for layer in (layers.GRU(4), layers.GRU(4, recurrent_dropout=0.3), layers.SimpleRNN(4, recurrent_dropout=0.3)):
        with torch.no_grad():
            layer(torch.zeros(2, 3, 5))
    assert not taken


def test_a_gru_that_resets_before_predicts_as_step_by_step(taken):
    layer = layers.GRU(4, reset_after=False, recurrent_dropout=0.3, bias_initializer="random_normal")
    x = torch.randn(2, 3, 5)
    with torch.no_grad():
        mine = layer(x)
        assert len(taken) == 1
        layer.use_cudnn = False
        torch.testing.assert_close(mine, layer(x))
    assert len(taken) == 1


@pytest.mark.parametrize("arguments", [{"activation": "elu"}, {"recurrent_activation": "hard_sigmoid"}])
@pytest.mark.parametrize("reset_after", [False, True])
def test_other_activations_go_step_by_step(arguments, reset_after, taken):
    layers.GRU(4, reset_after=reset_after, recurrent_dropout=0.3, **arguments)(torch.zeros(2, 3, 5), training=True)
    assert not taken


@pytest.mark.parametrize("noise", [None, noise(3)])
@pytest.mark.parametrize("function", [gru, gru_reset_before])
def test_an_output_that_was_overwritten_is_not_taken_for_the_state(function, noise):
    x, h, kernel, bias = inputs(3)
    outputs, _ = gru(x, h, kernel, bias, noise) if function is gru else gru_reset_before(x, h, kernel, noise)
    with pytest.raises(RuntimeError, match="is a view and is being modified inplace"):
        outputs.mul_(2.0).sum().backward()

"""Gradients written by hand against torch's kernels, against differences, and by gradients of gradients."""

import pytest
import torch

from lamella import layers
from lamella.layers import recurrent_gradients
from lamella.layers.recurrent_gradients import gru, lstm, simple

STEPS, BATCH, UNITS = 4, 2, 3
KINDS = {
    "gru": (3, lambda x, h, kernel, bias: gru(x, h, kernel, bias)),
    "gru without bias": (3, lambda x, h, kernel, bias: gru(x, h, kernel, None)),
    "tanh": (1, lambda x, h, kernel, bias: simple(x, h, kernel)),
    "relu": (1, lambda x, h, kernel, bias: simple(x, h, kernel, relu=True)),
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


@pytest.mark.parametrize("together", [1, 3 * BATCH * UNITS, 2**18])
@pytest.mark.parametrize("use", USES)
@pytest.mark.parametrize("kind", KINDS)
def test_gradients_are_those_of_differences(kind, use, together, monkeypatch):
    monkeypatch.setattr(recurrent_gradients, "_TOGETHER", together)
    gates, function = KINDS[kind]
    assert torch.autograd.gradcheck(lambda *given: USES[use](*function(*given)), inputs(gates))


@pytest.mark.parametrize("use", USES)
@pytest.mark.parametrize("kind", KINDS)
def test_gradients_have_gradients(kind, use):
    gates, function = KINDS[kind]
    assert torch.autograd.gradgradcheck(lambda *given: USES[use](*function(*given)), inputs(gates))


def with_noise(x, h, kernel, bias):
    noise = (torch.rand(4, BATCH, UNITS, generator=torch.Generator().manual_seed(2)) < 0.6) / 0.6
    return lstm(x + bias, h, h.flip(0), kernel, noise.to(x.dtype))


CARRIES = {
    "all": lambda outputs, last, carry: outputs.sin(),
    "carry": lambda outputs, last, carry: carry,
    "both": lambda outputs, last, carry: outputs.cos() + last * carry,
}


@pytest.mark.parametrize("together", [1, 3 * BATCH * UNITS, 2**18])
@pytest.mark.parametrize("use", CARRIES)
def test_gradients_of_an_lstm_with_noise_are_those_of_differences(use, together, monkeypatch):
    monkeypatch.setattr(recurrent_gradients, "_TOGETHER", together)
    assert torch.autograd.gradcheck(lambda *given: CARRIES[use](*with_noise(*given)), inputs(4))


@pytest.mark.parametrize("use", CARRIES)
def test_gradients_of_an_lstm_with_noise_have_gradients(use):
    assert torch.autograd.gradgradcheck(lambda *given: CARRIES[use](*with_noise(*given)), inputs(4))


LAYERS = {
    "lstm": lambda **options: layers.LSTM(8, recurrent_dropout=0.4, seed=1, **options),
    "lstm that drops inputs too": lambda **options: layers.LSTM(
        8, recurrent_dropout=0.4, dropout=0.3, seed=1, **options
    ),
    "gru": lambda **options: layers.GRU(8, **options),
    "gru without bias": lambda **options: layers.GRU(8, use_bias=False, **options),
    "tanh": lambda **options: layers.SimpleRNN(8, **options),
    "relu": lambda **options: layers.SimpleRNN(8, activation="relu", **options),
}


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("options", [{}, {"return_sequences": True}, {"return_state": True, "go_backwards": True}])
@pytest.mark.parametrize("kind", LAYERS)
def test_layers_train_as_with_the_kernels_of_torch(kind, options, masked, monkeypatch):
    torch.manual_seed(0)
    layer = LAYERS[kind](bias_initializer="random_normal", **options)
    x = torch.randn(5, 9, 6, requires_grad=True)
    mask = torch.rand(5, 9) < 0.7 if masked else None

    def computed():
        layer.cell._generator = None  # the same noise again
        found = layer(x, mask=mask, training=True)
        found = list(found) if isinstance(found, (list, tuple)) else [found]
        total = sum((each * torch.arange(1.0, each.numel() + 1).view_as(each)).sum() for each in found)
        return [*found, *torch.autograd.grad(total, [x, *layer.trainable_weights])]

    taken = []
    for name in ("gru", "simple", "lstm"):
        own = getattr(recurrent_gradients, name)
        monkeypatch.setattr(recurrent_gradients, name, lambda *given, own=own: taken.append(1) or own(*given))
    by_hand = computed()
    assert len(taken) == 1
    monkeypatch.setattr(recurrent_gradients, "pays", lambda *tensors: False)
    for mine, torchs in zip(by_hand, computed(), strict=True):
        torch.testing.assert_close(mine, torchs, rtol=1e-4, atol=1e-4)
    assert len(taken) == 1


def test_what_does_not_train_takes_the_kernel_of_torch(monkeypatch):
    monkeypatch.setattr(recurrent_gradients, "gru", None)
    layer = layers.GRU(4)
    with torch.no_grad():
        layer(torch.zeros(2, 3, 5))


def test_an_output_that_was_overwritten_is_not_taken_for_the_state():
    outputs, _ = gru(*inputs(3))
    with pytest.raises(RuntimeError, match="is a view and is being modified inplace"):
        outputs.mul_(2.0).sum().backward()

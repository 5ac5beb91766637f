"""Pictures that only layers see are passed by; those that anybody else sees have their gradients."""

import pytest
import torch

import lamella
from lamella.layers import BatchNormalization, Conv2D, Dense, GlobalAveragePooling2D, Layer, MaxPooling2D, ReLU


def pictures():
    return torch.randn(2, 8, 8, 3)


def layers():
    return [
        Conv2D(4, 3, padding="same"),
        BatchNormalization(),
        ReLU(),
        Conv2D(4, 3),
        MaxPooling2D(2),
        GlobalAveragePooling2D(),
        Dense(2),
    ]


def functional(chain):
    x = start = lamella.Input((8, 8, 3))
    between = [x := layer(x) for layer in chain]
    return start, between


def model_of(parts, chain):
    if chain:
        return lamella.Sequential([lamella.Input((8, 8, 3)), *parts])
    start, between = functional(parts)
    return lamella.Model(start, between[-1])


def names_before(gradient):
    """The names of all operations of a graph."""
    names, stack, seen = [], [gradient], set()
    while stack:
        node = stack.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        names.append(node.name())
        stack.extend(before for before, _ in node.next_functions)
    return names


@pytest.mark.parametrize("place", range(5))
def test_an_output_between_has_its_gradient(place):
    start, between = functional(layers())
    model = lamella.Model(start, [between[place], between[-1]])
    seen, last = model(pictures())
    (gradient,) = torch.autograd.grad(last.square().sum(), [seen])
    assert gradient.shape == seen.shape and gradient.abs().sum() > 0


@pytest.mark.parametrize("chain", [False, True])
@pytest.mark.parametrize("place", [0, 1, 3, 4])
def test_what_a_hook_keeps_has_its_gradient(place, chain):
    parts = layers()
    model = model_of(parts, chain)
    kept = []
    parts[place].register_forward_hook(lambda layer, given, result: kept.append(result))
    loss = model(pictures()).square().sum()
    (gradient,) = torch.autograd.grad(loss, kept)
    assert gradient.abs().sum() > 0


def test_what_a_hook_on_every_module_keeps_has_its_gradient():
    model, kept = model_of(layers(), chain=False), {}
    handle = torch.nn.modules.module.register_module_forward_hook(lambda layer, given, y: kept.update({layer: y}))
    try:
        loss = model(pictures()).square().sum()
    finally:
        handle.remove()
    first = next(result for layer, result in kept.items() if isinstance(layer, Conv2D))
    assert torch.autograd.grad(loss, first)[0].abs().sum() > 0


def test_between_layers_that_are_called_by_hand_gradients_can_be_kept_and_watched():
    first, second, watched = Conv2D(4, 3), Conv2D(2, 3), []
    y = first(pictures())
    y.retain_grad()
    y.register_hook(watched.append)
    second(y).sum().backward()
    assert torch.equal(y.grad, watched[0]) and y.grad.abs().sum() > 0


def test_a_layer_of_the_users_own_may_keep_what_it_gives():
    class Keeping(Conv2D):
        def call(self, inputs):
            self.given = super().call(inputs)
            return self.given

    class Composed(Layer):
        def __init__(self):
            super().__init__()
            self.first, self.second = Conv2D(4, 3), Conv2D(4, 1)

        def call(self, inputs):
            self.given = self.first(inputs)
            return self.second(self.given)

    parts = [Keeping(4, 3), Composed(), Conv2D(2, 1)]
    loss = model_of(parts, chain=False)(pictures()).square().sum()
    for part in parts[:2]:
        assert torch.autograd.grad(loss, part.given, retain_graph=True)[0].abs().sum() > 0


@pytest.mark.parametrize("before", [False, True])
@pytest.mark.parametrize("chain", [False, True])
@pytest.mark.parametrize("place", [1, 3, 4])
def test_what_a_hook_of_the_layer_that_takes_it_keeps_has_its_gradient(place, chain, before):
    parts = layers()
    model = model_of(parts, chain)
    kept = []
    if before:
        parts[place].register_forward_pre_hook(lambda layer, given: kept.append(given[0]))
    else:
        parts[place].register_forward_hook(lambda layer, given, result: kept.append(given[0]))
    loss = model(pictures()).square().sum()
    assert torch.autograd.grad(loss, kept)[0].abs().sum() > 0


@pytest.mark.parametrize("chain", [False, True])
def test_a_layer_of_the_users_own_may_keep_what_it_takes(chain):
    class Taking(Layer):
        def __init__(self):
            super().__init__()
            self.inner = Conv2D(4, 3)

        def call(self, inputs):
            self.taken = inputs
            return self.inner(inputs)

    parts = [Conv2D(4, 3), Taking(), Conv2D(2, 1)]
    model = model_of(parts, chain)
    loss = model(pictures()).square().sum()
    assert torch.autograd.grad(loss, parts[1].taken)[0].abs().sum() > 0


@pytest.mark.parametrize("chain", [False, True])
def test_what_only_layers_see_is_passed_by(chain):
    parts = [Conv2D(4, 3), Conv2D(4, 3), MaxPooling2D(2), Conv2D(4, 2)]
    model = model_of(parts, chain)
    by_hand = pictures()
    names = names_before(model(by_hand).grad_fn)
    assert names.count("PermuteBackward0") == 1 + 3  # the result's own, and those of the kernels
    for part in parts:
        by_hand = part(by_hand)
    assert names_before(by_hand.grad_fn).count("PermuteBackward0") > 4


@pytest.mark.parametrize("chain", [False, True])
def test_a_layer_that_fails_is_called_once_and_named(chain):
    calls = []

    class Failing(Layer):
        def call(self, inputs):
            if not inputs.is_meta:
                calls.append(inputs)
                raise ValueError("no")
            return inputs

    parts = [Conv2D(4, 3), Failing(name="failing"), Dense(2)]
    model = model_of(parts, chain)
    with pytest.raises(ValueError, match="no") as raised:
        model(pictures())
    assert len(calls) == 1 and "failing" in raised.value.__notes__[0]


def test_what_is_passed_besides_the_pictures():
    start = lamella.Input((8, 8, 3))
    normalize = BatchNormalization()
    x = normalize(Conv2D(4, 3)(start), training=False)
    model = lamella.Model(start, Conv2D(2, 3)(x))
    before = normalize.moving_mean.clone()
    assert model(pictures(), training=True).shape == (2, 4, 4, 2)
    torch.testing.assert_close(normalize.moving_mean, before)

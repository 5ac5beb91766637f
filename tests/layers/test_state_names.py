"""`load_state_dict` between models of one architecture, whose layers have other default names."""

import io

import pytest
import torch
from torch import nn

import lamella
from lamella import layers

X = torch.rand(8, 6, generator=torch.Generator().manual_seed(0))


def sequential():
    return lamella.Sequential(
        [lamella.Input((6,)), layers.Dense(6, "relu"), layers.BatchNormalization(), layers.Dense(6), layers.Dense(6)]
    )


def functional():
    inputs = lamella.Input((6,))
    hidden = nn.Linear(6, 6)(layers.Dense(6)(inputs))
    return lamella.Model(inputs, layers.Dense(2)(sequential()(hidden)))


@pytest.mark.parametrize("make", [sequential, functional])
@pytest.mark.parametrize("assign", [False, True])
def test_a_second_model_takes_the_state_of_the_first(make, assign):
    first = make()
    first.compile("sgd", "mse")
    first.fit(X, X[:, : first.output_shape[-1]], epochs=1, verbose=0)
    kept = io.BytesIO()
    torch.save(first.state_dict(), kept)
    kept.seek(0)
    second = make()
    assert second.state_dict().keys() != first.state_dict().keys()
    found = second.load_state_dict(torch.load(kept, weights_only=True), assign=assign)
    assert not found.missing_keys and not found.unexpected_keys
    torch.testing.assert_close(second(X), first(X))
    before = second(X).detach().clone()
    second.compile("sgd", "mse")
    second.fit(X, X[:, : second.output_shape[-1]], epochs=1, verbose=0)
    assert not torch.equal(second(X), before)


def test_weights_that_are_assigned_after_compile_are_those_that_are_trained():
    model = sequential()
    model.compile("adam", "mse")
    model.fit(X, X, epochs=1, verbose=0)
    model.load_state_dict(sequential().state_dict(), assign=True)
    before = [weight.detach().clone() for weight in model.trainable_weights]
    model.fit(X, X, epochs=1, verbose=0)
    assert not any(torch.equal(one, other) for one, other in zip(before, model.trainable_weights, strict=True))


def test_other_names_and_shapes_are_errors():
    model = sequential()
    renamed = {name.replace("dense", "head"): value for name, value in model.state_dict().items()}
    with pytest.raises(RuntimeError, match="Unexpected key"):
        model.load_state_dict(renamed)
    cut = {name: value[:3] for name, value in sequential().state_dict().items()}
    with pytest.raises(RuntimeError, match="size mismatch"):
        model.load_state_dict(cut)

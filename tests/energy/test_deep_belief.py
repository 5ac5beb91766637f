"""The deep belief network against its parts, by hand and by enumeration."""

import itertools

import numpy as np
import pytest
import torch

import lamella
from lamella.energy import DeepBeliefNetwork, RestrictedBoltzmannMachine
from lamella.errors import ArgumentError, DataError, NotBuiltError, NotCompiledError, ShapeError


def trained(rng, units=(6, 4, 3), columns=8, **options):
    dbn = DeepBeliefNetwork(units, **options)
    x = (rng.random((60, columns)) < 0.5).astype("float32")
    dbn.compile(lamella.optimizers.SGD(0.2))
    dbn.fit(x, epochs=2, batch_size=20, verbose=0)
    return dbn, x


def test_each_machine_is_trained_on_the_probabilities_of_the_one_below(rng):
    x = (rng.random((60, 8)) < 0.5).astype("float32")
    lamella.utils.set_random_seed(0)
    dbn = DeepBeliefNetwork((6, 4), k=2)
    dbn.build((None, 8))
    machines = [RestrictedBoltzmannMachine(units, k=2) for units in (6, 4)]
    for machine, twin, columns in zip(dbn.machines, machines, (8, 6), strict=True):
        twin.build((None, columns))
        twin.set_weights(machine.get_weights())
    dbn.compile(lamella.optimizers.SGD(0.5, momentum=0.9))
    lamella.utils.set_random_seed(1)
    histories = dbn.fit(x, epochs=3, batch_size=20, verbose=0)
    lamella.utils.set_random_seed(1)
    rows = x
    for twin, history in zip(machines, histories, strict=True):
        twin.compile(lamella.optimizers.SGD(0.5, momentum=0.9))
        wanted = twin.fit(rows, epochs=3, batch_size=20, verbose=0).history
        np.testing.assert_allclose(history.history["free_energy"], wanted["free_energy"], rtol=1e-5)
        rows = 1 / (1 + np.exp(-(rows @ twin.kernel.detach().numpy() + twin.hidden_bias.detach().numpy())))
    np.testing.assert_allclose(dbn.predict(x, verbose=0), rows, rtol=1e-4)


def test_samples_follow_the_distribution(rng):
    """p(v) by enumeration: the top machine's p(h1), then p(v | h1)."""
    dbn = DeepBeliefNetwork((3, 2))
    dbn.build((None, 4))
    for machine in dbn.machines:
        machine.set_weights([rng.normal(0, 1.5, w.shape) for w in machine.get_weights()])
    bottom, top = dbn.machines
    states = torch.tensor(list(itertools.product([0.0, 1.0], repeat=3)))
    probabilities = (-top.free_energy(states)).softmax(0)
    wanted = (probabilities.unsqueeze(1) * bottom.visible_probabilities(states)).sum(0)
    found = dbn.sample(20_000, steps=50)
    assert found.shape == (20_000, 4)
    torch.testing.assert_close(found.mean(0), wanted.detach(), rtol=0, atol=0.015)
    second = torch.einsum("s,si,sj->ij", probabilities, *[bottom.visible_probabilities(states)] * 2)
    torch.testing.assert_close(found.T @ found / len(found), second.detach(), rtol=0, atol=0.015)


@pytest.mark.parametrize("units", [(5,), (5, 4, 3)])
def test_samples_of_any_depth_are_probabilities(units, rng):
    dbn, _ = trained(rng, units)
    drawn = dbn.sample(7, steps=3)
    assert drawn.shape == (7, 8)
    assert 0 < drawn.min() < drawn.max() < 1


@pytest.mark.parametrize("dropout", [0, 0.3])
def test_the_classifier_is_an_ordinary_model_with_copies(dropout, rng):
    dbn, x = trained(rng)
    before = dbn.predict(x, verbose=0)
    model = dbn.classifier(3, dropout=dropout)
    assert type(model) is lamella.Sequential
    features = torch.from_numpy(before)
    np.testing.assert_allclose(
        model.predict(x, verbose=0), model.get_layer("classes")(features).detach(), rtol=1e-4, atol=1e-6
    )
    model.compile(lamella.optimizers.Adam(0.02), "sparse_categorical_crossentropy")
    labels = x[:, 0] + x[:, 1]
    loss = model.evaluate(x, labels, verbose=0)
    model.fit(x, labels, epochs=30, verbose=0)
    assert model.evaluate(x, labels, verbose=0) < 0.9 * loss
    np.testing.assert_array_equal(dbn.predict(x, verbose=0), before)


@pytest.mark.parametrize("visible", ["bernoulli", "gaussian"])
def test_a_file_keeps_it(visible, tmp_path, rng):
    dbn, x = trained(rng, visible=visible)
    dbn.save(tmp_path / "dbn.keras")
    again = lamella.models.load_model(tmp_path / "dbn.keras")
    np.testing.assert_array_equal(again.predict(x, verbose=0), dbn.predict(x, verbose=0))
    assert [machine.visible for machine in again.machines] == [visible, "bernoulli", "bernoulli"]
    again.fit(x, epochs=1, verbose=0)
    assert torch.isfinite(again.sample(3, steps=2)).all()


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda: DeepBeliefNetwork(5), ArgumentError, r"as \(500, 500\)"),
        (lambda: DeepBeliefNetwork(()), ArgumentError, "hidden_units"),
        (lambda: DeepBeliefNetwork((5, 0)), ArgumentError, "got 0"),
        (lambda: DeepBeliefNetwork((5, 4), visible="softmax"), ArgumentError, "'softmax'"),
        (lambda: DeepBeliefNetwork((5, 4)).sample(3), NotBuiltError, "fit it"),
        (lambda: DeepBeliefNetwork((5, 4)).classifier(3), NotBuiltError, "fit it"),
        (lambda: DeepBeliefNetwork((5, 4)).fit(np.zeros((3, 2))), NotCompiledError, "compile"),
        (lambda: DeepBeliefNetwork((5, 4)).compile("sgd", "mse"), ArgumentError, "own loss"),
    ],
)
def test_what_cannot_be_is_refused(make, error, words):
    with pytest.raises(error, match=words):
        make()


def test_bad_data_are_refused():
    dbn = DeepBeliefNetwork((5, 4))
    dbn.compile("sgd")
    with pytest.raises(ShapeError, match="Flatten"):
        dbn.fit(np.zeros((3, 2, 2)))
    with pytest.raises(DataError, match="leave y out"):
        dbn.fit(np.zeros((3, 2)), np.zeros(3))
    with pytest.raises(DataError, match="row 1, column 0 is 255"):
        dbn.fit(np.array([[0.0, 1], [255, 0]]), verbose=0)
    dbn.build((None, 2))
    with pytest.raises(ArgumentError, match="two classes"):
        dbn.classifier(1)

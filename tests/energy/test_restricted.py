"""The restricted Boltzmann machine against sums over all its states."""

import itertools

import fresh
import numpy as np
import pytest
import torch
from scipy import stats

import lamella
from lamella.callbacks import Pace
from lamella.energy import RestrictedBoltzmannMachine
from lamella.errors import ArgumentError, DataError, NotBuiltError, ShapeError
from lamella.optimizers import SGD

CLASSES = 3


def machine(visible="bernoulli", units=5, hidden=4, scale=0.7, **options):
    rbm = RestrictedBoltzmannMachine(hidden, visible, CLASSES if visible == "softmax" else None, **options)
    rbm.build((None, units))
    with torch.no_grad():
        for weight in rbm.trainable_weights:
            weight.normal_(std=scale)
    return rbm


def states(values, units):
    return torch.tensor(list(itertools.product(range(values), repeat=units)), dtype=torch.float32)


def slow_energy(rbm, v, h):
    """The energy of one pair of states, term by term."""
    kernel, b, c = (w.detach().double().numpy() for w in (rbm.kernel, rbm.visible_bias, rbm.hidden_bias))
    total = -float(np.dot(h, c))
    if rbm.visible == "softmax":
        kernel, b = kernel.reshape(len(v), CLASSES, -1), b.reshape(len(v), CLASSES)
        for i, k in enumerate(v):
            total -= b[i, int(k)] + float(np.dot(kernel[i, int(k)], h))
        return total
    for i, value in enumerate(v):
        total += (value - b[i]) ** 2 / 2 if rbm.visible == "gaussian" else -b[i] * value
        total -= value * float(np.dot(kernel[i], h))
    return total


def data_of(visible, rows, units, rng):
    if visible == "gaussian":
        return torch.from_numpy(rng.normal(size=(rows, units)).astype("float32"))
    return torch.from_numpy(rng.integers(0, CLASSES if visible == "softmax" else 2, (rows, units)).astype("float32"))


@pytest.mark.parametrize("visible", ["bernoulli", "gaussian", "softmax"])
def test_energy_free_energy_and_conditionals_follow_from_the_definition(visible, rng):
    rbm, hidden = machine(visible), states(2, 4)
    v = data_of(visible, 3, 5, rng)
    for row in v:
        energies = np.array([slow_energy(rbm, row.numpy(), h.numpy()) for h in hidden])
        found = rbm.energy(row.expand(len(hidden), -1), hidden)
        np.testing.assert_allclose(found.detach(), energies, rtol=1e-4, atol=1e-4)
        free = -np.log(np.exp(-energies).sum())
        np.testing.assert_allclose(rbm.free_energy(row[None]).item(), free, rtol=1e-4)
        weights = np.exp(-energies) / np.exp(-energies).sum()
        np.testing.assert_allclose(rbm.hidden_probabilities(row[None])[0].detach(), weights @ hidden.numpy(), atol=1e-5)
    assert torch.equal(rbm(v), rbm.hidden_probabilities(v))
    np.testing.assert_allclose(rbm.predict(v, verbose=0), rbm(v).detach(), atol=1e-6)


@pytest.mark.parametrize("visible", ["bernoulli", "softmax"])
def test_visible_probabilities_follow_from_the_energy(visible):
    rbm = machine(visible, units=3)
    values = CLASSES if visible == "softmax" else 2
    h = torch.tensor([[1.0, 0, 1, 1]])
    all_v = states(values, 3)
    weights = (-rbm.energy(all_v, h.expand(len(all_v), -1))).softmax(0)
    found = rbm.visible_probabilities(h)[0]
    for unit in range(3):
        for value in range(values):
            expected = weights[all_v[:, unit] == value].sum()
            got = found[unit, value] if visible == "softmax" else (found[unit] if value else 1 - found[unit])
            torch.testing.assert_close(got, expected)


@pytest.mark.parametrize(("units", "hidden"), [(6, 3), (3, 6)])
@pytest.mark.parametrize("visible", ["bernoulli", "softmax"])
def test_the_exact_partition_function_is_the_sum_over_all_states(visible, units, hidden):
    rbm = machine(visible, units, hidden)
    all_v = states(CLASSES if visible == "softmax" else 2, units)
    expected = (-rbm.free_energy(all_v).double()).logsumexp(0).item()
    assert rbm.log_partition_exact() == pytest.approx(expected, abs=1e-4)
    assert rbm.log_likelihood(all_v, expected).double().exp().sum().item() == pytest.approx(1, abs=1e-4)


def test_the_exact_partition_function_of_gaussian_units_is_the_integral():
    rbm = machine("gaussian", units=2)
    grid = torch.linspace(-12, 12, 481)
    v = torch.cartesian_prod(grid, grid)
    expected = (-rbm.free_energy(v).double()).logsumexp(0).item() + 2 * np.log(24 / 480)
    assert rbm.log_partition_exact() == pytest.approx(expected, abs=1e-3)


@pytest.mark.parametrize("visible", ["bernoulli", "gaussian", "softmax"])
def test_samples_have_the_distribution_of_the_machine(visible):
    rbm = machine(visible, units=3, hidden=3)
    v = rbm.sample(20_000, steps=30)
    if visible == "gaussian":  # the mean of v is that of its conditional means over p(h)
        h = states(2, 3)
        total = rbm.visible_bias + h @ rbm.kernel.T
        weights = ((total.square() - rbm.visible_bias.square()).sum(1) / 2 + h @ rbm.hidden_bias).softmax(0)
        expected = (weights @ total).detach()
        assert ((v.mean(0) - expected).abs() < 5 * v.std(0) / 20_000**0.5).all()
        return
    values = CLASSES if visible == "softmax" else 2
    all_v = states(values, 3)
    expected = rbm.log_likelihood(all_v, rbm.log_partition_exact()).double().exp().numpy()
    place = torch.tensor([values**2, values, 1.0])
    counts = np.bincount((v.float() @ place).long().numpy(), minlength=len(all_v))
    assert stats.chisquare(counts, expected * counts.sum() / expected.sum()).pvalue > 1e-4


@pytest.mark.parametrize("visible", ["bernoulli", "gaussian", "softmax"])
@pytest.mark.parametrize("persistent", [False, True])
def test_the_update_follows_the_exact_gradient_of_the_likelihood(visible, persistent, rng):
    """With many chains that have run long, contrastive divergence is the gradient, here by autograd through Z."""
    rbm = machine(visible, units=4, hidden=3, scale=0.5, k=40, persistent=persistent, chains=20_000)
    kinds = data_of(visible, 3, 4, rng)
    data = kinds.repeat_interleave(7_000, 0)
    likelihood = -rbm.free_energy(kinds).mean() - exact_log_partition(rbm)
    exact = torch.autograd.grad(likelihood, rbm.trainable_weights)
    before = [weight.detach().clone() for weight in rbm.trainable_weights]
    rbm.compile(SGD(1.0))
    rbm.fit(data, batch_size=len(data), verbose=0)
    for old, new, gradient in zip(before, rbm.trainable_weights, exact, strict=True):
        torch.testing.assert_close((new - old).detach(), gradient, atol=0.06 if visible == "gaussian" else 0.03, rtol=0)
    assert max(gradient.abs().max() for gradient in exact) > 0.1


def test_the_centered_update_is_the_gradient_with_means_taken_off(rng):
    rbm = machine("bernoulli", units=4, hidden=3, k=40, persistent=True, chains=20_000, centered=True)
    kinds = data_of("bernoulli", 3, 4, rng)
    likelihood = -rbm.free_energy(kinds).mean() - exact_log_partition(rbm)
    kernel, b, c = torch.autograd.grad(likelihood, rbm.trainable_weights)
    every = states(2, 4)
    p = rbm.log_likelihood(every, rbm.log_partition_exact()).exp()
    v = (kinds.mean(0) + p @ every) / 2
    h = ((rbm(kinds).mean(0) + p @ rbm(every)) / 2).detach()
    kernel = kernel - torch.outer(b, h) - torch.outer(v, c)
    expected = kernel, b - kernel @ h, c - v @ kernel
    before = [weight.detach().clone() for weight in rbm.trainable_weights]
    rbm.compile(SGD(1.0))
    rbm.fit(kinds.repeat_interleave(7_000, 0), batch_size=21_000, verbose=0)
    for old, new, gradient in zip(before, rbm.trainable_weights, expected, strict=True):
        torch.testing.assert_close((new - old).detach(), gradient, atol=0.03, rtol=0)


def exact_log_partition(rbm):
    h = states(2, rbm.hidden_units)
    total = rbm.visible_bias + h @ rbm.kernel.T
    if rbm.visible == "bernoulli":
        alone = total.exp().add(1).log().sum(1)
    elif rbm.visible == "gaussian":
        alone = (total**2 - rbm.visible_bias**2).sum(1) / 2 + total.shape[1] * np.log(2 * np.pi) / 2
    else:
        alone = total.view(len(h), -1, CLASSES).exp().sum(-1).log().sum(1)
    return (alone + h @ rbm.hidden_bias).exp().sum().log()


@pytest.mark.parametrize("visible", ["bernoulli", "softmax"])
def test_the_pseudo_likelihood_is_the_product_of_the_conditionals(visible, rng):
    rbm = machine(visible, units=4)
    v = data_of(visible, 6, 4, rng)
    values = CLASSES if visible == "softmax" else 2
    expected = torch.zeros(len(v))
    for unit in range(4):
        scores = []
        for value in range(values):
            other = v.clone()
            other[:, unit] = value
            scores.append(-rbm.free_energy(other))
        expected += torch.stack(scores, 1).log_softmax(1)[range(len(v)), v[:, unit].long()].detach()
    torch.testing.assert_close(rbm.pseudo_log_likelihood(v, exact=True), expected, atol=1e-4, rtol=1e-4)
    estimates = rbm.pseudo_log_likelihood(v[:1].expand(4000, -1))
    assert abs(estimates.mean() - expected[0]) < 5 * estimates.std() / 4000**0.5


def test_learning_a_small_distribution():
    lamella.utils.set_random_seed(0)
    v = torch.tensor([[1.0, 1, 1, 0, 0, 0], [0, 0, 0, 1, 1, 1], [1, 0, 1, 0, 1, 0]]).repeat(40, 1)
    for rate, options in ((0.3, {}), (0.1, {"persistent": True}), (0.1, {"persistent": True, "centered": True})):
        rbm = RestrictedBoltzmannMachine(4, **options)
        rbm.compile(SGD(rate))
        history = rbm.fit(v, epochs=350, batch_size=20, verbose=0, callbacks=[Pace(rate)]).history
        assert np.isfinite(history["loss"]).all()
        likelihood = rbm.log_likelihood(v, rbm.log_partition_exact()).mean().item()
        assert likelihood > -1.8, options  # log(1/3) = -1.1 is best, six coins have -4.2


@pytest.mark.parametrize("persistent", [False, True])
def test_training_within_autocast_makes_nearly_the_same_update(persistent, rng):
    v, updates = data_of("bernoulli", 2000, 6, rng), []
    for short in (False, True):
        torch.manual_seed(0)
        rbm = machine(units=6, persistent=persistent, chains=2000, centered=True)
        before = rbm.kernel.detach().clone()
        rbm.compile(SGD(1.0))
        with torch.autocast("cpu", torch.bfloat16, enabled=short):
            rbm.fit(v, batch_size=2000, shuffle=False, verbose=0)
        assert rbm.kernel.dtype is torch.float32
        updates.append((rbm.kernel - before).detach())
    assert (updates[0] - updates[1]).norm() < 0.2 * updates[0].norm()


def test_the_same_seed_gives_the_same_machine():
    v = torch.bernoulli(torch.full((60, 8), 0.4))
    found = []
    for _ in range(2):
        lamella.utils.set_random_seed(3)
        rbm = RestrictedBoltzmannMachine(5, persistent=True, chains=7)
        rbm.compile("sgd")
        rbm.fit(v, epochs=2, verbose=0)
        found.append(torch.cat([rbm.kernel.detach().flatten(), rbm.sample(3, 5).flatten()]))
    assert torch.equal(*found)


def test_sparsity_is_reached():
    v = torch.bernoulli(torch.full((400, 12), 0.5))
    activity = {}
    for target in (None, 0.05):
        lamella.utils.set_random_seed(0)
        rbm = RestrictedBoltzmannMachine(6, sparsity_target=target, sparsity_cost=0.3)
        rbm.compile(SGD(0.2))
        rbm.fit(v, epochs=25, batch_size=20, verbose=0)
        activity[target] = rbm(v).mean().item()
    assert activity[None] > 0.15
    assert activity[0.05] == pytest.approx(0.05, abs=0.03)


def test_a_regularizer_and_weight_decay_shrink_the_kernel():
    v = torch.bernoulli(torch.full((200, 10), 0.5))
    sizes = []
    for regularizer, decay in ((None, None), ("l2", None), (None, 1.0)):
        lamella.utils.set_random_seed(0)
        rbm = RestrictedBoltzmannMachine(
            5, kernel_regularizer=regularizer and lamella.regularizers.L2(0.5), kernel_initializer="glorot_uniform"
        )
        rbm.compile(SGD(0.1, weight_decay=decay))
        rbm.fit(v, epochs=10, batch_size=20, verbose=0)
        sizes.append(rbm.kernel.norm().item())
    assert max(sizes[1:]) < 0.5 * sizes[0]


def test_what_fit_and_evaluate_report(rng):
    v = data_of("bernoulli", 40, 6, rng)
    rbm = RestrictedBoltzmannMachine(4)
    rbm.compile("sgd")
    history = rbm.fit(v, validation_data=v[:8], epochs=2, verbose=0).history
    assert set(history) == {
        "loss",
        "free_energy",
        "reconstruction_error",
        "val_free_energy",
        "val_reconstruction_error",
    }
    found = rbm.evaluate(v, verbose=0, return_dict=True)
    assert found["free_energy"] == pytest.approx(rbm.free_energy(v).mean().item(), abs=1e-4)
    assert found["reconstruction_error"] == pytest.approx(0.5, abs=0.15)  # coins for coins


@pytest.mark.parametrize("visible", ["bernoulli", "gaussian", "softmax"])
def test_a_saved_machine_opens_in_a_fresh_process(visible, tmp_path, rng):
    rbm = RestrictedBoltzmannMachine(
        4, visible, CLASSES if visible == "softmax" else None, persistent=True, chains=6, sparsity_target=0.1
    )
    rbm.compile(SGD(0.01, momentum=0.5))
    v = data_of(visible, 30, 5, rng)
    rbm.fit(v, verbose=0)
    rbm.save(tmp_path / "rbm.keras")
    np.save(tmp_path / "v.npy", v.numpy())
    code = (
        "import sys, numpy as np, lamella; m = lamella.models.load_model(sys.argv[1] + '/rbm.keras');"
        "v = np.load(sys.argv[1] + '/v.npy'); np.save(sys.argv[1] + '/h.npy', m.predict(v, verbose=0));"
        "np.save(sys.argv[1] + '/c.npy', m.chain_states.numpy()); m.fit(v, verbose=0)"
    )
    fresh.check(["-c", code, tmp_path])
    np.testing.assert_allclose(np.load(tmp_path / "h.npy"), rbm.predict(v, verbose=0), atol=1e-6)
    np.testing.assert_array_equal(np.load(tmp_path / "c.npy"), rbm.chain_states.numpy())


def test_a_trained_machine_is_a_layer_of_a_model(rng):
    v = data_of("bernoulli", 60, 6, rng)
    rbm = RestrictedBoltzmannMachine(8)
    rbm.compile("sgd")
    rbm.fit(v, verbose=0)
    before = rbm.kernel.detach().clone()
    model = lamella.Sequential([lamella.Input((6,)), rbm, lamella.layers.Dense(1, activation="sigmoid")])
    model.compile("adam", "binary_crossentropy", metrics=["accuracy"])
    with pytest.warns(UserWarning, match="1 of 5 weights"):  # the visible bias has no part in it
        history = model.fit(v, v[:, 0], epochs=3, verbose=0).history
    assert set(history) == {"loss", "accuracy"}
    assert not torch.equal(before, rbm.kernel)


@pytest.mark.parametrize(
    ("visible", "bad", "words"),
    [
        ("bernoulli", 1.5, "row 2, column 1 is 1.5"),
        ("bernoulli", -0.1, "row 2, column 1"),
        ("softmax", 3.0, "0 to 2; row 2"),
        ("softmax", 0.5, "whole numbers"),
        ("gaussian", float("inf"), "row 2, column 1"),
        ("gaussian", float("nan"), "finite"),
        ("bernoulli", float("nan"), "row 2, column 1 is nan"),
    ],
)
def test_data_that_the_units_cannot_be_are_refused(visible, bad, words):
    v = torch.zeros(5, 3)
    v[2, 1] = bad
    rbm = RestrictedBoltzmannMachine(2, visible, CLASSES if visible == "softmax" else None)
    rbm.compile("sgd")
    for use in (lambda: rbm.fit(v, verbose=0), lambda: rbm.free_energy(v), lambda: rbm.gibbs_step(v)):
        with pytest.raises(DataError, match=words):
            use()


def test_what_else_is_refused():
    rbm = RestrictedBoltzmannMachine(30)
    with pytest.raises(NotBuiltError, match="build"):
        rbm.sample(3)
    rbm.compile("sgd")
    with pytest.raises(ShapeError, match="Flatten"):
        rbm.fit(torch.zeros(4, 2, 2), verbose=0)
    with pytest.raises(DataError, match="leave y out"):
        rbm.fit(torch.zeros(4, 2), torch.zeros(4), verbose=0)
    rbm.build((None, 40))
    with pytest.raises(ShapeError, match="40"):
        rbm.free_energy(torch.zeros(2, 39))
    with pytest.raises(ShapeError, match=r"\(rows, 30\)"):
        rbm.visible_probabilities(torch.zeros(2, 39))
    with pytest.raises(ArgumentError, match="annealed"):
        rbm.log_partition_exact()
    with pytest.raises(ArgumentError, match="2 rows for 3"):
        rbm.sample(3, start=torch.zeros(2, 40))
    with pytest.raises(ArgumentError, match="Gaussian"):
        machine("gaussian").pseudo_log_likelihood(torch.zeros(1, 5))
    with pytest.raises(ArgumentError, match="own loss"):
        rbm.compile("sgd", "mse")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"hidden_units": 0}, "hidden_units"),
        ({"k": 0}, "`k`"),
        ({"visible": "binary"}, "one of"),
        ({"visible": "softmax"}, "classes"),
        ({"classes": 3}, "classes"),
        ({"sparsity_target": 1.0}, "sparsity_target"),
        ({"chains": True}, "chains"),
    ],
)
def test_arguments_out_of_range_are_refused(options, words):
    with pytest.raises(ArgumentError, match=words):
        RestrictedBoltzmannMachine(**({"hidden_units": 2} | options))

"""The general Boltzmann machine against sums over all its states."""

import itertools

import fresh
import numpy as np
import pytest
import torch
from scipy import stats

import lamella
from lamella.energy import BoltzmannMachine
from lamella.errors import ArgumentError, DataError, ShapeError
from lamella.optimizers import SGD


def couplings(rng, units, scale=0.8):
    upper = np.triu(rng.normal(scale=scale, size=(units, units)), 1)
    return (upper + upper.T).astype("float32"), rng.normal(scale=0.5, size=units).astype("float32")


def machine(rng, visible, hidden, scale=0.8, **options):
    found = BoltzmannMachine(visible, hidden, **options)
    kernel, bias = couplings(rng, visible + hidden, scale)
    found.set_weights([kernel, bias, found.chain_states.numpy()])
    return found


def all_bits(units):
    """Every state, unit 0 changing fastest."""
    return torch.tensor([row[::-1] for row in itertools.product((0.0, 1.0), repeat=units)])


def test_the_energy_is_a_sum_over_pairs_and_units(rng):
    kernel, bias = couplings(rng, 5)
    found = BoltzmannMachine.from_weights(kernel, bias)
    for row in rng.integers(0, 2, (4, 5)):
        expected = -sum(kernel[i, j] * row[i] * row[j] for i in range(5) for j in range(i)) - bias @ row
        assert found.energy(row[None].astype("float32")).item() == pytest.approx(expected, abs=1e-4)


def test_exact_probabilities_and_free_energies(rng):
    found = machine(rng, 3, 3)
    states = all_bits(6)
    weights = (-found.energy(states).detach()).softmax(0)
    torch.testing.assert_close(found.probabilities_exact(), weights)
    v = all_bits(3)
    of_v = torch.stack([weights[(states[:, :3] == row).all(1)].sum() for row in v])
    torch.testing.assert_close((-found.free_energy(v) - found.log_partition_exact()).exp().detach(), of_v)


@pytest.mark.parametrize("temperature", [1.0, 2.0])
def test_gibbs_samples_have_the_boltzmann_distribution(rng, temperature):
    kernel, bias = couplings(rng, 6)
    found = BoltzmannMachine.from_weights(kernel, bias)
    s = found.anneal(20_000, [temperature] * 40)
    counts = np.bincount((s @ (2.0 ** torch.arange(6))).long().numpy(), minlength=64)
    cooled = BoltzmannMachine.from_weights(kernel / temperature, bias / temperature)
    expected = cooled.probabilities_exact().double().numpy()
    assert stats.chisquare(counts, expected * counts.sum() / expected.sum()).pvalue > 1e-4
    uniform = stats.chisquare(counts).pvalue
    assert uniform < 1e-6  # the test has the power to tell


def test_a_sweep_keeps_the_distribution(rng):
    """One sweep from exact samples gives exact samples."""
    kernel, bias = couplings(rng, 5, 1.5)
    found = BoltzmannMachine.from_weights(kernel, bias)
    p = found.probabilities_exact()
    s = all_bits(5)[torch.multinomial(p, 20_000, replacement=True)]
    after = found.gibbs_sweep(s)
    counts = np.bincount((after @ (2.0 ** torch.arange(5))).long().numpy(), minlength=32)
    expected = p.double().numpy()
    often = expected * len(s) > 5
    expected = expected[often] / expected[often].sum() * counts[often].sum()
    assert often.sum() > 10
    assert stats.chisquare(counts[often], expected).pvalue > 1e-4


def test_clamped_units_stay_and_the_others_have_the_conditional_distribution(rng):
    found = machine(rng, 3, 3)
    v = torch.tensor([[1.0, 0, 1]])
    s = found.sample(sweeps=30, visible=v.repeat(10_000, 1))
    assert (s[:, :3] == v).all()
    states = torch.cat([v.repeat(8, 1), all_bits(3)], 1)
    expected = (-found.energy(states).detach().double()).softmax(0).numpy()
    counts = np.bincount((s[:, 3:] @ torch.tensor([1.0, 2, 4])).long().numpy(), minlength=8)
    assert stats.chisquare(counts, expected * counts.sum() / expected.sum()).pvalue > 1e-4
    torch.testing.assert_close(found.gibbs_sweep(s, clamp_visible=True)[:, :3], s[:, :3])


def test_annealing_finds_the_least_energy(rng):
    kernel, bias = couplings(rng, 12, 2.0)
    found = BoltzmannMachine.from_weights(kernel, bias)
    least = found.energy(all_bits(12)).min()
    annealed = found.energy(found.anneal(50, np.geomspace(10, 0.05, 60)))
    assert annealed.min().item() == pytest.approx(least.item(), abs=1e-3)
    assert annealed.mean() < found.energy(found.sample(50)).mean()


def test_the_update_follows_the_exact_gradient_of_the_likelihood(rng):
    lamella.utils.set_random_seed(0)
    found = machine(rng, 3, 2, chains=20_000, sweeps=40)
    kinds = torch.tensor([[1.0, 0, 1], [1, 1, 0], [0, 0, 0]])
    likelihood = -found.free_energy(kinds).mean() - found.log_partition_exact()
    kernel, bias = torch.autograd.grad(likelihood, [found.kernel, found.bias])
    kernel = (kernel + kernel.T).fill_diagonal_(0)  # [i, j] and [j, i] are one weight
    before = [found.kernel.detach().clone(), found.bias.detach().clone()]
    found.compile(SGD(1.0))
    found.fit(kinds.repeat(7000, 1), batch_size=21_000, verbose=0)
    for old, new, gradient in zip(before, (found.kernel, found.bias), (kernel, bias), strict=True):
        torch.testing.assert_close((new - old).detach(), gradient, atol=0.025, rtol=0)
    assert max(kernel.abs().max(), bias.abs().max()) > 0.1
    assert torch.equal(found.kernel, found.kernel.T)
    assert not found.kernel.diagonal().any()


def test_learning_exclusive_or_needs_hidden_units():
    """Of three bits with even parity, pairs look independent: only a hidden unit can know."""
    lamella.utils.set_random_seed(1)
    v = torch.tensor([[0.0, 0, 0], [0, 1, 1], [1, 0, 1], [1, 1, 0]])
    likelihoods = []
    for hidden in (0, 4):
        found = BoltzmannMachine(3, hidden, chains=100, sweeps=3)
        with torch.no_grad():
            start = torch.randn(found.kernel.shape).triu(1)
            found.kernel.copy_(start + start.T)
        found.compile(SGD(1.0))
        found.fit(v.repeat(25, 1), batch_size=100, epochs=500, verbose=0)
        likelihoods.append((-found.free_energy(v).mean() - found.log_partition_exact()).item())
    assert likelihoods[0] < -2.0  # log(1/8) = -2.08
    assert likelihoods[1] > -1.75  # log(1/4) = -1.39 is best


def test_the_mean_field_is_a_fixed_point_and_right_for_weak_couplings(rng):
    kernel, bias = couplings(rng, 6, 0.1)
    found = BoltzmannMachine.from_weights(kernel, bias)
    q = found.mean_field()
    torch.testing.assert_close(q, (q @ found.kernel + found.bias).sigmoid().detach(), atol=1e-5, rtol=0)
    exact = found.probabilities_exact() @ all_bits(6)
    torch.testing.assert_close(q[0], exact, atol=0.02, rtol=0)
    v = torch.tensor([[1.0, 0, 1, 1]])
    halves = BoltzmannMachine(4, 2)
    halves.set_weights([kernel, bias, halves.chain_states.numpy()])
    clamped = halves.mean_field(v)
    assert torch.equal(clamped[:, :4], v)
    torch.testing.assert_close(halves(v), clamped[:, 4:], atol=1e-5, rtol=0)


def test_a_saved_machine_opens_in_a_fresh_process(tmp_path, rng):
    found = machine(rng, 4, 3, chains=10)
    found.compile(SGD(0.05))
    v = rng.integers(0, 2, (20, 4)).astype("float32")
    found.fit(v, verbose=0)
    found.save(tmp_path / "machine.keras")
    np.save(tmp_path / "v.npy", v)
    code = (
        "import sys, numpy as np, lamella; m = lamella.models.load_model(sys.argv[1] + '/machine.keras');"
        "v = np.load(sys.argv[1] + '/v.npy'); np.save(sys.argv[1] + '/h.npy', m.predict(v, verbose=0));"
        "m.fit(v, verbose=0)"
    )
    fresh.check(["-c", code, tmp_path])
    np.testing.assert_allclose(np.load(tmp_path / "h.npy"), found.predict(v, verbose=0), atol=1e-6)


def test_what_is_refused(rng):
    kernel, _ = couplings(rng, 3)
    with pytest.raises(ShapeError, match=r"\(units, units\)"):
        BoltzmannMachine.from_weights(kernel[:2])
    with pytest.raises(ShapeError, match=r"\(3,\)"):
        BoltzmannMachine.from_weights(kernel, [0.0, 0.0])
    with pytest.raises(ArgumentError, match="diagonal"):
        BoltzmannMachine.from_weights(kernel + np.eye(3, dtype="float32"))
    kernel[0, 1] += 1
    with pytest.raises(ArgumentError, match=r"symmetric; \[0, 1\]"):
        BoltzmannMachine.from_weights(kernel)
    found = BoltzmannMachine(20, 10)
    with pytest.raises(ArgumentError, match="2\\*\\*25"):
        found.probabilities_exact()
    with pytest.raises(ArgumentError, match="above 0"):
        found.anneal(3, [1.0, 0.0])
    with pytest.raises(ArgumentError, match="how many"):
        found.sample()
    with pytest.raises(ShapeError, match="30"):
        found.energy(torch.zeros(2, 20))
    found.compile("sgd")
    with pytest.raises(DataError, match="row 1, column 3 is 2"):
        found.fit(torch.zeros(2, 20).index_put_((torch.tensor(1), torch.tensor(3)), torch.tensor(2.0)), verbose=0)
    with pytest.raises(ArgumentError, match="hidden_units"):
        BoltzmannMachine(3, -1)

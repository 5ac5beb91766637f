"""The deep Boltzmann machine against sums over all its states."""

import itertools

import fresh
import numpy as np
import pytest
import torch
from scipy import stats

import lamella
from lamella.callbacks import Pace
from lamella.energy import DeepBoltzmannMachine, RestrictedBoltzmannMachine
from lamella.errors import ArgumentError, DataError, NotBuiltError, ShapeError
from lamella.optimizers import SGD


def machine(hidden=(3, 2), visible=4, scale=0.7, **options):
    found = DeepBoltzmannMachine(hidden, **options)
    found.build((None, visible))
    with torch.no_grad():
        for weight in found.trainable_weights:
            weight.normal_(std=scale)
    return found


def every_state(sizes):
    rows = torch.tensor(list(itertools.product((0.0, 1.0), repeat=sum(sizes))))
    return list(rows.split(list(sizes), 1))


def log_likelihoods(found, v):
    """log p(v) by enumeration, differentiable."""
    states = every_state(found.sizes)
    scores = -found.energy(states)
    own = [scores[(states[0] == row).all(1)].logsumexp(0) for row in v]
    return torch.stack(own) - scores.logsumexp(0)


@pytest.mark.parametrize("hidden", [(3, 2), (5, 1), (2, 3, 2), (4,)])
def test_the_exact_partition_function_is_the_sum_over_all_states(hidden):
    found = machine(hidden)
    expected = (-found.energy(every_state(found.sizes)).double()).logsumexp(0).item()
    assert found.log_partition_exact() == pytest.approx(expected, abs=1e-4)


def test_one_hidden_layer_is_a_restricted_machine():
    found = machine((3,))
    rbm = RestrictedBoltzmannMachine(3)
    rbm.build((None, 4))
    rbm.set_weights([w.detach().numpy() for w in (found.kernel_0, found.bias_0, found.bias_1)])
    v = torch.bernoulli(torch.full((6, 4), 0.5))
    torch.testing.assert_close(found(v), rbm(v))
    assert found.log_partition_exact() == pytest.approx(rbm.log_partition_exact(), abs=1e-4)
    log_z = rbm.log_partition_exact()
    torch.testing.assert_close(found.variational_bound(v, log_z), rbm.log_likelihood(v, log_z))  # q is exact


@pytest.mark.parametrize("hidden", [(3, 2), (2, 3, 2)])
def test_the_variational_bound_lies_below_the_likelihood_and_rises_with_each_step(hidden):
    found = machine(hidden, scale=1.0)
    v = torch.bernoulli(torch.full((12, 4), 0.5))
    exact, log_z = log_likelihoods(found, v).detach(), found.log_partition_exact()
    bounds = torch.stack([found.variational_bound(v, log_z, steps=n) for n in (1, 2, 4, 8, 30)]).detach()
    assert (bounds <= exact + 1e-5).all()
    assert (bounds.diff(dim=0) >= -1e-5).all()
    assert (exact - bounds[-1]).mean() < 0.3  # close, as a fully factorial guess can be

    # The bound's gap is the divergence of q from p(h | v)
    q = found.mean_field(v[:1], 30)
    states = every_state(found.sizes)
    mine = (states[0] == v[0]).all(1)
    posterior = (-found.energy(states)[mine]).log_softmax(0)
    h = torch.cat([s[mine] for s in states[1:]], 1)
    p = torch.cat(q, 1)
    log_q = (h * p.log() + (1 - h) * (1 - p).log()).sum(1)
    gap = (log_q.exp() * (log_q - posterior)).sum()
    torch.testing.assert_close(gap, exact[0] - bounds[-1, 0], atol=1e-4, rtol=1e-3)


def test_samples_have_the_distribution_of_the_machine():
    found = machine((3, 2), visible=3)
    v = found.sample(20_000, steps=30)
    kinds = every_state((3,))[0]
    expected = log_likelihoods(found, kinds).double().exp().detach().numpy()
    counts = np.bincount((v @ torch.tensor([4.0, 2, 1])).long().numpy(), minlength=8)
    assert stats.chisquare(counts, expected * counts.sum() / expected.sum()).pvalue > 1e-4


def test_the_update_follows_the_exact_gradient_of_the_bound():
    """With q kept at its optimum and chains that have run long, the update is the gradient of the variational bound."""
    found = machine((3, 2), scale=0.8, chains=20_000, k=40, mean_field_steps=50)
    v = torch.tensor([[1.0, 0, 1, 1], [0, 1, 0, 0], [1, 1, 1, 0]])
    weights = found.trainable_weights
    q = [layer.detach() for layer in (v, *found.mean_field(v))]
    bound = -found.energy(q).mean() - (-found.energy(every_state(found.sizes))).logsumexp(0)
    exact = torch.autograd.grad(bound, weights)
    before = [weight.detach().clone() for weight in weights]
    found.compile(SGD(1.0))
    found.fit(v.repeat(20, 1), batch_size=60, verbose=0)
    for old, new, gradient in zip(before, weights, exact, strict=True):
        torch.testing.assert_close((new - old).detach(), gradient, atol=0.015, rtol=0)
    assert max(gradient.abs().max() for gradient in exact) > 0.1


def test_pretraining_and_training_learn_a_small_distribution():
    lamella.utils.set_random_seed(0)
    kinds = torch.tensor([[1.0, 1, 1, 0, 0, 0], [0, 0, 0, 1, 1, 1], [1, 0, 1, 0, 1, 0]])
    found = DeepBoltzmannMachine((5, 3), chains=60, k=5)
    found.pretrain(kinds.repeat(40, 1), epochs=60, batch_size=20, learning_rate=0.2, verbose=0)
    started = log_likelihoods(found, kinds).mean().item()
    found.compile(SGD(0.1))
    data = kinds.repeat(40, 1)
    history = found.fit(data, batch_size=60, epochs=300, verbose=0, callbacks=[Pace(0.1)]).history
    assert set(history) == {"loss", "reconstruction_error"}
    trained = log_likelihoods(found, kinds).mean().item()
    assert started > -4.1  # six fair coins have -4.16
    assert trained > max(started, -2.0)  # log(1/3) = -1.10 is best


def test_a_saved_machine_opens_in_a_fresh_process(tmp_path, rng):
    found = machine((5, 4, 3), visible=6, chains=8)
    found.compile("sgd")
    v = rng.integers(0, 2, (30, 6)).astype("float32")
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


def test_what_is_refused():
    with pytest.raises(ArgumentError, match="hidden_units"):
        DeepBoltzmannMachine(())
    with pytest.raises(ArgumentError, match="whole numbers"):
        DeepBoltzmannMachine((3, 0))
    found = DeepBoltzmannMachine((20, 30))
    with pytest.raises(NotBuiltError, match="build"):
        found.sample(2)
    found.build((None, 40))
    with pytest.raises(ShapeError, match=r"\(rows, 40\)"):
        found.mean_field(torch.zeros(2, 3))
    with pytest.raises(DataError, match="row 0, column 0 is 7"):
        found.mean_field(torch.full((2, 40), 7.0))
    with pytest.raises(ArgumentError, match="1 rows for 2"):
        found.sample(2, start=torch.zeros(1, 40))
    assert DeepBoltzmannMachine((20, 30)).name
    wide = DeepBoltzmannMachine((30, 3))
    wide.build((None, 40))
    with pytest.raises(ArgumentError, match="smaller layers"):
        wide.log_partition_exact()

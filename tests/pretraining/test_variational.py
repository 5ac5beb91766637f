"""The variational autoencoder's formulas against Monte Carlo, torch.distributions and numerical integration."""

import numpy as np
import pytest
import torch
from torch import distributions

import lamella
from lamella.errors import ArgumentError, DataError
from lamella.pretraining import Autoencoder, VariationalAutoencoder


def with_narrow_posterior(likelihood="bernoulli"):
    """A small one with a code of one number, whose weights are large enough for p(x | z) to depend on z."""
    lamella.utils.set_random_seed(1)
    vae = VariationalAutoencoder.dense(5, 8, latent_dim=1, activation="tanh", likelihood=likelihood)
    x = torch.randn(200, 1) * torch.tensor([1.0, -1, 2, 0.5, -2]) + 0.3 * torch.randn(200, 5)
    if likelihood == "bernoulli":
        x = (x > 0).float()
    vae.compile(lamella.optimizers.Adam(0.02))
    vae.fit(x, epochs=30, verbose=0)
    return vae, x


@pytest.fixture(scope="module", params=["bernoulli", "gaussian"])
def trained(request):
    return with_narrow_posterior(request.param)


def exact_log_likelihood(vae, x):
    """log p(x), by integration over a grid of the one number of the code."""
    grid = torch.linspace(-8, 8, 4001)
    with torch.no_grad():
        prior = distributions.Normal(0.0, 1.0).log_prob(grid)
        rows = [vae.log_conditional(row.expand(len(grid), -1), grid.unsqueeze(1)) + prior for row in x]
    return torch.stack(rows).double().logsumexp(1) + np.log(16 / 4000)


def test_the_divergence_is_exact():
    vae = VariationalAutoencoder.dense(4, 3, latent_dim=3)
    mean, log_variance = torch.randn(6, 3), torch.randn(6, 3)
    q, p = distributions.Normal(mean, (0.5 * log_variance).exp()), distributions.Normal(0.0, 1.0)
    found = vae.divergence(mean, log_variance)
    torch.testing.assert_close(found, distributions.kl_divergence(q, p).sum(1), rtol=1e-4, atol=1e-5)
    z = vae.draw(mean.expand(20_000, 6, 3), log_variance.expand(20_000, 6, 3))
    by_chance = (q.log_prob(z) - p.log_prob(z)).sum(-1)
    deviation = by_chance.std(0) / len(z) ** 0.5
    assert ((found - by_chance.mean(0)).abs() < 5 * deviation).all()


def test_conditionals_are_those_of_torch(trained):
    vae, x = trained
    z = torch.randn(len(x), 1)
    with torch.no_grad():
        decoded = vae.decoder(z)
        if vae.likelihood == "bernoulli":
            wanted = distributions.Bernoulli(logits=decoded).log_prob(x)
        else:
            wanted = distributions.Normal(decoded, vae.log_deviation.exp()).log_prob(x)
        torch.testing.assert_close(vae.log_conditional(x, z), wanted.sum(1), rtol=1e-4, atol=1e-4)


def test_the_bound_lies_below_and_importance_sampling_finds_the_likelihood(trained):
    vae, x = trained
    rows = x[:40]
    exact = exact_log_likelihood(vae, rows)
    bounds = torch.stack([vae.bound(rows) for _ in range(400)]).double()
    deviation = bounds.std(0) / 20
    assert (bounds.mean(0) < exact + 5 * deviation).all()
    gap = (exact - bounds.mean(0)).mean()
    assert 0 < gap < 1
    found = vae.log_likelihood(rows, samples=2000)
    assert (found - exact).abs().median() < 0.02
    assert (found - exact).mean().abs() < 0.03
    assert vae.log_likelihood(rows, samples=1).shape == (40,)


def test_evaluate_gives_the_mean_bound(trained):
    vae, x = trained
    logs = [vae.evaluate(x, verbose=0, return_dict=True) for _ in range(30)]
    wanted = torch.stack([vae.bound(x).mean() for _ in range(30)])
    found = np.array([log["bound"] for log in logs])
    assert abs(found.mean() - wanted.mean().item()) < 5 * (found.std() + wanted.std().item()) / 30**0.5
    assert all(log["loss"] == pytest.approx(-log["bound"], rel=1e-4) for log in logs)


def test_gradients_are_those_of_the_bound():
    """A step of plain SGD moves every weight by the gradient of the bound with the same noise."""
    vae = VariationalAutoencoder.dense(4, 3, latent_dim=2, beta=0.7)
    x = torch.rand(10, 4)
    vae.compile(lamella.optimizers.SGD(1.0))
    before = [weight.detach().clone() for weight in vae.trainable_weights]
    lamella.utils.set_random_seed(5)
    mean, log_variance = vae.encoder(x)
    z = mean + (0.5 * log_variance).exp() * torch.randn(10, 2)
    bernoulli = distributions.Bernoulli(logits=vae.decoder(z), validate_args=False)
    q = distributions.Normal(mean, (0.5 * log_variance).exp())
    kl = distributions.kl_divergence(q, distributions.Normal(0.0, 1.0)).sum(1)
    loss = (0.7 * kl - bernoulli.log_prob(x).sum(1)).mean()
    wanted = torch.autograd.grad(loss, vae.trainable_weights)
    lamella.utils.set_random_seed(5)
    vae.train_on_batch(x)
    for weight, old, gradient in zip(vae.trainable_weights, before, wanted, strict=True):
        torch.testing.assert_close(old - weight.detach(), gradient, rtol=1e-3, atol=1e-5)


def test_samples_follow_the_model(trained):
    vae, _ = trained
    lamella.utils.set_random_seed(0)
    many = vae.sample(20_000)
    grid = torch.linspace(-6, 6, 2001).unsqueeze(1)
    with torch.no_grad():
        density = distributions.Normal(0.0, 1.0).log_prob(grid).exp() * 12 / 2000
        wanted = (density * vae.expected(vae.decoder(grid))).sum(0)
    torch.testing.assert_close(many.mean(0), wanted, rtol=0, atol=0.05)


def test_reconstructions_are_of_the_mean_code(trained):
    vae, x = trained
    means = vae.feature_model.predict(x, verbose=0)
    np.testing.assert_array_equal(means, vae.encoder.predict(x, verbose=0)[0])
    decoded = torch.from_numpy(vae.decoder.predict(means, verbose=0))
    np.testing.assert_allclose(vae.predict(x, verbose=0), vae.expected(decoded), rtol=1e-5)


def test_the_deviation_is_learnt():
    """Independent noise of deviation 0.5 around 3: the best model has that deviation, and its bound is the entropy."""
    x = 3 + 0.5 * torch.randn(2000, 4)
    vae = VariationalAutoencoder.dense(4, 8, latent_dim=1, likelihood="gaussian")
    vae.compile(lamella.optimizers.Adam(0.02))
    vae.fit(x, epochs=30, batch_size=200, verbose=0)
    assert vae.log_deviation.exp().item() == pytest.approx(0.5, abs=0.05)
    wanted = -4 * (np.log(0.5) + 0.5 * np.log(2 * np.pi) + 0.5)
    assert vae.evaluate(x, verbose=0, return_dict=True)["bound"] == pytest.approx(wanted, abs=0.2)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: VariationalAutoencoder.dense(4, 3, likelihood="poisson"), "'poisson'"),
        (lambda: VariationalAutoencoder.dense(4, 3, beta=-1), "`beta`"),
        (lambda: VariationalAutoencoder.dense(4, 3, latent_dim=0), "`latent_dim`"),
        (lambda: VariationalAutoencoder.dense(4, 3).log_likelihood(torch.zeros(2, 4), samples=0), "`samples`"),
        (lambda: VariationalAutoencoder.dense(4, 3).compile("adam", "mse"), "own loss"),
        (
            lambda: VariationalAutoencoder(*(getattr(Autoencoder.dense(4, 2), n) for n in ("encoder", "decoder"))),
            "log of the variance",
        ),
        (
            lambda: VariationalAutoencoder(
                VariationalAutoencoder.dense(4, 3).encoder, VariationalAutoencoder.dense(5, 3).decoder
            ),
            r"\(None, 4\)",
        ),
        (lambda: VariationalAutoencoder("x", "y"), "must be a model"),
    ],
)
def test_what_cannot_be_is_refused(make, words):
    with pytest.raises(ArgumentError, match=words):
        make()


def test_pictures_from_0_to_255_are_refused():
    vae = VariationalAutoencoder.dense(4, 3)
    vae.compile("adam")
    with pytest.raises(DataError, match="Divide pictures by 255"):
        vae.fit(np.full((3, 4), 255, "uint8"), verbose=0)
    with pytest.raises(DataError, match="from 0 to 1"):
        vae.bound(torch.full((2, 4), -1.0))

"""Annealed importance sampling against sums over all states."""

import pytest
import torch

import lamella
from lamella.energy import RestrictedBoltzmannMachine, annealed_importance_sampling
from lamella.errors import ArgumentError, NotBuiltError


def machine(visible, units=8, hidden=6, scale=0.8):
    rbm = RestrictedBoltzmannMachine(hidden, visible, classes=3 if visible == "softmax" else None)
    rbm.build((None, units))
    with torch.no_grad():
        for weight in rbm.trainable_weights:
            weight.normal_(std=scale if visible != "gaussian" else scale / 3)
    return rbm


@pytest.mark.parametrize("visible", ["bernoulli", "gaussian", "softmax"])
@pytest.mark.parametrize("with_data", [False, True])
def test_the_estimate_is_log_z_within_its_error(visible, with_data):
    lamella.utils.set_random_seed(1)
    rbm = machine(visible)
    x = rbm.sample(200, steps=20) if with_data else None
    estimate = annealed_importance_sampling(rbm, x, chains=200, temperatures=300)
    assert 0 < estimate.standard_error < 0.1
    assert estimate.log_weights.shape == (200,)
    assert estimate.value == pytest.approx(rbm.log_partition_exact(), abs=5 * estimate.standard_error)


def test_more_temperatures_make_the_error_smaller():
    rbm = machine("bernoulli", scale=2.0)
    few, many = (annealed_importance_sampling(rbm, chains=200, temperatures=t) for t in (10, 500))
    assert many.log_weights.std() < 0.5 * few.log_weights.std()


def test_a_schedule_of_ones_own_and_the_same_seed():
    rbm = machine("bernoulli")
    found = []
    for _ in range(2):
        lamella.utils.set_random_seed(5)
        found.append(annealed_importance_sampling(rbm, chains=50, temperatures=[0.0, 0.3, 0.6, 0.8, 0.9, 1.0]))
    assert found[0].value == found[1].value
    assert found[0].value == pytest.approx(rbm.log_partition_exact(), abs=1.5)


def test_one_step_is_plain_importance_sampling():
    """The weights of one step from 0 to 1 are p / p_0 at independent draws: their mean has no bias."""
    rbm = machine("bernoulli", units=3, hidden=2, scale=0.5)
    estimate = annealed_importance_sampling(rbm, chains=50_000, temperatures=[0.0, 1.0])
    assert estimate.value == pytest.approx(rbm.log_partition_exact(), abs=5 * estimate.standard_error)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"chains": 1}, "chains"),
        ({"temperatures": 5}, "10 or more"),
        ({"temperatures": [0.0, 0.5]}, "rise from 0 to 1"),
        ({"temperatures": [0.0, 0.5, 0.4, 1.0]}, "rise from 0 to 1"),
    ],
)
def test_arguments_out_of_range_are_refused(options, words):
    with pytest.raises(ArgumentError, match=words):
        annealed_importance_sampling(machine("bernoulli"), **options)


def test_a_machine_without_weights_is_refused():
    with pytest.raises(NotBuiltError, match="build"):
        annealed_importance_sampling(RestrictedBoltzmannMachine(3))

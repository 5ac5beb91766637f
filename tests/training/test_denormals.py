"""While a model trains on the CPU, denormal numbers are zeros: in every thread, and only so long."""

import numpy as np
import pytest
import torch

import lamella
from lamella import layers
from lamella.engine.denormals import denormals_as_zeros

pytestmark = pytest.mark.skipif(not torch.set_flush_denormal(False), reason="the processor cannot flush denormals")


def are_kept(size=1_000_000):
    """How many of the results of an operation are denormal, in whatever thread they are computed."""
    return int(((torch.full((size,), 1e-40) * 1.0) != 0).sum())


@pytest.fixture
def two_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def test_in_all_threads_and_only_within(two_threads):
    assert are_kept() == 1_000_000
    small = torch.full((1_000_000,), 1e-40)
    with denormals_as_zeros():
        assert not (small * 1.0).any()
    assert are_kept() == 1_000_000


def test_what_the_user_said_stays(two_threads):
    torch.set_flush_denormal(True)
    try:
        with denormals_as_zeros():
            pass
        assert (torch.tensor(1.0) * 1e-40).item() == 0
    finally:
        torch.set_flush_denormal(False)


def a_model():
    model = lamella.Sequential([lamella.Input((300,)), layers.Dense(500, "relu", name="dying"), layers.Dense(1)])
    model.compile(lamella.optimizers.Adam(1e-3), "mse")
    return model


def test_moments_of_units_that_died_become_zero(two_threads):
    """0.9 to the power of 900 is 7e-42: rounding kept them there for ever."""
    x, y = np.ones((32, 300), "f"), np.ones((32, 1), "f")
    model = a_model()
    model.fit(x, y, verbose=0)
    model.get_layer("dying").bias.assign(-1e6 * torch.ones(500))
    model.fit(x, y, epochs=900, verbose=0)
    moments = torch.cat([slot.flatten() for slots in model.optimizer._slots.values() for slot in slots])
    assert not ((moments != 0) & (moments.abs() < torch.finfo(torch.float32).tiny)).any()
    assert are_kept() == 1_000_000


def test_also_after_an_error(two_threads):
    class Stop(lamella.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            assert (torch.tensor(1.0) * 1e-40).item() == 0
            raise KeyError("stop")

    with pytest.raises(KeyError):
        a_model().fit(np.ones((8, 300), "f"), np.ones((8, 1), "f"), verbose=0, callbacks=[Stop()])
    assert are_kept() == 1_000_000

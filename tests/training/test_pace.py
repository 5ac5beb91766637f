import math
from types import SimpleNamespace

import numpy as np
import pytest

import lamella
from lamella.callbacks import LambdaCallback, Pace
from lamella.errors import ArgumentError
from lamella.vision import Augmentation, CalmEnd

X, Y = np.ones((8, 1), "float32"), np.ones((8, 1), "float32")


def fit(callbacks, epochs):
    model = lamella.Sequential([lamella.Input((1,)), lamella.layers.Dense(1)])
    model.compile("sgd", "mse")
    rates = []
    tell = LambdaCallback(on_train_batch_end=lambda batch, logs: rates.append(float(model.optimizer.learning_rate)))
    history = model.fit(X, Y, batch_size=2, epochs=epochs, verbose=0, callbacks=[*callbacks, tell])
    return rates, len(history.epoch)


def test_the_rate_rises_and_then_falls_along_half_a_cosine():
    rates, _ = fit([Pace(0.1, warm_up=0.25)], epochs=5)
    shares = np.arange(20) / 20
    wanted = [0.1 * min(s / 0.25, 1.0, 0.5 + 0.5 * math.cos(math.pi * s)) + 1e-4 for s in shares]
    np.testing.assert_allclose(rates, wanted, rtol=1e-6)


def test_the_clock_ends_a_training(monkeypatch):
    clock = iter(range(10_000))
    watch = SimpleNamespace(perf_counter=lambda: float(next(clock)))
    monkeypatch.setattr("lamella.training.callbacks.pace.time", watch)
    rates, epochs = fit([Pace(0.1, minutes=1)], epochs=1000)
    assert 10 < epochs <= 16 and rates[-1] == pytest.approx(1e-4)


@pytest.mark.parametrize("arguments", [{"minutes": 0}, {"minutes": -1}, {"warm_up": 1.0}, {"warm_up": -0.1}])
def test_what_is_no_pace_is_refused(arguments):
    with pytest.raises(ArgumentError, match="Pace: `"):
        Pace(0.1, **arguments)


def test_mosaics_stop_towards_the_end():
    augment, pace, seen = Augmentation.for_detection(mosaic=0.7), Pace(0.1), []
    tell = LambdaCallback(on_epoch_end=lambda epoch, logs: seen.append(augment.mosaic))
    fit([pace, CalmEnd(pace, augment, after=0.5), tell], epochs=4)
    assert seen == [0.7, 0.7, 0.0, 0.0]


def test_calm_after_more_than_all_is_refused():
    with pytest.raises(ArgumentError, match="CalmEnd"):
        CalmEnd(Pace(0.1), Augmentation(), after=1.5)

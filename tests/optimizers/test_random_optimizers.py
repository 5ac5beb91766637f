"""Optimizers with options drawn by chance against real Keras: twelve steps, and a change of house in their middle."""

from __future__ import annotations

import warnings
import zlib

import numpy as np
import pytest
import torch

import lamella

keras = pytest.importorskip("keras")

RATES = [0.1, 0.01, 0.001]
SCHEDULES = {
    "ExponentialDecay": {"decay_steps": [1, 3, 50], "decay_rate": [0.5, 0.96], "staircase": [True, False]},
    "InverseTimeDecay": {"decay_steps": [1, 3, 50], "decay_rate": [0.5, 2.0], "staircase": [True, False]},
    "PolynomialDecay": {"decay_steps": [3, 5, 50], "power": [1.0, 0.5, 2.0], "cycle": [True, False]},
    "CosineDecay": {"decay_steps": [3, 8, 40], "alpha": [0.0, 0.1], "warmup_target": [0.2], "warmup_steps": [2, 5]},
    "CosineDecayRestarts": {"first_decay_steps": [3, 5], "t_mul": [1.0, 2.0], "m_mul": [1.0, 0.8], "alpha": [0.1]},
}
ADAM = {"beta_1": [0.5, 0.0], "beta_2": [0.9, 0.99], "epsilon": [1e-3, 1e-8]}
OWN = {
    "SGD": {"momentum": [0.5, 0.9], "nesterov": [True]},
    "RMSprop": {"rho": [0.5, 0.99], "momentum": [0.5, 0.9], "centered": [True], "epsilon": [1e-3]},
    "Adam": {**ADAM, "amsgrad": [True]},
    "AdamW": {**ADAM, "amsgrad": [True]},
    "Adamax": ADAM,
    "Nadam": ADAM,
    "Adadelta": {"rho": [0.5, 0.99], "epsilon": [1e-3]},
    "Adagrad": {"initial_accumulator_value": [0.0, 0.5], "epsilon": [1e-3]},
    "Adafactor": {
        **{"beta_2_decay": [-0.5], "epsilon_1": [1e-10], "epsilon_2": [0.1]},
        **{"clip_threshold": [0.5], "relative_step": [False]},
    },
    "Ftrl": {
        **{"learning_rate_power": [-0.3], "initial_accumulator_value": [0.5], "beta": [0.2]},
        **{"l1_regularization_strength": [0.05], "l2_regularization_strength": [0.05]},
        "l2_shrinkage_regularization_strength": [0.1],
    },
    "Lion": {"beta_1": [0.5, 0.95], "beta_2": [0.9, 0.98]},
    "Muon": {"adam_beta_1": [0.8], "momentum": [0.8], "ns_steps": [3], "nesterov": [False], "rms_rate": [0.5, None]},
}
OPTIONS = {
    "weight_decay": [0.1, 0.01],
    "use_ema": [True],
    "ema_momentum": [0.5, 0.9],
    "ema_overwrite_frequency": [1, 2, 5],
    "loss_scale_factor": [2.0, 128.0],
    "gradient_accumulation_steps": [2, 3],
}
CLIPPING = [{}, {}, {"clipnorm": 0.5}, {"clipvalue": 0.3}, {"global_clipnorm": 0.7}]
SHAPES = [(5,), (4, 3), (2, 3, 2, 4), (3, 1), (1,)]


class Drawn:
    """An optimizer's options, weights and gradients."""

    def __init__(self, name, rng):
        def some(options, share):
            return {key: one_of(values) for key, values in options.items() if rng.random() < share}

        def one_of(options):
            return options[int(rng.integers(len(options)))]

        self.name = name
        self.options = {**some(OWN[name], 0.4), **some(OPTIONS, 0.25), **one_of(CLIPPING)}
        self.rate: object = one_of(RATES)
        if rng.random() < 0.4:
            schedule = one_of(list(SCHEDULES))
            self.rate = (
                schedule,
                {"initial_learning_rate": 0.1, **{k: one_of(v) for k, v in SCHEDULES[schedule].items()}},
            )
        shapes = [one_of(SHAPES) for _ in range(int(rng.integers(1, 4)))]
        self.values = [rng.normal(size=shape).astype("float32") for shape in shapes]
        self.steps = [[rng.normal(size=shape) * (rng.random() > 0.1) for shape in shapes] for _ in range(12)]
        self.change = int(rng.integers(1, 11))

    def made(self, room, values):
        rate = self.rate
        if isinstance(rate, tuple):
            rate = getattr(room.optimizers.schedules, rate[0])(**rate[1])
        optimizer = getattr(room.optimizers, self.name)(learning_rate=rate, **self.options)
        weights = [room.Variable(value.copy(), name=f"w{place}") for place, value in enumerate(values)]
        optimizer.build(weights)
        return optimizer, weights

    def trained(self, optimizer, weights, steps):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for step in steps:
                optimizer.apply([torch.tensor(grad, dtype=torch.float32) for grad in step], weights)


def values(weights):
    return [np.array(keras.ops.convert_to_numpy(getattr(weight, "value", weight))) for weight in weights]


@pytest.mark.parametrize("seeds", [range(6), pytest.param(range(6, 100), marks=pytest.mark.slow)], ids=["few", "many"])
@pytest.mark.parametrize("name", OWN)
def test_like_keras(name, seeds):
    for seed in seeds:
        case = Drawn(name, np.random.default_rng([seed, zlib.crc32(name.encode())]))
        stores, finals = {}, {}
        for room in (lamella, keras):
            optimizer, weights = case.made(room, case.values)
            case.trained(optimizer, weights, case.steps[: case.change])
            store = {}
            optimizer.save_own_variables(store)
            stores[room] = (
                {key: np.array(keras.ops.convert_to_numpy(value)) for key, value in store.items()},
                values(weights),
            )
            case.trained(optimizer, weights, case.steps[case.change :])
            rate = float(keras.ops.convert_to_numpy(getattr(optimizer.learning_rate, "value", optimizer.learning_rate)))
            optimizer.finalize_variable_values(weights)
            finals[room] = [*values(weights), rate]
        for one, other in zip(finals[lamella], finals[keras], strict=True):
            np.testing.assert_allclose(one, other, rtol=3e-4, atol=3e-5, err_msg=f"seed {seed}")
        for source, room in ((lamella, keras), (keras, lamella)):
            store, before = stores[source]
            optimizer, weights = case.made(room, before)
            optimizer.load_own_variables(store)
            case.trained(optimizer, weights, case.steps[case.change :])
            optimizer.finalize_variable_values(weights)
            for one, other in zip(values(weights), finals[keras], strict=False):
                np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-4, err_msg=f"seed {seed}, a file")

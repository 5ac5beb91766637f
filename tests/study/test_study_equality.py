"""Copies that train together end where each ends that trains alone, with the same seed, in an ordinary `fit`."""

import numpy as np
import pytest
import torch

import lamella
from lamella import Input, Sequential, layers, optimizers, regularizers
from lamella.study import ensemble, learning_rates, sweep

STEPS = {"batch_size": 32, "epochs": 3}


@pytest.fixture(scope="module")
def digits():
    (x, y), _ = lamella.datasets.digits.load_data()
    return (x[:250].reshape(-1, 64) / 16).astype("float32"), y[:250].astype("int64")


def alone(build, seed, x, y, **options):
    """The model and the history of one ordinary training."""
    lamella.utils.set_random_seed(seed)
    model = build()
    history = model.fit(x, y, verbose=0, **{**STEPS, **options}).history
    return model, history


def agree(study, build, x, y, tolerance=1e-4, **options):
    assert {run.how for run in study.runs} == {"at once"}
    for run in study.runs:
        model, history = alone(lambda run=run: build(**run.settings), run.seed, x, y, **options)
        for name, values in history.items():
            np.testing.assert_allclose(run.history[name], values, rtol=tolerance, atol=1e-6, err_msg=name)
        for ours, theirs in zip(run.model().get_weights(), model.get_weights(), strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=tolerance, atol=tolerance * np.abs(theirs).max() + 1e-7)


def compiled(model_layers, optimizer, loss="sparse_categorical_crossentropy", metrics=None, shape=(64,)):
    model = Sequential([Input(shape), *model_layers])
    model.compile(optimizer, loss, metrics=metrics)
    return model


OPTIMIZERS = {
    "sgd": lambda rate: optimizers.SGD(rate),
    "momentum": lambda rate: optimizers.SGD(rate, momentum=0.9),
    "nesterov": lambda rate: optimizers.SGD(rate, momentum=0.9, nesterov=True),
    "adam": lambda rate: optimizers.Adam(rate / 10),
    "amsgrad": lambda rate: optimizers.Adam(rate / 10, amsgrad=True),
    "adamw": lambda rate: optimizers.AdamW(rate / 10, weight_decay=0.1),
    "rmsprop": lambda rate: optimizers.RMSprop(rate / 10),
    "centered rmsprop with momentum": lambda rate: optimizers.RMSprop(rate / 10, momentum=0.5, centered=True),
    "adagrad": lambda rate: optimizers.Adagrad(rate),
    "adadelta": lambda rate: optimizers.Adadelta(rate * 10),
    "adamax": lambda rate: optimizers.Adamax(rate / 10),
    "nadam": lambda rate: optimizers.Nadam(rate / 10),
    "decay": lambda rate: optimizers.SGD(rate, weight_decay=0.1),
    "clipvalue": lambda rate: optimizers.SGD(rate, clipvalue=0.01),
    "clipnorm": lambda rate: optimizers.Adam(rate / 10, clipnorm=0.1),
    "global clipnorm": lambda rate: optimizers.SGD(rate, momentum=0.9, global_clipnorm=0.1),
    "average": lambda rate: optimizers.SGD(rate, use_ema=True, ema_momentum=0.9),
    "accumulation": lambda rate: optimizers.Adam(rate / 10, gradient_accumulation_steps=2),
    "schedule": lambda rate: optimizers.SGD(optimizers.schedules.CosineDecay(rate, 30), momentum=0.9),
    "lamb": lambda rate: optimizers.Lamb(rate),
    "ftrl": lambda rate: optimizers.Ftrl(rate),
    "adafactor": lambda rate: optimizers.Adafactor(rate),
}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_optimizer(name, digits):
    def build(rate):
        return compiled([layers.Dense(12, "tanh"), layers.Dense(10, "softmax")], OPTIMIZERS[name](rate))

    agree(sweep(build, {"rate": [0.01, 0.1]}, *digits, seeds=2, **STEPS), build, *digits, tolerance=2e-4)


def test_lion_takes_the_same_signs(digits):
    """A sign turns rounding into a whole step, so only the losses are compared, and few steps."""

    def build(rate):
        return compiled([layers.Dense(12, "tanh"), layers.Dense(10, "softmax")], optimizers.Lion(rate))

    study = sweep(build, {"rate": [1e-3, 1e-2]}, *digits, batch_size=32, epochs=1)
    for run in study.runs:
        _, history = alone(lambda run=run: build(**run.settings), 0, *digits, epochs=1)
        np.testing.assert_allclose(run.history["loss"], history["loss"], rtol=1e-3)


MODELS = {
    "dense": lambda: [layers.Dense(16, "relu"), layers.Dense(10, "softmax")],
    "deep": lambda: [*(layers.Dense(16, "sigmoid") for _ in range(3)), layers.Dense(10, "softmax")],
    "convolution": lambda: [
        layers.Reshape((8, 8, 1)),
        layers.Conv2D(4, 3, activation="relu", padding="same"),
        layers.MaxPooling2D(),
        layers.Conv2D(6, 3, activation="tanh"),
        layers.Flatten(),
        layers.Dense(10, "softmax"),
    ],
    "dropout": lambda: [layers.Dense(16, "relu"), layers.Dropout(0.3), layers.Dense(10, "softmax")],
    "dropout with a seed": lambda: [layers.Dense(16, "relu"), layers.Dropout(0.3, seed=5), layers.Dense(10, "softmax")],
    "wide dropout": lambda: [layers.Dense(640, "relu"), layers.Dropout(0.5), layers.Dense(10, "softmax")],
    "two dropouts": lambda: [
        layers.Dropout(0.2),
        layers.Dense(16, "relu"),
        layers.Dropout(0.5),
        layers.Dense(10, "softmax"),
    ],
    "noise": lambda: [layers.GaussianNoise(0.2), layers.Dense(16, "relu"), layers.Dense(10, "softmax")],
    "layer normalization": lambda: [layers.Dense(16), layers.LayerNormalization(), layers.Dense(10, "softmax")],
    "batch normalization": lambda: [
        layers.Dense(16),
        layers.BatchNormalization(),
        layers.ReLU(),
        layers.Dense(10, "softmax"),
    ],
    "lstm": lambda: [layers.Reshape((8, 8)), layers.LSTM(6), layers.Dense(10, "softmax")],
    "gru": lambda: [layers.Reshape((8, 8)), layers.GRU(6), layers.Dense(10, "softmax")],
    "steps": lambda: [
        layers.Reshape((8, 8)),
        layers.Dense(6),
        layers.GlobalAveragePooling1D(),
        layers.Dense(10, "softmax"),
    ],
    "embedding": lambda: [layers.Embedding(17, 3), layers.Flatten(), layers.Dense(10, "softmax")],
    "l2": lambda: [
        layers.Dense(16, "relu", kernel_regularizer="l2"),
        layers.Dense(10, "softmax", bias_regularizer=regularizers.L1(0.01)),
    ],
    "activity": lambda: [layers.Dense(16, "relu", activity_regularizer="l2"), layers.Dense(10, "softmax")],
}


@pytest.mark.parametrize("name", MODELS)
def test_every_model(name, digits):
    def build(learning_rate):
        return compiled(MODELS[name](), optimizers.SGD(learning_rate, momentum=0.5))

    digits = (digits[0] * 16 if name == "embedding" else digits[0]), digits[1]
    model = build(0.1)
    study = learning_rates(model, *digits, values=[0.01, 0.1], seeds=[3, 4], **STEPS)
    agree(study, build, *digits)


LOSSES = {
    "mse": (lambda y: np.eye(10, dtype="float32")[y], layers.Dense, "linear"),
    "mae": (lambda y: (y / 10).astype("float32")[:, None], layers.Dense, "linear"),
    "huber": (lambda y: np.eye(10, dtype="float32")[y], layers.Dense, "linear"),
    "categorical_crossentropy": (lambda y: np.eye(10, dtype="float32")[y], layers.Dense, "softmax"),
    "binary_crossentropy": (lambda y: (y % 2).astype("float32")[:, None], layers.Dense, "sigmoid"),
    "hinge": (lambda y: (y % 2 * 2 - 1.0).astype("float32")[:, None], layers.Dense, "tanh"),
}


@pytest.mark.parametrize("name", LOSSES)
def test_every_loss(name, digits):
    make, last, activation = LOSSES[name]
    x, y = digits[0], make(digits[1])

    def build(learning_rate):
        output = last(y.shape[1], activation)
        return compiled([layers.Dense(8, "tanh"), output], optimizers.SGD(learning_rate), name)

    agree(learning_rates(build(0.1), x, y, values=[0.01, 0.1], seeds=2, **STEPS), build, x, y)


def test_settings_of_many_kinds_in_one_stack(digits):
    def build(rate, l2, dropout, momentum, start):
        return compiled(
            [
                layers.Dense(12, "relu", kernel_regularizer=regularizers.L2(l2), kernel_initializer=start),
                layers.Dropout(dropout),
                layers.Dense(10, "softmax"),
            ],
            optimizers.SGD(rate, momentum=momentum),
        )

    space = {
        "rate": [0.02, 0.1],
        "l2": [0.001, 0.01],
        "dropout": [0.2, 0.5],
        "momentum": [0.5, 0.9],
        "start": ["he_normal", "glorot_uniform"],
    }
    study = sweep(build, space, *digits, batch_size=32, epochs=2)
    study.runs = study.runs[::3]  # of each setting both values, in many pairs
    agree(study, build, *digits, epochs=2)


def test_several_kinds_of_optimizers_in_one_stack(digits):
    def build(optimizer):
        return compiled([layers.Dense(12, "relu"), layers.Dense(10, "softmax")], OPTIMIZERS[optimizer](0.03))

    agree(sweep(build, {"optimizer": ["adam", "sgd", "lamb", "rmsprop"]}, *digits, **STEPS), build, *digits)


def test_wide_dropouts_of_several_rates_are_split_by_rate(digits):
    def build(rate, dropout):
        model_layers = [layers.Dense(640, "relu"), layers.Dropout(dropout), layers.Dense(10, "softmax")]
        return compiled(model_layers, optimizers.SGD(rate))

    study = sweep(build, {"rate": [0.01, 0.1], "dropout": [0.2, 0.5]}, *digits, batch_size=32, epochs=2)
    agree(study, build, *digits, epochs=2)


def test_validation_and_metrics(digits):
    x, y = digits
    held_out = x[200:], y[200:]

    def build(learning_rate):
        return compiled(
            [layers.Dense(12, "relu"), layers.Dropout(0.2), layers.Dense(10, "softmax")],
            optimizers.Adam(learning_rate),
            metrics=["accuracy", lamella.metrics.SparseTopKCategoricalAccuracy(3, name="top")],
        )

    study = learning_rates(build(0.1), x, y, values=[0.001, 0.01], seeds=2, validation_data=held_out, **STEPS)
    assert set(study.runs[0].history) == {"loss", "accuracy", "top", "val_loss", "val_accuracy", "val_top"}
    assert study.judged_by == "val_loss"
    agree(study, build, x, y, validation_data=held_out)


def test_functional_models_with_two_inputs(rng):
    x = {"a": rng.normal(size=(90, 3)).astype("float32"), "b": rng.normal(size=(90, 2)).astype("float32")}
    y = x["a"].sum(1, keepdims=True) * x["b"][:, :1]

    def build(learning_rate):
        a, b = Input((3,), name="a"), Input((2,), name="b")
        h = layers.Concatenate()([layers.Dense(4, "tanh")(a), b])
        model = lamella.Model({"a": a, "b": b}, layers.Dense(1)(h))
        model.compile(optimizers.SGD(learning_rate), "mse")
        return model

    agree(learning_rates(build(0.1), x, y, values=[0.01, 0.1], seeds=2, **STEPS), build, x, y)


def test_a_run_that_diverges_does_not_spoil_the_others(rng):
    x = rng.normal(size=(100, 4)).astype("float32")
    y = x.sum(1, keepdims=True)

    def build(learning_rate):
        return compiled([layers.Dense(8, "linear"), layers.Dense(1)], optimizers.SGD(learning_rate), "mse", shape=(4,))

    study = learning_rates(build(0.1), x, y, values=[0.01, 0.1, 30.0], seeds=1, epochs=20, batch_size=25)
    assert [run.diverged for run in study.runs] == [False, False, True]
    assert study.runs[2].lost_at is not None
    assert study.edge() == 30.0
    for run in study.runs[:2]:
        _, history = alone(lambda run=run: build(**run.settings), 0, x, y, epochs=20, batch_size=25)
        np.testing.assert_allclose(run.history["loss"], history["loss"], rtol=1e-4, atol=1e-9)
    with pytest.raises(lamella.errors.NonFiniteError, match=f"at step {study.runs[2].lost_at}\\."):
        alone(lambda: build(30.0), 0, x, y, epochs=20, batch_size=25)


def test_a_hundred_steps_of_sixty_four_rates(digits):
    """The promise of the page: after 100 steps, 64 rates differ from 64 trainings by no more than 1e-4."""
    x, y = digits[0][:240], digits[1][:240]
    rates = np.logspace(-4, -1, 64)

    def build(learning_rate):
        return compiled([layers.Dense(16, "relu"), layers.Dense(10, "softmax")], optimizers.Adam(learning_rate))

    study = learning_rates(build(0.1), x, y, values=rates, seeds=1, epochs=10, batch_size=24)
    study.runs = study.runs[::9]
    agree(study, build, x, y, epochs=10, batch_size=24)


def test_an_ensemble(digits):
    model = compiled([layers.Dense(12, "relu"), layers.Dense(10, "softmax")], "adam")
    found = ensemble(model, 3, *digits, **STEPS)
    agree(found.study, lambda: compiled([layers.Dense(12, "relu"), layers.Dense(10, "softmax")], "adam"), *digits)
    each = found.predict_each(digits[0])
    assert each.shape == (3, 250, 10)
    np.testing.assert_allclose(found.predict(digits[0]), each.mean(0))
    assert not np.allclose(each[0], each[1])


def test_the_model_and_the_random_numbers_stay_as_they_were(digits):
    model = compiled([layers.Dense(12, "relu"), layers.Dropout(0.5), layers.Dense(10, "softmax")], "adam")
    weights = model.get_weights()
    torch.manual_seed(5)
    before = torch.get_rng_state()
    learning_rates(model, *digits, values=[0.1, 0.2], seeds=2, epochs=1)
    assert torch.equal(torch.get_rng_state(), before)
    assert all(np.array_equal(a, b) for a, b in zip(weights, model.get_weights(), strict=True))
    assert model.optimizer.learning_rate == 0.001
    assert int(model.optimizer.iterations) == 0

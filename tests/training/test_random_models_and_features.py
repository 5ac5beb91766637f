"""Models put together by chance: what goes with every model (resuming, watching, saving memory, copies) does so."""

import copy
import pickle

import numpy as np
import pytest
import torch

import lamella
from lamella import callbacks, layers
from lamella.doctor import Doctor
from lamella.engine.replay import Replay

SAMPLES, BATCH = 40, 4
ANY = [
    lambda c: layers.BatchNormalization(momentum=c(0.5, 0.9)),
    lambda c: layers.LayerNormalization(),
    lambda c: layers.Dense(c(3, 5), c(None, "relu", "tanh", "gelu"), kernel_regularizer=c(None, "l2")),
    lambda c: layers.Dense(4, kernel_constraint="max_norm", activity_regularizer=c(None, "l2")),
    lambda c: layers.SpectralNormalization(layers.Dense(4)),
    lambda c: layers.Dropout(c(0.2, 0.5), seed=c(None, 7)),
    lambda c: layers.GaussianNoise(0.3),
    lambda c: layers.PReLU(),
    lambda c: layers.Lambda(lambda x: x * 1.5),
]
OF_RANK = {
    2: [lambda c: layers.RepeatVector(2), lambda c: lamella.Sequential([layers.Dense(4), layers.Dropout(0.1)]), *ANY],
    3: [
        lambda c: layers.Conv1D(c(1, 3), c(1, 3), padding="causal", activation="relu"),
        lambda c: c(layers.LSTM, layers.GRU)(3, return_sequences=c(True, False), dropout=c(0.0, 0.2)),
        lambda c: layers.LSTM(3, recurrent_dropout=0.2, return_sequences=True),
        lambda c: layers.Bidirectional(layers.SimpleRNN(2, return_sequences=True)),
        lambda c: layers.TimeDistributed(layers.Dense(3)),
        lambda c: layers.GlobalMaxPooling1D(),
        lambda c: layers.SpatialDropout1D(0.3),
        *ANY,
    ],
    4: [
        lambda c: layers.Conv2D(c(1, 8), c(1, 3), padding="same", activation=c(None, "relu")),
        lambda c: layers.SeparableConv2D(3, 2, padding="same"),
        lambda c: layers.MaxPooling2D(2, padding="same"),
        lambda c: layers.RandomRotation(0.1),
        lambda c: layers.RandomFlip(),
        *ANY,
    ],
}
OPTIMIZERS = [
    lambda: lamella.optimizers.SGD(0.02, momentum=0.9, clipnorm=1.0),
    lambda: lamella.optimizers.Adam(lamella.optimizers.schedules.ExponentialDecay(0.01, 2, 0.5)),
    lambda: lamella.optimizers.Nadam(0.01, use_ema=True, ema_momentum=0.8),
    lambda: lamella.optimizers.Adafactor(0.01),
    lambda: lamella.optimizers.RMSprop(0.01, gradient_accumulation_steps=2),
]


def maker(seed):
    """A function that makes one model anew, and data for it."""
    data = np.random.default_rng(seed + 1000)
    kind = seed % 4
    x = data.normal(size=(SAMPLES, *((5,), (6, 3), (6, 6, 2), (6,))[kind])).astype("float32")
    if kind == 3:
        x = data.integers(1, 9, size=(SAMPLES, 6))
        x[::3, 4:] = 0
    y = data.integers(0, 3, SAMPLES)

    def make():
        random = np.random.default_rng(seed)

        def c(*choices):
            return choices[random.integers(len(choices))]

        lamella.utils.clear_session()
        lamella.utils.set_random_seed(seed)
        inputs = lamella.Input(x.shape[1:], dtype="int32" if kind == 3 else None)
        h = layers.Embedding(9, 4, mask_zero=c(True, False))(inputs) if kind == 3 else inputs
        for _ in range(c(2, 3, 4)):
            before = h
            h = c(*OF_RANK[len(h.shape)])(c)(h)
            if before.shape == h.shape and c(True, False):
                h = c(layers.Add(), layers.Concatenate())([h, before])
        h = layers.Flatten()(h) if len(h.shape) > 2 else h
        model = lamella.Model(inputs, layers.Dense(3, "softmax")(h))
        model.compile(c(*OPTIMIZERS)(), "sparse_categorical_crossentropy", metrics=["accuracy"])
        return model

    return make, x, y


def trained(model, x, y, watchers=(), epochs=2):
    history = model.fit(x, y, BATCH, epochs, verbose=0, validation_split=0.2, callbacks=list(watchers)).history
    return history, [tensor.detach().numpy().copy() for tensor in (*model.weights, *model.optimizer.variables)]


def assert_alike(one, other):
    assert one[0] == other[0]
    for a, b in zip(one[1], other[1], strict=True):
        np.testing.assert_array_equal(a, b)


seeds = pytest.mark.parametrize("seed", [*range(8), *(pytest.param(i, marks=pytest.mark.slow) for i in range(8, 80))])


@seeds
def test_a_recorded_step_computes_the_same_bits(seed, monkeypatch):
    make, x, y = maker(seed)
    found = trained(make(), x, y)
    monkeypatch.setattr(Replay, "__call__", lambda self, x, y, weight: self.compute(x, y, weight))
    assert_alike(found, trained(make(), x, y))


@seeds
def test_watching_changes_no_bit(seed, tmp_path):
    make, x, y = maker(seed)
    watchers = [Doctor(shown=0), callbacks.TensorBoard(tmp_path / "logs", histogram_freq=1)]
    model = make()
    found = trained(model, x, y, watchers)
    model.history.report(tmp_path / "report.html")
    assert_alike(found, trained(make(), x, y))


@seeds
def test_a_run_that_was_cut_off_ends_the_same(seed, tmp_path):
    make, x, y = maker(seed)
    wanted = trained(make(), x, y, epochs=3)

    class CutsOff(lamella.callbacks.Callback):
        batches = 0

        def on_train_batch_end(self, batch, logs=None):
            self.batches += 1
            if self.batches == 9 + seed % 12:
                raise InterruptedError

    with pytest.raises(InterruptedError):
        trained(make(), x, y, [callbacks.BackupAndRestore(tmp_path, save_freq=1 + seed % 3), CutsOff()], epochs=3)
    model = make()
    lamella.utils.set_random_seed(99)
    assert_alike(trained(model, x, y, [callbacks.BackupAndRestore(tmp_path)], epochs=3), wanted)


@seeds
def test_activations_computed_again_are_the_same(seed):
    make, x, y = maker(seed)
    wanted, model = trained(make(), x, y), make()
    model.compile(model.optimizer, "sparse_categorical_crossentropy", metrics=["accuracy"], rematerialize=True)
    found = trained(model, x, y)
    for a, b in zip(found[1], wanted[1], strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)


@pytest.mark.filterwarnings("ignore:The file's state of the optimizer")  # which has made no step yet
@seeds
def test_copies_compute_the_same(seed, tmp_path):
    make, x, y = maker(seed)
    model = make()
    trained(model, x, y)
    wanted = model(torch.from_numpy(x)).detach().numpy()
    for batch_size in (1, 7, 64):
        np.testing.assert_allclose(model.predict(x, batch_size, verbose=0), wanted, rtol=1e-4, atol=1e-6)
    model.save(tmp_path / "m.keras")
    model.save_weights(tmp_path / "m.weights.h5")
    clone, fresh = lamella.models.clone_model(model), make()
    clone.set_weights(model.get_weights())
    fresh.load_weights(tmp_path / "m.weights.h5")
    loaded = lamella.models.load_model(tmp_path / "m.keras", safe_mode=False)
    # A pickle has no lambdas.
    pickled = [] if "Lambda" in str(model) else [pickle.loads(pickle.dumps(model))]
    for twin in (copy.deepcopy(model), clone, fresh, loaded, *pickled):
        np.testing.assert_array_equal(twin(torch.from_numpy(x)).detach().numpy(), wanted)

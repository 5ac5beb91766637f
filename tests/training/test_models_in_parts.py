"""Models whose parts must know of the whole batch, or of each other: several processes train them as one does."""

import numpy as np
import pytest
from processes import needed, run

import lamella
from lamella import distribution, layers
from lamella.errors import ArgumentError

pytestmark = needed

KINDS = {"ddp": distribution.DataParallel, "fsdp": distribution.FullyShardedDataParallel}
SAMPLES = 37  # in batches of 8: the last one leaves a process without rows
WORDS = np.random.default_rng(0).integers(1, 9, size=(SAMPLES, 6))
WORDS[::2, 4:] = 0
ROWS = np.random.default_rng(1).normal(size=(SAMPLES, 6, 3)).astype("float32")
ROWS[::3, 4:] = 0.0
LABELS = np.random.default_rng(2).integers(0, 3, SAMPLES)


def masked_words():
    words = lamella.Input((6,), dtype="int32")
    x = layers.Embedding(9, 4, mask_zero=True)(words)
    x = layers.MultiHeadAttention(2, 2)(x, x)  # its inputs hang on gradients, and carry masks
    return lamella.Model(words, layers.Dense(3, "softmax")(layers.LSTM(4)(x)))


def synchronized():
    rows = lamella.Input((6, 3))
    x = layers.Dense(4)(layers.Masking()(rows))
    x = layers.BatchNormalization(momentum=0.5, synchronized=True)(x)
    x = layers.Flatten()(layers.Conv1D(4, 3, use_bias=False)(x))
    x = layers.BatchNormalization(momentum=0.5, synchronized=True, renorm=True)(x)
    return lamella.Model(rows, layers.Dense(3, "softmax")(x))


def constrained():
    rows = lamella.Input((6, 3))
    x = layers.Dense(5, kernel_constraint=lamella.constraints.MaxNorm(0.5))(rows[..., :1])  # one row: (1, 5)
    return lamella.Model(rows, layers.Dense(3, "softmax")(layers.Flatten()(x)))


def alone_or_together(kind, folder):
    if kind is not None:
        distribution.set_distribution(KINDS[kind](timeout=60))
    found = {}
    for make, x in ((masked_words, WORDS), (synchronized, ROWS), (constrained, ROWS)):
        lamella.utils.set_random_seed(3)
        model = make()
        model.compile(lamella.optimizers.SGD(0.1, momentum=0.9), "sparse_categorical_crossentropy")
        history = model.fit(x, LABELS, 8, epochs=3, verbose=0, validation_data=(x, LABELS)).history
        found |= {f"{make.__name__}.{name}": values for name, values in history.items()}
        found |= {f"{make.__name__}.{i}": weight for i, weight in enumerate(model.get_weights())}
    rank = "alone" if kind is None else distribution.get_distribution().rank
    np.savez(folder / f"{rank}.npz", **found)


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    folder = tmp_path_factory.mktemp("alone")
    assert run(1, alone_or_together, None, folder) == [0]
    return np.load(folder / "alone.npz")


@pytest.mark.parametrize(("kind", "count"), [("ddp", 2), ("fsdp", 2), pytest.param("ddp", 3, marks=pytest.mark.slow)])
def test_as_alone(kind, count, alone, tmp_path):
    assert run(count, alone_or_together, kind, tmp_path) == [0] * count
    for rank in range(count):
        found = np.load(tmp_path / f"{rank}.npz")
        assert set(found) == set(alone)
        for name in alone:
            np.testing.assert_allclose(found[name], alone[name], rtol=1e-4, atol=1e-5, err_msg=name)


def own_averages(folder):
    distribution.set_distribution(distribution.FullyShardedDataParallel(timeout=60))
    model = lamella.Sequential([lamella.Input((6, 3)), layers.BatchNormalization(), layers.Flatten(), layers.Dense(3)])
    model.compile("sgd", "mse")
    model.fit(ROWS, np.eye(3)[LABELS], 8, verbose=0)
    np.save(folder / f"{distribution.get_distribution().rank}.npy", model.layers[0].moving_mean.numpy())
    model = lamella.Sequential([lamella.Input((6,)), layers.SpectralNormalization(layers.Dense(3), name="normed")])
    model.compile("sgd", "mse")
    with pytest.raises(ArgumentError, match=r"SpectralNormalization 'normed' changes a weight.*DataParallel"):
        model.fit(ROWS[..., 0], np.eye(3)[LABELS], 8, verbose=0)
    model = lamella.Sequential([lamella.Input((6,)), layers.Dense(3)])
    model.compile("sgd", "mse", jit_compile=True)
    with pytest.raises(ArgumentError, match=r"FullyShardedDataParallel: .*jit_compile=False"):
        model.fit(ROWS[..., 0], np.eye(3)[LABELS], 8, verbose=0)


def test_moving_averages_agree_after_an_epoch_and_what_is_refused(tmp_path):
    assert run(2, own_averages, tmp_path) == [0, 0]
    one, other = (np.load(tmp_path / f"{rank}.npy") for rank in (0, 1))
    np.testing.assert_array_equal(one, other)
    assert one.any()

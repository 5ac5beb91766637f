"""Autoencoders against hand-written torch, and their noise and penalties against their formulas."""

import pickle

import fresh
import numpy as np
import pytest
import torch
import torch.nn.functional as F

import lamella
from lamella import layers
from lamella.errors import ArgumentError, DataError, ShapeError
from lamella.pretraining import (
    Autoencoder,
    AutoencoderTransformer,
    ConvolutionalAutoencoder,
    DenoisingAutoencoder,
    MaskingNoise,
    SaltAndPepperNoise,
    SparseAutoencoder,
    StackedAutoencoder,
    TransposedDense,
    VariationalAutoencoder,
)

KINDS = {
    "plain": lambda: Autoencoder.dense((3, 4), (6, 2)),
    "tied": lambda: Autoencoder.dense((3, 4), (6, 2), tied=True),
    "denoising": lambda: DenoisingAutoencoder.dense((3, 4), 6, noise=SaltAndPepperNoise(0.2, low=-1)),
    "denoising tied": lambda: DenoisingAutoencoder.dense((3, 4), 6, noise=layers.GaussianNoise(0.2), tied=True),
    "sparse": lambda: SparseAutoencoder.dense((3, 4), 20, target=0.2, weight=0.1),
    "sparse l1": lambda: SparseAutoencoder.dense((3, 4), 20, code_activation="relu", penalty="l1"),
    "convolutional": lambda: ConvolutionalAutoencoder((8, 4, 1), (3, 2), activation="tanh", output_activation="linear"),
    "convolutional code": lambda: ConvolutionalAutoencoder((8, 4, 2), 3, code_size=5),
    "stacked": lambda: StackedAutoencoder((3, 4), (6, 3), noise=0.4),
    "variational": lambda: VariationalAutoencoder.dense((3, 4), 6, latent_dim=2, beta=0.5),
    "variational gaussian": lambda: VariationalAutoencoder.dense(5, 6, latent_dim=2, likelihood="gaussian"),
    "variational convolutional": lambda: VariationalAutoencoder.convolutional((8, 4, 1), (3, 2), latent_dim=3),
}


def data_for(model, rng, count=48):
    return rng.random((count, *model.encoder.input_shape[1:])).astype("float32")


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_learns_and_a_file_keeps_it(kind, tmp_path, rng):
    model = KINDS[kind]()
    x = data_for(model, rng)
    model.compile(lamella.optimizers.Adam(0.01))
    history = model.fit(x, epochs=20, batch_size=16, verbose=0).history["loss"]
    assert history[-1] < history[0]
    model.save(tmp_path / "model.keras")
    code = (
        "import sys, numpy as np, lamella\n"
        "model = lamella.models.load_model(sys.argv[1])\n"
        "np.save(sys.argv[3], model.predict(np.load(sys.argv[2]), verbose=0))\n"
        "assert model.optimizer.iterations == 60\n"
    )
    np.save(tmp_path / "x.npy", x)
    if kind in ("tied", "denoising"):  # in a process that never heard of it
        fresh.check(["-c", code, *(tmp_path / name for name in ("model.keras", "x.npy", "y.npy"))])
        again = np.load(tmp_path / "y.npy")
    else:
        again = lamella.models.load_model(tmp_path / "model.keras").predict(x, verbose=0)
    np.testing.assert_array_equal(model.predict(x, verbose=0), again)


@pytest.mark.parametrize("tied", [False, True])
def test_steps_equal_those_of_torch(tied, rng):
    model = Autoencoder.dense(6, (5, 3), activation="tanh", tied=tied)
    x = rng.random((20, 6)).astype("float32")
    first, second = (layer for layer in model.encoder.layers)
    third, fourth = (layer for layer in model.decoder.layers)
    weights = [w.detach().clone().requires_grad_() for w in (first.kernel, first.bias, second.kernel, second.bias)]
    back = [w.detach().clone().requires_grad_() for w in (third.bias, fourth.bias)]
    if not tied:
        back += [w.detach().clone().requires_grad_() for w in (third.kernel, fourth.kernel)]
    own = torch.optim.SGD([*weights, *back], 0.5)
    model.compile(lamella.optimizers.SGD(0.5))
    losses = model.fit(x, batch_size=20, epochs=5, verbose=0).history["loss"]
    for loss in losses:
        w1, b1, w2, b2 = weights
        code = torch.tanh(torch.from_numpy(x) @ w1 + b1) @ w2 + b2
        w3, w4 = (w2.T, w1.T) if tied else back[2:]
        told = torch.sigmoid(torch.tanh(code @ w3 + back[0]) @ w4 + back[1])
        wanted = (told - torch.from_numpy(x)).square().mean()
        assert loss == pytest.approx(wanted.item(), rel=1e-4)
        own.zero_grad()
        wanted.backward()
        own.step()
    assert len(model.trainable_weights) == (6 if tied else 8)


def test_encoder_and_decoder_are_ordinary_models_that_share_the_weights(rng):
    model = Autoencoder.dense((2, 3), (4, 2), tied=True)
    x = rng.random((9, 2, 3)).astype("float32")
    np.testing.assert_allclose(
        model.decoder.predict(model.encoder.predict(x, verbose=0), verbose=0), model.predict(x, verbose=0), rtol=1e-6
    )
    classifier = lamella.Sequential([model.encoder, layers.Dense(3, "softmax")])
    classifier.compile(lamella.optimizers.SGD(1.0), "sparse_categorical_crossentropy")
    before = model.predict(x, verbose=0)
    classifier.fit(x, np.arange(9) % 3, verbose=0)
    assert np.abs(model.predict(x, verbose=0) - before).max() > 1e-4


def test_validation_data_are_their_own_targets(rng):
    model = Autoencoder.dense(4, 2)
    model.compile("sgd")
    x, other = rng.random((20, 4)).astype("float32"), rng.random((10, 4)).astype("float32")
    history = model.fit(x, validation_data=other, verbose=0).history
    assert history["val_loss"][0] == pytest.approx(np.square(model.predict(other, verbose=0) - other).mean(), rel=1e-5)
    assert model.evaluate(other, verbose=0) == pytest.approx(history["val_loss"][0], rel=1e-6)
    loader = torch.utils.data.DataLoader([(row, row) for row in x], batch_size=5)
    assert np.isfinite(model.fit(loader, verbose=0).history["loss"][0])


def test_a_transposed_layer_is_the_transpose(rng):
    dense = layers.Dense(3)
    x, codes = torch.randn(5, 4), torch.randn(5, 3)
    dense(x)
    back = TransposedDense(dense, "tanh")
    torch.testing.assert_close(back(codes), torch.tanh(codes @ dense.kernel.T))
    twin = TransposedDense.from_config(back.get_config())
    assert twin.layer is not dense
    assert twin(codes).shape == (5, 4)
    with pytest.raises(ArgumentError, match="has its weights"):
        TransposedDense(layers.Dense(3))


# -- noise ------------------------------------------------------------------------------------------------------


def test_masking_noise_hides_its_share_and_keeps_the_rest():
    x = torch.rand(400, 500) + 1
    noisy = MaskingNoise(0.3)(x, training=True)
    hidden = noisy == 0
    assert abs(hidden.float().mean().item() - 0.3) < 0.01
    torch.testing.assert_close(noisy[~hidden], x[~hidden], rtol=0, atol=0)
    assert MaskingNoise(0.3)(x) is x
    assert not torch.equal(MaskingNoise(0.3)(x, training=True), noisy)


def test_salt_and_pepper_are_as_many():
    x = torch.rand(400, 500) * 0.5 + 0.25
    noisy = SaltAndPepperNoise(0.2, low=-2, high=3)(x, training=True)
    low, high = noisy == -2, noisy == 3
    assert abs(low.float().mean().item() - 0.1) < 0.01
    assert abs(high.float().mean().item() - 0.1) < 0.01
    assert torch.equal(noisy[~(low | high)], x[~(low | high)])


def test_noise_is_made_in_training_alone_and_follows_the_seed(rng):
    x = rng.random((64, 5)).astype("float32") + 0.1
    losses = []
    for _ in range(2):
        lamella.utils.set_random_seed(3)
        model = DenoisingAutoencoder.dense(5, 4, noise=0.5)
        model.compile("adam")
        losses.append(model.fit(x, epochs=3, verbose=0).history["loss"])
    assert losses[0] == losses[1]
    np.testing.assert_array_equal(model.predict(x, verbose=0), model.decoder(model.encoder(x)).detach().numpy())
    inputs = torch.from_numpy(x)
    assert (model(inputs, training=True) - model(inputs)).abs().max() > 1e-3


def test_denoising_takes_noise_away(rng):
    """Rows are one of two patterns: with noise, the trained one tells which much better than the noisy row does."""
    patterns = (rng.random((2, 30)) < 0.5).astype("float32")
    x = patterns[rng.integers(0, 2, 400)]
    model = DenoisingAutoencoder.dense(30, 8, noise=SaltAndPepperNoise(0.3))
    model.compile(lamella.optimizers.Adam(0.01), "binary_crossentropy")
    model.fit(x, epochs=30, verbose=0)
    noisy = model.noise(torch.from_numpy(x), training=True)
    assert F.mse_loss(model(noisy), torch.from_numpy(x)) < 0.1 * F.mse_loss(noisy, torch.from_numpy(x))


# -- sparsity -----------------------------------------------------------------------------------------------------


def test_the_divergence_is_scipys(rng):
    scipy_special = pytest.importorskip("scipy.special")
    model = SparseAutoencoder.dense(4, 7, target=0.1)
    codes = rng.random((50, 7)).astype("float32")
    mean = codes.mean(0, dtype="float64")
    wanted = (scipy_special.rel_entr(0.1, mean) + scipy_special.rel_entr(0.9, 1 - mean)).sum()
    assert model.sparsity(torch.from_numpy(codes)).item() == pytest.approx(wanted, rel=1e-5)
    assert torch.isfinite(model.sparsity(torch.zeros(3, 7)))
    l1 = SparseAutoencoder.dense(4, 7, penalty="l1")
    assert l1.sparsity(torch.from_numpy(codes) - 0.5).item() == pytest.approx(np.abs(codes - 0.5).sum() / 50, rel=1e-5)


@pytest.mark.parametrize("penalty", ["kl", "l1"])
def test_the_loss_is_the_error_and_the_penalty(penalty, rng):
    model = SparseAutoencoder.dense(4, 7, penalty=penalty, weight=0.3)
    model.compile("sgd")
    x = rng.random((16, 4)).astype("float32")
    codes = torch.from_numpy(model.encoder.predict(x, verbose=0))
    wanted = np.square(model.predict(x, verbose=0) - x).mean() + 0.3 * model.sparsity(codes).item()
    assert model.evaluate(x, verbose=0) == pytest.approx(wanted, rel=1e-5)
    assert model.fit(x, batch_size=16, verbose=0).history["loss"][0] == pytest.approx(wanted, rel=1e-5)


def test_codes_become_as_rare_as_they_are_to_be(rng):
    x = rng.random((256, 10)).astype("float32")
    model = SparseAutoencoder.dense(10, 30, target=0.1, weight=1.0)
    model.compile(lamella.optimizers.Adam(0.02))
    model.fit(x, epochs=40, batch_size=64, verbose=0)
    assert abs(model.encoder.predict(x, verbose=0).mean() - 0.1) < 0.02


# -- layer by layer -------------------------------------------------------------------------------------------------


def test_pretraining_trains_each_layer_on_the_codes_of_the_one_below(rng):
    """Without noise, the same numbers as autoencoders of one layer each, trained one after the other by hand."""
    x = rng.random((40, 6)).astype("float32")
    stack = StackedAutoencoder(6, (5, 3), noise=0)
    by_hand = [Autoencoder.dense(n, m, code_activation="sigmoid", tied=True) for n, m in ((6, 5), (5, 3))]
    for single, layer in zip(by_hand, stack.encoder.layers, strict=True):
        single.encoder.set_weights(layer.get_weights())
    stack.compile(lamella.optimizers.SGD(0.5), "binary_crossentropy")
    histories = stack.pretrain(x, epochs=4, batch_size=40, verbose=0)
    rows = x
    for single, history in zip(by_hand, histories, strict=True):
        single.compile(lamella.optimizers.SGD(0.5), "binary_crossentropy")
        wanted = single.fit(rows, epochs=4, batch_size=40, verbose=0).history["loss"]
        np.testing.assert_allclose(history.history["loss"], wanted, rtol=1e-5)
        rows = single.encoder.predict(rows, verbose=0)
    np.testing.assert_allclose(stack.encoder.predict(x, verbose=0), rows, rtol=1e-5)


@pytest.mark.parametrize("dropout", [0, 0.5])
def test_the_classifier_starts_from_copies(dropout, rng):
    x = rng.random((12, 2, 3)).astype("float32")
    stack = StackedAutoencoder((2, 3), (5, 4))
    model = stack.classifier(3, dropout=dropout)
    assert type(model) is lamella.Sequential
    head = model.get_layer("classes")
    features = stack.encoder(x)
    np.testing.assert_allclose(model.predict(x, verbose=0), head(features).detach().numpy(), rtol=1e-5)
    model.compile("adam", "sparse_categorical_crossentropy")
    model.fit(x, np.arange(12) % 3, epochs=3, verbose=0)
    torch.testing.assert_close(stack.encoder(x), features, rtol=0, atol=0)


# -- scikit-learn ---------------------------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore:The file's state of the optimizer")  # the model given was never trained
@pytest.mark.parametrize("kind", ["tied", "variational", "convolutional code"])
def test_a_step_of_a_pipeline(kind, rng):
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    model = KINDS[kind]()
    x = data_for(model, rng)
    model.compile("adam")
    pipeline = make_pipeline(AutoencoderTransformer(model, {"epochs": 2}), LogisticRegression())
    pipeline.fit(x, np.arange(len(x)) % 2)
    transformer = pipeline[0]
    codes = transformer.transform(x)
    assert codes.shape == (len(x), len(transformer.get_feature_names_out()))
    np.testing.assert_allclose(
        transformer.inverse_transform(codes), transformer.model_.predict(x, verbose=0), rtol=1e-4, atol=1e-6
    )
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(pipeline)).predict(x), pipeline.predict(x))
    assert model.optimizer.iterations == 0  # a twin was trained


def test_a_trained_encoder_in_a_pipeline(rng):
    from lamella.vision import FeatureExtractor

    model = Autoencoder.dense(5, (4, 2))
    x = rng.random((7, 5)).astype("float32")
    features = FeatureExtractor(model.encoder, -1).fit_transform(x)
    np.testing.assert_allclose(features, model.encoder.predict(x, verbose=0), rtol=1e-6)


# -- what is refused --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda: Autoencoder.dense(4, ()), ArgumentError, "`units`"),
        (lambda: Autoencoder.dense(4, (3, 0)), ArgumentError, r"\(3, 0\)"),
        (lambda: Autoencoder.dense((4, None), 2), ArgumentError, "`input_shape`"),
        (lambda: Autoencoder("encoder"), ArgumentError, "must be a model"),
        (lambda: Autoencoder(lamella.Sequential([layers.Dense(3)])), ArgumentError, "Input"),
        (lambda: Autoencoder(ConvolutionalAutoencoder((4, 4, 1), 2).encoder), ArgumentError, "Give a decoder"),
        (lambda: Autoencoder(*(Autoencoder.dense(n, 2).encoder for n in (4, 2))), ShapeError, r"\(None, 4\)"),
        (lambda: DenoisingAutoencoder.dense(4, 2, noise=1.5), ArgumentError, "share from 0 to 1; got 1.5"),
        (lambda: SaltAndPepperNoise(0.1, low=1, high=1), ArgumentError, "below"),
        (lambda: SparseAutoencoder.dense(4, 2, penalty="l2"), ArgumentError, "'l2'"),
        (lambda: SparseAutoencoder.dense(4, 2, target=0), ArgumentError, "`target`"),
        (lambda: ConvolutionalAutoencoder((28, 30, 1), (4, 4)), ShapeError, "multiples of 4"),
        (lambda: StackedAutoencoder(4, 2).pretrain(np.zeros((2, 4))), ValueError, "compile"),
        (lambda: StackedAutoencoder(4, 2).classifier(1), ArgumentError, "two classes"),
        (lambda: AutoencoderTransformer(Autoencoder.dense(4, 2)).fit(np.zeros((3, 4))), ArgumentError, "compiled"),
    ],
)
def test_what_cannot_be_is_refused(make, error, words):
    with pytest.raises(error, match=words):
        make()


def test_bad_data_are_refused(rng):
    model = SparseAutoencoder.dense(4, 3, code_activation="linear")
    model.compile("adam")
    with pytest.raises(ArgumentError, match="End the encoder with a sigmoid"):
        model.fit(rng.random((50, 4)), verbose=0)
    plain = Autoencoder.dense(4, 2)
    plain.compile("adam", "binary_crossentropy")
    with pytest.raises(DataError, match="255"):
        plain.fit(np.full((3, 4), 255, "uint8"), verbose=0)
    with pytest.raises(ShapeError):
        plain.fit(rng.random((3, 5)), verbose=0)
    with pytest.raises(DataError, match=r"NaN|finite"):
        plain.fit(np.full((3, 4), np.nan), verbose=0)

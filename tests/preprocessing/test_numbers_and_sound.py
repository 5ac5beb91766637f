"""Layers that prepare numbers and sound compute what real Keras's compute."""

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, TensorDataset

import lamella
from lamella import layers
from lamella.errors import ArgumentError, DataError, DTypeError, NotBuiltError, ShapeError

keras = pytest.importorskip("keras")


def close(ours, theirs, tolerance=2e-5):
    np.testing.assert_allclose(np.asarray(ours), np.asarray(theirs), rtol=tolerance, atol=tolerance)


def config_goes_both_ways(ours, theirs):
    config = theirs.get_config()
    config.pop("name")
    mine = ours.get_config()
    assert {key: value for key, value in mine.items() if key != "name"} == config
    assert type(ours).from_config(theirs.get_config()).get_config() == theirs.get_config()
    assert type(theirs).from_config(mine).get_config() == mine


def same_layer(name, arguments, x, tolerance=2e-5):
    ours, theirs = getattr(layers, name)(**arguments), getattr(keras.layers, name)(**arguments)
    output, expected = ours(x), theirs(x)
    assert output.dtype == expected.dtype
    assert tuple(output.shape) == tuple(expected.shape)
    close(output.detach(), expected.detach(), tolerance)
    config_goes_both_ways(ours, theirs)
    if output.shape[0] != x.shape[0]:
        return ours, theirs  # one sample without a batch
    symbolic = ours(lamella.Input(x.shape[1:], dtype=str(x.dtype).split(".")[-1]))
    assert symbolic.shape == (None, *expected.shape[1:])
    assert symbolic.dtype == expected.dtype
    return ours, theirs


CODES = [
    ({"num_tokens": 5}, (4, 3)),
    ({"num_tokens": 5, "output_mode": "count"}, (4, 3)),
    ({"num_tokens": 5, "output_mode": "one_hot"}, (4, 3)),
    ({"num_tokens": 5, "output_mode": "one_hot"}, (4, 1)),
    ({"num_tokens": 5, "output_mode": "one_hot"}, (4,)),
    ({"num_tokens": 5, "output_mode": "count"}, (4, 3, 6)),
    ({"num_tokens": 5, "output_mode": "multi_hot"}, (4, 3, 6)),
]


@pytest.mark.parametrize(("arguments", "shape"), CODES)
def test_category_encoding(arguments, shape, rng):
    same_layer("CategoryEncoding", arguments, rng.integers(0, 5, shape))


def test_category_encoding_of_lists_and_weights(rng):
    x, weights = rng.integers(0, 4, (3, 5)), rng.uniform(size=(3, 5)).astype("float32")
    ours, theirs = (kind.CategoryEncoding(4, output_mode="count") for kind in (layers, keras.layers))
    close(ours(x, count_weights=weights), theirs(x, count_weights=weights))
    close(ours(x.tolist()), theirs(x.tolist()))
    close(ours([3, 1]), theirs([3, 1]))


@pytest.mark.parametrize("bad", [[[0, 4]], [[-1, 2]]])
def test_category_encoding_out_of_range(bad):
    with pytest.raises(DataError, match="takes numbers from 0 to 3"):
        layers.CategoryEncoding(4)(np.array(bad))


def test_category_encoding_refusals():
    for arguments, message in (
        ({}, "num_tokens"),
        ({"num_tokens": 0}, "1 or more"),
        ({"num_tokens": 3, "output_mode": "two_hot"}, "one_hot"),
        ({"num_tokens": 3, "sparse": True}, "sparse"),
    ):
        with pytest.raises(ArgumentError, match=message):
            layers.CategoryEncoding(**arguments)
    with pytest.raises(ArgumentError, match="count_weights"):
        layers.CategoryEncoding(3)(np.array([[1]]), count_weights=np.ones((1, 1)))


@pytest.mark.parametrize("mode", ["int", "one_hot", "multi_hot", "count"])
@pytest.mark.parametrize("shape", [(4, 3), (4, 1), (5,)])
def test_discretization(mode, shape, rng):
    x = rng.uniform(-2, 4, shape).astype("float32")
    x.flat[0] = 1.0  # on a boundary
    same_layer("Discretization", {"bin_boundaries": [0.0, 1.0, 2.5], "output_mode": mode}, x)


@pytest.mark.parametrize(
    "arguments", [{"num_bins": 4}, {"num_bins": 10, "epsilon": 0.05}, {"num_bins": 3, "epsilon": 0.5}]
)
@pytest.mark.parametrize("size", [7, 1000])
def test_discretization_adapts_as_keras_does(arguments, size, rng):
    x = rng.normal(size=(size,)).astype("float32")
    ours, theirs = layers.Discretization(**arguments), keras.layers.Discretization(**arguments)
    for data in (x, [x, x * 2 + 1, x[:5]]):
        ours.adapt(data)
        theirs.reset_state()  # Keras's adapt() asks for TensorFlow; what it does with each batch does not
        for batch in data if isinstance(data, list) else [data]:
            theirs.update_state(batch)
        theirs.finalize_state()
        assert ours.bin_boundaries == theirs.bin_boundaries
    close(ours(x), theirs(x))
    config_goes_both_ways(ours, theirs)


@pytest.mark.parametrize("dtype", ["int32", "int64", "float16", None])
def test_discretization_bins_before_it_converts(dtype):
    """`dtype` is that of the outputs: values are not cut to whole numbers first."""
    same_layer("Discretization", {"bin_boundaries": [0.0, 0.5, 1.0], "dtype": dtype}, np.float32([-0.5, 0.3, 0.7, 2.0]))


def test_discretization_refusals():
    for arguments, message in (
        ({}, "either"),
        ({"num_bins": 3, "bin_boundaries": [1.0]}, "either"),
        ({"num_bins": -1}, "0 or more"),
        ({"bin_boundaries": [2.0, 1.0]}, "must rise"),
        ({"num_bins": 3, "output_mode": "tf_idf"}, "multi_hot"),
    ):
        with pytest.raises(ArgumentError, match=message):
            layers.Discretization(**arguments)
    with pytest.raises(ArgumentError, match="nothing to adapt"):
        layers.Discretization([1.0]).adapt(np.ones(3))
    with pytest.raises(NotBuiltError, match="adapt"):
        layers.Discretization(num_bins=3)(np.ones((2, 2)))


SPECTRA = [
    ({"frame_length": 32}, (2, 200, 1)),
    ({"mode": "magnitude", "frame_length": 30, "frame_step": 7, "padding": "same"}, (2, 101, 2)),
    ({"mode": "psd", "frame_length": 32, "fft_length": 64, "scaling": "spectrum"}, (2, 200, 2)),
    ({"mode": "real", "frame_length": 16, "window": "hamming", "expand_dims": True}, (2, 100, 3)),
    ({"mode": "imag", "frame_length": 16, "periodic": True, "scaling": None}, (2, 100, 1)),
    ({"mode": "stft", "frame_length": 16, "window": None}, (2, 100, 2)),
    ({"mode": "stft", "frame_length": 16, "expand_dims": True}, (2, 100, 2)),
    ({"mode": "log", "frame_length": 16, "data_format": "channels_first"}, (2, 2, 100)),
    ({"mode": "magnitude", "frame_length": 16, "data_format": "channels_first", "expand_dims": True}, (2, 2, 100)),
    ({"mode": "real", "frame_length": 4, "window": [0.1, 0.4, 0.4, 0.1], "padding": "same"}, (1, 33, 1)),
]


@pytest.mark.parametrize(("arguments", "shape"), SPECTRA)
def test_stft_spectrogram(arguments, shape, rng):
    x = rng.normal(size=shape).astype("float32")
    ours, theirs = same_layer("STFTSpectrogram", arguments, x, 1e-4)
    assert [(w.shape) for w in ours.weights] == [tuple(w.shape) for w in theirs.weights]
    for one, other in zip(ours.get_weights(), theirs.get_weights(), strict=True):
        close(one, other)


def test_stft_spectrogram_angle(rng):
    """Angles jump at pi, so they are compared on the circle."""
    x = rng.normal(size=(2, 120, 1)).astype("float32")
    ours, theirs = (kind.STFTSpectrogram(mode="angle", frame_length=16) for kind in (layers, keras.layers))
    apart = np.asarray(ours(x).detach()) - np.asarray(theirs(x).detach())
    np.testing.assert_allclose(np.cos(apart[..., 1:-1]), 1.0, atol=1e-5)


@pytest.mark.parametrize("mode", ["log", "psd", "stft"])
def test_stft_spectrogram_gradients(mode, rng):
    x = rng.normal(size=(2, 100, 1)).astype("float32")
    grads = []
    for kind in (layers, keras.layers):
        layer = kind.STFTSpectrogram(mode=mode, frame_length=16)
        given = torch.tensor(x, requires_grad=True)
        output = layer(given)
        weights = [getattr(w, "value", w) for w in layer.trainable_weights]
        grads.append(
            torch.autograd.grad(
                (output * torch.linspace(0, 1, output.numel()).reshape(output.shape)).sum(), [given, *weights]
            )
        )
    for one, other in zip(*grads, strict=True):
        np.testing.assert_allclose(one, other, rtol=2e-3, atol=2e-3)


def test_stft_spectrogram_trains_in_a_model(rng):
    x, y = rng.normal(size=(8, 64, 1)).astype("float32"), rng.normal(size=(8, 1)).astype("float32")
    model = lamella.Sequential(
        [lamella.Input((64, 1)), layers.STFTSpectrogram(frame_length=16), layers.Flatten(), layers.Dense(1)]
    )
    model.compile("sgd", "mse")
    before = model.layers[0].get_weights()
    model.fit(x, y, epochs=1, verbose=0)
    assert all(np.abs(a - b).max() > 0 for a, b in zip(before, model.layers[0].get_weights(), strict=True))


def test_stft_spectrogram_refusals():
    for arguments, message in (
        ({"mode": "cepstrum"}, "magnitude"),
        ({"frame_length": 8, "frame_step": 9}, "frame_step"),
        ({"frame_length": 8, "fft_length": 4}, "fft_length"),
        ({"scaling": "power"}, "density"),
        ({"padding": "full"}, "valid"),
    ):
        with pytest.raises(ArgumentError, match=message):
            layers.STFTSpectrogram(**arguments)
    with pytest.warns(UserWarning, match="power of two"):
        layers.STFTSpectrogram(frame_length=8, fft_length=12)
    with pytest.raises(DTypeError, match="takes floats"):
        layers.STFTSpectrogram(frame_length=8)(torch.ones(1, 20, 1, dtype=torch.int64))
    with pytest.raises(ShapeError, match="at least frame_length=8"):
        layers.STFTSpectrogram(frame_length=8)(torch.ones(1, 5, 1))


MELS = [
    ({"fft_length": 256, "sequence_stride": 64, "num_mel_bins": 20}, (2, 1000)),
    (
        {"fft_length": 256, "sequence_stride": 100, "sequence_length": 200, "num_mel_bins": 12, "window": "hamming"},
        (3, 999),
    ),
    ({"fft_length": 128, "sequence_stride": 64, "num_mel_bins": 8, "power_to_db": False, "window": None}, (2, 640)),
    ({"fft_length": 128, "sequence_stride": 64, "num_mel_bins": 8, "mag_exp": 1.0, "top_db": 20.0}, (2, 640)),
    ({"fft_length": 128, "num_mel_bins": 8, "min_freq": 100.0, "max_freq": 3000.0, "ref_power": 0.5}, (2, 3, 640)),
]


@pytest.mark.parametrize(("arguments", "shape"), MELS)
def test_mel_spectrogram(arguments, shape, rng):
    same_layer("MelSpectrogram", arguments, rng.normal(size=shape).astype("float32"), 2e-3)


def test_mel_spectrogram_of_one_sound(rng):
    x = rng.normal(size=(1000,)).astype("float32")
    ours, theirs = (kind.MelSpectrogram(fft_length=256, num_mel_bins=16) for kind in (layers, keras.layers))
    close(ours(x), theirs(x), 1e-3)


def test_mel_spectrogram_has_gradients_in_silence():
    sound = torch.zeros(1, 600, requires_grad=True)
    output = layers.MelSpectrogram(fft_length=256, num_mel_bins=8, power_to_db=False)(sound)
    (gradient,) = torch.autograd.grad(output.sum(), [sound])
    assert torch.isfinite(gradient).all()


def test_mel_spectrogram_refusals():
    with pytest.raises(ArgumentError, match="sequence_length"):
        layers.MelSpectrogram(fft_length=128, sequence_length=256)
    with pytest.raises(ArgumentError, match="hamming"):
        layers.MelSpectrogram(window="kaiser")
    with pytest.raises(ArgumentError, match="numbers"):
        layers.MelSpectrogram(fft_length=128, window=[1.0, 2.0])
    with pytest.raises(ShapeError, match="samples"):
        layers.MelSpectrogram(fft_length=256)(torch.ones(1, 100))


def test_pipeline_config_and_output(rng):
    x = rng.normal(size=(4, 3)).astype("float32")
    ours = layers.Pipeline([layers.Rescaling(2.0), layers.Rescaling(1.0, 0.5)], name="p")
    theirs = keras.layers.Pipeline([keras.layers.Rescaling(2.0), keras.layers.Rescaling(1.0, 0.5)], name="p")
    close(ours(x), theirs(x))
    again = layers.Pipeline.from_config(theirs.get_config())
    close(again(x), theirs(x))
    close(keras.layers.Pipeline.from_config(ours.get_config())(x), theirs(x))
    with pytest.raises(ArgumentError, match="list of layers"):
        layers.Pipeline([1, 2])
    with pytest.raises(ArgumentError, match="layers"):
        layers.Pipeline.from_config({"name": "p"})


def test_pipeline_augments_alone_and_in_training_only():
    ones = np.ones((50, 20), "float32")
    alone = layers.Pipeline([layers.Dropout(0.5)])
    assert (alone(ones) == 0).any()
    assert (alone(ones, training=False) == 1).all()
    pipeline = layers.Pipeline([layers.Dropout(0.5)])
    model = lamella.Sequential([lamella.Input((20,)), pipeline])
    assert (model.predict(ones, verbose=0) == 1).all()
    assert (model(ones, training=True) == 0).any()
    assert (model(ones) == 1).all()


def test_pipeline_has_the_weights_of_its_layers(rng):
    x = rng.normal(size=(4, 3)).astype("float32")
    model = lamella.Sequential([lamella.Input((3,)), layers.Pipeline([layers.Dense(4), layers.Dense(2)])])
    assert len(model.trainable_weights) == 4
    model.compile("sgd", "mse")
    before = model.get_weights()[0]
    model.fit(x, np.ones((4, 2), "float32"), verbose=0)
    assert np.abs(before - model.get_weights()[0]).max() > 0


class Numbered(lamella.utils.PyDataset):
    def __init__(self, x):
        super().__init__()
        self.x = x

    def __len__(self):
        return 4

    def __getitem__(self, i):
        return self.x[i * 5 : i * 5 + 5], np.zeros(5)


def data_of_every_kind(x):
    parts = [x[i : i + 5] for i in range(0, 20, 5)]
    zeros = torch.zeros(20)
    return {
        "array": x,
        "tensor": torch.tensor(x),
        "list of rows": x.tolist(),
        "list of batches": parts,
        "generator": (part for part in parts),
        "generator of pairs": ((part, np.zeros(5)) for part in parts),
        "generator of lists": ((part.tolist(), [0] * 5) for part in parts),
        "generator of two rows": (x[i : i + 2].tolist() for i in range(0, 20, 2)),
        "DataLoader": DataLoader(TensorDataset(torch.tensor(x), zeros), batch_size=5),
        "DataLoader of x": DataLoader(TensorDataset(torch.tensor(x)), batch_size=5),
        "Dataset": TensorDataset(torch.tensor(x), zeros),
        "PyDataset": Numbered(x),
    }


@pytest.mark.parametrize("kind", list(data_of_every_kind(np.zeros((20, 3)))))
def test_normalization_adapts_to_data_of_every_kind(kind, rng):
    x = rng.normal(3.0, 2.0, size=(20, 3)).astype("float32")
    theirs, ours = keras.layers.Normalization(), layers.Normalization()
    theirs.adapt(x)
    ours.adapt(data_of_every_kind(x)[kind])
    close(ours(x), theirs(x), 1e-4)


@pytest.mark.parametrize(
    "kind", ["array", "tensor", "list of batches", "generator", "generator of pairs", "DataLoader", "PyDataset"]
)
def test_discretization_adapts_to_data_of_every_kind(kind, rng):
    x = rng.normal(size=(20, 3)).astype("float32")
    layer = layers.Discretization(num_bins=4)
    layer.adapt(data_of_every_kind(x)[kind])
    counts = torch.bincount(layer(x).flatten(), minlength=4)
    assert counts.min() >= 12  # of 15 in each


def test_normalization_adapts_to_a_data_frame(rng):
    pandas = pytest.importorskip("pandas")
    x = rng.normal(3.0, 2.0, size=(20, 2)).astype("float32")
    ours, same = layers.Normalization(), layers.Normalization()
    ours.adapt(pandas.DataFrame(x, columns=["a", "b"]))
    same.adapt(x)
    close(ours(x), same(x))


def test_normalization_along_other_axes(rng):
    x = rng.normal(size=(6, 4, 3)).astype("float32")
    for axis in (None, 1, (1, 2), (0, 1)):
        ours, theirs = layers.Normalization(axis=axis), keras.layers.Normalization(axis=axis)
        ours.adapt(x)
        theirs.adapt(x)
        close(ours(x), theirs(x), 1e-4)


def test_normalization_refuses_what_does_not_fit():
    with pytest.raises(ShapeError, match=r"\(None, 3\); got a batch of \(2, 4\)"):
        layers.Normalization().adapt([np.ones((2, 3)), np.ones((2, 4))])
    with pytest.raises(ArgumentError, match="no data"):
        layers.Normalization().adapt(iter(()))
    with pytest.raises(ArgumentError, match="nothing to adapt"):
        layers.Normalization(mean=0.0, variance=1.0).adapt(np.ones((2, 3)))
    with pytest.raises(ArgumentError, match="adapt\\(\\) takes"):
        layers.Normalization().adapt(3)


@pytest.mark.parametrize(("axis", "shape"), [(-1, (1, 3)), (None, (1, 1)), ((0, 1), (4, 3)), (0, (4, 1))])
def test_the_mean_lies_along_the_inputs_as_in_keras(axis, shape):
    data = np.random.default_rng(1).normal(size=(4, 3)).astype("float32")
    ours, theirs = layers.Normalization(axis=axis), keras.layers.Normalization(axis=axis)
    assert ours.mean is None and theirs.mean is None
    for layer in (ours, theirs):
        layer.adapt(data)
    for name in ("mean", "variance", "adapt_mean", "adapt_variance"):
        one, other = getattr(ours, name), getattr(theirs, name)
        assert tuple(one.shape) == tuple(other.shape)
        np.testing.assert_allclose(one, keras.ops.convert_to_numpy(other), atol=1e-6)
    assert ours.mean.shape == shape
    assert [weight.path.split("/")[-1] for weight in ours.weights] == ["mean", "variance", "count"]
    given = layers.Normalization(mean=[1.0, 2.0, 3.0], variance=[1.0, 1.0, 4.0])
    given.build((None, 3))
    assert given.mean.shape == given.variance.shape == (1, 3) and not given.weights


def test_states_and_files_of_normalization_keep_their_names(tmp_path):
    ours = lamella.Sequential([lamella.Input((3,)), layers.Normalization()])
    ours.layers[0].adapt(np.arange(12.0).reshape(4, 3))
    assert [each.split(".")[-1] for each in ours.state_dict()] == ["mean", "variance", "count"]
    x = np.ones((2, 3), "float32")
    ours.save(tmp_path / "ours.keras")
    theirs = keras.models.load_model(tmp_path / "ours.keras")
    np.testing.assert_allclose(theirs.predict(x, verbose=0), ours.predict(x, verbose=0), rtol=1e-6)
    theirs.save(tmp_path / "theirs.keras")
    again = lamella.models.load_model(tmp_path / "theirs.keras")
    assert torch.equal(again.layers[-1].mean, ours.layers[-1].mean) and again.layers[-1].mean.shape == (1, 3)

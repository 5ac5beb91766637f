"""Folders of images, texts and sounds as data: which files, which labels, which numbers, and what is refused."""

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.io import wavfile

import lamella
from lamella import utils
from lamella.errors import ArgumentError, DataError

keras = pytest.importorskip("keras")
from keras.src.utils import dataset_utils  # noqa: E402


@pytest.fixture
def images(tmp_path):
    rng = np.random.default_rng(0)
    for name, count in (("cats", 7), ("dogs", 6), ("birds", 4)):
        (tmp_path / name / "more").mkdir(parents=True)
        for i in range(count):
            folder = tmp_path / name / ("more" if i == 3 else "")
            pixels = rng.integers(0, 256, (8 + i, 9, 3), dtype="uint8")
            Image.fromarray(pixels).save(folder / f"{name}_{i}.{'png' if i % 2 else 'bmp'}")
        (tmp_path / name / "notes.txt").write_text("not an image")
    (tmp_path / ".hidden").mkdir()
    return tmp_path


def read(folder, **arguments):
    return utils.image_dataset_from_directory(folder, verbose=False, image_size=(6, 6), **arguments)


@pytest.mark.parametrize("shuffle", [False, True])
@pytest.mark.parametrize("labels", ["inferred", None, list(range(17))])
def test_files_and_labels_as_in_keras(images, shuffle, labels):
    dataset = read(images, labels=labels, shuffle=shuffle, seed=4)
    given = None if labels is None else labels if labels == "inferred" else list(labels)
    formats = (".bmp", ".gif", ".jpeg", ".jpg", ".png")
    files, numbers, names = dataset_utils.index_directory(
        str(images), given, formats, shuffle=shuffle, seed=4, verbose=False
    )
    assert dataset.file_paths == files
    assert dataset.class_names == names
    assert dataset.labels == (None if labels is None else list(numbers))


@pytest.mark.parametrize("subset", ["training", "validation", "both"])
def test_the_split_is_kerass_split(images, subset):
    ours = read(images, validation_split=0.3, subset=subset, seed=2)
    files, labels, _ = dataset_utils.index_directory(str(images), "inferred", (".bmp", ".png"), seed=2, verbose=False)
    parts = ["training", "validation"] if subset == "both" else [subset]
    for dataset, part in zip(ours if subset == "both" else [ours], parts, strict=True):
        wanted = dataset_utils.get_training_or_validation_split(files, labels, 0.3, part)
        assert (dataset.file_paths, dataset.labels) == (wanted[0], list(wanted[1]))


def test_batches(images):
    dataset = read(images, shuffle=False, batch_size=5)
    batches = list(dataset)
    assert len(dataset) == len(batches) == 4 and [len(x) for x, _ in batches] == [5, 5, 5, 2]
    x = torch.cat([x for x, _ in batches])
    assert x.shape == (17, 6, 6, 3) and x.dtype is torch.float32
    labels = torch.cat([y for _, y in batches])
    assert labels.dtype is torch.int32 and labels.tolist() == dataset.labels
    for row, path in zip(x, dataset.file_paths, strict=True):
        with Image.open(path) as opened:
            pixels = np.asarray(opened.convert("RGB"), dtype="float32")
        with keras.device("cpu"):
            expected = keras.ops.image.resize(pixels, (6, 6)).numpy()
        np.testing.assert_allclose(row.numpy(), expected, atol=1e-3)


def test_each_epoch_has_a_new_order_and_a_seed_repeats_them(images):
    def orders(**arguments):
        dataset = read(images, batch_size=None, **arguments)
        return [[round(float(x.sum()), 1) for x, _ in dataset] for _ in range(3)]

    first, again = orders(seed=3), orders(seed=3)
    assert first == again
    assert first[0] != first[1] and sorted(first[0]) == sorted(first[1])
    assert orders(seed=4)[0] != first[0]
    torch.manual_seed(0)
    np.random.seed(0)
    free = orders()
    assert free[0] != free[1]
    resumed = read(images, batch_size=None, seed=3)
    resumed.set_epoch(2)
    assert [round(float(x.sum()), 1) for x, _ in resumed] == first[2]


@pytest.mark.parametrize(
    ("mode", "shape", "kind"),
    [("int", (2,), torch.int32), ("binary", (2, 1), torch.float32), ("categorical", (2, 2), torch.float32)],
)
def test_label_modes(images, mode, shape, kind):
    dataset = read(images, label_mode=mode, class_names=["dogs", "cats"], batch_size=2, shuffle=False)
    labels = [y for _, y in dataset]
    assert labels[0].shape == shape and labels[0].dtype is kind
    assert dataset.class_names == ["dogs", "cats"]
    numbers = torch.cat(labels)
    numbers = numbers.argmax(-1) if mode == "categorical" else numbers.flatten()
    assert numbers.tolist() == [0] * 6 + [1] * 7
    assert next(iter(read(images, label_mode=None, batch_size=2))).shape == (2, 6, 6, 3)


@pytest.mark.parametrize(("mode", "channels"), [("grayscale", 1), ("rgb", 3), ("rgba", 4)])
def test_channels_and_formats(images, mode, channels):
    last, _ = next(iter(read(images, color_mode=mode, shuffle=False)))
    first, _ = next(iter(read(images, color_mode=mode, shuffle=False, data_format="channels_first")))
    assert last.shape[1:] == (6, 6, channels) and first.shape[1:] == (channels, 6, 6)
    torch.testing.assert_close(first.permute(0, 2, 3, 1), last)


@pytest.mark.parametrize("how", ["crop_to_aspect_ratio", "pad_to_aspect_ratio"])
@pytest.mark.parametrize("interpolation", ["bilinear", "nearest", "area"])
def test_proportions(images, how, interpolation):
    kept, _ = next(iter(read(images, shuffle=False, interpolation=interpolation, **{how: interpolation != "area"})))
    squeezed, _ = next(iter(read(images, shuffle=False, interpolation=interpolation)))
    assert kept.shape == squeezed.shape
    assert torch.equal(kept, squeezed) == (interpolation == "area")


def test_a_damaged_file_is_named(images):
    (images / "cats" / "cats_1.png").write_bytes(b"no image")
    with pytest.raises(DataError, match=r"cats_1\.png cannot be read"):
        list(read(images))


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"labels": "guess"}, "labels"),
        ({"labels": [1, 2]}, "2 labels, but 17 files"),
        ({"labels": None, "class_names": ["a"]}, "class_names"),
        ({"class_names": ["cats", "fish"]}, "must be folders"),
        ({"label_mode": "one_hot"}, "label_mode"),
        ({"label_mode": "binary"}, "two classes"),
        ({"color_mode": "bgr"}, "color_mode"),
        ({"interpolation": "cubic"}, "interpolation"),
        ({"validation_split": 1.5, "subset": "both", "seed": 1}, "validation_split"),
        ({"validation_split": 0.2}, "go together"),
        ({"validation_split": 0.2, "subset": "test", "seed": 1}, "subset"),
        ({"validation_split": 0.2, "subset": "training"}, "seed"),
        ({"crop_to_aspect_ratio": True, "pad_to_aspect_ratio": True}, "not both"),
    ],
    ids=lambda a: "-".join(a) if isinstance(a, dict) else "",
)
def test_refusals(images, arguments, named):
    with pytest.raises(ArgumentError, match=named):
        read(images, **arguments)
    if "class_names" in arguments or named in ("two classes", "go together", "subset", "seed", "label_mode"):
        with pytest.raises(ValueError):  # so does Keras
            keras.utils.image_dataset_from_directory(str(images), verbose=False, **arguments)


def test_no_folder_and_no_files(tmp_path):
    with pytest.raises(DataError, match="no folder"):
        read(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="No image files"):
        read(tmp_path)


def test_what_is_found_is_said(images, capsys):
    utils.image_dataset_from_directory(images, validation_split=0.3, subset="training", seed=1)
    out = capsys.readouterr().out
    assert out == "Found 17 files belonging to 3 classes.\nUsing 12 files for training.\n"


def test_fit_trains_on_a_folder(images):
    train, validation = read(images, validation_split=0.3, subset="both", seed=1, batch_size=4)
    model = lamella.Sequential(
        [lamella.layers.Rescaling(1 / 255), lamella.layers.Flatten(), lamella.layers.Dense(3, activation="softmax")]
    )
    model.compile(lamella.optimizers.Adam(0.01), "sparse_categorical_crossentropy", metrics=["accuracy"])
    history = model.fit(train, validation_data=validation, epochs=12, verbose=0).history
    assert history["loss"][-1] < 0.7 * history["loss"][0] and len(history["val_loss"]) == 12
    cut = train.map(lambda x, y: (x / 2, y)).cache().shuffle(2).prefetch(1)
    assert len(model.fit(cut, epochs=2, verbose=0).history["loss"]) == 2
    assert model.predict(validation, verbose=0).shape == (5, 3)


class TestTexts:
    @pytest.fixture
    def texts(self, tmp_path):
        for name in ("neg", "pos"):
            (tmp_path / name).mkdir()
            for i in range(4):
                (tmp_path / name / f"{i}.txt").write_text(f"{name} Nr. {i} ünd mehr", encoding="utf-8")
        return tmp_path

    def test_batches(self, texts):
        dataset = utils.text_dataset_from_directory(texts, batch_size=3, shuffle=False, verbose=False)
        batches = list(dataset)
        assert list(batches[0][0]) == [f"neg Nr. {i} ünd mehr" for i in range(3)]
        assert torch.cat([y for _, y in batches]).tolist() == [0] * 4 + [1] * 4
        assert batches[0][0].dtype == object and dataset.class_names == ["neg", "pos"]

    def test_length_and_no_labels(self, texts):
        dataset = utils.text_dataset_from_directory(texts, labels=None, max_length=3, shuffle=False, verbose=False)
        assert list(next(iter(dataset))) == ["neg"] * 4 + ["pos"] * 4

    def test_words_become_numbers_on_the_way(self, texts):
        dataset = utils.text_dataset_from_directory(texts, batch_size=4, label_mode="binary", verbose=False)
        numbers = dataset.map(lambda x, y: (torch.tensor([[float(t.startswith("pos"))] for t in x]), y))
        model = lamella.Sequential([lamella.Input((1,)), lamella.layers.Dense(1, activation="sigmoid")])
        model.compile(lamella.optimizers.Adam(0.3), "binary_crossentropy")
        assert model.fit(numbers, epochs=30, verbose=0).history["loss"][-1] < 0.3

    def test_what_is_no_text_is_named(self, texts):
        (texts / "neg" / "1.txt").write_bytes(b"\xff\xfe\xff")
        with pytest.raises(DataError, match=r"1\.txt cannot be read"):
            list(utils.text_dataset_from_directory(texts, verbose=False))


class TestSounds:
    @pytest.fixture
    def sounds(self, tmp_path):
        rng = np.random.default_rng(0)
        for name in ("high", "low"):
            (tmp_path / name).mkdir()
            for i in range(3):
                wave = rng.integers(-(2**15), 2**15, (40 + 10 * i, 2), dtype="int16")
                wavfile.write(tmp_path / name / f"{i}.wav", 8000, wave)
        return tmp_path

    def read(self, folder, **arguments):
        return utils.audio_dataset_from_directory(folder, verbose=False, shuffle=False, **arguments)

    def test_batches_are_padded_to_the_longest(self, sounds):
        x, y = next(iter(self.read(sounds, batch_size=3)))
        assert x.shape == (3, 60, 2) and y.tolist() == [0, 0, 0]
        _, samples = wavfile.read(sounds / "high" / "1.wav")
        np.testing.assert_allclose(x[1, :50].numpy(), samples / 32768, atol=1e-7)
        assert not x[0, 40:].any()

    def test_lengths(self, sounds):
        assert next(iter(self.read(sounds, output_sequence_length=45)))[0].shape == (6, 45, 2)
        ragged, _ = next(iter(self.read(sounds, ragged=True)))
        assert [len(sound) for sound in ragged] == [40, 50, 60] * 2
        assert next(iter(self.read(sounds, batch_size=None)))[0].shape == (40, 2)

    def test_resampling_keeps_the_pitch(self, tmp_path):
        (tmp_path / "a").mkdir()
        time = np.arange(8000) / 8000
        wavfile.write(tmp_path / "a" / "1.wav", 8000, np.sin(2 * np.pi * 440 * time).astype("float32"))
        sound, _ = next(iter(self.read(tmp_path, sampling_rate=16000)))
        assert sound.shape == (1, 16000, 1)
        assert torch.fft.rfft(sound[0, :, 0]).abs().argmax() == 440

    @pytest.mark.parametrize("kind", ["uint8", "int32", "float32"])
    def test_kinds_of_numbers(self, tmp_path, kind):
        (tmp_path / "a").mkdir()
        wave = {"uint8": [128, 255, 0], "int32": [0, 2**31 - 1, -(2**31)], "float32": [0.0, 1.0, -1.0]}[kind]
        wavfile.write(tmp_path / "a" / "1.wav", 100, np.array(wave, dtype=kind))
        sound, _ = next(iter(self.read(tmp_path)))
        np.testing.assert_allclose(sound.flatten().numpy(), [0.0, 1.0, -1.0], atol=0.01)

    def test_refusals(self, sounds):
        with pytest.raises(ArgumentError, match="not both"):
            self.read(sounds, ragged=True, output_sequence_length=4)
        with pytest.raises(ArgumentError, match="sampling_rate"):
            self.read(sounds, sampling_rate=0.5)
        (sounds / "low" / "0.wav").write_bytes(b"RIFF")
        with pytest.raises(DataError, match=r"0\.wav cannot be read"):
            list(self.read(sounds))

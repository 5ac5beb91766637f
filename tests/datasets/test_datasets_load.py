"""Each data set: what `load_data` gives, where it looks, and that Keras would give the same."""

import gzip
import importlib
import inspect
import io
import json
import pickle
import struct
import tarfile
import urllib.error
import urllib.request

import numpy as np
import pytest

from lamella import datasets
from lamella.errors import ArgumentError, DataError, DownloadError

RNG = np.random.default_rng(0)
NAMES = ("mnist", "fashion_mnist", "cifar10", "cifar100", "imdb", "reuters", "boston_housing", "california_housing")


def shapes(pairs):
    return [[(part.shape, str(part.dtype)) for part in pair] for pair in pairs]


def assert_same(found, expected):
    assert shapes(found) == shapes(expected)
    for pair, expected_pair in zip(found, expected, strict=True):
        for part, expected_part in zip(pair, expected_pair, strict=True):
            assert part.tolist() == expected_part.tolist()


def write_idx(path, array):
    path.parent.mkdir(exist_ok=True, parents=True)
    header = struct.pack(">BBBB", 0, 0, 8, array.ndim) + struct.pack(f">{array.ndim}i", *array.shape)
    path.write_bytes(gzip.compress(header + array.tobytes()))


def write_four(folder, train="train", samples=5):
    parts = {}
    for name, n in ((train, samples), ("t10k", 3)):
        parts[name] = RNG.integers(0, 256, (n, 28, 28), "uint8"), RNG.integers(0, 10, n, "uint8")
        write_idx(folder / f"{name}-images-idx3-ubyte.gz", parts[name][0])
        write_idx(folder / f"{name}-labels-idx1-ubyte.gz", parts[name][1])
    return parts[train], parts["t10k"]


# What Keras has, too: arguments, addresses, checksums


@pytest.mark.parametrize("name", NAMES)
def test_the_arguments_are_those_of_keras(name):
    keras = pytest.importorskip("keras")
    expected = inspect.signature(getattr(keras.datasets, name).load_data).parameters
    found = inspect.signature(getattr(datasets, name).load_data).parameters
    assert {key: p.default for key, p in found.items()} == {
        key: p.default for key, p in expected.items() if p.kind is not p.VAR_KEYWORD
    }


class Asked(Exception):
    pass


def asked_for(module, act, monkeypatch):
    """The (address, checksum) of the first file that `act` wants to download."""
    seen = []

    def record(fname=None, origin=None, *args, file_hash=None, **kwargs):
        seen.append((origin, file_hash))
        raise Asked

    monkeypatch.setattr(module, "get_file", record)
    with pytest.raises(Asked):
        act()
    return seen


@pytest.mark.parametrize(
    ("name", "function"),
    [*((name, "load_data") for name in NAMES), ("imdb", "get_word_index"), ("reuters", "get_word_index")],
    ids=str,
)
def test_addresses_and_checksums_are_those_of_keras(name, function, monkeypatch):
    theirs = pytest.importorskip(f"keras.src.datasets.{name}")
    ours = importlib.import_module(f"lamella.datasets.{name}")
    here = ours if hasattr(ours, "get_file") else importlib.import_module("lamella.datasets.files")
    expected = asked_for(theirs, getattr(theirs, function), monkeypatch)
    assert asked_for(here, getattr(ours, function), monkeypatch) == expected


@pytest.mark.parametrize("name", NAMES)
def test_without_a_network_the_message_says_what_to_do(name, cache, monkeypatch):
    def no_network(request, timeout):
        raise urllib.error.URLError(OSError("Network is unreachable"))

    monkeypatch.setattr(urllib.request, "urlopen", no_network)
    with pytest.raises(DownloadError, match="LAMELLA_DATA") as caught:
        getattr(datasets, name).load_data()
    assert "https://" in str(caught.value)
    assert str(cache) in str(caught.value)


# Digits


@pytest.mark.parametrize(("test_split", "train", "test"), [(0.2, 1437, 360), (0.5, 898, 899)])
def test_digits(test_split, train, test):
    pairs = datasets.digits.load_data(test_split=test_split)
    assert shapes(pairs) == [
        [((train, 8, 8), "uint8"), ((train,), "uint8")],
        [((test, 8, 8), "uint8"), ((test,), "uint8")],
    ]
    for x, y in pairs:
        assert x.min() == 0 and x.max() == 16
        assert abs(np.bincount(y) / len(y) - 0.1).max() < 0.01  # the same share of each class in both parts


def test_digits_are_split_by_the_seed_without_overlap():
    first, again, other = (datasets.digits.load_data(seed=seed) for seed in (1, 1, 2))
    assert_same(first, again)
    assert (first[0][0] != other[0][0]).any()
    total = sum(int(x.astype(int).sum()) for x, _ in first)
    assert total == sum(int(x.astype(int).sum()) for x, _ in other)


@pytest.mark.parametrize("test_split", [0, 1, -0.1, 2])
def test_digits_refuse_a_split_that_leaves_nothing(test_split):
    with pytest.raises(ArgumentError, match=f"between 0 and 1; got {test_split}"):
        datasets.digits.load_data(test_split=test_split)


# MNIST and Fashion-MNIST


@pytest.mark.parametrize("where", ["mnist/mnist.npz", "mnist.npz"])
def test_mnist_from_kerass_file(data_folder, where):
    parts = {"x_train": (4, 28, 28), "y_train": (4,), "x_test": (2, 28, 28), "y_test": (2,)}
    arrays = {name: RNG.integers(0, 256, shape, "uint8") for name, shape in parts.items()}
    (data_folder / "mnist").mkdir()
    np.savez(data_folder / where, **arrays)
    expected = (arrays["x_train"], arrays["y_train"]), (arrays["x_test"], arrays["y_test"])
    assert_same(datasets.mnist.load_data(), expected)


@pytest.mark.parametrize("folder", ["mnist", "."])
def test_mnist_from_the_four_files(data_folder, folder):
    expected = write_four(data_folder / folder)
    assert_same(datasets.mnist.load_data(), expected)


@pytest.mark.parametrize(("train", "folder"), [("train", "fashion_mnist"), ("train10k", "fashion-mnist")])
def test_fashion_mnist_from_the_four_files(data_folder, capsys, train, folder):
    (data_folder / "fashion_mnist").mkdir()
    expected = write_four(data_folder / folder, train)
    assert_same(datasets.fashion_mnist.load_data(), expected)
    assert "the 5 training pictures" in capsys.readouterr().out


def test_fashion_mnist_from_the_cache_like_keras(cache, monkeypatch):
    theirs = pytest.importorskip("keras.src.datasets.fashion_mnist")
    write_four(cache / "fashion-mnist")
    monkeypatch.setattr(theirs, "get_file", lambda fname, **kwargs: str(cache / "fashion-mnist" / fname))
    assert_same(datasets.fashion_mnist.load_data(), theirs.load_data())


def test_whole_mnist(shared_data, monkeypatch):
    monkeypatch.setenv("LAMELLA_DATA", str(shared_data))
    (x_train, y_train), (x_test, y_test) = datasets.mnist.load_data()
    assert (x_train.shape, x_test.shape) == ((60000, 28, 28), (10000, 28, 28))
    assert np.bincount(y_train).tolist() == [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    assert np.bincount(y_test).tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    assert x_train.mean() / 255 == pytest.approx(0.1307, abs=1e-4)
    assert x_train.flags.writeable and y_train.dtype == np.uint8


def test_part_of_fashion_mnist(shared_data, monkeypatch, capsys):
    monkeypatch.setenv("LAMELLA_DATA", str(shared_data))
    (x_train, y_train), (x_test, y_test) = datasets.fashion_mnist.load_data()
    assert x_train.shape == x_test.shape == (10000, 28, 28)
    assert np.bincount(y_train).tolist() == [942, 1027, 1016, 1019, 974, 989, 1021, 1022, 990, 1000]
    assert np.bincount(y_test).tolist() == [1000] * 10
    assert "10,000 training pictures" in capsys.readouterr().out


@pytest.mark.parametrize("damage", ["cut", "no gzip", "no idx", "cut inside", "labels"])
def test_damaged_files_are_told_of(data_folder, damage):
    write_four(data_folder / "mnist")
    path = data_folder / "mnist" / "train-images-idx3-ubyte.gz"
    whole = path.read_bytes()
    path.write_bytes(
        {
            "cut": whole[: len(whole) // 2],
            "no gzip": b"hello",
            "no idx": gzip.compress(b"hello"),
            "cut inside": gzip.compress(gzip.decompress(whole)[:-5]),
            "labels": whole,
        }[damage]
    )
    if damage == "labels":
        write_idx(data_folder / "mnist" / "train-labels-idx1-ubyte.gz", np.zeros(4, "uint8"))
    with pytest.raises(DataError, match=r"damaged|cut off|no IDX|5 pictures and 4 labels"):
        datasets.mnist.load_data()
    assert path.exists()  # the user's own file stays


def test_a_damaged_file_of_the_cache_is_deleted(cache):
    write_four(cache / "fashion-mnist")
    path = cache / "fashion-mnist" / "train-images-idx3-ubyte.gz"
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(DataError, match=r"damaged.*deleted from the cache"):
        datasets.fashion_mnist.load_data()
    assert not path.exists()


# CIFAR-10


def python_2_batch(data, labels, key=b"labels"):
    """The bytes that Python 2's pickle writes for a batch, as in the original archive."""

    def text(value):
        return b"U" + bytes([len(value)]) + value

    def integer(value):
        return b"J" + struct.pack("<i", value)

    array = (
        b"cnumpy.core.multiarray\n_reconstruct\n"
        + (b"cnumpy\nndarray\n" + b"K\x00\x85" + text(b"b") + b"\x87R")
        + (b"(K\x01" + integer(data.shape[0]) + integer(data.shape[1]) + b"\x86")
        + (b"cnumpy\ndtype\n" + text(b"u1") + b"K\x00K\x01\x87R")
        + (b"(K\x03" + text(b"|") + b"NNN" + integer(-1) + integer(-1) + b"K\x00tb")
        + (b"\x89" + b"T" + struct.pack("<i", data.size) + data.tobytes() + b"tb")
    )
    numbers = b"](" + b"".join(b"K" + bytes([label]) for label in labels) + b"e"
    return b"\x80\x02}(" + text(b"data") + array + text(key) + numbers + b"u."


def write_cifar10(path, batches):
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w:gz") as archive:
        for name, content in batches.items():
            info = tarfile.TarInfo(f"cifar-10-batches-py/{name}")
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))


BATCHES = [*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"]


@pytest.mark.parametrize("write", ["Python 2", "Python 3"])
@pytest.mark.parametrize("where", ["cifar10/cifar-10-python.tar.gz", "cifar-10-python.tar.gz"])
def test_cifar10(data_folder, write, where):
    images = RNG.integers(0, 256, (6, 2, 3072), "uint8")
    labels = RNG.integers(0, 10, (6, 2))
    make = {
        "Python 2": python_2_batch,
        "Python 3": lambda x, y: pickle.dumps({b"data": x, b"labels": y.tolist()}, protocol=2),
    }[write]
    write_cifar10(
        data_folder / where, {name: make(images[i], labels[i]) for i, name in reversed(list(enumerate(BATCHES)))}
    )
    expected = images.reshape(12, 3, 32, 32).transpose(0, 2, 3, 1), labels.reshape(12, 1).astype("uint8")
    found = datasets.cifar10.load_data()
    assert_same(found, ((expected[0][:10], expected[1][:10]), (expected[0][10:], expected[1][10:])))


@pytest.mark.parametrize("label_mode", ["fine", "coarse"])
def test_cifar100_like_keras(data_folder, tmp_path, monkeypatch, label_mode):
    theirs = pytest.importorskip("keras.src.datasets.cifar100")
    folder = tmp_path / "cifar-100-python"
    folder.mkdir()
    for part, samples in (("train", 4), ("test", 2)):
        data, labels = RNG.integers(0, 256, (samples, 3072), "uint8"), RNG.integers(0, 20, samples)
        (folder / part).write_bytes(python_2_batch(data, labels, f"{label_mode}_labels".encode()))
    with tarfile.open(data_folder / "cifar-100-python.tar.gz", "w:gz") as archive:
        archive.add(folder, "cifar-100-python")
    monkeypatch.setattr(theirs, "get_file", lambda **_: str(tmp_path))
    found, expected = datasets.cifar100.load_data(label_mode), theirs.load_data(label_mode)
    for pair, expected_pair in zip(found, expected, strict=True):
        assert pair[1].dtype == np.uint8
        for part, expected_part in zip(pair, expected_pair, strict=True):
            np.testing.assert_array_equal(part, expected_part)


def test_cifar100_refuses_other_labels():
    with pytest.raises(ArgumentError, match="'fine' or 'coarse'; got 'all'"):
        datasets.cifar100.load_data("all")


def test_the_python_2_batch_is_what_pickle_reads():
    data = RNG.integers(0, 256, (2, 3072), "uint8")
    read = pickle.loads(python_2_batch(data, [3, 4]), encoding="bytes")
    assert read[b"labels"] == [3, 4]
    np.testing.assert_array_equal(read[b"data"], data)


def test_part_of_cifar10(shared_data, monkeypatch, capsys):
    pytest.importorskip("PIL", reason="the pictures are JPEG: reading them needs Pillow")
    monkeypatch.setenv("LAMELLA_DATA", str(shared_data))
    pairs = datasets.cifar10.load_data()
    assert shapes(pairs) == [
        [((8000, 32, 32, 3), "uint8"), ((8000, 1), "uint8")],
        [((2000, 32, 32, 3), "uint8"), ((2000, 1), "uint8")],
    ]
    assert np.bincount(pairs[0][1].ravel()).tolist() == [800] * 10
    assert 100 < pairs[0][0][::100].mean() < 140
    assert "not the original set" in capsys.readouterr().out


# IMDB


def write_imdb(folder, n=30):
    arrays = {}
    for part in ("train", "test"):
        reviews = np.empty(n, object)
        for i in range(n):
            reviews[i] = RNG.integers(1, 60, 3 + RNG.integers(0, 20)).tolist()
        arrays |= {f"x_{part}": reviews, f"y_{part}": RNG.integers(0, 2, n)}
    folder.mkdir(parents=True, exist_ok=True)
    np.savez(folder / "imdb.npz", **arrays)
    return folder / "imdb.npz"


IMDB_ARGUMENTS = [
    {},
    {"num_words": 20},
    {"skip_top": 5, "num_words": 30},
    {"maxlen": 12},
    {"seed": 7},
    {"start_char": None},
    {"start_char": None, "index_from": 0},
    {"oov_char": None, "num_words": 25, "skip_top": 2},
    {"oov_char": 0, "index_from": 10, "start_char": 5, "num_words": 40},
]


@pytest.mark.parametrize("kwargs", IMDB_ARGUMENTS, ids=str)
def test_imdb_like_keras(data_folder, monkeypatch, kwargs):
    theirs = pytest.importorskip("keras.src.datasets.imdb")
    path = write_imdb(data_folder / "imdb")
    monkeypatch.setattr(theirs, "get_file", lambda **_: str(path))
    assert_same(datasets.imdb.load_data(**kwargs), theirs.load_data(**kwargs))


def test_imdb_refuses_a_length_that_leaves_nothing(data_folder):
    write_imdb(data_folder)
    with pytest.raises(ArgumentError, match="No review is shorter than maxlen=2"):
        datasets.imdb.load_data(maxlen=2)


def test_the_word_index(data_folder):
    (data_folder / "imdb_word_index.json").write_text(json.dumps({"the": 1, "café": 2}), encoding="utf-8")
    assert datasets.imdb.get_word_index() == {"the": 1, "café": 2}


# Reuters


@pytest.mark.parametrize("kwargs", [*IMDB_ARGUMENTS, {"test_split": 0.35}, {"test_split": 0}], ids=str)
def test_reuters_like_keras(data_folder, monkeypatch, kwargs):
    theirs = pytest.importorskip("keras.src.datasets.reuters")
    texts = np.empty(40, object)
    for i in range(40):
        texts[i] = RNG.integers(1, 60, 3 + RNG.integers(0, 20)).tolist()
    path = data_folder / "reuters.npz"
    np.savez(path, x=texts, y=RNG.integers(0, 46, 40))
    monkeypatch.setattr(theirs, "get_file", lambda **_: str(path))
    assert_same(datasets.reuters.load_data(**kwargs), theirs.load_data(**kwargs))
    with pytest.raises(ArgumentError, match="No newswire is shorter than maxlen=2"):
        datasets.reuters.load_data(maxlen=2)


def test_the_topics_of_reuters():
    theirs = pytest.importorskip("keras.src.datasets.reuters")
    assert datasets.reuters.get_label_names() == theirs.get_label_names()


def test_the_word_index_of_reuters(data_folder):
    (data_folder / "reuters_word_index.json").write_text(json.dumps({"mln": 1}), encoding="utf-8")
    assert datasets.reuters.get_word_index() == {"mln": 1}


# Boston housing


@pytest.mark.parametrize("kwargs", [{}, {"test_split": 0.35}, {"test_split": 0}, {"seed": 4}], ids=str)
def test_boston_housing_like_keras(data_folder, monkeypatch, kwargs):
    theirs = pytest.importorskip("keras.src.datasets.boston_housing")
    np.savez(data_folder / "boston_housing.npz", x=RNG.normal(size=(60, 13)), y=RNG.random(60))
    monkeypatch.setattr(theirs, "get_file", lambda *_, **__: str(data_folder / "boston_housing.npz"))
    assert_same(datasets.boston_housing.load_data(**kwargs), theirs.load_data(**kwargs))


@pytest.mark.parametrize("name", ["boston_housing", "reuters"])
@pytest.mark.parametrize("test_split", [1, -1])
def test_a_split_that_leaves_nothing_is_refused(name, test_split):
    with pytest.raises(ArgumentError, match=f"below 1; got {test_split}"):
        getattr(datasets, name).load_data(test_split=test_split)


# California housing


@pytest.mark.parametrize(
    "kwargs", [{}, {"version": "small"}, {"test_split": 0.35}, {"test_split": 0}, {"seed": 4}], ids=str
)
def test_california_housing_like_keras(data_folder, monkeypatch, kwargs):
    theirs = pytest.importorskip("keras.src.datasets.california_housing")
    x, y = RNG.normal(size=(700, 8)).astype("float32"), RNG.random(700).astype("float32")
    np.savez(data_folder / "california_housing.npz", x=x, y=y)
    monkeypatch.setattr(theirs, "get_file", lambda *_, **__: str(data_folder / "california_housing.npz"))
    assert_same(datasets.california_housing.load_data(**kwargs), theirs.load_data(**kwargs))


def test_california_housing_from_a_table(shared_data, monkeypatch, capsys):
    monkeypatch.setenv("LAMELLA_DATA", str(shared_data))
    (x_train, y_train), (x_test, y_test) = datasets.california_housing.load_data()
    assert x_train.shape[1:] == x_test.shape[1:] == (8,)
    assert len(x_train) + len(x_test) == len(y_train) + len(y_test) == 20640 - 207
    assert np.isfinite(x_train).all() and x_train.dtype == y_train.dtype == np.float32
    assert ((x_train[:, 0] > -125) & (x_train[:, 0] < -114)).all()  # longitude
    assert (y_train.min(), y_train.max()) == (14999, 500001)
    assert "20,433 districts" in capsys.readouterr().out
    small = datasets.california_housing.load_data(version="small")
    assert len(small[0][0]) + len(small[1][0]) == 600


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"version": "huge"}, "'large' or 'small'; got 'huge'"),
        ({"test_split": 1}, "below 1; got 1"),
        ({"test_split": -1}, "got -1"),
    ],
)
def test_california_housing_refuses(kwargs, message):
    with pytest.raises(ArgumentError, match=message):
        datasets.california_housing.load_data(**kwargs)

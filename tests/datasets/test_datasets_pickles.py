"""Data sets that are pickles are read without running what a pickle may ask to run."""

import builtins
import io
import os
import pickle
import zipfile

import numpy as np
import pytest

from lamella.datasets import cifar10, imdb
from lamella.datasets.files import SafeUnpickler, read_npz
from lamella.errors import DataError


class Calls:
    """Pickled, it asks for a call on loading."""

    def __init__(self, function, *args):
        self.call = function, args

    def __reduce__(self):
        return self.call


def harmful(tmp_path):
    return {
        "os": Calls(os.mkdir, str(tmp_path / "made")),
        "eval": Calls(builtins.eval, f"__import__('os').mkdir({str(tmp_path / 'made')!r})"),
        "getattr": Calls(getattr, "text", "upper"),
        "class": pickle.PicklingError("an exception is no data"),
        "load": Calls(np.load, str(tmp_path / "other.npy")),
    }


KINDS = ("os", "eval", "getattr", "class", "load")


def object_npz(path, payload):
    """An `.npz` whose array of objects holds `payload`."""
    array = np.empty(2, object)
    array[0], array[1] = [1, 2], payload
    np.savez(path, x_train=array, y_train=np.zeros(2), x_test=array, y_test=np.zeros(2))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_harmful_pickles_are_refused(kind, protocol, tmp_path):
    data = pickle.dumps([1, harmful(tmp_path)[kind]], protocol=protocol)
    with pytest.raises(DataError, match=r"wants to load .* refused"):
        SafeUnpickler(io.BytesIO(data)).load()
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize(
    "data",
    [
        b"cnumpy\nndarray.__class__\n.",
        b"\x80\x04\x8c\x05numpy\x8c\x11ndarray.__class__\x93.",
        b"\x80\x04\x8c\x05numpy\x8c\x09f2py.main\x93.",
        b"cnumpy.core.multiarray\nfromfile\n.",
    ],
    ids=["dotted", "dotted, protocol 4", "numpy's own", "another reader"],
)
def test_names_near_the_allowed_ones_are_refused(data):
    with pytest.raises(DataError, match="refused"):
        SafeUnpickler(io.BytesIO(data)).load()


@pytest.mark.parametrize("kind", KINDS)
def test_a_harmful_imdb_is_refused(kind, tmp_path, monkeypatch):
    monkeypatch.setenv("LAMELLA_DATA", str(tmp_path))
    object_npz(tmp_path / "imdb.npz", harmful(tmp_path)[kind])
    with pytest.raises(DataError, match="refused"):
        imdb.load_data()
    assert not (tmp_path / "made").exists()


def test_a_harmful_cifar10_is_refused(tmp_path, monkeypatch):
    from test_datasets_load import BATCHES, write_cifar10

    monkeypatch.setenv("LAMELLA_DATA", str(tmp_path))
    content = pickle.dumps({b"data": harmful(tmp_path)["os"], b"labels": [1]}, protocol=2)
    write_cifar10(tmp_path / "cifar-10-python.tar.gz", dict.fromkeys(BATCHES, content))
    with pytest.raises(DataError, match="refused"):
        cifar10.load_data()
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize("protocol", [2, 4])
@pytest.mark.parametrize(
    "value",
    [
        np.arange(6).reshape(2, 3),
        np.array([0.5, 1.5], "float32"),
        np.array([b"ab", b"c"]),
        np.array([[1, 2], [3]], dtype=object),
        [1, "two", 3.0, None, True, b"bytes", (4, 5), {"six": np.int64(7)}],
    ],
    ids=["integers", "floats", "bytes", "objects", "plain"],
)
def test_arrays_and_plain_data_are_read(value, protocol):
    read = SafeUnpickler(io.BytesIO(pickle.dumps(value, protocol=protocol))).load()
    assert type(read) is type(value)
    assert getattr(read, "dtype", None) == getattr(value, "dtype", None)
    assert np.array_equal(read, value) if isinstance(value, np.ndarray) else read == value


def test_the_older_names_of_numpy_are_read():
    data = pickle.dumps(np.arange(4), protocol=2)
    for name in (b"numpy.core.multiarray", b"numpy._core.multiarray"):
        renamed = data.replace(b"numpy._core.multiarray", b"numpy.core.multiarray").replace(
            b"numpy.core.multiarray", name
        )
        assert SafeUnpickler(io.BytesIO(renamed)).load().tolist() == [0, 1, 2, 3]


def test_read_npz_gives_what_numpy_saved(tmp_path):
    ragged = np.empty((2, 2), object)
    ragged[:] = [[[1], [2, 3]], [[], [4]]]
    arrays = {"a": np.arange(6).reshape(2, 3), "b": np.asfortranarray(np.eye(3)), "c": ragged, "d": np.array(5)}
    np.savez(tmp_path / "some.npz", **arrays)
    found = read_npz(tmp_path / "some.npz")
    assert list(found) == list(arrays)
    for name, array in arrays.items():
        assert found[name].shape == array.shape and found[name].dtype == array.dtype
        assert found[name].tolist() == array.tolist()


@pytest.mark.parametrize("damage", ["cut", "no zip", "no array", "cut pickle"])
def test_damaged_archives_are_told_of(tmp_path, damage):
    path = tmp_path / "imdb.npz"
    object_npz(path, [3, 4, 5])
    whole = path.read_bytes()
    if damage == "cut":
        path.write_bytes(whole[: len(whole) // 2])
    elif damage == "no zip":
        path.write_bytes(b"hello")
    else:
        with zipfile.ZipFile(path) as archive:
            member = archive.read("x_train.npy")
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("x_train.npy", b"hello" if damage == "no array" else member[:-8])
    with pytest.raises(DataError, match=r"is damaged.*Replace it"):
        read_npz(path)

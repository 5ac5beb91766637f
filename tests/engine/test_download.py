"""The downloader against a server of our own: resumed, checked, unpacked, refused."""

import hashlib
import http.server
import io
import tarfile
import threading
import zipfile
from typing import ClassVar

import numpy as np
import pytest

from lamella import datasets
from lamella.errors import DataError, DownloadError
from lamella.utils import get_file

DATA = np.random.default_rng(0).bytes(300_000)
SHA = hashlib.sha256(DATA).hexdigest()


class Server(http.server.BaseHTTPRequestHandler):
    files: ClassVar[dict[str, bytes]] = {}
    cut: ClassVar[dict[str, int]] = {}
    asked: ClassVar[list[tuple[str, str | None]]] = []

    def do_GET(self):
        name, ranged = self.path.strip("/"), self.headers.get("Range")
        self.asked.append((name, ranged))
        data = self.files.get(name)
        if data is None:
            self.send_error(404)
            return
        start = int(ranged.removeprefix("bytes=").rstrip("-")) if ranged else 0
        body = data[start:]
        self.send_response(206 if ranged else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[: self.cut.pop(name, len(body))])

    def log_message(self, *arguments):
        pass


@pytest.fixture
def server(tmp_path, monkeypatch):
    monkeypatch.setenv("LAMELLA_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("LAMELLA_DATA", raising=False)
    Server.files, Server.cut, Server.asked = {"data.bin": DATA}, {}, []
    httpd = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Server)
    threading.Thread(target=httpd.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{httpd.server_address[1]}"
    httpd.shutdown()
    httpd.server_close()


def read(path):
    with open(path, "rb") as file:
        return file.read()


def test_downloads_once(server, tmp_path):
    for _ in range(2):
        path = get_file("data.bin", f"{server}/data.bin", file_hash=SHA)
        assert read(path) == DATA
        assert path == str(tmp_path / "home" / "datasets" / "data.bin")
    assert len(Server.asked) == 1


def test_goes_on_where_it_broke_off(server):
    Server.cut["data.bin"] = 100_000
    assert read(get_file("data.bin", f"{server}/data.bin", file_hash=SHA)) == DATA
    assert Server.asked == [("data.bin", None), ("data.bin", "bytes=100000-")]


def test_a_wrong_checksum_leaves_nothing(server, tmp_path):
    with pytest.raises(DownloadError, match="checksum is not the one expected"):
        get_file("data.bin", f"{server}/data.bin", file_hash="0" * 64)
    assert list((tmp_path / "home" / "datasets").iterdir()) == []


def test_a_damaged_cache_is_mended(server, tmp_path):
    path = get_file("data.bin", f"{server}/data.bin", file_hash=SHA)
    with open(path, "wb") as file:
        file.write(b"rubbish")
    assert read(get_file("data.bin", f"{server}/data.bin", file_hash=SHA)) == DATA


def test_what_is_not_there_is_said_with_what_to_do(server):
    with pytest.raises(DownloadError, match=r"(?s)404.*LAMELLA_DATA.*digits needs no download"):
        get_file("no.bin", f"{server}/no.bin")


def test_no_network_and_no_cache(monkeypatch, tmp_path):
    monkeypatch.setenv("LAMELLA_HOME", str(tmp_path))
    monkeypatch.delenv("LAMELLA_DATA", raising=False)
    monkeypatch.setattr(datasets.mnist, "STORE", "http://127.0.0.1:9/")
    with pytest.raises(DownloadError, match=r"(?s)mnist.npz.*by hand.*LAMELLA_DATA"):
        datasets.mnist.load_data()


def packed(kind, name):
    out = io.BytesIO()
    if kind == "zip":
        with zipfile.ZipFile(out, "w") as archive:
            archive.writestr(name, "x")
    else:
        with tarfile.open(fileobj=out, mode="w:gz") as archive:
            info = tarfile.TarInfo(name)
            info.size = 1
            archive.addfile(info, io.BytesIO(b"x"))
    return out.getvalue()


@pytest.mark.parametrize("kind", ["zip", "tar.gz"])
def test_archives_are_unpacked_and_cannot_escape(server, kind, tmp_path):
    from pathlib import Path

    Server.files |= {f"good.{kind}": packed(kind, "inner/a.txt"), f"bad.{kind}": packed(kind, "../../evil.txt")}
    folder = Path(get_file(f"good.{kind}", f"{server}/good.{kind}", extract=True))
    assert (folder / "inner" / "a.txt").read_text() == "x"
    with pytest.raises(DownloadError):
        get_file(f"bad.{kind}", f"{server}/bad.{kind}", extract=True)
    assert not list(tmp_path.rglob("evil.txt"))


def test_mnist_from_a_cached_npz(server, monkeypatch):
    out = io.BytesIO()
    x, y = np.arange(2 * 28 * 28, dtype=np.uint8).reshape(2, 28, 28), np.array([3, 4], np.uint8)
    np.savez(out, x_train=x, y_train=y, x_test=x[:1], y_test=y[:1])
    Server.files["mnist.npz"] = out.getvalue()
    monkeypatch.setattr(datasets.mnist, "STORE", f"{server}/")
    monkeypatch.setattr(datasets.mnist, "_SHA256", hashlib.sha256(out.getvalue()).hexdigest())
    (x_train, y_train), (x_test, _) = datasets.mnist.load_data()
    np.testing.assert_array_equal(x_train, x)
    np.testing.assert_array_equal(y_train, y)
    assert x_test.shape == (1, 28, 28)


def test_imdb_reads_ragged_arrays_and_runs_no_code(tmp_path, monkeypatch):
    class Evil:
        def __reduce__(self):
            return print, ("run",)

    reviews = np.empty(3, dtype=object)
    reviews[:] = [[1, 2, 3], [4, 50], [6, 7, 8, 9]]
    labels = np.array([0, 1, 1])
    folder = tmp_path / "imdb"
    folder.mkdir()
    np.savez(folder / "imdb.npz", x_train=reviews, y_train=labels, x_test=reviews, y_test=labels)
    monkeypatch.setenv("LAMELLA_DATA", str(tmp_path))
    (x_train, y_train), _ = datasets.imdb.load_data(num_words=20)
    assert sorted(map(tuple, x_train)) == [(1, 4, 5, 6), (1, 7, 2), (1, 9, 10, 11, 12)]
    assert sorted(y_train.tolist()) == [0, 1, 1]
    bad = np.empty(1, dtype=object)
    bad[0] = Evil()
    np.savez(folder / "imdb.npz", x_train=bad, y_train=labels, x_test=bad, y_test=labels)
    with pytest.raises(DataError, match=r"builtins\.print.*refused"):
        datasets.imdb.load_data()


def test_digits_need_nothing():
    (x_train, y_train), (x_test, y_test) = datasets.digits.load_data()
    assert (x_train.shape, x_test.shape) == ((1437, 8, 8), (360, 8, 8))
    assert x_train.dtype == np.uint8 and x_train.max() == 16
    assert np.bincount(y_test).min() >= 33
    assert set(np.unique(y_train)) == set(range(10))

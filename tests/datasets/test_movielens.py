"""MovieLens: its splits, where it is found, what is told when it is not right. The set itself may not be shipped."""

import functools
import http.server
import threading
import zipfile
from hashlib import md5

import numpy as np
import pytest

from lamella.datasets import movielens
from lamella.errors import ArgumentError, DataError, DownloadError

ALL = [(1, 10, 5, 881250949), (2, 11, 3, 891717742), (1, 11, 1, 878887116), (3, 12, 4, 880606923)]
TITLES = "10|Toy Story (1995)|01-Jan-1995||x|0\n11|Misérables, Les (1995)|01-Jan-1995||x|0\n12|Fargo (1996)|||x|1\n"


def lines(rows):
    return "".join("\t".join(map(str, row)) + "\n" for row in rows).encode()


def files():
    names = {"u.data": ALL, "u1.base": ALL[:3], "u1.test": ALL[3:], "ua.base": ALL[1:], "ua.test": ALL[:1]}
    return {name: lines(rows) for name, rows in names.items()} | {"u.item": TITLES.encode("latin-1")}


def write_zip(path, contents=None):
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in (contents or files()).items():
            archive.writestr(f"ml-100k/{name}", data)
    return path


def write_folder(path):
    path.mkdir(parents=True)
    for name, data in files().items():
        (path / name).write_bytes(data)
    return path


def check(found, rows):
    expected = np.array(rows).T
    for column, name in zip(expected, ("users", "items", "ratings", "timestamps"), strict=True):
        values = getattr(found, name)
        assert values.tolist() == column.tolist()
        assert values.dtype == np.int64
    assert found.titles == {10: "Toy Story (1995)", 11: "Misérables, Les (1995)", 12: "Fargo (1996)"}


@pytest.mark.parametrize("kind", ["zip", "folder", "folder with the folder in it"])
def test_from_a_path(tmp_path, kind):
    if kind == "zip":
        path = write_zip(tmp_path / "mine.zip")
    else:
        path = write_folder(tmp_path / "ml-100k")
        path = path if kind == "folder" else tmp_path
    check(movielens.load_data(path=path), ALL)
    train, test = movielens.load_data(fold=1, path=str(path))
    check(train, ALL[:3])
    check(test, ALL[3:])
    check(movielens.load_data(fold="a", path=path)[1], ALL[:1])


@pytest.mark.parametrize("where", ["movielens/ml-100k.zip", "ml-100k.zip", "movielens/ml-100k"])
def test_from_the_folder_of_data(tmp_path, monkeypatch, where):
    monkeypatch.setenv("LAMELLA_DATA", str(tmp_path))
    (write_zip if where.endswith("zip") else write_folder)(tmp_path / where)
    check(movielens.load_data(), ALL)


@pytest.fixture
def server(tmp_path, monkeypatch):
    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *args):
            pass

    archive = write_zip(tmp_path / "web" / "ml-100k.zip")
    handler = functools.partial(Quiet, directory=str(archive.parent))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as httpd:
        threading.Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        monkeypatch.setattr(movielens, "_ORIGIN", f"http://127.0.0.1:{httpd.server_address[1]}/ml-100k.zip")
        monkeypatch.setattr(movielens, "_MD5", md5(archive.read_bytes()).hexdigest())
        yield httpd
        httpd.shutdown()


def test_it_is_downloaded_once(server, cache):
    check(movielens.load_data(), ALL)
    assert (cache / "ml-100k.zip").exists()
    server.shutdown()
    check(movielens.load_data(fold=1)[0], ALL[:3])


def test_another_file_than_expected_is_refused(server, monkeypatch):
    monkeypatch.setattr(movielens, "_MD5", "0" * 32)
    with pytest.raises(DownloadError):
        movielens.load_data()


def test_the_checksum_is_that_of_grouplens():
    assert movielens._ORIGIN == "https://files.grouplens.org/datasets/movielens/ml-100k.zip"
    assert movielens._MD5 == "0e33842e24a9c977be4e0107933c0723"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"u.data": b"1\t2\t3\n"}, "u.data must have four columns.*it has 3"),
        ({"u.data": lines([*ALL, (1, 12, 6, 0)])}, "u.data, line 5: the rating is 6, not 1 to 5"),
        ({"u.data": b"1\tx\t3\t4\n"}, "is damaged .ValueError"),
        ({"u.item": None}, "is damaged"),
    ],
)
def test_damaged_files(tmp_path, change, message):
    contents = {name: data for name, data in (files() | change).items() if data is not None}
    path = write_zip(tmp_path / "ml-100k.zip", contents)
    with pytest.raises(DataError, match=message):
        movielens.load_data(path=path)
    assert path.exists()


def test_a_file_that_is_no_zip(tmp_path):
    path = tmp_path / "ml-100k.zip"
    path.write_bytes(b"hello")
    with pytest.raises(DataError, match=r"damaged .BadZipFile"):
        movielens.load_data(path=path)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"size": "25m"}, "'100k'; got '25m'"),
        ({"fold": 6}, "got 6"),
        ({"fold": "c"}, "got 'c'"),
        ({"path": "/nowhere/at/all"}, "no file or folder /nowhere/at/all"),
    ],
)
def test_arguments(arguments, message):
    with pytest.raises(ArgumentError, match=message):
        movielens.load_data(**arguments)

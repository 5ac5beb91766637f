"""Downloads against a server on this computer: resumed, checked, unpacked, cached."""

import hashlib
import io
import os
import subprocess
import sys
import tarfile
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest
from file_server import FileServer

from lamella.errors import ArgumentError, DownloadError
from lamella.utils import files, get_file

DATA = np.random.default_rng(0).bytes(300_000)
SHA256 = hashlib.sha256(DATA).hexdigest()
MD5 = hashlib.md5(DATA).hexdigest()


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with FileServer() as server:
        server.files["data.bin"] = DATA
        yield server
        server.go_on.set()
        server.shutdown()


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("LAMELLA_HOME", str(tmp_path / "home"))
    return tmp_path / "home" / "datasets"


@pytest.fixture
def no_waiting(monkeypatch):
    monkeypatch.setattr(files.time, "sleep", lambda seconds: None)


def fetch(server, name="data.bin", **kwargs):
    return Path(get_file(name, server.url(name), **kwargs))


# The cache


def test_a_file_is_downloaded_once(server, cache):
    assert fetch(server, file_hash=SHA256) == cache / "data.bin"
    assert fetch(server, file_hash=SHA256).read_bytes() == DATA
    assert server.requests == [("data.bin", 0)]
    assert sorted(path.name for path in cache.iterdir()) == ["data.bin"]


def test_the_name_is_that_in_the_address(server, cache):
    assert Path(get_file(origin=server.url("data.bin") + "?version=2")) == cache / "data.bin"


def test_a_forced_download(server):
    path = fetch(server)
    server.files["data.bin"] = b"newer"
    assert fetch(server).read_bytes() == DATA
    assert fetch(server, force_download=True).read_bytes() == b"newer"
    assert path.read_bytes() == b"newer"


@pytest.mark.parametrize("kwargs", [{"cache_subdir": "models"}, {"cache_dir": "other"}, {"cache_subdir": ""}])
def test_the_folder_can_be_chosen(server, tmp_path, kwargs):
    if "cache_dir" in kwargs:
        kwargs = {"cache_dir": tmp_path / kwargs["cache_dir"]}
    expected = Path(kwargs.get("cache_dir", tmp_path / "home")) / kwargs.get("cache_subdir", "datasets") / "data.bin"
    assert fetch(server, **kwargs) == expected
    assert expected.read_bytes() == DATA


def test_a_tilde_is_the_home_folder(server, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert fetch(server, cache_dir="~/here") == tmp_path / "here" / "datasets" / "data.bin"
    monkeypatch.delenv("LAMELLA_HOME")
    assert fetch(server) == tmp_path / ".lamella" / "datasets" / "data.bin"


def test_an_address_of_a_file(tmp_path):
    (tmp_path / "there.txt").write_bytes(b"abc")
    assert Path(get_file(origin=(tmp_path / "there.txt").as_uri())).read_bytes() == b"abc"


# Checksums


@pytest.mark.parametrize(
    "kwargs",
    [
        {"file_hash": SHA256},
        {"file_hash": SHA256.upper()},
        {"file_hash": MD5},
        {"md5_hash": MD5},
        {"file_hash": SHA256, "hash_algorithm": "sha256"},
        {"file_hash": MD5, "hash_algorithm": "md5"},
    ],
)
def test_a_right_checksum(server, kwargs):
    assert fetch(server, **kwargs).read_bytes() == DATA


@pytest.mark.parametrize("wrong", ["0" * 64, "0" * 32])
def test_a_wrong_checksum_deletes_the_file_and_says_so(server, cache, wrong):
    with pytest.raises(DownloadError, match=f"checksum is not the one expected.*{wrong}.*deleted"):
        fetch(server, file_hash=wrong)
    assert list(cache.iterdir()) == []


def test_a_cached_file_that_was_damaged_is_downloaded_again(server, cache, capsys):
    cache.mkdir(parents=True)
    (cache / "data.bin").write_bytes(DATA[:-1])
    assert fetch(server, file_hash=SHA256).read_bytes() == DATA
    assert "damaged or outdated" in capsys.readouterr().out


# Connections that break


@pytest.mark.parametrize(
    ("faults", "starts"),
    [
        (["cut"], [0, 150_000]),
        (["cut", "cut"], [0, 150_000, 225_000]),
        (["chunk cut"], [0, None]),
        (["mute"], [0, 0]),
        ([503], [0, 0]),
        (["cut", 500], [0, 150_000, 150_000]),
        (["cut", "no range"], [0, 150_000]),
    ],
    ids=str,
)
def test_a_broken_download_is_gone_on_with(server, no_waiting, faults, starts):
    server.faults["data.bin"] = list(faults)
    assert fetch(server, file_hash=SHA256).read_bytes() == DATA
    assert len(server.requests) == len(starts)
    for (_, found), expected in zip(server.requests, starts, strict=True):
        assert expected is None or found == expected


def test_a_server_that_always_breaks_off_is_given_up_and_the_part_is_kept(server, cache, no_waiting):
    server.faults["data.bin"] = ["cut"] * 4
    with pytest.raises(DownloadError, match="connection broke off after 281250 of 300000 bytes"):
        fetch(server, file_hash=SHA256)
    assert (cache / "data.bin.part").stat().st_size == 281_250
    assert not (cache / "data.bin").exists()
    assert fetch(server, file_hash=SHA256).read_bytes() == DATA
    assert server.requests[-1] == ("data.bin", 281_250)


def test_a_part_that_is_too_long_is_begun_again(server, cache, no_waiting):
    cache.mkdir(parents=True)
    (cache / "data.bin.part").write_bytes(DATA + b"more")
    assert fetch(server, file_hash=SHA256).read_bytes() == DATA
    assert [start for _, start in server.requests] == [len(DATA) + 4, 0]


def test_a_part_of_something_else_is_found_out(server, cache):
    cache.mkdir(parents=True)
    (cache / "data.bin.part").write_bytes(b"x" * 1000)
    with pytest.raises(DownloadError, match="checksum"):
        fetch(server, file_hash=SHA256)
    assert fetch(server, file_hash=SHA256).read_bytes() == DATA


def test_a_killed_download_is_resumed(server, cache):
    server.faults["data.bin"] = ["slow"]
    code = f"from lamella.utils import get_file; get_file('data.bin', {server.url('data.bin')!r}, file_hash='{SHA256}')"
    source = Path(files.__file__).parents[2]
    process = subprocess.Popen([sys.executable, "-c", code], env=os.environ | {"PYTHONPATH": str(source)})
    part = cache / "data.bin.part"
    try:
        deadline = time.monotonic() + 60
        while not server.requests:
            assert process.poll() is None and time.monotonic() < deadline
            time.sleep(0.02)
        time.sleep(0.1)  # it is waiting for the second half now
    finally:
        process.kill()
        process.wait()
    assert not (cache / "data.bin").exists()
    kept = part.stat().st_size
    assert kept > 100_000
    assert fetch(server, file_hash=SHA256).read_bytes() == DATA
    assert server.requests == [("data.bin", 0), ("data.bin", kept)]


def test_a_file_that_does_not_exist_is_asked_for_once(server, cache):
    with pytest.raises(DownloadError, match="404") as caught:
        get_file("nothing.bin", server.url("nothing.bin"))
    assert len(server.requests) == 1
    for part in (server.url("nothing.bin"), str(cache / "nothing.bin"), "LAMELLA_DATA"):
        assert part in str(caught.value)


def test_without_a_network_the_message_says_where_to_put_the_file(cache, monkeypatch, no_waiting):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    origin = "http://127.0.0.1:9/data.bin"  # nobody listens there
    with pytest.raises(DownloadError) as caught:
        get_file("data.bin", origin)
    for part in (origin, str(cache / "data.bin"), "LAMELLA_DATA", "lamella.datasets.digits"):
        assert part in str(caught.value)
    assert list(cache.iterdir()) == []


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"fname": "a"}, "needs the address"),
        ({"fname": "../a", "origin": "http://127.0.0.1:9/a"}, "plain file name; got '../a'"),
        ({"fname": "/a/b", "origin": "http://127.0.0.1:9/a"}, "plain file name"),
        ({"fname": "..", "origin": "http://127.0.0.1:9/a"}, "plain file name"),
        ({"origin": "http://127.0.0.1:9/"}, "plain file name; got ''"),
    ],
)
def test_arguments_that_make_no_sense(kwargs, message):
    with pytest.raises(ArgumentError, match=message):
        get_file(**kwargs)


# Archives


def tar_of(members, mode="w:gz"):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode) as archive:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            if isinstance(content, bytes):
                info.size = len(content)
                archive.addfile(info, io.BytesIO(content))
            else:
                info.type, info.linkname = tarfile.SYMTYPE, content
                archive.addfile(info)
    return buffer.getvalue()


def zip_of(members):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return buffer.getvalue()


MEMBERS = {"inner/a.txt": b"first", "b.txt": b"second"}


@pytest.mark.parametrize("make", [tar_of, lambda members: tar_of(members, "w"), zip_of], ids=["tgz", "tar", "zip"])
def test_an_archive_is_unpacked_once(server, make):
    server.files["pack.zip"] = make(MEMBERS)
    folder = fetch(server, "pack.zip", extract=True)
    assert {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*.txt")} == MEMBERS
    (folder / "b.txt").write_bytes(b"changed by the user")
    assert fetch(server, "pack.zip", extract=True) == folder
    assert (folder / "b.txt").read_bytes() == b"changed by the user"


def test_a_newer_archive_is_unpacked_over_the_old_one_and_other_files_stay(server):
    server.files["pack.zip"] = zip_of(MEMBERS)
    folder = fetch(server, "pack.zip", extract=True)
    (folder / "mine.txt").write_bytes(b"mine")
    server.files["pack.zip"] = newer = zip_of({"b.txt": b"newer"})
    assert fetch(server, "pack.zip", extract=True, file_hash=hashlib.sha256(newer).hexdigest()) == folder
    assert (folder / "b.txt").read_bytes() == b"newer"
    assert (folder / "mine.txt").read_bytes() == b"mine"
    fetch(server, "pack.zip", extract=True, force_download=True)
    assert not list(folder.parent.glob("*.part"))


@pytest.mark.parametrize(
    "make",
    [
        lambda: zip_of({"../outside.txt": b"no"}),
        lambda: zip_of({"/outside.txt": b"no"}),
        lambda: tar_of({"../outside.txt": b"no"}),
        lambda: tar_of({"link": "/etc/passwd"}),
        lambda: tar_of({"link": "../..", "link/outside.txt": b"no"}),
        lambda: b"no archive at all",
        lambda: tar_of({"a": DATA})[:5000],
    ],
    ids=["zip up", "zip root", "tar up", "tar link", "tar through a link", "none", "cut off"],
)
def test_archives_that_would_leave_their_folder_or_are_damaged_are_refused(server, cache, tmp_path, make):
    server.files["pack.zip"] = make()
    with pytest.raises(DownloadError, match=r"leave its folder|cannot be unpacked|is no tar or zip"):
        fetch(server, "pack.zip", extract=True)
    assert [path.name for path in cache.iterdir()] == ["pack.zip"]
    assert not list(tmp_path.rglob("outside.txt"))


@pytest.mark.parametrize("fname", [None, "pack.tar.gz", "pack", "other.bin"])
@pytest.mark.parametrize("flag", ["extract", "untar", None])
def test_paths_are_those_of_keras(server, tmp_path, fname, flag):
    keras = pytest.importorskip("keras")
    server.files["pack.tar.gz"] = tar_of(MEMBERS)
    paths = []
    for name, function in (("keras", keras.utils.get_file), ("lamella", get_file)):
        (tmp_path / name).mkdir()
        kwargs = {flag: True} if flag else {}
        path = Path(function(fname, server.url("pack.tar.gz"), cache_dir=str(tmp_path / name), **kwargs))
        paths.append((path.relative_to(tmp_path / name), path.is_dir()))
    assert paths[0] == paths[1]
    assert paths[0][1] == bool(flag)
    for extracted in sorted(tmp_path.glob("keras/**/*")):
        assert (tmp_path / "lamella" / extracted.relative_to(tmp_path / "keras")).exists()

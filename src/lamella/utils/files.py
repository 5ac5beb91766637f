"""Downloads: checked, resumed where they broke off, cached."""

from __future__ import annotations

import hashlib
import http.client
import os
import shutil
import tarfile
import time
import urllib.error
import urllib.request
import zipfile
import zlib
from pathlib import Path
from urllib.parse import urlsplit

from tqdm.auto import tqdm

from lamella.errors import ArgumentError, DownloadError

_ATTEMPTS = 4
_CHUNK = 1 << 20


def home() -> Path:
    """Where files are kept: the folder in `LAMELLA_HOME`, or `~/.lamella`."""
    return Path(os.environ.get("LAMELLA_HOME") or Path.home() / ".lamella")


def get_file(
    fname: str | None = None,
    origin: str | None = None,
    untar: bool = False,
    md5_hash: str | None = None,
    file_hash: str | None = None,
    cache_subdir: str = "datasets",
    hash_algorithm: str = "auto",
    extract: bool = False,
    archive_format: str = "auto",
    cache_dir: str | Path | None = None,
    force_download: bool = False,
) -> str:
    """The path of a file from the web, downloaded unless the cache has it.

    Args:
        fname: Its name in the cache; that in the address by default.
        origin: Its address.
        untar: The older name of `extract`.
        md5_hash: The older form of `file_hash`.
        file_hash: Its SHA-256 (or MD5) in hexadecimal; a file with another is refused.
        cache_subdir: The folder in the cache.
        hash_algorithm: `"sha256"`, `"md5"`, or `"auto"`, by the length of the hash.
        extract: Whether to unpack it; then the path of the folder is returned. `data.zip` goes to the folder
            `data_extracted`; of an `fname` without a dot, or no `fname`, that is the folder's name, as in Keras.
        archive_format: Kept for Keras's signature; found from the file.
        cache_dir: The cache; `LAMELLA_HOME` or `~/.lamella` by default.
        force_download: Whether to download even if the cache has it.

    Raises:
        ArgumentError: No address, or an `fname` that is no plain file name.
        DownloadError: No network, no such file, or another hash than expected.
    """
    if origin is None:
        raise ArgumentError("get_file needs the address of the file: origin='https://...'.")
    name = str(fname or Path(urlsplit(origin).path).name)
    if name in ("", "..") or name != Path(name).name:
        raise ArgumentError(f"`fname` must be a plain file name; got {name!r}. The folder is cache_dir/cache_subdir.")
    folder = Path(cache_dir or home()).expanduser() / cache_subdir
    unpack = extract or untar
    whole_folder = unpack and (not fname or "." not in name)
    path = folder / (name + "_archive" if whole_folder else name)
    fresh = _ensure(path, origin, file_hash or md5_hash, hash_algorithm, force_download)
    if not unpack:
        return str(path)
    target = folder / (name if whole_folder else name.split(".")[0] + "_extracted")
    if fresh or not target.exists():
        _extract(path, target)
    return str(target)


def _ensure(path: Path, origin: str, wanted: str | None, algorithm: str, force: bool) -> bool:
    """Sees to it that the file is there and right; whether it had to be downloaded."""
    if path.exists() and not force:
        if not wanted or _has_hash(path, wanted, algorithm):
            return False
        print(f"{path} is damaged or outdated (its checksum is not {wanted}): downloading it again.")
    path.parent.mkdir(parents=True, exist_ok=True)
    download(origin, path, wanted, algorithm)
    return True


def download(origin: str, path: Path, wanted: str | None = None, algorithm: str = "auto") -> None:
    """Downloads to `path`: into a `.part` file that a later attempt goes on from, renamed when whole and right."""
    part = path.with_name(path.name + ".part")
    error: Exception | None = None
    for attempt in range(_ATTEMPTS):
        try:
            _fetch(origin, part)
            error = None
            break
        except urllib.error.HTTPError as refused:
            refused.close()
            if refused.code < 500 and refused.code != 416:
                part.unlink(missing_ok=True)
                raise DownloadError(
                    _no_file(origin, path, f"the server answered {refused.code} {refused.reason}")
                ) from refused
            if refused.code == 416:
                part.unlink(missing_ok=True)
            error = refused
        except (OSError, http.client.HTTPException) as broken:  # a URLError is an OSError
            error = broken
            if isinstance(getattr(broken, "reason", None), OSError) and attempt and not part.exists():
                break  # no network at all: more attempts only make the user wait
        time.sleep(0.1 * 2**attempt)
    if error is not None:
        raise DownloadError(_no_file(origin, path, str(error))) from error
    if wanted and not _has_hash(part, wanted, algorithm):
        part.unlink(missing_ok=True)
        raise DownloadError(
            f"{origin} was downloaded, but its checksum is not the one expected ({wanted}): the file is damaged or was "
            f"changed. It was deleted; try again."
        )
    os.replace(part, path)


def _fetch(origin: str, part: Path) -> None:
    have = part.stat().st_size if part.exists() else 0
    request = urllib.request.Request(origin, headers={"Range": f"bytes={have}-"} if have else {})
    with urllib.request.urlopen(request, timeout=30) as answer:
        resumed = have > 0 and answer.status == 206
        length = answer.headers.get("Content-Length")
        total = int(length) + (have if resumed else 0) if length else None
        with (
            part.open("ab" if resumed else "wb") as file,
            tqdm(
                total=total,
                initial=have if resumed else 0,
                unit="B",
                unit_scale=True,
                desc=part.stem,
                disable=None,
            ) as bar,
        ):
            while chunk := answer.read1(_CHUNK):  # what has come: a kill loses nothing that arrived
                file.write(chunk)
                bar.update(len(chunk))
    if total is not None and part.stat().st_size < total:
        raise OSError(f"the connection broke off after {part.stat().st_size} of {total} bytes")


def _no_file(origin: str, path: Path, why: str) -> str:
    return (
        f"Cannot download {origin}: {why}. Without a network, put the file at {path} by hand, or set LAMELLA_DATA to a "
        f"folder that has it. lamella.datasets.digits needs no download."
    )


def _has_hash(path: Path, wanted: str, algorithm: str) -> bool:
    if algorithm == "auto":
        algorithm = "md5" if len(wanted) == 32 else "sha256"
    digest = hashlib.new(algorithm, usedforsecurity=False)
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest() == wanted.lower()


def _extract(path: Path, target: Path) -> None:
    aside = target.with_name(target.name + ".part")
    shutil.rmtree(aside, ignore_errors=True)
    try:
        if tarfile.is_tarfile(path):
            with tarfile.open(path) as archive:
                archive.extractall(aside, filter="data")  # refuses paths that leave the folder
        elif zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                _check_members(archive, aside)
                archive.extractall(aside)
        else:
            raise DownloadError(f"{path} is no tar or zip archive.")
    except (tarfile.TarError, zipfile.BadZipFile, OSError, EOFError, zlib.error) as error:
        shutil.rmtree(aside, ignore_errors=True)
        raise DownloadError(f"{path} cannot be unpacked: {error}. Delete it and try again.") from error
    if target.exists():  # what else lies in the folder stays
        shutil.copytree(aside, target, symlinks=True, dirs_exist_ok=True)
        shutil.rmtree(aside)
    else:
        os.replace(aside, target)


def _check_members(archive: zipfile.ZipFile, folder: Path) -> None:
    root = folder.resolve()
    for member in archive.namelist():
        if not (root / member).resolve().is_relative_to(root):
            raise DownloadError(f"The archive has a member that would leave its folder: {member!r}.")

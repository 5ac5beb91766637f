"""What a model in a file is made of, whether it is packed (a `.keras` file) or lies in a folder."""

from __future__ import annotations

import io
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from lamella.errors import FileError
from lamella.saving.reading import LARGE

CONFIG, METADATA, WEIGHTS, ASSETS = "config.json", "metadata.json", "model.weights.h5", "assets"
_MOST_EXPANSION = 100


class Zip:
    """The parts of a `.keras` file."""

    def __init__(self, file: Path | IO[bytes]) -> None:
        self._archive = zipfile.ZipFile(file)

    def __enter__(self) -> Zip:
        return self

    def __exit__(self, *exception: Any) -> None:
        self._archive.close()

    def member(self, name: str) -> bytes:
        """One file of the archive, unless it unpacks to far more than it is."""
        try:
            info = self._archive.getinfo(name)
        except KeyError:
            raise FileError(f"The file has no {name}: it is damaged, or no model file.") from None
        if info.file_size > LARGE and info.file_size > _MOST_EXPANSION * info.compress_size:
            raise FileError(f"{name} would unpack to {info.file_size:,} bytes from {info.compress_size:,}: refused.")
        return self._archive.read(name)

    def weights(self) -> tuple[Any, int]:
        """What HDF5 opens, and its size in bytes."""
        found = self.member(WEIGHTS)
        return io.BytesIO(found), len(found)

    @contextmanager
    def assets(self) -> Iterator[Path | None]:
        """The folder of what layers keep in files of their own; None for no such files."""
        start = f"{ASSETS}/"
        names = [name for name in self._archive.namelist() if name.startswith(start) and not name.endswith("/")]
        if not names:
            yield None
            return
        with tempfile.TemporaryDirectory() as folder:
            root = Path(folder).resolve()
            for name in names:
                target = (root / name.removeprefix(start)).resolve()
                if not target.is_relative_to(root):
                    raise FileError(f"The file would write to {name!r}, outside its own folder: refused.")
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(self.member(name))
            yield root


class Folder:
    """The parts of a model in a folder."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> Folder:
        return self

    def __exit__(self, *exception: Any) -> None:
        pass

    def member(self, name: str) -> bytes:
        """One file of the folder."""
        return self._existing(name).read_bytes()

    def weights(self) -> tuple[Any, int]:
        """What HDF5 opens, and its size in bytes."""
        path = self._existing(WEIGHTS)
        return path, path.stat().st_size

    @contextmanager
    def assets(self) -> Iterator[Path | None]:
        """The folder of what layers keep in files of their own; None for no such folder."""
        path = self._path / ASSETS
        yield path if path.is_dir() else None

    def _existing(self, name: str) -> Path:
        path = self._path / name
        if not path.is_file():
            raise FileError(f"The folder {self._path} has no {name}: it is damaged, or no model.")
        return path


Container = Zip | Folder

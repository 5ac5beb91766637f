"""Where the small real data sets for tests lie, and a cache that is empty at first."""

import os
from pathlib import Path

import pytest


@pytest.fixture
def shared_data():
    """The folder `../shared/data` beside the repository, or that in LAMELLA_TEST_DATA."""
    beside = Path(__file__).resolve().parents[2].parent / "shared" / "data"
    folder = Path(os.environ.get("LAMELLA_TEST_DATA") or beside)
    if not folder.is_dir():
        pytest.skip(f"the data sets for tests are not at {folder} (set LAMELLA_TEST_DATA to where they are)")
    return folder


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("LAMELLA_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("LAMELLA_DATA", raising=False)
    return tmp_path / "home" / "datasets"


@pytest.fixture
def data_folder(tmp_path, monkeypatch):
    folder = tmp_path / "data"
    folder.mkdir()
    monkeypatch.setenv("LAMELLA_DATA", str(folder))
    return folder

"""The examples of the gallery as modules, and the pictures that they draw."""

import importlib.util
from pathlib import Path

import pytest

GALLERY = Path(__file__).parents[2] / "examples" / "gallery"


def load(name):
    spec = importlib.util.spec_from_file_location(f"gallery_{name}", GALLERY / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def drawn(module, found, folder):
    """The bytes of the picture."""
    pytest.importorskip("matplotlib")
    module.draw(*found, folder / "picture.png")
    return (folder / "picture.png").stat().st_size


def told_and_drawn(module, found, arguments, monkeypatch, capsys, folder):
    """What the example says where it computed this, and the bytes of its picture."""
    pytest.importorskip("matplotlib")
    monkeypatch.setattr(module, "compute", lambda *given: found)
    module.main([*arguments, "--out", str(folder / "picture.png")])
    return capsys.readouterr().out, (folder / "picture.png").stat().st_size

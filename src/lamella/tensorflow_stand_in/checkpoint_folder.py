"""Which checkpoints a folder has: a small text file named `checkpoint`, as TensorFlow writes it."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

SUFFIX = ".safetensors"


def file_of(path: Any) -> Path:
    """The file of a checkpoint that is called by its path without the ending."""
    text = str(path)
    return Path(text if text.endswith(SUFFIX) else text + SUFFIX)


def record_latest(folder: Path, names: list[str]) -> None:
    """Notes these checkpoints of a folder, the latest last."""
    lines = [f"model_checkpoint_path: {json.dumps(names[-1])}"]
    lines += [f"all_model_checkpoint_paths: {json.dumps(name)}" for name in names]
    (folder / "checkpoint").write_text("\n".join(lines) + "\n", encoding="utf-8")


def recorded(folder: Path) -> list[str]:
    """The names of a folder's checkpoints that were noted and are there, the latest last."""
    try:
        text = (folder / "checkpoint").read_text(encoding="utf-8")
    except FileNotFoundError:
        return []
    names = re.findall(r'^all_model_checkpoint_paths: "(.*)"$', text, re.MULTILINE)
    return [name for name in names if file_of(folder / name).is_file()]


def latest_checkpoint(checkpoint_dir: Any, latest_filename: str | None = None) -> str | None:
    """The path of the checkpoint that was saved last in a folder; None if there is none.

    Example:
        >>> print(latest_checkpoint("no such folder"))
        None
    """
    names = recorded(Path(checkpoint_dir))
    return str(Path(checkpoint_dir) / names[-1]) if names else None

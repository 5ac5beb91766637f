"""`lamella report RUN...`: one HTML file that shows and explains trainings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lamella.report import read, write
from lamella.report.run_file import NAME


@dataclass
class Use:
    """What `lamella report` was asked for."""

    runs: Sequence[str]
    output: str = "report.html"
    language: str | None = None


def report(options: Use) -> None:
    """Reads the run folders, and writes the file."""
    folders = [folder for run in options.runs for folder in run_folders(Path(run))]
    write(options.output, [read(folder) for folder in folders], options.language)
    print(f"Written to {options.output}: {', '.join(folder.name for folder in folders)}")


def run_folders(folder: Path) -> list[Path]:
    """The folder, or those in it that trainings wrote to, such as all in `runs`."""
    inside = [] if (folder / NAME).exists() else sorted(path.parent for path in folder.glob(f"*/{NAME}"))
    return inside or [folder]

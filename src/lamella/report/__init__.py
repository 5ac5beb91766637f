"""What a training looked like: one HTML file that explains it, or a page that follows it live."""

from lamella.report.record import Record
from lamella.report.recorder import Recorder
from lamella.report.run_file import read
from lamella.report.writing import write

__all__ = ["Record", "Recorder", "read", "write"]

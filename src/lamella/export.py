"""Exporting several functions of models to one folder, under Keras's module name; one model: `model.export`."""

from lamella.saving.export_archive import ExportArchive

__all__ = ["ExportArchive"]

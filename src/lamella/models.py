"""Models, under Keras's module name."""

from lamella.training.model import Model
from lamella.training.sequential import Sequential

__all__ = ["Model", "Sequential"]

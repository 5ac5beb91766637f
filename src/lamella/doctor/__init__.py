"""What is wrong with a training, told in words: `fit(callbacks=[Doctor()])`."""

from lamella.doctor.doctor import Doctor
from lamella.doctor.finding import KINDS, Finding
from lamella.doctor.reading import LayerReading, Reading

__all__ = ["KINDS", "Doctor", "Finding", "LayerReading", "Reading"]

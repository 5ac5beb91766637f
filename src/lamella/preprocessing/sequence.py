"""`keras.preprocessing.sequence`."""

from lamella.utils.arrays import pad_sequences

__all__ = ["pad_sequences"]

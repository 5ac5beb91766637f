"""`keras.preprocessing.sequence`."""

from lamella.preprocessing.skipgrams import make_sampling_table, skipgrams
from lamella.preprocessing.timeseries_generator import TimeseriesGenerator
from lamella.utils.arrays import pad_sequences

__all__ = ["TimeseriesGenerator", "make_sampling_table", "pad_sequences", "skipgrams"]

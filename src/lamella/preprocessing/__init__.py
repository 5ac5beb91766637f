"""`keras.preprocessing`: readers of data, under the older module name."""

from lamella.preprocessing import image, sequence, text
from lamella.utils.image_dataset import image_dataset_from_directory
from lamella.utils.text_dataset import text_dataset_from_directory
from lamella.utils.timeseries import timeseries_dataset_from_array

__all__ = [
    "image",
    "image_dataset_from_directory",
    "sequence",
    "text",
    "text_dataset_from_directory",
    "timeseries_dataset_from_array",
]

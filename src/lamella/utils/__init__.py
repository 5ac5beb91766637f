"""Small tools around training, under Keras's names."""

from lamella.data.adapters import pack_x_y_sample_weight, unpack_x_y_sample_weight
from lamella.data.py_dataset import PyDataset, Sequence
from lamella.engine.naming import clear_session
from lamella.engine.random import set_random_seed
from lamella.engine.registry import (
    get_custom_objects,
    get_registered_name,
    get_registered_object,
    register_keras_serializable,
)
from lamella.utils.arrays import normalize, pad_sequences, to_categorical
from lamella.utils.files import get_file

__all__ = [
    "PyDataset",
    "Sequence",
    "clear_session",
    "get_custom_objects",
    "get_file",
    "get_registered_name",
    "get_registered_object",
    "normalize",
    "pack_x_y_sample_weight",
    "pad_sequences",
    "register_keras_serializable",
    "set_random_seed",
    "to_categorical",
    "unpack_x_y_sample_weight",
]

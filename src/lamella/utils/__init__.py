"""Small tools around training, under Keras's names."""

from lamella.backend.session import clear_session
from lamella.data.batch import pack_x_y_sample_weight, unpack_x_y_sample_weight
from lamella.data.py_dataset import PyDataset, Sequence
from lamella.engine.custom_objects import CustomObjectScope, custom_object_scope
from lamella.engine.random import set_random_seed
from lamella.engine.registry import (
    deserialize_keras_object,
    get_custom_objects,
    get_registered_name,
    get_registered_object,
    register_keras_serializable,
)
from lamella.engine.registry import serialize as serialize_keras_object
from lamella.layers.feature_space import FeatureSpace
from lamella.utils import bounding_boxes, legacy
from lamella.utils.arrays import normalize, pad_sequences, to_categorical
from lamella.utils.audio_dataset import audio_dataset_from_directory
from lamella.utils.config import Config
from lamella.utils.files import get_file
from lamella.utils.image import array_to_img, img_to_array, load_img, save_img
from lamella.utils.image_dataset import image_dataset_from_directory
from lamella.utils.logging import (
    disable_interactive_logging,
    enable_interactive_logging,
    is_interactive_logging_enabled,
)
from lamella.utils.plot_model import model_to_dot, plot_model
from lamella.utils.progbar import Progbar
from lamella.utils.records_dataset import records_dataset_from_files, write_records
from lamella.utils.split_dataset import split_dataset
from lamella.utils.symbolic import get_source_inputs, is_keras_tensor, standardize_dtype
from lamella.utils.table_dataset import table_dataset_from_files
from lamella.utils.text_dataset import text_dataset_from_directory
from lamella.utils.timeseries import timeseries_dataset_from_array

__all__ = [
    "Config",
    "CustomObjectScope",
    "FeatureSpace",
    "Progbar",
    "PyDataset",
    "Sequence",
    "array_to_img",
    "audio_dataset_from_directory",
    "bounding_boxes",
    "clear_session",
    "custom_object_scope",
    "deserialize_keras_object",
    "disable_interactive_logging",
    "enable_interactive_logging",
    "get_custom_objects",
    "get_file",
    "get_registered_name",
    "get_registered_object",
    "get_source_inputs",
    "image_dataset_from_directory",
    "img_to_array",
    "is_interactive_logging_enabled",
    "is_keras_tensor",
    "legacy",
    "load_img",
    "model_to_dot",
    "normalize",
    "pack_x_y_sample_weight",
    "pad_sequences",
    "plot_model",
    "records_dataset_from_files",
    "register_keras_serializable",
    "save_img",
    "serialize_keras_object",
    "set_random_seed",
    "split_dataset",
    "standardize_dtype",
    "table_dataset_from_files",
    "text_dataset_from_directory",
    "timeseries_dataset_from_array",
    "to_categorical",
    "unpack_x_y_sample_weight",
    "write_records",
]

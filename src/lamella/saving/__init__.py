"""Models and weights in files."""

from lamella.engine.custom_objects import CustomObjectScope, custom_object_scope
from lamella.engine.registry import (
    deserialize_keras_object,
    get_custom_objects,
    get_registered_name,
    get_registered_object,
    register_keras_serializable,
)
from lamella.engine.registry import serialize as serialize_keras_object
from lamella.saving.export import export
from lamella.saving.file_editor import KerasFileEditor
from lamella.saving.files import load_weights, save_weights
from lamella.saving.keras_file import load_model, save_model

__all__ = [
    "CustomObjectScope",
    "KerasFileEditor",
    "custom_object_scope",
    "deserialize_keras_object",
    "export",
    "get_custom_objects",
    "get_registered_name",
    "get_registered_object",
    "load_model",
    "load_weights",
    "register_keras_serializable",
    "save_model",
    "save_weights",
    "serialize_keras_object",
]

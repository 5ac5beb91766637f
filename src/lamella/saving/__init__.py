"""Models and weights in files."""

from lamella.engine.registry import deserialize as deserialize_keras_object
from lamella.engine.registry import (
    get_custom_objects,
    get_registered_name,
    get_registered_object,
    register_keras_serializable,
)
from lamella.engine.registry import serialize as serialize_keras_object

__all__ = [
    "deserialize_keras_object",
    "get_custom_objects",
    "get_registered_name",
    "get_registered_object",
    "register_keras_serializable",
    "serialize_keras_object",
]

"""`keras.utils.legacy`: configs of objects, under the older module name."""

from lamella.engine.registry import deserialize as deserialize_keras_object
from lamella.engine.registry import serialize as serialize_keras_object

__all__ = ["deserialize_keras_object", "serialize_keras_object"]

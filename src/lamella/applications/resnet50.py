"""ResNet50 under the module name of Keras 2."""

from lamella.applications.resnet import ResNet50, decode_predictions, preprocess_input

__all__ = ["ResNet50", "decode_predictions", "preprocess_input"]

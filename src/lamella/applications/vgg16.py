"""VGG16: sixteen layers of 3 x 3 convolutions and dense units (Simonyan and Zisserman, 2014)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lamella import layers
from lamella.applications import imagenet_utils, pretrained
from lamella.applications.imagenet_utils import decode_predictions
from lamella.models import Model

__all__ = ["VGG16", "decode_predictions", "preprocess_input"]

_ORIGIN = "https://storage.googleapis.com/tensorflow/keras-applications/"
_HASHES = {  # with the classifier, without
    "vgg16": ("64373286793e3c8b2b4e3219cbf3544b", "6d6bbae143d832006294945121d1f1fc"),
    "vgg19": ("cbe5617147190e668d6c5d5026f83318", "253f8cb515780f3b799900260a226db6"),
}


def VGG16(
    include_top: bool = True,
    weights: Any = "imagenet",
    input_tensor: Any = None,
    input_shape: tuple[int | None, ...] | None = None,
    pooling: str | None = None,
    classes: int = 1000,
    classifier_activation: Any = "softmax",
    name: str | None = "vgg16",
) -> Model:
    """The 16-layer network of VGG, 138 million weights (Simonyan and Zisserman, 2014, arXiv 1409.1556).

    Args:
        include_top: Whether the three dense layers of the classifier are part of it.
        weights: `"imagenet"` (downloaded once), None (random), or the path of a file of weights.
        input_tensor: A symbolic batch of images to begin with, in place of a new one.
        input_shape: (height, width, channels) of an image, at least 32 x 32: (224, 224, 3) by default, and with
            ImageNet's classifier; without a classifier any size.
        pooling: Without the classifier: None for the last feature map, (batch, height / 32, width / 32, 512); `"avg"`
            or `"max"` over it for (batch, 512).
        classes: How many classes the classifier tells apart; 1000 with ImageNet's.
        classifier_activation: The last activation; None for logits.
        name: The model's name.

    Raises:
        ArgumentError: Arguments that do not go together, or weights that are no file.
        ShapeError: An `input_shape` that it cannot take.
        DownloadError: The weights are neither on this machine nor reachable.

    Images go through `preprocess_input` first.

    Example:
        >>> model = VGG16(include_top=False, weights=None, input_shape=(64, 64, 3), pooling="avg")
        >>> model.output_shape, model.count_params()
        ((None, 512), 14714688)
    """
    arguments = include_top, weights, input_tensor, input_shape, pooling, classes, classifier_activation, name
    return vgg("vgg16", (2, 2, 3, 3, 3), *arguments)


def vgg(
    network: str,
    depths: Sequence[int],
    include_top: bool,
    weights: Any,
    input_tensor: Any,
    input_shape: tuple[int | None, ...] | None,
    pooling: str | None,
    classes: int,
    classifier_activation: Any,
    name: str | None,
) -> Model:
    """The VGG of which block `b` has `depths[b]` convolutions; the other arguments are those of `VGG16`."""
    pretrained.check_arguments(include_top, weights, pooling, classes)
    x = image = pretrained.image_input(input_tensor, input_shape, 224, 32, include_top, weights)
    for block, (depth, filters) in enumerate(zip(depths, (64, 128, 256, 512, 512), strict=True), start=1):
        for i in range(1, depth + 1):
            x = layers.Conv2D(filters, 3, padding="same", activation="relu", name=f"block{block}_conv{i}")(x)
        x = layers.MaxPooling2D(2, strides=2, name=f"block{block}_pool")(x)
    if include_top:
        imagenet_utils.validate_activation(classifier_activation, weights)
        x = layers.Flatten(name="flatten")(x)
        x = layers.Dense(4096, activation="relu", name="fc1")(x)
        x = layers.Dense(4096, activation="relu", name="fc2")(x)
        x = layers.Dense(classes, activation=classifier_activation, name="predictions")(x)
    else:
        x = pretrained.pooled(x, pooling)
    model = pretrained.functional(input_tensor, image, x, name)
    file_name = f"{network}_weights_tf_dim_ordering_tf_kernels{'' if include_top else '_notop'}.h5"
    file_hash = _HASHES[network][0 if include_top else 1]
    return pretrained.load_weights(model, weights, file_name, file_hash, f"{_ORIGIN}{network}/{file_name}")


def preprocess_input(x: Any, data_format: str | None = None) -> Any:
    """RGB pixels of 0..255 as VGG was trained on: blue, green, red, each minus its mean. See `imagenet_utils`."""
    return imagenet_utils.preprocess_input(x, data_format, mode="caffe")

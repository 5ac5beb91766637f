"""NASNet: a network of cells that a search found on small images (Zoph et al., 2018).

Example:
    >>> from lamella.applications.nasnet import preprocess_input
    >>> import numpy as np
    >>> preprocess_input(np.array([[[0.0, 127.5, 255.0]]])).tolist()
    [[[-1.0, 0.0, 1.0]]]
"""

from __future__ import annotations

from typing import Any, NamedTuple

from lamella import layers
from lamella.applications import imagenet_utils
from lamella.applications.blocks import correct_pad
from lamella.applications.imagenet_utils import decode_predictions
from lamella.applications.pretrained import check_arguments, functional, image_input, load_weights, pooled
from lamella.errors import ShapeError
from lamella.models import Model

__all__ = ["NASNetLarge", "NASNetMobile", "decode_predictions", "preprocess_input"]

_WEIGHTS = "https://storage.googleapis.com/tensorflow/keras-applications/nasnet/"
_HASHES = {  # with the classifier, without
    "mobile": ("020fb642bf7360b370c678b08e0adf61", "1ed92395b5b598bdda52abe5c0dbfd63"),
    "large": ("11577c9a518f0070763c2b964a382f17", "d81d89dc07e6e56530c4e77faddd61b5"),
}


class _Plan(NamedTuple):
    size: int  # the height and width of the images that the weights were trained on
    stem_filters: int
    filters: int  # of the first stage; those after have twice as many each
    cells: int  # that keep the size, in each of the three stages
    skip_reduction: bool  # whether the cell after a reduction sees what came before the reduction's input


_MOBILE = _Plan(224, 32, 44, 4, False)
_LARGE = _Plan(331, 96, 168, 6, True)


def NASNetMobile(
    input_shape: tuple[int | None, ...] | None = None,
    include_top: bool = True,
    weights: Any = "imagenet",
    input_tensor: Any = None,
    pooling: str | None = None,
    classes: int = 1000,
    classifier_activation: Any = "softmax",
    name: str = "nasnet_mobile",
) -> Model:
    """NASNet-A (4 @ 1056), of "Learning transferable architectures for scalable image recognition" (Zoph et al., 2018).

    Pixels go through `preprocess_input` (-1..1). Images are at least 32 x 32, of a known size.

    Args:
        input_shape: The shape of an image; by default (224, 224, 3).
        include_top: Whether the network ends with its classifier.
        weights: `"imagenet"` (downloaded once), the path of a file with weights, or None for random ones.
        input_tensor: A symbolic batch of images to begin with, in place of a new input.
        pooling: Without the classifier: `"avg"` or `"max"` over the image, or None for the map of features.
        classes: The number of classes; 1000 with ImageNet's classifier.
        classifier_activation: The activation of the last layer; None gives logits.
        name: The name of the model.

    Shapes: (batch, height, width, 3) -> (batch, classes), or features without the classifier.

    Raises:
        ArgumentError: Arguments that contradict each other, or unknown weights.
        ShapeError: Images that the network, or its weights, cannot take.
    """
    arguments = input_shape, include_top, weights, input_tensor, pooling, classes, classifier_activation, name
    return _nasnet("mobile", _MOBILE, *arguments)


def NASNetLarge(
    input_shape: tuple[int | None, ...] | None = None,
    include_top: bool = True,
    weights: Any = "imagenet",
    input_tensor: Any = None,
    pooling: str | None = None,
    classes: int = 1000,
    classifier_activation: Any = "softmax",
    name: str = "nasnet_large",
) -> Model:
    """NASNet-A (6 @ 4032), of "Learning transferable architectures for scalable image recognition" (Zoph et al., 2018).

    Pixels go through `preprocess_input` (-1..1). Images are at least 32 x 32, of a known size.

    Args:
        input_shape: The shape of an image; by default (331, 331, 3).
        include_top: Whether the network ends with its classifier.
        weights: `"imagenet"` (downloaded once), the path of a file with weights, or None for random ones.
        input_tensor: A symbolic batch of images to begin with, in place of a new input.
        pooling: Without the classifier: `"avg"` or `"max"` over the image, or None for the map of features.
        classes: The number of classes; 1000 with ImageNet's classifier.
        classifier_activation: The activation of the last layer; None gives logits.
        name: The name of the model.

    Shapes: (batch, height, width, 3) -> (batch, classes), or features without the classifier.

    Raises:
        ArgumentError: Arguments that contradict each other, or unknown weights.
        ShapeError: Images that the network, or its weights, cannot take.
    """
    arguments = input_shape, include_top, weights, input_tensor, pooling, classes, classifier_activation, name
    return _nasnet("large", _LARGE, *arguments)


def _nasnet(
    kind: str,
    plan: _Plan,
    input_shape: tuple[int | None, ...] | None,
    include_top: bool,
    weights: Any,
    input_tensor: Any,
    pooling: str | None,
    classes: int,
    classifier_activation: Any,
    name: str,
) -> Model:
    check_arguments(include_top, weights, pooling, classes)
    shape = input_shape or (plan.size, plan.size, 3)
    image = image_input(input_tensor, shape, plan.size, 32, include_top, weights)
    if None in image.shape[1:]:  # the sizes tell which cell's output must be halved to fit another's
        raise ShapeError(f"NASNet needs images of a known size; got {tuple(image.shape[1:])}.")
    x = _features(image, plan)
    if include_top:
        imagenet_utils.validate_activation(classifier_activation, weights)
        x = layers.GlobalAveragePooling2D()(x)
        x = layers.Dense(classes, activation=classifier_activation, name="predictions")(x)
    else:
        x = pooled(x, pooling)
    model = functional(input_tensor, image, x, name)
    file = f"nasnet_{kind}{'' if include_top else '_no_top'}.h5"
    origin = f"{_WEIGHTS}NASNet-{kind}{'' if include_top else '-no-top'}.h5"
    return load_weights(model, weights, file, _HASHES[kind][not include_top], origin)


def _features(image: Any, plan: _Plan) -> Any:
    x = _kernel(plan.stem_filters, 3, "stem_conv1", strides=2, padding="valid")(image)
    x = _normalized(x, "stem_bn1")
    before, x = x, _reduction_cell(x, x, plan.filters // 4, "stem_1")
    before, x = x, _reduction_cell(x, before, plan.filters // 2, "stem_2")
    for stage in range(3):
        filters = plan.filters * 2**stage
        if stage:
            reduced = _reduction_cell(x, before, filters, f"reduce_{stage * plan.cells}")
            before, x = before if plan.skip_reduction else x, reduced
        first = stage * plan.cells + (stage > 0)  # Keras counts a reduction as a cell
        for i in range(first, first + plan.cells):
            before, x = x, _normal_cell(x, before, filters, str(i))
    return layers.Activation("relu")(x)


def _normal_cell(image: Any, before: Any, filters: int, cell: str) -> Any:
    """The cell that keeps the size: figure 4 of the paper, left."""
    p = _adjusted(before, image, filters, cell)
    h = _projected(image, filters, f"normal_conv_1_{cell}", f"normal_bn_1_{cell}")
    x1 = _add(
        _separable_twice(h, filters, 5, f"normal_left1_{cell}"),
        _separable_twice(p, filters, 3, f"normal_right1_{cell}"),
        f"normal_add_1_{cell}",
    )
    x2 = _add(
        _separable_twice(p, filters, 5, f"normal_left2_{cell}"),
        _separable_twice(p, filters, 3, f"normal_right2_{cell}"),
        f"normal_add_2_{cell}",
    )
    x3 = _add(_average(h, f"normal_left3_{cell}"), p, f"normal_add_3_{cell}")
    x4 = _add(_average(p, f"normal_left4_{cell}"), _average(p, f"normal_right4_{cell}"), f"normal_add_4_{cell}")
    x5 = _add(_separable_twice(h, filters, 3, f"normal_left5_{cell}"), h, f"normal_add_5_{cell}")
    return layers.Concatenate(name=f"normal_concat_{cell}")([p, x1, x2, x3, x4, x5])


def _reduction_cell(image: Any, before: Any, filters: int, cell: str) -> Any:
    """The cell that halves the height and the width: figure 4 of the paper, right."""
    p = _adjusted(before, image, filters, cell)
    h = _projected(image, filters, f"reduction_conv_1_{cell}", f"reduction_bn_1_{cell}")
    padded = layers.ZeroPadding2D(correct_pad(h, 3), name=f"reduction_pad_1_{cell}")(h)
    x1 = _add(
        _separable_twice(h, filters, 5, f"reduction_left1_{cell}", strides=2),
        _separable_twice(p, filters, 7, f"reduction_right1_{cell}", strides=2),
        f"reduction_add_1_{cell}",
    )
    x2 = _add(
        layers.MaxPooling2D(3, strides=2, name=f"reduction_left2_{cell}")(padded),
        _separable_twice(p, filters, 7, f"reduction_right2_{cell}", strides=2),
        f"reduction_add_2_{cell}",
    )
    x3 = _add(
        layers.AveragePooling2D(3, strides=2, name=f"reduction_left3_{cell}")(padded),
        _separable_twice(p, filters, 5, f"reduction_right3_{cell}", strides=2),
        f"reduction_add3_{cell}",
    )
    x4 = _add(x2, _average(x1, f"reduction_left4_{cell}"))
    x5 = _add(
        _separable_twice(x1, filters, 3, f"reduction_left4_{cell}"),
        layers.MaxPooling2D(3, strides=2, name=f"reduction_right5_{cell}")(padded),
        f"reduction_add4_{cell}",
    )
    return layers.Concatenate(name=f"reduction_concat_{cell}")([x2, x3, x4, x5])


def _adjusted(before: Any, image: Any, filters: int, cell: str) -> Any:
    """The output of the cell before the last, made as high, wide and deep as this cell's."""
    if before is image:
        return image
    if before.shape[2] != image.shape[2]:
        x = layers.Activation("relu", name=f"adjust_relu_1_{cell}")(before)
        here = _every_second(x, filters // 2, 1, cell)
        shifted = layers.ZeroPadding2D(((0, 1), (0, 1)))(x)
        shifted = layers.Cropping2D(((1, 0), (1, 0)))(shifted)
        x = layers.Concatenate()([here, _every_second(shifted, filters // 2, 2, cell)])
        return _normalized(x, f"adjust_bn_{cell}")
    if before.shape[-1] != filters:
        return _projected(before, filters, f"adjust_conv_projection_{cell}", f"adjust_bn_{cell}")
    return before


def _every_second(x: Any, filters: int, i: int, cell: str) -> Any:
    x = layers.AveragePooling2D(1, strides=2, name=f"adjust_avg_pool_{i}_{cell}")(x)
    return _kernel(filters, 1, f"adjust_conv_{i}_{cell}")(x)


def _projected(x: Any, filters: int, name: str, norm_name: str) -> Any:
    x = layers.Activation("relu")(x)
    x = _kernel(filters, 1, name)(x)
    return _normalized(x, norm_name)


def _separable_twice(x: Any, filters: int, size: int, name: str, strides: int = 1) -> Any:
    x = layers.Activation("relu")(x)
    if strides == 2:
        x = layers.ZeroPadding2D(correct_pad(x, size), name=f"separable_conv_1_pad_{name}")(x)
    padding = "same" if strides == 1 else "valid"
    x = _separable(x, filters, size, 1, name, strides, padding)
    x = layers.Activation("relu")(x)
    return _separable(x, filters, size, 2, name)


def _separable(x: Any, filters: int, size: int, i: int, name: str, strides: int = 1, padding: str = "same") -> Any:
    x = layers.SeparableConv2D(
        filters, size, strides=strides, padding=padding, use_bias=False, name=f"separable_conv_{i}_{name}"
    )(x)
    return _normalized(x, f"separable_conv_{i}_bn_{name}")


def _kernel(filters: int, size: int, name: str, strides: int = 1, padding: str = "same") -> layers.Conv2D:
    return layers.Conv2D(
        filters,
        size,
        strides=strides,
        padding=padding,
        use_bias=False,
        kernel_initializer="he_normal",
        name=name,
    )


def _average(x: Any, name: str) -> Any:
    return layers.AveragePooling2D(3, strides=1, padding="same", name=name)(x)


def _add(left: Any, right: Any, name: str | None = None) -> Any:
    return layers.Add(name=name)([left, right])


def _normalized(x: Any, name: str) -> Any:
    return layers.BatchNormalization(momentum=0.9997, epsilon=1e-3, name=name)(x)


def preprocess_input(x: Any, data_format: str | None = None) -> Any:
    """Pixels from 0..255 to -1..1, on which the weights were trained."""
    return imagenet_utils.preprocess_input(x, data_format=data_format, mode="tf")

"""ConvNeXt: a convolutional network built as a vision Transformer is (Liu et al., 2022).

Example:
    >>> from lamella.applications import ConvNeXtTiny
    >>> ConvNeXtTiny(weights=None, include_top=False, pooling="avg").output_shape
    (None, 768)
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch

from lamella import initializers, layers
from lamella.applications import imagenet_utils
from lamella.applications.imagenet_utils import decode_predictions
from lamella.applications.pretrained import check_arguments, functional, image_input, load_weights, pooled
from lamella.layers.base import registry
from lamella.models import Model, Sequential

__all__ = [
    "ConvNeXtBase",
    "ConvNeXtLarge",
    "ConvNeXtSmall",
    "ConvNeXtTiny",
    "ConvNeXtXLarge",
    "decode_predictions",
    "preprocess_input",
]

_WEIGHTS = "https://storage.googleapis.com/tensorflow/keras-applications/convnext/"
_HASHES = {  # with the classifier, without
    "tiny": (
        "8ae6e78ce2933352b1ef4008e6dd2f17bc40771563877d156bc6426c7cf503ff",
        "d547c096cabd03329d7be5562c5e14798aa39ed24b474157cef5e85ab9e49ef1",
    ),
    "small": (
        "ce1277d8f1ee5a0ef0e171469089c18f5233860ceaf9b168049cb9263fd7483c",
        "6fc8009faa2f00c1c1dfce59feea9b0745eb260a7dd11bee65c8e20843da6eab",
    ),
    "base": (
        "52cbb006d3dadd03f6e095a8ca1aca47aecdd75acb4bc74bce1f5c695d0086e6",
        "40a20c5548a5e9202f69735ecc06c990e6b7c9d2de39f0361e27baeb24cb7c45",
    ),
    "large": (
        "070c5ed9ed289581e477741d3b34beffa920db8cf590899d6d2c67fba2a198a6",
        "96f02b6f0753d4f543261bc9d09bed650f24dd6bc02ddde3066135b63d23a1cd",
    ),
    "xlarge": (
        "c1f5ccab661354fc3a79a10fa99af82f0fbf10ec65cb894a3ae0815f17a889ee",
        "de3f8a54174130e0cecdc71583354753d557fcf1f4487331558e2a16ba0cfe05",
    ),
}
_MEAN = (0.485, 0.456, 0.406)
_STD = (0.229, 0.224, 0.225)

_DOC = """ConvNeXt-{size}, of "A ConvNet for the 2020s" (Liu et al., 2022).

    It takes pixels from 0..255 and normalizes them itself. Images are at least 32 x 32.

    Args:
        include_top: Whether the network ends with its classifier.
        include_preprocessing: Whether the network normalizes the pixels; True with ImageNet's weights.
        weights: `"imagenet"` (downloaded once), the path of a file with weights, or None for random ones.
        input_tensor: A symbolic batch of images to begin with, in place of a new input.
        input_shape: The shape of an image. By default (224, 224, 3), or any size without the classifier.
        pooling: Without the classifier: `"avg"` or `"max"` over the image, or None for the map of features.
        classes: The number of classes; 1000 with ImageNet's classifier.
        classifier_activation: The activation of the last layer; None gives logits.
        name: The name of the model.

    Shapes: (batch, height, width, 3) -> (batch, classes), or features without the classifier.

    Raises:
        ArgumentError: Arguments that contradict each other, or unknown weights.
        ShapeError: Images that the network, or its weights, cannot take.
    """


@registry.register(written_as=("keras.src.applications.convnext", "LayerScale"))
class LayerScale(layers.Layer):
    """A weight for each channel, near 0 at first: a new block starts as the identity and grows in.

    Args:
        init_values: Where the weights start.
        projection_dim: The number of channels.
        **kwargs: As for every layer.

    Shapes: (batch, ..., projection_dim) -> the same. Weights: gamma (projection_dim,).

    Source: Touvron et al., Going deeper with image transformers, 2021.

    Example:
        >>> import torch
        >>> LayerScale(0.5, 3)(torch.ones(1, 3)).tolist()
        [[0.5, 0.5, 0.5]]
    """

    def __init__(self, init_values: float, projection_dim: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.init_values = init_values
        self.projection_dim = projection_dim

    def build(self, input_shape: Any) -> None:
        """Makes the weights."""
        start = initializers.Constant(self.init_values)
        self.gamma = self.add_weight((self.projection_dim,), initializer=start, name="gamma")

    def call(self, x: torch.Tensor) -> torch.Tensor:
        """The channels of `x`, each times its weight."""
        return x * self.gamma

    def get_config(self) -> dict[str, Any]:
        """The arguments that make the layer anew."""
        return {**super().get_config(), "init_values": self.init_values, "projection_dim": self.projection_dim}


@registry.register(written_as=("keras.src.applications.convnext", "StochasticDepth"))
class StochasticDepth(layers.Layer):
    """While training, leaves out the whole branch for a random share of the samples, and scales up the others.

    Args:
        drop_path_rate: The share, 0 <= rate < 1.
        **kwargs: As for every layer.

    Shapes: (batch, ...) -> the same.

    Source: Huang et al., Deep networks with stochastic depth, 2016.

    Example:
        >>> import torch
        >>> StochasticDepth(0.5)(torch.ones(2, 3)).tolist()
        [[1.0, 1.0, 1.0], [1.0, 1.0, 1.0]]
    """

    def __init__(self, drop_path_rate: float, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.drop_path_rate = drop_path_rate

    def call(self, x: torch.Tensor, training: bool | None = None) -> torch.Tensor:
        """`x`, or while training `x` with whole samples set to 0."""
        if not training:
            return x
        keep = 1.0 - self.drop_path_rate
        kept = torch.rand((x.shape[0],) + (1,) * (x.ndim - 1), dtype=x.dtype, device=x.device) < keep
        return x * kept / keep

    def get_config(self) -> dict[str, Any]:
        """The arguments that make the layer anew."""
        return {**super().get_config(), "drop_path_rate": self.drop_path_rate}


def _variant(size: str, depths: Sequence[int], widths: Sequence[int]) -> Callable[..., Model]:
    """The function that makes one of the networks: `depths` blocks of `widths` channels in its stages."""
    key = size.lower()

    def build(
        include_top: bool = True,
        include_preprocessing: bool = True,
        weights: Any = "imagenet",
        input_tensor: Any = None,
        input_shape: tuple[int | None, ...] | None = None,
        pooling: str | None = None,
        classes: int = 1000,
        classifier_activation: Any = "softmax",
        name: str = f"convnext_{key}",
    ) -> Model:
        check_arguments(include_top, weights, pooling, classes)
        image = image_input(input_tensor, input_shape, 224, 32, include_top, weights)
        x = _features(image, depths, widths, include_preprocessing, name)
        if include_top:
            imagenet_utils.validate_activation(classifier_activation, weights)
            x = layers.GlobalAveragePooling2D(name=f"{name}_head_gap")(x)
            x = _norm(f"{name}_head_layernorm")(x)
            x = layers.Dense(classes, activation=classifier_activation, name=f"{name}_head_dense")(x)
        else:
            x = _norm()(pooled(x, pooling))
        model = functional(input_tensor, image, x, name)
        file = f"convnext_{key}{'' if include_top else '_notop'}.h5"
        return load_weights(model, weights, file, _HASHES[key][not include_top], _WEIGHTS + file)

    build.__name__ = build.__qualname__ = f"ConvNeXt{size}"
    build.__doc__ = _DOC.format(size=size)
    return build


ConvNeXtTiny = _variant("Tiny", (3, 3, 9, 3), (96, 192, 384, 768))
ConvNeXtSmall = _variant("Small", (3, 3, 27, 3), (96, 192, 384, 768))
ConvNeXtBase = _variant("Base", (3, 3, 27, 3), (128, 256, 512, 1024))
ConvNeXtLarge = _variant("Large", (3, 3, 27, 3), (192, 384, 768, 1536))
ConvNeXtXLarge = _variant("XLarge", (3, 3, 27, 3), (256, 512, 1024, 2048))


def _features(image: Any, depths: Sequence[int], widths: Sequence[int], preprocessing: bool, name: str) -> Any:
    x = image
    if preprocessing and image.shape[-1] == 3:
        x = layers.Normalization(
            mean=[255 * mean for mean in _MEAN],
            variance=[(255 * std) ** 2 for std in _STD],
            name=f"{name}_prestem_normalization",
        )(x)
    for stage, (depth, width) in enumerate(zip(depths, widths, strict=True)):
        x = (_downsampling(width, stage - 1, name) if stage else _stem(width, name))(x)
        for i in range(depth):
            x = _block(x, width, f"{name}_stage_{stage}_block_{i}")
    return x


def _stem(width: int, name: str) -> Sequential:
    """A quarter of the height and the width, by patches of 4 x 4."""
    patches = layers.Conv2D(width, 4, strides=4, name=f"{name}_stem_conv")
    return Sequential([patches, _norm(f"{name}_stem_layernorm")], name=f"{name}_stem")


def _downsampling(width: int, i: int, name: str) -> Sequential:
    """Half the height and the width."""
    halves = layers.Conv2D(width, 2, strides=2, name=f"{name}_downsampling_conv_{i}")
    norm = _norm(f"{name}_downsampling_layernorm_{i}")
    return Sequential([norm, halves], name=f"{name}_downsampling_block_{i}")


def _block(image: Any, width: int, name: str) -> Any:
    x = layers.Conv2D(width, 7, padding="same", groups=width, name=f"{name}_depthwise_conv")(image)
    x = _norm(f"{name}_layernorm")(x)
    x = layers.Dense(4 * width, name=f"{name}_pointwise_conv_1")(x)
    x = layers.Activation("gelu", name=f"{name}_gelu")(x)
    x = layers.Dense(width, name=f"{name}_pointwise_conv_2")(x)
    x = LayerScale(1e-6, width, name=f"{name}_layer_scale")(x)
    x = layers.Activation("linear", name=f"{name}_identity")(x)
    return image + x


def _norm(name: str | None = None) -> layers.LayerNormalization:
    return layers.LayerNormalization(epsilon=1e-6, name=name)


def preprocess_input(x: Any, data_format: str | None = None) -> Any:
    """`x` as it is: the network itself takes pixels from 0..255."""
    return x

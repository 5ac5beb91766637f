"""`tf.nn`."""

from __future__ import annotations

from typing import Any

import torch
from torch.nn import functional

from lamella import ops
from lamella.tensorflow_stand_in.functions import gather, l2_normalize, one_hot, reduce_sum, top_k
from lamella.tensorflow_stand_in.nn_windows import (
    atrous_conv2d,
    avg_pool,
    avg_pool1d,
    avg_pool2d,
    avg_pool3d,
    channels,
    conv1d,
    conv2d,
    conv2d_transpose,
    conv3d,
    depthwise_conv2d,
    max_pool,
    max_pool1d,
    max_pool2d,
    max_pool3d,
    separable_conv2d,
)
from lamella.tensorflow_stand_in.random import uniform
from lamella.tensorflow_stand_in.special import in_top_k, zero_fraction
from lamella.tensorflow_stand_in.tensors import convert_to_tensor, without_name

__all__ = [
    "atrous_conv2d",
    "avg_pool",
    "avg_pool1d",
    "avg_pool2d",
    "avg_pool3d",
    "batch_normalization",
    "bias_add",
    "compute_average_loss",
    "conv1d",
    "conv2d",
    "conv2d_transpose",
    "conv3d",
    "depth_to_space",
    "depthwise_conv2d",
    "dropout",
    "elu",
    "embedding_lookup",
    "gelu",
    "in_top_k",
    "l2_loss",
    "l2_normalize",
    "leaky_relu",
    "local_response_normalization",
    "log_softmax",
    "lrn",
    "max_pool",
    "max_pool1d",
    "max_pool2d",
    "max_pool3d",
    "moments",
    "relu",
    "relu6",
    "scale_regularization_loss",
    "selu",
    "separable_conv2d",
    "sigmoid",
    "sigmoid_cross_entropy_with_logits",
    "silu",
    "softmax",
    "softmax_cross_entropy_with_logits",
    "softplus",
    "softsign",
    "space_to_depth",
    "sparse_softmax_cross_entropy_with_logits",
    "swish",
    "tanh",
    "top_k",
    "weighted_cross_entropy_with_logits",
    "zero_fraction",
]

elu, relu, relu6, selu = (without_name(each, "features") for each in (ops.elu, ops.relu, ops.relu6, ops.selu))
sigmoid, tanh = without_name(ops.sigmoid, "x"), without_name(ops.tanh, "x")
softplus, softsign = without_name(ops.softplus, "features"), without_name(ops.softsign, "features")


def silu(features: Any, beta: float = 1.0, name: str | None = None) -> Any:
    """x times the logistic function of `beta` times x."""
    x = convert_to_tensor(features)
    return x * ops.sigmoid(beta * x)


swish = silu


def leaky_relu(features: Any, alpha: float = 0.2, name: str | None = None) -> Any:
    """x where it is positive, else `alpha` times x."""
    return ops.leaky_relu(convert_to_tensor(features), negative_slope=alpha)


def gelu(features: Any, approximate: bool = False, name: str | None = None) -> Any:
    """x times the share of a normal distribution below x."""
    return ops.gelu(convert_to_tensor(features), approximate=approximate)


def softmax(logits: Any, axis: int = -1, name: str | None = None) -> Any:
    """Positive numbers that sum to 1 along the axis."""
    return ops.softmax(convert_to_tensor(logits), axis=axis)


def log_softmax(logits: Any, axis: int = -1, name: str | None = None) -> Any:
    """The logarithms of `softmax`."""
    return ops.log_softmax(convert_to_tensor(logits), axis=axis)


def softmax_cross_entropy_with_logits(labels: Any, logits: Any, axis: int = -1, name: str | None = None) -> Any:
    """The cross-entropy of each sample between given probabilities and those of the logits."""
    logits = convert_to_tensor(logits)
    return -reduce_sum(ops.cast(convert_to_tensor(labels), logits.dtype) * ops.log_softmax(logits, axis=axis), axis)


def sparse_softmax_cross_entropy_with_logits(labels: Any, logits: Any, name: str | None = None) -> Any:
    """The cross-entropy of each sample between a class number and the probabilities of the logits."""
    logits = convert_to_tensor(logits)
    return softmax_cross_entropy_with_logits(one_hot(labels, logits.shape[-1], dtype=logits.dtype), logits)


def sigmoid_cross_entropy_with_logits(labels: Any, logits: Any, name: str | None = None) -> Any:
    """The cross-entropy of each number between a given probability and that of the logit."""
    logits = convert_to_tensor(logits)
    labels = ops.cast(convert_to_tensor(labels), logits.dtype)
    return ops.maximum(logits, 0) - logits * labels + ops.log1p(ops.exp(-ops.abs(logits)))


def weighted_cross_entropy_with_logits(labels: Any, logits: Any, pos_weight: Any, name: str | None = None) -> Any:
    """`sigmoid_cross_entropy_with_logits`, with the part of the positive ones so many times as large."""
    logits = convert_to_tensor(logits)
    labels = ops.cast(convert_to_tensor(labels), logits.dtype)
    return labels * pos_weight * ops.softplus(-logits) + (1 - labels) * ops.softplus(logits)


def batch_normalization(
    x: Any, mean: Any, variance: Any, offset: Any, scale: Any, variance_epsilon: float, name: str | None = None
) -> Any:
    """(x - mean) / sqrt(variance + epsilon), times `scale`, plus `offset`: each of these two may be None."""
    factor = ops.rsqrt(convert_to_tensor(variance) + variance_epsilon)
    if scale is not None:
        factor = factor * convert_to_tensor(scale)
    found = (convert_to_tensor(x) - convert_to_tensor(mean)) * factor
    return found if offset is None else found + convert_to_tensor(offset)


def local_response_normalization(
    input: Any, depth_radius: int = 5, bias: float = 1.0, alpha: float = 1.0, beta: float = 0.5, name: str | None = None
) -> Any:
    """Pictures (batch, height, width, channels), each number over a power of the squares of the channels around it.

    The divisor is (bias + alpha * the sum of the squares) ** beta, over `depth_radius` channels to either side.
    Source: Krizhevsky et al., 2012.
    """
    x, size = convert_to_tensor(input).movedim(-1, 1), 2 * int(depth_radius) + 1
    return functional.local_response_norm(x, size, alpha * size, beta, bias).movedim(1, -1)


lrn = local_response_normalization


def l2_loss(t: Any, name: str | None = None) -> Any:
    """Half of the sum of the squares."""
    return ops.sum(ops.square(convert_to_tensor(t))) / 2


def moments(x: Any, axes: Any, shift: Any = None, keepdims: bool = False, name: str | None = None) -> Any:
    """The mean and the variance along the axes."""
    return ops.moments(convert_to_tensor(x), axes, keepdims=keepdims)


def compute_average_loss(
    per_example_loss: Any, sample_weight: Any = None, global_batch_size: Any = None, name: str | None = None
) -> Any:
    """The sum of the samples' losses over the size of the whole batch (this one's by default)."""
    losses = convert_to_tensor(per_example_loss)
    if sample_weight is not None:
        losses = losses * ops.cast(convert_to_tensor(sample_weight), losses.dtype)
    return losses.sum() / (losses.shape[0] if global_batch_size is None else global_batch_size)


def scale_regularization_loss(regularization_loss: Any) -> Any:
    """This device's part of a loss that is not of samples: all of it, for there is one device."""
    return reduce_sum(regularization_loss)


def embedding_lookup(params: Any, ids: Any, max_norm: Any = None, name: str | None = None) -> Any:
    """The rows with these numbers."""
    return gather(params, ids)


def bias_add(value: Any, bias: Any, data_format: str | None = None, name: str | None = None) -> Any:
    """The channels, each with a number of its own added."""
    value, bias = convert_to_tensor(value), convert_to_tensor(bias)
    first = data_format is not None and data_format.startswith("NC")
    return value + (ops.reshape(bias, (-1, *[1] * (value.ndim - 2))) if first else bias)


def dropout(x: Any, rate: Any, noise_shape: Any = None, seed: int | None = None, name: str | None = None) -> Any:
    """Numbers of which a share `rate` is 0, the others so much larger that the mean stays."""
    x = convert_to_tensor(x)
    kept = uniform(x.shape if noise_shape is None else noise_shape, dtype=x.dtype, seed=seed) >= rate
    return ops.where(kept, x / (1 - rate), torch.zeros((), dtype=x.dtype, device=x.device))


def depth_to_space(input: Any, block_size: int, data_format: str = "NHWC", name: str | None = None) -> Any:
    """Channels laid out as blocks of pixels: (n, h, w, c * b * b) to (n, h * b, w * b, c)."""
    return ops.depth_to_space(convert_to_tensor(input), block_size, channels(data_format))


def space_to_depth(input: Any, block_size: int, data_format: str = "NHWC", name: str | None = None) -> Any:
    """Blocks of pixels laid out as channels: (n, h * b, w * b, c) to (n, h, w, c * b * b)."""
    return ops.space_to_depth(convert_to_tensor(input), block_size, channels(data_format))

"""`tf.image`: pictures (height, width, channels), or batches of them."""

from __future__ import annotations

from typing import Any

import torch

from lamella import ops
from lamella.errors import ArgumentError, ShapeError
from lamella.tensorflow_stand_in.image_boxes import crop_and_resize, non_max_suppression
from lamella.tensorflow_stand_in.image_comparison import psnr, ssim, ssim_multiscale
from lamella.tensorflow_stand_in.image_types import convert_image_dtype
from lamella.tensorflow_stand_in.io import (
    decode_bmp,
    decode_gif,
    decode_image,
    decode_jpeg,
    decode_png,
    encode_jpeg,
    encode_png,
)
from lamella.tensorflow_stand_in.random import stateless_uniform, uniform
from lamella.tensorflow_stand_in.tensors import convert_to_tensor, sizes

__all__ = [
    "ResizeMethod",
    "adjust_brightness",
    "adjust_contrast",
    "adjust_gamma",
    "adjust_hue",
    "adjust_saturation",
    "central_crop",
    "convert_image_dtype",
    "crop_and_resize",
    "crop_to_bounding_box",
    "decode_bmp",
    "decode_gif",
    "decode_image",
    "decode_jpeg",
    "decode_png",
    "encode_jpeg",
    "encode_png",
    "extract_patches",
    "flip_left_right",
    "flip_up_down",
    "grayscale_to_rgb",
    "hsv_to_rgb",
    "image_gradients",
    "non_max_suppression",
    "pad_to_bounding_box",
    "per_image_standardization",
    "psnr",
    "random_brightness",
    "random_contrast",
    "random_crop",
    "random_flip_left_right",
    "random_flip_up_down",
    "random_hue",
    "random_saturation",
    "resize",
    "resize_with_crop_or_pad",
    "resize_with_pad",
    "rgb_to_grayscale",
    "rgb_to_hsv",
    "rot90",
    "sobel_edges",
    "ssim",
    "ssim_multiscale",
    "stateless_random_brightness",
    "stateless_random_contrast",
    "stateless_random_crop",
    "stateless_random_hue",
    "stateless_random_saturation",
    "total_variation",
    "transpose",
]


class ResizeMethod:
    """The names of the ways to resize."""

    AREA = "area"
    BICUBIC = "bicubic"
    BILINEAR = "bilinear"
    GAUSSIAN = "gaussian"
    LANCZOS3 = "lanczos3"
    LANCZOS5 = "lanczos5"
    MITCHELLCUBIC = "mitchellcubic"
    NEAREST_NEIGHBOR = "nearest"


def extract_patches(
    images: Any, sizes: Any, strides: Any, rates: Any = (1, 1, 1, 1), padding: str = "VALID", name: str | None = None
) -> Any:
    """The patches of pictures (batch, height, width, channels), each flattened into the channels.

    Args:
        images: The pictures.
        sizes: [1, height, width, 1] of a patch.
        strides: [1, down, across, 1] from patch to patch.
        rates: [1, down, across, 1] from pixel to pixel of a patch; of two different numbers only the first counts.
        padding: `"VALID"` or `"SAME"`.
        name: TensorFlow's argument: it changes nothing here.
    """
    size, steps = tuple(sizes[1:3]), tuple(strides[1:3])
    return ops.image.extract_patches(convert_to_tensor(images), size, steps, rates[1], padding.lower(), "channels_last")


def resize(
    images: Any,
    size: Any,
    method: str = "bilinear",
    preserve_aspect_ratio: bool = False,
    antialias: bool = False,
    name: str | None = None,
) -> Any:
    """Pictures in another size, in float32; in their own type for `method="nearest"`."""
    images, wanted = convert_to_tensor(images), sizes(size)
    if preserve_aspect_ratio:
        height, width = images.shape[-3:-1]
        scale = min(wanted[0] / height, wanted[1] / width)
        wanted = (max(1, round(height * scale)), max(1, round(width * scale)))
    if method != "nearest":
        images = ops.cast(images, "float32")
    return ops.image.resize(images, wanted, interpolation=method, antialias=antialias, data_format="channels_last")


def resize_with_pad(
    image: Any, target_height: int, target_width: int, method: str = "bilinear", antialias: bool = False
) -> Any:
    """Pictures in another size with their proportions kept, and zeros beside them."""
    resized = resize(image, (target_height, target_width), method, preserve_aspect_ratio=True, antialias=antialias)
    top, left = (target_height - resized.shape[-3]) // 2, (target_width - resized.shape[-2]) // 2
    return pad_to_bounding_box(resized, top, left, target_height, target_width)


def resize_with_crop_or_pad(image: Any, target_height: int, target_width: int) -> Any:
    """The middle of pictures that are too large, and zeros beside those that are too small."""
    image = convert_to_tensor(image)
    height, width = min(image.shape[-3], target_height), min(image.shape[-2], target_width)
    image = crop_to_bounding_box(image, (image.shape[-3] - height) // 2, (image.shape[-2] - width) // 2, height, width)
    top, left = (target_height - height) // 2, (target_width - width) // 2
    return pad_to_bounding_box(image, top, left, target_height, target_width)


def crop_to_bounding_box(
    image: Any, offset_height: int, offset_width: int, target_height: int, target_width: int
) -> Any:
    """A part of pictures."""
    image = convert_to_tensor(image)
    bottom, right = offset_height + target_height, offset_width + target_width
    if min(offset_height, offset_width) < 0 or bottom > image.shape[-3] or right > image.shape[-2]:
        raise ShapeError(
            f"crop_to_bounding_box: rows {offset_height} to {bottom} and columns {offset_width} to {right} are not all "
            f"within a picture of shape {tuple(image.shape)}."
        )
    return image[..., offset_height:bottom, offset_width:right, :]


def pad_to_bounding_box(
    image: Any, offset_height: int, offset_width: int, target_height: int, target_width: int
) -> Any:
    """Pictures within zeros."""
    image = convert_to_tensor(image)
    below = target_height - offset_height - image.shape[-3]
    beside = target_width - offset_width - image.shape[-2]
    if min(offset_height, offset_width, below, beside) < 0:
        raise ShapeError(
            f"pad_to_bounding_box: a picture of shape {tuple(image.shape)} does not fit into {target_height} rows and "
            f"{target_width} columns at row {offset_height} and column {offset_width}."
        )
    return torch.nn.functional.pad(image, (0, 0, offset_width, beside, offset_height, below))


def central_crop(image: Any, central_fraction: float) -> Any:
    """The middle of pictures."""
    image = convert_to_tensor(image)
    edges = [int((size - size * central_fraction) / 2) for size in image.shape[-3:-1]]
    height, width = (size - 2 * edge for size, edge in zip(image.shape[-3:-1], edges, strict=True))
    return crop_to_bounding_box(image, edges[0], edges[1], height, width)


def random_crop(value: Any, size: Any, seed: int | None = None, name: str | None = None) -> Any:
    """A part of this size (of all axes), from a random place."""
    value, wanted = convert_to_tensor(value), sizes(size)
    for axis, (whole, part) in enumerate(zip(value.shape, wanted, strict=True)):
        if part > whole:
            raise ShapeError(f"random_crop: {wanted} is larger than the picture, {tuple(value.shape)}.")
        start = int(uniform((), 0, whole - part + 1, torch.int64, seed))
        value = value.narrow(axis, start, part)
    return value


def flip_left_right(image: Any) -> Any:
    """Pictures as in a mirror."""
    return ops.flip(convert_to_tensor(image), axis=-2)


def flip_up_down(image: Any) -> Any:
    """Pictures upside down."""
    return ops.flip(convert_to_tensor(image), axis=-3)


def random_flip_left_right(image: Any, seed: int | None = None) -> Any:
    """Pictures of which each is turned left to right, or not."""
    return _where_drawn(convert_to_tensor(image), flip_left_right, seed)


def random_flip_up_down(image: Any, seed: int | None = None) -> Any:
    """Pictures of which each is turned upside down, or not."""
    return _where_drawn(convert_to_tensor(image), flip_up_down, seed)


def _where_drawn(image: Any, change: Any, seed: int | None) -> Any:
    drawn = uniform((*image.shape[:-3], 1, 1, 1), seed=seed) < 0.5
    return ops.where(drawn, change(image), image)


def rot90(image: Any, k: int = 1, name: str | None = None) -> Any:
    """Pictures turned counter-clockwise, k times a quarter."""
    return torch.rot90(convert_to_tensor(image), k, (-3, -2))


def transpose(image: Any, name: str | None = None) -> Any:
    """Pictures with rows and columns exchanged."""
    return convert_to_tensor(image).transpose(-3, -2)


def _in_floats(image: Any, change: Any) -> Any:
    """The change of pictures from 0 to 1, given back in their own type."""
    image = convert_to_tensor(image)
    if image.is_floating_point():
        return change(image)
    return convert_image_dtype(change(convert_image_dtype(image, torch.float32)), image.dtype, saturate=True)


def adjust_brightness(image: Any, delta: Any) -> Any:
    """Pictures that are brighter by `delta` of the whole range."""
    return _in_floats(image, lambda x: x + delta)


def adjust_contrast(images: Any, contrast_factor: Any) -> Any:
    """Pictures of which each channel is so many times as far from its mean."""

    def change(x: Any) -> Any:
        mean = x.mean(dim=(-3, -2), keepdim=True)
        return (x - mean) * contrast_factor + mean

    return _in_floats(images, change)


def adjust_saturation(image: Any, saturation_factor: Any, name: str | None = None) -> Any:
    """Pictures with their saturation so many times as high."""
    return _in_floats(image, lambda x: _with_hsv(x, lambda h, s, v: (h, (s * saturation_factor).clamp(0, 1), v)))


def adjust_hue(image: Any, delta: Any, name: str | None = None) -> Any:
    """Pictures with their hues turned by `delta` of the whole circle."""
    return _in_floats(image, lambda x: _with_hsv(x, lambda h, s, v: ((h + delta) % 1.0, s, v)))


def adjust_gamma(image: Any, gamma: Any = 1, gain: Any = 1) -> Any:
    """Pictures raised to the power of `gamma`, `gain` times as bright."""
    if isinstance(gamma, (int, float)) and gamma < 0:
        raise ArgumentError(f"adjust_gamma: gamma is 0 or more; got {gamma}.")
    return _in_floats(image, lambda x: gain * x**gamma)


def rgb_to_hsv(images: Any, name: str | None = None) -> Any:
    """Red, green and blue to hue, saturation and value, all from 0 to 1."""
    return ops.image.rgb_to_hsv(convert_to_tensor(images), data_format="channels_last")


def hsv_to_rgb(images: Any, name: str | None = None) -> Any:
    """Hue, saturation and value to red, green and blue, all from 0 to 1."""
    return ops.image.hsv_to_rgb(convert_to_tensor(images), data_format="channels_last")


def _with_hsv(x: Any, change: Any) -> Any:
    return hsv_to_rgb(torch.stack(change(*rgb_to_hsv(x).unbind(-1)), -1))


def _drawn_beside(image: Any, low: float, high: float, seed: int | None) -> torch.Tensor:
    """A random number where the picture is."""
    drawn, image = uniform((), low, high, seed=seed), convert_to_tensor(image)
    return drawn.to(image.device) if isinstance(image, torch.Tensor) else drawn


def random_brightness(image: Any, max_delta: float, seed: int | None = None) -> Any:
    """`adjust_brightness` by a random number of at most `max_delta`."""
    return adjust_brightness(image, _drawn_beside(image, -max_delta, max_delta, seed))


def random_contrast(image: Any, lower: float, upper: float, seed: int | None = None) -> Any:
    """`adjust_contrast` by a random factor."""
    return adjust_contrast(image, _drawn_beside(image, lower, upper, seed))


def random_saturation(image: Any, lower: float, upper: float, seed: int | None = None) -> Any:
    """`adjust_saturation` by a random factor."""
    return adjust_saturation(image, _drawn_beside(image, lower, upper, seed))


def random_hue(image: Any, max_delta: float, seed: int | None = None) -> Any:
    """`adjust_hue` by a random number of at most `max_delta`."""
    return adjust_hue(image, _drawn_beside(image, -max_delta, max_delta, seed))


def _drawn(seed: Any, low: float, high: float) -> float:
    """A number between two that follows from the seed alone."""
    return float(stateless_uniform((), seed, low, high))


def stateless_random_brightness(image: Any, max_delta: float, seed: Any) -> Any:
    """`adjust_brightness` by a number of at most `max_delta`, which follows from the seed (two whole numbers)."""
    return adjust_brightness(image, _drawn(seed, -max_delta, max_delta))


def stateless_random_contrast(image: Any, lower: float, upper: float, seed: Any) -> Any:
    """`adjust_contrast` by a factor that follows from the seed (two whole numbers)."""
    return adjust_contrast(image, _drawn(seed, lower, upper))


def stateless_random_saturation(image: Any, lower: float, upper: float, seed: Any) -> Any:
    """`adjust_saturation` by a factor that follows from the seed (two whole numbers)."""
    return adjust_saturation(image, _drawn(seed, lower, upper))


def stateless_random_hue(image: Any, max_delta: float, seed: Any) -> Any:
    """`adjust_hue` by a number of at most `max_delta`, which follows from the seed (two whole numbers)."""
    return adjust_hue(image, _drawn(seed, -max_delta, max_delta))


def stateless_random_crop(value: Any, size: Any, seed: Any, name: str | None = None) -> Any:
    """A part of this size (of all axes), from a place that follows from the seed (two whole numbers)."""
    value, wanted = convert_to_tensor(value), sizes(size)
    shares = stateless_uniform((len(wanted),), seed).tolist()
    for axis, (whole, part, share) in enumerate(zip(value.shape, wanted, shares, strict=True)):
        if part > whole:
            raise ShapeError(f"stateless_random_crop: {wanted} is larger than the picture, {tuple(value.shape)}.")
        value = value.narrow(axis, int(share * (whole - part + 1)), part)
    return value


def total_variation(images: Any, name: str | None = None) -> Any:
    """How much neighbouring pixels differ, summed for each picture (a number for one picture)."""
    images = convert_to_tensor(images)
    axes = (-3, -2, -1)
    down, across = images[..., 1:, :, :] - images[..., :-1, :, :], images[..., 1:, :] - images[..., :-1, :]
    return down.abs().sum(dim=axes) + across.abs().sum(dim=axes)


def image_gradients(image: Any) -> Any:
    """How much each pixel of pictures (batch, height, width, channels) is less than the one below, and the next."""
    image = convert_to_tensor(image)
    if image.ndim != 4:
        raise ShapeError(f"image_gradients takes pictures (batch, height, width, channels); got {tuple(image.shape)}.")
    down, across = torch.zeros_like(image), torch.zeros_like(image)
    down[:, :-1] = image[:, 1:] - image[:, :-1]
    across[:, :, :-1] = image[:, :, 1:] - image[:, :, :-1]
    return down, across


def sobel_edges(image: Any) -> Any:
    """How pictures (batch, height, width, channels) change downwards and across: a last axis of those two."""
    image = convert_to_tensor(image)
    batch, height, width, channels = image.shape
    down = torch.tensor([[-1, -2, -1], [0, 0, 0], [1, 2, 1]], dtype=image.dtype, device=image.device)
    filters = torch.stack([down, down.T])[:, None]
    planes = image.movedim(-1, 1).reshape(batch * channels, 1, height, width)
    edges = torch.nn.functional.conv2d(torch.nn.functional.pad(planes, (1, 1, 1, 1), mode="reflect"), filters)
    return edges.reshape(batch, channels, 2, height, width).permute(0, 3, 4, 1, 2)


def rgb_to_grayscale(images: Any, name: str | None = None) -> Any:
    """Pictures with one channel: how bright the eye sees them."""
    return _in_floats(images, lambda x: ops.image.rgb_to_grayscale(x, data_format="channels_last"))


def grayscale_to_rgb(images: Any, name: str | None = None) -> Any:
    """Pictures of one channel with three, all alike."""
    images = convert_to_tensor(images)
    return images.expand(*images.shape[:-1], 3).clone()


def per_image_standardization(image: Any) -> Any:
    """Each picture with mean 0 and variance 1."""
    image = ops.cast(convert_to_tensor(image), "float32")
    axes = (-3, -2, -1)
    numbers = image.shape[-1] * image.shape[-2] * image.shape[-3]
    deviation = image.std(dim=axes, keepdim=True, correction=0).clamp(min=numbers**-0.5)
    return (image - image.mean(dim=axes, keepdim=True)) / deviation

"""Pictures: sizes, colours, patches, transformations, filters. One picture (rank 3) or a batch of them (rank 4)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch

from lamella.engine import image as _image
from lamella.engine.image_data_format import checked_data_format
from lamella.engine.seed_generator import torch_generator
from lamella.errors import ArgumentError, ShapeError
from lamella.ops.base import check_padding, floating, op, sizes, tensor
from lamella.ops.image_measures import scale_and_translate, sobel_edges, ssim
from lamella.ops.nn_convolution import channels_back, channels_first, padded, same_padding
from lamella.ops.sampling import map_coordinates

__all__ = [
    "affine_transform",
    "crop_images",
    "elastic_transform",
    "extract_patches",
    "extract_patches_3d",
    "gaussian_blur",
    "hsv_to_rgb",
    "map_coordinates",
    "pad_images",
    "perspective_transform",
    "reconstruct_patches",
    "resize",
    "rgb_to_grayscale",
    "rgb_to_hsv",
    "scale_and_translate",
    "sobel_edges",
    "ssim",
]


def _pictures(name: str, images: Any) -> torch.Tensor:
    images = tensor(images)
    if images.ndim not in (3, 4):
        raise ShapeError(f"{name} takes one picture (rank 3) or a batch (rank 4); got shape {tuple(images.shape)}.")
    return images


@op
def resize(
    images: Any,
    size: Sequence[int],
    interpolation: str = "bilinear",
    antialias: bool = False,
    crop_to_aspect_ratio: bool = False,
    pad_to_aspect_ratio: bool = False,
    fill_mode: str = "constant",
    fill_value: float = 0.0,
    data_format: str | None = None,
) -> torch.Tensor:
    """Pictures in another size.

    Args:
        images: The pictures; of whole numbers they are rounded.
        size: (height, width).
        interpolation: `"nearest"`, `"bilinear"`, `"bicubic"`, `"lanczos3"` or `"lanczos5"`.
        antialias: Whether details too fine for the new size are smoothed away first.
        crop_to_aspect_ratio: Whether to cut the middle to the new proportions first.
        pad_to_aspect_ratio: Whether to pad to the new proportions first.
        fill_mode: `"constant"`.
        fill_value: What to pad with.
        data_format: `"channels_last"` (the default) or `"channels_first"`.

    Raises:
        ArgumentError: A size that is no pair of positive numbers, or an unknown option.

    Example:
        >>> resize(torch.ones(4, 4, 3), (2, 2)).shape
        torch.Size([2, 2, 3])
    """
    if len(size) != 2 or size[0] <= 0 or size[1] <= 0:
        raise ArgumentError(f"`size` must be (height, width), both positive; got {size!r}.")
    return _image.resize(
        _pictures("resize", images),
        tuple(size),
        interpolation,
        antialias,
        crop_to_aspect_ratio,
        pad_to_aspect_ratio,
        fill_mode,
        fill_value,
        checked_data_format(data_format),
    )


@op
def rgb_to_grayscale(images: Any, data_format: str | None = None) -> torch.Tensor:
    """Colours to one channel of brightness: 0.2989 red + 0.587 green + 0.114 blue.

    Example:
        >>> rgb_to_grayscale(torch.ones(1, 1, 3))
        tensor([[[0.9999]]])
    """
    return _image.rgb_to_grayscale(_pictures("rgb_to_grayscale", images), checked_data_format(data_format))


@op
def rgb_to_hsv(images: Any, data_format: str | None = None) -> torch.Tensor:
    """Red, green and blue to hue, saturation and value, all from 0 to 1.

    Example:
        >>> rgb_to_hsv(torch.tensor([[[0.0, 0.0, 1.0]]]))
        tensor([[[0.6667, 1.0000, 1.0000]]])
    """
    return _image.rgb_to_hsv(_pictures("rgb_to_hsv", images), checked_data_format(data_format))


@op
def hsv_to_rgb(images: Any, data_format: str | None = None) -> torch.Tensor:
    """The inverse of `rgb_to_hsv`.

    Example:
        >>> hsv_to_rgb(torch.tensor([[[0.0, 1.0, 1.0]]]))
        tensor([[[1., 0., 0.]]])
    """
    return _image.hsv_to_rgb(_pictures("hsv_to_rgb", images), checked_data_format(data_format))


@op
def affine_transform(
    images: Any,
    transform: Any,
    interpolation: str = "bilinear",
    fill_mode: str = "constant",
    fill_value: Any = 0,
    data_format: str | None = None,
) -> torch.Tensor:
    """Pictures turned, moved, scaled and sheared.

    Args:
        images: The pictures.
        transform: (a0, a1, a2, b0, b1, b2, c0, c1), one for all or one for each picture: the pixel (x, y) of the
            result is taken from ((a0 x + a1 y + a2) / k, (b0 x + b1 y + b2) / k), k = c0 x + c1 y + 1.
        interpolation: `"nearest"` or `"bilinear"`.
        fill_mode: What lies outside: `"constant"`, `"nearest"`, `"wrap"`, `"mirror"` or `"reflect"`.
        fill_value: The constant.
        data_format: `"channels_last"` (the default) or `"channels_first"`.

    Raises:
        ArgumentError: An unknown interpolation or fill mode.

    Example:
        >>> affine_transform(torch.tensor([[[1.0], [2.0]]]), [1.0, 0, 1, 0, 1, 0, 0, 0]).flatten()
        tensor([2., 0.])
    """
    images = _pictures("affine_transform", images)
    transform = floating(transform).to(images.device)
    fill_value = fill_value if isinstance(fill_value, (int, float)) else float(fill_value)
    return _image.affine_transform(
        images, transform, interpolation, fill_mode, fill_value, checked_data_format(data_format)
    )


@op
def perspective_transform(
    images: Any,
    start_points: Any,
    end_points: Any,
    interpolation: str = "bilinear",
    fill_value: Any = 0,
    data_format: str | None = None,
) -> torch.Tensor:
    """Pictures as seen from elsewhere: the four `start_points` come to the `end_points`.

    Args:
        images: The pictures.
        start_points: Four (x, y), for all or for each picture.
        end_points: Four (x, y), of the same shape.
        interpolation: `"nearest"` or `"bilinear"`.
        fill_value: What lies outside.
        data_format: `"channels_last"` (the default) or `"channels_first"`.

    Raises:
        ShapeError: Points of another shape.

    Example:
        >>> corners = [[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [1.0, 1.0]]
        >>> perspective_transform(torch.ones(2, 2, 1), corners, corners).shape
        torch.Size([2, 2, 1])
    """
    images = _pictures("perspective_transform", images)
    start, end = floating(start_points).to(images.device), floating(end_points).to(images.device)
    if start.shape != end.shape:
        raise ShapeError(
            f"`start_points` and `end_points` must have one shape; got {tuple(start.shape)} and {tuple(end.shape)}."
        )
    return _image.perspective_transform(images, start, end, interpolation, fill_value, checked_data_format(data_format))


@op
def elastic_transform(
    images: Any,
    alpha: float = 20.0,
    sigma: float = 5.0,
    interpolation: str = "bilinear",
    fill_mode: str = "reflect",
    fill_value: float = 0.0,
    seed: Any = None,
    data_format: str | None = None,
) -> torch.Tensor:
    """Pictures with every pixel moved a little, smoothly (Simard et al., 2003).

    Args:
        images: The pictures.
        alpha: How far pixels move.
        sigma: How smoothly.
        interpolation: `"nearest"` or `"bilinear"`.
        fill_mode: As for `affine_transform`.
        fill_value: The constant outside.
        seed: An integer, a `SeedGenerator` or None.
        data_format: `"channels_last"` (the default) or `"channels_first"`.

    Example:
        >>> elastic_transform(torch.ones(8, 8, 3), 1.0, 1.0, seed=0).shape
        torch.Size([8, 8, 3])
    """
    images = _pictures("elastic_transform", images)
    generator = torch_generator(seed, images.device)
    data_format = checked_data_format(data_format)
    return _image.elastic_transform(images, alpha, sigma, interpolation, fill_mode, fill_value, data_format, generator)


@op
def gaussian_blur(
    images: Any, kernel_size: Any = (3, 3), sigma: Any = (1.0, 1.0), data_format: str | None = None
) -> torch.Tensor:
    """Pictures smoothed by a Gaussian; outside of them is 0.

    Args:
        images: The pictures, of floats.
        kernel_size: (height, width) of the filter, odd.
        sigma: Its deviations along x and y, in pixels.
        data_format: `"channels_last"` (the default) or `"channels_first"`.

    Example:
        >>> gaussian_blur(torch.ones(3, 3, 1))[1, 1]
        tensor([1.])
    """
    images = _pictures("gaussian_blur", images)
    return _image.gaussian_blur(images, sizes("kernel_size", kernel_size, 2), sigma, checked_data_format(data_format))


@op
def extract_patches(
    images: Any,
    size: Any,
    strides: Any = None,
    dilation_rate: Any = 1,
    padding: str = "valid",
    data_format: str | None = None,
) -> torch.Tensor:
    """The patches of pictures, each flattened into the channels.

    Args:
        images: Pictures; with a `size` of three numbers volumes, as for `extract_patches_3d`.
        size: (height, width) of a patch, or one number.
        strides: The step from patch to patch; the size by default.
        dilation_rate: The distance between the pixels of a patch.
        padding: `"valid"` or `"same"`.
        data_format: `"channels_last"` (the default) or `"channels_first"`.

    Raises:
        ArgumentError: A size of another length.

    Example:
        >>> extract_patches(torch.ones(1, 4, 4, 3), 2).shape
        torch.Size([1, 2, 2, 12])
    """
    if not isinstance(size, int) and len(size) not in (2, 3):
        raise ArgumentError(f"`size` must be one number, (height, width) or (depth, height, width); got {size!r}.")
    rank = 2 if isinstance(size, int) else len(size)
    return _patches(images, size, strides, dilation_rate, padding, data_format, rank)


def extract_patches_3d(
    volumes: Any,
    size: Any,
    strides: Any = None,
    dilation_rate: Any = 1,
    padding: str = "valid",
    data_format: str | None = None,
) -> torch.Tensor:
    """The patches of volumes (depth, height, width, channels), each flattened into the channels.

    Arguments as for `extract_patches`, with one axis more.

    Example:
        >>> extract_patches_3d(torch.ones(1, 4, 4, 4, 1), 2).shape
        torch.Size([1, 2, 2, 2, 8])
    """
    return extract_patches(volumes, sizes("size", size, 3), strides, dilation_rate, padding, data_format)


@op
def reconstruct_patches(
    patches: Any,
    size: Any,
    output_size: Sequence[int],
    strides: Any = None,
    padding: str = "valid",
    data_format: str | None = None,
) -> torch.Tensor:
    """The pictures that patches side by side were cut from: what `extract_patches` did, undone.

    Args:
        patches: As from `extract_patches`, (batch, rows, columns, height * width * channels) or those of one picture;
            of volumes with one axis more.
        size: (height, width) of a patch, (depth, height, width), or one number for pictures.
        output_size: (height, width) of the pictures, or (depth, height, width).
        strides: The step from patch to patch: none but the size.
        padding: `"valid"`, or `"same"` where the patches were cut with it; what was added around is cut away.
        data_format: `"channels_last"` (the default) or `"channels_first"`.

    Raises:
        ArgumentError: A size of another length, or patches that overlap.
        ShapeError: Patches of another rank or size, or which do not cover `output_size`.

    Example:
        >>> pictures = torch.arange(32.0).reshape(1, 4, 4, 2)
        >>> torch.equal(reconstruct_patches(extract_patches(pictures, 2), 2, (4, 4)), pictures)
        True
    """
    rank = 2 if isinstance(size, int) else len(size)
    if rank not in (2, 3) or len(output_size) != rank:
        raise ArgumentError(
            "`size` and `output_size` must be (height, width) or (depth, height, width), one as the other; "
            f"got {size!r} and {output_size!r}."
        )
    window, output = sizes("size", size, rank), tuple(output_size)
    if strides is not None and sizes("strides", strides, rank) != window:
        raise ArgumentError(
            f"reconstruct_patches: patches must lie side by side; got strides={strides!r}, size={size!r}."
        )
    data_format, padding = checked_data_format(data_format), check_padding(padding)
    x = tensor(patches)
    if x.ndim not in (rank + 1, rank + 2):
        raise ShapeError(f"patches of {rank} axes have rank {rank + 1} or {rank + 2}; got shape {tuple(x.shape)}.")
    batch = channels_first(x if x.ndim == rank + 2 else x.unsqueeze(0), data_format, "reconstruct_patches")
    count, flat, *grid = batch.shape
    covered = [rows * taps for rows, taps in zip(grid, window, strict=True)]
    over = [have - wanted for have, wanted in zip(covered, output, strict=True)]
    fits = all(0 <= extra < (taps if padding == "same" else 1) for extra, taps in zip(over, window, strict=True))
    if flat % math.prod(window) or not fits:
        raise ShapeError(
            f"reconstruct_patches: patches of shape {tuple(x.shape)}, {window} each, cover {tuple(covered)}; "
            f"with padding={padding!r} they do not make pictures of {output}."
        )
    parts = batch.reshape(count, *window, flat // math.prod(window), *grid)
    channels = rank + 1
    order = [0, channels]
    for axis in range(rank):
        order += [channels + 1 + axis, 1 + axis]
    whole = parts.permute(order).reshape(count, -1, *covered)
    for axis, (extra, wanted) in enumerate(zip(over, output, strict=True)):
        whole = whole.narrow(axis + 2, extra // 2, wanted)
    found = channels_back(whole, data_format)
    return found if x.ndim == rank + 2 else found.squeeze(0)


def _patches(
    images: Any, size: Any, strides: Any, dilation: Any, padding: str, data_format: Any, rank: int
) -> torch.Tensor:
    data_format, padding = checked_data_format(data_format), check_padding(padding)
    x = tensor(images)
    if x.ndim not in (rank + 1, rank + 2):
        raise ShapeError(f"extract_patches takes inputs of rank {rank + 1} or {rank + 2}; got shape {tuple(x.shape)}.")
    batch = x if x.ndim == rank + 2 else x.unsqueeze(0)
    window = sizes("size", size, rank)
    steps = sizes("strides", strides or size, rank)
    spread = sizes("dilation_rate", dilation, rank)
    batch = channels_first(batch, data_format, "extract_patches")
    if padding == "same":
        batch = padded(batch, same_padding(batch.shape[2:], window, steps, spread))
    for axis, (taps, step, gap) in enumerate(zip(window, steps, spread, strict=True)):
        batch = batch.unfold(axis + 2, (taps - 1) * gap + 1, step)[..., ::gap]
    space = batch.shape[2 : 2 + rank]
    order = (0, *range(2 + rank, 2 + 2 * rank), 1, *range(2, 2 + rank))
    found = batch.permute(order).reshape(batch.shape[0], -1, *space)
    found = channels_back(found, data_format)
    return found if x.ndim == rank + 2 else found.squeeze(0)


def _third(name: str, given: dict[str, Any], size: int, sign: int) -> tuple[int, int]:
    """The margins before and behind, where one of them or the target size is not given."""
    first, second, target = given.values()
    if [first, second, target].count(None) != 1:
        raise ArgumentError(f"{name}: give exactly two of {', '.join(given)}; got {given}.")
    for key, value in given.items():
        if value is not None and value < 0:
            raise ArgumentError(f"{name}: `{key}` must not be negative; got {value}.")
    margin = None if target is None else sign * (target - size)
    first = margin - second if first is None else first
    second = margin - first if second is None else second
    if first < 0 or second < 0:
        raise ArgumentError(f"{name}: a picture of size {size} does not fit {given}.")
    return first, second


def _margins(name: str, images: torch.Tensor, vertical: Any, horizontal: Any, what: str, data_format: str) -> Any:
    height, width = _image.size_of(images, data_format)
    sign = 1 if what == "padding" else -1
    keys = (f"top_{what}", f"bottom_{what}", "target_height"), (f"left_{what}", f"right_{what}", "target_width")
    rows = _third(name, dict(zip(keys[0], vertical, strict=True)), height, sign)
    columns = _third(name, dict(zip(keys[1], horizontal, strict=True)), width, sign)
    return rows, columns


@op
def pad_images(
    images: Any,
    top_padding: int | None = None,
    left_padding: int | None = None,
    bottom_padding: int | None = None,
    right_padding: int | None = None,
    target_height: int | None = None,
    target_width: int | None = None,
    data_format: str | None = None,
) -> torch.Tensor:
    """Pictures with zeros around them: two of top, bottom and target height, two of left, right and target width.

    Raises:
        ArgumentError: Another number of them, or a target below the size.

    Example:
        >>> pad_images(torch.ones(2, 2, 1), 1, 0, 1, 0).shape
        torch.Size([4, 2, 1])
    """
    data_format, images = checked_data_format(data_format), _pictures("pad_images", images)
    rows, columns = _margins(
        "pad_images",
        images,
        (top_padding, bottom_padding, target_height),
        (left_padding, right_padding, target_width),
        "padding",
        data_format,
    )
    return padded(images, [rows, columns, (0, 0)] if data_format == "channels_last" else [rows, columns])


@op
def crop_images(
    images: Any,
    top_cropping: int | None = None,
    left_cropping: int | None = None,
    bottom_cropping: int | None = None,
    right_cropping: int | None = None,
    target_height: int | None = None,
    target_width: int | None = None,
    data_format: str | None = None,
) -> torch.Tensor:
    """Pictures without their margins: two of top, bottom and target height, two of left, right and target width.

    Raises:
        ArgumentError: Another number of them, or margins wider than the picture.

    Example:
        >>> crop_images(torch.ones(4, 4, 1), 1, 0, target_height=2, target_width=3).shape
        torch.Size([2, 3, 1])
    """
    data_format, images = checked_data_format(data_format), _pictures("crop_images", images)
    (top, bottom), (left, right) = _margins(
        "crop_images",
        images,
        (top_cropping, bottom_cropping, target_height),
        (left_cropping, right_cropping, target_width),
        "cropping",
        data_format,
    )
    height, width = _image.size_of(images, data_format)
    if top + bottom > height or left + right > width:
        raise ArgumentError(f"crop_images: the margins are wider than the picture of {height} x {width}.")
    rows, columns = slice(top, height - bottom), slice(left, width - right)
    return images[..., rows, columns, :] if data_format == "channels_last" else images[..., rows, columns]

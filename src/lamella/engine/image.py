"""Images as tensors: colours, sizes, and sampling at moved coordinates. The numerics are those of `keras.ops.image`.

Every function takes one image (rank 3) or a batch of them (rank 4) and works on all of them at once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F

from lamella.engine.colours import channel_axis, check_float, check_images, hsv_to_rgb, rgb_to_grayscale, rgb_to_hsv
from lamella.errors import ArgumentError, ShapeError

__all__ = [
    "FILL_MODES",
    "INTERPOLATIONS",
    "SAMPLINGS",
    "affine_transform",
    "channel_axis",
    "compute_homography_matrix",
    "elastic_transform",
    "gaussian_blur",
    "hsv_to_rgb",
    "middle_window",
    "perspective_transform",
    "resize",
    "rgb_to_grayscale",
    "rgb_to_hsv",
    "sample",
    "size_of",
]

INTERPOLATIONS = ("bilinear", "nearest", "bicubic", "lanczos3", "lanczos5")
SAMPLINGS = ("nearest", "bilinear")
FILL_MODES = ("constant", "nearest", "wrap", "mirror", "reflect")


def size_of(images: torch.Tensor, data_format: str = "channels_last") -> tuple[int, int]:
    """(height, width).

    Example:
        >>> size_of(torch.zeros(2, 5, 7, 3))
        (5, 7)
    """
    height, width = images.shape[-2:] if data_format == "channels_first" else images.shape[-3:-1]
    return height, width


# -- size ---------------------------------------------------------------------------------------------


def resize(
    images: torch.Tensor,
    size: Sequence[int],
    interpolation: str = "bilinear",
    antialias: bool = False,
    crop_to_aspect_ratio: bool = False,
    pad_to_aspect_ratio: bool = False,
    fill_mode: str = "constant",
    fill_value: float = 0.0,
    data_format: str = "channels_last",
) -> torch.Tensor:
    """Images of another size.

    Args:
        images: One image or a batch. Integers are rounded back to their type.
        size: (height, width).
        interpolation: One of `INTERPOLATIONS`.
        antialias: Whether to average over what a smaller image leaves out. Nearest has no such form.
        crop_to_aspect_ratio: Whether to cut the middle of `size`'s proportions out first.
        pad_to_aspect_ratio: Whether to pad to `size`'s proportions first, with `fill_value`.
        fill_mode: `"constant"`.
        fill_value: What padding is filled with.
        data_format: `"channels_last"` or `"channels_first"`.

    Raises:
        ArgumentError: An unknown interpolation, another fill mode, or both cropping and padding.

    Example:
        >>> resize(torch.tensor([[[0.0], [4.0]]]), (1, 4)).flatten()
        tensor([0., 1., 3., 4.])
    """
    check_images(images)
    if interpolation not in INTERPOLATIONS:
        raise ArgumentError(f"`interpolation` must be one of {INTERPOLATIONS}; got {interpolation!r}.")
    if fill_mode != "constant":
        raise ArgumentError(f"`fill_mode` of a resizing can only be 'constant'; got {fill_mode!r}.")
    if crop_to_aspect_ratio and pad_to_aspect_ratio:
        raise ArgumentError("Only one of `crop_to_aspect_ratio` and `pad_to_aspect_ratio` can be True.")
    if len(size) != 2:
        raise ArgumentError(f"`size` must be (height, width); got {size!r}.")
    target = (int(size[0]), int(size[1]))
    kind = images.dtype
    x = images if images.ndim == 4 else images.unsqueeze(0)
    x = x if kind in (torch.float32, torch.float64) else x.to(torch.float32)
    x = x.permute(0, 3, 1, 2) if data_format == "channels_last" else x
    height, width = x.shape[-2:]
    if crop_to_aspect_ratio:
        top, left, high, wide = middle_window((height, width), target)
        x = x[:, :, top : top + high, left : left + wide]
    elif pad_to_aspect_ratio:
        above = (max(height, int(float(width * target[0]) / target[1])) - height) // 2
        beside = (max(width, int(float(height * target[1]) / target[0])) - width) // 2
        x = F.pad(x, (beside, beside, above, above), value=fill_value)
    x = _resized(x, target, interpolation, antialias)
    if interpolation != "bilinear" and kind is torch.uint8:
        x = x.clamp(0, 255)  # cubic and Lanczos curves overshoot
    x = x.permute(0, 2, 3, 1) if data_format == "channels_last" else x
    x = x.round().to(kind) if not kind.is_floating_point else x.to(kind)
    return x if images.ndim == 4 else x.squeeze(0)


def _resized(x: torch.Tensor, size: tuple[int, int], interpolation: str, antialias: bool) -> torch.Tensor:
    if interpolation == "nearest":
        return F.interpolate(x, size, mode="nearest-exact")
    if interpolation in ("bilinear", "bicubic"):
        return F.interpolate(x, size, mode=interpolation, align_corners=False, antialias=antialias)
    radius = int(interpolation[-1])
    rows = _lanczos_weights(x.shape[-2], size[0], radius, antialias, x)
    columns = _lanczos_weights(x.shape[-1], size[1], radius, antialias, x)
    return rows @ x @ columns.T


def _lanczos_weights(before: int, after: int, radius: int, antialias: bool, like: torch.Tensor) -> torch.Tensor:
    """The (after, before) matrix that resamples one axis: sinc(x) sinc(x / radius), each row summing to 1."""
    ratio = before / after
    places = (torch.arange(after, dtype=like.dtype, device=like.device) + 0.5) * ratio - 0.5
    known = torch.arange(before, dtype=like.dtype, device=like.device)
    x = (places[:, None] - known).abs() / (max(ratio, 1.0) if antialias else 1.0)
    weights = torch.where(x < radius, torch.sinc(x) * torch.sinc(x / radius), 0.0)
    return weights / weights.sum(1, keepdim=True)


def middle_window(size: tuple[int, int], target: tuple[int, int]) -> tuple[int, int, int, int]:
    """(top, left, height, width) of the largest window in the middle of `size` with the proportions of `target`.

    Example:
        >>> middle_window((10, 20), (4, 4))
        (0, 5, 10, 10)
    """
    height = max(min(size[0], int(float(size[1] * target[0]) / target[1])), 1)
    width = max(min(size[1], int(float(size[0] * target[1]) / target[0])), 1)
    return (size[0] - height) // 2, (size[1] - width) // 2, height, width


# -- moved coordinates --------------------------------------------------------------------------------


def affine_transform(
    images: torch.Tensor,
    transforms: torch.Tensor,
    interpolation: str = "bilinear",
    fill_mode: str = "constant",
    fill_value: float = 0.0,
    data_format: str = "channels_last",
) -> torch.Tensor:
    """Each output pixel (x, y) is the input at ((a0 x + a1 y + a2) / k, (b0 x + b1 y + b2) / k), k = c0 x + c1 y + 1.

    Args:
        images: One image or a batch.
        transforms: (a0, a1, a2, b0, b1, b2, c0, c1), or a row of them for each image.
        interpolation: `"nearest"` or `"bilinear"`.
        fill_mode: What lies outside the image, for a b c d: `"constant"` (`fill_value`), `"nearest"` (a a | d d),
            `"wrap"` (c d | a b), `"mirror"` (c b | c b), `"reflect"` (b a | d c).
        fill_value: The constant.
        data_format: `"channels_last"` or `"channels_first"`.

    Raises:
        ArgumentError: Another interpolation or fill mode.
        ShapeError: Transforms that are not 8 numbers for each image.

    Example:
        >>> image = torch.tensor([[[1.0], [2.0], [3.0]]])
        >>> affine_transform(image, torch.tensor([1.0, 0, 1, 0, 1, 0, 0, 0])).flatten()
        tensor([2., 3., 0.])
    """
    check_images(images)
    if transforms.ndim not in (1, 2) or transforms.shape[-1] != 8:
        raise ShapeError(f"A transform is 8 numbers for each image; got shape {tuple(transforms.shape)}.")
    height, width = size_of(images, data_format)
    kind = transforms.dtype if transforms.dtype is torch.float64 else torch.float32
    numbers = transforms.to(images.device, kind).reshape(-1, 8, 1, 1).unbind(1)
    a0, a1, a2, b0, b1, b2, c0, c1 = numbers
    x = torch.arange(width, dtype=kind, device=images.device)
    y = torch.arange(height, dtype=kind, device=images.device)[:, None]
    k = c0 * x + c1 * y + 1.0
    return sample(
        images,
        (a0 * x + a1 * y + a2) / k,
        (b0 * x + b1 * y + b2) / k,
        interpolation,
        fill_mode,
        fill_value,
        data_format,
    )


def perspective_transform(
    images: torch.Tensor,
    start_points: torch.Tensor,
    end_points: torch.Tensor,
    interpolation: str = "bilinear",
    fill_value: float = 0.0,
    data_format: str = "channels_last",
) -> torch.Tensor:
    """The images with their `start_points` at `end_points`: four (x, y) for all of them or for each, (batch, 4, 2).

    Example:
        >>> corners = torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
        >>> perspective_transform(torch.ones(2, 2, 1), corners, corners).shape
        torch.Size([2, 2, 1])
    """
    for points in (start_points, end_points):
        if points.ndim not in (2, 3) or points.shape[-2:] != (4, 2):
            raise ShapeError(f"Points must have shape (4, 2) or (batch, 4, 2); got {tuple(points.shape)}.")
    transforms = compute_homography_matrix(start_points, end_points)
    return affine_transform(images, transforms, interpolation, "constant", fill_value, data_format)


def compute_homography_matrix(start_points: torch.Tensor, end_points: torch.Tensor) -> torch.Tensor:
    """The 8 numbers of the map from the `end_points` to the `start_points`, as `affine_transform` takes them.

    Example:
        >>> square = torch.tensor([[[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [1.0, 1.0]]])
        >>> compute_homography_matrix(square, square + 1.0).round().abs()
        tensor([[1., 0., 1., 0., 1., 1., 0., 0.]])
    """
    start, end = (
        p.to(torch.promote_types(p.dtype, torch.float32)).reshape(-1, 4, 2) for p in (start_points, end_points)
    )
    x, y = end.unbind(-1)
    one, zero = torch.ones_like(x), torch.zeros_like(x)
    u, v = start.unbind(-1)
    for_u = torch.stack([x, y, one, zero, zero, zero, -u * x, -u * y], -1)
    for_v = torch.stack([zero, zero, zero, x, y, one, -v * x, -v * y], -1)
    equations = torch.stack([for_u, for_v], 2).flatten(1, 2)
    return torch.linalg.solve_ex(equations, start.flatten(1).unsqueeze(-1))[0].squeeze(-1)


def sample(
    images: torch.Tensor,
    x: torch.Tensor,
    y: torch.Tensor,
    interpolation: str = "bilinear",
    fill_mode: str = "constant",
    fill_value: float = 0.0,
    data_format: str = "channels_last",
) -> torch.Tensor:
    """The images read at the coordinates `x` (column) and `y` (row), each (batch or 1, height, width) in pixels.

    Interpolation and fill modes are as for `affine_transform`.

    Example:
        >>> image = torch.tensor([[[1.0], [2.0]]])
        >>> sample(image, torch.tensor([[[0.5]]]), torch.tensor([[[0.0]]])).flatten()
        tensor([1.5000])
    """
    if interpolation not in SAMPLINGS:
        raise ArgumentError(f"`interpolation` must be one of {SAMPLINGS}; got {interpolation!r}.")
    if fill_mode not in FILL_MODES:
        raise ArgumentError(f"`fill_mode` must be one of {FILL_MODES}; got {fill_mode!r}.")
    batch = images if images.ndim == 4 else images.unsqueeze(0)
    batch = batch.permute(0, 2, 3, 1) if data_format == "channels_first" else batch
    by_torch = images.dtype is x.dtype and interpolation == "bilinear" and fill_mode != "wrap"
    read = _sampled_by_torch if by_torch else _sampled_by_pixels
    result = read(batch, x, y, interpolation, fill_mode, fill_value)
    result = result.permute(0, 3, 1, 2) if data_format == "channels_first" else result
    return result if images.ndim == 4 else result.squeeze(0)


def _sampled_by_torch(
    images: torch.Tensor, x: torch.Tensor, y: torch.Tensor, interpolation: str, fill_mode: str, fill_value: float
) -> torch.Tensor:
    """Bilinear, by torch's kernel: a tenth of the time, but rounding moves a pixel by some 1e-5 of its width."""
    _, height, width, _ = images.shape
    corners = fill_mode == "mirror"  # what torch turns back at: centres of the last pixels, or their edges
    if corners:
        grid_x, grid_y = 2 * x / max(width - 1, 1) - 1, 2 * y / max(height - 1, 1) - 1
    else:
        grid_x, grid_y = (2 * x + 1) / width - 1, (2 * y + 1) / height - 1
    grid = torch.stack(torch.broadcast_tensors(grid_x, grid_y), -1).expand(images.shape[0], -1, -1, -1)
    padding = {"constant": "zeros", "nearest": "border"}.get(fill_mode, "reflection")
    shift = fill_value if fill_mode == "constant" else 0.0
    pixels = (images - shift if shift else images).permute(0, 3, 1, 2)
    result = F.grid_sample(pixels, grid, interpolation, padding, align_corners=corners)
    return (result + shift if shift else result).permute(0, 2, 3, 1)


def _sampled_by_pixels(
    images: torch.Tensor, x: torch.Tensor, y: torch.Tensor, interpolation: str, fill_mode: str, fill_value: float
) -> torch.Tensor:
    """Any interpolation, fill mode and data type, by reading whole pixels."""
    read = _Reader(images, fill_mode, fill_value)
    if interpolation == "nearest":
        return read(read.column(x.round()), read.row(y.round()))
    left, above = x.floor(), y.floor()
    right_share, below_share = (x - left).unsqueeze(-1), (y - above).unsqueeze(-1)
    i, next_i, j, next_j = read.column(left), read.column(left + 1), read.row(above), read.row(above + 1)
    upper = read(i, j) * (1 - right_share) + read(next_i, j) * right_share
    lower = read(i, next_j) * (1 - right_share) + read(next_i, next_j) * right_share
    result = upper * (1 - below_share) + lower * below_share
    return (result if images.is_floating_point() else result.round()).to(images.dtype)


_Place = tuple[torch.Tensor, torch.Tensor | None]


class _Reader:
    """Whole pixels of NHWC images by column and row, also outside of the image."""

    def __init__(self, images: torch.Tensor, fill_mode: str, fill_value: float) -> None:
        batch, self.height, self.width, channels = images.shape
        self.pixels = images.reshape(-1, channels)
        self.inside = _INSIDE[fill_mode]
        self.constant = fill_mode == "constant"
        self.fill_value = fill_value if images.is_floating_point() else int(fill_value)
        self.first = torch.arange(batch, device=images.device).reshape(-1, 1, 1) * (self.height * self.width)

    def column(self, x: torch.Tensor) -> _Place:
        """Where columns are in a row, and, for a constant filling, whether they are in the image at all."""
        index = x.long()
        return self.inside(index, self.width), (index >= 0) & (index < self.width) if self.constant else None

    def row(self, y: torch.Tensor) -> _Place:
        """The same for rows, as the index of their first pixel."""
        index = y.long()
        first = self.inside(index, self.height) * self.width
        return first, (index >= 0) & (index < self.height) if self.constant else None

    def __call__(self, column: _Place, row: _Place) -> torch.Tensor:
        place = self.first + row[0] + column[0]
        values = self.pixels.index_select(0, place.flatten()).reshape(*place.shape, -1)
        if column[1] is None or row[1] is None:
            return values
        return torch.where((column[1] & row[1]).unsqueeze(-1), values, self.fill_value)


def _mirrored(index: torch.Tensor, size: int) -> torch.Tensor:
    if size == 1:
        return torch.zeros_like(index)
    last = size - 1
    return (torch.remainder(index + last, 2 * last) - last).abs()


def _reflected(index: torch.Tensor, size: int) -> torch.Tensor:
    return torch.div(_mirrored(2 * index + 1, 2 * size + 1) - 1, 2, rounding_mode="floor")


def _nearest(index: torch.Tensor, size: int) -> torch.Tensor:
    return index.clamp(0, size - 1)


def _wrapped(index: torch.Tensor, size: int) -> torch.Tensor:
    return torch.remainder(index, size)


_INSIDE: dict[str, Callable[[torch.Tensor, int], torch.Tensor]] = {
    "constant": _nearest,
    "nearest": _nearest,
    "wrap": _wrapped,
    "mirror": _mirrored,
    "reflect": _reflected,
}


# -- blur and waves -----------------------------------------------------------------------------------


def gaussian_blur(
    images: torch.Tensor,
    kernel_size: Sequence[int] = (3, 3),
    sigma: Any = (1.0, 1.0),
    data_format: str = "channels_last",
) -> torch.Tensor:
    """The images convolved with a Gaussian; outside of them is 0.

    Args:
        images: One image or a batch, of floating-point numbers.
        kernel_size: (height, width) of the kernel, odd numbers.
        sigma: The standard deviations along x and y in pixels: two numbers or a tensor of two.
        data_format: `"channels_last"` or `"channels_first"`.

    Example:
        >>> gaussian_blur(torch.ones(3, 3, 1))[1, 1]
        tensor([1.])
    """
    check_images(images)
    check_float(images)
    x = images if images.ndim == 4 else images.unsqueeze(0)
    x = x.permute(0, 3, 1, 2) if data_format == "channels_last" else x
    wide, high = torch.as_tensor(sigma, dtype=x.dtype, device=x.device).reshape(2).unbind()
    rows, columns = int(kernel_size[0]), int(kernel_size[1])
    channels = x.shape[1]
    vertical = _bell(rows, high).reshape(1, 1, rows, 1).expand(channels, -1, -1, -1)
    horizontal = _bell(columns, wide).reshape(1, 1, 1, columns).expand(channels, -1, -1, -1)
    x = F.conv2d(x, vertical, padding=(rows // 2, 0), groups=channels)
    x = F.conv2d(x, horizontal, padding=(0, columns // 2), groups=channels)
    x = x.permute(0, 2, 3, 1) if data_format == "channels_last" else x
    return x if images.ndim == 4 else x.squeeze(0)


def _bell(size: int, sigma: torch.Tensor) -> torch.Tensor:
    x = torch.arange(size, dtype=sigma.dtype, device=sigma.device) - (size - 1) / 2
    weights = torch.exp(-0.5 * (x / sigma) ** 2)
    return weights / weights.sum()


def elastic_transform(
    images: torch.Tensor,
    alpha: Any = 20.0,
    sigma: Any = 5.0,
    interpolation: str = "bilinear",
    fill_mode: str = "reflect",
    fill_value: float = 0.0,
    data_format: str = "channels_last",
    generator: torch.Generator | None = None,
    noise: torch.Tensor | None = None,
    kernel_size: int | None = None,
) -> torch.Tensor:
    """The images with every pixel moved a little, smoothly (Simard et al., 2003).

    Args:
        images: One image or a batch.
        alpha: How far pixels move.
        sigma: How smoothly: the standard deviation of the blur of the movements, in pixels.
        interpolation: As for `affine_transform`, like `fill_mode` and `fill_value`.
        fill_mode: What lies outside the image.
        fill_value: The constant there.
        data_format: `"channels_last"` or `"channels_first"`.
        generator: The source of the random movements.
        noise: Normal numbers (2, batch, height, width) to move by (along x, then y) instead of drawing them.
        kernel_size: The size of the blur; 6 `sigma`, made odd, by default (`sigma` must be a number for that).

    Example:
        >>> elastic_transform(torch.ones(2, 8, 8, 3), alpha=1.0, sigma=1.0).shape
        torch.Size([2, 8, 8, 3])
    """
    check_images(images)
    height, width = size_of(images, data_format)
    batch = images.shape[0] if images.ndim == 4 else 1
    kind = images.dtype if images.is_floating_point() else torch.float32
    if noise is None:
        noise = torch.empty((2, batch, height, width), dtype=kind, device=images.device).normal_(generator=generator)
    size = int(6 * float(sigma)) | 1 if kernel_size is None else kernel_size
    deviation = torch.as_tensor(sigma, dtype=kind, device=images.device)
    moves = gaussian_blur(
        (noise * deviation).reshape(2 * batch, 1, height, width), (size, size), deviation.expand(2), "channels_first"
    )
    move_x, move_y = (alpha * moves).reshape(2, batch, height, width)
    x = torch.arange(width, dtype=kind, device=images.device) + move_x
    y = torch.arange(height, dtype=kind, device=images.device)[:, None] + move_y
    return sample(images, x, y, interpolation, fill_mode, fill_value, data_format)

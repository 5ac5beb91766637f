"""Affine maps of pictures, masks and boxes, and colours: what `Augmentation` is made of.

Coordinates are (x, y) in pixels, and continuous: pixel i reaches from i to i + 1. A map is a matrix (3, 3) that takes
points of the picture to points of the result.
"""

from __future__ import annotations

import math

import numpy as np
import torch
import torch.nn.functional as F

Region = tuple[int, int, int, int]
"""(top, left, bottom, right), the last two excluded."""


def linear(angle: float, scale: float, shear: tuple[float, float], flips: tuple[bool, bool]) -> np.ndarray:
    """The matrix (2, 2) that flips, shears, scales and then turns by `angle` degrees, clockwise as one sees it.

    Example:
        >>> linear(90, 2.0, (0, 0), (False, False)).round()
        array([[ 0., -2.],
               [ 2.,  0.]])
    """
    turn = math.radians(angle)
    rotation = np.array([[math.cos(turn), -math.sin(turn)], [math.sin(turn), math.cos(turn)]])
    lean = np.array([[1, math.tan(math.radians(shear[0]))], [math.tan(math.radians(shear[1])), 1]])
    return scale * rotation @ lean @ np.diag([-1.0 if flip else 1.0 for flip in flips])


def about(matrix: np.ndarray, source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """The map with the linear part `matrix` that takes the point `source` to `target`.

    Example:
        >>> about(np.eye(2), np.array([1, 2]), np.array([3, 3]))[:2, 2]
        array([2., 1.])
    """
    found = np.eye(3)
    found[:2, :2] = matrix
    found[:2, 2] = target - matrix @ source
    return found


def warp_boxes(boxes: np.ndarray, forward: np.ndarray, region: Region, keep: float) -> tuple[np.ndarray, np.ndarray]:
    """The boxes around the moved corners of boxes, cut at the region; and which of them keep enough of their area.

    Args:
        boxes: (n, 4), xyxy.
        forward: The map.
        region: Where boxes may be.
        keep: The least share of a moved box's area that must lie in the region.

    Example:
        >>> by_one = about(np.eye(2), np.zeros(2), np.ones(2))
        >>> moved, kept = warp_boxes(np.array([[0.0, 0, 4, 4]]), by_one, region=(0, 0, 3, 9), keep=0.1)
        >>> moved.tolist(), kept.tolist()
        ([[1.0, 1.0, 5.0, 3.0]], [True])
    """
    corners = boxes[:, [0, 1, 2, 1, 2, 3, 0, 3]].reshape(-1, 4, 2) @ forward[:2, :2].T + forward[:2, 2]
    moved = np.concatenate([corners.min(1), corners.max(1)], 1)
    top, left, bottom, right = region
    inside = moved.clip((left, top, left, top), (right, bottom, right, bottom))
    whole, left_over = ((b[:, 2:] - b[:, :2]).prod(1) for b in (moved, inside))
    return inside.astype("float32"), (left_over > 0) & (left_over >= keep * whole)


def warp(
    picture: np.ndarray,
    mask: np.ndarray | None,
    forward: np.ndarray,
    region: Region,
    fill: int | None,
    mask_fill: int,
    colours: tuple[np.ndarray, np.ndarray] | None = None,
    displacement: torch.Tensor | None = None,
) -> tuple[np.ndarray, np.ndarray | None]:
    """The part of a moved picture, and of its mask, that lies in a region: (bottom - top, right - left, channels).

    Args:
        picture: Bytes (height, width, channels); sampled bilinearly.
        mask: Whole numbers (height, width) below 2**24; sampled at the nearest pixel.
        forward: The map.
        region: The part wanted.
        fill: The value outside the picture; None mirrors picture and mask at their edges.
        mask_fill: That of the mask.
        colours: A matrix (channels, channels) and a bias (channels,) for the picture's values.
        displacement: (2, height, width) of the region: x and y, added to where each pixel is taken from, in pixels.
    """
    backward = np.linalg.inv(forward)
    if mask is None and displacement is None and np.array_equal(backward, np.eye(3)):
        same = region == (0, 0, *picture.shape[:2])
        if same and colours is None:
            return picture, None
    window = _window(picture.shape[:2], backward, region, displacement)
    picture = picture[window]
    height, width = picture.shape[:2]
    to_grid = np.array([[2 / width, 0, -1], [0, 2 / height, -1], [0, 0, 1]])
    to_grid[:2, 2] -= to_grid[:2, :2] @ (window[1].start, window[0].start)
    grid = _grid(to_grid @ backward, region)
    if displacement is not None:
        grid[..., 0].add_(displacement[0], alpha=2 / width)
        grid[..., 1].add_(displacement[1], alpha=2 / height)
    padding = "reflection" if fill is None else "zeros"

    def sampled(values: torch.Tensor, mode: str) -> torch.Tensor:
        return F.grid_sample(values[None], grid[None], mode=mode, padding_mode=padding, align_corners=False)[0]

    values = _coloured(picture, colours, fill or 0)
    found = sampled(values, "bilinear").add_((fill or 0) + 0.5)  # bytes are cut off: so they are rounded
    moved = torch.stack(found.to(torch.uint8).unbind(), -1).numpy()  # a quarter of the time of a permuted copy
    if mask is None:
        return moved, None
    labels = torch.from_numpy(mask[window].astype("float32"))[None] - mask_fill
    return moved, (sampled(labels, "nearest")[0] + mask_fill).round_().numpy().astype(mask.dtype)


def _window(
    shape: tuple[int, ...], backward: np.ndarray, region: Region, displacement: torch.Tensor | None
) -> tuple[slice, slice]:
    """The part of the picture that is needed: of a large picture, only that is turned into floats."""
    top, left, bottom, right = region
    corners = np.array([[left, right, left, right], [top, top, bottom, bottom], [1, 1, 1, 1]])
    needed = (backward @ corners)[:2]
    margin = 2.0 if displacement is None else 2.0 + float(displacement.abs().max())
    low, high = needed.min(1) - margin, needed.max(1) + margin
    slices = []
    for side, a, b in zip(shape, low[::-1], high[::-1], strict=True):
        start = int(min(max(a, 0), side - 1))
        slices.append(slice(start, max(int(min(b, side)), start + 1)))
    return slices[0], slices[1]


def _grid(backward: np.ndarray, region: Region) -> torch.Tensor:
    """Where each pixel of the region is taken from: (height, width, 2), -1 to 1; a quarter of affine_grid's time."""
    top, left, bottom, right = region
    matrix = torch.from_numpy(backward[:2].astype("float32"))
    x = torch.arange(left, right) + 0.5
    y = torch.arange(top, bottom) + 0.5
    grid = torch.empty(bottom - top, right - left, 2)
    torch.add(matrix[0, 0] * x, (matrix[0, 1] * y + matrix[0, 2])[:, None], out=grid[..., 0])
    torch.add(matrix[1, 0] * x, (matrix[1, 1] * y + matrix[1, 2])[:, None], out=grid[..., 1])
    return grid


def _coloured(picture: np.ndarray, colours: tuple[np.ndarray, np.ndarray] | None, fill: int) -> torch.Tensor:
    """A picture as floats (channels, height, width) less `fill`, with other colours."""
    values = torch.from_numpy(picture.transpose(2, 0, 1).astype("float32", order="C"))
    if colours is None:
        return values.sub_(fill) if fill else values
    matrix, bias = (torch.from_numpy(each.astype("float32")) for each in colours)
    found = torch.addmm((bias - fill)[:, None], matrix, values.flatten(1))
    return found.clamp_(-fill, 255 - fill).view(values.shape)


def smooth_field(points: np.ndarray, size: tuple[int, int]) -> torch.Tensor:
    """Values (2, n, n) at n x n points, interpolated bicubically to (2, *size); by two products, not pixel by pixel.

    Example:
        >>> smooth_field(np.ones((2, 3, 3)), (8, 5)).shape
        torch.Size([2, 8, 5])
    """
    n = points.shape[-1]
    rows, columns = (
        F.interpolate(torch.eye(n)[None, None], (side, n), mode="bicubic", align_corners=True)[0, 0] for side in size
    )
    return rows @ torch.from_numpy(points.astype("float32")) @ columns.T


def colour_matrix(
    picture: np.ndarray, hue: float, saturation: float, brightness: float, contrast: float
) -> tuple[np.ndarray, np.ndarray]:
    """The matrix and bias that change a picture's colours: all four changes are linear, and so one product.

    Args:
        picture: Bytes (height, width, 1 or 3).
        hue: A turn of the colours about the axis of greys, in turns.
        saturation: A factor for the distance from grey.
        brightness: A factor for all.
        contrast: A factor for the distance from the picture's mean.
    """
    turn = 2 * math.pi * hue
    cross = np.array([[0, -1, 1], [1, 0, -1], [-1, 1, 0]]) / math.sqrt(3)
    rotation = math.cos(turn) * np.eye(3) + math.sin(turn) * cross + (1 - math.cos(turn)) / 3
    grey = np.tile([0.299, 0.587, 0.114], (3, 1))
    matrix = brightness * (saturation * np.eye(3) + (1 - saturation) * grey) @ rotation
    matrix = matrix if picture.shape[2] == 3 else matrix[:1].sum(1, keepdims=True)  # greys stay grey
    mean = brightness * float(picture[::4, ::4].mean())
    return contrast * matrix, np.full(len(matrix), (1 - contrast) * mean)

"""Boxes around things in images: their formats, and where they are when the image has moved.

Boxes are tensors of shape (..., 4), or `{"boxes": ..., "labels": ...}` with the class of each box. A label of -1
marks a box with nothing in it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from lamella.engine.dtypes import torch_dtype
from lamella.errors import ArgumentError, ShapeError

_Parts = tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]


def _from_center(cx: torch.Tensor, cy: torch.Tensor, w: torch.Tensor, h: torch.Tensor) -> _Parts:
    return cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2


def _to_center(left: torch.Tensor, top: torch.Tensor, right: torch.Tensor, bottom: torch.Tensor) -> _Parts:
    return left + (right - left) / 2, top + (bottom - top) / 2, right - left, bottom - top


_TO_CORNERS: dict[str, Callable[..., _Parts]] = {
    "xyxy": lambda left, top, right, bottom: (left, top, right, bottom),
    "yxyx": lambda top, left, bottom, right: (left, top, right, bottom),
    "xywh": lambda left, top, w, h: (left, top, left + w, top + h),
    "center_xywh": _from_center,
    "center_yxhw": lambda cy, cx, h, w: _from_center(cx, cy, w, h),
}

_FROM_CORNERS: dict[str, Callable[..., _Parts]] = {
    "xyxy": lambda left, top, right, bottom: (left, top, right, bottom),
    "yxyx": lambda left, top, right, bottom: (top, left, bottom, right),
    "xywh": lambda left, top, right, bottom: (left, top, right - left, bottom - top),
    "center_xywh": _to_center,
    "center_yxhw": lambda *corners: tuple(_to_center(*corners)[i] for i in (1, 0, 3, 2)),  # type: ignore[return-value]
}

FORMATS = (*_TO_CORNERS, "rel_xyxy", "rel_yxyx", "rel_xywh", "rel_center_xywh")


def convert_format(
    boxes: Any,
    source: str,
    target: str,
    height: Any = None,
    width: Any = None,
    dtype: Any = "float32",
) -> Any:
    """Boxes in another format.

    Args:
        boxes: Boxes (..., 4), or a dict with them under `"boxes"`.
        source: The format they are in, one of `FORMATS`. The `rel_` ones count in heights and widths of the image.
        target: The format wanted.
        height: The height of the image; for `rel_` formats.
        width: Its width.
        dtype: The data type of the result.

    Raises:
        ArgumentError: An unknown format, or no height and width for a `rel_` one.
        ShapeError: Boxes that are not of four numbers.

    Example:
        >>> convert_format(torch.tensor([[10.0, 20.0, 30.0, 60.0]]), "xyxy", "center_xywh")
        tensor([[20., 40., 20., 40.]])
    """
    if isinstance(boxes, dict):
        return {**boxes, "boxes": convert_format(boxes["boxes"], source, target, height, width, dtype)}
    source, target = source.lower(), target.lower()
    for name in (source, target):
        if name not in FORMATS:
            raise ArgumentError(f"A bounding box format must be one of {FORMATS}; got {name!r}.")
    boxes = torch.as_tensor(boxes).to(torch_dtype(dtype))
    if boxes.shape[-1] != 4:
        raise ShapeError(f"Boxes have four numbers in the last axis; got shape {tuple(boxes.shape)}.")
    relative = [name.startswith("rel_") for name in (source, target)]
    if any(relative) and (height is None or width is None):
        raise ArgumentError(f"From {source!r} to {target!r}: give the `height` and `width` of the image.")
    if source == target:
        return boxes
    corners = _TO_CORNERS[source.removeprefix("rel_")](*boxes.split(1, -1))
    if relative == [True, False]:
        corners = tuple(c * s for c, s in zip(corners, (width, height, width, height), strict=True))
    elif relative == [False, True]:
        corners = tuple(c / s for c, s in zip(corners, (width, height, width, height), strict=True))
    return torch.cat(_FROM_CORNERS[target.removeprefix("rel_")](*corners), -1)


def clip_to_image_size(
    bounding_boxes: dict[str, Any],
    height: Any = None,
    width: Any = None,
    bounding_box_format: str = "xyxy",
) -> dict[str, Any]:
    """The parts of the boxes that lie in the image. Labels of boxes with no such part become -1.

    Args:
        bounding_boxes: A dict of `"boxes"` and, if there are any, `"labels"`.
        height: The height of the image; not needed for `"rel_xyxy"`.
        width: Its width.
        bounding_box_format: `"xyxy"` or `"rel_xyxy"`.

    Example:
        >>> boxes = torch.tensor([[-5.0, 2.0, 4.0, 99.0], [20.0, 0.0, 30.0, 5.0]])
        >>> clipped = clip_to_image_size({"boxes": boxes, "labels": torch.tensor([1, 2])}, height=10, width=10)
        >>> clipped["boxes"].tolist(), clipped["labels"].tolist()
        ([[0.0, 2.0, 4.0, 10.0], [10.0, 0.0, 10.0, 5.0]], [1, -1])
    """
    if bounding_box_format not in ("xyxy", "rel_xyxy"):
        raise ArgumentError(f"Boxes to clip must be 'xyxy' or 'rel_xyxy'; got {bounding_box_format!r}.")
    if bounding_box_format == "rel_xyxy":
        height = width = 1
    elif height is None or width is None:
        raise ArgumentError("Clipping 'xyxy' boxes needs the `height` and `width` of the image.")
    left, top, right, bottom = bounding_boxes["boxes"].unbind(-1)
    left, right = left.clamp(0, width), right.clamp(0, width)
    top, bottom = top.clamp(0, height), bottom.clamp(0, height)
    clipped = {**bounding_boxes, "boxes": torch.stack([left, top, right, bottom], -1)}
    labels = bounding_boxes.get("labels")
    if labels is not None:
        full = (right - left) * (bottom - top) > 0
        full = full.reshape(*full.shape, *[1] * (labels.ndim - full.ndim))
        clipped["labels"] = torch.where(full, labels, -1)
    return clipped


def moved_boxes(boxes: torch.Tensor, transforms: torch.Tensor) -> torch.Tensor:
    """Where xyxy boxes (batch, boxes, 4) are in images that `engine.image.affine_transform` moved.

    A moved box is the upright one around the four moved corners.

    Args:
        boxes: Boxes in pixels.
        transforms: (batch, 8), as `affine_transform` takes them: from a place in the result to one in the input.

    Example:
        >>> left_by_one = torch.tensor([[1.0, 0, 1, 0, 1, 0, 0, 0]])
        >>> moved_boxes(torch.tensor([[[2.0, 2.0, 4.0, 5.0]]]), left_by_one)
        tensor([[[1., 2., 3., 5.]]])
    """
    matrix = torch.cat([transforms, torch.ones_like(transforms[:, :1])], 1).reshape(-1, 3, 3)
    back = torch.linalg.inv_ex(matrix)[0].to(boxes.dtype)
    left, top, right, bottom = boxes.unbind(-1)
    x = torch.stack([left, right, right, left], -1)
    y = torch.stack([top, top, bottom, bottom], -1)
    u, v, w = torch.einsum("bij,jbnc->ibnc", back, torch.stack([x, y, torch.ones_like(x)]))
    u, v = u / w, v / w
    return torch.stack([u.amin(-1), v.amin(-1), u.amax(-1), v.amax(-1)], -1)

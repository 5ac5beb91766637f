"""Boxes around things in images: their formats, and where they are when the image has moved.

Boxes are tensors (..., 4), or `{"boxes": ..., "labels": ...}` with the class of each box; a label of -1 marks a box
with nothing in it.
"""

from __future__ import annotations

from typing import Any

import torch

from lamella.engine.dtypes import torch_dtype
from lamella.errors import ArgumentError, ShapeError

FORMATS = (
    "xyxy",
    "yxyx",
    "xywh",
    "center_xywh",
    "center_yxhw",
    "rel_xyxy",
    "rel_yxyx",
    "rel_xywh",
    "rel_center_xywh",
)


def convert_format(
    boxes: Any, source: str, target: str, height: Any = None, width: Any = None, dtype: Any = "float32"
) -> Any:
    """Boxes in another format.

    Args:
        boxes: (..., 4), or a dict with them under `"boxes"`.
        source: Their format.
        target: The format wanted.
        height: The height of the image; needed to or from a `rel_` format.
        width: Its width.
        dtype: The data type of the result.

    Raises:
        ArgumentError: An unknown format, or no height and width where they are needed.
        ShapeError: A last dimension other than 4.

    Example:
        >>> convert_format([[1.0, 2.0, 4.0, 6.0]], "xyxy", "xywh")
        tensor([[1., 2., 3., 4.]])
    """
    if isinstance(boxes, dict):
        return {**boxes, "boxes": convert_format(boxes["boxes"], source, target, height, width, dtype)}
    source, target = source.lower(), target.lower()
    for name, value in (("source", source), ("target", target)):
        if value not in FORMATS:
            raise ArgumentError(f"convert_format: `{name}` must be one of {', '.join(FORMATS)}; got {value!r}.")
    relative = source.startswith("rel_"), target.startswith("rel_")
    if any(relative) and (height is None or width is None):
        raise ArgumentError(f"convert_format: from {source!r} to {target!r} needs `height` and `width`.")
    boxes = torch.as_tensor(boxes).to(torch_dtype(dtype))
    if boxes.ndim == 0 or boxes.shape[-1] != 4:
        raise ShapeError(f"convert_format: boxes have a last dimension of 4; got shape {tuple(boxes.shape)}.")
    if source == target:
        return boxes
    corners = _TO_CORNERS[source.removeprefix("rel_")](boxes)
    if relative[0] != relative[1]:
        size = torch.cat([side_of(width, corners), side_of(height, corners)] * 2, -1)
        corners = corners * size if relative[0] else corners / size
    return _FROM_CORNERS[target.removeprefix("rel_")](corners)


def side_of(value: Any, boxes: torch.Tensor) -> torch.Tensor:
    """A height or width, one or one of each image, so that it fits boxes (..., boxes, 4)."""
    side = torch.as_tensor(value, dtype=boxes.dtype, device=boxes.device)
    return side.reshape(1) if side.ndim == 0 else side if side.shape[-1] == 1 else side.unsqueeze(-1)


def _swapped(boxes: torch.Tensor) -> torch.Tensor:
    return boxes[..., [1, 0, 3, 2]]


def _from_sizes(boxes: torch.Tensor) -> torch.Tensor:
    return torch.cat([boxes[..., :2], boxes[..., :2] + boxes[..., 2:]], -1)


def _to_sizes(boxes: torch.Tensor) -> torch.Tensor:
    return torch.cat([boxes[..., :2], boxes[..., 2:] - boxes[..., :2]], -1)


def _from_centers(boxes: torch.Tensor) -> torch.Tensor:
    half = boxes[..., 2:] / 2
    return torch.cat([boxes[..., :2] - half, boxes[..., :2] + half], -1)


def _to_centers(boxes: torch.Tensor) -> torch.Tensor:
    size = boxes[..., 2:] - boxes[..., :2]
    return torch.cat([boxes[..., :2] + size / 2, size], -1)


_TO_CORNERS = {
    "xyxy": lambda boxes: boxes,
    "yxyx": _swapped,
    "xywh": _from_sizes,
    "center_xywh": _from_centers,
    "center_yxhw": lambda boxes: _from_centers(_swapped(boxes)),
}
_FROM_CORNERS = {
    "xyxy": lambda boxes: boxes,
    "yxyx": _swapped,
    "xywh": _to_sizes,
    "center_xywh": _to_centers,
    "center_yxhw": lambda boxes: _swapped(_to_centers(boxes)),
}


def clip_to_image_size(
    bounding_boxes: dict[str, Any], height: Any = None, width: Any = None, bounding_box_format: str = "xyxy"
) -> dict[str, Any]:
    """Boxes cut at the edges of the image; the label of what is left without an area becomes -1.

    Args:
        bounding_boxes: A dict with `"boxes"` (..., boxes, 4) and maybe `"labels"` (..., boxes), or one-hot.
        height: The height of the image, with `"xyxy"`.
        width: Its width.
        bounding_box_format: `"xyxy"` or `"rel_xyxy"`.

    Raises:
        ArgumentError: Another format, or no height and width.

    Example:
        >>> clip_to_image_size({"boxes": torch.tensor([[-1.0, 0.0, 5.0, 2.0]])}, height=4, width=4)["boxes"]
        tensor([[0., 0., 4., 2.]])
    """
    if bounding_box_format not in ("xyxy", "rel_xyxy"):
        raise ArgumentError(f"clip_to_image_size takes boxes as 'xyxy' or 'rel_xyxy'; got {bounding_box_format!r}.")
    if bounding_box_format == "rel_xyxy":
        height = width = 1.0
    if height is None or width is None:
        raise ArgumentError("clip_to_image_size: boxes as 'xyxy' need `height` and `width`.")
    boxes = cut(torch.as_tensor(bounding_boxes["boxes"]), height, width)
    result = {**bounding_boxes, "boxes": boxes}
    if bounding_boxes.get("labels") is not None:
        labels, full = torch.as_tensor(bounding_boxes["labels"]), areas(boxes) > 0
        full = full.reshape(*full.shape, *[1] * (labels.ndim - full.ndim))
        result["labels"] = torch.where(full, labels, -1)
    return result


def cut(boxes: torch.Tensor, height: Any, width: Any) -> torch.Tensor:
    """The parts of xyxy boxes that lie in an image of this size."""
    limit = torch.cat([side_of(width, boxes), side_of(height, boxes)] * 2, -1)
    return torch.minimum(boxes.clamp(min=0), limit)


def areas(boxes: torch.Tensor) -> torch.Tensor:
    """Of xyxy boxes (..., 4)."""
    return (boxes[..., 2] - boxes[..., 0]) * (boxes[..., 3] - boxes[..., 1])


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

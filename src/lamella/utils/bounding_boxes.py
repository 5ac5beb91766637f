"""Boxes around things in images: formats, cutting, moving, offsets from anchors, overlap.

Boxes are tensors (..., 4). Formats: `xyxy` (left, top, right, bottom), `yxyx`, `xywh` (left, top, width, height),
`center_xywh`, `center_yxhw`, and with `rel_` as shares of the image (`rel_xyxy`, `rel_yxyx`, `rel_xywh`,
`rel_center_xywh`).
"""

from __future__ import annotations

import math
from typing import Any

import torch

from lamella.backend import epsilon
from lamella.errors import ArgumentError, ShapeError
from lamella.layers.image.bounding_boxes import FORMATS, areas, clip_to_image_size, convert_format, cut, side_of


def _only_corners(function: str, bounding_box_format: str) -> None:
    if bounding_box_format != "xyxy":
        raise NotImplementedError(
            f"{function} takes boxes as 'xyxy' only; got {bounding_box_format!r}. convert_format() them first."
        )


def crop(boxes: Any, top: Any, left: Any, height: Any, width: Any, bounding_box_format: str = "xyxy") -> torch.Tensor:
    """Boxes in the part of the image that starts at (top, left) and has the size (height, width).

    Example:
        >>> crop(torch.tensor([[2.0, 2.0, 9.0, 9.0]]), top=1, left=2, height=5, width=5)
        tensor([[0., 1., 5., 5.]])
    """
    _only_corners("crop", bounding_box_format)
    boxes = torch.as_tensor(boxes)
    shift = torch.cat([side_of(left, boxes), side_of(top, boxes)] * 2, -1)
    return cut(boxes - shift, height, width)


def pad(
    boxes: Any, top: Any, left: Any, height: Any = None, width: Any = None, bounding_box_format: str = "xyxy"
) -> torch.Tensor:
    """Boxes in an image with `top` more rows above and `left` more columns on the left.

    Example:
        >>> pad(torch.tensor([[0.0, 0.0, 1.0, 1.0]]), top=2, left=3)
        tensor([[3., 2., 4., 3.]])
    """
    _only_corners("pad", bounding_box_format)
    boxes = torch.as_tensor(boxes)
    return boxes + torch.cat([side_of(left, boxes), side_of(top, boxes)] * 2, -1)


def affine_transform(
    boxes: Any,
    angle: Any,
    translate_x: Any,
    translate_y: Any,
    scale: Any,
    shear_x: Any,
    shear_y: Any,
    height: Any,
    width: Any,
    center_x: float | None = None,
    center_y: float | None = None,
    bounding_box_format: str = "xyxy",
) -> torch.Tensor:
    """The boxes around boxes that were turned, moved, scaled and sheared with their images.

    Args:
        boxes: (batch, boxes, 4).
        angle: Degrees, for each image of the batch: (batch,), as all that follows up to `shear_y`.
        translate_x: The shift, as a share of the width.
        translate_y: The shift, as a share of the height.
        scale: The scale.
        shear_x: Degrees.
        shear_y: Degrees.
        height: The height of the images.
        width: Their width.
        center_x: The centre, as a share of the width; the middle by default.
        center_y: The centre, as a share of the height.
        bounding_box_format: `"xyxy"`.

    Example:
        >>> one, none = torch.ones(1), torch.zeros(1)
        >>> affine_transform(torch.tensor([[[1.0, 1.0, 2.0, 2.0]]]), none, none, none, one, none, none, 5, 5)
        tensor([[[1., 1., 2., 2.]]])
    """
    _only_corners("affine_transform", bounding_box_format)
    angle, move_x, move_y, scale, shear_x, shear_y = (
        torch.as_tensor(value, dtype=torch.float32)
        for value in (angle, translate_x, translate_y, scale, shear_x, shear_y)
    )
    cx, cy = (
        (0.5 if center_x is None else center_x) * (width - 1),
        (0.5 if center_y is None else center_y) * (height - 1),
    )
    turn, lean_x, lean_y = (-value * (math.pi / 180.0) for value in (angle, shear_x, shear_y))
    to_x, to_y = cx - move_x * (width - 1), cy - move_y * (height - 1)
    a = torch.cos(turn - lean_y) / torch.cos(lean_y)
    b = a * torch.tan(lean_x) + torch.sin(turn)
    c = -torch.sin(turn - lean_y) / torch.cos(lean_y)
    d = torch.cos(turn) - c * torch.tan(lean_x)
    rows = torch.stack([torch.stack([d, -b], -1), torch.stack([-c, a], -1)], -2) * scale[:, None, None]
    shift = torch.stack(
        [cx - rows[:, 0, 0] * to_x - rows[:, 0, 1] * to_y, cy - rows[:, 1, 0] * to_x - rows[:, 1, 1] * to_y], -1
    )
    corners = torch.as_tensor(boxes).to(torch.float32)[..., [0, 1, 2, 1, 2, 3, 0, 3]].unflatten(-1, (4, 2))
    moved = torch.einsum("bnpi,boi->bnpo", corners, rows) + shift[:, None, None]
    return torch.cat([moved.amin(2), moved.amax(2)], -1)


def _encoding(name: str, encoding: str) -> None:
    if encoding not in ("center_xywh", "center_yxhw"):
        raise ArgumentError(f"`{name}` must be 'center_xywh' or 'center_yxhw'; got {encoding!r}.")


def _variance(variance: Any) -> torch.Tensor | None:
    if variance is None:
        return None
    variance = torch.as_tensor(variance, dtype=torch.float32)
    if variance.shape[-1:] != (4,):
        raise ArgumentError(f"`variance` must have 4 numbers; got shape {tuple(variance.shape)}.")
    return variance


def encode_box_to_deltas(
    anchors: Any,
    boxes: Any,
    anchor_format: str,
    box_format: str,
    encoding_format: str = "center_yxhw",
    variance: Any = None,
    image_shape: Any = None,
) -> torch.Tensor:
    """Boxes as offsets from anchors: the shift of the centre in anchor sizes, the logarithm of the ratio of sizes.

    Args:
        anchors: (..., 4).
        boxes: (..., 4), one for each anchor.
        anchor_format: The format of the anchors.
        box_format: The format of the boxes.
        encoding_format: `"center_yxhw"` or `"center_xywh"`, the order of the result.
        variance: Four numbers that the result is divided by.
        image_shape: (height, width, channels), with a `rel_` format.

    Source: Ren et al., 2015.

    Example:
        >>> encode_box_to_deltas([[0.0, 0.0, 2.0, 2.0]], [[1.0, 0.0, 3.0, 2.0]], "xyxy", "xyxy")
        tensor([[0.0000, 0.5000, 0.0000, 0.0000]])
    """
    _encoding("encoding_format", encoding_format)
    divisor = _variance(variance)
    height, width, _ = image_shape or (None, None, None)
    anchors = convert_format(anchors, anchor_format, encoding_format, height, width)
    boxes = convert_format(boxes, box_format, encoding_format, height, width)
    size = anchors[..., 2:].clamp(min=epsilon())
    ratio = boxes[..., 2:].clamp(min=epsilon()) / size
    deltas = torch.cat([(boxes[..., :2] - anchors[..., :2]) / size, ratio.log()], -1)
    return deltas if divisor is None else deltas / divisor


def decode_deltas_to_boxes(
    anchors: Any,
    boxes_delta: Any,
    anchor_format: str,
    box_format: str,
    encoded_format: str = "center_yxhw",
    variance: Any = None,
    image_shape: Any = None,
) -> Any:
    """The boxes that `encode_box_to_deltas` described; dicts of anchors and offsets give a dict of boxes.

    Example:
        >>> decode_deltas_to_boxes([[0.0, 0.0, 2.0, 2.0]], [[0.0, 0.5, 0.0, 0.0]], "xyxy", "xyxy")
        tensor([[1., 0., 3., 2.]])
    """
    _encoding("encoded_format", encoded_format)
    factor = _variance(variance)
    height, width, _ = image_shape or (None, None, None)
    if isinstance(anchors, dict) and isinstance(boxes_delta, dict):
        rest = (anchor_format, box_format, encoded_format, variance, image_shape)
        return {level: decode_deltas_to_boxes(anchors[level], boxes_delta[level], *rest) for level in anchors}
    anchors = convert_format(anchors, anchor_format, encoded_format, height, width)
    deltas = torch.as_tensor(boxes_delta, dtype=torch.float32)
    deltas = deltas if factor is None else deltas * factor
    boxes = torch.cat(
        [deltas[..., :2] * anchors[..., 2:] + anchors[..., :2], deltas[..., 2:].exp() * anchors[..., 2:]], -1
    )
    return convert_format(boxes, encoded_format, box_format, height, width)


def compute_iou(
    boxes1: Any,
    boxes2: Any,
    bounding_box_format: str,
    use_masking: bool = False,
    mask_val: float = -1,
    image_shape: Any = None,
) -> torch.Tensor:
    """The intersection over the union of each box with each: (m, 4) and (n, 4) give (m, n), with or without a batch.

    Args:
        boxes1: (m, 4) or (batch, m, 4).
        boxes2: (n, 4) or (batch, n, 4).
        bounding_box_format: Their format.
        use_masking: Whether pairs with a box of negative numbers (no box) get `mask_val`.
        mask_val: What these get.
        image_shape: (height, width, channels), with a `rel_` format.

    Example:
        >>> compute_iou([[0.0, 0.0, 2.0, 2.0]], [[1.0, 0.0, 3.0, 2.0], [5.0, 5.0, 6.0, 6.0]], "xyxy")
        tensor([[0.3333, 0.0000]])
    """
    boxes1, boxes2 = torch.as_tensor(boxes1), torch.as_tensor(boxes2)
    for name, boxes in (("boxes1", boxes1), ("boxes2", boxes2)):
        if boxes.ndim not in (2, 3):
            raise ShapeError(
                f"compute_iou: `{name}` must have shape (boxes, 4) or (batch, boxes, 4); got {tuple(boxes.shape)}."
            )
    if "rel" in bounding_box_format and image_shape is None:
        raise ArgumentError(f"compute_iou: boxes as {bounding_box_format!r} need `image_shape`.")
    height, width, _ = image_shape or (None, None, None)
    a = convert_format(boxes1, bounding_box_format, "xyxy", height, width).unsqueeze(-2)
    b = convert_format(boxes2, bounding_box_format, "xyxy", height, width).unsqueeze(-3)
    overlap = (torch.minimum(a[..., 2:], b[..., 2:]) - torch.maximum(a[..., :2], b[..., :2])).clamp(min=0).prod(-1)
    iou = overlap / (areas(a) + areas(b) - overlap + epsilon())
    if not use_masking:
        return iou
    missing = (a.amax(-1) < 0) | (b.amax(-1) < 0)
    return torch.where(missing, torch.as_tensor(mask_val, dtype=iou.dtype), iou)


def compute_ciou(boxes1: Any, boxes2: Any, bounding_box_format: str, image_shape: Any = None) -> torch.Tensor:
    """The complete IoU of boxes, pair by pair: less for distant centres and for other proportions.

    Args:
        boxes1: (..., 4).
        boxes2: (..., 4), of the same shape.
        bounding_box_format: Their format.
        image_shape: (height, width, channels), with a `rel_` format.

    Source: Zheng et al., 2020.

    Example:
        >>> compute_ciou([[0.0, 0.0, 2.0, 2.0]], [[0.0, 0.0, 2.0, 2.0]], "xyxy").round(decimals=3)
        tensor([1.])
    """
    if "rel" in bounding_box_format and image_shape is None:
        raise ArgumentError(f"compute_ciou: boxes as {bounding_box_format!r} need `image_shape`.")
    height, width, _ = image_shape or (None, None, None)
    small = epsilon()
    a = convert_format(boxes1, bounding_box_format, "xyxy", height, width)
    b = convert_format(boxes2, bounding_box_format, "xyxy", height, width)
    (wide_a, high_a), (wide_b, high_b) = ((x[..., 2:] - x[..., :2]).unbind(-1) for x in (a, b))
    high_a, high_b = high_a + small, high_b + small
    overlap = (torch.minimum(a[..., 2:], b[..., 2:]) - torch.maximum(a[..., :2], b[..., :2])).clamp(min=0).prod(-1)
    iou = overlap / (wide_a * high_a + wide_b * high_b - overlap + 2 * small)
    hull = torch.maximum(a[..., 2:], b[..., 2:]) - torch.minimum(a[..., :2], b[..., :2])
    apart = (a[..., :2] + a[..., 2:]) / 2 - (b[..., :2] + b[..., 2:]) / 2
    v = 4 / math.pi**2 * (torch.atan(wide_b / high_b) - torch.atan(wide_a / high_a)).square()
    alpha = v / (v - iou + (1 + small))
    return iou - (apart.square().sum(-1) / (hull.square().sum(-1) + small) + v * alpha)


__all__ = [
    "FORMATS",
    "affine_transform",
    "clip_to_image_size",
    "compute_ciou",
    "compute_iou",
    "convert_format",
    "crop",
    "decode_deltas_to_boxes",
    "encode_box_to_deltas",
    "pad",
]

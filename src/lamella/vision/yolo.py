"""`YOLO`: boxes and classes in one pass, at every point of three maps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from lamella.engine.registry import register_keras_serializable
from lamella.errors import ArgumentError, ShapeError
from lamella.vision.detector import Detector
from lamella.vision.distance_boxes import boxes_at, grid_points
from lamella.vision.yolo_loss import yolo_loss
from lamella.vision.yolo_network import SIZES, STRIDES, yolo_network


@register_keras_serializable(package="lamella")
class YOLO(Detector):
    """A detector that looks once: each point of three maps says what is there and how far its sides are.

    Pictures (batch, height, width, 3), values from 0 to 255, give a dict of `"distances"` (batch, n, 4 * bins) and
    `"classes"` (batch, n, classes), both before softmax or sigmoid, for n points: those of stride 8, then 16, then 32.
    It trains from scratch: 30 minutes on two CPU cores find the cells of a few hundred pictures
    (`examples/detect_cells.py`).

    Args:
        classes: The names of the classes, or how many there are.
        size: `"n"` (3.2 million weights for 80 classes), `"s"` (11.2) or `"m"` (25.9).
        image_size: The (height, width) of the pictures that the network sees; multiples of 32.
        bins: Each side of a box lies at a distance from 0 to `bins - 1` strides.
        box_gain: How much the overlap of the boxes matters in the loss.
        class_gain: How much the classes matter.
        distance_gain: How much the distributions of the distances matter.
        **kwargs: As for every `Detector`.

    Raises:
        ArgumentError: Another size; sides that are no multiples of 32; fewer than 2 bins.
        ShapeError: Pictures of another size (where they are given as a batch; `predict` fits single ones).

    Source: Redmon et al., 2016; in today's form as YOLOv8 (Jocher et al., 2023): no anchors, task-aligned assignment
    (Feng et al., 2021), CIoU (Zheng et al., 2020), distance focal loss (Li et al., 2020).

    Example:
        >>> model = YOLO(["cat", "dog"], image_size=(64, 96))
        >>> found = model.predict(torch.zeros(1, 50, 60, 3))
        >>> found["boxes"].shape, int(found["num_detections"][0])
        ((1, 100, 4), 0)
    """

    points: torch.Tensor
    strides: torch.Tensor

    def __init__(
        self,
        classes: int | Sequence[str],
        size: str = "n",
        image_size: tuple[int, int] = (640, 640),
        bins: int = 16,
        box_gain: float = 7.5,
        class_gain: float = 0.5,
        distance_gain: float = 1.5,
        **kwargs: Any,
    ) -> None:
        if size not in SIZES:
            raise ArgumentError(f"YOLO: `size` must be one of {', '.join(map(repr, SIZES))}; got {size!r}.")
        if len(image_size) != 2 or any(side <= 0 or side % STRIDES[-1] for side in image_size):
            raise ArgumentError(
                f"YOLO: `image_size` is (height, width), both multiples of {STRIDES[-1]}; got {image_size!r}."
            )
        if bins < 2:
            raise ArgumentError(f"YOLO: `bins` must be 2 or more; got {bins}.")
        super().__init__(classes, image_size, **kwargs)
        self.size = size
        self.bins = bins
        self.box_gain = box_gain
        self.class_gain = class_gain
        self.distance_gain = distance_gain
        self.network = yolo_network(self.image_size, self.num_classes, size, bins)
        points, strides = grid_points(self.image_size, STRIDES)
        self.register_buffer("points", points, persistent=False)
        self.register_buffer("strides", strides, persistent=False)
        self.built = True  # with its network

    def call(  # type: ignore[override]
        self, images: torch.Tensor, training: bool | None = None
    ) -> dict[str, torch.Tensor]:
        if tuple(images.shape[1:]) != (*self.image_size, 3):
            raise ShapeError(
                f"YOLO {self.name!r} takes pictures (batch, {self.image_size[0]}, {self.image_size[1]}, 3); got "
                f"{tuple(images.shape)}. Make the data set, or the model, with the same image_size."
            )
        maps = self.network(images)
        boxes, classes = (torch.cat([each.flatten(1, 2) for each in maps[i::2]], 1) for i in (0, 1))
        return {"distances": boxes, "classes": classes}

    def detection_loss(self, outputs: Any, boxes: torch.Tensor, classes: torch.Tensor) -> dict[str, torch.Tensor]:
        return yolo_loss(
            outputs["distances"],
            outputs["classes"],
            self.points,
            self.strides,
            boxes,
            classes,
            self.box_gain,
            self.class_gain,
            self.distance_gain,
        )

    def candidates(self, outputs: Any) -> tuple[torch.Tensor, torch.Tensor]:
        boxes = boxes_at(self.points, self.strides, outputs["distances"].float())
        return boxes, outputs["classes"].float().sigmoid()

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "size": self.size,
            "bins": self.bins,
            "box_gain": self.box_gain,
            "class_gain": self.class_gain,
            "distance_gain": self.distance_gain,
        }

"""`Detector`: what every object detector has in common; a family says what its network, its loss and its boxes are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from lamella.engine.device import device_of
from lamella.engine.registry import serialize
from lamella.errors import ArgumentError, DataError
from lamella.metrics import Mean, Metric
from lamella.models import Model
from lamella.utils.bounding_boxes import convert_format
from lamella.vision.boxes import non_max_suppression
from lamella.vision.pictures import letterbox, read_image

Boxes = dict[str, torch.Tensor]


class Detector(Model):
    """A model from pictures to boxes, their scores and their classes.

    Pictures are (batch, height, width, 3) with values from 0 to 255. Targets are a dict of `"boxes"`
    (batch, most, 4), in `bounding_box_format`, and `"classes"` (batch, most), where rows without an object have
    class -1. `fit` and `evaluate` take a `DetectionDataset`, or any stream of such pairs, or arrays.

    A family writes three functions: `call`, from pictures to raw outputs of fixed shapes; `detection_loss`, from
    raw outputs and targets to the parts of the loss; `candidates`, from raw outputs to boxes and scores.

    Args:
        classes: The names of the classes, or how many there are.
        image_size: The (height, width) of the pictures that the network sees. `predict` brings others to it.
        bounding_box_format: The format of targets and predictions, as in `lamella.utils.bounding_boxes`.
        score_threshold: What is less sure is no detection.
        iou_threshold: Of two boxes of one class that overlap by more, only the surer stays.
        max_detections: How many boxes a picture may have.
        **kwargs: As for every model.

    Raises:
        ArgumentError: Arguments out of range.
    """

    def __init__(
        self,
        classes: int | Sequence[str],
        image_size: tuple[int, int],
        bounding_box_format: str = "xyxy",
        score_threshold: float = 0.05,
        iou_threshold: float = 0.6,
        max_detections: int = 100,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if isinstance(classes, int) and not isinstance(classes, bool) and classes > 0:
            classes = [f"class_{i}" for i in range(classes)]
        if isinstance(classes, (int, str)) or not classes or len(set(classes)) != len(classes):
            raise ArgumentError(f"`classes` must be a number above 0, or different names; got {classes!r}.")
        self.class_names = [str(name) for name in classes]
        self.image_size = (int(image_size[0]), int(image_size[1]))
        self.bounding_box_format = bounding_box_format
        self.score_threshold = score_threshold
        self.iou_threshold = iou_threshold
        self.max_detections = max_detections
        self._parts: dict[str, Mean] = {}
        self._scores: list[Metric] = []

    @property
    def num_classes(self) -> int:
        """How many classes there are."""
        return len(self.class_names)

    # -- what a family writes -------------------------------------------------------------------------------

    def detection_loss(self, outputs: Any, boxes: torch.Tensor, classes: torch.Tensor) -> dict[str, torch.Tensor]:
        """The parts of the loss by name (each a scalar); their sum is trained.

        Args:
            outputs: What `call` returned.
            boxes: (batch, most, 4), xyxy in pixels of `image_size`.
            classes: (batch, most), int64, -1 where there is no box.
        """
        raise NotImplementedError(f"{type(self).__name__} has no detection_loss().")

    def candidates(self, outputs: Any) -> tuple[torch.Tensor, torch.Tensor]:
        """Boxes (batch, n, 4), xyxy in pixels of `image_size`, and their scores (batch, n, classes) from 0 to 1.

        Boxes may also be (batch, n, classes, 4): another for each class.
        """
        raise NotImplementedError(f"{type(self).__name__} has no candidates().")

    # -- training -------------------------------------------------------------------------------------------

    def compile(  # type: ignore[override]
        self, optimizer: Any = "adamw", loss: Any = None, metrics: Any = None, **kwargs: Any
    ) -> None:
        """Says how to train. The loss is the family's own; metrics compare detections, as `MeanAveragePrecision`.

        Raises:
            ArgumentError: A loss, or a metric that is no object.
        """
        if loss is not None:
            raise ArgumentError(f"{type(self).__name__} has its own loss: compile it without one.")
        metrics = [metrics] if isinstance(metrics, Metric) else list(metrics or [])
        if not all(isinstance(metric, Metric) for metric in metrics):
            raise ArgumentError(
                f"{type(self).__name__}: metrics are objects, as MeanAveragePrecision(); got {metrics}."
            )
        super().compile(optimizer, **kwargs)
        self._scores = metrics

    def get_compile_config(self) -> dict[str, Any] | None:
        """What `compile` was given, as plain data; None if it was not called."""
        config = super().get_compile_config()
        return None if config is None else {**config, "metrics": serialize(self._scores)}

    def compute_loss(
        self, x: Any = None, y: Any = None, y_pred: Any = None, sample_weight: Any = None, training: bool = True
    ) -> torch.Tensor | None:
        """The sum of the parts of the loss, and of the penalties of regularizers."""
        boxes, classes = self.targets(y)
        parts = self.detection_loss(y_pred, boxes, classes)
        for name, value in parts.items():
            if name not in self._parts:
                self._parts[name] = Mean(name=name)
                self._parts[name].to(value.device)
            self._parts[name].update_state(value.detach(), sample_weight=len(boxes))
        total = torch.stack(list(parts.values())).sum()
        extra = super().compute_loss(x, None, y_pred)
        return total if extra is None else total + extra

    def targets(self, y: Any) -> tuple[torch.Tensor, torch.Tensor]:
        """Boxes as xyxy in pixels of `image_size`, and classes as int64.

        Raises:
            DataError: No dict with `"boxes"` and `"classes"`; shapes that do not fit; classes that do not exist (looked
                for on the CPU only, where looking costs nothing).
        """
        if not isinstance(y, Mapping) or "boxes" not in y or not ("classes" in y or "labels" in y):
            raise DataError(
                f"{type(self).__name__}: targets are a dict of 'boxes' (batch, most, 4) and 'classes' (batch, most) "
                f"with -1 where there is no box; got {sorted(y) if isinstance(y, Mapping) else type(y).__name__}."
            )
        boxes, classes = y["boxes"], (y["classes"] if "classes" in y else y["labels"]).to(torch.int64)
        if classes.ndim != 2 or boxes.shape != (*classes.shape, 4):
            raise DataError(
                f"{type(self).__name__}: 'boxes' must be (batch, most, 4) and 'classes' (batch, most); got "
                f"{tuple(boxes.shape)} and {tuple(classes.shape)}."
            )
        if (
            classes.device.type == "cpu"
            and classes.numel()
            and not -1 <= classes.min() <= classes.max() < self.num_classes
        ):
            raise DataError(
                f"{type(self).__name__}: classes are from 0 to {self.num_classes - 1}, and -1 where there is no box; "
                f"got some from {classes.min()} to {classes.max()}."
            )
        return self._converted(boxes, self.bounding_box_format, "xyxy"), classes

    def train_step(self, data: Any) -> None:
        """Trains on one batch."""
        x, y = data[:2]
        loss = self.compute_loss(x, y, self(x, training=True))
        assert loss is not None
        self._loss_tracker.update_state(loss.detach(), sample_weight=len(x))
        self.minimize(loss)

    def test_step(self, data: Any) -> None:
        """Evaluates one batch: the loss, and the metrics on what is detected."""
        x, y = data[:2]
        outputs = self(x, training=False)
        loss = self.compute_loss(x, y, outputs, training=False)
        assert loss is not None
        self._loss_tracker.update_state(loss, sample_weight=len(x))
        if self._scores:
            boxes, classes = self.targets(y)
            found = self.detections(outputs)
            for metric in self._scores:
                metric.update_state({"boxes": boxes, "classes": classes}, found)

    @property
    def metrics(self) -> list[Metric]:
        """The loss, its parts, and the metrics of `compile`."""
        return [self._loss_tracker, *super().metrics, *self._parts.values(), *self._scores]

    def get_metrics_result(self) -> dict[str, Any]:
        """The values so far; while training there are no detections to compare, and so no values of `compile`'s."""
        results: dict[str, Any] = {}
        for metric in self.metrics:
            if metric in self._scores and not getattr(metric, "num_images", 1):
                continue
            value = metric.result()
            results.update(value if isinstance(value, dict) else {self._name_of(metric): value})
        return results

    # -- prediction -----------------------------------------------------------------------------------------

    def detections(self, outputs: Any) -> Boxes:
        """Raw outputs as `"boxes"` (xyxy, pixels of `image_size`), `"scores"`, `"classes"` and `"num_detections"`."""
        boxes, scores = self.candidates(outputs)
        return non_max_suppression(
            boxes,
            scores,
            iou_threshold=self.iou_threshold,
            score_threshold=self.score_threshold,
            max_detections=self.max_detections,
        )

    def predict(
        self,
        x: Any,
        batch_size: int | None = None,
        verbose: str | int = 0,
        steps: int | None = None,
        callbacks: Any = None,
    ) -> dict[str, np.ndarray]:
        """What is in the pictures.

        Args:
            x: Pictures: an array (pictures, height, width, channels), a list of arrays or paths of any sizes, or a
                `DetectionDataset` or another stream of batches.
            batch_size: Pictures in one batch; 8 by default.
            verbose: As for every model.
            steps: Batches to predict, of a stream.
            callbacks: Callback objects, for a stream.

        Returns:
            `"boxes"` (pictures, max_detections, 4), in `bounding_box_format` and in the pixels of each picture as it
            was given; `"scores"`, highest first; `"classes"`, -1 where there is no further box; `"num_detections"`.
        """
        if not isinstance(x, (np.ndarray, torch.Tensor, list, tuple, str, Path)):
            found = super().predict(x, verbose=verbose, steps=steps, callbacks=callbacks)
            sizes = np.full((len(found["boxes"]), 2), self.image_size)
            return self._in_format(found, sizes)
        pictures = [x] if isinstance(x, (str, Path)) or getattr(x, "ndim", 4) == 3 else x
        size = batch_size or 8
        parts = [self._predict_pictures(pictures[i : i + size]) for i in range(0, len(pictures), size)]
        if not parts:
            raise DataError(f"{type(self).__name__}.predict: there are no pictures.")
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}

    def predict_step(self, data: Any) -> Boxes:
        """What is in the pictures of one batch, in pixels of `image_size`."""
        x = data[0] if isinstance(data, (tuple, list)) else data
        return self.detections(self(x, training=False))

    def _predict_pictures(self, pictures: Any) -> dict[str, np.ndarray]:
        arrays = [read_image(p) for p in pictures]
        fitted, scales, shifts = zip(*(letterbox(a, self.image_size) for a in arrays), strict=True)
        batch = torch.from_numpy(np.stack(fitted)).to(device_of(self))
        with torch.no_grad():
            found = {name: value.cpu().numpy() for name, value in self.predict_step((batch,)).items()}
        sizes = np.array([a.shape[:2] for a in arrays])
        shift = np.array([(left, top, left, top) for top, left in shifts], "float32")[:, None]
        boxes = (found["boxes"] - shift) / np.array(scales, "float32")[:, None, None]
        limits = np.concatenate([sizes[:, ::-1], sizes[:, ::-1]], 1)[:, None].astype("float32")
        there = (found["classes"] >= 0)[..., None]
        found["boxes"] = np.where(there, boxes.clip(0, limits), found["boxes"])
        return self._in_format(found, sizes)

    def _in_format(self, found: dict[str, np.ndarray], sizes: np.ndarray) -> dict[str, np.ndarray]:
        there = (found["classes"] >= 0)[..., None]
        height, width = (torch.from_numpy(side.astype("float32")).reshape(-1, 1, 1) for side in sizes.T)
        boxes = convert_format(
            torch.from_numpy(found["boxes"]), "xyxy", self.bounding_box_format, height=height, width=width
        )
        return {**found, "boxes": np.where(there, boxes.numpy(), np.float32(-1))}

    def _converted(self, boxes: torch.Tensor, source: str, target: str) -> torch.Tensor:
        height, width = self.image_size
        return convert_format(boxes, source, target, height=height, width=width)

    # -- configuration --------------------------------------------------------------------------------------

    def get_config(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "classes": self.class_names,
            "image_size": list(self.image_size),
            "bounding_box_format": self.bounding_box_format,
            "score_threshold": self.score_threshold,
            "iou_threshold": self.iou_threshold,
            "max_detections": self.max_detections,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> Detector:
        return cls(**config)

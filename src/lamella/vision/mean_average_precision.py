"""Mean average precision: how good the boxes of a detector are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import torch

from lamella.errors import ArgumentError, DataError, ShapeError
from lamella.metrics import Metric
from lamella.saving import register_keras_serializable
from lamella.utils.bounding_boxes import FORMATS, convert_format

OVERLAPS = np.linspace(0.5, 0.95, 10)
RECALLS = np.linspace(0.0, 1.0, 101)
MOST_DETECTIONS = 100
AREAS = {"all": (0, 1e10), "small": (0, 32**2), "medium": (32**2, 96**2), "large": (96**2, 1e10)}


class _Matches(NamedTuple):
    """What became of some detections, and how many objects there were to find."""

    scores: np.ndarray  # (n,)
    classes: np.ndarray  # (n,)
    ranks: np.ndarray  # (n,), how many of its picture and class are surer
    right: np.ndarray  # (overlaps, n), whether it found an object
    counted: np.ndarray  # (overlaps, n), whether it counts at all
    objects: np.ndarray  # (classes,), the number of objects that count


@register_keras_serializable(package="lamella")
class MeanAveragePrecision(Metric):
    """The area under the curve of precision over recall, averaged over classes and overlaps, as COCO defines it.

    Of each picture and class the 100 surest detections are looked at, surest first; each finds the object that it
    overlaps most, of those not found yet, if their intersection over union reaches a bound. With the detections of all
    pictures sorted by score, precision and recall follow the list; precision, made to fall, is read at the recalls 0,
    0.01, ..., 1 and averaged. That is done for each class that has objects and for the bounds 0.5, 0.55, ..., 0.95.

    Targets are a dict of `"boxes"` (batch, most, 4) and `"classes"` (batch, most), -1 where there is none; and maybe
    `"crowd"` (batch, most): true for boxes around many objects, where detections are neither right nor wrong.
    Detections are a dict of `"boxes"`, `"classes"` and `"scores"`, as a `Detector` predicts them.

    `result()` is a dict: `"map"`, the mean over all bounds; `"map_50"` and `"map_75"`, at these bounds. They are NaN as
    long as there are no objects. Batches are kept until then, so that `update_state` never waits for a GPU.

    Args:
        bounding_box_format: The format of both kinds of boxes, as in `lamella.utils.bounding_boxes`.
        image_size: The (height, width) of pictures; needed with a `rel_` format. (Small and large boxes of `summary()`
            are those below 32 and above 96 pixels square.)
        name: A name.
        dtype: The data type of results.

    Raises:
        ArgumentError: An unknown format, or a `rel_` one without `image_size`.

    Source: Everingham et al., 2010; Lin et al., 2014.

    Example:
        >>> boxes, classes = torch.tensor([[[0.0, 0, 8, 8], [10, 10, 20, 20]]]), torch.tensor([[0, 1]])
        >>> found = {"boxes": boxes + 0.5, "classes": classes, "scores": torch.tensor([[0.9, 0.8]])}
        >>> metric = MeanAveragePrecision()
        >>> metric.update_state({"boxes": boxes, "classes": classes}, found)
        >>> metric.result()["map_50"], metric.per_class(0.8)
        (tensor(1.), array([0., 1.]))
    """

    def __init__(
        self,
        bounding_box_format: str = "xyxy",
        image_size: tuple[int, int] | None = None,
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(dtype, name)
        if bounding_box_format not in FORMATS:
            raise ArgumentError(
                f"{self.name}: `bounding_box_format` must be one of {', '.join(FORMATS)}; got {bounding_box_format!r}."
            )
        if bounding_box_format.startswith("rel_") and image_size is None:
            raise ArgumentError(f"{self.name}: boxes as {bounding_box_format!r} need `image_size`, (height, width).")
        self.bounding_box_format = bounding_box_format
        self.image_size = None if image_size is None else (int(image_size[0]), int(image_size[1]))
        self.reset_state()

    def reset_state(self) -> None:
        super().reset_state()
        self._batches: list[tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]] = []
        self._matches: dict[str, list[_Matches]] = {area: [] for area in AREAS}

    @property
    def num_images(self) -> int:
        """How many pictures were added."""
        return sum(len(targets["classes"]) for targets, _ in self._batches)

    @torch.no_grad()
    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Adds the targets and the detections of a batch.

        Raises:
            ArgumentError: Weights: each picture counts as one.
            DataError: No such dicts.
            ShapeError: Parts that do not fit each other.
        """
        if sample_weight is not None:
            raise ArgumentError(f"{self.name} takes no `sample_weight`.")
        targets, found = self._parts("y_true", y_true, ()), self._parts("y_pred", y_pred, ("scores",))
        if len(targets["classes"]) != len(found["classes"]):
            raise ShapeError(
                f"{self.name}: there are targets of {len(targets['classes'])} pictures, "
                f"and detections of {len(found['classes'])}."
            )
        self._batches.append((targets, found))

    def _parts(self, name: str, given: Any, more: tuple[str, ...]) -> dict[str, torch.Tensor]:
        if not isinstance(given, Mapping) or not {"boxes", "classes", *more} <= set(given):
            raise DataError(
                f"{self.name}: `{name}` is a dict of {', '.join(repr(key) for key in ('boxes', 'classes', *more))}; "
                f"got {sorted(given) if isinstance(given, Mapping) else type(given).__name__}."
            )
        more = (*more, "crowd") if "crowd" in given else more
        parts = {key: torch.as_tensor(given[key]).detach().clone() for key in ("boxes", "classes", *more)}
        parts["classes"] = parts["classes"].to(torch.int64)
        rows = tuple(parts["classes"].shape)
        if len(rows) != 2 or parts["boxes"].shape != (*rows, 4) or any(parts[key].shape != rows for key in more):
            raise ShapeError(
                f"{self.name}: in `{name}`, 'boxes' must be (batch, most, 4) and the others (batch, most); "
                f"got { ({key: tuple(value.shape) for key, value in parts.items()}) }."
            )
        return parts

    def result(self) -> dict[str, torch.Tensor]:
        precision = self._curves("all")[0].mean(-1)
        values = {"map": _mean(precision), "map_50": _mean(precision[0]), "map_75": _mean(precision[5])}
        return {name: self._result(torch.tensor(value)) for name, value in values.items()}

    def per_class(self, iou: float | None = 0.5, num_classes: int | None = None) -> np.ndarray:
        """The average precision of each class; NaN where a class has no objects.

        Args:
            iou: The bound, one of 0.5, 0.55, ..., 0.95; None for the mean over all of them.
            num_classes: How many classes there are; by default up to the highest that was seen.

        Raises:
            ArgumentError: Another bound.
        """
        precision = self._curves("all")[0].mean(-1)
        missing = (num_classes or 0) - precision.shape[1]
        if missing > 0:
            precision = np.pad(precision, ((0, 0), (0, missing)), constant_values=np.nan)
        if iou is None:
            return precision.mean(0)
        which = np.flatnonzero(np.isclose(OVERLAPS, iou))
        if not len(which):
            raise ArgumentError(f"{self.name}: `iou` must be one of 0.5, 0.55, ..., 0.95, or None; got {iou}.")
        return precision[which[0]]

    def summary(self) -> dict[str, float]:
        """COCO's twelve numbers: precision by bounds and sizes; recall by sizes, and by detections of a class.

        Those of sizes that no object has are NaN.
        """
        curves = {area: self._curves(area) for area in AREAS}
        precision = curves["all"][0]
        return {
            "map": _mean(precision),
            "map_50": _mean(precision[0]),
            "map_75": _mean(precision[5]),
            **{f"map_{area}": _mean(curves[area][0]) for area in ("small", "medium", "large")},
            "recall_1": _mean(self._curves("all", 1)[1]),
            "recall_10": _mean(self._curves("all", 10)[1]),
            "recall_100": _mean(curves["all"][1]),
            **{f"recall_{area}": _mean(curves[area][1]) for area in ("small", "medium", "large")},
        }

    def _curves(self, area: str, most: int = MOST_DETECTIONS) -> tuple[np.ndarray, np.ndarray]:
        """Precision (overlaps, classes, recalls) and the recall reached (overlaps, classes)."""
        done = self._matches[area]
        done += [self._matched(*batch, AREAS[area]) for batch in self._batches[len(done) :]]
        objects = np.zeros(max((len(batch.objects) for batch in done), default=0))
        for batch in done:
            objects[: len(batch.objects)] += batch.objects
        precision = np.full((len(OVERLAPS), len(objects), len(RECALLS)), np.nan)
        recall = np.full((len(OVERLAPS), len(objects)), np.nan)
        if not done:
            return precision, recall
        scores, classes, ranks = (np.concatenate([batch[i] for batch in done]) for i in range(3))
        right, counted = (np.concatenate([batch[i] for batch in done], 1) for i in (3, 4))
        order = np.argsort(-scores, kind="stable")
        order = order[ranks[order] < most]
        for which in np.flatnonzero(objects):
            places = order[classes[order] == which]
            hits = (right[:, places] & counted[:, places]).cumsum(1)
            total = counted[:, places].cumsum(1)
            precision[:, which], recall[:, which] = _read(hits, total, objects[which])
        return precision, recall

    def _matched(
        self, targets: dict[str, torch.Tensor], found: dict[str, torch.Tensor], area: tuple[float, float]
    ) -> _Matches:
        """Which detections of a batch found an object; those outside of the range of areas do not count."""
        boxes, classes = self._corners(targets["boxes"]), _array(targets["classes"])
        crowd = _array(targets["crowd"]).astype(bool) if "crowd" in targets else np.zeros(classes.shape, bool)
        order = np.argsort(-_array(found["scores"]).astype("float64"), 1, kind="stable")
        scores = np.take_along_axis(_array(found["scores"]), order, 1)
        guesses = np.take_along_axis(_array(found["classes"]), order, 1)
        guessed = np.take_along_axis(self._corners(found["boxes"]), order[..., None], 1)
        same = guesses[:, :, None] == guesses[:, None, :]
        ranks = np.tril(same, -1).sum(-1)
        real = guesses >= 0

        overlaps = _overlaps(guessed, boxes, crowd)
        overlaps[~((guesses[:, :, None] == classes[:, None, :]) & real[:, :, None] & (classes >= 0)[:, None, :])] = -1
        outside = [(_areas(each) < area[0]) | (_areas(each) > area[1]) for each in (guessed, boxes)]
        ignored = crowd | outside[1]
        right, in_vain = _find(overlaps, ignored, crowd)
        counted = ~in_vain & (right | ~outside[0])
        objects = np.bincount(
            classes[(classes >= 0) & ~ignored], minlength=max(classes.max(initial=-1), guesses.max(initial=-1)) + 1
        )
        return _Matches(scores[real], guesses[real], ranks[real], right[:, real], counted[:, real], objects)

    def _corners(self, boxes: torch.Tensor) -> np.ndarray:
        height, width = self.image_size or (None, None)
        corners = convert_format(boxes.cpu(), self.bounding_box_format, "xyxy", height, width, "float64")
        return corners.numpy()

    def get_config(self) -> dict[str, Any]:
        size = None if self.image_size is None else list(self.image_size)
        return {**super().get_config(), "bounding_box_format": self.bounding_box_format, "image_size": size}


def _find(overlaps: np.ndarray, ignored: np.ndarray, crowd: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Each detection in turn, of all pictures and for all bounds at once, takes the best object that is left.

    Args:
        overlaps: (pictures, detections, objects), surest detections first; -1 where they cannot match.
        ignored: (pictures, objects): those that a detection takes only if no other is left, and then does not count.
        crowd: (pictures, objects): those of the ignored that several detections may take.

    Returns:
        Whether a detection took an object, and whether that was one of those ignored: (bounds, pictures, detections).
    """
    pictures, detections, objects = overlaps.shape
    took = np.zeros((len(OVERLAPS), pictures, detections), bool)
    in_vain = took.copy()
    if not objects:
        return took, in_vain
    # the last of equal ones is first choice, and argmax finds the first: so the order of objects is turned round
    overlaps, ignored, crowd = overlaps[:, :, ::-1], ignored[:, ::-1], crowd[:, ::-1]
    worth = overlaps + 2.0 * ~ignored[:, None]
    free = np.ones((len(OVERLAPS), pictures, objects), bool)
    bounds = OVERLAPS[:, None, None]
    row = np.arange(pictures)
    for i in np.flatnonzero((overlaps >= bounds.min()).any((0, 2))):
        choice = np.where(free & (overlaps[:, i] >= bounds), worth[:, i], -1.0)
        best = choice.argmax(-1)
        took[:, :, i] = choice.max(-1) >= 0
        in_vain[:, :, i] = took[:, :, i] & ignored[row, best]
        gone = took[:, :, i] & ~crowd[row, best]
        free &= ~(gone[..., None] & (best[..., None] == np.arange(objects)))
    return took, in_vain


def _read(hits: np.ndarray, total: np.ndarray, objects: float) -> tuple[np.ndarray, np.ndarray]:
    """Precision at each of `RECALLS`, and the recall at the end, from running sums (overlaps, n) over detections."""
    if not hits.shape[1]:
        return np.zeros((len(hits), len(RECALLS))), np.zeros(len(hits))
    recall = hits / objects
    precision = hits / np.maximum(total, 1)
    precision = np.maximum.accumulate(precision[:, ::-1], 1)[:, ::-1]
    precision = np.concatenate([precision, np.zeros((len(hits), 1))], 1)  # what recall never reaches has precision 0
    read = [line[np.searchsorted(reached, RECALLS)] for line, reached in zip(precision, recall, strict=True)]
    return np.stack(read), recall[:, -1]


def _overlaps(found: np.ndarray, boxes: np.ndarray, crowd: np.ndarray) -> np.ndarray:
    """Intersection over union (pictures, found, boxes); with a crowd, over the area of what was found."""
    a, b = found[:, :, None], boxes[:, None]
    sides = np.minimum(a[..., 2:], b[..., 2:]) - np.maximum(a[..., :2], b[..., :2])
    both = sides.clip(0).prod(-1)
    either = _areas(a) + np.where(crowd[:, None], 0, _areas(b) - both)
    return both / np.maximum(either, 1e-12)


def _areas(boxes: np.ndarray) -> np.ndarray:
    return (boxes[..., 2] - boxes[..., 0]) * (boxes[..., 3] - boxes[..., 1])


def _array(values: torch.Tensor) -> np.ndarray:
    values = values.cpu()
    return (values.float() if values.is_floating_point() else values.to(torch.int64)).numpy()


def _mean(values: np.ndarray) -> float:
    values = values[~np.isnan(values)]
    return float(values.mean()) if values.size else float("nan")

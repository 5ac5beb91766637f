"""Mean average precision, against pycocotools."""

import contextlib
import io
import time

import numpy as np
import pytest
import torch
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from lamella import saving
from lamella.errors import ArgumentError, DataError, ShapeError
from lamella.utils.bounding_boxes import convert_format
from lamella.vision.mean_average_precision import MeanAveragePrecision

NAMES = [
    *("map", "map_50", "map_75", "map_small", "map_medium", "map_large"),
    *("recall_1", "recall_10", "recall_100", "recall_small", "recall_medium", "recall_large"),
]


def cocos(batches, num_classes):
    """COCO's twelve numbers, and the average precision (overlaps, classes)."""
    objects, found, image = [], [], 0
    for targets, detections in batches:
        for i in range(len(targets["classes"])):
            image += 1
            crowd = targets.get("crowd", np.zeros_like(targets["classes"]))
            for box, which, is_crowd in zip(targets["boxes"][i], targets["classes"][i], crowd[i], strict=True):
                if which >= 0:
                    x1, y1, x2, y2 = map(float, box)
                    objects.append(
                        {
                            "id": len(objects) + 1,
                            "image_id": image,
                            "category_id": int(which),
                            "bbox": [x1, y1, x2 - x1, y2 - y1],
                            "area": (x2 - x1) * (y2 - y1),
                            "iscrowd": int(is_crowd),
                        }
                    )
            rows = zip(detections["boxes"][i], detections["classes"][i], detections["scores"][i], strict=True)
            for box, which, score in rows:
                if which >= 0:
                    x1, y1, x2, y2 = map(float, box)
                    one = {"image_id": image, "category_id": int(which), "score": float(score)}
                    found.append({**one, "bbox": [x1, y1, x2 - x1, y2 - y1]})
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO()
        truth.dataset = {
            "images": [{"id": i + 1} for i in range(image)],
            "annotations": objects,
            "categories": [{"id": i} for i in range(num_classes)],
            "info": {},
        }
        truth.createIndex()
        run = COCOeval(truth, truth.loadRes(found), "bbox")
        run.evaluate()
        run.accumulate()
        run.summarize()
    precision = run.eval["precision"][:, :, :, 0, 2].mean(1)
    numbers = [np.where(values < 0, np.nan, values) for values in (run.stats, precision)]
    return dict(zip(NAMES, numbers[0], strict=True)), numbers[1]


def some(
    rng, pictures=6, objects=9, detections=30, classes=3, side=320.0, grid=False, levels=None, near=0.8, crowds=0.0
):
    """Targets, and detections of which a share of `near` lies near an object; with `grid`, many overlaps are equal."""
    size = rng.uniform(5, side / 2, (pictures, objects, 2))
    corner = rng.uniform(0, side - size)
    boxes = np.concatenate([corner, corner + size], -1)
    kinds = rng.integers(-1, classes, (pictures, objects))
    source = rng.integers(0, objects, (pictures, detections))
    guessed = np.take_along_axis(boxes, source[..., None], 1)
    width = np.tile(guessed[..., 2:] - guessed[..., :2], 2)
    guessed = guessed + rng.normal(0, 0.12, guessed.shape) * width
    stray = rng.uniform(0, side / 2, guessed.shape)
    stray[..., 2:] += stray[..., :2]
    is_near = rng.uniform(size=source.shape) < near
    guessed = np.where(is_near[..., None], guessed, stray)
    guessed[..., 2:] = np.maximum(guessed[..., 2:], guessed[..., :2] + 1)
    guesses = np.where(is_near, np.take_along_axis(kinds, source, 1), rng.integers(-1, classes, source.shape))
    scores = rng.uniform(size=source.shape)
    if levels:
        scores = np.ceil(scores * levels) / levels
    if grid:
        boxes, guessed = (np.concatenate([b[..., :2] // 8, b[..., 2:] // 8 + 1], -1) * 8 for b in (boxes, guessed))
    targets = {"boxes": boxes.astype("float32"), "classes": kinds}
    if crowds:
        targets["crowd"] = rng.uniform(size=kinds.shape) < crowds
    return targets, {"boxes": guessed.astype("float32"), "classes": guesses, "scores": scores.astype("float32")}


def without(batch, which):
    """The batch without targets of class `which`, without any in its first picture, or a detection in its last."""
    targets, found = batch
    targets["classes"][targets["classes"] == which] = -1
    targets["classes"][0] = -1
    found["classes"][-1] = -1
    return targets, found


CASES = {
    "random": {},
    "ties": {"grid": True, "levels": 4, "near": 0.9},
    "ties of boxes and equal scores": {"grid": True, "levels": 1, "side": 64.0},
    "crowds": {"crowds": 0.3},
    "crowds and ties": {"crowds": 0.3, "grid": True, "levels": 5, "side": 100.0},
    "more than 100 a class": {"detections": 260, "classes": 2, "objects": 40, "pictures": 2},
    "small pictures": {"side": 40.0, "objects": 20},
    "nothing right": {"near": 0.0},
    "one class": {"classes": 1},
}


@pytest.mark.parametrize("case", CASES)
def test_it_is_cocos(case):
    rng = np.random.default_rng(sum(map(ord, case)))
    classes = CASES[case].get("classes", 3)
    batches = [some(rng, **CASES[case]), some(rng, **{**CASES[case], "pictures": 1, "objects": 30})]
    metric = MeanAveragePrecision()
    for batch in batches:
        metric.update_state(*batch)
    expected, precision = cocos(batches, classes)
    assert metric.summary() == pytest.approx(expected, abs=1e-9, nan_ok=True)
    result = metric.result()
    assert {name: float(value) for name, value in result.items()} == pytest.approx(
        {name: expected[name] for name in ("map", "map_50", "map_75")}, abs=1e-6
    )
    np.testing.assert_allclose(metric.per_class(), precision[0], atol=1e-9)
    np.testing.assert_allclose(metric.per_class(0.85), precision[7], atol=1e-9)
    np.testing.assert_allclose(metric.per_class(None), precision.mean(0), atol=1e-9)
    assert metric.num_images == CASES[case].get("pictures", 6) + 1


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_of_objects_overlapped_alike_cocos_choice_is_found(order):
    """The first detection overlaps both objects by a half; the second is right only if the first one left it."""
    objects = np.array([[[0, 0, 12, 10], [8, 0, 20, 10]]], "float32")
    targets = {"boxes": objects[:, list(order)], "classes": np.zeros((1, 2), int)}
    boxes = np.array([[[4, 0, 16, 10], [0, 0, 12, 10]]], "float32")
    found = {"boxes": boxes, "classes": np.zeros((1, 2), int), "scores": np.array([[0.9, 0.8]])}
    metric = MeanAveragePrecision()
    metric.update_state(targets, found)
    expected, _ = cocos([(targets, found)], 1)
    assert expected["map_50"] == pytest.approx(1 if order == (0, 1) else 0.5, abs=0.01)
    assert metric.summary() == pytest.approx(expected, abs=1e-9, nan_ok=True)


def test_empty_pictures_and_a_class_without_objects_are_cocos(rng):
    batch = without(some(rng, classes=4), 2)
    metric = MeanAveragePrecision()
    metric.update_state(*batch)
    expected, precision = cocos([batch], 4)
    assert metric.summary() == pytest.approx(expected, abs=1e-9, nan_ok=True)
    np.testing.assert_allclose(metric.per_class(), precision[0], atol=1e-9)
    assert np.isnan(metric.per_class()[2])
    assert len(metric.per_class(num_classes=6)) == 6 and np.isnan(metric.per_class(num_classes=6)[4:]).all()


def test_pictures_without_detections_have_precision_0_and_without_objects_none(rng):
    targets, found = some(rng)
    none = {**found, "classes": np.full_like(found["classes"], -1)}
    metric = MeanAveragePrecision()
    metric.update_state(targets, none)
    assert float(metric.result()["map"]) == 0 and metric.summary()["recall_100"] == 0
    metric.reset_state()
    assert metric.num_images == 0 and torch.isnan(metric.result()["map"])
    metric.update_state({**targets, "classes": np.full_like(targets["classes"], -1)}, found)
    assert torch.isnan(metric.result()["map"]) and np.isnan(metric.per_class()).all()
    metric.update_state(
        {"boxes": np.zeros((1, 0, 4)), "classes": np.zeros((1, 0))}, {k: v[:1] for k, v in found.items()}
    )
    metric.update_state(*({k: v[:1] for k, v in part.items()} for part in (targets, found)))
    assert not torch.isnan(metric.result()["map"])


def test_results_between_batches_are_those_of_all_so_far(rng):
    batches = [some(rng, pictures=2) for _ in range(3)]
    watched = MeanAveragePrecision()
    for i, batch in enumerate(batches):
        watched.update_state(*batch)
        alone = MeanAveragePrecision()
        for each in batches[: i + 1]:
            alone.update_state(*each)
        assert watched.result() == alone.result() and watched.summary() == alone.summary()


def test_perfect_detections_have_precision_1(rng):
    targets, _ = some(rng)
    metric = MeanAveragePrecision()
    metric.update_state(targets, {**targets, "scores": rng.uniform(size=targets["classes"].shape)})
    assert {name: float(value) for name, value in metric.result().items()} == {"map": 1, "map_50": 1, "map_75": 1}


@pytest.mark.parametrize("bounding_box_format", ["xywh", "rel_yxyx", "center_xywh"])
def test_other_formats_are_the_same_boxes(rng, bounding_box_format):
    targets, found = some(rng)
    plain, other = MeanAveragePrecision(), MeanAveragePrecision(bounding_box_format, image_size=(240, 400))
    plain.update_state(targets, found)
    parts = [
        {**part, "boxes": convert_format(part["boxes"], "xyxy", bounding_box_format, 240, 400, "float64")}
        for part in (targets, found)
    ]
    other.update_state(*parts)
    assert other.summary() == pytest.approx(plain.summary(), abs=1e-6)


def test_half_precision_tensors_and_arrays_changed_later(rng):
    targets, found = some(rng)
    metric, other = MeanAveragePrecision(), MeanAveragePrecision()
    metric.update_state(targets, {**found, "scores": torch.from_numpy(found["scores"]).bfloat16()})
    found["boxes"][:] = 0
    assert float(metric.result()["map_50"]) > 0.1
    other.update_state(targets, found)
    assert float(other.result()["map_50"]) == 0


def test_it_comes_back_from_its_config():
    metric = MeanAveragePrecision("rel_xyxy", image_size=(240, 320), name="precision")
    config = saving.serialize_keras_object(metric)
    again = saving.deserialize_keras_object(config)
    assert type(again) is MeanAveragePrecision and again.get_config() == metric.get_config()
    assert again.image_size == (240, 320)


def test_it_is_quick(rng):
    batch = some(rng, pictures=72, objects=30, detections=100)
    start = time.process_time()
    metric = MeanAveragePrecision()
    metric.update_state(*batch)
    metric.result()
    assert time.process_time() - start < 0.9  # 0.1 s on a quiet machine


def test_errors_say_what_is_wrong(rng):
    targets, found = some(rng)
    metric = MeanAveragePrecision()
    with pytest.raises(
        DataError, match=r"`y_pred` is a dict of 'boxes', 'classes', 'scores'; got \['boxes', 'classes'\]"
    ):
        metric.update_state(targets, targets)
    with pytest.raises(DataError, match=r"`y_true` is a dict .* got ndarray"):
        metric.update_state(targets["boxes"], found)
    with pytest.raises(ShapeError, match=r"'boxes' must be \(batch, most, 4\).*\(6, 9, 3\)"):
        metric.update_state({**targets, "boxes": targets["boxes"][..., :3]}, found)
    with pytest.raises(ShapeError, match="targets of 5 pictures, and detections of 6"):
        metric.update_state({name: values[:5] for name, values in targets.items()}, found)
    with pytest.raises(ArgumentError, match="no `sample_weight`"):
        metric.update_state(targets, found, np.ones(6))
    with pytest.raises(ArgumentError, match=r"one of 0.5, 0.55, \.\.\., 0.95, or None; got 0.52"):
        metric.per_class(0.52)
    with pytest.raises(ArgumentError, match="need `image_size`"):
        MeanAveragePrecision("rel_xyxy")
    with pytest.raises(ArgumentError, match=r"must be one of .* got 'xyx'"):
        MeanAveragePrecision("xyx")
    assert metric.num_images == 0

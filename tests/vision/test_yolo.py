"""`YOLO`: its size, its outputs, training on a tiny batch, files, and what it refuses."""

import fresh
import numpy as np
import pytest
import torch

import lamella
from lamella.errors import ArgumentError, DataError, LamellaError
from lamella.vision.boxes import pairwise_iou
from lamella.vision.mean_average_precision import MeanAveragePrecision
from lamella.vision.yolo import YOLO
from lamella.vision.yolo_network import yolo_network


@pytest.fixture(scope="module")
def model():
    lamella.utils.set_random_seed(0)
    return YOLO(["cell", "dot"], image_size=(64, 96))


def pictures(count=2, size=(64, 96), seed=0):
    return np.random.default_rng(seed).integers(0, 256, (count, *size, 3), dtype="uint8")


def targets():
    boxes = [[[8, 8, 40, 40], [50, 20, 90, 60]], [[30, 10, 60, 60], [0, 0, 0, 0]]]
    return {"boxes": np.array(boxes, "float32"), "classes": np.array([[0, 1], [1, -1]])}


@pytest.mark.parametrize(("size", "millions"), [("n", 3.16), ("s", 11.17), ("m", 25.9)])
def test_as_many_weights_as_published(size, millions):
    network = yolo_network((32, 32), 80, size)
    assert sum(weight.numel() for weight in network.trainable_weights) / 1e6 == pytest.approx(millions, rel=2e-3)


def test_outputs_have_a_row_for_each_point_of_three_maps(model):
    points = 8 * 12 + 4 * 6 + 2 * 3
    for training in (False, True):
        outputs = model(torch.from_numpy(pictures()), training=training)
        assert outputs["distances"].shape == (2, points, 4 * 16)
        assert outputs["classes"].shape == (2, points, 2)
    boxes, scores = model.candidates(outputs)
    assert boxes.shape == (2, points, 4)
    assert scores.shape == (2, points, 2)
    assert scores.min() >= 0 and scores.max() <= 1


def test_rows_follow_the_points():
    """A network that sees one bright spot must answer it at the point that lies there, on every map."""
    model = YOLO(1, image_size=(96, 128))
    x = torch.zeros(2, 96, 128, 3)
    x[1, 68:76, 100:108] = 255.0  # around (104, 72)
    with torch.no_grad():
        outputs = model(x)["classes"][..., 0]
    change = (outputs[1] - outputs[0]).abs()
    for stride in (8, 16, 32):
        own = (model.strides == stride).nonzero().flatten()
        point = model.points[own[change[own].argmax()]]
        assert (point - torch.tensor([104.0, 72.0])).abs().max() <= 2 * stride


def test_an_untrained_model_expects_little(model):
    _, scores = model.candidates(model(torch.from_numpy(pictures())))
    assert scores.mean() < 0.05


def test_learns_a_tiny_batch():
    lamella.utils.set_random_seed(1)
    model = YOLO(2, image_size=(64, 96))
    x = np.full((2, 64, 96, 3), 40, "uint8")
    y = targets()
    for picture, boxes, classes in zip(x, y["boxes"].astype(int), y["classes"], strict=True):
        for (left, top, right, bottom), label in zip(boxes, classes, strict=True):
            picture[top:bottom, left:right] = (220, 60, 60) if label else (60, 60, 220)
    model.compile(lamella.optimizers.AdamW(2e-3))
    losses = [model.train_on_batch(x, y, return_dict=True)["loss"] for _ in range(30)]
    assert losses[-1] < losses[0] / 4
    outputs = model(torch.from_numpy(x), training=True)  # the batch's own statistics: 30 steps are few for averages
    found = model.detections({name: value.detach() for name, value in outputs.items()})
    for i, count in enumerate((2, 1)):
        overlaps = pairwise_iou(torch.from_numpy(y["boxes"][i, :count]), found["boxes"][i, :count])
        assert overlaps.amax(1).min() > 0.7
        assert found["classes"][i, overlaps.argmax(1)].tolist() == y["classes"][i, :count].tolist()


def test_fit_and_evaluate_name_the_parts_of_the_loss():
    model = YOLO(2, image_size=(64, 96))
    model.compile("adamw")
    history = model.fit(
        pictures(4), {k: np.tile(v, (2, *[1] * (v.ndim - 1))) for k, v in targets().items()}, batch_size=2, verbose=0
    ).history
    assert set(history) == {"loss", "box_loss", "class_loss", "distance_loss"}
    parts = sum(history[name][0] for name in ("box_loss", "class_loss", "distance_loss"))
    assert history["loss"][0] == pytest.approx(parts, rel=1e-5)
    found = model.evaluate(pictures(), targets(), verbose=0, return_dict=True)
    assert set(found) == set(history)


def test_a_batch_without_any_box_trains(model):
    model.compile("sgd")
    y = {"boxes": np.zeros((2, 3, 4), "float32"), "classes": np.full((2, 3), -1)}
    before = [weight.detach().clone() for weight in model.trainable_weights]
    result = model.train_on_batch(pictures(), y, return_dict=True)
    assert result["box_loss"] == result["distance_loss"] == 0 < result["class_loss"]
    assert all(torch.isfinite(weight).all() for weight in model.trainable_weights)
    assert any(not torch.equal(a, b) for a, b in zip(before, model.trainable_weights, strict=True))


def test_targets_in_another_format_are_the_same_targets():
    lamella.utils.set_random_seed(2)
    one = YOLO(2, image_size=(64, 96))
    other = YOLO(2, image_size=(64, 96), bounding_box_format="rel_xywh")
    other.set_weights(one.get_weights())
    y = targets()
    relative = y["boxes"] / np.array([96, 64, 96, 64], "float32")
    relative[..., 2:] -= relative[..., :2]
    values = []
    for model, boxes in ((one, y["boxes"]), (other, relative)):
        model.compile("adamw")
        values.append(model.test_on_batch(pictures(), {**y, "boxes": boxes}, return_dict=True)["loss"])
    assert values[0] == pytest.approx(values[1], rel=1e-5)


def test_predict_takes_pictures_of_several_sizes(model):
    model.score_threshold = 0.0
    several = [pictures(1, size)[0] for size in ((64, 96), (200, 120), (31, 500))]
    found = model.predict(several, batch_size=2)
    assert found["boxes"].shape == (3, 100, 4)
    assert found["scores"].shape == found["classes"].shape == (3, 100)
    assert found["num_detections"].min() > 0
    for picture, boxes, count in zip(several, found["boxes"], found["num_detections"], strict=True):
        height, width = picture.shape[:2]
        assert boxes[:count].min() >= 0
        assert boxes[:count, ::2].max() <= width and boxes[:count, 1::2].max() <= height
    alone = model.predict(several[0])
    np.testing.assert_allclose(alone["boxes"][0], found["boxes"][0], atol=1e-3)


def test_a_file_is_read_in_a_fresh_process(model, tmp_path):
    model.score_threshold = 0.001
    expected = model.predict(pictures())
    model.save(tmp_path / "cells.keras")
    np.save(tmp_path / "pictures.npy", pictures())
    script = (
        "import sys, numpy as np, lamella\n"
        "folder = sys.argv[1]\n"
        "model = lamella.models.load_model(folder + '/cells.keras')\n"
        "np.save(folder + '/found.npy', model.predict(np.load(folder + '/pictures.npy'))['boxes'])\n"
        "print(type(model).__name__, model.class_names, model.image_size)\n"
    )
    done = fresh.run(["-c", script, tmp_path])
    assert done.stdout.strip() == "YOLO ['cell', 'dot'] (64, 96)", done.stderr
    np.testing.assert_allclose(np.load(tmp_path / "found.npy"), expected["boxes"], atol=1e-3)


@pytest.mark.parametrize("file", ["cells.weights.h5", "cells.safetensors"])
def test_weights_are_read_by_another_model_of_the_same_config(model, tmp_path, file):
    model.save_weights(tmp_path / file)
    fresh = YOLO.from_config(model.get_config())
    fresh.load_weights(tmp_path / file)
    for own, other in zip(model.get_weights(), fresh.get_weights(), strict=True):
        np.testing.assert_array_equal(own, other)


def test_a_file_keeps_the_metrics_and_the_optimizer(tmp_path):
    model = YOLO(2, image_size=(64, 96))
    model.compile(lamella.optimizers.AdamW(0.005), metrics=[MeanAveragePrecision()])
    model.train_on_batch(pictures(), targets())
    expected = model.evaluate(pictures(), targets(), verbose=0, return_dict=True)
    assert {"loss", "box_loss", "class_loss", "distance_loss", "map", "map_50", "map_75"} == set(expected)
    model.save(tmp_path / "trained.keras")
    again = lamella.models.load_model(tmp_path / "trained.keras")
    assert float(again.optimizer.learning_rate) == pytest.approx(0.005)
    assert int(again.optimizer.iterations) == 1
    found = again.evaluate(pictures(), targets(), verbose=0, return_dict=True)
    assert found == pytest.approx(expected, rel=1e-4)


def test_config_holds_every_argument():
    arguments = {
        "classes": ["a", "b"],
        "size": "n",
        "image_size": [32, 64],
        "bins": 8,
        "box_gain": 1.0,
        "class_gain": 2.0,
        "distance_gain": 3.0,
        "bounding_box_format": "xywh",
        "score_threshold": 0.2,
        "iou_threshold": 0.3,
        "max_detections": 7,
        "name": "mine",
    }
    config = YOLO(**arguments).get_config()
    assert config == arguments
    assert YOLO.from_config(config).get_config() == config


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"image_size": (100, 96)}, "multiples of 32"),
        ({"image_size": (0, 96)}, "multiples of 32"),
        ({"size": "xl"}, "'n', 's', 'm'"),
        ({"bins": 1}, "`bins`"),
        ({"classes": 0}, "`classes`"),
        ({"classes": ["a", "a"]}, "`classes`"),
    ],
)
def test_refuses_arguments(arguments, words):
    with pytest.raises(ArgumentError, match=words):
        YOLO(**{"classes": 2, "image_size": (64, 96), **arguments})


def test_refuses_pictures_of_another_size(model):
    with pytest.raises(LamellaError, match=r"takes pictures \(batch, 64, 96, 3\).*image_size"):
        model(torch.zeros(1, 96, 64, 3))


@pytest.mark.parametrize("wrong", [np.zeros((2, 4)), {"boxes": np.zeros((2, 1, 4), "float32")}])
def test_refuses_targets_without_boxes_and_classes(model, wrong):
    model.compile("adamw")
    with pytest.raises(DataError, match=r"'boxes'.*'classes'"):
        model.train_on_batch(pictures(), wrong)


@pytest.mark.parametrize(
    "wrong",
    [
        {"boxes": np.zeros((2, 1, 4), "float32"), "classes": np.array([[2], [0]])},  # of classes 0 and 1
        {"boxes": np.zeros((2, 3, 4), "float32"), "classes": np.zeros((2, 2), "int64")},
        {"boxes": np.zeros((2, 3, 5), "float32"), "classes": np.zeros((2, 3), "int64")},
    ],
)
def test_refuses_targets_that_cannot_be(model, wrong):
    model.compile("adamw")
    with pytest.raises(DataError, match="YOLO: "):
        model.train_on_batch(pictures(), wrong)

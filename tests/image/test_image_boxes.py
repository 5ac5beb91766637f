"""Boxes: formats as Keras has them, and boxes that stay around what they were drawn around."""

import itertools

import numpy as np
import pytest
import torch
from image_cases import EVERY, fresh, with_size

from lamella import layers
from lamella.errors import ArgumentError, ShapeError
from lamella.layers.image import bounding_boxes as ours

keras = pytest.importorskip("keras")

theirs = keras.utils.bounding_boxes


@pytest.mark.parametrize(("source", "target"), list(itertools.product(ours.FORMATS, ours.FORMATS)))
def test_formats(source, target, rng):
    boxes = torch.tensor(rng.uniform(1, 20, (2, 3, 4)).astype("float32"))
    converted = ours.convert_format(boxes, source, target, height=30, width=40)
    reference = theirs.convert_format(boxes, source, target, height=30, width=40)
    torch.testing.assert_close(converted, reference)
    back = ours.convert_format({"boxes": converted, "labels": 1}, target, source, height=30, width=40)
    torch.testing.assert_close(back["boxes"], boxes)
    assert back["labels"] == 1


@pytest.mark.parametrize(("name", "top"), [("xyxy", 30.0), ("rel_xyxy", 2.0)])
def test_clipping(name, top, rng):
    boxes = torch.tensor(rng.uniform(-top, top, (2, 5, 4)).astype("float32"))
    given = {"boxes": boxes, "labels": torch.arange(10).reshape(2, 5)}
    clipped = ours.clip_to_image_size(given, 12, 17, name)
    reference = theirs.clip_to_image_size(given, 12, 17, name)
    torch.testing.assert_close(clipped["boxes"], reference["boxes"])
    assert clipped["labels"].tolist() == reference["labels"].tolist()
    assert -1 in clipped["labels"] and given["boxes"] is boxes


def scene(data_format="channels_last", size=(20, 26)):
    """Images with a bright block each, and the boxes around the blocks: [x1, x2) is [x1 - 0.5, x2 - 0.5] of pixels."""
    images = torch.zeros(3, *size, 1)
    boxes = torch.tensor([[[6.0, 5.0, 12.0, 13.0]], [[10.0, 8.0, 17.0, 12.0]], [[12.0, 9.0, 15.0, 14.0]]])
    for image, (x1, y1, x2, y2) in zip(images, boxes[:, 0].int().tolist(), strict=True):
        image[y1:y2, x1:x2] = 200.0
    if data_format == "channels_first":
        images = images.permute(0, 3, 1, 2)
    return images, boxes


def around(images, data_format="channels_last"):
    """The boxes around what is bright."""
    images = images if data_format == "channels_last" else images.permute(0, 2, 3, 1)
    found = []
    for image in images[..., 0]:
        rows, columns = (image > 100).nonzero().unbind(1)
        found.append([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1])
    return torch.tensor(found).float().unsqueeze(1)


MOVING = [
    ("RandomFlip", {}),
    ("RandomFlip", {"mode": "vertical"}),
    ("RandomTranslation", {"height_factor": 0.2, "width_factor": 0.2}),
    ("RandomZoom", {"height_factor": 0.3, "width_factor": 0.2}),
    ("RandomShear", {"x_factor": 0.2, "y_factor": 0.1}),
    ("RandomPerspective", {"scale": 0.1}),
    ("RandomCrop", {"height": 17, "width": 21}),
    ("RandomCrop", {"height": 30, "width": 21}),
    ("CenterCrop", {"height": 17, "width": 21}),
    ("CenterCrop", {"height": 30, "width": 21}),
    ("Resizing", {"height": 40, "width": 39}),
    ("Resizing", {"height": 40, "width": 40, "pad_to_aspect_ratio": True}),
    ("Resizing", {"height": 30, "width": 30, "crop_to_aspect_ratio": True}),
    ("RandAugment", {"factor": 0.1}),
]


@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
@pytest.mark.parametrize("box_format", ["xyxy", "rel_yxyx", "center_xywh"])
@pytest.mark.parametrize(("name", "arguments"), MOVING)
def test_boxes_stay_around_what_they_were_around(name, arguments, box_format, data_format):
    layer = (
        getattr(layers, name)(**arguments, bounding_box_format=box_format, data_format=data_format, seed=3)
        if (name.startswith("Rand"))
        else getattr(layers, name)(**arguments, bounding_box_format=box_format, data_format=data_format)
    )
    images, boxes = scene(data_format)
    for _ in range(4):
        given = ours.convert_format(boxes, "xyxy", box_format, 20, 26)
        labels = torch.tensor([[4], [5], [6]])
        out = layer({"images": images, "bounding_boxes": {"boxes": given, "labels": labels}}, training=True)
        height, width = out["images"].shape[1:3] if data_format == "channels_last" else out["images"].shape[2:]
        moved = ours.convert_format(out["bounding_boxes"]["boxes"], box_format, "xyxy", height, width)
        if name == "RandAugment" and not (out["images"].amax((1, 2, 3)) > 100).all():
            continue  # made dark
        if name == "RandAugment" and (out["images"] > 100).float().mean() > 0.5:
            continue  # made bright
        # Places of pixels are their centres for the images and their edges for boxes: half a pixel and a blur apart.
        assert (moved - around(out["images"], data_format)).abs().max() < 2.3
        assert out["bounding_boxes"]["labels"].tolist() == labels.tolist()


def test_rotated_boxes_hold_the_rotated_blocks():
    layer = layers.RandomRotation(0.2, bounding_box_format="xyxy", fill_mode="constant", seed=1)
    images, boxes = scene()
    out = layer({"images": images, "bounding_boxes": {"boxes": boxes, "labels": torch.ones(3, 1)}}, training=True)
    found, moved = around(out["images"]), out["bounding_boxes"]["boxes"]
    assert (moved[..., :2] <= found[..., :2] + 1).all() and (moved[..., 2:] >= found[..., 2:] - 1).all()
    # at most the box around a rotated rectangle
    assert ((moved[..., 2:] - moved[..., :2]) <= (found[..., 2:] - found[..., :2]) + 5).all()


# What Keras does where it moves boxes right: boxes in pixels, square images, one direction of shear.
LIKE_KERAS = [
    ("RandomFlip", {}),
    ("RandomFlip", {"mode": "horizontal"}),
    ("RandomRotation", {"factor": 0.2}),
    ("RandomTranslation", {"height_factor": 0.3, "width_factor": 0.4}),
    ("RandomZoom", {"height_factor": 0.3, "width_factor": 0.2}),
    ("RandomShear", {"x_factor": 0.4}),
    ("RandomShear", {"y_factor": 0.4}),
    ("RandomPerspective", {"scale": 0.2}),
    ("CenterCrop", {"height": 11, "width": 13}),
    ("CenterCrop", {"height": 30, "width": 13}),
    ("Resizing", {"height": 11, "width": 13}),
    ("Resizing", {"height": 31, "width": 22, "pad_to_aspect_ratio": True}),
    ("Resizing", {"height": 31, "width": 22, "crop_to_aspect_ratio": True}),
]


@pytest.mark.parametrize(("name", "arguments"), LIKE_KERAS)
def test_boxes_like_keras(name, arguments, rng):
    own = getattr(layers, name)(**arguments, bounding_box_format="xyxy")
    reference = getattr(keras.layers, name)(**arguments, bounding_box_format="xyxy")
    images = torch.zeros(3, 24, 24, 3)
    corners = np.sort(rng.uniform(0, 24, (3, 6, 2, 2)), 2).reshape(3, 6, 4).astype("float32")
    if name == "Resizing":
        corners[:, 0] = -1
    labels = torch.arange(18).reshape(3, 6)
    drawn = reference.get_random_transformation(images, training=True)
    got = own.transform_bounding_boxes(
        {"boxes": torch.tensor(corners), "labels": labels}, with_size(fresh(drawn), (24, 24)), True
    )
    want = reference.transform_bounding_boxes({"boxes": torch.tensor(corners), "labels": labels}, fresh(drawn), True)
    torch.testing.assert_close(got["boxes"], want["boxes"], rtol=1e-4, atol=2e-3)
    assert got["labels"].tolist() == want["labels"].tolist()


def test_boxes_outside_of_the_image_lose_their_label():
    layer = layers.RandomTranslation(0.0, (0.5, 0.5), bounding_box_format="xyxy")
    boxes = {"boxes": torch.tensor([[[0.0, 0.0, 4.0, 4.0], [6.0, 0.0, 9.0, 4.0]]]), "labels": torch.tensor([[3, 4]])}
    out = layer({"images": torch.zeros(1, 10, 10, 1), "bounding_boxes": boxes}, training=True)["bounding_boxes"]
    assert out["labels"].tolist() == [[3, -1]]
    assert out["boxes"][0, 0].tolist() == [5.0, 0.0, 9.0, 4.0]


def test_mix_up_keeps_the_boxes_of_both():
    layer = layers.MixUp(bounding_box_format="xyxy", seed=2)
    boxes = {"boxes": torch.arange(16.0).reshape(4, 1, 4), "labels": torch.arange(4).reshape(4, 1)}
    out = layer({"images": torch.rand(4, 8, 8, 3), "bounding_boxes": boxes}, training=True)["bounding_boxes"]
    assert out["boxes"].shape == (4, 2, 4) and out["labels"].shape == (4, 2)
    assert torch.equal(out["boxes"][:, 0], boxes["boxes"][:, 0])
    assert torch.equal(out["boxes"][:, 1], boxes["boxes"][out["labels"][:, 1], 0])


@pytest.mark.parametrize("count", [1, 3, 5])
def test_as_many_boxes_as_asked(count, rng):
    own, reference = (
        module.MaxNumBoundingBoxes(3, fill_value=-1, bounding_box_format="xyxy") for module in (layers, keras.layers)
    )
    boxes = torch.tensor(rng.uniform(0, 8, (2, count, 4)).astype("float32"))
    labels = torch.ones(2, count)
    data = {"images": torch.rand(2, 8, 8, 3), "bounding_boxes": {"boxes": boxes, "labels": labels}}
    out = own(data)
    want = reference.transform_bounding_boxes({"boxes": boxes, "labels": labels}, None)
    torch.testing.assert_close(out["bounding_boxes"], want)
    assert torch.equal(out["images"], data["images"])


def test_one_image_with_its_boxes():
    layer = layers.RandomFlip("horizontal", bounding_box_format="xyxy", seed=0)
    image, boxes = scene()
    data = {"images": image[0], "bounding_boxes": {"boxes": boxes[0], "labels": torch.ones(1)}, "name": "a.png"}
    for _ in range(5):
        out = layer(data, training=True)
        torch.testing.assert_close(out["bounding_boxes"]["boxes"], around(out["images"].unsqueeze(0))[0])
        assert out["bounding_boxes"]["labels"].tolist() == [1.0] and out["name"] == "a.png"
    assert torch.equal(data["bounding_boxes"]["boxes"], boxes[0])  # the input is left alone


BOXES = {"boxes": torch.tensor([[[1.0, 1.0, 4.0, 5.0]]] * 2), "labels": torch.ones(2, 1)}


@pytest.mark.parametrize(("name", "arguments"), EVERY)
def test_boxes_at_inference_are_those_of_the_images(name, arguments):
    layer = getattr(layers, name)(**arguments, bounding_box_format="xyxy")
    out = layer({"images": torch.rand(2, 9, 8, 3), "bounding_boxes": BOXES}, training=False)["bounding_boxes"]
    if name not in ("Resizing", "CenterCrop", "RandomCrop", "MaxNumBoundingBoxes"):
        assert torch.equal(out["boxes"], BOXES["boxes"]) and torch.equal(out["labels"], BOXES["labels"])


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: ours.convert_format(torch.ones(1, 4), "xyxy", "xyzw"), ArgumentError, "'xyzw'"),
        (lambda: ours.convert_format(torch.ones(1, 4), "xyxy", "rel_xyxy"), ArgumentError, "height"),
        (lambda: ours.convert_format(torch.ones(1, 3), "xyxy", "xywh"), ShapeError, "dimension of 4"),
        (lambda: ours.clip_to_image_size({"boxes": torch.ones(1, 4)}), ArgumentError, "height"),
        (lambda: ours.clip_to_image_size({"boxes": torch.ones(1, 4)}, 1, 1, "xywh"), ArgumentError, "'xywh'"),
        (lambda: layers.RandomFlip(bounding_box_format="xx"), ArgumentError, "'xx'"),
        (lambda: with_boxes(layers.RandomFlip(name="mirror"), BOXES), ArgumentError, "mirror.*bounding_box_format="),
        (lambda: with_boxes(layers.CutMix(bounding_box_format="xyxy"), BOXES), ArgumentError, "MixUp"),
        (lambda: with_boxes(layers.RandomElasticTransform(bounding_box_format="xyxy"), BOXES), ArgumentError, "masks"),
        (lambda: with_boxes(layers.RandomFlip(bounding_box_format="xyxy"), BOXES["boxes"]), ArgumentError, "a dict"),
        (
            lambda: with_boxes(layers.RandomFlip(bounding_box_format="xyxy"), {**BOXES, "boxes": torch.ones(2, 4)}),
            ShapeError,
            "batch, boxes, 4",
        ),
    ],
)
def test_mistakes_are_told(call, error, words):
    with pytest.raises(error, match=words):
        call()


def with_boxes(layer, boxes):
    return layer({"images": torch.rand(2, 9, 8, 3), "bounding_boxes": boxes}, training=True)

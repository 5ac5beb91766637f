"""Boxes and masks drawn on pictures, and galleries, against real Keras where its code runs here."""

import sys

import numpy as np
import pytest
import torch
from keras import visualization as keras_visualization
from PIL import Image

from lamella import visualization
from lamella.errors import ArgumentError, DataError, DTypeError, ShapeError
from lamella.utils.bounding_boxes import convert_format
from lamella.vision.drawing import draw_detections, draw_mask
from lamella.visualization.pen import PALETTE, ink_on


@pytest.fixture
def pyplot(monkeypatch):
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot

    yield pyplot
    pyplot.close("all")


@pytest.fixture
def pictures(rng):
    return rng.integers(0, 256, (2, 40, 60, 3)).astype("uint8")


def frame(shape, x1, y1, x2, y2):
    """The pixels of a frame that is one pixel thick."""
    inside = np.zeros(shape, bool)
    inside[y1 : y2 + 1, x1 : x2 + 1] = True
    inside[y1 + 1 : y2, x1 + 1 : x2] = False
    return inside


BOXES = {
    "boxes": np.array([[[5, 6, 20, 30], [0, 0, 1, 1]], [[10, 10, 50, 35], [3, 4, 12, 9]]], "float32"),
    "labels": np.array([[0, -1], [1, 2]]),
}


@pytest.mark.parametrize("bounding_box_format", ["xyxy", "rel_yxyx", "center_xywh"])
def test_frames_lie_on_the_boxes_and_nothing_else_changes(pictures, bounding_box_format):
    before = pictures.copy()
    boxes = {**BOXES, "boxes": convert_format(BOXES["boxes"], "xyxy", bounding_box_format, 40, 60)}
    boxes["boxes"] = boxes["boxes"] + 1e-3 * (bounding_box_format[:3] != "rel")  # no pixel is lost to rounding down
    boxes["boxes"] = boxes["boxes"] + 1e-5 * (bounding_box_format[:3] == "rel")
    drawn = visualization.draw_bounding_boxes(pictures, boxes, bounding_box_format, color=(255, 0, 9), line_thickness=1)
    expected = pictures.copy()
    expected[0][frame((40, 60), 5, 6, 20, 30)] = (255, 0, 9)
    expected[1][frame((40, 60), 10, 10, 50, 35)] = (255, 0, 9)
    expected[1][frame((40, 60), 3, 4, 12, 9)] = (255, 0, 9)
    assert drawn.dtype == np.uint8
    np.testing.assert_array_equal(drawn, expected)
    np.testing.assert_array_equal(pictures, before)


def test_tensors_floats_and_channels_first_are_the_same_picture(pictures):
    expected = visualization.draw_bounding_boxes(pictures, BOXES, "xyxy")
    tensors = {name: torch.from_numpy(values) for name, values in BOXES.items()}
    first = torch.from_numpy(pictures).permute(0, 3, 1, 2)
    drawn = visualization.draw_bounding_boxes(first, tensors, "xyxy", data_format="channels_first")
    np.testing.assert_array_equal(drawn.transpose(0, 2, 3, 1), expected)
    shares = (pictures.astype("float32") + 0.5) / 256
    drawn = visualization.draw_bounding_boxes(torch.from_numpy(shares), tensors, "xyxy")
    assert np.abs(drawn.astype(int) - expected).max() <= 1
    np.testing.assert_array_equal(
        visualization.draw_bounding_boxes(pictures.astype("float64"), BOXES, "xyxy"), expected
    )


def test_labels_are_written_for_classes_with_names_and_say_confidences(pictures):
    boxes = {**BOXES, "confidences": np.array([[0.9, 0.1], [0.5, 0.7]])}
    plain = visualization.draw_bounding_boxes(pictures, boxes, "xyxy", font_scale=0.4)
    named = visualization.draw_bounding_boxes(pictures, boxes, "xyxy", {0: "cat"}, font_scale=0.4)
    assert (named[0] != plain[0]).any() and (named[1] == plain[1]).all()
    without = visualization.draw_bounding_boxes(pictures, BOXES, "xyxy", {0: "cat"}, font_scale=0.4)
    assert (without[0] != named[0]).any()
    bold = visualization.draw_bounding_boxes(pictures, BOXES, "xyxy", {0: "cat"}, font_scale=0.4, text_thickness=3)
    assert (bold[0] == 128).all(-1).sum() > (without[0] == 128).all(-1).sum()


def test_grey_pictures_stay_grey(pictures):
    drawn = visualization.draw_bounding_boxes(pictures[..., :1], BOXES, "xyxy", color=(255, 255, 255), line_thickness=1)
    assert drawn.shape == (2, 40, 60, 1) and (drawn[0, 6, 5:21] == 255).all()
    np.testing.assert_array_equal(drawn[0, 10:20, 8:18], pictures[0, 10:20, 8:18, :1])


@pytest.mark.parametrize(
    "arguments",
    [
        {"num_classes": 5},
        {"num_classes": 3, "alpha": 0.3},
        {"num_classes": 5, "ignore_index": 0, "alpha": 0.5},
        {"num_classes": 5, "color_mapping": {i: (50 * i, 255 - 9 * i, 7) for i in range(5)}},
        {"num_classes": 5, "blend": False},
    ],
)
def test_masks_are_keras(pictures, rng, arguments):
    masks = rng.integers(-1, arguments["num_classes"], (2, 40, 60, 1))
    expected = keras_visualization.draw_segmentation_masks(pictures, masks, data_format="channels_last", **arguments)
    drawn = visualization.draw_segmentation_masks(pictures, masks, **arguments)
    assert drawn.dtype == np.uint8
    np.testing.assert_allclose(drawn.astype(int), np.asarray(expected).astype(int), atol=1)
    np.testing.assert_array_equal(visualization.draw_segmentation_masks(pictures, masks[..., 0], **arguments), drawn)
    first = [torch.from_numpy(values).permute(0, 3, 1, 2) for values in (pictures, masks)]
    again = visualization.draw_segmentation_masks(*first, data_format="channels_first", **arguments)
    np.testing.assert_array_equal(again, drawn)


def test_the_number_of_classes_says_what_is_drawn_and_without_it_all_are(pictures, rng):
    """Keras takes the highest class for the number of classes, and fails on torch."""
    masks = rng.integers(0, 4, (2, 40, 60, 1))
    every = visualization.draw_segmentation_masks(pictures, masks)
    np.testing.assert_array_equal(every, visualization.draw_segmentation_masks(pictures, masks, 4))
    some = visualization.draw_segmentation_masks(pictures, masks, 3)
    np.testing.assert_array_equal(some, np.where(masks == 3, pictures, every))
    assert (some != every).any()


def shown(pyplot):
    """The pictures and titles of the axes that are not empty."""
    axes = [axis for axis in pyplot.gcf().axes if axis.images]
    return [np.asarray(axis.images[0].get_array()) for axis in axes], [axis.get_title() for axis in axes]


@pytest.fixture
def kept_open(pyplot, monkeypatch):
    """Figures that are shown stay open, to look into."""
    close = pyplot.close
    monkeypatch.setattr(pyplot, "show", lambda: None)
    monkeypatch.setattr(pyplot, "close", lambda figure=None: None)
    yield pyplot
    close("all")


@pytest.mark.parametrize(
    ("count", "rows", "cols", "seen"),
    [(5, None, None, 5), (7, 2, None, 7), (7, None, 2, 7), (6, 2, 2, 4), (1, None, None, 1)],
)
def test_a_gallery_shows_all_pictures_that_fit(rng, kept_open, count, rows, cols, seen):
    pictures = rng.uniform(0, 1, (count, 4, 6, 3))
    names = {0: "cat", 1: "dog"}
    visualization.plot_image_gallery(
        pictures, y_true=np.arange(count) % 3, y_pred=[1], label_map=names, rows=rows, cols=cols, value_range=(0, 1)
    )
    images, titles = shown(kept_open)
    assert len(images) == seen
    np.testing.assert_array_equal(images[-1], (pictures[seen - 1].astype("float32") * 255).astype("uint8"))
    assert titles == ["Label: cat  Pred: dog", *(f"Label: {names.get(i % 3, 'Unknown')}" for i in range(1, seen))]
    grid = kept_open.gcf().axes[0].get_gridspec()
    assert rows in (None, grid.nrows) and cols in (None, grid.ncols)


def test_a_gallery_of_boxes_draws_both_kinds(pictures, kept_open):
    predicted = {**BOXES, "boxes": BOXES["boxes"] + 2}
    names = {0: "cat", 1: "dog"}
    visualization.plot_bounding_box_gallery(
        pictures / 255, "xyxy", BOXES, predicted, value_range=(0, 1), prediction_mapping=names, legend=True, rows=1
    )
    expected = visualization.draw_bounding_boxes(pictures, BOXES, "xyxy", color=(0, 188, 212), text_thickness=None)
    expected = visualization.draw_bounding_boxes(
        expected, predicted, "xyxy", names, color=(255, 235, 59), text_thickness=None
    )
    images, _ = shown(kept_open)
    assert np.abs(np.stack(images).astype(int) - expected).max() <= 1
    (legend,) = kept_open.gcf().legends
    assert [text.get_text() for text in legend.get_texts()] == ["Ground Truth", "Prediction"]


def test_a_gallery_of_masks_has_a_row_for_each_picture(pictures, rng, kept_open):
    masks = rng.integers(0, 3, (2, 40, 60))
    visualization.plot_segmentation_mask_gallery(pictures, 3, y_true=masks, y_pred=masks[::-1], ignore_index=0)
    images, _ = shown(kept_open)
    drawn = [visualization.draw_segmentation_masks(pictures, each, 3, ignore_index=0) for each in (masks, masks[::-1])]
    expected = [pictures[0], drawn[0][0], drawn[1][0], pictures[1], drawn[0][1], drawn[1][1]]
    np.testing.assert_array_equal(np.stack(images), np.stack(expected))


def test_a_gallery_is_written_to_a_file(pictures, pyplot, tmp_path):
    visualization.plot_image_gallery(pictures, path=tmp_path / "gallery.png", scale=1, dpi=100, rows=1)
    with Image.open(tmp_path / "gallery.png") as image:
        assert image.width > image.height > 20
    assert not pyplot.get_fignums()


def test_detections_have_the_colours_of_their_classes_and_the_surest_lies_on_top(pictures):
    found = {"boxes": [[5, 20, 30, 38], [5, 20, 30, 38], [40, 20, 50, 30], [0, 0, 9, 9]], "classes": [0, 1, 2, -1]}
    found = {name: np.array(values) for name, values in found.items()} | {"scores": np.array([0.5, 0.9, 0.3, -1])}
    drawn = np.asarray(draw_detections(np.zeros((40, 60, 3), "uint8"), found, ["a", "b", "c"]))
    assert tuple(drawn[38, 20]) == PALETTE[1] and tuple(drawn[30, 45]) == PALETTE[2]
    assert (drawn[:3] == 0).all()  # no box of class -1, and labels just above the boxes
    surer = np.asarray(draw_detections(np.zeros((40, 60, 3), "uint8"), found, ["a", "b", "c"], min_score=0.4))
    assert (surer[24:32, 40:51] == 0).all()
    tensors = {name: torch.from_numpy(values) for name, values in found.items()}
    again = draw_detections(Image.fromarray(np.zeros((40, 60, 3), "uint8")), tensors, ["a", "b", "c"])
    np.testing.assert_array_equal(np.asarray(again), drawn)
    large = draw_detections(np.zeros((40, 60, 3), "uint8"), found, ["a", "b", "c"], zoom=4)
    assert large.size == (240, 160) and large.getpixel((45 * 4, 30 * 4)) == PALETTE[2]


def test_targets_and_a_picture_without_boxes_are_drawn(pictures):
    none = {"boxes": np.zeros((0, 4)), "classes": np.zeros(0)}
    np.testing.assert_array_equal(np.asarray(draw_detections(pictures[0], none)), pictures[0])
    targets = {"boxes": np.array([[10, 10, 30, 30]]), "classes": np.array([3])}
    drawn = np.asarray(draw_detections(pictures[0], targets, colours=[(1, 2, 3)] * 4))
    assert tuple(drawn[30, 20]) == (1, 2, 3)


def test_labels_are_readable_on_every_colour():
    for colour in PALETTE:
        shares = [
            np.where(x <= 0.03928, x / 12.92, ((x + 0.055) / 1.055) ** 2.4)
            for x in np.array([colour, ink_on(colour)]) / 255
        ]
        light = sorted(float(share @ [0.2126, 0.7152, 0.0722]) for share in shares)
        assert (light[1] + 0.05) / (light[0] + 0.05) > 3  # WCAG's contrast for large letters


def test_a_mask_is_seen_through_and_outlined(pictures):
    mask = np.zeros((40, 60), int)
    mask[10:30, 10:30] = 2
    mask[0, 0] = -1
    drawn = np.asarray(draw_mask(pictures[0], mask, alpha=0.25))
    middle = pictures[0, 11:29, 11:29] * 0.75 + np.array(PALETTE[1]) * 0.25
    np.testing.assert_allclose(drawn[11:29, 11:29], middle, atol=0.51)
    assert (drawn[10, 10:30] == PALETTE[1]).all()
    outside = mask == 0
    outside[0, 0] = True
    np.testing.assert_array_equal(drawn[outside], pictures[0][outside])
    whole = np.asarray(
        draw_mask(pictures[0], mask[..., None], alpha=1.0, background=None, colours=[(1, 1, 1), 3 * (2,), 3 * (4,)])
    )
    assert (whole[mask == 2] == 4).all() and (whole[mask == 0] == 1).all()
    np.testing.assert_array_equal(whole[0, 0], pictures[0, 0, 0])


def test_errors_say_what_is_wrong(pictures):
    with pytest.raises(ShapeError, match=r"4 axes; got shape \(40, 60, 3\)"):
        visualization.draw_bounding_boxes(pictures[0], BOXES, "xyxy")
    with pytest.raises(DTypeError, match="must be a dict; got list"):
        visualization.draw_bounding_boxes(pictures, [], "xyxy")
    with pytest.raises(DataError, match=r"'boxes' and 'labels'; got \['boxes'\]"):
        visualization.draw_bounding_boxes(pictures, {"boxes": BOXES["boxes"]}, "xyxy")
    with pytest.raises(ArgumentError, match="'channels_first' or 'channels_last'; got 'first'"):
        visualization.draw_bounding_boxes(pictures, BOXES, "xyxy", data_format="first")
    with pytest.raises(DTypeError, match="integer data type; got float64"):
        visualization.draw_segmentation_masks(pictures, np.zeros((2, 40, 60, 1)))
    with pytest.raises(ShapeError, match=r"\(2, 40, 60, 3\) and \(2, 40, 61\)"):
        visualization.draw_segmentation_masks(pictures, np.zeros((2, 40, 61), int))
    with pytest.raises(ArgumentError, match=r"no colour for the classes \[0, 2\]"):
        visualization.draw_segmentation_masks(pictures, np.zeros((2, 40, 60), int), 3, {1: (0, 0, 0)})
    with pytest.raises(ArgumentError, match="not both"):
        visualization.plot_image_gallery(pictures, path="x.png", show=True)
    with pytest.raises(ArgumentError, match="need `label_map`"):
        visualization.plot_image_gallery(pictures, y_true=[0, 1])
    with pytest.raises(ArgumentError, match="lowest, highest"):
        visualization.plot_image_gallery(pictures, value_range=(1, 1))
    with pytest.raises(ArgumentError, match="`legend` or `legend_handles`"):
        visualization.plot_bounding_box_gallery(pictures, "xyxy", legend=True, legend_handles=[1])
    with pytest.raises(DataError, match=r"'boxes' and 'classes'; got \['boxes', 'labels'\]"):
        draw_detections(pictures[0], BOXES)
    with pytest.raises(ShapeError, match=r"of one picture; got \(2, 2, 4\) and \(2, 2\)"):
        draw_detections(pictures[0], {"boxes": BOXES["boxes"], "classes": BOXES["labels"]})
    with pytest.raises(ArgumentError, match="there is a class 2, but `class_names` has 1"):
        draw_detections(pictures[0], {"boxes": np.zeros((1, 4)), "classes": np.array([2])}, ["a"])
    with pytest.raises(ArgumentError, match="`zoom` must be at least 1; got 0"):
        draw_detections(pictures[0], {"boxes": np.zeros((1, 4)), "classes": np.array([2])}, zoom=0)
    with pytest.raises(ShapeError, match=r"the mask has shape \(4, 4\), and the picture \(40, 60\)"):
        draw_mask(pictures[0], np.zeros((4, 4)))


def test_missing_packages_are_named_with_the_command(pictures, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    for plot in (
        lambda: visualization.plot_image_gallery(pictures),
        lambda: visualization.plot_bounding_box_gallery(pictures, "xyxy"),
        lambda: visualization.plot_segmentation_mask_gallery(pictures, 3),
    ):
        with pytest.raises(ImportError, match="pip install matplotlib"):
            plot()
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(ImportError, match="pip install pillow"):
        visualization.draw_bounding_boxes(pictures, BOXES, "xyxy")
    with pytest.raises(ImportError, match="pip install pillow"):
        draw_detections(pictures[0], {"boxes": np.zeros((0, 4)), "classes": np.zeros(0)})

"""Pictures, boxes and masks that are changed together."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

import lamella
from lamella.errors import ArgumentError
from lamella.vision.augmentation import Augmentation
from lamella.vision.warp import about, colour_matrix, linear, smooth_field, warp, warp_boxes

OFF = {"flip": 0.0}


def with_box(box, size=(60, 80), background=40, inside=220):
    image = np.full((*size, 3), background, "uint8")
    left, top, right, bottom = box
    image[top:bottom, left:right] = inside
    return {"image": image, "boxes": np.array([box], "float32"), "classes": np.array([3])}


def blocks(size=(64, 64), side=16, seed=0):
    """A mask of large blocks of classes 0 to 3, and a grey picture that shows it."""
    small = np.random.default_rng(seed).integers(0, 4, (-(-size[0] // side), -(-size[1] // side)))
    mask = small.repeat(side, 0).repeat(side, 1)[: size[0], : size[1]].astype("uint8")
    return {"image": (mask * 60 + 20)[..., None], "mask": mask, "mask_fill": 9}


def extent(there):
    rows, columns = np.flatnonzero(there.any(1)), np.flatnonzero(there.any(0))
    return np.array([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1])


# -- warping ------------------------------------------------------------------------------------------------


def naive_warp(image, backward, size, fill):
    """Bilinear sampling as it is defined: one pixel after the other."""
    found = np.zeros((*size, image.shape[2]))
    height, width = image.shape[:2]

    def at(y, x):
        return image[y, x].astype(float) if 0 <= y < height and 0 <= x < width else np.full(image.shape[2], float(fill))

    for i in range(size[0]):
        for j in range(size[1]):
            x, y, _ = backward @ [j + 0.5, i + 0.5, 1] - 0.5
            left, top = math.floor(x), math.floor(y)
            a, b = x - left, y - top
            found[i, j] = (1 - b) * ((1 - a) * at(top, left) + a * at(top, left + 1)) + b * (
                (1 - a) * at(top + 1, left) + a * at(top + 1, left + 1)
            )
    return found


@pytest.mark.parametrize("seed", range(8))
def test_warp_agrees_with_a_loop(seed):
    random = np.random.default_rng(seed)
    image = random.integers(0, 256, (9, 13, 1 if seed % 2 else 3), dtype=np.uint8)
    matrix = linear(
        random.uniform(-180, 180), random.uniform(0.5, 2), tuple(random.uniform(-20, 20, 2)), (seed > 4, False)
    )
    forward = about(matrix, np.array([6.0, 4]), random.uniform(4, 8, 2))
    found, _ = warp(image, None, forward, (2, 1, 11, 12), 90, 0)
    expected = naive_warp(image, np.linalg.inv(forward), (12, 13), 90)[2:11, 1:12]
    assert found.shape == expected.shape and np.abs(found - expected).max() <= 0.51


def test_warp_of_a_part_of_a_large_picture_is_the_same():
    """Only the part that is needed is looked at: with a fill, that changes nothing."""
    random = np.random.default_rng(0)
    image = random.integers(0, 256, (120, 160, 3), dtype=np.uint8)
    forward = about(linear(30, 1.3, (0, 0), (False, False)), np.array([80.0, 60]), np.array([80.0, 60]))
    whole, _ = warp(image, None, forward, (0, 0, 120, 160), 114, 0)
    part, _ = warp(image, None, forward, (50, 100, 70, 130), 114, 0)
    assert np.abs(part.astype(int) - whole[50:70, 100:130]).max() <= 1


def test_colours_leave_what_is_outside_as_it_is():
    image = np.full((10, 10, 3), 100, "uint8")
    forward = about(np.eye(2), np.zeros(2), np.array([4.0, 0]))
    found, _ = warp(image, None, forward, (0, 0, 10, 10), 114, 0, (2 * np.eye(3), np.zeros(3)))
    assert (found[:, :4] == 114).all() and (found[:, 4:] == 200).all()


@settings(max_examples=80, deadline=None)
@given(
    st.floats(-180, 180), st.floats(0.6, 1.6), st.floats(-15, 15), st.booleans(), st.booleans(), st.integers(0, 2**31)
)
def test_the_box_of_a_drawn_rectangle_stays_around_it(angle, scale, shear, flip, vertical, seed):
    random = np.random.default_rng(seed)
    left, top = random.integers(40, 80, 2)
    box = np.array([left, top, left + random.integers(12, 40), top + random.integers(12, 40)])
    sample = with_box(box, (160, 160))
    forward = about(linear(angle, scale, (shear, 0), (flip, vertical)), np.array([80.0, 80]), np.array([150.0, 150]))
    picture, _ = warp(sample["image"], None, forward, (0, 0, 300, 300), 40, 0)
    boxes, kept = warp_boxes(sample["boxes"].astype(float), forward, (0, 0, 300, 300), 0.1)
    assert kept.all()
    drawn = extent(picture[..., 0] > 130)
    outside = np.maximum(boxes[0, :2] - drawn[:2], drawn[2:] - boxes[0, 2:]).max()
    assert outside <= 0.6  # a pixel half covered
    assert np.abs(drawn - boxes[0]).max() <= 2.6  # sharp corners of a turned rectangle are thinner than a pixel
    if angle == 0 and shear == 0:
        assert np.abs(drawn - boxes[0]).max() <= 0.6


def test_boxes_that_are_cut_to_a_sliver_are_dropped():
    boxes = np.array([[0.0, 0, 10, 10], [0, 0, 10, 10], [0, 0, 10, 10], [5, 0, 10, 10]])
    for shift, expected in ((-8.9, True), (-9.1, False), (-20, False), (30, False)):
        moved, kept = warp_boxes(boxes[:1], about(np.eye(2), np.zeros(2), np.array([shift, 0])), (0, 0, 20, 20), 0.1)
        assert kept.tolist() == [expected]
        if expected:
            assert np.allclose(moved, [[0, 0, 10 + shift, 10]])


def test_no_boxes():
    moved, kept = warp_boxes(np.zeros((0, 4)), np.eye(3), (0, 0, 5, 5), 0.1)
    assert moved.shape == (0, 4) and kept.shape == (0,)


# -- colours ------------------------------------------------------------------------------------------------


def coloured(image, **changes):
    matrix, bias = colour_matrix(
        image, **{"hue": 0.0, "saturation": 1.0, "brightness": 1.0, "contrast": 1.0, **changes}
    )
    return image @ matrix.T + bias


def test_colours_are_changed_as_their_names_say():
    image = np.random.default_rng(0).integers(0, 256, (32, 32, 3)).astype("uint8")
    assert np.allclose(coloured(image), image)
    assert np.allclose(coloured(image, hue=1 / 3), image[..., [2, 0, 1]])  # red becomes green
    assert np.allclose(coloured(image, brightness=1.3), image * 1.3)
    assert np.allclose(coloured(image, contrast=0.0), image[::4, ::4].mean())
    assert np.allclose(coloured(image, saturation=0.0), (image @ [0.299, 0.587, 0.114])[..., None])
    grey = np.full((8, 8, 3), 90, "uint8")
    assert np.allclose(coloured(grey, hue=0.2, saturation=1.7, contrast=1.5), 90)


def test_a_grey_picture_is_coloured_as_a_colour_picture_of_greys():
    grey = np.random.default_rng(0).integers(0, 256, (32, 32, 1)).astype("uint8")
    change = {"hue": 0.2, "saturation": 0.3, "brightness": 1.1, "contrast": 0.8}
    assert np.allclose(coloured(grey, **change), coloured(grey.repeat(3, 2), **change)[..., :1])


# -- the whole ----------------------------------------------------------------------------------------------


def test_nothing_changes_where_everything_is_off():
    random = np.random.default_rng(0)
    image = random.integers(0, 256, (30, 40, 3), dtype=np.uint8)
    boxes = np.array([[1, 2, 30, 20], [0, 0, 40, 30]], "float32")
    found = Augmentation(**OFF)({"image": image, "boxes": boxes, "classes": np.array([1, 0]), "file": "a"}, random)
    assert np.array_equal(found["image"], image) and np.array_equal(found["boxes"], boxes)
    assert found["classes"].tolist() == [1, 0] and found["file"] == "a"
    sample = blocks()
    same = Augmentation(**OFF)(sample, random)
    assert np.array_equal(same["mask"], sample["mask"]) and np.array_equal(same["image"], sample["image"])
    assert same["mask"].dtype == sample["mask"].dtype


def test_flips_are_exact():
    random = np.random.default_rng(0)
    image = random.integers(0, 256, (31, 40, 3), dtype=np.uint8)
    sample = {"image": image, "mask": image[..., 0].astype("int32")}
    for change, axes in (
        ({"flip": 1.0}, 1),
        ({"flip": 0.0, "vertical_flip": 1.0}, 0),
        ({"flip": 1.0, "vertical_flip": 1.0}, (0, 1)),
    ):
        found = Augmentation(**change)(sample, random)
        assert np.array_equal(found["image"], np.flip(image, axes))
        assert np.array_equal(found["mask"], np.flip(sample["mask"], axes))


@pytest.mark.parametrize("crop", [None, (32, 32)])
def test_quarter_turns_are_exact(crop):
    image = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    turns = [np.rot90(image, k) for k in range(4)]
    seen = set()
    for seed in range(20):
        found = Augmentation(**OFF, rotate90=True, crop=crop)({"image": image}, np.random.default_rng(seed))["image"]
        seen.add(next(k for k, turn in enumerate(turns) if np.array_equal(found, turn)))
    assert seen == {0, 1, 2, 3}


def test_half_turns_where_a_quarter_would_not_fit():
    image = np.random.default_rng(0).integers(0, 256, (20, 32, 3), dtype=np.uint8)
    for seed in range(10):
        found = Augmentation(**OFF, rotate90=True)({"image": image}, np.random.default_rng(seed))["image"]
        assert np.array_equal(found, image) or np.array_equal(found, np.rot90(image, 2))


CHANGES = {
    "turned": {"rotate": 40.0, "flip": 0.5},
    "scaled": {"scale": (0.5, 1.5), "translate": 0.2},
    "sheared": {"shear": 15.0},
    "cropped": {"crop": (40, 48), "scale": (0.8, 1.6), "rotate90": True},
    "elastic": {"elastic": 3.0},
    "mirrored": {"fill": "reflect", "rotate": 45.0, "elastic": 2.0, "scale": (0.5, 1.0)},
    "mosaic": {"mosaic": 1.0, "rotate": 10.0},
}


@pytest.mark.parametrize("name", CHANGES)
def test_masks_stay_on_their_pictures(name):
    for seed in range(6):
        found = Augmentation(**CHANGES[name])(blocks(seed=seed), np.random.default_rng(seed), lambda: blocks(seed=99))
        mask, image = found["mask"], found["image"][..., 0].astype(int)
        assert mask.shape == image.shape and mask.dtype == np.uint8 and set(np.unique(mask)) <= {0, 1, 2, 3, 9}
        windows = np.lib.stride_tricks.sliding_window_view(mask, (5, 5))
        inner = windows.min((2, 3)) == windows.max((2, 3))  # away from where classes meet
        expected = np.where(mask == 9, 114, mask.astype(int) * 60 + 20)
        wrong = np.abs(image - expected)[2:-2, 2:-2][inner] > 1
        assert inner.sum() > 200 and wrong.sum() <= (2 if name == "mosaic" else 0)  # tips of turned pictures at a seam
        assert name != "mirrored" or (mask != 9).all()
    assert not np.array_equal(found["mask"], blocks(seed=5)["mask"])


def test_mask_fill_is_what_is_outside_a_mask():
    sample = {"image": np.zeros((20, 20, 3), "uint8"), "mask": np.zeros((20, 20), "uint8"), "mask_fill": 255}
    found = Augmentation(**OFF, scale=(0.5, 0.5))(sample, np.random.default_rng(0))
    expected = np.full((20, 20), 255)
    expected[5:15, 5:15] = 0
    assert np.array_equal(found["mask"], expected)
    assert np.array_equal(found["image"][..., 0] == 114, expected == 255)


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 2**31), st.sampled_from([None, (50, 50), (90, 100)]), st.sampled_from([0.0, 1.0]))
def test_boxes_stay_on_their_objects(seed, crop, mosaic):
    """One bright rectangle in each picture: all that is bright lies in the boxes, and each box is bright."""
    random = np.random.default_rng(seed)

    def sample():
        left, top = random.integers(5, 35, 2)
        return with_box((left, top, left + random.integers(12, 25), top + random.integers(12, 20)))

    augment = Augmentation(
        flip=0.5, vertical_flip=0.5, scale=(0.7, 1.5), translate=0.2, crop=crop, mosaic=mosaic, fill=40
    )
    found = augment(sample(), random, sample)
    height, width = crop or (60, 80)
    assert found["image"].shape == (height, width, 3)
    bright, boxes = found["image"][..., 0] > 130, found["boxes"]
    assert boxes.dtype == np.float32 and len(boxes) == len(found["classes"]) <= (4 if mosaic else 1)
    assert (boxes >= 0).all() and (boxes <= [width, height, width, height]).all()
    uncovered = bright.copy()
    for left, top, right, bottom in boxes:
        part = bright[math.floor(top) : math.ceil(bottom), math.floor(left) : math.ceil(right)]
        sliver = min(right - left, bottom - top) < 2 or (right - left) * (bottom - top) < 30
        assert sliver or part.mean() > 0.5
        rows = slice(max(math.floor(top - 0.6), 0), math.ceil(bottom + 0.6))
        uncovered[rows, max(math.floor(left - 0.6), 0) : math.ceil(right + 0.6)] = False
    assert uncovered.sum() <= (4 if mosaic else 1) * 0.1 * 25 * 20 * 1.5**2 + 4  # what is left of boxes cut to a sliver


def test_crops_stay_inside_where_there_is_room():
    image = np.full((64, 80, 3), 200, "uint8")
    places = set()
    for seed in range(30):
        image[..., 0] = np.arange(80)
        found = Augmentation(flip=0.5, rotate=20.0, crop=(30, 30))({"image": image}, np.random.default_rng(seed))[
            "image"
        ]
        assert found.shape == (30, 30, 3) and (found[..., 1] == 200).all()
        places.add(int(found[15, 15, 0]))
    assert len(places) > 10
    small = Augmentation(**OFF, crop=(100, 100))({"image": image}, np.random.default_rng(0))["image"]
    assert np.array_equal(small[18:82, 10:90], image) and (small[:18] == 114).all()


def test_elastic_deformation_is_smooth_and_as_strong_as_asked():
    points = np.random.default_rng(0).normal(0, 10, (2, 3, 3)).astype("float32")
    field = smooth_field(points, (40, 50))
    expected = F.interpolate(torch.from_numpy(points)[None], (40, 50), mode="bicubic", align_corners=True)[0]
    assert torch.allclose(field, expected, atol=1e-4)
    sample = {
        "image": np.tile(np.arange(100, dtype="uint8")[:, None, None], (1, 100, 1)),
        "mask": np.zeros((100, 100), "uint8"),
    }
    moved = [
        Augmentation(**OFF, elastic=4.0)(sample, np.random.default_rng(seed))["image"][50, 50, 0] - 50.0
        for seed in range(200)
    ]
    assert 3.3 < np.std(moved) < 4.7  # the middle of the 3 x 3 points moves as that point does


def test_mixup_blends_pictures_and_keeps_all_boxes():
    one, two = with_box((10, 10, 30, 30)), with_box((40, 20, 60, 50), background=200, inside=0)
    found = Augmentation(**OFF, mixup=1.0)(one, np.random.default_rng(0), lambda: two)
    share = (int(found["image"][0, 0, 0]) - 200) / (40 - 200)
    assert 0.2 < share < 0.8
    assert np.abs(found["image"] - (share * one["image"] + (1 - share) * two["image"])).max() <= 1.5
    assert found["boxes"].tolist() == [[10, 10, 30, 30], [40, 20, 60, 50]] and len(found["classes"]) == 2


def test_a_mosaic_shows_four_pictures():
    shades = iter((60, 120, 180))
    sample = {"image": np.full((40, 40, 3), 240, "uint8")}
    found = Augmentation(**OFF, mosaic=1.0, scale=(2.0, 2.0), fill=0)(
        sample, np.random.default_rng(0), lambda: {"image": np.full((40, 40, 3), next(shades), "uint8")}
    )["image"][..., 0]
    assert [found[1, 1], found[1, -2], found[-2, 1], found[-2, -2]] == [240, 60, 120, 180]
    assert set(np.unique(found)) == {240, 60, 120, 180}  # cut, not blended


def test_the_sample_given_is_never_written_to():
    for augment in (Augmentation.for_detection(mosaic=1.0, mixup=1.0), Augmentation(**OFF)):
        sample = with_box((10, 10, 30, 30))
        before = {name: value.copy() for name, value in sample.items()}
        for value in sample.values():
            value.setflags(write=False)
        augment(sample)
        assert all(np.array_equal(sample[name], before[name]) for name in before)


def test_random_numbers_follow_from_the_seed():
    augment, sample = Augmentation.for_segmentation(), blocks()
    lamella.utils.set_random_seed(3)
    one, two = augment(sample)["image"], augment(sample)["image"]
    lamella.utils.set_random_seed(3)
    assert np.array_equal(augment(sample)["image"], one) and not np.array_equal(one, two)


def test_presets_take_changes():
    assert Augmentation.for_detection(mosaic=0.0, flip=0.2).flip == 0.2
    found = Augmentation.for_segmentation(crop=(24, 24))(blocks())
    assert found["image"].shape == (24, 24, 1) and found["mask"].shape == (24, 24)
    assert Augmentation(**Augmentation.for_detection().get_config()) == Augmentation.for_detection()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("flip", 1.5),
        ("mosaic", -0.1),
        ("rotate", 200),
        ("hue", 0.7),
        ("brightness", float("nan")),
        ("scale", (2, 1)),
        ("scale", (0, 1)),
        ("crop", (0, 5)),
        ("elastic", -1),
        ("elastic_grid", 1),
        ("fill", 300),
        ("fill", "mirror"),
    ],
)
def test_arguments_out_of_range_are_refused(name, value):
    with pytest.raises(ArgumentError, match=f"`{name}`"):
        Augmentation(**{name: value})


def test_what_does_not_go_together_is_refused():
    with pytest.raises(ArgumentError, match="boxes do not bend"):
        Augmentation(elastic=1.0)(with_box((1, 1, 5, 5)))
    with pytest.raises(ArgumentError, match="masks are not blended"):
        Augmentation(mixup=0.5)(blocks())

"""The generated shapes: pictures, masks and boxes tell of the same shapes."""

import time

import numpy as np
import pytest

from lamella.datasets import shapes
from lamella.errors import ArgumentError


def both(**kwargs):
    (x, masks), _ = shapes.load_data("segmentation", num_test=0, **kwargs)
    (again, targets), _ = shapes.load_data("detection", num_test=0, **kwargs)
    assert np.array_equal(x, again)
    return x, masks, targets["boxes"], targets["classes"]


def test_shapes_and_types():
    (x, masks), (x_test, masks_test) = shapes.load_data(num_train=60, num_test=7, size=(40, 56))
    assert (x.shape, x.dtype) == ((60, 40, 56, 3), np.uint8) and (masks.shape, masks.dtype) == ((60, 40, 56), np.int64)
    assert x_test.shape == (7, 40, 56, 3) and masks_test.shape == (7, 40, 56)
    assert set(np.unique(masks)) == {0, 1, 2, 3} and len(shapes.CLASS_NAMES) == 3
    (_, y), _ = shapes.load_data("detection", num_train=3, num_test=1, max_shapes=4)
    assert (y["boxes"].shape, y["boxes"].dtype) == ((3, 4, 4), np.float32)
    assert (y["classes"].shape, y["classes"].dtype) == ((3, 4), np.int64)


def test_a_seed_gives_the_same_pictures_and_another_gives_others():
    (x, masks), (x_test, _) = shapes.load_data(num_train=8, num_test=8, seed=3)
    (same, same_masks), _ = shapes.load_data(num_train=8, num_test=8, seed=3)
    (other, _), _ = shapes.load_data(num_train=8, num_test=8, seed=4)
    _, (longer_test, _) = shapes.load_data(num_train=20, num_test=8, seed=3)
    assert np.array_equal(x, same) and np.array_equal(masks, same_masks)
    assert not np.array_equal(x, other) and not np.array_equal(x, x_test)
    assert np.array_equal(x_test, longer_test)


def test_a_lone_shape_is_boxed_by_its_mask():
    _, masks, boxes, classes = both(num_train=80, max_shapes=1)
    assert (classes >= 0).all() and set(classes.ravel()) == {0, 1, 2}
    for mask, box, kind in zip(masks, boxes[:, 0], classes[:, 0], strict=True):
        rows, columns = np.nonzero(mask)
        assert (mask[rows, columns] == kind + 1).all()
        assert box.tolist() == [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]


def test_lone_shapes_have_the_areas_of_their_kinds():
    _, masks, boxes, classes = both(num_train=300, max_shapes=1)
    left, top, right, bottom = boxes[:, 0].T
    whole = (left > 0) & (top > 0) & (right < 96) & (bottom < 96)
    share = (masks > 0).sum((1, 2)) / ((right - left) * (bottom - top))
    kind = classes[:, 0]
    assert np.allclose(share[whole & (kind == 0)], np.pi / 4, atol=0.05)
    assert share[whole & (kind == 1)].min() > 0.49  # a square on its corner fills half of its box
    assert share[whole & (kind == 2)].min() > 0.4 and share[whole & (kind == 2)].max() < 0.56


def test_crowds_overlap_and_lie_in_the_picture():
    _, masks, boxes, classes = both(num_train=100, max_shapes=8)
    there = classes >= 0
    assert (there[:, :-1] >= there[:, 1:]).all()  # further shapes are padding at the end
    assert (boxes[~there] == 0).all()
    left, top, right, bottom = boxes[there].T
    assert (left >= 0).all() and (top >= 0).all() and (right <= 96).all() and (bottom <= 96).all()
    assert (right - left > 4).all() and (bottom - top > 4).all()
    for mask, found, own in zip(masks, boxes, classes, strict=True):
        for (x1, y1, x2, y2), kind in zip(found[own >= 0].astype(int), own[own >= 0], strict=True):
            assert (mask[y1:y2, x1:x2] == kind + 1).any()
    covered = (boxes[..., 2] - boxes[..., 0]) * (boxes[..., 3] - boxes[..., 1])
    assert covered.sum() * 0.7 > (masks > 0).sum()  # shapes cover one another


def test_hidden_shapes_have_no_box():
    numbers = [(both(num_train=100, max_shapes=most, seed=1)[3] >= 0).sum(1).mean() for most in (2, 40)]
    assert numbers[0] > 1.35  # of 1.5 drawn
    assert numbers[1] < 17  # of 20.5 drawn


def test_shapes_stand_out_from_the_ground():
    x, masks, _, _ = both(num_train=50)
    spread = np.ptp(x.astype(int), axis=3)  # shapes are vivid, grounds greyish
    assert spread[masks > 0].mean() > 3 * spread[masks == 0].mean()


def test_six_hundred_pictures_take_seconds():
    start = time.process_time()
    shapes.load_data(num_train=500, num_test=100)
    assert time.process_time() - start < 6  # about 0.8 alone on a core


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"task": "counting"}, "'segmentation' or 'detection'; got 'counting'"),
        ({"num_train": 0}, "1 or more"),
        ({"num_test": -1}, "0 or more"),
        ({"max_shapes": 0}, "1 or more"),
        ({"size": (8, 96)}, r"16 or more; got \(8, 96\)"),
    ],
)
def test_bad_arguments_are_told_of(kwargs, message):
    with pytest.raises(ArgumentError, match=message):
        shapes.load_data(**kwargs)

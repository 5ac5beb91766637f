"""Batches of pictures and masks."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import lamella
from lamella.errors import ArgumentError, DataError, ShapeError
from lamella.vision import Augmentation, SegmentationDataset
from lamella.vision.masks import letterbox_mask, read_mask, to_classes

MEMBRANES = Path("/work/shared/data/membrane_masks")


@pytest.fixture
def folders(tmp_path):
    """Twelve pictures and masks of 0 and 255, named 0 to 11; the pictures tell their number in red."""
    random = np.random.default_rng(0)
    images, masks = tmp_path / "images", tmp_path / "masks"
    for i in range(12):
        for folder in (images, masks):
            folder.mkdir(exist_ok=True)
        mask = random.integers(0, 2, (16, 24), dtype=np.uint8)
        image = np.stack([np.full_like(mask, 10 * i), mask * 200, mask * 0], -1)
        Image.fromarray(image).save(images / f"{i}.png")
        Image.fromarray(mask * 255).save(masks / f"{i}.png")
    return images, masks


def numbers(data):
    return [int(image[0, 0, 0]) // 10 for images, _ in data for image in images]


def test_folders_are_paired_by_name_in_natural_order(folders):
    data = SegmentationDataset.from_folders(*folders, batch_size=5)
    assert len(data) == 3 and data.class_names == ["class_0", "class_1"] and numbers(data) == list(range(12))
    images, masks = data[0]
    assert images.dtype == np.uint8 and images.shape == (5, 16, 24, 3)
    assert masks.dtype == np.int64 and masks.shape == (5, 16, 24)
    assert np.array_equal(masks, images[..., 1] // 200)


def test_lists_of_files_and_names_with_mask(folders):
    images, masks = folders
    for file in masks.iterdir():
        file.rename(file.with_stem(f"{file.stem}_mask"))
    chosen = [images / f"{i}.png" for i in (7, 3)]
    data = SegmentationDataset.from_folders(chosen, masks, class_names=["no", "yes"], channels=1)
    images, masks = data[0]
    assert images.shape == (2, 16, 24, 1) and masks.max() == 1 and data.file(0).endswith("7.png")


def test_masks_without_a_picture_or_the_other_way_round(folders):
    images, masks = folders
    (masks / "3.png").unlink()
    with pytest.warns(UserWarning, match=r"3\.png: there is no mask"):
        data = SegmentationDataset.from_folders(images, masks)
    assert 3 not in numbers(data) and len(data.skipped) == 1
    with pytest.raises(DataError, match=r"3\.png"):
        SegmentationDataset.from_folders(images, masks, strict=True)
    with pytest.raises(DataError, match="no such folder"):
        SegmentationDataset.from_folders(images / "nowhere", masks)
    (masks / "none").mkdir()
    with pytest.raises(DataError, match="no pictures in it"):
        SegmentationDataset.from_folders(masks / "none", masks)


def test_broken_files_are_left_out_and_training_ends_well(folders):
    images, masks = folders
    (images / "0.png").write_bytes(b"")
    (masks / "1.png").write_bytes((masks / "1.png").read_bytes()[:50])
    Image.new("L", (5, 5)).save(masks / "2.png")
    data = SegmentationDataset.from_folders(
        images, masks, class_names=["a", "b", "c"], values=(0, 255, 100), batch_size=4
    )
    data.values = None
    data.class_names = ["a", "b"]
    data.values = (0, 255)
    model = lamella.Sequential([lamella.layers.Rescaling(1 / 255), lamella.layers.Conv2D(2, 1)])
    model.compile(lamella.optimizers.Adam(0.1), lamella.losses.SparseCategoricalCrossentropy(from_logits=True))
    with pytest.warns(UserWarning, match="leaves out") as caught:
        history = model.fit(data, epochs=12, verbose=0)
    assert len(caught) == 1 and history.history["loss"][-1] < 0.6 * history.history["loss"][0]
    reasons = {Path(file).name: reason for file, reason in data.skipped}
    assert set(reasons) == {"0.png", "1.png", "2.png"}
    assert "masks/1.png" in reasons["1.png"] and "the mask is 5 x 5, but its picture 16 x 24" in reasons["2.png"]


def test_pictures_are_fitted_into_a_size(folders):
    data = SegmentationDataset.from_folders(
        *folders, image_size=(32, 32), batch_size=2, ignore_class=9, values=(0, 255)
    )
    images, masks = data[0]
    assert images.shape == (2, 32, 32, 3)
    frame = np.ones((32, 32), bool)
    frame[5:26] = False  # 16 x 24 in 32 x 32: 21 rows
    assert (
        (masks[:, frame] == 9).all() and set(np.unique(masks[:, ~frame])) == {0, 1} and (images[:, frame] == 114).all()
    )


def test_pictures_of_different_sizes_need_a_size(folders):
    images, masks = folders
    for folder, mode in ((images, "RGB"), (masks, "L")):
        Image.new(mode, (40, 40)).save(folder / "1.png")
    with pytest.raises(DataError, match=r"different sizes, as \(16, 24\) and \(40, 40\)"):
        SegmentationDataset.from_folders(images, masks)[0]
    augment = Augmentation(crop=(12, 12))
    assert SegmentationDataset.from_folders(images, masks, augment=augment)[0][0].shape == (8, 12, 12, 3)


def test_augmented_masks_stay_on_their_pictures(folders):
    augment = Augmentation(vertical_flip=0.5, crop=(9, 11))
    lamella.utils.set_random_seed(0)
    data = SegmentationDataset.from_folders(*folders, augment=augment, batch_size=12)
    images, masks = data[0]
    assert np.array_equal(masks, images[..., 1] // 200)
    data.on_epoch_begin()
    assert not np.array_equal(data[0][1], masks)


def test_what_the_classes_are_must_be_told():
    pictures, masks = np.zeros((2, 8, 8, 3), "uint8"), np.zeros((2, 8, 8), "uint8")
    with pytest.raises(ArgumentError, match="what are the classes"):
        SegmentationDataset.from_arrays(pictures, masks)
    with pytest.raises(ArgumentError, match="2 class_names do not fit 3 values"):
        SegmentationDataset.from_arrays(pictures, masks, class_names=["a", "b"], values=(0, 1, 2))
    with pytest.raises(DataError, match="2 pictures and 1 masks"):
        SegmentationDataset.from_arrays(pictures, masks[:1])
    with pytest.raises(DataError, match="no picture is left"):
        SegmentationDataset.from_arrays([], [], class_names=["a"])


def test_arrays():
    random = np.random.default_rng(0)
    pictures, masks = random.integers(0, 256, (3, 8, 9, 1)), random.integers(0, 5, (3, 8, 9))
    data = SegmentationDataset.from_arrays(pictures, masks, class_names=list("abcde"), channels=1)
    images, found = data[0]
    assert np.array_equal(images, pictures) and np.array_equal(found, masks)


def test_a_class_that_is_not_in_the_list(folders):
    images, masks = folders
    data = SegmentationDataset.from_folders(images, masks, class_names=["a", "b", "c"], batch_size=12)
    reason = r"masks.0\.png: the mask has 255 in it, but 3 classes.*`values`"
    with pytest.warns(UserWarning, match=reason), pytest.raises(DataError, match="none of 12"):
        data[0]


# -- masks --------------------------------------------------------------------------------------------------


def test_masks_of_all_kinds(tmp_path):
    values = np.random.default_rng(0).integers(0, 4, (6, 7), dtype=np.uint8)
    palette = Image.fromarray(values).convert("P")
    palette.putdata(values.flatten().tolist())
    palette.putpalette([0, 0, 0, 128, 0, 0, 0, 128, 0, 9, 9, 9])  # numbers, not colours, are the classes
    kinds = {
        "P": palette,
        "L": Image.fromarray(values),
        "RGB": Image.fromarray(values).convert("RGB"),
        "16": Image.fromarray(values.astype("uint16")),
        "LA": Image.fromarray(values).convert("LA"),
    }
    for name, image in kinds.items():
        image.save(tmp_path / f"{name}.png")
        assert np.array_equal(read_mask(tmp_path / f"{name}.png"), values), name
    Image.fromarray(values > 1).save(tmp_path / "1.png")
    assert np.array_equal(read_mask(tmp_path / "1.png"), values > 1)
    assert np.array_equal(read_mask(values[..., None].astype("float32")), values)


def test_masks_that_are_none():
    with pytest.raises(DataError, match="whole numbers"):
        read_mask(np.full((3, 3), 0.5))
    with pytest.raises(ShapeError, match="height, width"):
        read_mask(np.zeros((3, 3, 2)))


def test_greys_and_colours_become_classes():
    greys = np.array([[0, 3, 120, 128, 250, 255]], "uint8")
    assert to_classes(greys, (255, 0, 127), 3, None).tolist() == [[1, 1, 2, 2, 0, 0]]
    assert to_classes(greys, (255, 0, 127), 3, 250).tolist() == [[1, 1, 2, 2, 250, 0]]
    random = np.random.default_rng(0)
    colours = random.permutation(np.unique(random.integers(0, 256, (20, 3)), axis=0))
    classes = random.integers(0, len(colours), (9, 9))
    assert np.array_equal(to_classes(colours[classes], colours, len(colours), None), classes)
    with pytest.raises(DataError, match="colours of no class: \\(1, 2, 3\\)"):
        to_classes(np.array([[[1, 2, 3]]]), [(0, 0, 0), (9, 9, 9)], 2, None)
    assert to_classes(np.array([[0, 255]]), [(0, 0, 0), (255, 255, 255)], 2, None).tolist() == [[0, 1]]
    for values in (None, (0, 255)):
        with pytest.raises(DataError, match="the mask has colours"):
            to_classes(np.array([[[1, 2, 3]]]), values, 2, None)


def test_class_numbers_are_checked():
    mask = np.array([[0, 1, 255]])
    assert to_classes(mask, None, 2, 255).tolist() == [[0, 1, 255]]
    with pytest.raises(DataError, match="255 in it, but 2 classes"):
        to_classes(mask, None, 2, None)
    with pytest.raises(DataError, match="-1 in it"):
        to_classes(np.array([[-1]]), None, 2, None)


def test_many_classes_need_more_than_a_byte():
    mask = np.arange(1200).reshape(30, 40)
    found = to_classes(mask, None, 1200, None)
    assert np.array_equal(found, mask)
    fitted = letterbox_mask(found, (60, 100), fill=-1)
    assert np.array_equal(fitted[:, 10:90][::2, ::2], mask) and (fitted[:, :10] == -1).all()


@pytest.mark.skipif(not MEMBRANES.is_dir(), reason="the membrane masks are not on this machine")
def test_membranes():
    data = SegmentationDataset.from_folders(
        MEMBRANES / "image",
        MEMBRANES / "label",
        class_names=["membrane", "cell"],
        channels=1,
        augment=Augmentation.for_segmentation(crop=(128, 128)),
    )
    images, masks = data[0]
    assert data.num_pictures == 30 and images.shape == (8, 128, 128, 1) and masks.shape == (8, 128, 128)
    assert 0.6 < masks.mean() < 0.95 and set(np.unique(masks)) == {0, 1}
    inside = images[..., 0][masks == 1].mean()
    assert inside > images[..., 0][masks == 0].mean() + 30  # membranes are dark: masks lie where they should

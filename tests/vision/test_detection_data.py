"""Batches of pictures and boxes, and what is wrong with their files."""

import json
import multiprocessing
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import lamella
from lamella.callbacks import Callback
from lamella.data.adapters import make_source
from lamella.errors import ArgumentError, DataError
from lamella.vision import Augmentation, DetectionDataset
from lamella.vision.detector import Detector
from lamella.vision.pictures import letterbox

BCCD = Path("/work/shared/data/bccd_boxes/BCCD.zip")
SIZE = (32, 48)


def annotation(*objects):
    entries = "".join(
        f"<object><name>{name}</name><bndbox><xmin>{a}</xmin><ymin>{b}</ymin><xmax>{c}</xmax><ymax>{d}</ymax></bndbox>"
        f"</object>"
        for name, a, b, c, d in objects
    )
    return f"<annotation>{entries}</annotation>"


def write(folder, name, mode="RGB", size=(64, 48), objects=(("dog", 9, 9, 40, 40),)):
    """A picture of the shade `name`, which tells pictures apart, and its XML file."""
    for part in ("JPEGImages", "Annotations"):
        (folder / part).mkdir(exist_ok=True)
    Image.new("RGB", size, (int(name), 99, 9)).convert(mode).save(folder / f"JPEGImages/{name}.png")
    (folder / f"Annotations/{name}.xml").write_text(annotation(*objects))


@pytest.fixture
def voc(tmp_path):
    for name in range(10, 20):
        write(tmp_path, str(name))
    return tmp_path


def shades(data):
    """The pictures of an epoch, in order, by their shade."""
    return [int(image[16, 24, 0]) for images, _ in data for image in images]


def open_voc(folder, **kwargs):
    return DetectionDataset.from_voc(folder, **{"image_size": SIZE, "batch_size": 4, **kwargs})


def test_a_batch_is_what_the_contract_says(voc):
    write(voc, "10", size=(64, 64), objects=[("dog", 1, 1, 64, 32), ("cat", 33, 33, 64, 64)])
    write(voc, "11", objects=[])
    data = open_voc(voc)
    images, targets = data[0]
    assert len(data) == 3 and data.num_pictures == 10 and data.class_names == ["cat", "dog"]
    assert images.dtype == np.uint8 and images.shape == (4, *SIZE, 3)
    boxes, classes = targets["boxes"], targets["classes"]
    assert boxes.dtype == np.float32 and boxes.shape == (4, 8, 4) and classes.dtype == np.int64
    assert boxes[0, :2].tolist() == [[8, 0, 40, 16], [24, 16, 40, 32]]  # 64 x 64 in 32 x 48: half size, 8 to the right
    assert classes[0].tolist() == [1, 0] + [-1] * 6 and (boxes[0, 2:] == 0).all()
    assert (classes[1] == -1).all() and (boxes[1] == 0).all()
    expected, _, _ = letterbox(np.asarray(Image.open(voc / "JPEGImages/10.png")), SIZE)
    assert np.array_equal(images[0], expected)
    assert [len(each[0]) for each in data] == [4, 4, 2]
    with pytest.raises(IndexError):
        data[3]


def test_padding_grows_by_eights(voc):
    write(voc, "10", objects=[("dog", 1, 1, 9, 9)] * 9)
    data = open_voc(voc)
    assert [each["boxes"].shape[1] for _, each in data] == [16, 8, 8]


def test_pictures_of_all_modes_and_sizes(voc):
    for name, mode, size in (
        ("10", "L", (20, 20)),
        ("11", "RGBA", (100, 30)),
        ("12", "P", (7, 90)),
        ("13", "I;16", (9, 9)),
    ):
        if mode == "I;16":
            Image.fromarray(np.full((9, 9), 60000, "uint16")).save(voc / f"JPEGImages/{name}.png")
        else:
            write(voc, name, mode, size)
    data = open_voc(voc)
    assert sum(len(images) for images, _ in data) == 10 and not data.skipped


def test_boxes_outside_are_cut_or_left_out_and_counted(voc):
    objects = [("dog", -20, 5, 30, 30), ("dog", 70, 5, 90, 30), ("dog", 5, 5, 5, 9), ("dog", 0, 0, 64, 48)]
    write(voc, "10", objects=objects)
    for _ in range(2):  # read twice, counted once
        data = open_voc(voc, cache=False)
        for _ in range(2):
            _, targets = data[0]
    assert np.allclose(targets["boxes"][0, :2], [[2, 8 / 3, 22, 20], [2, 0, 2 + 128 / 3, 32]])
    assert (targets["classes"][0, 2:] == -1).all()
    assert "1 boxes cut at the picture's edge" in data.report()
    assert "1 boxes outside the picture left out" in data.report() and "1 boxes without an area" in data.report()
    write(voc, "10", objects=objects[1:2])
    with pytest.raises(DataError, match=r"10\.xml: 1 boxes lie outside the picture \(64 x 48\)"):
        open_voc(voc, strict=True)[0]


def test_classes_that_are_not_in_the_list_are_left_out_and_reported(voc):
    write(voc, "10", objects=[("dog", 1, 1, 9, 9), ("cow", 1, 1, 9, 9), ("cow", 1, 1, 9, 9)])
    with pytest.warns(UserWarning, match=r"not in the list are left out: 'cow' \(2\)"):
        data = open_voc(voc, class_names=["cat", "dog"])
    assert data[0][1]["classes"][0].tolist() == [1] + [-1] * 7
    with pytest.raises(DataError, match=r"10\.xml: the class 'cow' is not one of cat, dog"):
        open_voc(voc, class_names=["cat", "dog"], strict=True)


def test_a_class_number_that_is_not_in_the_list(tmp_path):
    for part in ("images", "labels"):
        (tmp_path / part).mkdir()
    Image.new("RGB", (40, 40)).save(tmp_path / "images/a.png")
    (tmp_path / "labels/a.txt").write_text("0 .5 .5 .5 .5\n5 .5 .5 .1 .1\n")
    (tmp_path / "classes.txt").write_text("cat")
    with pytest.warns(UserWarning, match="number 5"):
        data = DetectionDataset.from_yolo(tmp_path, image_size=(80, 160))
    images, targets = data[0]
    assert images.shape == (1, 80, 160, 3)
    assert targets["boxes"][0, 0].tolist() == [60, 20, 100, 60] and targets["classes"][0, :2].tolist() == [0, -1]
    with pytest.raises(DataError, match=r"a\.txt: the class 'number 5'"):
        DetectionDataset.from_yolo(tmp_path, strict=True)


def test_coco_and_directories(tmp_path):
    Image.new("RGB", (40, 40)).save(tmp_path / "a.png")
    content = {
        "images": [{"id": 5, "file_name": "a.png"}],
        "annotations": [{"image_id": 5, "category_id": 9, "bbox": [10, 10, 20, 10]}],
        "categories": [{"id": 9, "name": "cat"}, {"id": 2, "name": "ant"}],
    }
    (tmp_path / "all.json").write_text(json.dumps(content))
    for data in (
        DetectionDataset.from_coco(tmp_path / "all.json", image_size=(20, 20)),
        DetectionDataset.from_directory(tmp_path, image_size=(20, 20)),
    ):
        _, targets = data[0]
        assert data.class_names == ["ant", "cat"]
        assert targets["boxes"][0, 0].tolist() == [5, 5, 15, 10] and targets["classes"][0, 0] == 1


# -- broken files -------------------------------------------------------------------------------------------


def break_files(folder):
    (folder / "JPEGImages/10.png").write_bytes((folder / "JPEGImages/10.png").read_bytes()[:60])
    (folder / "JPEGImages/11.png").write_bytes(b"")
    (folder / "JPEGImages/12.png").write_bytes(b"<html>not found</html>")


def test_broken_pictures_are_left_out_and_reported_once(voc):
    break_files(voc)
    data = open_voc(voc)
    with pytest.warns(UserWarning, match="leaves out what it cannot read") as caught:
        found = [shades(data) for _ in range(3)]
    assert len(caught) == 1 and found == [list(range(13, 20))] * 3
    assert [Path(file).name for file, _ in data.skipped] == ["10.png", "11.png", "12.png"]
    assert len(data) == 3 and "7 pictures in 3 batches" in data.report() and "Skipped 11.png" in data.report()
    with pytest.raises(DataError, match=r"10\.png"):
        shades(open_voc(voc, strict=True))


def test_broken_annotations_are_told_at_once(voc):
    (voc / "Annotations/10.xml").write_text("<annotation><obj")
    with pytest.warns(UserWarning, match=r"1 files are skipped.*10\.xml is no XML"):
        data = open_voc(voc)
    assert shades(data) == list(range(11, 20))


def test_a_batch_is_never_empty(voc):
    break_files(voc)
    data = open_voc(voc, batch_size=1)
    with pytest.warns(UserWarning, match="leaves out"):
        assert [int(data[i][0][0, 16, 24, 0]) for i in range(4)] == [13, 13, 13, 13]


def test_nothing_is_left(voc):
    for file in (voc / "JPEGImages").iterdir():
        file.write_bytes(b"")
    data = open_voc(voc)
    with (
        pytest.warns(UserWarning, match="leaves out"),
        pytest.raises(DataError, match="none of 10 pictures can be read"),
    ):
        data[0]
    for file in (voc / "Annotations").iterdir():
        file.write_bytes(b"")
    with pytest.raises(DataError, match=r"no picture is left\. 10 files are skipped"):
        open_voc(voc)


class Constant(Detector):
    """One box, everywhere the same; the loss counts pictures and boxes."""

    def __init__(self, **kwargs):
        super().__init__(["dog"], SIZE, **kwargs)
        self.dense = lamella.layers.Dense(1)
        self.seen = []

    def call(self, images):
        return self.dense(images.float().mean((1, 2)) / 255)

    def detection_loss(self, outputs, boxes, classes):
        self.seen.append((len(boxes), int((classes >= 0).sum())))
        return {"one": outputs.square().mean()}

    def candidates(self, outputs):
        boxes = torch.tensor([1.0, 2, 30, 20]).expand(len(outputs), 1, 4)
        return boxes, torch.sigmoid(outputs).unsqueeze(-1)


class Deletes(Callback):
    def __init__(self, files):
        super().__init__()
        self.files = iter(files)

    def on_epoch_end(self, epoch, logs=None):
        next(self.files).unlink()


def test_a_training_ends_well_though_files_are_broken_or_vanish(voc):
    break_files(voc)
    data = open_voc(voc, cache=False, shuffle=True, augment=Augmentation.for_detection())
    other = open_voc(voc, cache=False)
    model = Constant()
    model.compile(lamella.optimizers.SGD(0.1))
    vanishing = [voc / f"JPEGImages/{name}.png" for name in range(13, 17)]
    with pytest.warns(UserWarning, match="leaves out") as caught:
        history = model.fit(data, validation_data=other, epochs=4, callbacks=[Deletes(vanishing)], verbose=0)
    assert len(caught) == 2  # one for each data set
    assert len(history.history["loss"]) == 4 and np.isfinite(history.history["loss"]).all()
    assert sorted(Path(file).name for file, _ in other.skipped) == [f"{name}.png" for name in range(10, 16)]
    assert any("there is no such file" in reason for _, reason in data.skipped)
    assert [count for count, _ in model.seen[-3:]] == [1, 2, 2]  # the last validation; one stands in for a lost batch


def test_predict_keeps_the_order_of_the_files(voc):
    data = open_voc(voc)
    model = Constant(score_threshold=0.0)
    found = model.predict(data)
    assert found["boxes"].shape[0] == 10
    one = model.predict([voc / f"JPEGImages/{name}.png" for name in range(10, 20)])
    assert np.allclose(found["scores"], one["scores"], atol=1e-6)


# -- order, memory, workers ---------------------------------------------------------------------------------


def test_shuffling_follows_from_the_seed(voc):
    (voc / "ImageSets/Main").mkdir(parents=True)
    for split in ("train", "val"):
        (voc / f"ImageSets/Main/{split}.txt").write_text("\n".join(map(str, range(10, 20))))
    runs = []
    for _ in range(2):
        lamella.utils.set_random_seed(1)
        data = open_voc(voc, split="train")
        runs.append([shades(data) for _ in range(3)])
    assert runs[0] == runs[1] and len({tuple(order) for order in runs[0]}) == 3
    assert all(sorted(order) == list(range(10, 20)) for order in runs[0])
    assert shades(open_voc(voc, split="val")) == list(range(10, 20))
    assert shades(open_voc(voc, split="train", shuffle=False)) == list(range(10, 20))


def test_drop_last(voc):
    assert [len(images) for images, _ in open_voc(voc, drop_last=True)] == [4, 4]
    assert len(open_voc(voc, drop_last=True, batch_size=16)) == 1  # rather than none


@pytest.mark.parametrize(("cache", "kept"), [(True, True), ("auto", True), (False, False)])
def test_pictures_are_read_once_where_they_are_kept(voc, cache, kept):
    data = open_voc(voc, cache=cache)
    first = shades(data)
    for file in (voc / "JPEGImages").iterdir():
        file.unlink()
    if kept:
        assert shades(data) == first
    else:
        with pytest.warns(UserWarning, match="leaves out"), pytest.raises(DataError, match="none of"):
            shades(data)


def test_large_data_sets_are_not_kept_of_themselves(voc):
    assert open_voc(voc, image_size=(9000, 9000))._cache is None
    assert open_voc(voc, image_size=(9000, 9000), cache=True)._cache is not None


def through_loader(data):
    source = make_source(data)
    lamella.utils.set_random_seed(5)
    batches = [(x, y["boxes"]) for x, y, _ in source.batches()]
    return torch.cat([x for x, _ in batches]), torch.cat([boxes[:, :8] for _, boxes in batches])


@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="workers start slowly here")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_workers_make_the_same_batches_and_tell_of_broken_files(voc):
    break_files(voc)
    found = []
    for workers, cache in ((1, True), (2, False), (2, True)):
        data = open_voc(voc, workers=workers, cache=cache, shuffle=True, augment=Augmentation(rotate=20.0, mosaic=0.5))
        with pytest.warns(UserWarning, match="leaves out") as caught:
            found.append(through_loader(data))
        assert sum(each.category is UserWarning for each in caught) == 1 and len(data.skipped) == 3
    for images, boxes in found[1:]:
        assert torch.equal(images, found[0][0]) and torch.equal(boxes, found[0][1])


def test_data_sets_can_be_pickled(voc):
    data = open_voc(voc, augment=Augmentation())
    copy = pickle.loads(pickle.dumps(data))
    assert np.array_equal(copy[1][0], data[1][0])


def test_augmentation_changes_each_epoch(voc):
    write(voc, "10", objects=[("dog", 1, 1, 20, 20)])
    data = open_voc(voc, augment=Augmentation(flip=0.0, translate=0.3), shuffle=False)
    one, two = (next(iter(data))[1]["boxes"][0, 0] for _ in range(2))
    assert not np.array_equal(one, two)
    assert np.array_equal(data[0][0], data[0][0])


def test_any_function_can_augment(voc):
    def darker(sample, random, another):
        return {**sample, "image": sample["image"] // 2, "boxes": another()["boxes"], "classes": sample["classes"]}

    assert shades(open_voc(voc, augment=darker, shuffle=False)) == [name // 2 for name in range(10, 20)]


# -- arrays and arguments -----------------------------------------------------------------------------------


def test_arrays_padded_or_ragged():
    pictures = np.random.default_rng(0).integers(0, 256, (3, 20, 24, 3), dtype=np.uint8)
    padded = np.zeros((3, 2, 4), "float32")
    padded[0] = [[1, 2, 9, 9], [3, 3, 5, 5]]
    padded[2, 0] = [0, 0, 4, 4]
    classes = np.array([[1, 0], [-1, -1], [2, -1]])
    one = DetectionDataset.from_arrays(pictures, padded, classes, ["a", "b", "c"], batch_size=3)
    ragged = [padded[0], [], padded[2, :1]]
    two = DetectionDataset.from_arrays(list(pictures), ragged, [["b", "a"], [], ["c"]], ["a", "b", "c"], batch_size=3)
    three = DetectionDataset.from_arrays(
        torch.from_numpy(pictures), torch.from_numpy(padded), torch.from_numpy(classes)
    )
    for data in (one, two, three):
        images, targets = data[0]
        assert np.array_equal(images, pictures)
        assert np.array_equal(targets["boxes"][:, :2], padded)
        assert np.array_equal(targets["classes"][:, :2], classes) and (targets["classes"][:, 2:] == -1).all()
    assert three.class_names == ["class_0", "class_1", "class_2"]


def test_arrays_that_do_not_fit_are_refused():
    pictures = np.zeros((2, 8, 8, 3), "uint8")
    with pytest.raises(DataError, match="2 pictures, 1 lists of boxes"):
        DetectionDataset.from_arrays(pictures, [[]], [[], []])
    with pytest.raises(DataError, match="picture 1 has 1 boxes and 2 classes"):
        DetectionDataset.from_arrays(pictures, [[], [[0, 0, 1, 1]]], [[], [0, 1]])
    with pytest.raises(DataError, match="no pictures"):
        DetectionDataset.from_arrays([], [], [])


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("image_size", 5),
        ("image_size", (0, 9)),
        ("batch_size", 0),
        ("cache", "yes"),
        ("augment", True),
        ("class_names", ["a", "a"]),
    ],
)
def test_arguments_out_of_range_are_refused(voc, name, value):
    with pytest.raises(ArgumentError, match=name):
        open_voc(voc, **{name: value})


@pytest.mark.skipif(not BCCD.is_file(), reason="the BCCD data set is not on this machine")
def test_bccd(tmp_path):
    zipfile.ZipFile(BCCD).extractall(tmp_path)
    data = DetectionDataset.from_voc(tmp_path / "BCCD", split="test", image_size=(96, 128), batch_size=16)
    pictures = [len(images) for images, _ in data]
    assert pictures == [16] * 4 + [8] and not data.skipped
    boxes = np.concatenate([each["boxes"][each["classes"] >= 0] for _, each in data])
    assert (boxes[:, 2:] > boxes[:, :2]).all() and boxes.min() >= 0 and (boxes.max(0) <= [128, 96, 128, 96]).all()

"""Annotations in Pascal VOC's, COCO's and YOLO's files."""

import contextlib
import io
import json
import zipfile
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pycocotools.coco import COCO

from lamella.errors import DataError
from lamella.vision.coco import read_coco
from lamella.vision.directory import read_directory
from lamella.vision.voc import read_voc
from lamella.vision.yolo_files import read_yolo

BCCD = Path("/work/shared/data/bccd_boxes/BCCD.zip")


def picture(file, size=(40, 30)):
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size).save(file)


def write(file, text):
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    return file


def xml(*objects, filename="x.png"):
    entries = "".join(
        f"<object><name>{name}</name><bndbox><xmin>{a}</xmin><ymin>{b}</ymin><xmax>{c}</xmax><ymax>{d}</ymax></bndbox>"
        f"</object>"
        for name, a, b, c, d in objects
    )
    return f"<annotation><filename>{filename}</filename>{entries}</annotation>"


@pytest.fixture
def voc(tmp_path):
    objects = {"a": [("dog", 1, 2, 10, 20), ("cat", 5, 5, 40, 30)], "b": [], "c": [("ant", 3.5, 4.5, 8.5, 9.5)]}
    for name, each in objects.items():
        picture(tmp_path / f"JPEGImages/{name}.png")
        write(tmp_path / f"Annotations/{name}.xml", xml(*each))
    write(tmp_path / "ImageSets/Main/train.txt", "a\nb  -1\n\n")
    write(tmp_path / "ImageSets/Main/val.txt", "c\n")
    return tmp_path


def test_voc_boxes_start_at_zero(voc):
    found = read_voc(voc, "train")
    assert found.class_names == ["ant", "cat", "dog"]  # of all splits: the numbers of classes are the same in each
    first, second = found.pictures
    assert first.picture == voc / "JPEGImages/a.png" and list(first.names) == ["dog", "cat"]
    assert first.boxes.tolist() == [[0, 1, 10, 20], [4, 4, 40, 30]]
    assert second.boxes.shape == (0, 4)
    assert len(read_voc(voc).pictures) == 3
    assert read_voc(voc, "val", class_names=["ant"]).pictures[0].boxes.tolist() == [[2.5, 3.5, 8.5, 9.5]]


def test_voc_beside_the_pictures_and_by_their_names_inside(tmp_path):
    picture(tmp_path / "train/one.PNG")
    write(tmp_path / "train/one.xml", xml(("dog", 1, 1, 9, 9)))
    picture(tmp_path / "train/other.png")
    write(tmp_path / "train/two.xml", xml(filename="../elsewhere/other.png"))
    found = read_voc(tmp_path, "train")
    assert [each.picture.name for each in found.pictures] == ["one.PNG", "other.png"]
    assert read_directory(tmp_path, "train").class_names == ["dog"]


def test_voc_leaves_out_boxes_without_an_area(voc):
    objects = [
        ("dog", 5, 5, 5, 5),
        ("dog", 9, 5, 2, 8),
        ("dog", "x", 1, 2, 2),
        ("dog", "nan", 1, 2, 2),
        ("cat", 1, 1, 3, 3),
    ]
    write(voc / "Annotations/a.xml", xml(*objects))
    found = read_voc(voc)
    assert found.pictures[0].boxes.tolist() == [[0, 0, 3, 3]] and list(found.pictures[0].names) == ["cat"]
    assert found.problems.mended == {"boxes without an area": 4}
    with pytest.raises(DataError, match=r"a\.xml: 4 boxes without an area"):
        read_voc(voc, strict=True)


BOMB = '<!DOCTYPE a [<!ENTITY b "bbbb"><!ENTITY c "&b;&b;&b;">]><annotation>&c;</annotation>'


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "no XML"),
        ("<annotation><object><name>dog</na", "no XML"),
        ("hello", "no XML"),
        (BOMB, "document type"),
        ('<?xml version="1.0" encoding="wrong"?><annotation/>', "no XML"),
    ],
)
def test_voc_skips_broken_xml(voc, text, reason):
    write(voc / "Annotations/a.xml", text)
    found = read_voc(voc, "train")
    assert [each.picture.stem for each in found.pictures] == ["b"]
    ((file, why),) = found.problems.skipped
    assert file.endswith("a.xml") and "a.xml" in why and reason in why
    with pytest.raises(DataError, match=r"a\.xml"):
        read_voc(voc, "train", strict=True)
    assert read_voc(voc, "val", strict=True).pictures  # what it does not read does no harm


def test_voc_entities_in_utf_16_are_refused_too(voc):
    (voc / "Annotations/a.xml").write_bytes(BOMB.encode("utf-16"))
    assert "document type" in read_voc(voc, "train").problems.skipped[0][1]


def test_voc_skips_what_has_no_picture_or_no_xml(voc):
    (voc / "JPEGImages/a.png").unlink()
    write(voc / "ImageSets/Main/train.txt", "a\nb\ngone\n")
    found = read_voc(voc, "train")
    assert [each.picture.stem for each in found.pictures] == ["b"]
    reasons = " ".join(reason for _, reason in found.problems.skipped)
    assert "there is no picture a" in reasons and "gone.xml cannot be read" in reasons


def test_voc_says_which_splits_there_are(voc):
    with pytest.raises(DataError, match="no split 'test' in ImageSets/Main; it has train, val"):
        read_voc(voc, "test")
    with pytest.raises(DataError, match="no such folder"):
        read_voc(voc / "nowhere")
    (voc / "empty").mkdir()
    with pytest.raises(DataError, match="no annotations"):
        read_voc(voc / "empty")


@pytest.mark.skipif(not BCCD.is_file(), reason="the BCCD data set is not on this machine")
def test_bccd_has_the_objects_that_its_description_names(tmp_path):
    zipfile.ZipFile(BCCD).extractall(tmp_path)
    found = read_directory(tmp_path)
    assert found.class_names == ["Platelets", "RBC", "WBC"] and not found.problems.skipped
    counts = Counter(name for each in found.pictures for name in each.names)
    assert sum(counts.values()) == 4888 - 2 and found.problems.mended == {"boxes without an area": 2}
    assert counts["WBC"] == 372
    sizes = [len(read_directory(tmp_path / "BCCD", split).pictures) for split in ("train", "val", "trainval", "test")]
    assert sizes == [205, 87, 292, 72]
    boxes = np.concatenate([each.boxes for each in found.pictures])
    assert boxes.min() >= -1 and (boxes.max(0) == [640, 480, 640, 480])[2:].all()


# -- COCO ---------------------------------------------------------------------------------------------------


@pytest.fixture
def coco(tmp_path):
    random = np.random.default_rng(0)
    images = [{"id": 7 * i + 3, "file_name": f"{i}.png", "width": 40, "height": 30} for i in range(6)]
    annotations = [
        {
            "id": i,
            "image_id": int(random.choice([each["id"] for each in images[:5]])),  # the last has none
            "category_id": int(random.choice([90, 2, 13])),
            "bbox": random.uniform(1, 15, 4).round(2).tolist(),
            "iscrowd": int(i % 5 == 0),
            "segmentation": [[1, 2, 3, 4, 5, 6]],
            "area": 9,
        }
        for i in range(30)
    ]
    categories = [{"id": 90, "name": "c"}, {"id": 2, "name": "a"}, {"id": 13, "name": "b"}, {"id": 40, "name": "never"}]
    for each in images:
        picture(tmp_path / "val2017" / each["file_name"])
    content = {"info": {}, "images": images, "annotations": annotations, "categories": categories}
    write(tmp_path / "annotations/instances_val2017.json", json.dumps(content))
    return tmp_path, content


def rewritten(coco, **changes):
    folder, content = coco
    return write(folder / "annotations/instances_val2017.json", json.dumps({**content, **changes}))


def test_coco_agrees_with_pycocotools(coco):
    folder, _ = coco
    file = folder / "annotations/instances_val2017.json"
    found = read_coco(file, folder / "val2017")
    with contextlib.redirect_stdout(io.StringIO()):
        reference = COCO(str(file))
    assert found.class_names == [each["name"] for each in reference.loadCats(sorted(reference.getCatIds()))]
    for annotation, number in zip(found.pictures, reference.getImgIds(), strict=True):
        expected = reference.loadAnns(reference.getAnnIds([number], iscrowd=False))
        boxes = np.array([each["bbox"] for each in expected]).reshape(-1, 4)
        boxes[:, 2:] += boxes[:, :2]
        assert np.allclose(annotation.boxes, boxes)
        assert list(annotation.names) == [reference.cats[each["category_id"]]["name"] for each in expected]
    assert found.problems.mended == {"crowds": 6} and not found.problems.skipped
    read_coco(file, folder / "val2017", strict=True)
    assert len(read_directory(folder).pictures) == len(read_directory(folder, "val").pictures) == 6


def test_coco_skips_missing_pictures_and_wrong_objects(coco):
    folder, _ = coco
    (folder / "val2017/5.png").unlink()
    wrong = [[1, 2, 0, 5], [1, 2, -3, 5], [1, 2], None, ["x", 1, 2, 3], [1, 2, float("inf"), 1]]
    extra = [{"image_id": 3, "category_id": 2, "bbox": box} for box in wrong]
    extra += [
        {"image_id": 999, "category_id": 2, "bbox": [1, 1, 2, 2]},
        {"image_id": 3, "category_id": 55, "bbox": [1] * 4},
    ]
    file = rewritten(coco, annotations=extra)
    found = read_coco(file, folder / "val2017")
    assert len(found.pictures) == 5 and list(found.pictures[0].names) == ["id 55"]
    assert found.problems.mended == {"boxes without an area": 6, "objects of pictures that are not listed": 1}
    assert "5.png" in found.problems.skipped[0][1]
    with pytest.raises(DataError, match="not listed"):
        read_coco(file, folder / "val2017", strict=True)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "no JSON"),
        ('{"images": [', "no JSON"),
        ("[" * 100_000, "no JSON"),
        ("[]", "no annotations, categories, images|no file of COCO"),
        ('{"images": [], "annotations": []}', "it has no categories"),
        ('{"images": [{"id": 1}], "annotations": [], "categories": []}', "KeyError 'file_name'"),
        ('{"images": 5, "annotations": [], "categories": []}', "TypeError"),
        ('{"images": [], "annotations": [3], "categories": []}', "TypeError"),
    ],
)
def test_coco_refuses_what_is_no_coco_file(tmp_path, text, reason):
    file = write(tmp_path / "a.json", text)
    with pytest.raises(DataError, match=reason) as caught:
        read_coco(file)
    assert "a.json" in str(caught.value)


def test_coco_file_that_is_not_there(tmp_path):
    with pytest.raises(DataError, match=r"a\.json cannot be read"):
        read_coco(tmp_path / "a.json")


# -- YOLO ---------------------------------------------------------------------------------------------------


@pytest.fixture
def yolo(tmp_path):
    labels = {"train/a": "0 0.5 0.5 0.5 0.25\n\n1 0.25 0.5 0.5 1\n", "train/b": "", "val/c": "1 .1 .1 .3 .2 .2 .4\n"}
    for name, text in labels.items():
        picture(tmp_path / f"images/{name}.png")
        write(tmp_path / f"labels/{name}.txt", text)
    picture(tmp_path / "images/train/d.png")  # no file of labels: no objects
    write(tmp_path / "data.yaml", "path: .\ntrain: images/train\nval: images/val\nnames:\n  0: cat\n  1: dog\n")
    return tmp_path


def test_yolo_boxes_are_shares(yolo):
    found = read_yolo(yolo / "data.yaml", "train")
    assert found.class_names == ["cat", "dog"] and all(each.relative for each in found.pictures)
    assert [each.picture.stem for each in found.pictures] == ["a", "b", "d"]
    first = found.pictures[0]
    assert first.boxes.tolist() == [[0.25, 0.375, 0.75, 0.625], [0, 0, 0.5, 1]] and list(first.names) == ["cat", "dog"]
    assert [len(each.boxes) for each in found.pictures] == [2, 0, 0]
    outline = read_yolo(yolo, "valid").pictures[0]
    assert np.allclose(outline.boxes, [[0.1, 0.1, 0.3, 0.4]])
    assert len(read_directory(yolo).pictures) == 4


@pytest.mark.parametrize(
    ("entries", "folders"),
    [
        ("path: /elsewhere/data\ntrain: images/train\nnames: [cat, dog]\n", "images/train"),
        ("train: ../train/images\nval: ../valid/images\nnc: 2\nnames: ['cat', \"dog\"]\n", "train/images"),
        ("train:\n - images/train\n - more/images\nnames:\n - cat\n - dog\n", "images/train"),
        ("train: train.txt\nnames: {0: cat, 1: dog}\n", "images/train"),
    ],
)
def test_yolo_settings_as_people_write_them(tmp_path, entries, folders):
    picture(tmp_path / folders / "a.png")
    write(tmp_path / folders.replace("images", "labels") / "a.txt", "1 .5 .5 .5 .5")
    (tmp_path / "more/images").mkdir(parents=True)
    write(tmp_path / "train.txt", f"./{folders}/a.png\n{folders}/gone.png\n")
    found = read_yolo(write(tmp_path / "data.yaml", entries), "train")
    assert found.class_names == ["cat", "dog"] and [list(each.names) for each in found.pictures] == [["dog"]]


def test_yolo_without_settings_takes_classes_txt(yolo):
    (yolo / "data.yaml").unlink()
    with pytest.raises(DataError, match="no names of classes"):
        read_yolo(yolo, "train")
    assert len(read_yolo(yolo, "train", class_names=["x", "y"]).pictures) == 3
    write(yolo / "classes.txt", "cat\ndog\n")
    assert read_yolo(yolo, "train").class_names == ["cat", "dog"]
    assert len(read_yolo(yolo).pictures) == 4


@pytest.mark.parametrize(
    "line", ["0 0.5 0.5 0.5", "x 0.5 0.5 0.5 0.5", "0 0.5 0.5 0.5 b", "0.5 .1 .1 .1 .1", "0 .1 .2 .3 .4 .5"]
)
def test_yolo_skips_files_of_wrong_lines(yolo, line):
    write(yolo / "labels/train/a.txt", f"0 .5 .5 .1 .1\n{line}\n")
    found = read_yolo(yolo, "train")
    assert [each.picture.stem for each in found.pictures] == ["b", "d"]
    assert "a.txt, line 2" in found.problems.skipped[0][1]
    with pytest.raises(DataError, match="line 2"):
        read_yolo(yolo, "train", strict=True)


def test_yolo_leaves_out_boxes_that_are_none(yolo):
    write(yolo / "labels/train/a.txt", "0 nan .5 .1 .1\n0 .5 .5 0 .1\n7 .5 .5 .1 .1\n")
    (yolo / "labels/train/b.txt").write_bytes(b"\xff\xfe\x00\x81")
    found = read_yolo(yolo, "train")
    assert list(found.pictures[0].names) == ["number 7"] and found.problems.mended == {"boxes without an area": 2}
    assert "b.txt cannot be read as text" in found.problems.skipped[0][1]


def test_yolo_says_what_is_missing(yolo):
    with pytest.raises(DataError, match="no pictures of the split 'test'"):
        read_yolo(yolo, "test")
    for text, reason in (
        ("names: {0: a, 2: b}\ntrain: images/train", "without gaps"),
        ("a: [", "as YAML"),
        ("- 1", "no entries"),
        ("train: nowhere\nnames: [a]", "nowhere: there is no such folder"),
    ):
        write(yolo / "data.yaml", text)
        with pytest.raises(DataError, match=reason):
            read_yolo(yolo, "train")


def test_yolo_labels_in_the_wrong_place(tmp_path):
    picture(tmp_path / "images/a.png")
    write(tmp_path / "classes.txt", "cat")
    with pytest.raises(DataError, match="none of 1 pictures has a file of labels"):
        read_yolo(tmp_path)


def test_yaml_runs_no_code(yolo):
    write(yolo / "data.yaml", "names: !!python/object/apply:os.getcwd []\n")
    with pytest.raises(DataError, match="as YAML"):
        read_yolo(yolo)


def test_folders_without_annotations(tmp_path):
    with pytest.raises(DataError, match="no such folder"):
        read_directory(tmp_path / "nowhere")
    write(tmp_path / "notes.md", "")
    with pytest.raises(DataError, match=r"known format.*it has notes\.md"):
        read_directory(tmp_path)
    for name in ("one", "two"):
        write(tmp_path / f"{name}.json", "{}")
    with pytest.raises(DataError, match="several JSON files"):
        read_directory(tmp_path)

"""`lamella train --task detect` and `lamella predict`: from a folder of pictures to a model, and to drawn pictures."""

import json

import numpy as np
import pytest
from PIL import Image

import lamella
from lamella import cli
from lamella.commands.detect import splits
from lamella.datasets import shapes
from lamella.vision.pictures import read_image


def yolo_folder(root, pictures, targets, part=""):
    """Pictures and labels in YOLO's format."""
    for kind in ("images", "labels"):
        (root / kind / part).mkdir(parents=True, exist_ok=True)
    (root / "data.yaml").write_text(f"names: {list(shapes.CLASS_NAMES)}\n")
    for i, picture in enumerate(pictures):
        height, width = picture.shape[:2]
        Image.fromarray(picture).save(root / "images" / part / f"{i}.png")
        rows = []
        for (x1, y1, x2, y2), c in zip(targets["boxes"][i], targets["classes"][i], strict=True):
            if c >= 0:
                centre = ((x1 + x2) / 2 / width, (y1 + y2) / 2 / height, (x2 - x1) / width, (y2 - y1) / height)
                rows.append(f"{c} " + " ".join(f"{v:.6f}" for v in centre))
        (root / "labels" / part / f"{i}.txt").write_text("\n".join(rows))


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A folder of pictures, one of them broken, and what two epochs of training leave behind."""
    root = tmp_path_factory.mktemp("detect")
    (pictures, targets), _ = shapes.load_data("detection", num_train=12, num_test=1, size=(64, 64))
    yolo_folder(root / "data", pictures, targets)
    (root / "data" / "images" / "3.png").write_bytes(b"no picture")
    options = ["--epochs", "2", "--batch-size", "4", "--image-size", "64", "--verbose", "0", "--out", str(root / "run")]
    with pytest.warns(UserWarning, match="leaves out what it cannot read"):
        assert cli.main(["train", "--task", "detect", "--data", str(root / "data"), *options]) == 0
    return root


def test_what_a_training_leaves_behind(trained):
    run = trained / "run"
    assert {each.name for each in run.iterdir()} == {
        *("model.keras", "pictures", "report.html", "events.jsonl", "history.csv", "run.json", "learning_curve.png")
    }
    record = json.loads((run / "run.json").read_text())
    assert set(record["test"]["AP@0.5"]) == set(shapes.CLASS_NAMES)
    assert 0 <= record["test"]["map_50"] <= 1
    assert "val_map_50" in (run / "history.csv").read_text().splitlines()[0]
    assert len(list((run / "pictures").iterdir())) >= 1


def test_predict_draws_and_writes(trained, tmp_path, capsys):
    (tmp_path / "in" / "b").mkdir(parents=True)
    Image.new("L", (50, 90), 99).save(tmp_path / "in" / "a.png")
    Image.new("RGBA", (120, 40), "red").save(tmp_path / "in" / "b" / "a.png")
    (tmp_path / "in" / "broken.jpg").write_bytes(b"\xff\xd8\xff no picture")
    arguments = [str(trained / "run" / "model.keras"), str(tmp_path / "in"), "--draw", str(tmp_path / "out")]
    assert cli.main(["predict", *arguments, "--json", str(tmp_path / "found.json"), "--threshold", "0"]) == 0
    told = capsys.readouterr()
    assert "broken.jpg" in told.err and "2 pictures drawn" in told.out
    found = json.loads((tmp_path / "found.json").read_text())
    assert [entry["image"] for entry in found] == [str(tmp_path / "in" / "a.png"), str(tmp_path / "in" / "b" / "a.png")]
    for entry, (width, height) in zip(found, ((50, 90), (120, 40)), strict=True):
        boxes = np.array(entry["boxes"]).reshape(-1, 4)
        assert len(boxes) == len(entry["scores"]) == len(entry["classes"])
        assert (boxes >= 0).all() and (boxes <= [width, height, width, height]).all()
        assert set(entry["classes"]) <= set(shapes.CLASS_NAMES)
    drawn = sorted((tmp_path / "out").iterdir())
    assert sorted(read_image(each).shape for each in drawn) == [(40, 120, 3), (90, 50, 3)]


def test_predict_refuses_clearly(trained, tmp_path, capsys):
    model = str(trained / "run" / "model.keras")
    (tmp_path / "broken.png").write_bytes(b"")
    for arguments, message in (
        ([model, str(tmp_path / "no.png")], "There is no file or folder"),
        ([model, str(tmp_path / "broken.png")], "None of the 1 pictures could be read"),
        ([model, str(tmp_path / "broken.png"), "--strict"], "broken.png"),
        ([str(tmp_path / "no.keras"), str(trained)], "no.keras"),
    ):
        assert cli.main(["predict", *arguments]) == 2
        assert message in capsys.readouterr().err


def test_predict_says_classes_and_masks(tmp_path, capsys):
    Image.new("RGB", (20, 16), "white").save(tmp_path / "a.png")
    x = lamella.Input((8, 8, 3))
    flat = lamella.layers.Flatten()(x)
    classifier = lamella.Model(x, lamella.layers.Dense(2, "softmax", kernel_initializer="zeros")(flat))
    classifier.save(tmp_path / "classes.keras")
    lamella.vision.UNet(1, depth=1, filters=2).save(tmp_path / "mask.keras")
    for name in ("classes", "mask"):
        picture, out = str(tmp_path / "a.png"), str(tmp_path / name)
        assert cli.main(["predict", str(tmp_path / f"{name}.keras"), picture, "--draw", out]) == 0
        assert read_image(tmp_path / name / "a.png").shape == (16, 20, 3)
    told = capsys.readouterr().out
    assert "class 0 (50.0%)" in told
    assert "class 1: " in told


def test_the_parts_of_a_folder_are_found(tmp_path):
    assert splits(str(tmp_path)) == {}
    for part in ("train", "valid"):
        (tmp_path / "packed" / part / "images").mkdir(parents=True)
    assert splits(str(tmp_path)) == {"train": "train", "val": "valid"}
    (tmp_path / "packed" / "test").mkdir()
    assert splits(str(tmp_path))["test"] == "test"


def test_a_picture_in_which_nothing_is_found_is_drawn_as_it_is(trained, tmp_path, capsys):
    Image.new("RGB", (40, 30), "white").save(tmp_path / "a.png")
    model, drawn = str(trained / "run" / "model.keras"), tmp_path / "drawn"
    assert cli.main(["predict", model, str(tmp_path / "a.png"), "--draw", str(drawn), "--threshold", "1"]) == 0
    assert "a.png: nothing" in capsys.readouterr().out
    assert (read_image(next(drawn.iterdir())) == 255).all()

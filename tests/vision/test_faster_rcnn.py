"""`FasterRCNN`: its losses against the paper's formulas, and what a detector must do."""

import subprocess
import sys

import numpy as np
import pytest
import torch
import torch.nn.functional as F

import lamella
from lamella.errors import ArgumentError, DataError, ShapeError
from lamella.vision.boxes import encode, roi_align
from lamella.vision.faster_rcnn import FasterRCNN
from lamella.vision.feature_pyramid import levels_of
from lamella.vision.matching import IGNORED, NEGATIVE, POSITIVE


def body(size=(48, 64)):
    """A backbone of two maps that is quick to make and to run."""
    images = lamella.Input((*size, 3), name="images")
    x = lamella.layers.Rescaling(1 / 127.5, -1)(images)
    x = lamella.layers.Conv2D(16, 5, 4, padding="same", activation="relu")(x)
    fine = lamella.layers.Conv2D(32, 3, 2, padding="same", activation="relu")(x)
    coarse = lamella.layers.Conv2D(32, 3, 2, padding="same", activation="relu")(fine)
    return lamella.Model(images, [fine, coarse], name="body")


def detector(**changes):
    settings = {
        "image_size": (48, 64),
        "anchor_sizes": (12, 24, 40),
        "fpn_channels": 16,
        "head_units": 32,
        "proposals_before": (40, 30),
        "proposals_after": (30, 20),
        "roi_samples": 16,
        "rpn_samples": 32,
    }
    settings.update(changes)
    return FasterRCNN(settings.pop("classes", ["red", "green"]), settings.pop("backbone", None) or body(), **settings)


def pictures(n=4):
    """Coloured rectangles on grey, and their boxes."""
    rng = np.random.default_rng(0)
    x = np.full((n, 48, 64, 3), 120, "uint8")
    boxes, classes = np.zeros((n, 3, 4), "float32"), np.full((n, 3), -1)
    for i in range(n):
        for k in range(1 + i % 2):
            left, top, wide, high = rng.integers(0, 12) + 32 * k, rng.integers(0, 20), *rng.integers(12, 24, 2)
            kind = int(rng.integers(0, 2))
            x[i, top : top + high, left : left + wide] = 0
            x[i, top : top + high, left : left + wide, kind] = 255
            boxes[i, k], classes[i, k] = (left, top, left + wide, top + high), kind
    return x, {"boxes": boxes, "classes": classes}


def tensors(targets):
    return torch.from_numpy(targets["boxes"]), torch.from_numpy(targets["classes"])


def test_outputs_have_one_number_and_one_offset_for_each_anchor():
    model = detector()
    outputs = model(torch.zeros(2, 48, 64, 3))
    places = 6 * 8 + 3 * 4 + 2 * 2
    assert outputs["scores"].shape == (2, 3 * places) and outputs["offsets"].shape == (2, 3 * places, 4)
    assert [tuple(x.shape) for x in outputs["maps"]] == [(2, 6, 8, 16), (2, 3, 4, 16)]
    boxes, scores = model.candidates(outputs)
    assert boxes.shape == (2, 20, 2, 4) and scores.shape == (2, 20, 2)
    assert boxes.min() >= 0 and boxes[..., 0::2].max() <= 64 and boxes[..., 1::2].max() <= 48
    assert (scores.sum(-1) <= 1 + 1e-6).all()


def test_candidates_are_the_heads_boxes_of_each_class_and_its_probabilities():
    model = detector()
    outputs = model(torch.from_numpy(pictures()[0]))
    proposals, there = model._proposals(outputs, training=False)
    levels = levels_of(proposals, (8, 16), model.canonical_size)
    each = torch.stack([roi_align(x, proposals, 7, 1 / s) for x, s in zip(outputs["maps"], (8, 16), strict=True)])
    cut = each.gather(0, levels[None, :, :, None, None, None].expand(1, -1, -1, *each.shape[3:]))[0]
    logits, offsets = model.head(cut.flatten(2))
    x1, y1, x2, y2 = proposals.unbind(-1)
    dx, dy, dw, dh = (offsets / torch.tensor([10.0, 10.0, 5.0, 5.0]))[:, :, 1].unbind(-1)
    width, height = (x2 - x1) * dw.exp(), (y2 - y1) * dh.exp()
    left, top = (x1 + x2) / 2 + dx * (x2 - x1) - width / 2, (y1 + y2) / 2 + dy * (y2 - y1) - height / 2
    boxes, scores = model.candidates(outputs)
    torch.testing.assert_close(boxes[:, :, 1, 0], left.clamp(0, 64), atol=1e-3, rtol=1e-4)
    torch.testing.assert_close(boxes[:, :, 1, 3], (top + height).clamp(0, 48), atol=1e-3, rtol=1e-4)
    torch.testing.assert_close(scores, logits.softmax(-1)[..., :2] * there[..., None])


def test_the_proposal_losses_are_the_papers(monkeypatch):
    model = detector()
    x, y = pictures()
    boxes, classes = tensors(y)
    chosen = {}

    def all_of_them(labels, count, positive_fraction):
        chosen["labels"], chosen["count"] = labels, (count, positive_fraction)
        return torch.arange(labels.shape[1]).expand(labels.shape), labels

    monkeypatch.setattr("lamella.vision.faster_rcnn.sample", all_of_them)
    outputs = model(torch.from_numpy(x))
    losses = model._proposal_losses(outputs, boxes, classes)
    assert chosen["count"] == (32, 0.5)
    total_class = total_box = number = 0.0
    for b in range(len(x)):
        for i, label in enumerate(chosen["labels"][b].tolist()):
            if label == IGNORED:
                continue
            number += 1
            p = outputs["scores"][b, i].sigmoid()
            total_class -= (p if label == POSITIVE else 1 - p).log()
            if label == POSITIVE:
                anchor = model._anchors[i]
                owner = max(range(3), key=lambda k: _iou(anchor, boxes[b, k]) if classes[b, k] >= 0 else -1)
                apart = (outputs["offsets"][b, i] - encode(boxes[b, owner], anchor)).abs()
                total_box += torch.where(apart < 1 / 9, 4.5 * apart**2, apart - 1 / 18).sum()
    torch.testing.assert_close(losses["proposal_class_loss"], total_class / number)
    torch.testing.assert_close(losses["proposal_box_loss"], total_box / number)


def _iou(a, b):
    return lamella.vision.boxes.iou(a, b).item()


def test_the_heads_losses_are_the_papers(monkeypatch):
    model = detector()
    x, y = pictures()
    boxes, classes = tensors(y)
    seen = {}

    def all_of_them(labels, count, positive_fraction):
        assert (count, positive_fraction) == (16, 0.25)
        seen["labels"] = labels
        return torch.arange(labels.shape[1]).expand(labels.shape), labels

    looked_at = FasterRCNN._looked_at

    def spy(self, maps, proposals):
        seen["proposals"], seen["said"] = proposals, looked_at(self, maps, proposals)
        return seen["said"]

    monkeypatch.setattr("lamella.vision.faster_rcnn.sample", all_of_them)
    monkeypatch.setattr(FasterRCNN, "_looked_at", spy)
    losses = model._head_losses(model(torch.from_numpy(x)), boxes, classes)
    logits, offsets = seen["said"]
    total_class = total_box = number = 0.0
    for b in range(len(x)):
        objects = [k for k in range(3) if classes[b, k] >= 0]
        assert all((seen["proposals"][b] == boxes[b, k]).all(-1).any() for k in objects)
        for i, label in enumerate(seen["labels"][b].tolist()):
            if label == IGNORED:
                assert not seen["proposals"][b, i].any()
                continue
            number += 1
            proposal = seen["proposals"][b, i]
            owner = max(objects, key=lambda k: _iou(proposal, boxes[b, k]))
            assert (label == POSITIVE) == (_iou(proposal, boxes[b, owner]) >= 0.5)
            kind = classes[b, owner] if label == POSITIVE else torch.tensor(2)
            total_class -= logits[b, i].log_softmax(-1)[kind]
            if label == POSITIVE:
                wanted = encode(boxes[b, owner], proposal, (10, 10, 5, 5))
                total_box += F.huber_loss(offsets[b, i, kind], wanted, reduction="sum")
    torch.testing.assert_close(losses["class_loss"], total_class / number)
    torch.testing.assert_close(losses["box_loss"], total_box / number)


def test_sampling_counts_in_a_step(monkeypatch):
    from lamella.vision import faster_rcnn

    kinds = []
    real = faster_rcnn.sample
    monkeypatch.setattr(faster_rcnn, "sample", lambda *a: kinds.append(real(*a)) or kinds[-1])
    model = detector()
    x, y = pictures()
    model.detection_loss(model(torch.from_numpy(x)), *tensors(y))
    anchors, rois = kinds[0][1], kinds[1][1]
    assert anchors.shape == (4, 32) and rois.shape == (4, 16)
    assert (
        (anchors != IGNORED).all() and ((anchors == POSITIVE).sum(1) <= 16).all() and (anchors == POSITIVE).any(1).all()
    )
    assert ((rois == POSITIVE).sum(1) <= 4).all() and (rois == POSITIVE).any(1).all() and (rois == NEGATIVE).any()


@pytest.mark.parametrize("most", [0, 3])
def test_pictures_without_boxes_give_finite_losses_and_gradients(most):
    model = detector()
    outputs = model(torch.from_numpy(pictures()[0]))
    losses = model.detection_loss(outputs, torch.zeros(4, most, 4), torch.full((4, most), -1))
    assert losses["proposal_box_loss"] == 0 and losses["box_loss"] == 0
    assert losses["proposal_class_loss"] > 0 and losses["class_loss"] > 0
    gradients = torch.autograd.grad(sum(losses.values()), model.trainable_weights)
    assert all(torch.isfinite(g).all() for g in gradients)


def test_every_weight_exists_from_the_start_and_is_trained():
    model = detector()
    weights = model.trainable_weights
    x, y = pictures()
    losses = model.detection_loss(model(torch.from_numpy(x)), *tensors(y))
    assert {id(w) for w in model.trainable_weights} == {id(w) for w in weights} and model.built
    gradients = torch.autograd.grad(sum(losses.values()), weights)
    assert all(g.abs().sum() > 0 for g in gradients)
    assert set(losses) == {"proposal_class_loss", "proposal_box_loss", "class_loss", "box_loss"}


def test_it_learns_a_small_batch_by_heart():
    lamella.utils.set_random_seed(0)
    model = detector(fpn_channels=32, roi_samples=32)
    x, y = pictures()
    model.compile(lamella.optimizers.Adam(3e-3))
    history = model.fit(x, y, batch_size=4, epochs=80, verbose=0).history
    assert history["loss"][-1] < 0.3 * history["loss"][0]
    assert set(history) == {"loss", "proposal_class_loss", "proposal_box_loss", "class_loss", "box_loss"}
    found = model.predict(x)
    for i in range(4):
        surest = [j for j in range(100) if found["scores"][i, j] > 0.5]
        for k in (k for k in range(3) if y["classes"][i, k] >= 0):
            box, kind = torch.tensor(y["boxes"][i, k]), y["classes"][i, k]
            same = [j for j in surest if found["classes"][i, j] == kind]
            assert any(_iou(torch.tensor(found["boxes"][i, j]), box) > 0.5 for j in same)


def test_batch_normalization_of_the_backbone_learns_only_in_training():
    model = FasterRCNN(1, "small", image_size=(32, 32), fpn_channels=16, head_units=16)
    norm = model.backbone.get_layer("stem_2_norm")
    x, y = (
        torch.rand(2, 32, 32, 3) * 255,
        {"boxes": torch.tensor([[[4.0, 4.0, 20.0, 20.0]]] * 2), "classes": torch.zeros(2, 1)},
    )
    before = norm.moving_mean.clone()
    model.compile("sgd")
    model.evaluate(x, y, verbose=0)
    assert torch.equal(norm.moving_mean, before)
    model.train_on_batch(x, y)
    assert not torch.equal(norm.moving_mean, before)


@pytest.mark.parametrize("size", [(64, 96), (50, 70)])
def test_backbones_of_any_picture_size(size):
    model = FasterRCNN(2, "small", image_size=size, fpn_channels=16, head_units=16)
    assert model.strides == (8, 16, 32) and model.anchor_sizes == ((32.0,), (64.0,), (128.0,), (256.0,))
    losses = model.detection_loss(
        model(torch.zeros(1, *size, 3)), torch.tensor([[[1.0, 2, 40, 40]]]), torch.tensor([[0]])
    )
    assert all(torch.isfinite(value) for value in losses.values())


def test_resnet18_has_the_papers_settings_and_strides():
    model = FasterRCNN(20, "resnet18", image_size=(64, 64))
    assert model.strides == (4, 8, 16, 32)
    assert model.anchor_sizes == ((32.0,), (64.0,), (128.0,), (256.0,), (512.0,))
    assert (model.fpn_channels, model.head_units, model.roi_samples, model.rpn_samples) == (256, 1024, 512, 256)
    assert model.backbone.count_params() == 11_186_112  # 11,176,512 and the 9,600 moving averages


def test_resnet50_is_that_of_applications_and_sees_pictures_as_it_was_trained_on_them():
    from lamella.applications import resnet50

    model = FasterRCNN(3, "resnet50", image_size=(64, 64), fpn_channels=8, head_units=8)
    assert model.strides == (4, 8, 16, 32) and model.backbone.count_params() == 23_587_712
    x = torch.rand(1, 64, 64, 3) * 255
    wanted = model.backbone.get_layer("resnet50")(resnet50.preprocess_input(x.clone()))
    for ours, theirs in zip(model.backbone(x), wanted, strict=True):
        torch.testing.assert_close(ours, theirs)


def test_predictions_are_in_the_pixels_of_each_picture():
    lamella.utils.set_random_seed(0)
    model = detector(score_threshold=0.0)
    small = pictures()[0]
    tall = np.full((120, 60, 3), 90, "uint8")
    found = model.predict([small[0], small[1].repeat(2, 0).repeat(2, 1), tall, small[0]])
    assert found["boxes"].shape == (4, 100, 4) and found["num_detections"].min() > 0
    for i, (height, width) in enumerate([(48, 64), (96, 128), (120, 60), (48, 64)]):
        boxes = found["boxes"][i, : found["num_detections"][i]]
        assert (boxes >= 0).all() and (boxes <= [width, height, width, height]).all()
    np.testing.assert_allclose(found["boxes"][0], found["boxes"][3], atol=1e-3)


RELOAD = """
import sys, numpy as np, lamella
model = lamella.models.load_model(sys.argv[1])
np.savez(sys.argv[2], **model.predict(np.load(sys.argv[3])))
"""


def test_a_saved_detector_is_read_by_a_new_process(tmp_path):
    model = detector(score_threshold=0.0, anchor_ratios=(1.0, 2.0), box_weights=(5, 5, 2, 2))
    x, y = pictures()
    model.compile("adam")
    model.train_on_batch(x, y)
    model.save(tmp_path / "m.keras")
    np.save(tmp_path / "x.npy", x)
    paths = [str(tmp_path / name) for name in ("m.keras", "found.npz", "x.npy")]
    subprocess.run([sys.executable, "-W", "error", "-c", RELOAD, *paths], check=True)
    wanted, found = model.predict(x), np.load(tmp_path / "found.npz")
    assert wanted["num_detections"].min() > 0
    for name in wanted:
        np.testing.assert_allclose(found[name], wanted[name], atol=1e-4)


def test_the_config_makes_the_same_detector():
    model = FasterRCNN(["a", "b"], "small", image_size=(32, 48), anchor_sizes=[(8, 10), (16, 20), (32, 40)])
    again = FasterRCNN.from_config(model.get_config())
    assert again.get_config() == model.get_config()
    assert [w.shape for w in again.weights] == [w.shape for w in model.weights]
    assert torch.equal(again._anchors, model._anchors)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"backbone": "resnet19"}, "must be one of 'resnet50', 'resnet18', 'small'"),
        ({"backbone_weights": "imagenet"}, "are for the backbone 'resnet50'"),
        ({"anchor_sizes": (8,)}, "an entry for each of the 2 maps"),
        ({"anchor_sizes": ((8, 9), 16)}, "all of as many sizes"),
        ({"anchor_ratios": ()}, "`anchor_ratios` must be above 0"),
        ({"rpn_negative_iou": 0.8}, "must not be above `rpn_positive_iou`"),
        ({"roi_positive_iou": 1.5}, "from 0 to 1"),
        ({"roi_positive_fraction": 0.0}, "above 0, up to 1"),
        ({"roi_samples": 2.5}, "`roi_samples` must be a whole number"),
        ({"proposals_after": (5,)}, "two numbers above 0"),
    ],
)
def test_what_cannot_be_is_refused(changes, message):
    with pytest.raises(ArgumentError, match=message):
        detector(**changes)


def test_a_backbone_whose_maps_do_not_fit_is_refused():
    images = lamella.Input((48, 64, 3))
    fine = lamella.layers.Conv2D(4, 3, 4, padding="same")(images)
    coarse = lamella.layers.Conv2D(4, 3, 4, padding="same")(fine)
    with pytest.raises(ArgumentError, match=r"each half as large.*strides \(4, 16\)"):
        detector(backbone=lamella.Model(images, [fine, coarse]))
    with pytest.raises(ArgumentError, match="all known but the batch"):
        detector(backbone=lamella.Model(images, lamella.layers.GlobalAveragePooling2D()(fine)))


def test_pictures_of_another_size_and_targets_of_another_form_are_refused():
    model = detector()
    with pytest.raises(ShapeError, match=r"48, 64, 3"):
        model(torch.zeros(1, 32, 32, 3))
    model.compile("sgd")
    with pytest.raises(DataError, match="'boxes'"):
        model.fit(pictures()[0], np.zeros((4, 3)), verbose=0)

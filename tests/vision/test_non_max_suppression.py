"""Non-maximum suppression, against the greedy loop that defines it."""

import pytest
import torch

from lamella.errors import ShapeError
from lamella.vision.boxes import non_max_suppression, pairwise_iou, suppressed


def greedy(boxes, scores, classes, iou_threshold):
    """The places that stay, of boxes in any order: from the surest, the earlier of equal ones first."""
    order = sorted(range(len(scores)), key=lambda i: (-scores[i], i))
    over = (pairwise_iou(boxes, boxes) > iou_threshold).tolist()
    stays = []
    for i in order:
        if not any(over[j][i] and classes[i] == classes[j] for j in stays):
            stays.append(i)
    return stays


def naive(boxes, scores, iou_threshold, score_threshold, max_detections, candidates):
    """The definition of `non_max_suppression` for one picture, a list of (score, class, box)."""
    pairs = [(s, i, c) for i in range(len(scores)) for c, s in enumerate(scores[i].tolist())]
    pairs = sorted(pairs, key=lambda pair: -pair[0])[:candidates]
    pairs = [pair for pair in pairs if pair[0] > score_threshold]
    chosen = [boxes[i] if boxes.ndim == 2 else boxes[i, c] for _, i, c in pairs]
    if not chosen:
        return []
    stays = greedy(torch.stack(chosen), [s for s, _, _ in pairs], [c for _, _, c in pairs], iou_threshold)
    return [(pairs[i][0], pairs[i][2], chosen[i].tolist()) for i in stays[:max_detections]]


def some(batch, n, classes, own_boxes=False, levels=12, seed=0):
    """Crowded boxes on a coarse grid, with many equal overlaps, and scores of which many are equal."""
    torch.manual_seed(seed)
    shape = (batch, n, classes, 2) if own_boxes else (batch, n, 2)
    corner = torch.randint(0, 12, shape)
    boxes = torch.cat([corner, corner + torch.randint(1, 9, shape)], -1).float()
    return boxes, torch.randint(0, levels, (batch, n, classes)).float() / levels


@pytest.mark.parametrize("own_boxes", [False, True])
@pytest.mark.parametrize(("classes", "n"), [(1, 300), (4, 90)])
@pytest.mark.parametrize(
    ("iou_threshold", "score_threshold", "max_detections", "candidates"),
    [(0.5, 0.0, 100, 1000), (0.3, 0.4, 500, 1000), (0.7, 0.2, 7, 150), (0.0, 0.0, 20, 1000), (1.0, 0.5, 400, 30)],
)
def test_it_is_the_greedy_loop(own_boxes, classes, n, iou_threshold, score_threshold, max_detections, candidates):
    boxes, scores = some(3, n, classes, own_boxes)
    scores[1] = 0  # a picture without a detection
    found = non_max_suppression(boxes, scores, iou_threshold, score_threshold, max_detections, candidates)
    for i in range(3):
        expected = naive(boxes[i], scores[i], iou_threshold, score_threshold, max_detections, candidates)
        count = int(found["num_detections"][i])
        assert count == len(expected) and (count == 0) == (i == 1)
        got = zip(*(found[name][i, :count].tolist() for name in ("scores", "classes", "boxes")), strict=True)
        assert list(got) == expected
        for name in ("scores", "classes", "boxes"):
            assert (found[name][i, count:] == -1).all()
            assert found[name].shape[:2] == (3, max_detections)


@pytest.mark.parametrize("iou_threshold", [0.3, 0.5, 0.7])
def test_suppressed_is_the_greedy_loop(iou_threshold):
    boxes, scores = some(4, 400, 1)
    scores = scores[..., 0] * 2 - 1  # negative ones too: the scores of proposals are logits
    scores[:, ::7] = -torch.inf
    keep = suppressed(boxes, scores, iou_threshold)
    for i in range(4):
        there = (scores[i] > -torch.inf).nonzero()[:, 0]
        stays = greedy(boxes[i, there], scores[i, there].tolist(), [0] * len(there), iou_threshold)
        expected = torch.zeros(400, dtype=torch.bool)
        expected[there[stays]] = True
        assert torch.equal(keep[i], expected)


def test_a_chain_of_boxes_settles_one_by_one():
    """Each box overlaps the next alone, so every second one stays: the most readings that a block can need."""
    left = torch.arange(200.0)
    boxes = torch.stack([left, torch.zeros(200), left + 1.8, torch.ones(200)], -1).unsqueeze(0)
    keep = suppressed(boxes, torch.arange(200.0, 0, -1).unsqueeze(0), 0.2)
    assert torch.equal(keep[0], torch.arange(200) % 2 == 0)


def test_classes_do_not_suppress_each_other():
    boxes = torch.tensor([[[0.0, 0.0, 4.0, 4.0], [0.0, 0.0, 4.0, 4.0]]])
    found = non_max_suppression(boxes, torch.tensor([[[0.9, 0.1], [0.2, 0.8]]]), max_detections=5)
    assert found["scores"][0, :2].tolist() == pytest.approx([0.9, 0.8])
    assert found["classes"][0].tolist() == [0, 1, -1, -1, -1]
    assert found["classes"].dtype == torch.int64


def test_scores_that_are_no_numbers_or_zeros_of_either_sign():
    boxes = torch.tensor([[[0.0, 0, 1, 1], [2, 2, 3, 3], [4, 4, 5, 5]]])
    found = non_max_suppression(boxes, torch.tensor([[[-0.0], [0.0], [0.5]]]), score_threshold=-1.0, max_detections=3)
    assert found["boxes"][0].tolist() == boxes[0, [2, 0, 1]].tolist()  # -0.0 equals 0.0, and is earlier
    nan = torch.tensor([[[float("nan")], [0.3], [0.5]]])
    assert non_max_suppression(boxes, nan, max_detections=3)["scores"][0].tolist() == pytest.approx([0.5, 0.3, -1])


def test_no_boxes_at_all():
    found = non_max_suppression(torch.zeros(2, 0, 4), torch.zeros(2, 0, 3), max_detections=4)
    assert found["boxes"].shape == (2, 4, 4) and (found["classes"] == -1).all()
    assert found["num_detections"].tolist() == [0, 0]
    assert suppressed(torch.zeros(2, 0, 4), torch.zeros(2, 0), 0.5).shape == (2, 0)


def test_errors_show_the_shapes():
    with pytest.raises(ShapeError, match=r"scores \(1, 3\) and boxes \(1, 3, 4\)"):
        non_max_suppression(torch.zeros(1, 3, 4), torch.zeros(1, 3))
    with pytest.raises(ShapeError, match=r"boxes \(1, 3, 5, 4\)"):
        non_max_suppression(torch.zeros(1, 3, 5, 4), torch.zeros(1, 3, 2))
    with pytest.raises(ShapeError, match=r"\(3, 4\) and \(3,\)"):
        suppressed(torch.zeros(3, 4), torch.zeros(3), 0.5)

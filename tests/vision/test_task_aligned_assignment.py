"""`task_aligned_assignment` against the paper's definition, written as a loop over pictures, boxes and points."""

import pytest
import torch

from lamella.vision.distance_boxes import grid_points
from lamella.vision.task_aligned_assignment import task_aligned_assignment


def overlap(a, b):
    width = max(0.0, min(a[2], b[2]) - max(a[0], b[0]))
    height = max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
    both = width * height
    union = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - both
    return both / union if union > 0 else 0.0


def inside(point, box, smallest):
    return all(abs(point[i] - (box[i] + box[i + 2]) / 2) < max(box[i + 2] - box[i], smallest) / 2 for i in (0, 1))


def by_the_book(scores, boxes, points, true_boxes, true_classes, top, smallest):
    """One picture: {point: (true box, weight)}."""
    wanted, aligned = {}, {}
    for m, (box, label) in enumerate(zip(true_boxes, true_classes, strict=True)):
        if label < 0:
            continue
        values = []
        for n, point in enumerate(points):
            value = scores[n][label] ** 0.5 * overlap(box, boxes[n]) ** 6 if inside(point, box, smallest) else 0.0
            if value > 0:
                values.append((value, n))
        for value, n in sorted(values, reverse=True)[:top]:
            wanted.setdefault(n, []).append(m)
            aligned[n, m] = value
    owner = {n: max(each, key=lambda m: (overlap(true_boxes[m], boxes[n]), -m)) for n, each in wanted.items()}
    result = {}
    for n, m in owner.items():
        mine = [other for other in owner if owner[other] == m]
        best = max(aligned[other, m] for other in mine)
        highest = max(overlap(true_boxes[m], boxes[other]) for other in mine)
        result[n] = (m, aligned[n, m] / best * highest)
    return result


def as_dict(places, weights):
    """What the function returned for one picture, in the form of `by_the_book`."""
    found = {}
    for m in range(places.shape[0]):
        for place, weight in zip(places[m].tolist(), weights[m].tolist(), strict=True):
            if weight > 0:
                assert place not in found, "a point has two boxes"
                found[place] = (m, weight)
    return found


def random_case(seed, batch=3, most=6, classes=4, size=(64, 96)):
    draw = torch.Generator().manual_seed(seed)
    points, strides = grid_points(size, (8, 16, 32))
    sides = torch.rand(batch, len(points), 4, generator=draw) * 3 * strides[:, None]
    boxes = torch.cat([points - sides[..., :2], points + sides[..., 2:]], -1)
    corner = torch.rand(batch, most, 2, generator=draw) * torch.tensor([70.0, 40.0])
    extent = torch.rand(batch, most, 2, generator=draw) * 40 + 1
    true_boxes = torch.cat([corner, corner + extent], -1)
    true_classes = torch.randint(-1, classes, (batch, most), generator=draw)
    scores = torch.rand(batch, len(points), classes, generator=draw)
    return scores, boxes, points, true_boxes.where((true_classes >= 0)[..., None], 0.0), true_classes


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("top", [1, 4, 10, 1000])
def test_agrees_with_the_definition(seed, top):
    case = random_case(seed)
    places, weights = task_aligned_assignment(*case, top=top)
    scores, boxes, points, true_boxes, true_classes = (value.tolist() for value in case)
    for i in range(len(scores)):
        expected = by_the_book(scores[i], boxes[i], points, true_boxes[i], true_classes[i], top, 8.0)
        found = as_dict(places[i], weights[i])
        assert {n: m for n, (m, _) in found.items()} == {n: m for n, (m, _) in expected.items()}
        for n, (_, weight) in expected.items():
            assert found[n][1] == pytest.approx(weight, abs=1e-5)
    assert (weights > 0).any()


def test_a_point_of_two_equal_boxes_belongs_to_the_first():
    points = torch.tensor([[4.0, 4.0]])
    box = torch.tensor([0.0, 0.0, 8.0, 8.0])
    both, classes = box.expand(1, 2, 4), torch.tensor([[1, 0]])
    _, weights = task_aligned_assignment(torch.full((1, 1, 2), 0.5), box.expand(1, 1, 4), points, both, classes)
    assert weights.flatten().tolist() == [1.0, 0.0]


def test_the_smallest_box_between_points_has_one():
    points, strides = grid_points((32, 32), (8,))
    sides = strides[:, None]
    boxes = torch.cat([points - sides, points + sides], -1).unsqueeze(0)
    tiny = torch.tensor([[[6.0, 6.0, 9.0, 9.0]]])  # the centres around it lie at 4 and 12
    _, weights = task_aligned_assignment(torch.full((1, 16, 1), 0.5), boxes, points, tiny, torch.zeros(1, 1).long())
    assert (weights > 0).sum() >= 1


@pytest.mark.parametrize("most", [0, 5])
def test_a_batch_without_boxes(most):
    scores, boxes, points, *_ = random_case(0)
    none = torch.full((3, most), -1)
    places, weights = task_aligned_assignment(scores, boxes, points, torch.zeros(3, most, 4), none)
    assert places.shape == weights.shape == (3, most, 10)
    assert not weights.any()

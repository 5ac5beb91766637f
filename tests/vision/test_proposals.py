"""Matching, sampling, proposals and the pyramid's RoIAlign against naive loops of their definitions."""

import math

import pytest
import torch

import lamella
from lamella.vision.boxes import clip, decode, roi_align
from lamella.vision.feature_pyramid import feature_pyramid, levels_of, pyramid_roi_align
from lamella.vision.matching import IGNORED, NEGATIVE, POSITIVE, match, sample
from lamella.vision.region_proposals import propose, region_proposal_head


def random_boxes(*shape, size=60.0):
    corner = torch.rand(*shape, 2) * size
    return torch.cat([corner, corner + 4 + torch.rand(*shape, 2) * 30], -1)


def overlap(a, b):
    width, height = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    inside = max(width, 0.0) * max(height, 0.0)
    return inside / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - inside)


def naive_match(anchors, objects, positive, negative):
    """Section 3.1.2 of the paper, for one picture."""
    table = [[overlap(anchor, thing) for thing in objects] for anchor in anchors]
    labels, owners = [], []
    for i in range(len(anchors)):
        highest = max(table[i], default=0.0)
        label = POSITIVE if highest >= positive else NEGATIVE if highest < negative else IGNORED
        for j in range(len(objects)):
            best = max(row[j] for row in table)
            if table[i][j] == best and best > 0:
                label = POSITIVE
        labels.append(label)
        owners.append(table[i].index(highest) if objects else 0)
    return labels, owners


def test_matching_is_that_of_the_paper():
    anchors = random_boxes(1, 150)
    objects, classes = random_boxes(3, 6), torch.randint(0, 4, (3, 6))
    classes[1, 4:] = -1
    classes[2] = -1
    labels, owners = match(anchors, objects, classes, 0.5, 0.3, best_of_each=True)
    for b in range(3):
        there = objects[b][classes[b] >= 0].double().tolist()
        wanted, owner = naive_match(anchors[0].double().tolist(), there, 0.5, 0.3)
        assert labels[b].tolist() == wanted
        assert all(o == w for o, w, kind in zip(owners[b].tolist(), owner, wanted, strict=True) if kind == POSITIVE)
    assert (labels == IGNORED).any() and (labels[0] == POSITIVE).sum() > 6 - 1


def test_without_best_of_each_an_object_that_nothing_overlaps_enough_has_no_box():
    boxes = torch.tensor([[[0.0, 0.0, 10.0, 10.0]]])
    objects, classes = torch.tensor([[[0.0, 0.0, 10.0, 4.0]]]), torch.tensor([[2]])
    assert match(boxes, objects, classes, 0.5, 0.5)[0].item() == NEGATIVE
    assert match(boxes, objects, classes, 0.5, 0.5, best_of_each=True)[0].item() == POSITIVE


def test_an_object_that_no_anchor_touches_makes_none_of_them_positive():
    boxes = random_boxes(1, 20)
    labels, _ = match(boxes, torch.tensor([[[900.0, 900.0, 910.0, 910.0]]]), torch.tensor([[0]]), 0.7, 0.3, True)
    assert (labels == NEGATIVE).all()


@pytest.mark.parametrize(
    ("positives", "negatives", "wanted"),
    [(50, 500, (16, 48)), (5, 500, (5, 59)), (50, 10, (16, 10)), (0, 500, (0, 64)), (3, 0, (3, 0)), (0, 0, (0, 0))],
)
def test_sampling_takes_positives_up_to_their_share_and_fills_with_negatives(positives, negatives, wanted):
    labels = torch.full((1, 600), IGNORED)
    order = torch.randperm(600)
    labels[0, order[:positives]] = POSITIVE
    labels[0, order[positives : positives + negatives]] = NEGATIVE
    places, kinds = sample(labels.expand(4, -1), 64, 0.25)
    assert places.shape == kinds.shape == (4, 64)
    for row in range(4):
        assert ((kinds[row] == POSITIVE).sum().item(), (kinds[row] == NEGATIVE).sum().item()) == wanted
        chosen = places[row][kinds[row] != IGNORED]
        assert len(chosen.unique()) == len(chosen)
        assert torch.equal(labels[0, chosen], kinds[row][kinds[row] != IGNORED])


def test_sampling_is_uniform():
    labels = torch.tensor([[POSITIVE] * 4 + [NEGATIVE] * 8]).expand(4000, -1)
    places, _ = sample(labels, 6, 1 / 3)
    share = torch.zeros(12).scatter_add(0, places.flatten(), torch.ones(places.numel())) / 4000
    torch.testing.assert_close(share, torch.full((12,), 0.5), atol=0.04, rtol=0)


def test_sampling_more_than_there_is_gives_all():
    places, kinds = sample(torch.tensor([[POSITIVE, NEGATIVE, NEGATIVE]]), 10, 0.5)
    assert sorted(places[0].tolist()) == [0, 1, 2] and kinds[0].tolist() == [POSITIVE, NEGATIVE, NEGATIVE]


def naive_proposals(scores, offsets, anchors, per_map, size, before, after, threshold):
    kept, start = [], 0
    for count in per_map:
        rows = range(start, start + count)
        start += count
        boxes = clip(decode(offsets, anchors), size).tolist()
        order = sorted(rows, key=lambda i: -scores[i].item())[:before]
        stays = []
        for i in order:
            if all(overlap(boxes[i], boxes[j]) <= threshold for j in stays):
                stays.append(i)
        kept += [(scores[i].item(), boxes[i]) for i in stays]
    return [box for _, box in sorted(kept, key=lambda pair: -pair[0])[:after]]


def test_proposals_are_those_of_a_loop():
    anchors, per_map = random_boxes(140), [100, 40]
    scores, offsets = torch.randn(3, 140), torch.randn(3, 140, 4) * 0.2
    boxes, there = propose(scores, offsets, anchors, per_map, (64, 80), before=50, after=30, iou_threshold=0.4)
    assert boxes.shape == (3, 30, 4)
    for b in range(3):
        wanted = naive_proposals(scores[b], offsets[b], anchors, per_map, (64, 80), 50, 30, 0.4)
        assert there[b].sum() == len(wanted) and not boxes[b][~there[b]].any()
        torch.testing.assert_close(boxes[b][there[b]], torch.tensor(wanted))


def test_proposals_outside_the_picture_are_none():
    anchors = torch.tensor([[-30.0, 0.0, -10.0, 20.0], [10.0, 10.0, 20.0, 20.0]])
    boxes, there = propose(torch.tensor([[5.0, 1.0]]), torch.zeros(1, 2, 4), anchors, [2], (64, 64), 2, 2)
    assert there.tolist() == [[True, False]] and boxes[0, 0].tolist() == [10.0, 10.0, 20.0, 20.0]


def test_the_proposal_head_puts_the_numbers_of_a_place_where_its_anchors_are():
    fine, coarse = lamella.Input((3, 4, 8)), lamella.Input((2, 2, 8))
    model = lamella.Model([fine, coarse], list(region_proposal_head([fine, coarse], 3)))
    x, z = torch.randn(2, 3, 4, 8), torch.randn(2, 2, 2, 8)
    scores, offsets = model([x, z])
    hidden = model.get_layer("proposal_hidden")
    by_place = model.get_layer("proposal_score")(hidden(x))
    moves = model.get_layer("proposal_offset")(hidden(z))
    place = (1 * 4 + 2) * 3 + 1  # row 1, column 2, the second anchor
    torch.testing.assert_close(scores[:, place], by_place[:, 1, 2, 1])
    torch.testing.assert_close(offsets[:, 36 + (1 * 2 + 0) * 3 + 2], moves[:, 1, 0, 8:12])


def test_levels_follow_the_papers_formula():
    boxes = random_boxes(500) * torch.rand(500, 1) * 40
    found = levels_of(boxes, (4, 8, 16, 32), canonical_size=224.0)
    for box, level in zip(boxes.double().tolist(), found.tolist(), strict=True):
        side = math.sqrt((box[2] - box[0]) * (box[3] - box[1]))
        assert level == min(max(math.floor(4 + math.log2(side / 224)), 2), 5) - 2
    assert found.unique().tolist() == [0, 1, 2, 3]
    assert levels_of(torch.zeros(1, 4), (8, 16)).tolist() == [0]


def test_the_pyramids_roi_align_is_roi_align_on_the_map_of_each_box():
    strides = (4, 8, 16)
    maps = [torch.randn(2, math.ceil(50 / s), math.ceil(70 / s), 5, requires_grad=True) for s in strides]
    boxes, levels = random_boxes(2, 40), torch.randint(0, 3, (2, 40))
    boxes[0, 0] = torch.tensor([-30.0, -30.0, 200.0, 200.0])
    found = pyramid_roi_align(maps, strides, boxes, levels, output_size=3)
    each = torch.stack([roi_align(x, boxes, 3, 1 / s) for x, s in zip(maps, strides, strict=True)])
    wanted = each.gather(0, levels[None, :, :, None, None, None].expand(1, -1, -1, 3, 3, 5))[0]
    torch.testing.assert_close(found, wanted, atol=1e-5, rtol=1e-5)
    weights = torch.randn_like(found)
    for ours, theirs in zip(
        torch.autograd.grad((found * weights).sum(), maps),
        torch.autograd.grad((wanted * weights).sum(), maps),
        strict=True,
    ):
        torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=1e-4)


def test_the_pyramid_adds_what_coarser_maps_have_seen():
    inputs = [lamella.Input((5, 7, 4)), lamella.Input((3, 4, 6)), lamella.Input((2, 2, 8))]
    model = lamella.Model(inputs, feature_pyramid(inputs, channels=3, extra=2))
    maps = [torch.randn(2, *x.shape[1:]) for x in inputs]
    found = model(maps)
    layer = model.get_layer
    coarse = layer("pyramid_2_lateral")(maps[2])
    middle = layer("pyramid_1_lateral")(maps[1])
    middle = middle + coarse.repeat_interleave(2, 1).repeat_interleave(2, 2)[:, :3, :4]
    fine = layer("pyramid_0_lateral")(maps[0])
    fine = fine + middle.repeat_interleave(2, 1).repeat_interleave(2, 2)[:, :5, :7]
    for level, x in enumerate((fine, middle, coarse)):
        torch.testing.assert_close(found[level], layer(f"pyramid_{level}")(x))
    assert torch.equal(found[3], found[2][:, ::2, ::2]) and torch.equal(found[4], found[3][:, ::2, ::2])

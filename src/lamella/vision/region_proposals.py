"""The region proposal network: which anchors may hold an object of any class, and how they should move."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from lamella import layers
from lamella.engine.image_data_format import channels_last_inside
from lamella.initializers import RandomNormal
from lamella.vision.boxes import clip, decode, suppressed


@channels_last_inside
def region_proposal_head(maps: Sequence[Any], anchors_per_place: int) -> tuple[Any, Any]:
    """The same small network over every map: a score and an offset for each anchor.

    Args:
        maps: Symbolic tensors (batch, height, width, channels), of equal channels.
        anchors_per_place: How many anchors each place of a map has.

    Returns:
        (batch, anchors), logits; and (batch, anchors, 4), offsets. The anchors of the first map come first, row by row.

    Source: Ren et al., 2015, section 3.1; on several maps: Lin et al., 2017.

    Example:
        >>> from lamella import Input
        >>> scores, offsets = region_proposal_head([Input((4, 4, 8)), Input((2, 2, 8))], anchors_per_place=3)
        >>> scores.shape, offsets.shape
        ((None, 60), (None, 60, 4))
    """
    shared = layers.Conv2D(maps[0].shape[-1], 3, padding="same", activation="relu", name="proposal_hidden")
    score = layers.Conv2D(anchors_per_place, 1, kernel_initializer=RandomNormal(stddev=0.01), name="proposal_score")
    move = layers.Conv2D(4 * anchors_per_place, 1, kernel_initializer=RandomNormal(stddev=0.01), name="proposal_offset")
    hidden = [shared(x) for x in maps]
    scores = [layers.Reshape((-1,), name=f"proposal_scores_{i}")(score(h)) for i, h in enumerate(hidden)]
    offsets = [layers.Reshape((-1, 4), name=f"proposal_offsets_{i}")(move(h)) for i, h in enumerate(hidden)]
    join = layers.Concatenate(axis=1, name="proposal_scores"), layers.Concatenate(axis=1, name="proposal_offsets")
    return (join[0](scores), join[1](offsets)) if len(maps) > 1 else (scores[0], offsets[0])


@torch.no_grad()
def propose(
    scores: torch.Tensor,
    offsets: torch.Tensor,
    anchors: torch.Tensor,
    per_map: Sequence[int],
    image_size: tuple[int, int],
    before: int,
    after: int,
    iou_threshold: float = 0.7,
) -> tuple[torch.Tensor, torch.Tensor]:
    """The surest boxes of the proposal network, without those that overlap a surer one of the same map.

    Args:
        scores: (batch, anchors).
        offsets: (batch, anchors, 4).
        anchors: (anchors, 4).
        per_map: How many anchors each map has, in order.
        image_size: (height, width): boxes are cut there.
        before: How many of each map are compared.
        after: How many of a picture stay.
        iou_threshold: The overlap above which the less sure one goes.

    Returns:
        (batch, n, 4), xyxy in pixels, surest first, where n is at most `after`; and (batch, n), bool: False (and a box
        of 0) where a picture has no further proposal.

    Source: Ren et al., 2015, section 3.1; suppression map by map: Lin et al., 2017.

    Example:
        >>> anchors = torch.tensor([[0.0, 0.0, 4.0, 4.0], [0.0, 0.0, 4.0, 3.0], [5.0, 5.0, 9.0, 9.0]])
        >>> scores = torch.tensor([[1.0, 2.0, 0.0]])
        >>> propose(scores, torch.zeros(1, 3, 4), anchors, [3], (8, 8), before=3, after=3)
        (tensor([[[0., 0., 4., 3.],
                 [5., 5., 8., 8.],
                 [0., 0., 0., 0.]]]), tensor([[ True,  True, False]]))
    """
    found_boxes, found_scores, counts = [], [], list(per_map)
    maps = zip(scores.split(counts, 1), offsets.split(counts, 1), anchors.split(counts), strict=True)
    for score, offset, anchor in maps:
        score, places = score.topk(min(before, score.shape[1]))
        offset = offset.gather(1, places.unsqueeze(-1).expand(-1, -1, 4))
        boxes = clip(decode(offset, anchor[places]), image_size)
        thin = (boxes[..., 2:] - boxes[..., :2]).amin(-1) < 1e-3
        score = score.masked_fill(thin, -torch.inf)
        found_scores.append(score.masked_fill(~suppressed(boxes, score, iou_threshold), -torch.inf))
        found_boxes.append(boxes)
    score, boxes = torch.cat(found_scores, 1), torch.cat(found_boxes, 1)
    score, places = score.topk(min(after, score.shape[1]))
    there = score > -torch.inf
    boxes = boxes.gather(1, places.unsqueeze(-1).expand(-1, -1, 4))
    return boxes * there.unsqueeze(-1), there

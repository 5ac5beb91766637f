"""What a model makes of samples before its last layer, in two dimensions."""

from __future__ import annotations

import torch

from lamella.report.answers import Answers
from lamella.report.forward import BeforeHead
from lamella.report.record import Embeddings

_MOST_POINTS = 1000


def embeddings(before: BeforeHead, said: Answers | None) -> Embeddings | None:
    """The samples on the two directions of greatest variance (PCA); None for fewer than two features or samples."""
    if not before.layer or not before.parts:
        return None
    features = torch.cat(before.parts)
    every = -(-len(features) // _MOST_POINTS)
    features = features[::every]
    if min(features.shape) < 2 or not bool(features.isfinite().all()):
        return None
    centred = features - features.mean(0)
    total = float(centred.square().sum())
    if total == 0:
        return None
    _, sizes, directions = torch.pca_lowrank(centred, q=min(6, *centred.shape), center=False)
    points = [(round(x, 4), round(y, 4)) for x, y in (centred @ directions[:, :2]).tolist()]
    classes = [] if said is None or said.share is None else said.true[::every].tolist()
    variance = float(sizes[:2].square().sum()) / total
    return Embeddings(before.layer, points, classes, said.labels if said and classes else [], min(variance, 1.0))

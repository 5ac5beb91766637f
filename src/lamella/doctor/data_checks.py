"""What can be wrong with the data, before any training."""

from __future__ import annotations

from typing import Any

import torch

from lamella.doctor.finding import Finding
from lamella.doctor.outputs import is_classification

_LARGE, _SMALL, _UNLIKE = 10.0, 1e-3, 100.0
_UNBALANCED = 10.0
_MOST_CLASSES = 1000
_ALPHABET = 10
"""So many letters or words has a vocabulary at least, of which inputs are and the target is."""
_LEAKED = 0.01
_HASHED = 64
_MOST_ROWS = 100_000


def unscaled_inputs(given: torch.Tensor | None, layer: str) -> list[Finding]:
    """Inputs far from a size of 1, or features of sizes far apart.

    Args:
        given: What the first layer with a kernel was given, (samples, ..., features); None if no floats.
        layer: Its name.
    """
    if given is None or given.ndim < 2 or len(given) < 8:
        return []
    features = given.float().reshape(-1, given.shape[-1]) if given.ndim != 4 else given.float().reshape(-1, 1)
    sizes = features.square().mean(0).sqrt()
    largest, typical = float(sizes.max()), float(sizes.median())
    if largest > _LARGE:
        far = typical > 0 and largest > _UNLIKE * typical
        figures = {"largest": largest, "typical": typical, "feature": int(sizes.argmax())}
        return [Finding("unscaled_inputs", figures, layer, case="apart" if far else "large")]
    if 0 < largest < _SMALL:
        return [Finding("unscaled_inputs", {"largest": largest, "typical": typical}, layer, case="small")]
    return []


def constant_features(x: Any) -> list[Finding]:
    """Columns of a table that are the same in every row.

    Columns of zeros are no mistake where at least half of the others are counts, brightnesses or one-hot classes: a
    blank corner, a word or a class that does not occur.
    """
    if not isinstance(x, torch.Tensor) or x.ndim != 2 or not x.is_floating_point() or len(x) < 16:
        return []
    few = x[:: max(1, len(x) // 1024)]
    same = few.amin(0) == few.amax(0)
    others = (few[:, ~same] >= 0).all(0)
    if others.sum() >= len(others) / 2:
        same &= few[0] != 0
    suspects = same.nonzero().flatten()
    columns = suspects[(x[:, suspects] == x[0, suspects]).all(0)].tolist() if len(suspects) else []
    if not columns:
        return []
    listed = ", ".join(map(str, columns[:5])) + (", ..." if len(columns) > 5 else "")
    return [Finding("constant_features", {"columns": listed, "count": len(columns), "of": x.shape[1]})]


def label_imbalance(y: Any, loss: Any, outputs: int, weighted: bool, x: Any = None) -> list[Finding]:
    """Classes of which one has many times as many samples as another.

    Where a sequence is continued, as by a model of a language, some letters and words are rare by nature.

    Args:
        y: All targets.
        loss: The loss.
        outputs: The size of the output's last axis.
        weighted: Whether samples or classes have weights, so that somebody has thought of it.
        x: All inputs; None if unknown.
    """
    whole = isinstance(x, torch.Tensor) and x.ndim == 2 and not x.is_floating_point()
    if whole and outputs >= _ALPHABET and int(x.max()) < outputs:
        return []
    if weighted or not isinstance(y, torch.Tensor) or not is_classification(loss) or len(y) < 50:
        return []
    if y.ndim == 2 and y.shape[1] > 1 and y.shape[1] == outputs:
        if not bool((y.sum(1) == 1).all()):  # several labels a sample
            return []
        counts = y.sum(0).long()
    elif y.ndim == 1 or (y.ndim == 2 and y.shape[1] == 1):
        flat = y.flatten().float()
        if bool((flat != flat.round()).any()):
            return []
        counts = torch.bincount(flat.long().clamp(min=0), minlength=max(outputs, 2))
    else:
        return []
    present = counts[counts > 0]
    if len(counts) > _MOST_CLASSES or len(present) < 2:
        return []
    most, least = int(present.max()), int(present.min())
    if most < _UNBALANCED * least:
        return []
    common, rare = int(counts.argmax()), int((counts == least).nonzero()[0])
    return [Finding("label_imbalance", {"common": common, "most": most, "rare": rare, "least": least})]


def leaked_rows(source: Any, validation: Any) -> list[Finding]:
    """Rows of the validation data that are rows of the training data, too."""
    x, held = getattr(source, "x", None), getattr(validation, "x", None)
    if not (isinstance(x, torch.Tensor) and isinstance(held, torch.Tensor)) or x.shape[1:] != held.shape[1:]:
        return []
    x, held = x[:_MOST_ROWS].flatten(1), held[: _MOST_ROWS // 10].flatten(1)
    # Rows are first compared by a part of them, as one number; only those that agree there are compared whole.
    start = max(0, (x.shape[1] - _HASHED) // 2)
    part = slice(start, start + _HASHED)
    ours, theirs = _fingerprints(x[:, part]), _fingerprints(held[:, part])
    order = ours.argsort()
    ordered = ours[order]
    if int((ordered[1:] != ordered[:-1]).sum()) + 1 < 0.5 * len(ordered):
        return []  # a table of few values, where rows are alike by nature
    place = torch.searchsorted(ordered, theirs).clamp(max=len(ordered) - 1)
    candidates = order[place]
    likely = (ordered[place] == theirs).nonzero().flatten()
    equal = (x[candidates[likely]] == held[likely]).all(1)
    found = likely[equal]
    if len(found) < max(2, _LEAKED * len(held)):
        return []
    first = int(found[0])
    figures = {
        "count": len(found),
        "share": len(found) / len(held),
        "row": first,
        "training_row": int(candidates[first]),
    }
    return [Finding("leaked_rows", figures)]


def _fingerprints(rows: torch.Tensor) -> torch.Tensor:
    """One number a row, the same for the same row: whole numbers, as sums of floats depend on their order."""
    numbers = rows.float().contiguous().view(torch.int32).long()
    odd = torch.arange(1, rows.shape[1] + 1, device=rows.device) * 0x9E3779B97F4A7C1 | 1
    return (numbers * odd).sum(1)

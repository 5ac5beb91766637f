"""`tf.math.segment_*`, `unsorted_segment_*`: rows joined by the numbers of the segments that they belong to."""

from __future__ import annotations

from typing import Any

import torch

from lamella.tensorflow_stand_in.tensors import convert_to_tensor

__all__ = [
    "segment_max",
    "segment_mean",
    "segment_min",
    "segment_prod",
    "segment_sum",
    "unsorted_segment_max",
    "unsorted_segment_mean",
    "unsorted_segment_min",
    "unsorted_segment_prod",
    "unsorted_segment_sum",
]


def _joined(data: Any, segment_ids: Any, num_segments: Any, reduce: str, empty: Any) -> torch.Tensor:
    """(*ids, ...) -> (num_segments, ...); rows of a negative segment are left out, as in TensorFlow."""
    data, places = convert_to_tensor(data), convert_to_tensor(segment_ids).long()
    rows, places = data.reshape(-1, *data.shape[places.ndim :]), places.reshape(-1).to(data.device)
    outside = int(num_segments)
    places = torch.where(places < 0, outside, places).reshape(-1, *[1] * (rows.ndim - 1)).expand_as(rows)
    start = torch.full((outside + 1, *rows.shape[1:]), empty, dtype=data.dtype, device=data.device)
    return start.scatter_reduce(0, places, rows, reduce, include_self=reduce != "mean")[:-1]


def _limits(data: Any) -> Any:
    kind = convert_to_tensor(data).dtype
    return torch.finfo(kind) if kind.is_floating_point else torch.iinfo(kind)


def unsorted_segment_sum(data: Any, segment_ids: Any, num_segments: Any, name: str | None = None) -> torch.Tensor:
    """The sum of the rows of each segment; 0 where there is none."""
    return _joined(data, segment_ids, num_segments, "sum", 0)


def unsorted_segment_mean(data: Any, segment_ids: Any, num_segments: Any, name: str | None = None) -> torch.Tensor:
    """The mean of the rows of each segment; 0 where there is none."""
    return _joined(data, segment_ids, num_segments, "mean", 0)


def unsorted_segment_prod(data: Any, segment_ids: Any, num_segments: Any, name: str | None = None) -> torch.Tensor:
    """The product of the rows of each segment; 1 where there is none."""
    return _joined(data, segment_ids, num_segments, "prod", 1)


def unsorted_segment_max(data: Any, segment_ids: Any, num_segments: Any, name: str | None = None) -> torch.Tensor:
    """The largest of each segment; the lowest number of the type where there is none."""
    return _joined(data, segment_ids, num_segments, "amax", _limits(data).min)


def unsorted_segment_min(data: Any, segment_ids: Any, num_segments: Any, name: str | None = None) -> torch.Tensor:
    """The smallest of each segment; the highest number of the type where there is none."""
    return _joined(data, segment_ids, num_segments, "amin", _limits(data).max)


def segment_sum(data: Any, segment_ids: Any, name: str | None = None) -> torch.Tensor:
    """The sum of each segment, up to the last one."""
    return unsorted_segment_sum(data, segment_ids, _count(segment_ids))


def segment_mean(data: Any, segment_ids: Any, name: str | None = None) -> torch.Tensor:
    """The mean of each segment, up to the last one; 0 where there is none."""
    return unsorted_segment_mean(data, segment_ids, _count(segment_ids))


def segment_prod(data: Any, segment_ids: Any, name: str | None = None) -> torch.Tensor:
    """The product of each segment, up to the last one; 1 where there is none."""
    return unsorted_segment_prod(data, segment_ids, _count(segment_ids))


def segment_max(data: Any, segment_ids: Any, name: str | None = None) -> torch.Tensor:
    """The largest of each segment, up to the last one; 0 where there is none."""
    return _zero_where_empty(unsorted_segment_max(data, segment_ids, _count(segment_ids)), segment_ids)


def segment_min(data: Any, segment_ids: Any, name: str | None = None) -> torch.Tensor:
    """The smallest of each segment, up to the last one; 0 where there is none."""
    return _zero_where_empty(unsorted_segment_min(data, segment_ids, _count(segment_ids)), segment_ids)


def _count(segment_ids: Any) -> int:
    ids = convert_to_tensor(segment_ids)
    return int(ids.max()) + 1 if ids.numel() else 0


def _zero_where_empty(found: torch.Tensor, segment_ids: Any) -> torch.Tensor:
    rows = torch.bincount(convert_to_tensor(segment_ids).long(), minlength=len(found))
    return torch.where((rows == 0).reshape(-1, *[1] * (found.ndim - 1)), torch.zeros_like(found), found)

"""Connectionist temporal classification: the loss, and decoding (Graves et al., 2006)."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F

from lamella.errors import ArgumentError
from lamella.ops.base import op, result_dtype, tensor

_NOTHING = -1


@op
def ctc_loss(target: Any, output: Any, target_length: Any, output_length: Any, mask_index: int = 0) -> torch.Tensor:
    """-log of the probability of the labels, over all alignments with the time steps.

    Args:
        target: Class numbers, (batch, labels).
        output: Logits, (batch, time, classes).
        target_length: How many labels count, (batch,).
        output_length: How many time steps count, (batch,).
        mask_index: The class that stands for no label.

    Returns:
        A loss for each sample.

    Example:
        >>> ctc_loss([[1]], [[[0.0, 0.0]]], [1], [1])
        tensor([0.6931])
    """
    output = tensor(output)
    output = output.to(result_dtype(output, torch.float32)).transpose(0, 1)
    if output.is_meta:
        return output.new_empty(output.shape[1])
    return F.ctc_loss(
        F.log_softmax(output, dim=-1),
        tensor(target),
        tensor(output_length),
        tensor(target_length),
        blank=mask_index,
        reduction="none",
    )


@op
def ctc_decode(
    inputs: Any,
    sequence_lengths: Any,
    strategy: str = "greedy",
    beam_width: int = 100,
    top_paths: int = 1,
    merge_repeated: bool = True,
    mask_index: int = 0,
) -> tuple[torch.Tensor, torch.Tensor]:
    """The likeliest labels for the outputs of a CTC model.

    Args:
        inputs: Logits, (batch, time, classes).
        sequence_lengths: How many time steps count, (batch,).
        strategy: `"greedy"` (the best class of each step) or `"beam_search"` (sums over alignments).
        beam_width: How many labellings the beam search keeps.
        top_paths: How many it returns.
        merge_repeated: Whether greedy decoding merges equal neighbours.
        mask_index: The class that stands for no label.

    Returns:
        Labels, (paths, batch, time), -1 where there are none; and scores, (batch, paths): for greedy decoding
        -sum of the best logits, for a beam search the log-probabilities.

    Raises:
        ArgumentError: An unknown strategy.

    Example:
        >>> logits = torch.tensor([[[0.0, 9.0, 0.0], [0.0, 9.0, 0.0], [9.0, 0.0, 0.0], [0.0, 0.0, 9.0]]])
        >>> ctc_decode(logits, [4])[0]
        tensor([[[ 1,  2, -1, -1]]], dtype=torch.int32)
    """
    inputs = tensor(inputs)
    inputs = inputs.to(result_dtype(inputs, torch.float32))
    lengths = tensor(sequence_lengths).long().to(inputs.device)
    if strategy == "greedy":
        return _greedy(inputs, lengths, merge_repeated, mask_index)
    if strategy == "beam_search":
        return _beam_search(torch.log_softmax(inputs, -1), lengths, beam_width, top_paths, mask_index)
    raise ArgumentError(f"`strategy` must be 'greedy' or 'beam_search'; got {strategy!r}.")


def _greedy(
    inputs: torch.Tensor, lengths: torch.Tensor, merge_repeated: bool, blank: int
) -> tuple[torch.Tensor, torch.Tensor]:
    steps = torch.arange(inputs.shape[1], device=inputs.device)
    scores, labels = inputs.max(-1)
    over = steps >= lengths[:, None]
    labels, scores = torch.where(over, blank, labels), torch.where(over, 0.0, scores)
    keep = labels != blank
    if merge_repeated:
        keep[:, 1:] &= labels[:, 1:] != labels[:, :-1]
    order = torch.argsort(torch.where(keep, steps, len(steps)), dim=-1, stable=True)
    labels = torch.where(keep, labels, _NOTHING).gather(1, order).to(torch.int32)
    return labels[None], -scores.sum(1, keepdim=True)


def _beam_search(
    log_p: torch.Tensor, lengths: torch.Tensor, width: int, top: int, blank: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """All samples at once. A labelling has two scores: its alignments that end in a blank, and in a label."""
    batch, steps, _ = log_p.shape
    empty = log_p.new_full((batch, width), -torch.inf)
    paths = torch.full((batch, width, steps + 1), _NOTHING, dtype=torch.int64, device=log_p.device)
    sizes = torch.zeros((batch, width), dtype=torch.int64, device=log_p.device)
    in_blank, in_label = empty.clone(), empty.clone()
    in_blank[:, 0] = 0.0
    for step in range(steps):
        new = _extended(paths, sizes, in_blank, in_label, log_p[:, step], blank)
        going = (step < lengths)[:, None]
        old = (paths, sizes, in_blank, in_label)
        paths, sizes, in_blank, in_label = (
            torch.where(going.reshape(batch, *(1,) * (one.ndim - 1)), one, other)
            for one, other in zip(new, old, strict=True)
        )
    scores, order = torch.logaddexp(in_blank, in_label).topk(min(top, width), dim=1)
    found = paths.gather(1, order[..., None].expand(-1, -1, steps + 1))[..., :steps]
    return found.transpose(0, 1).to(torch.int32), scores


def _extended(
    paths: torch.Tensor,
    sizes: torch.Tensor,
    in_blank: torch.Tensor,
    in_label: torch.Tensor,
    log_p: torch.Tensor,
    blank: int,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """One time step: each labelling stays or gains one label, equal ones are merged, the best are kept."""
    batch, width, room = paths.shape
    classes = log_p.shape[-1]
    last = paths.gather(2, (sizes - 1).clamp(min=0)[..., None])[..., 0]
    last = torch.where(sizes > 0, last, blank)
    total = torch.logaddexp(in_blank, in_label)
    stay_blank = total + log_p[:, None, blank]
    stay_label = torch.where(sizes > 0, in_label + log_p.gather(1, last), -torch.inf)
    label = torch.arange(classes, device=log_p.device)
    # The same label again is a new one only behind a blank
    gain = torch.where(label == last[..., None], in_blank[..., None], total[..., None]) + log_p[:, None]
    gain = torch.where(label == blank, -torch.inf, gain)
    stay_label = _merged_into(paths, sizes, total > -torch.inf, gain, stay_label)
    both = torch.cat([torch.logaddexp(stay_blank, stay_label), gain.reshape(batch, -1)], 1)
    _, order = both.topk(width, dim=1)
    grown = order >= width
    parent = torch.where(grown, (order - width) // classes, order)
    chosen = torch.where(grown, (order - width) % classes, _NOTHING)
    paths = paths.gather(1, parent[..., None].expand(-1, -1, room))
    sizes = sizes.gather(1, parent)
    place = torch.arange(room, device=log_p.device) == sizes[..., None]
    paths = torch.where(place & grown[..., None], chosen[..., None], paths)
    new_label = torch.where(grown, both.gather(1, order), stay_label.gather(1, parent))
    new_blank = torch.where(grown, -torch.inf, stay_blank.gather(1, parent))
    return paths, sizes + grown, new_blank, new_label


def _merged_into(
    paths: torch.Tensor, sizes: torch.Tensor, alive: torch.Tensor, gain: torch.Tensor, stay_label: torch.Tensor
) -> torch.Tensor:
    """Where a labelling grown by a label is one that is kept already, its score goes there (and out of `gain`)."""
    room = paths.shape[-1]
    cut = torch.arange(room, device=paths.device) == (sizes - 1)[:, :, None]
    parents = torch.where(cut, _NOTHING, paths)  # each kept labelling without its last label
    same = (parents[:, :, None] == paths[:, None]).all(-1) & (sizes[:, :, None] == sizes[:, None] + 1)
    same = same & alive[:, :, None]  # a beam that holds nothing may hold a copy of a labelling: it gets nothing
    last = paths.gather(2, (sizes - 1).clamp(min=0)[..., None])[..., 0].clamp(min=0)
    by_parent = gain.transpose(1, 2).gather(1, last[..., None].expand(-1, -1, paths.shape[1]))
    added = torch.where(same, by_parent, -torch.inf)
    found = torch.logaddexp(stay_label, added.logsumexp(-1))
    index = last[:, None].expand(-1, paths.shape[1], -1)
    hits = torch.zeros_like(gain).scatter_add(2, index, same.transpose(1, 2).to(gain.dtype))
    gain.masked_fill_(hits > 0, -torch.inf)
    return found

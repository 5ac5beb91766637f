"""From the outputs of a CTC network to labels: the best alignment, or the best labelling by a prefix beam search."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from lamella.errors import ArgumentError
from lamella.ops import ctc_decode


def ctc_greedy(logits: torch.Tensor, lengths: Any) -> list[list[int]]:
    """The labels of the likeliest alignment: the best class of each step, repeats merged, blanks left out.

    Args:
        logits: (batch, time, classes); class 0 is the blank.
        lengths: How many time steps of each row count, (batch,).

    Source: Graves et al., 2006.

    Example:
        >>> ctc_greedy(torch.tensor([[[0.0, 2.0], [0.0, 2.0], [2.0, 0.0], [0.0, 2.0]]]), [4])
        [[1, 1]]
    """
    labels, _ = ctc_decode(logits, lengths, strategy="greedy")
    return [_real(row) for row in labels[0].tolist()]


def ctc_beam_search(logits: torch.Tensor, lengths: Any, num_beams: int = 8) -> list[list[tuple[list[int], float]]]:
    """The likeliest labellings, each with the summed probability of all its alignments.

    The search goes through the steps once, for all rows together, and keeps the `num_beams` likeliest beginnings of
    each; a beginning has two probabilities, of the alignments that end in a blank and of those that end in its last
    label.

    Args:
        logits: (batch, time, classes); class 0 is the blank.
        lengths: How many time steps of each row count, (batch,).
        num_beams: How many beginnings are kept.

    Returns:
        For each row up to `num_beams` pairs (labels, log-probability), the likeliest first.

    Raises:
        ArgumentError: `num_beams` below 1.

    Source: Graves, Connectionist temporal classification, 2006; Hannun et al., First-pass large vocabulary continuous
    speech recognition, 2014.

    Example:
        >>> logits = torch.tensor([[[0.6, 0.4], [0.6, 0.4]]]).log()  # blank twice: 0.36; label 1 in some way: 0.64
        >>> ctc_greedy(logits, [2]), ctc_beam_search(logits, [2])[0][0][0]
        ([[]], [1])
    """
    if num_beams < 1:
        raise ArgumentError(f"ctc_beam_search: `num_beams` must be 1 or more; got {num_beams!r}.")
    labels, scores = ctc_decode(logits, lengths, strategy="beam_search", beam_width=num_beams, top_paths=num_beams)
    by_row = labels.transpose(0, 1).tolist()
    return [
        [(_real(one), score) for one, score in zip(row, row_scores, strict=True) if score > -torch.inf]
        for row, row_scores in zip(by_row, scores.tolist(), strict=True)
    ]


def _real(labels: Sequence[int]) -> list[int]:
    return [label for label in labels if label >= 0]


def steps_needed(labels: torch.Tensor) -> torch.Tensor:
    """How many time steps each row of labels needs: one a label, and a blank between equal neighbours.

    Args:
        labels: (batch, most), from 1; zeros after them are padding.

    Example:
        >>> steps_needed(torch.tensor([[2, 1, 1], [3, 0, 0]])).tolist()
        [4, 1]
    """
    repeats = (labels[:, 1:] == labels[:, :-1]) & (labels[:, 1:] != 0)
    return (labels != 0).sum(1) + repeats.sum(1)

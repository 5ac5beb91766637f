"""Spans of tokens that tags such as B-PER, I-PER and O mark, and how many of them are found."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from lamella.errors import ArgumentError
from lamella.metrics import Metric
from lamella.saving import register_keras_serializable

Span = tuple[int, int, str]


def marks_spans(tags: Sequence[str]) -> bool:
    """Whether all tags are `O`, `B-...` or `I-...`, and some are not `O`.

    Example:
        >>> marks_spans(["O", "B-day", "I-day"]), marks_spans(["noun", "verb"])
        (True, False)
    """
    return any(tag != "O" for tag in tags) and all(tag == "O" or tag[:2] in ("B-", "I-") for tag in tags)


def find_spans(tags: Sequence[str]) -> list[Span]:
    """The spans in the tags of one sentence, as (start, end, kind), where `end` is the first token after it.

    As in the evaluation script `conlleval` of CoNLL-2000: a span starts at `B-kind`, and at an `I-kind` that no token
    of that kind precedes.

    Example:
        >>> find_spans(["B-day", "I-day", "O", "I-name", "B-name"])
        [(0, 2, 'day'), (3, 4, 'name'), (4, 5, 'name')]
    """
    spans: list[Span] = []
    start, kind = 0, ""
    for i, tag in enumerate([*tags, "O"]):
        own = "" if tag == "O" else tag[2:]
        if kind and (tag[:2] != "I-" or own != kind):
            spans.append((start, i, kind))
            kind = ""
        if own and not kind:
            start, kind = i, own
    return spans


@register_keras_serializable(package="lamella")
class SpanF1(Metric):
    """Precision, recall and their harmonic mean over whole spans: one is right if its ends and its kind are.

    Args:
        tags: The names of the tags, by number: `O`, `B-kind` and `I-kind`.
        name: A name.
        dtype: The data type of the result.

    Called on targets (batch, length) of tag numbers, scores (batch, length, tags), and weights (batch, length), which
    are 0 where there is only padding. The result is a dict of `"precision"`, `"recall"` and `"span_f1"`.

    Raises:
        ArgumentError: Tags that mark no spans.

    Source: Tjong Kim Sang and Buchholz, Introduction to the CoNLL-2000 shared task: chunking, 2000.

    Example:
        >>> tags = ["O", "B-day", "I-day"]
        >>> scores = torch.nn.functional.one_hot(torch.tensor([[1, 2, 0, 1]]), 3)
        >>> round(float(SpanF1(tags)([[1, 2, 0, 0]], scores)["span_f1"]), 3)
        0.667
    """

    def __init__(self, tags: Sequence[str], name: str = "span_f1", dtype: Any = None) -> None:
        super().__init__(dtype, name)
        if not marks_spans(tags):
            raise ArgumentError(f"SpanF1: tags must be 'O', 'B-...' and 'I-...'; got {list(tags)}.")
        self.tags = list(tags)
        kinds = sorted({tag[2:] for tag in tags if tag != "O"})
        self._kinds = torch.tensor([0 if tag == "O" else 1 + kinds.index(tag[2:]) for tag in tags])
        self._begins = torch.tensor([tag.startswith("B-") for tag in tags])
        self.true_spans = self.add_variable((), name="true_spans")
        self.found_spans = self.add_variable((), name="found_spans")
        self.right_spans = self.add_variable((), name="right_spans")

    @torch.no_grad()
    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        y_true, found = torch.as_tensor(y_true), torch.as_tensor(y_pred).argmax(-1)
        self._follow(found)
        real = None if sample_weight is None else torch.as_tensor(sample_weight) != 0
        starts, ends, kinds = self._spans(y_true.to(torch.int64), real)
        other_starts, other_ends, other_kinds = self._spans(found, real)
        right = starts & other_starts & (ends == other_ends) & (kinds == other_kinds)
        self.true_spans.add_(starts.sum())
        self.found_spans.add_(other_starts.sum())
        self.right_spans.add_(right.sum())

    def _spans(self, tags: torch.Tensor, real: torch.Tensor | None) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """For each token: whether a span starts there, the last token of the span it is in, and its kind."""
        kinds = self._kinds.to(tags.device)[tags]
        if real is not None:
            kinds = kinds * real
        begins = self._begins.to(tags.device)[tags]
        edge = kinds.new_zeros(len(kinds), 1)
        before = torch.cat([edge, kinds[:, :-1]], 1)
        starts = (kinds > 0) & (begins | (before != kinds))
        after, next_starts = torch.cat([kinds[:, 1:], edge], 1), torch.cat([starts[:, 1:], edge.bool()], 1)
        stops = (kinds > 0) & (next_starts | (after != kinds))
        places = torch.arange(kinds.shape[1], device=kinds.device).where(stops, kinds.shape[1])
        return starts, places.flip(1).cummin(1).values.flip(1), kinds

    def result(self) -> dict[str, torch.Tensor]:  # without spans there is nothing to divide by, and 0 is 0
        right = self.right_spans
        return {
            "precision": self._result(right / self.found_spans.clamp(min=1)),
            "recall": self._result(right / self.true_spans.clamp(min=1)),
            "span_f1": self._result(2 * right / (self.found_spans + self.true_spans).clamp(min=1)),
        }

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "tags": self.tags}

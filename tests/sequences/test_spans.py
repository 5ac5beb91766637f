"""Spans of tags: against a definition by the letter, and a batch of random ones."""

import numpy as np
import pytest
import torch

from lamella.errors import ArgumentError
from lamella.sequences.spans import SpanF1, find_spans, marks_spans

TAGS = ["O", "B-day", "I-day", "B-name", "I-name"]


def conlleval_spans(tags):
    """The rules of conlleval, one by one: where a chunk starts and where it ends, from two neighbours."""
    spans, start = [], None
    before, kind_before = "O", ""
    for i, tag in enumerate([*tags, "O"]):
        own, kind = (tag, "") if tag == "O" else tag.split("-")
        ends = (before in "BI" and own in "BO") or (before != "O" and kind_before != kind)
        starts = own == "B" or (before == "O" and own == "I") or (own != "O" and kind_before != kind)
        if ends:
            spans.append((start, i, kind_before))
        if starts:
            start = i
        before, kind_before = own, kind
    return spans


def random_tags(rng, length):
    return [TAGS[i] for i in rng.integers(0, len(TAGS), length)]


def test_spans_are_those_of_conlleval(rng):
    for length in range(12):
        for _ in range(100):
            tags = random_tags(rng, length)
            assert find_spans(tags) == conlleval_spans(tags)


def test_spans_by_hand():
    assert find_spans([]) == []
    assert find_spans(["I-day", "I-day", "I-name", "B-name"]) == [(0, 2, "day"), (2, 3, "name"), (3, 4, "name")]
    assert find_spans(["B-day", "B-day", "I-day"]) == [(0, 1, "day"), (1, 3, "day")]


def test_the_metric_counts_the_spans_of_all_batches(rng):
    metric, right, found, true = SpanF1(TAGS), 0, 0, 0
    for size in (7, 1, 13):
        lengths = rng.integers(1, 20, size)
        longest = lengths.max()
        y_true, y_pred = rng.integers(0, len(TAGS), (2, size, longest))
        same = rng.random((size, longest)) < 0.7
        y_pred = np.where(same, y_true, y_pred)
        weight = np.arange(longest) < lengths[:, None]
        scores = torch.nn.functional.one_hot(torch.from_numpy(y_pred), len(TAGS)) + 0.1 * torch.rand(
            size, longest, len(TAGS)
        )
        metric.update_state(torch.from_numpy(y_true), scores, torch.from_numpy(weight))
        for row in range(size):
            of_row = [set(conlleval_spans([TAGS[i] for i in y[row, : lengths[row]]])) for y in (y_true, y_pred)]
            right += len(of_row[0] & of_row[1])
            true += len(of_row[0])
            found += len(of_row[1])
    assert right > 20
    result = metric.result()
    assert float(result["precision"]) == pytest.approx(right / found)
    assert float(result["recall"]) == pytest.approx(right / true)
    assert float(result["span_f1"]) == pytest.approx(2 * right / (found + true))


def test_without_weights_every_token_counts():
    metric = SpanF1(TAGS)
    scores = torch.nn.functional.one_hot(torch.tensor([[1, 2, 3]]), len(TAGS))
    result = metric(torch.tensor([[1, 2, 4]]), scores)  # B-name and I-name both start the span of the last token
    assert float(result["span_f1"]) == 1.0


def test_without_any_span_all_is_zero():
    metric = SpanF1(TAGS)
    assert {float(value) for value in metric.result().values()} == {0.0}
    metric.update_state(torch.zeros(2, 3, dtype=torch.int64), torch.eye(5)[torch.zeros(2, 3, dtype=torch.int64)])
    assert {float(value) for value in metric.result().values()} == {0.0}


def test_it_comes_back_from_its_config():
    metric = SpanF1.from_config(SpanF1(TAGS, name="f").get_config())
    assert metric.tags == TAGS
    assert metric.name == "f"


@pytest.mark.parametrize("tags", [["noun", "verb"], ["O"], ["O", "B-day", "E-day"]])
def test_tags_without_spans_are_refused(tags):
    assert not marks_spans(tags)
    with pytest.raises(ArgumentError, match="SpanF1"):
        SpanF1(tags)

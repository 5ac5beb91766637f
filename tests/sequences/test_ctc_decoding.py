"""CTC decoding, held against the sum over every path; and edit distances, held against their recursion."""

import itertools
from functools import lru_cache

import numpy as np
import pytest
import torch

from lamella.errors import ArgumentError, DataError
from lamella.sequences import CharacterErrorRate, WordErrorRate, ctc_beam_search, ctc_greedy, edit_distances
from lamella.sequences.ctc_decoding import steps_needed


def collapsed(path):
    return tuple(label for label, _ in itertools.groupby(path) if label)


def all_labellings(log_p):
    """The log-probability of every labelling, by going through all paths."""
    sums = {}
    for path in itertools.product(range(log_p.shape[1]), repeat=len(log_p)):
        p = float(log_p[range(len(log_p)), list(path)].sum().exp())
        sums[collapsed(path)] = sums.get(collapsed(path), 0.0) + p
    return {labels: float(np.log(p)) for labels, p in sums.items()}


@pytest.mark.parametrize("seed", range(6))
def test_a_wide_beam_finds_every_labelling_with_its_probability(seed):
    torch.manual_seed(seed)
    logits = 2 * torch.randn(3, 5, 3, dtype=torch.float64)
    lengths = [5, 3, 4]
    found = ctc_beam_search(logits, lengths, num_beams=64)
    for row, length, beams in zip(logits, lengths, found, strict=True):
        expected = all_labellings(row[:length].log_softmax(-1))
        assert {tuple(labels) for labels, _ in beams} == set(expected)
        for labels, score in beams:
            assert score == pytest.approx(expected[tuple(labels)], abs=1e-5)
        scores = [score for _, score in beams]
        assert scores == sorted(scores, reverse=True)


@pytest.mark.parametrize("seed", range(4))
def test_a_few_beams_find_the_best_labelling(seed):
    torch.manual_seed(seed)
    logits = 3 * torch.randn(4, 6, 4)
    for row, beams in zip(logits, ctc_beam_search(logits, [6] * 4, num_beams=12), strict=True):
        expected = all_labellings(row.log_softmax(-1))
        assert tuple(beams[0][0]) == max(expected, key=expected.get)
        assert len(beams) <= 12


def test_beams_agree_with_the_loss():
    torch.manual_seed(1)
    logits = torch.randn(2, 7, 4)
    for row, beams in zip(logits, ctc_beam_search(logits, [7, 7], num_beams=200), strict=True):
        labels, score = next(pair for pair in beams if pair[0])
        loss = torch.nn.functional.ctc_loss(
            row.log_softmax(-1)[:, None], torch.tensor([labels]), [7], [len(labels)], reduction="none"
        )
        assert score == pytest.approx(-float(loss), abs=1e-3)


def test_greedy_takes_the_best_path_up_to_each_length():
    torch.manual_seed(0)
    logits = torch.randn(50, 9, 4)
    lengths = torch.randint(0, 10, (50,))
    expected = [list(collapsed(row[:n].argmax(-1).tolist())) for row, n in zip(logits, lengths.tolist(), strict=True)]
    assert ctc_greedy(logits, lengths) == expected


def test_steps_that_labels_need_are_the_fewest_whose_loss_is_finite():
    labels = torch.tensor([[1, 1, 1, 0], [1, 2, 1, 2], [3, 0, 0, 0], [0, 0, 0, 0], [2, 2, 3, 3]])
    sizes = (labels != 0).sum(1)
    log_p = torch.randn(8, len(labels), 4).log_softmax(-1)
    for i, needed in enumerate(steps_needed(labels).tolist()):
        for steps in range(1, 8):
            loss = torch.nn.functional.ctc_loss(
                log_p[:, i : i + 1], labels[i : i + 1], [steps], [int(sizes[i])], reduction="none"
            )
            assert bool(loss.isfinite()) == (steps >= needed)


def test_no_beams_is_an_error():
    with pytest.raises(ArgumentError, match="num_beams"):
        ctc_beam_search(torch.zeros(1, 2, 3), [2], num_beams=0)


def naive_distance(a, b):
    @lru_cache(None)
    def d(i, j):
        if not i or not j:
            return i + j
        return min(d(i - 1, j) + 1, d(i, j - 1) + 1, d(i - 1, j - 1) + (a[i - 1] != b[j - 1]))

    return d(len(a), len(b))


def test_edit_distances_are_those_of_the_recursion():
    random = np.random.default_rng(0)
    pairs = [["".join(random.choice(list("abc"), random.integers(0, 12))) for _ in range(2)] for _ in range(300)]
    a, b = zip(*pairs, strict=True)
    assert edit_distances(a, b).tolist() == [naive_distance(x, y) for x, y in pairs]


def test_edit_distances_of_words_and_of_nothing():
    assert edit_distances([["to", "be"], []], [["to", "bee", "or"], []]).tolist() == [2, 0]
    assert edit_distances([], []).tolist() == []
    assert edit_distances([""], [""]).tolist() == [0]
    with pytest.raises(DataError, match="2 references, but 1"):
        edit_distances(["a", "b"], ["a"])


def test_error_rates_weigh_texts_by_their_lengths_and_start_afresh():
    said, found = ["one two", "three", ""], ["one too", "tree", "a"]
    characters, words = CharacterErrorRate(), WordErrorRate()
    for metric in (characters, words):
        metric.update_state(said[:2], found[:2])
        metric.update_state(said[2:], found[2:])
    assert float(characters.result()) == pytest.approx(3 / 12)
    assert float(words.result()) == pytest.approx(3 / 3)
    characters.reset_state()
    assert float(characters.result()) == 0.0
    again = CharacterErrorRate.from_config(characters.get_config())
    again.update_state(["ab"], ["b"])
    assert float(again.result()) == 0.5

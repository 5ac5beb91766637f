"""Perplexity against its definition, BLEU against sacrebleu itself."""

import math

import numpy as np
import pytest
import torch

from lamella.errors import ArgumentError, DataError, ShapeError
from lamella.language import Bleu, Perplexity
from lamella.saving import deserialize_keras_object, serialize_keras_object


def drawn(seed, batch=3, length=5, vocabulary=7):
    generator = torch.Generator().manual_seed(seed)
    tokens = torch.randint(vocabulary, (batch, length), generator=generator)
    return tokens, torch.randn(batch, length, vocabulary, generator=generator)


def by_definition(batches):
    """exp of the mean of -log p over all (token, logits, weight), one at a time."""
    nats = total = 0.0
    for tokens, logits, weight in batches:
        for place in np.ndindex(*tokens.shape):
            scores = logits[place].double()
            p = float(scores.exp()[tokens[place]] / scores.exp().sum())
            nats -= math.log(p) * float(weight[place])
            total += float(weight[place])
    return math.exp(nats / total)


@pytest.mark.parametrize("from_logits", [True, False])
def test_perplexity_is_the_mean_over_all_tokens_that_count(from_logits):
    metric = Perplexity(from_logits=from_logits, mask_token_id=0)
    batches = [drawn(0), drawn(1, batch=2, length=9)]
    expected = []
    for i, (tokens, logits) in enumerate(batches):
        weight = torch.rand(tokens.shape) if i else None
        metric.update_state(tokens, logits if from_logits else logits.softmax(-1), weight)
        expected.append((tokens, logits, (tokens != 0) * (1.0 if weight is None else weight)))
    assert float(metric.result()) == pytest.approx(by_definition(expected), rel=1e-5)
    metric.reset_state()
    assert float(metric.result()) == 1.0


def test_what_does_not_count_cannot_spoil_the_rest():
    tokens, logits = drawn(2)
    expected = by_definition([(tokens[:, :3], logits[:, :3], torch.ones(3, 3))])
    mask = torch.arange(5) < 3
    logits[:, 3:] = float("nan")
    metric = Perplexity(from_logits=True)
    metric.update_state(tokens, logits, mask.expand(3, 5))
    assert float(metric.result()) == pytest.approx(expected, rel=1e-5)
    padded = Perplexity(from_logits=True, mask_token_id=-100)
    padded.update_state(torch.where(mask, tokens, -100), logits)
    assert float(padded.result()) == pytest.approx(expected, rel=1e-5)


def test_a_weight_a_text_counts_for_each_of_its_tokens():
    tokens, logits = drawn(3)
    weight = torch.tensor([1.0, 0.0, 2.0])
    metric = Perplexity(from_logits=True)
    metric.update_state(tokens, logits, weight)
    expected = by_definition([(tokens, logits, weight[:, None].expand(3, 5))])
    assert float(metric.result()) == pytest.approx(expected, rel=1e-5)


def test_shapes_that_do_not_fit_are_refused():
    tokens, logits = drawn(4)
    with pytest.raises(ShapeError, match=r"\(3, 4\) and \(3, 5, 7\)"):
        Perplexity().update_state(tokens[:, :4], logits)
    with pytest.raises(ShapeError, match="sample_weight"):
        Perplexity().update_state(tokens, logits, torch.ones(3, 4))


TRANSLATIONS = ["Ein Mann läuft, schnell.", "Zwei Hunde spielen im Schnee .", "Eine Frau", "nichts davon stimmt"]
REFERENCES = [
    "Ein Mann läuft schnell.",
    "Zwei Hunde spielen im tiefen Schnee.",
    "Eine Frau liest.",
    "Das Kind schläft.",
]
SECOND = ["Ein Mann rennt, schnell.", "Hunde im Schnee.", "Eine Frau.", "Es schläft."]


@pytest.mark.parametrize("options", [{}, {"lowercase": True}, {"tokenize": "char"}])
@pytest.mark.parametrize("several", [False, True])
def test_bleu_is_sacrebleus_of_all_batches_together(options, several):
    sacrebleu = pytest.importorskip("sacrebleu")
    metric = Bleu(**options)
    references = [list(pair) for pair in zip(REFERENCES, SECOND, strict=True)] if several else REFERENCES
    metric.update_state(references[:1], TRANSLATIONS[:1])
    metric.update_state(references[1:], TRANSLATIONS[1:])
    reference = sacrebleu.metrics.BLEU(**options)
    expected = reference.corpus_score(TRANSLATIONS, [REFERENCES, SECOND] if several else [REFERENCES])
    assert metric.result() == expected.score
    assert 10 < metric.result() < 90
    assert metric.signature == str(reference.get_signature())
    metric.reset_state()
    assert metric.result() == 0.0
    assert metric.num_texts == 0


def test_bleu_of_a_perfect_translation_is_100_and_of_nothing_right_0():
    pytest.importorskip("sacrebleu")
    assert Bleu()(REFERENCES, REFERENCES) == pytest.approx(100)
    assert Bleu()(["a b c d e"], [""]) == 0


@pytest.mark.parametrize("metric", [Perplexity(True, 3, name="p"), Bleu("intl", True, name="b")])
def test_configs_round_trip(metric):
    again = deserialize_keras_object(serialize_keras_object(metric))
    assert type(again) is type(metric)
    assert again.get_config() == metric.get_config()


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ((["a"], ["a", "b"]), DataError, "2 translations"),
        (("a", ["a"]), DataError, "1 translations"),
        ((["a"], "a"), DataError, "list of strings"),
        (([3], [4]), DataError, "`y_pred`"),
        (([["a", 3]], ["a"]), DataError, r"y_true\[0\]"),
        ((["a"], ["a"], [1.0]), ArgumentError, "weights"),
    ],
)
def test_what_bleu_cannot_take_is_refused(arguments, error, message):
    with pytest.raises(error, match=message):
        Bleu().update_state(*arguments)

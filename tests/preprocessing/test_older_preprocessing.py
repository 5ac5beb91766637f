"""Words as numbers, pairs of words and windows of series, as Keras's older modules give them."""

import json
import random

import numpy as np
import pytest

import lamella
from lamella import layers
from lamella.errors import ArgumentError, FileError, ShapeError
from lamella.preprocessing import sequence, text

theirs = pytest.importorskip("keras.src.legacy.preprocessing.text")
their_sequence = pytest.importorskip("keras.src.legacy.preprocessing.sequence")

TEXTS = ["The cat sat, on the mat.", "A dog! Sat on\tthe cat...", "the the THE dog", "", "中文 分词 中文"]
OTHERS = ["the dog and the bird", "unknown words only", "", "中文 cat"]
TOKENIZERS = {
    "usual": {},
    "few words": {"num_words": 4},
    "unknown": {"oov_token": "<oov>"},
    "few and unknown": {"num_words": 4, "oov_token": "<oov>"},
    "capitals": {"lower": False},
    "characters": {"char_level": True},
    "characters and unknown": {"char_level": True, "oov_token": "?", "num_words": 9},
    "filters": {"filters": "aeiou", "split": "t"},
    "analyzer": {"analyzer": lambda text: text.split("t")},
    "a known word for the unknown": {"oov_token": "cat"},
}


@pytest.fixture(params=TOKENIZERS)
def pair(request):
    both = [module.Tokenizer(**TOKENIZERS[request.param]) for module in (text, theirs)]
    for each in both:
        each.fit_on_texts(TEXTS)
        each.fit_on_texts(iter(["one more cat"]))
    return both


def test_counts_and_numbers(pair):
    ours, real = pair
    for name in ("word_counts", "word_docs", "word_index", "index_word", "index_docs"):
        assert dict(getattr(ours, name)) == dict(getattr(real, name)), name
    assert ours.document_count == real.document_count == 6


def test_texts_to_sequences_and_back(pair):
    ours, real = pair
    found = ours.texts_to_sequences(TEXTS + OTHERS)
    assert found == real.texts_to_sequences(TEXTS + OTHERS)
    numbers = [*found, [1, 2, 99, 3]]
    assert ours.sequences_to_texts(numbers) == real.sequences_to_texts(numbers)


@pytest.mark.parametrize("mode", ["binary", "count", "freq", "tfidf"])
def test_matrices(pair, mode):
    ours, real = pair
    np.testing.assert_allclose(ours.texts_to_matrix(OTHERS + TEXTS, mode), real.texts_to_matrix(OTHERS + TEXTS, mode))


def test_json_both_ways(pair):
    ours, real = pair
    if ours.analyzer is not None:
        return
    configs = [json.loads(each.to_json())["config"] for each in (ours, real)]
    for name in ("word_counts", "word_docs", "index_docs", "index_word", "word_index"):
        assert json.loads(configs[0].pop(name)) == json.loads(configs[1].pop(name))
    assert configs[0] == configs[1]
    for made in (text.tokenizer_from_json(real.to_json()), theirs.tokenizer_from_json(ours.to_json())):
        assert made.texts_to_sequences(OTHERS) == real.texts_to_sequences(OTHERS)
        np.testing.assert_allclose(made.texts_to_matrix(OTHERS, "tfidf"), real.texts_to_matrix(OTHERS, "tfidf"))


def test_lists_of_words_and_of_numbers():
    both = [module.Tokenizer(num_words=10) for module in (text, theirs)]
    for each in both:
        each.fit_on_texts([["A", "b"], ["b", "c d"]])
    assert both[0].texts_to_sequences([["a", "c d"]]) == both[1].texts_to_sequences([["a", "c d"]]) == [[2, 3]]
    for each in both:
        each.fit_on_sequences([[1, 2], [2, 5]])
    np.testing.assert_allclose(*(each.sequences_to_matrix([[1, 2, 2]], "tfidf") for each in both))


@pytest.mark.parametrize("arguments", [{}, {"lower": False}, {"filters": "ab"}, {"split": ","}], ids=str)
def test_words_of_a_text(arguments):
    for each in (*TEXTS, "a,b,,C d"):
        assert text.text_to_word_sequence(each, **arguments) == theirs.text_to_word_sequence(each, **arguments)


@pytest.mark.parametrize("function", ["md5", None, len])
def test_hashed_words(function):
    for each in TEXTS:
        assert text.hashing_trick(each, 20, function) == theirs.hashing_trick(each, 20, function)
    assert text.one_hot(TEXTS[0], 9) == theirs.one_hot(TEXTS[0], 9)


@pytest.mark.parametrize(
    ("act", "error", "message"),
    [
        (lambda: text.Tokenizer(numwords=3), ArgumentError, "no argument 'numwords'"),
        (
            lambda: text.Tokenizer(5).texts_to_matrix(["a"], "sum"),
            ArgumentError,
            "tfidf; got 'sum'",
        ),
        (lambda: text.Tokenizer().texts_to_matrix(["a"]), ArgumentError, "seen no texts"),
        (lambda: text.Tokenizer(5).texts_to_matrix(["a"], "tfidf"), ArgumentError, "needs the counts"),
        (lambda: text.tokenizer_from_json("{}"), FileError, "no tokenizer"),
        (lambda: text.tokenizer_from_json("hello"), FileError, "no tokenizer"),
    ],
)
def test_what_cannot_be_is_refused(act, error, message):
    with pytest.raises(error, match=message):
        act()


# Pairs of words


@pytest.mark.parametrize("size", [1, 2, 1000])
def test_sampling_tables(size):
    np.testing.assert_allclose(sequence.make_sampling_table(size), their_sequence.make_sampling_table(size))
    np.testing.assert_allclose(sequence.make_sampling_table(size, 1e-3), their_sequence.make_sampling_table(size, 1e-3))


@pytest.mark.parametrize(
    "arguments",
    [
        {"shuffle": False},  # without a seed the real one draws one from a range of floats, which Python refuses
        {"window_size": 1, "negative_samples": 0, "shuffle": False},
        {"negative_samples": 2.5, "categorical": True, "seed": 1},
        {"seed": 4},
        {"sampling_table": np.linspace(0.1, 1, 30), "seed": 2},
    ],
    ids=lambda arguments: " ".join(arguments),
)
def test_skipgrams(arguments):
    words = np.random.default_rng(0).integers(0, 30, 40).tolist()
    found = []
    for module in (sequence, their_sequence):
        random.seed(3)
        found.append(module.skipgrams(words, 30, **arguments))
    assert found[0][0] == found[1][0] and found[0][1] == found[1][1]


def test_skipgrams_come_in_another_order_each_time():
    (first, labels), (second, _) = (sequence.skipgrams(range(1, 20), 20, negative_samples=0) for _ in range(2))
    assert first != second and sorted(first) == sorted(second) and set(labels) == {1}


# Windows


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"sampling_rate": 2},
        {"stride": 3, "batch_size": 4},
        {"start_index": 4, "end_index": 20, "batch_size": 5},
        {"reverse": True, "batch_size": 7},
        {"shuffle": True, "batch_size": 6},
    ],
    ids=str,
)
def test_windows_of_a_series(arguments):
    series, goals = np.arange(60).reshape(30, 2), np.arange(30) * 10
    ours, real = (m.TimeseriesGenerator(series, goals, 5, **arguments) for m in (sequence, their_sequence))
    assert len(ours) == len(real)
    for index in range(len(ours)):
        batches = []
        for each in (ours, real):
            np.random.seed(index)
            batches.append(each[index])
        for a, b in zip(*batches, strict=True):
            np.testing.assert_array_equal(a, b)
    assert json.loads(ours.to_json())["config"]["length"] == 5


def test_a_model_learns_from_windows():
    series = np.sin(np.arange(200) / 5).astype("float32")[:, None]
    windows = sequence.TimeseriesGenerator(series, series[:, 0], 10, batch_size=32)
    model = lamella.Sequential([lamella.Input((10, 1)), layers.Flatten(), layers.Dense(1)])
    model.compile(lamella.optimizers.Adam(0.05), "mse")
    assert model.fit(windows, epochs=20, verbose=0).history["loss"][-1] < 0.02


def test_no_window_is_refused():
    with pytest.raises(ArgumentError, match="No window of 9 times"):
        sequence.TimeseriesGenerator(np.ones(5), np.ones(5), 9)
    with pytest.raises(ShapeError, match="5 times and 4 targets"):
        sequence.TimeseriesGenerator(np.ones(5), np.ones(4), 2)


def test_short_names_of_losses_and_metrics():
    assert lamella.losses.mse is lamella.losses.MSE is lamella.metrics.mse is lamella.losses.mean_squared_error
    assert lamella.losses.kld is lamella.metrics.kullback_leibler_divergence
    loss = lamella.losses.MeanSquaredError(reduction=lamella.losses.Reduction.SUM)
    assert float(loss(np.zeros((2, 1)), np.ones((2, 1)))) == 2

"""`SequenceTagger`: what it computes, what it learns, files, and what it refuses."""

import fresh
import numpy as np
import pytest
import torch

import lamella
from lamella.errors import ArgumentError, DataError
from lamella.sequences.tagger import ARCHITECTURES, SequenceTagger, TaggedSentences

WORDS = [f"w{i}" for i in range(20)]
TAGS = ["O", "B-x", "I-x"]


def sentences(rng, count=40, longest=9):
    """Spans begin at words that end in 1 and go on while words end in 2, whatever the word: tags need the left side."""
    xs, ys = [], []
    for length in rng.integers(1, longest + 1, count):
        words = [WORDS[i] for i in rng.integers(0, len(WORDS), length)]
        tags, inside = [], False
        for word in words:
            begins = word.endswith("1")
            inside = begins or (inside and word[-1] in "246")
            tags.append("B-x" if begins else "I-x" if inside else "O")
        xs.append(words)
        ys.append(tags)
    return xs, ys


def made(**options):
    lamella.utils.set_random_seed(0)
    return SequenceTagger(TAGS, WORDS, **{"units": 16, "embedding_size": 16, "num_heads": 2, **options})


KINDS = [
    {"architecture": architecture, "bidirectional": bidirectional, "characters": bidirectional}
    for architecture in ARCHITECTURES
    for bidirectional in (True, False)
]


@pytest.mark.parametrize("options", KINDS, ids=str)
def test_padding_changes_nothing(rng, options):
    tagger = made(num_layers=2, **options)
    xs, ys = sentences(rng)
    data = TaggedSentences(tagger, xs, ys, batch_size=len(xs), shuffle=False)
    inputs, targets, weights = data[0]
    assert weights.sum() == sum(map(len, xs)) < weights.numel()
    together = tagger(inputs)
    for row, place in enumerate(data.order.tolist()):
        (alone, own, _), length = TaggedSentences(tagger, [xs[place]], [ys[place]])[0], len(xs[place])
        torch.testing.assert_close(together[row, :length], tagger(alone)[0], atol=1e-5, rtol=1e-4)
        assert targets[row, :length].tolist() == own[0].tolist() == [TAGS.index(tag) for tag in ys[place]]


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_one_way_sees_only_what_came_before(architecture):
    for bidirectional in (True, False):
        tagger = made(architecture=architecture, bidirectional=bidirectional)
        x = torch.randint(2, 20, (1, 6))
        other = x.clone()
        other[0, 4] = 21 - x[0, 4]
        changed = (tagger({"words": x}) - tagger({"words": other})).abs().amax(-1)[0] > 1e-7
        assert changed.tolist() == ([True] * 6 if bidirectional else [False] * 4 + [True] * 2)


def test_loss_and_accuracy_are_of_real_tokens(rng):
    tagger = made(dropout=0.0)
    tagger.compile("sgd")
    xs, ys = sentences(rng)
    found = tagger.evaluate(xs, ys, batch_size=len(xs), return_dict=True, verbose=0)
    losses, right = [], []
    for x, y in zip(xs, ys, strict=True):
        scores = tagger(TaggedSentences(tagger, [x])[0])[0]
        target = torch.tensor([TAGS.index(tag) for tag in y])
        losses += torch.nn.functional.cross_entropy(scores, target, reduction="none").tolist()
        right += (scores.argmax(-1) == target).tolist()
    assert found["loss"] == pytest.approx(np.mean(losses), rel=1e-4)
    assert found["accuracy"] == pytest.approx(np.mean(right), rel=1e-5)
    assert set(found) == {"loss", "accuracy", "precision", "recall", "span_f1"}
    predicted = tagger.predict(xs)
    assert np.mean([a == b for p, y in zip(predicted, ys, strict=True) for a, b in zip(p, y, strict=True)]) == (
        pytest.approx(found["accuracy"], rel=1e-5)
    )


@pytest.mark.parametrize(
    ("architecture", "rate", "epochs"), [("lstm", 1e-2, 5), ("gru", 1e-2, 5), ("transformer", 3e-3, 24)]
)
def test_learns_tags_that_depend_on_other_tokens(rng, architecture, rate, epochs):
    tagger = made(architecture=architecture, units=32, num_layers=2, dropout=0.0, unknown_rate=0.0)
    tagger.compile(lamella.optimizers.Adam(rate))
    xs, ys = sentences(rng, 400)
    tests = sentences(rng, 50)
    history = tagger.fit(xs, ys, epochs=epochs, verbose=0, validation_data=tests).history
    assert history["val_span_f1"][-1] > 0.88  # what a word tells without those before it gives less than 0.8
    assert history["span_f1"][0] < history["span_f1"][-1]


def test_spelling_tells_the_tags_of_unknown_words():
    rng = np.random.default_rng(0)

    def words(count):
        stems = ["".join(rng.choice(list("abcdefgh"), rng.integers(2, 8))) for _ in range(count)]
        ends = rng.integers(0, 2, count)
        return [[stem + ("ing" if end else "ed")] for stem, end in zip(stems, ends, strict=True)], [
            ["now" if end else "past"] for end in ends
        ]

    tests = words(100)
    scores = {}
    for characters in (False, True):
        lamella.utils.set_random_seed(0)
        tagger = SequenceTagger.from_data(*words(300), characters=characters, units=8, embedding_size=8)
        tagger.compile(lamella.optimizers.Adam(1e-2))
        tagger.fit(*words(300), epochs=4, verbose=0)
        scores[characters] = tagger.evaluate(*tests, verbose=0, return_dict=True)["accuracy"]
    assert scores[True] > 0.95 > 0.8 > scores[False]


def test_long_words_are_known_by_both_ends():
    tagger = SequenceTagger(["a", "b"], ["abcdefghijklmnopqrstuvwxyz"], characters=True, units=4)
    x = TaggedSentences(tagger, [["a" * 40 + "z", "z" + "a" * 60, "?"]])[0]["characters"][0].tolist()
    a, z = tagger._character_numbers["a"], tagger._character_numbers["z"]
    assert x[0] == [a] * 23 + [z]
    assert x[1] == [z] + [a] * 23
    assert x[2] == [1] + [0] * 23


def test_only_training_takes_words_for_unknown():
    tagger = made(unknown_rate=0.5, dropout=0.0)
    x = {"words": torch.full((4, 50), 3)}
    assert tagger(x, training=False).flatten(0, 1).unique(dim=0).shape[0] < 200
    torch.testing.assert_close(tagger(x, training=False), tagger(x, training=False))
    assert not torch.equal(tagger(x, training=True), tagger(x, training=True))


def test_predictions_come_in_the_order_of_the_sentences(rng):
    tagger = made()
    xs, _ = sentences(rng, 30)
    xs.insert(3, [])
    together = tagger.predict(xs, batch_size=7)
    assert together == [tagger.predict([x])[0] for x in xs]
    assert together[3] == []
    assert tagger.predict([]) == []
    assert [len(each) for each in together] == [len(x) for x in xs]


def test_a_saved_tagger_works_in_a_new_process(tmp_path):
    tagger = SequenceTagger(TAGS, ["zwölf", "Mai"], characters=True, units=8, num_layers=2, name="dates")
    tagger.compile("adam")
    tagger.fit([["zwölf", "Mai"]], [["B-x", "I-x"]], epochs=2, verbose=0)
    tagger.save(tmp_path / "tagger.keras")
    code = (
        "import lamella\n"
        f"tagger = lamella.models.load_model({str(tmp_path / 'tagger.keras')!r})\n"
        "print(tagger.predict([['zwölf', 'Mai', 'Juni']]), tagger.name, type(tagger).__name__)\n"
        "print(tagger.evaluate([['zwölf', 'Mai']], [['B-x', 'I-x']], verbose=0, return_dict=True)['loss'])"
    )
    ran = fresh.run(["-c", code])
    assert ran.returncode == 0, ran.stderr
    first, second = ran.stdout.splitlines()
    assert first == f"{tagger.predict([['zwölf', 'Mai', 'Juni']])} dates SequenceTagger"
    loss = tagger.evaluate([["zwölf", "Mai"]], [["B-x", "I-x"]], verbose=0, return_dict=True)["loss"]
    assert float(second) == pytest.approx(loss, rel=1e-5)


def test_from_data_keeps_what_is_frequent():
    tagger = SequenceTagger.from_data(
        [["to", "be"], ["to", "go"]], [["p", "v"], ["p", "v"]], min_count=2, units=4, architecture="gru"
    )
    assert tagger.vocabulary == ["to"]
    assert tagger.tags == ["p", "v"]
    tagger.compile()
    assert "span_f1" not in tagger.evaluate([["to"]], [["p"]], return_dict=True, verbose=0)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"tags": ["a", "a"]}, "`tags` must be a list of different names"),
        ({"tags": ["a"]}, "two or more"),
        ({"vocabulary": "abc"}, "`vocabulary`"),
        ({"architecture": "rnn"}, "'rnn'"),
        ({"units": 0}, "`units`"),
        ({"num_layers": True}, "`num_layers`"),
        ({"dropout": 1.0}, "`dropout`"),
        ({"architecture": "transformer", "units": 10, "num_heads": 4}, "heads"),
    ],
)
def test_arguments_that_cannot_be(options, words):
    with pytest.raises(ArgumentError, match=words):
        SequenceTagger(**{"tags": ["a", "b"], "vocabulary": ["x"], **options})


@pytest.mark.parametrize(
    ("x", "y", "words"),
    [
        (["one two"], [["O", "O"]], "list of lists of strings.*number 0"),
        ("one", [["O"]], "got str"),
        ([["a", "b"], ["c"]], [["O", "O"]], "2 sentences, but 1"),
        ([["a"], ["a", "b"]], [["O"], ["O"]], "sentence 1 has 2 tokens, but 1"),
        ([["a"], ["b"]], [["O"], ["B-y"]], "sentence 1 has the tag 'B-y'; known: B-x"),
        ([["a"], []], [["O"], []], "1"),
        ([["a"]], None, "tags"),
    ],
)
def test_data_that_do_not_fit(x, y, words):
    tagger = made()
    tagger.compile()
    with pytest.raises(DataError, match=words):
        tagger.fit(x, y, verbose=0)

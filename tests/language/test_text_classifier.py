"""`TextClassifier` and its encoders: padding, learning, files, and what it refuses."""

import fresh
import numpy as np
import pytest
import torch

import lamella
from lamella.errors import ArgumentError, DataError, ShapeError
from lamella.language import TextClassifier, Tokenizer
from lamella.language.text_encoders import ConvolutionalEncoder, NgramEncoder, RecurrentEncoder, TransformerEncoder

ARCHITECTURES = ["dnn", "cnn", "lstm", "gru", "transformer"]
WORDS = "river stone cloud lamp table window paper garden bottle street".split()


def some_texts(count, seed=0):
    """Texts of 1 to 9 words; those with "good" before a word or "bad" after one are of their classes."""
    random = np.random.default_rng(seed)
    labels = [["sad", "happy"][i % 2] for i in range(count)]
    texts = []
    for label in labels:
        words = random.choice(WORDS, random.integers(1, 9)).tolist()
        words.insert(random.integers(len(words) + 1), {"happy": "good", "sad": "bad"}[label])
        texts.append(" ".join(words))
    return texts, labels


def made(architecture="cnn", **options):
    lamella.utils.set_random_seed(0)
    model = TextClassifier(["sad", "happy"], Tokenizer.train(some_texts(50)[0], "word"), architecture, **options)
    model.compile(lamella.optimizers.AdamW(0.02))
    return model


def small(architecture, rows):
    """An encoder of the kind that trains in a moment."""
    return {
        "dnn": lambda: NgramEncoder(rows, width=8, units=[8], buckets=64, dropout=0.2),
        "cnn": lambda: ConvolutionalEncoder(rows, width=8, filters=8, dropout=0.2),
        "lstm": lambda: RecurrentEncoder(rows, width=8, units=8, dropout=0.2),
        "gru": lambda: RecurrentEncoder(rows, width=8, units=8, cell="gru", dropout=0.2),
        "transformer": lambda: TransformerEncoder(rows, max_length=32, width=8, num_heads=2, dropout=0.1),
    }[architecture]()


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_padding_changes_nothing(architecture):
    model = made(architecture, max_length=32)
    model.predict(["good river"])
    tokens = torch.tensor(model.tokenizer.encode("bad lamp river stone table good cloud"))
    plain = model(tokens[None])
    batch = torch.zeros(3, 20, dtype=torch.int64)
    batch[0, :7], batch[1], batch[2, 0] = tokens, tokens.repeat(3)[:20], tokens[0]
    assert torch.allclose(model(batch)[:1], plain, atol=1e-6)
    assert torch.allclose(model(batch[2:]), model(tokens[None, :1]), atol=1e-6)
    assert torch.allclose(plain.sum(-1), torch.ones(1))
    shifted = tokens.flip(0)
    if architecture != "dnn":  # which knows neighbours only as they follow each other
        assert not torch.allclose(model(shifted[None]), plain, atol=1e-5)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_every_architecture_learns_and_keeps_the_order_of_the_texts(architecture):
    texts, labels = some_texts(120)
    model = made()
    model = made(small(architecture, TextClassifier.rows(model.tokenizer)))
    history = model.fit(texts, labels, batch_size=12, epochs=10, verbose=0, validation_split=0.2)
    assert history.history["val_accuracy"][-1] > 0.9
    unseen, expected = some_texts(60, seed=1)
    assert np.mean([a == b for a, b in zip(model.predict_classes(unseen), expected, strict=True)]) > 0.9
    loss, accuracy = model.evaluate(unseen, expected, verbose=0)
    found = model.predict(unseen, batch_size=7)
    right = np.array([model.class_names.index(label) for label in expected])
    assert accuracy == pytest.approx((found.argmax(-1) == right).mean())
    assert loss == pytest.approx(-np.log(found[np.arange(60), right]).mean(), rel=1e-4)
    one_by_one = np.concatenate([model.predict([text]) for text in unseen[:5]])
    np.testing.assert_allclose(found[:5], one_by_one, atol=1e-5)


@pytest.mark.parametrize("architecture", [*ARCHITECTURES, "own"])
def test_a_saved_classifier_reads_strings_in_a_fresh_process(architecture, tmp_path):
    texts, labels = some_texts(20)
    model = made()
    rows = TextClassifier.rows(model.tokenizer)
    model = made(RecurrentEncoder(rows, 4, 3, "gru") if architecture == "own" else architecture)
    model.fit(texts, labels, verbose=0)
    model.save(tmp_path / "model.keras")
    again = lamella.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(again.predict(texts), model.predict(texts))
    assert again.predict_classes(texts) == model.predict_classes(texts)
    again.fit(texts, labels, verbose=0)
    if architecture == "own":
        script = (
            "import sys, lamella; model = lamella.models.load_model(sys.argv[1]);"
            "print(type(model).__name__, *model.predict(['a good lamp', ''])[:, 1])"
        )
        found = fresh.check(["-c", script, tmp_path / "model.keras"]).split()
        assert found[0] == "TextClassifier"
        np.testing.assert_allclose([float(p) for p in found[1:]], model.predict(["a good lamp", ""])[:, 1], atol=1e-6)


def test_labels_may_be_names_or_numbers_and_class_weights_too():
    texts, labels = some_texts(40)
    numbers = np.array([["sad", "happy"].index(label) for label in labels])
    found = []
    for y, weights in ((labels, {"happy": 3.0}), (numbers, {1: 3.0}), (torch.tensor(numbers), {"happy": 3.0})):
        model = made(small("cnn", 20))
        model.fit(np.array(texts), y, epochs=2, verbose=0, class_weight=weights, validation_data=(texts, labels))
        found.append(model.predict(texts))
    np.testing.assert_array_equal(found[0], found[1])
    np.testing.assert_array_equal(found[0], found[2])
    model = made(small("cnn", 20))
    model.fit(texts, labels, epochs=2, verbose=0)
    assert found[0][:, 1].mean() > model.predict(texts)[:, 1].mean()


def test_tokens_are_taken_too():
    texts, labels = some_texts(40)
    model = made(small("cnn", 20))
    tokens, _ = model.tokenizer.encode_batch(texts)
    model.fit(tokens, model.class_numbers(labels), verbose=0)
    np.testing.assert_allclose(model.predict(tokens), model.predict(texts), atol=1e-6)


def test_empty_unknown_and_long_texts():
    model = made(small("lstm", 20), max_length=4)
    found = model.predict(["", "zebra", "zebra zebra"])
    np.testing.assert_allclose(found[0], found[1], atol=1e-6)  # an empty text is one unknown token
    assert np.isfinite(found).all()
    with pytest.warns(UserWarning, match="1 of 2 texts are longer than the 4 tokens"):
        long = model.predict(["lamp river stone table good", "good"])
    np.testing.assert_allclose(long[:1], model.predict(["lamp river stone table"]), atol=1e-6)
    assert model.tokenizer.num_truncated == 1


def test_a_vocabulary_without_padding_gets_a_row_for_it():
    word = Tokenizer.train(some_texts(50)[0], "word")
    tokenizer = Tokenizer(word.get_config()["vocabulary"], {"unknown": "[UNK]"})
    lamella.utils.set_random_seed(0)
    model = TextClassifier(2, tokenizer, "cnn")
    assert model.class_names == ["class_0", "class_1"]
    both = model.predict(["good", "bad lamp river stone table"], batch_size=2)
    np.testing.assert_allclose(both[:1], model.predict(["good"]), atol=1e-6)
    assert model.encoder.embedding.embeddings.shape[0] == word.vocabulary_size + 1


def test_ngrams_are_neighbours_in_order():
    encoder = NgramEncoder(50, width=4, units=[], ngrams=3, buckets=1 << 20, dropout=0.0)
    tokens = torch.tensor([[7, 8, 9]])
    found = encoder(tokens)
    table = encoder.embedding.embeddings
    seen = [7, 8, 9]
    for gram in ([7, 8], [8, 9], [7, 8, 9]):
        row = encoder._hashed(torch.tensor([gram]), len(gram))
        assert row.shape == (1, 1)
        seen.append(int(row))
    assert len(set(seen)) == 6
    assert min(seen[3:]) >= 50
    assert torch.allclose(found[0], table[torch.tensor(seen)].mean(0), atol=1e-6)
    assert not torch.allclose(encoder(tokens.flip(1)), found)
    mask = torch.tensor([[True, True, False]])
    assert torch.allclose(encoder(tokens, mask=mask), encoder(tokens[:, :2]), atol=1e-6)


def test_letters_are_averaged_into_each_token():
    spellings = ["", "tree", "trees", "a"]
    encoder = NgramEncoder(4, width=4, units=[], ngrams=1, spellings=spellings, buckets=1 << 20, dropout=0.0)
    found = encoder(torch.tensor([[1], [2], [3]]))
    table = encoder.embedding.embeddings
    for i, expected in ((1, 10), (2, 14), (3, 1)):  # of <tree>: 4 + 3 + 2 + 1 n-grams of 3, 4, 5, 6 letters
        rows = encoder._letters[i][encoder._letters[i] > 0]
        assert len(rows) == expected
        assert torch.allclose(found[i - 1], table[i] + table[rows].mean(0), atol=1e-6)
    shared = set(encoder._letters[1].tolist()) & set(encoder._letters[2].tolist()) - {0}
    assert len(shared) == 6  # <tr <tre <tree tre tree ree
    assert torch.allclose(encoder(torch.tensor([[1, 2]]))[0], found[:2].mean(0), atol=1e-6)


def test_hashed_rows_are_spread_evenly():
    encoder = NgramEncoder(1000, width=2, buckets=64)
    pairs = torch.cartesian_prod(torch.arange(100), torch.arange(100))
    counts = (encoder._hashed(pairs, 2) - 1000).flatten().bincount(minlength=64)
    expected = 10_000 / 64
    assert ((counts - expected) ** 2 / expected).sum() < 130  # chi-squared with 63 degrees: 63 +- 11


@pytest.mark.parametrize(
    ("action", "error", "message"),
    [
        (lambda m: m.fit(["a", "b"], ["happy", "angry"]), DataError, r"labels\[1\] is 'angry'"),
        (lambda m: m.fit(["a", "b"], [0, 2]), DataError, r"labels\[1\] is 2"),
        (lambda m: m.fit(["a", "b"], [0, 0.5]), DataError, r"labels\[1\] is 0\.5"),
        (lambda m: m.fit(["a", "b"], [0]), DataError, "2 texts, but 1 labels"),
        (lambda m: m.fit(["a", None], [0, 1]), DataError, r"`texts`\[1\] is None"),
        (lambda m: m.fit(["a", "b"]), DataError, "needs labels"),
        (lambda m: m.fit(["a"], [0], sample_weight=[1.0]), ArgumentError, "sample_weight"),
        (lambda m: m.fit(["a"], [0], validation_split=0.5), ArgumentError, "validation_split"),
        (lambda m: m.predict("a text"), DataError, "list of strings"),
        (lambda m: TextClassifier(1, m.tokenizer), ArgumentError, "classes"),
        (lambda m: TextClassifier(["a", "a"], m.tokenizer), ArgumentError, "different names"),
        (lambda m: TextClassifier(2, m.tokenizer, "perceptron"), ArgumentError, "perceptron"),
        (lambda m: RecurrentEncoder(9, cell="rnn"), ArgumentError, "cell"),
        (lambda m: NgramEncoder(9, ngrams=0), ArgumentError, "sizes"),
        (lambda m: TransformerEncoder(9, max_length=2, width=8)(torch.ones(1, 3)), ShapeError, "3 tokens"),
    ],
)
def test_what_cannot_be_is_refused(action, error, message):
    with pytest.raises(error, match=message):
        action(made(small("cnn", 20)))

"""`Tokenizer` against Hugging Face's tokenizers and transformers, and against definitions written out."""

import json
import random

import numpy as np
import pytest
import torch

from lamella.errors import ArgumentError, DataError, FileError
from lamella.language import Tokenizer
from lamella.saving import deserialize_keras_object, serialize_keras_object

TEXTS = [
    "The quick brown fox jumps over the lazy dog.",
    "Pack my box with five dozen liquor jugs!",
    "Café – naïve façade; 3.14 isn't 2.72",
    "the fox, the dog: and the box?",
] * 3
KINDS = ["byte_bpe", "wordpiece", "character", "word"]


def made(kind, **options):
    if kind in ("byte_bpe", "wordpiece"):
        pytest.importorskip("tokenizers")
    return Tokenizer.train(TEXTS, kind, **{"vocabulary_size": 320, **options})


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_numbers_its_special_tokens_first_and_survives_config_and_file(kind, tmp_path):
    tokenizer = made(kind)
    special = [tokenizer.pad_id, tokenizer.unknown_id, tokenizer.start_id, tokenizer.end_id, tokenizer.mask_id]
    assert special == [0, 1, 2, 3, 4]
    tokenizer.save(tmp_path / "tokenizer.json")
    config = json.loads(json.dumps(serialize_keras_object(tokenizer)))
    for other in (
        Tokenizer.from_file(tmp_path / "tokenizer.json"),
        Tokenizer.from_pretrained(tmp_path),
        Tokenizer.from_config(tokenizer.get_config()),
        deserialize_keras_object(config),
    ):
        assert other.vocabulary_size == tokenizer.vocabulary_size
        assert other.special_tokens == tokenizer.special_tokens
        assert [other.id_of(token) for token in other.tokens] == list(range(other.vocabulary_size))
        for text in [*TEXTS, "zebra ☂"]:
            assert other.encode(text) == tokenizer.encode(text)
            assert other.decode(tokenizer.encode(text)) == tokenizer.decode(tokenizer.encode(text))


@pytest.mark.parametrize("kind", KINDS)
def test_training_again_gives_the_same_vocabulary(kind):
    assert made(kind).get_config() == made(kind).get_config()


@pytest.mark.parametrize("kind", KINDS)
def test_numbers_are_within_the_vocabulary_and_size_is_a_limit(kind):
    for size in (300, 290):
        tokenizer = made(kind, vocabulary_size=size)
        assert tokenizer.vocabulary_size <= size
        found = [i for text in [*TEXTS, "zebra ☂ Ω"] for i in tokenizer.encode(text)]
        assert 0 <= min(found) <= max(found) < tokenizer.vocabulary_size


def test_byte_bpe_gives_any_text_back():
    tokenizer = made("byte_bpe")
    generator = random.Random(1)
    signs = "abc XYZ\n\t  éß☂漢字🎈'’.,!0123"
    for _ in range(50):
        text = "".join(generator.choice(signs) for _ in range(generator.randrange(40)))
        assert tokenizer.decode(tokenizer.encode(text)) == text
        assert tokenizer.unknown_id not in tokenizer.encode(text)


def test_byte_bpe_numbers_a_text_as_the_package_does():
    tokenizers = pytest.importorskip("tokenizers")
    tokenizer = made("byte_bpe")
    reference = tokenizers.Tokenizer.from_str(tokenizer.get_config()["vocabulary"])
    for text in TEXTS:
        assert tokenizer.encode(text) == reference.encode(text, add_special_tokens=False).ids


def test_wordpiece_cuts_words_greedily():
    """Wu et al.: each piece is the longest of the vocabulary that the rest of the word begins with."""
    tokenizer = made("wordpiece", lowercase=True, vocabulary_size=120)

    def pieces(word):
        found, rest, mark = [], word, ""
        while rest:
            ends = [e for e in range(len(rest), 0, -1) if tokenizer.id_of(mark + rest[:e]) is not None]
            if not ends:
                return [tokenizer.unknown_id]
            found.append(tokenizer.id_of(mark + rest[: ends[0]]))
            rest, mark = rest[ends[0] :], "##"
        return found

    for word in ["fox", "foxes", "boxing", "jumped", "quickly", "dozens", "umbrella☂"]:
        assert tokenizer.encode(word.upper()) == pieces(word), word


def test_characters_are_those_of_the_text():
    tokenizer = made("character")
    text = "the dog ☂"
    assert [tokenizer.decode([i]) for i in tokenizer.encode(text)] == [*"the dog ", "[UNK]"]
    most = made("character", vocabulary_size=7)
    assert most.decode(most.encode("o e")) == "[UNK] e"  # "e" and " " are the most frequent


def test_words_are_letters_or_signs():
    tokenizer = made("word", lowercase=True)
    decoded = tokenizer.decode(tokenizer.encode("The FOX isn't   a dog, the cat?"))
    assert decoded == "the fox isn't [UNK] dog, the [UNK]?"


def test_batches_are_padded_marked_and_cut():
    tokenizer = made("character")
    a, b = tokenizer.encode("fox"), tokenizer.encode("dozen")
    tokens, mask = tokenizer.encode_batch(["fox", "dozen"], start=True, end=True)
    assert tokens.dtype is torch.int64
    assert tokens.tolist() == [[2, *a, 3, 0, 0], [2, *b, 3]]
    assert mask.tolist() == [[True] * 5 + [False] * 2, [True] * 7]
    tokens, mask = tokenizer.encode_batch(["fox", "dozen"], pad_side="left")
    assert tokens.tolist() == [[0, 0, *a], b]
    assert mask.tolist() == [[False, False, True, True, True], [True] * 5]
    with pytest.warns(UserWarning, match="1 of 2 texts are longer than the 3 tokens"):
        tokens, _ = tokenizer.encode_batch(["fox", "dozen"], max_length=5, start=True, end=True)
    assert tokens.tolist() == [[2, *a, 3], [2, *b[:3], 3]]
    tokenizer.encode_batch(["dozen"], max_length=3)  # without a second warning, which would be an error here
    assert tokenizer.num_truncated == 2


@pytest.mark.parametrize("kind", KINDS)
def test_an_empty_text_is_one_unknown_token(kind):
    tokenizer = made(kind)
    tokens, mask = tokenizer.encode_batch(["", "the fox"])
    assert tokens[0, 0] == tokenizer.unknown_id
    assert mask.sum(1)[0] == 1
    assert tokenizer.encode("") == []
    assert tokenizer.encode_batch([""], start=True, end=True)[0].tolist() == [[2, 3]]


def test_decoding_leaves_out_special_tokens_unless_asked():
    tokenizer = made("word")
    ids = torch.tensor([[2, *tokenizer.encode("the fox"), 3, 0], [2, *tokenizer.encode("the dog"), 3, 0]])
    assert tokenizer.decode_batch(ids) == ["the fox", "the dog"]
    assert tokenizer.decode_batch(ids.numpy()) == ["the fox", "the dog"]
    assert tokenizer.decode(ids[0], skip_special=False) == "[CLS] the fox [SEP] [PAD]"


@pytest.mark.parametrize(
    ("action", "error", "message"),
    [
        (lambda t: t.encode_batch("the fox"), DataError, "list of strings"),
        (lambda t: t.encode_batch(["a", float("nan")]), DataError, r"`texts`\[1\] is nan \(float\)"),
        (lambda t: t.encode(None), DataError, "not a string"),
        (lambda t: t.encode_batch(["the", "dozen"], max_length=3, on_long="refuse"), DataError, r"texts\[1\] with 5"),
        (lambda t: t.encode_batch(["the"], max_length=2, start=True, end=True), ArgumentError, "no place"),
        (lambda t: t.encode_batch(["the"], on_long="cut"), ArgumentError, "on_long"),
        (lambda t: t.encode_batch(["the"], pad_side="top"), ArgumentError, "side"),
        (lambda t: t.decode([5, 999]), DataError, "999"),
        (lambda t: t.decode([-1]), DataError, "-1"),
        (lambda t: Tokenizer.train(TEXTS, "sentence"), ArgumentError, "byte_bpe"),
        (lambda t: Tokenizer.train(TEXTS, "word", 3), ArgumentError, "vocabulary_size"),
        (lambda t: Tokenizer.train(["", ""], "word"), DataError, "no text"),
        (lambda t: Tokenizer.train([1], "word"), DataError, r"\[0\] is 1"),
        (lambda t: Tokenizer("no json"), FileError, "no JSON"),
        (lambda t: Tokenizer('{"kind": "word", "tokens": ["a"]}'), FileError, "must begin"),
        (lambda t: Tokenizer(t.get_config()["vocabulary"], {"pad": "nowhere"}), ArgumentError, "nowhere"),
    ],
)
def test_what_cannot_be_is_refused(action, error, message):
    with pytest.raises(error, match=message):
        action(made("character"))


def test_a_file_that_is_no_tokenizer_is_named(tmp_path):
    pytest.importorskip("tokenizers")
    (tmp_path / "t.json").write_text("{}")
    with pytest.raises(FileError, match=r"t\.json"):
        Tokenizer.from_file(tmp_path / "t.json")
    with pytest.raises(FileError, match="no vocabulary"):
        Tokenizer.from_pretrained(tmp_path)
    with pytest.raises(ArgumentError, match="261"):
        Tokenizer.train(TEXTS, "byte_bpe", 200)


def saved_by_transformers(kind, folder):
    """A tokenizer of transformers, of the kind, saved with its files."""
    transformers = pytest.importorskip("transformers")
    made("byte_bpe" if kind == "gpt2" else "wordpiece").save(folder / "own.json")
    model = json.loads((folder / "own.json").read_text())["model"]
    if kind == "bert":
        vocabulary = sorted(model["vocab"], key=model["vocab"].get)
        (folder / "vocab.txt").write_text("\n".join(vocabulary))
        (folder / "own.json").unlink()
        return transformers.BertTokenizerFast.from_pretrained(str(folder), do_lower_case=True)
    special = list(Tokenizer.from_file(folder / "own.json").special_tokens.values())
    vocabulary = [token for token in sorted(model["vocab"], key=model["vocab"].get) if token not in special]
    numbers = {token: i for i, token in enumerate([*vocabulary, "<|endoftext|>"])}
    (folder / "vocab.json").write_text(json.dumps(numbers))
    merges = [" ".join(pair) if isinstance(pair, list) else pair for pair in model["merges"]]
    (folder / "merges.txt").write_text("#version: 0.2\n" + "\n".join(merges))
    (folder / "own.json").unlink()
    return transformers.GPT2TokenizerFast.from_pretrained(str(folder))


@pytest.mark.parametrize("kind", ["bert", "gpt2"])
@pytest.mark.parametrize("saved", [False, True])
def test_published_vocabularies_number_texts_as_transformers_does(kind, saved, tmp_path):
    reference = saved_by_transformers(kind, tmp_path)
    if saved:  # with a tokenizer.json; otherwise from the older files
        reference.save_pretrained(str(tmp_path))
    tokenizer = Tokenizer.from_pretrained(tmp_path)
    for text in [*TEXTS, "unknown ☂ signs", "a<|endoftext|>b [MASK] c"]:
        expected = reference(text, add_special_tokens=False)["input_ids"]
        assert tokenizer.encode(text) == expected
    assert tokenizer.end_id == reference.convert_tokens_to_ids("[SEP]" if kind == "bert" else "<|endoftext|>")
    if kind == "bert":
        assert tokenizer.pad_id == reference.pad_token_id
        assert (
            tokenizer.encode_batch(TEXTS[:4], start=True, end=True)[0].tolist()
            == (reference(TEXTS[:4], padding=True)["input_ids"])
        )
    else:
        assert tokenizer.pad_id is None
        tokens, mask = tokenizer.encode_batch(["fox", "the lazy dog"])
        assert (tokens[~mask] == 0).all()
        assert tokenizer.decode(tokens[1]) == "the lazy dog"


def test_strings_of_numpy_are_strings():
    assert made("character").encode_batch(np.array(["fox", "box"]))[0].shape == (2, 3)

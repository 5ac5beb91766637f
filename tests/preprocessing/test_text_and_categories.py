"""Text and categories come out as they do in Keras on TensorFlow, bit for bit.

Keras needs TensorFlow for strings, so its results were taken once (Keras 3.15.1, TensorFlow 2.21.0) and lie in
keras_on_tensorflow.json.
"""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

import lamella
from lamella import layers
from lamella.layers.feature_space import FeatureSpace
from lamella.layers.fingerprint import fingerprint64, fingerprint_cat64, siphash

REFERENCE = json.loads((Path(__file__).parent / "keras_on_tensorflow.json").read_text())
TEXTS = [
    "The cat, the dog & THE bird!",
    "a cat sat; on a mat\tmat\n",
    "",
    "dog dog dog",
    "Ünïcode cafè -- naïve!",
    "one  two   two three three three",
]
PROBE = ["the CAT sat.", "unknown words dog", "", "mat mat two"]
WORDS = ["b", "a", "c", "a", "b", "a", "d", "[UNK]", ""]
WORD_PROBE = [["a", "zz"], ["", "d"], ["yy", "[UNK]"], ["b", "b"]]
NUMBERS = np.array([5, 3, 5, 9, 3, 5, -2, 0, -1])
NUMBER_PROBE = np.array([[5, 77], [0, -2], [-80, -1], [3, 3]])


def named(case):
    return "-".join(f"{key}={value}" for key, value in case[0].items()) or "default"


def same(output, dtype, expected):
    assert str(output.dtype) == f"torch.{dtype}"
    if dtype.startswith("int"):
        assert output.tolist() == expected
    else:
        np.testing.assert_allclose(output.numpy(), expected, rtol=1e-6)


def roundtrip(layer):
    """A second layer, from the config, with the vocabulary that the first has learnt."""
    config = json.loads(json.dumps(lamella.layers.serialize(layer)))
    again = lamella.layers.deserialize(config)
    assert again.get_config() == layer.get_config()
    return again


@pytest.mark.parametrize("case", REFERENCE["text"], ids=named)
def test_text_vectorization(case, tmp_path):
    arguments, vocabulary, dtype, expected = case
    layer = layers.TextVectorization(**arguments)
    layer.adapt(TEXTS)
    assert layer.get_vocabulary() == vocabulary
    assert layer.vocabulary_size() == len(vocabulary)
    same(layer(PROBE), dtype, expected)
    same(layer(np.array(PROBE)), dtype, expected)
    store = {}
    layer.save_own_variables(store)
    layer.save_assets(tmp_path)
    again = roundtrip(layer)
    again.load_own_variables(store)
    again.load_assets(tmp_path)
    same(again([text.encode() for text in PROBE]), dtype, expected)


@pytest.mark.parametrize("case", REFERENCE["strings"], ids=named)
def test_string_lookup(case):
    arguments, vocabulary, dtype, expected = case
    layer = layers.StringLookup(**arguments)
    layer.adapt(WORDS)
    assert layer.get_vocabulary() == vocabulary
    same(layer(WORD_PROBE), dtype, expected)
    same(layer(np.array(WORD_PROBE)), dtype, expected)
    same(layer(np.array(WORD_PROBE, dtype=object)), dtype, expected)
    roundtrip(layer)


@pytest.mark.parametrize("case", REFERENCE["ints"], ids=named)
def test_integer_lookup(case):
    arguments, vocabulary, dtype, expected = case
    layer = layers.IntegerLookup(**arguments)
    layer.adapt(NUMBERS)
    assert layer.get_vocabulary() == vocabulary
    same(layer(NUMBER_PROBE), dtype, expected)
    same(layer(torch.tensor(NUMBER_PROBE, dtype=torch.int32)), dtype, expected)
    same(layer(NUMBER_PROBE.tolist()), dtype, expected)
    roundtrip(layer)


def test_invert():
    strings, masked, plain = REFERENCE["invert"]
    lookup = layers.StringLookup(vocabulary=["x", "y"], invert=True, mask_token="", num_oov_indices=2)
    assert lookup([0, 1, 2, 3, 4, 9]) == strings
    assert lookup(torch.tensor([[3, 9]])) == [["x", "[UNK]"]]
    assert lookup(4) == "y"
    assert layers.IntegerLookup(vocabulary=[10, 20], invert=True, mask_token=0)([0, 1, 2, 3, 9]).tolist() == masked
    assert layers.IntegerLookup(vocabulary=[10, 20], invert=True)([0, 1, 2, 3]).tolist() == plain


@pytest.mark.parametrize("case", REFERENCE["hash"], ids=named)
def test_hashing(case):
    arguments, inputs, dtype, expected = case
    layer = layers.Hashing(**arguments)
    same(layer(inputs), dtype, expected)
    same(layer(np.array(inputs)), dtype, expected)
    roundtrip(layer)


@pytest.mark.parametrize("case", REFERENCE["cross"][:3], ids=named)
def test_hashed_crossing(case):
    arguments, dtype, expected = case
    layer = layers.HashedCrossing(**arguments)
    first, second = ["A", "B", "A", "B", "A"], [101, 101, 101, 102, -102]
    same(layer((first, second)), dtype, expected)
    same(layer((np.array(first), torch.tensor(second))), dtype, expected)
    roundtrip(layer)


def test_hashed_crossing_of_three():
    arguments, dtype, expected = REFERENCE["cross"][3]
    first, second = np.array(["A", "B", "A", "B", "A"])[:, None], np.array([101, 101, 101, 102, -102])[:, None]
    same(layers.HashedCrossing(**arguments)((first, second, first)), dtype, expected)


# From TensorFlow, modulo 2**61 - 1: one string of each length that takes another path through the algorithm.
LENGTHS = [0, 1, 3, 4, 7, 8, 16, 17, 32, 33, 64, 65, 128, 129, 300]
FARM = [
    1936946117179621459, 176124231402506092, 1391590960341357285, 2255604462478058906, 1779591755388221548,
    394476988062720963, 1535286945129824718, 1288097421791121095, 2092107961373731933, 707094922032897112,
    879058944565200369, 1348753263032090344, 1699499670576324309, 1181104013308204160, 1264807072334931185,
]  # fmt: skip
SIP = [
    316627932347062998, 1997506353430628033, 580443193926964438, 1341569745643476377, 1340082571885854765,
    1973061943146741385, 908230589459926831, 1364232715862256622, 760507522483909826, 1726389422458713965,
    517293586689203450, 555510985357120302, 2246913623573074879, 26799644630020851, 670847912721540128,
]  # fmt: skip


def test_hashes_are_those_of_tensorflow():
    strings = [bytes((i * 37 + n * 11) % 256 for i in range(n)) for n in LENGTHS]
    assert (fingerprint64(strings) % np.uint64(2**61 - 1)).tolist() == FARM
    assert (siphash(strings, (133, 137)) % np.uint64(2**61 - 1)).tolist() == SIP
    assert fingerprint64(strings[::-1]).tolist() == fingerprint64(strings).tolist()[::-1]


def test_crossed_fingerprints_are_those_of_tensorflow():
    strings, numbers = [b"A", b"B", b"xyz", b""], np.array([101, 102, -5, 0]).astype(np.uint64)
    seed = np.full(4, 0xDECAFCAFFE, np.uint64)
    crossed = fingerprint_cat64(fingerprint_cat64(seed, fingerprint64(strings)), numbers)
    expected = [1126068114334019083, 3262559069118245864, 1577516745030498993, 342200373683685600]
    assert (crossed % np.uint64(2**62)).tolist() == expected


def test_siphash_example_of_the_paper():
    assert siphash([bytes(range(15))], (0x0706050403020100, 0x0F0E0D0C0B0A0908)).tolist() == [0xA129CA6149BE45E5]


def space(output_mode):
    make = FeatureSpace
    return make(
        {
            "age": "float_normalized",
            "h": "float_rescaled",
            "raw": "float",
            "bin": make.float_discretized(3),
            "city": "string_categorical",
            "code": "integer_categorical",
            "tag": make.string_hashed(4),
            "num": make.integer_hashed(4),
        },
        crosses=[make.cross(("city", "code"), 5)],
        output_mode=output_mode,
    )


def test_feature_space_concat():
    data, new, batch, single = REFERENCE["space"]
    ours = space("concat")
    ours.adapt(data)
    same(ours(new), "float32", batch)
    same(ours({name: column[0] for name, column in new.items()}), "float32", single)
    same(ours({name: np.array(column)[:, None] for name, column in new.items()}), "float32", batch)


def test_feature_space_dict():
    data, new, _, _ = REFERENCE["space"]
    ours = space("dict")
    ours.adapt([{name: column[i : i + 2] for name, column in data.items()} for i in (0, 2)])
    output = ours(new)
    assert sorted(output) == sorted(REFERENCE["space_dict"])
    for name, (shape, values) in REFERENCE["space_dict"].items():
        assert list(output[name].shape) == shape
        np.testing.assert_allclose(output[name].numpy(), values, rtol=1e-5, atol=1e-6)

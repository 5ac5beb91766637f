"""Text and category layers as they are used: data of every kind, in models, in files; and what they refuse."""

import json

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, Dataset

import lamella
from lamella import layers
from lamella.errors import ArgumentError, DataError, NotBuiltError, ShapeError
from lamella.layers.feature_space import FeatureSpace

TEXTS = ["good film", "bad film", "so good", "very bad"]
LABELS = np.array([1.0, 0.0, 1.0, 0.0])


class Labelled(Dataset):
    def __len__(self):
        return len(TEXTS)

    def __getitem__(self, i):
        return TEXTS[i], LABELS[i]


class Pages(lamella.utils.PyDataset):
    def __len__(self):
        return 2

    def __getitem__(self, i):
        return np.array(TEXTS[2 * i : 2 * i + 2]), LABELS[2 * i : 2 * i + 2]


def texts_of_every_kind():
    return {
        "list": TEXTS,
        "tuple": tuple(TEXTS),
        "array": np.array(TEXTS),
        "array of objects": np.array(TEXTS, dtype=object),
        "array of bytes": np.array([text.encode() for text in TEXTS]),
        "column": np.array(TEXTS)[:, None],
        "nested list": [[text] for text in TEXTS],
        "generator": (TEXTS[i : i + 2] for i in (0, 2)),
        "generator of pairs": ((TEXTS[i : i + 2], LABELS[i : i + 2]) for i in (0, 2)),
        "generator of single texts": (text for text in TEXTS),
        "DataLoader": DataLoader(Labelled(), batch_size=2),
        "DataLoader of texts": DataLoader(TEXTS, batch_size=2),
        "Dataset": Labelled(),
        "PyDataset": Pages(),
    }


@pytest.mark.parametrize("kind", list(texts_of_every_kind()))
def test_text_vectorization_adapts_to_data_of_every_kind(kind):
    layer = layers.TextVectorization()
    layer.adapt(texts_of_every_kind()[kind])
    assert layer.get_vocabulary() == ["", "[UNK]", "good", "film", "bad", "very", "so"]
    assert layer.get_vocabulary(include_special_tokens=False) == ["good", "film", "bad", "very", "so"]


def test_adapt_takes_as_many_steps_as_it_is_told_and_starts_anew():
    layer = layers.TextVectorization()
    layer.adapt((TEXTS[i : i + 1] for i in range(4)), steps=2)
    assert set(layer.get_vocabulary()[2:]) == {"good", "film", "bad"}
    layer.adapt(["other words"])
    assert set(layer.get_vocabulary()[2:]) == {"other", "words"}


def test_pandas_columns():
    pandas = pytest.importorskip("pandas")
    layer = layers.StringLookup()
    column = pandas.Series(["x", "y", "x"])
    layer.adapt(column)
    assert layer(column).tolist() == [1, 2, 1]
    numbers = layers.IntegerLookup()
    numbers.adapt(pandas.Series([7, 8, 7]))
    assert numbers(pandas.Series([8, 7])).tolist() == [2, 1]


def test_shapes_of_texts():
    layer = layers.TextVectorization(vocabulary=["a", "b"])
    assert layer("a b c").tolist() == [2, 3, 1]
    assert layer(["a b c", "b"]).tolist() == [[2, 3, 1], [3, 0, 0]]
    assert layer([["a b c"], ["b"]]).tolist() == [[2, 3, 1], [3, 0, 0]]
    assert layer(np.array([[["a b"], ["b"]]])).shape == (1, 2, 2)
    assert layer(np.array([], dtype=str)).shape == (0, 0)
    with pytest.raises(ArgumentError, match=r"\(batch,\) or \(batch, 1\); got \(2, 2\)"):
        layer([["a", "b"], ["b", "a"]])


def test_functions_for_standardize_and_split():
    layer = layers.TextVectorization(
        standardize=lambda texts: np.char.upper(texts),
        split=lambda texts: [text.split("-") for text in texts],
        vocabulary=["A", "B C"],
    )
    assert layer(["a-b c-x", "B c"]).tolist() == [[2, 3, 1], [3, 0, 0]]


@lamella.saving.register_keras_serializable("tests")
def at_commas(texts):
    return [text.split(",") for text in texts]


def test_a_registered_function_goes_through_the_config():
    layer = layers.TextVectorization(standardize="lower", split=at_commas, vocabulary=["a b", "c"])
    again = layers.deserialize(json.loads(json.dumps(layers.serialize(layer))))
    assert again(["A b,c"]).tolist() == [[2, 3]]


def test_a_vocabulary_from_a_file(tmp_path):
    path = tmp_path / "words.txt"
    path.write_text("zebra\näpfel\n", encoding="utf-8")
    assert layers.StringLookup(vocabulary=str(path)).get_vocabulary() == ["[UNK]", "zebra", "äpfel"]
    assert layers.TextVectorization(vocabulary=str(path))("Zebra äpfel").tolist() == [2, 3]
    (tmp_path / "numbers.txt").write_text("30\n-4")
    assert layers.IntegerLookup(vocabulary=str(tmp_path / "numbers.txt"))([-4, 30, 1]).tolist() == [2, 1, 0]
    with pytest.raises(ArgumentError, match="does not exist"):
        layers.StringLookup(vocabulary=str(tmp_path / "none.txt"))


def test_vocabularies_with_and_without_special_tokens():
    bare, full = layers.StringLookup(mask_token=""), layers.StringLookup(mask_token="")
    bare.set_vocabulary(["a", "b"])
    full.set_vocabulary(np.array(["", "[UNK]", "a", "b"]))
    assert bare.get_vocabulary() == full.get_vocabulary() == ["", "[UNK]", "a", "b"]
    weighted = layers.StringLookup(output_mode="tf_idf")
    weighted.set_vocabulary(["a", "b"], idf_weights=[0.25, 0.75])
    np.testing.assert_allclose(weighted([["a", "b", "b", "z"]]), [[0.5, 0.25, 1.5]])
    weighted.set_vocabulary(["[UNK]", "a", "b"], idf_weights=[0.9, 0.25, 0.75])
    np.testing.assert_allclose(weighted([["a", "b", "b", "z"]]), [[0.9, 0.25, 1.5]])


def test_files_keep_terms_that_are_line_feeds(tmp_path):
    """Character models have them; in Keras's file a line feed shows as two empty lines."""
    layer = layers.TextVectorization(standardize=None, split="character")
    layer.adapt(["ab\n", "\nb\r", "c c"])
    layer.save_assets(tmp_path)
    again = layers.deserialize(layers.serialize(layer))
    again.load_assets(tmp_path)
    assert again.get_vocabulary() == layer.get_vocabulary()
    assert "\n" in again.get_vocabulary()


def test_bytes_that_are_no_text_survive():
    layer = layers.StringLookup()
    layer.adapt([b"\xff\xfe", b"ok"])
    assert layer([b"\xff\xfe", b"\xff", "ok"]).tolist() in ([1, 0, 2], [2, 0, 1])
    again = layers.StringLookup(vocabulary=layer.get_vocabulary())
    assert again([b"\xff\xfe"]).tolist() == layer([b"\xff\xfe"]).tolist()


def model_of_texts():
    first = layers.TextVectorization(max_tokens=20, output_sequence_length=3)
    first.adapt(TEXTS)
    return lamella.Sequential([first, layers.Embedding(20, 4), layers.Flatten(), layers.Dense(1)])


def test_a_model_of_texts_is_saved_with_its_vocabulary(tmp_path):
    model = model_of_texts()
    before = model(TEXTS)
    model.save(tmp_path / "model.keras")
    again = lamella.models.load_model(tmp_path / "model.keras")
    assert again.layers[0].get_vocabulary() == model.layers[0].get_vocabulary()
    torch.testing.assert_close(again(TEXTS), before)


def test_texts_prepared_before_training():
    vectorize = layers.TextVectorization(max_tokens=20, output_mode="multi_hot")
    vectorize.adapt(TEXTS)
    x = vectorize(TEXTS)
    model = lamella.Sequential([layers.Dense(1)])
    model.compile("adam", "mse")
    model.fit(x, LABELS, epochs=2, verbose=0)
    assert model.predict(x, verbose=0).shape == (4, 1)


def test_in_a_loader_of_several_processes():
    vectorize = layers.TextVectorization(output_sequence_length=3)
    vectorize.adapt(TEXTS)

    def collate(batch):
        return vectorize([text for text, _ in batch]), torch.tensor([label for _, label in batch])

    loader = DataLoader(Labelled(), batch_size=2, num_workers=1, collate_fn=collate)
    assert torch.cat([x for x, _ in loader]).tolist() == vectorize(TEXTS).tolist()


@pytest.mark.parametrize(
    ("layer", "expected"),
    [
        (lambda: layers.IntegerLookup(vocabulary=[1, 2]), (None, 3)),
        (lambda: layers.IntegerLookup(vocabulary=[1, 2], output_mode="one_hot"), (None, 3, 3)),
        (lambda: layers.IntegerLookup(vocabulary=[1, 2], output_mode="count"), (None, 3)),
        (lambda: layers.IntegerLookup(max_tokens=9, output_mode="multi_hot", pad_to_max_tokens=True), (None, 9)),
        (lambda: layers.Hashing(5), (None, 3)),
        (lambda: layers.Hashing(5, output_mode="multi_hot"), (None, 5)),
        (lambda: layers.Hashing(5, output_mode="one_hot"), (None, 3, 5)),
    ],
)
def test_in_functional_models(layer, expected):
    layer = layer()
    inputs = lamella.Input((3,), dtype="int64")
    outputs = layer(inputs)
    assert outputs.shape == expected
    if not layer.get_config().get("pad_to_max_tokens"):
        x = np.array([[1, 2, 7], [2, 2, 1]])
        np.testing.assert_array_equal(lamella.Model(inputs, outputs)(x), layer(x))


def test_crosses_in_functional_models():
    a, b = (lamella.Input((1,), dtype="int64") for _ in range(2))
    layer = layers.HashedCrossing(6, output_mode="one_hot")
    model = lamella.Model([a, b], layer([a, b]))
    x = [np.array([[1], [2]]), np.array([[3], [4]])]
    assert model.output_shape == (None, 6)
    np.testing.assert_array_equal(model(x), layer(x))


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({}, (None, None)),
        ({"output_sequence_length": 7}, (None, 7)),
        ({"output_mode": "multi_hot", "vocabulary": ["a"]}, (None, 2)),
        ({"output_mode": "tf_idf", "max_tokens": 9, "pad_to_max_tokens": True}, (None, 9)),
    ],
)
def test_shapes_of_text_vectorization(arguments, expected):
    assert layers.TextVectorization(**arguments).compute_output_shape((None, 1)) == expected


def table():
    return {"age": [20.0, 30.0, 50.0, 60.0], "code": [3, 4, 3, 5]}


def numeric_space():
    space = FeatureSpace({"age": "float_normalized", "code": "integer_categorical"}, crosses=[("code", "code")])
    space.adapt(table())
    return space


def test_feature_space_begins_models():
    space = numeric_space()
    encoded = space.get_encoded_features()
    outputs = layers.Dense(1)(encoded)
    inner, whole = lamella.Model(encoded, outputs), lamella.Model(space.get_inputs(), outputs)
    inner.compile("sgd", "mse")
    inner.fit(space(table()), LABELS, verbose=0)
    columns = {name: np.array(column)[:, None] for name, column in table().items()}
    np.testing.assert_allclose(
        whole.predict(columns, verbose=0), inner.predict(space(table()), verbose=0), rtol=1e-5, atol=1e-6
    )


def test_feature_space_of_strings_begins_a_model_of_prepared_data():
    space = FeatureSpace({"city": "string_categorical", "tag": "string_hashed"}, crosses=[("city", "tag")])
    data = {"city": ["Oslo", "Rome"], "tag": ["a", "b"]}
    space.adapt(data)
    encoded = space.get_encoded_features()
    model = lamella.Model(encoded, layers.Dense(2)(encoded))
    assert encoded.shape == (None, 3 + 32 + 32)
    assert model(space(data)).shape == (2, 2)


def test_feature_space_is_saved(tmp_path):
    space = FeatureSpace(
        {
            "age": "float_normalized",
            "raw": "float",
            "code": "integer_categorical",
            "city": "string_categorical",
            "bin": FeatureSpace.float_discretized(2),
        },
        crosses=[("city", "code")],
    )
    data = table() | {
        "raw": [1.0, 2.0, 3.0, 4.0],
        "city": ["Oslo", "Rome", "Oslo", "Bonn"],
        "bin": [1.0, 2.0, 3.0, 4.0],
    }
    space.adapt(data)
    space.save(tmp_path / "space.keras")
    again = lamella.models.load_model(tmp_path / "space.keras")
    torch.testing.assert_close(again(data), space(data))
    assert again.get_config() == space.get_config()


def test_feature_space_learns_from_batches():
    whole, batches, stream = (
        FeatureSpace({"age": "float_normalized", "code": "integer_categorical"}) for _ in range(3)
    )
    parts = [{name: column[i : i + 2] for name, column in table().items()} for i in (0, 2)]
    whole.adapt(table())
    batches.adapt([(part, LABELS[:2]) for part in parts])
    stream.adapt(iter(parts))
    torch.testing.assert_close(batches(table()), whole(table()))
    torch.testing.assert_close(stream(table()), whole(table()))


def test_feature_space_with_a_layer_of_yours():
    text = layers.TextVectorization(output_mode="tf_idf")
    space = FeatureSpace({"text": FeatureSpace.feature(dtype="string", preprocessor=text, output_mode="float")})
    space.adapt({"text": TEXTS})
    torch.testing.assert_close(space({"text": TEXTS}), text(TEXTS))


def test_feature_space_refusals():
    for arguments, message in (
        ({"features": {}}, "empty"),
        ({"features": {"a": "float_normal"}}, "float_normalized"),
        ({"features": {"a": "float"}, "crosses": [("a", "b")]}, r"\['b'\]"),
        ({"features": {"a": "float"}, "output_mode": "list"}, "concat"),
    ):
        with pytest.raises(ArgumentError, match=message):
            FeatureSpace(**arguments)
    space = FeatureSpace({"age": "float_normalized"})
    with pytest.raises(NotBuiltError, match=r"\['age'\].*adapt"):
        space({"age": [1.0]})
    with pytest.raises(ArgumentError, match="dict of columns"):
        space.adapt(np.ones(3))
    space.adapt({"age": [1.0, 2.0]})
    with pytest.raises(ArgumentError, match="dict of columns"):
        space([1.0])
    with pytest.raises(DataError, match="no column"):
        space({"height": [1.0]})
    unencoded = FeatureSpace({"code": FeatureSpace.integer_categorical(output_mode="int")})
    unencoded.adapt({"code": [1, 2]})
    with pytest.raises(ArgumentError, match="output_mode='dict'"):
        unencoded({"code": [1]})
    with pytest.raises(ArgumentError, match="one_hot"):
        FeatureSpace.cross(("a", "b"), 3, output_mode="float")


LOOKUP_REFUSALS = [
    ({"max_tokens": 1}, "greater than 1"),
    ({"pad_to_max_tokens": True}, "needs `max_tokens`"),
    ({"num_oov_indices": -1}, "0 or more"),
    ({"output_mode": "twice"}, "multi_hot"),
    ({"invert": True, "output_mode": "count"}, "invert=True"),
    ({"idf_weights": [1.0]}, "tf_idf"),
    ({"vocabulary": ["1"], "output_mode": "tf_idf"}, "needs `idf_weights`"),
    ({"vocabulary": ["1", "2"], "idf_weights": [1.0], "output_mode": "tf_idf"}, "each of 2 terms"),
    ({"vocabulary": []}, "empty"),
    ({"vocabulary": ["1", "2", "1"]}, "repeated terms"),
    ({"vocabulary": ["1", "2", "3"], "max_tokens": 3}, "has 4 terms"),
    ({"vocabulary": ["1", "9"], "mask_token": "9"}, "mask token"),
    ({"vocabulary": ["1", "9"], "oov_token": "9", "invert": True}, "out-of-vocabulary token"),
    ({"sparse": True}, "dense"),
]


@pytest.mark.parametrize(("arguments", "message"), LOOKUP_REFUSALS)
@pytest.mark.parametrize("kind", ["StringLookup", "IntegerLookup"])
def test_lookup_refusals(kind, arguments, message):
    with pytest.raises(ArgumentError, match=message):
        getattr(layers, kind)(**arguments)


def test_refusals_when_called():
    with pytest.raises(ArgumentError, match="nothing to adapt"):
        layers.StringLookup(vocabulary=["a"]).adapt(["b"])
    with pytest.raises(DataError, match=r"found \['z'\].*num_oov_indices=1"):
        layers.StringLookup(vocabulary=["a"], num_oov_indices=0)(["a", "z"])
    with pytest.raises(DataError, match=r"found \[7\]"):
        layers.IntegerLookup(vocabulary=[1], num_oov_indices=0)([1, 7])
    assert layers.IntegerLookup(vocabulary=[1], num_oov_indices=0)([1]).tolist() == [0]
    with pytest.raises(NotBuiltError, match="adapt"):
        layers.StringLookup(output_mode="count")(["a"])
    with pytest.raises(DataError, match="takes strings"):
        layers.StringLookup()([1, 2])
    with pytest.raises(DataError, match="different lengths"):
        layers.StringLookup()([["a"], ["b", "c"]])
    with pytest.raises(ArgumentError, match="functional model"):
        layers.StringLookup(invert=True, vocabulary=["a"])(lamella.Input((2,), dtype="int64"))
    with pytest.raises(ArgumentError, match="farmhash"):
        layers.IntegerLookup(salt=3)
    with pytest.raises(ArgumentError, match="int64"):
        layers.IntegerLookup(vocabulary_dtype="string")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"standardize": "upper"}, "lower_and_strip_punctuation"),
        ({"split": "sentence"}, "whitespace"),
        ({"ngrams": "2"}, "ngrams"),
        ({"ragged": True}, "ragged"),
        ({"sparse": True}, "dense"),
        ({"output_mode": "count", "output_sequence_length": 3}, "output_sequence_length"),
        ({"output_sequence_length": 2.5}, "whole number"),
    ],
)
def test_text_vectorization_refusals(arguments, message):
    with pytest.raises(ArgumentError, match=message):
        layers.TextVectorization(**arguments)


def test_hashing_refusals():
    for make, message in (
        (lambda: layers.Hashing(0), "positive"),
        (lambda: layers.Hashing(None), "positive"),
        (lambda: layers.Hashing(3, salt="x"), "salt"),
        (lambda: layers.Hashing(3, salt=[1, 2, 3]), "salt"),
        (lambda: layers.Hashing(3, output_mode="tf_idf"), "multi_hot"),
        (lambda: layers.Hashing(3, dtype="float32"), "int64"),
        (lambda: layers.HashedCrossing(3, output_mode="count"), "one_hot"),
        (lambda: layers.HashedCrossing(3)(np.array(["a"])), "two or more"),
        (lambda: layers.HashedCrossing(3)([np.array(["a"])]), "two or more"),
    ):
        with pytest.raises(ArgumentError, match=message):
            make()
    with pytest.raises(ShapeError, match="one shape"):
        layers.HashedCrossing(3)((np.ones((2, 3), int), np.ones((2, 3), int)))
    with pytest.raises(ShapeError, match="one shape"):
        layers.HashedCrossing(3)((np.ones(2, int), np.ones(3, int)))
    with pytest.raises(DataError, match="Discretization"):
        layers.HashedCrossing(3)((np.ones(2), np.ones(2)))


# Configs as Keras 3.15 on TensorFlow writes them (tuples as lists).
KERAS_CONFIGS = [
    (
        "TextVectorization",
        {"name": "t", "trainable": True, "max_tokens": 9, "standardize": "lower", "split": "whitespace", "ngrams": None,
         "output_mode": "int", "output_sequence_length": 4, "pad_to_max_tokens": False, "sparse": False,
         "ragged": False, "vocabulary": ["a", "b"], "idf_weights": None, "encoding": "utf-8", "vocabulary_size": 4},
    ),
    (
        "StringLookup",
        {"name": "s", "trainable": True, "invert": False, "max_tokens": None, "num_oov_indices": 1,
         "oov_token": "[UNK]", "mask_token": None, "output_mode": "int", "sparse": False, "pad_to_max_tokens": False,
         "idf_weights": None, "vocabulary": None, "vocabulary_size": 3, "oov_method": "floormod", "salt": None,
         "encoding": "utf-8"},
    ),
    (
        "IntegerLookup",
        {"name": "i", "trainable": True, "invert": False, "max_tokens": None, "num_oov_indices": 1, "oov_token": -1,
         "mask_token": None, "output_mode": "int", "sparse": False, "pad_to_max_tokens": False,
         "vocabulary_dtype": "int64", "idf_weights": None, "vocabulary": [3, 4], "vocabulary_size": 3,
         "oov_method": "floormod", "salt": None},
    ),
    (
        "Hashing",
        {"name": "h", "trainable": True, "num_bins": 4, "salt": [3, 3], "mask_value": None, "output_mode": "int",
         "sparse": False},
    ),
    ("HashedCrossing", {"num_bins": 4, "output_mode": "int", "sparse": False, "name": "c", "dtype": "int64"}),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "config"), KERAS_CONFIGS)
def test_configs_of_keras(kind, config):
    ours = getattr(layers, kind).from_config(config).get_config()
    if kind != "HashedCrossing":
        assert ours.pop("dtype")["config"]["name"] == ("int64" if kind == "Hashing" else "float32")
    assert ours == config

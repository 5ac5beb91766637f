"""`tf.strings` and `tf.lookup`, against what TensorFlow 2.21 gives (`tensorflow_text_values.json`)."""

import pytest
import torch
from tensorflow_recorded import evaluated, expected, same

import lamella.tensorflow_stand_in as tf
from lamella import layers
from lamella.errors import ArgumentError, DataError

EXPECTED = expected("tensorflow_text_values.json")
NAMES = """
import pathlib, tempfile
r = tf.ragged.constant([[1, 2], [], [3, 4, 5]])
s = tf.ragged.constant([["a", "bc"], ["d"]])
pairs = tf.lookup.KeyValueTensorInitializer
table = tf.lookup.StaticHashTable(pairs(["a", "b"], [1, 2]), default_value=-1)
names = tf.lookup.StaticHashTable(pairs(np.array([0, 1]), ["zero", "one"]), default_value="?")
words = tf.lookup.StaticVocabularyTable(pairs(["a", "b"], tf.constant([0, 1], tf.int64)), num_oov_buckets=5)
mutable = tf.lookup.experimental.MutableHashTable(tf.string, tf.int64, default_value=-1)
folder = pathlib.Path(tempfile.mkdtemp())
_ = (folder / "lines").write_text("one\\ntwo\\n"), (folder / "fields").write_text("a\\t5\\nb\\t6\\n")
Index = tf.lookup.TextFileIndex
from_file = tf.lookup.TextFileInitializer
of_file = tf.lookup.StaticHashTable(
    from_file(str(folder / "lines"), tf.string, Index.WHOLE_LINE, tf.int64, Index.LINE_NUMBER), -1
)
of_fields = tf.lookup.StaticHashTable(from_file(str(folder / "fields"), tf.string, 0, tf.int64, 1), -1)
by_number = tf.lookup.StaticHashTable(
    from_file(str(folder / "lines"), tf.int64, Index.LINE_NUMBER, tf.string, Index.WHOLE_LINE), "UNK"
)
"""


@pytest.fixture(scope="module")
def found():
    return evaluated(list(EXPECTED), NAMES)


@pytest.mark.parametrize("expression", EXPECTED)
def test_gives_what_tensorflow_gives(expression, found):
    assert same(EXPECTED[expression], found[expression]), found[expression]


def test_a_split_of_ones_own():
    vectorize = layers.TextVectorization(standardize=None, split=lambda texts: tf.strings.split(texts, ","))
    vectorize.adapt(["a,b,a", "b,a"])
    assert vectorize(["b,a,c"]).tolist() == [[3, 2, 1]]
    characters = layers.TextVectorization(
        standardize=None, split=lambda texts: tf.strings.unicode_split(texts, "UTF-8")
    )
    characters.adapt(["语言", "语"])
    assert characters(tf.constant(["语言"])).tolist() == [[2, 3]]
    lines = tf.data.Dataset.from_tensor_slices(["语言".encode(), "语".encode()])
    assert [characters(line).tolist() for line in lines] == [[2, 3], [2]]


def test_values_with_several_numbers():
    table = tf.lookup.experimental.MutableHashTable(tf.string, tf.float32, default_value=[0.0, 0.0])
    table.insert(["a"], [[1.0, 2.0]])
    assert table.lookup(["a", "b"]).tolist() == [[1, 2], [0, 0]]


@pytest.mark.parametrize(
    ("refused", "error", "told"),
    [
        (lambda: tf.lookup.KeyValueTensorInitializer(["a"], [1, 2]), ArgumentError, "1 keys has 2 values"),
        (lambda: tf.lookup.StaticVocabularyTable(None, 0, tf.string), ArgumentError, "1 or more"),
        (lambda: tf.strings.format("{}", (1, 2)), ArgumentError, "2 inputs, but 1 places"),
        (lambda: tf.strings.reduce_join(tf.ragged.constant([["a"]]), axis=0), ArgumentError, "along its last axis"),
    ],
)
def test_what_cannot_be_is_said(refused, error, told):
    with pytest.raises(error, match=told):
        refused()


def test_a_file_without_the_field(tmp_path):
    (tmp_path / "fields").write_text("a\t1\nb\n")
    with pytest.raises(DataError, match="fields: a line has no field 1"):
        tf.lookup.TextFileInitializer(tmp_path / "fields", tf.string, 0, tf.int64, 1)


def test_texts_read_as_tensors_do():
    text = tf.constant("é")
    assert text.shape == [] and text.dtype == tf.string and text == "é" and isinstance(text, str)
    several = tf.constant([["a", "b"]])
    assert several[0, 1].numpy() == b"b" and several[0].shape == (2,) and torch.is_tensor(tf.strings.length(several))

"""`tf.data` and its specs, against what TensorFlow 2.21 gives (`tensorflow_data_values.json`)."""

import itertools

import numpy as np
import pytest
import torch
from tensorflow_recorded import evaluated, expected, same

import lamella.tensorflow_stand_in as tf
from lamella.errors import ArgumentError, DataError, ShapeError

EXPECTED = expected("tensorflow_data_values.json")
NAMES = """
def rows(*lists):
    return Data.from_generator(lambda: iter(lists), output_signature=tf.TensorSpec([None], tf.int32))
lengths = lambda row: tf.shape(row)[0]
some = ([1], [1, 2, 3], [1, 2], [4, 5, 6], [3])
numbers = np.arange(12).reshape(6, 2).astype("float32")
"""


@pytest.fixture(scope="module")
def found():
    return evaluated(list(EXPECTED), NAMES)


@pytest.mark.parametrize("expression", EXPECTED)
def test_gives_what_tensorflow_gives(expression, found):
    assert same(EXPECTED[expression], found[expression]), found[expression]


def test_what_the_items_are_is_told_without_a_trace():
    drawn = tf.data.Dataset.range(6).shuffle(6, seed=1).map(lambda x: x + torch.rand(()))
    torch.manual_seed(0)
    plain = [each.item() for each in drawn], [each.item() for each in drawn]
    again = tf.data.Dataset.range(6).shuffle(6, seed=1).map(lambda x: x + torch.rand(()))
    torch.manual_seed(0)
    assert again.element_spec == tf.TensorSpec([], tf.float32)
    first = [each.item() for each in again]
    assert again.batch(4).element_spec == tf.TensorSpec([None], tf.float32)
    assert (first, [each.item() for each in again]) == plain
    with pytest.raises(DataError, match="no item"):
        tf.data.Dataset.range(0).element_spec  # noqa: B018


def test_random_numbers_are_the_same_each_time():
    data = tf.data.Dataset.random(seed=3).take(5)
    assert [each.item() for each in data] == [each.item() for each in data]
    assert all(0 <= each < 2**32 for each in data)


def test_a_saved_data_set_comes_back(tmp_path):
    pytest.importorskip("google_crc32c")
    data = tf.data.Dataset.from_tensor_slices(({"a": [1.5, 2.5], "b": ["x", "é"]}, [[1, 2], [3, 4]]))
    for compression in (None, "GZIP"):
        data.save(tmp_path / "kept", compression)
        again = tf.data.Dataset.load(str(tmp_path / "kept"))
        assert len(again) == 2 and again.element_spec == data.element_spec
        for (a, b), (c, d) in zip(data, again, strict=True):
            assert torch.equal(a["a"], c["a"]) and a["b"].numpy() == c["b"].numpy() and torch.equal(b, d)
    tf.data.Dataset.range(0).save(tmp_path / "none")
    assert list(tf.data.Dataset.load(tmp_path / "none")) == []
    (tmp_path / "kept" / "items.tfrecord").write_bytes(b"damaged")
    with pytest.raises(DataError, match="record 0"):
        list(again)
    (tmp_path / "kept" / "nesting.json").write_text('{"items": "all"}')
    for folder, told in [("kept", "damaged"), ("nowhere", "no stream")]:
        with pytest.raises(DataError, match=told):
            tf.data.Dataset.load(tmp_path / folder)
    (tmp_path / "kept" / "dataset_spec.pb").touch()
    with pytest.raises(DataError, match="TFRecord"):
        tf.data.Dataset.load(tmp_path / "kept")
    with pytest.raises(DataError, match="item 1 is nested"):
        tf.data.Dataset.from_generator(lambda: iter([1, (1, 2)])).save(tmp_path / "other")


def test_a_snapshot_is_made_once(tmp_path):
    pytest.importorskip("google_crc32c")
    made = []
    data = tf.data.Dataset.range(3).map(lambda x: made.append(1) or x * 2).snapshot(str(tmp_path))
    next(iter(data))
    assert len(list(data)) == 3 and len(made) == 4
    assert [each.item() for each in data] == [0, 2, 4] and len(made) == 4


def test_classes_come_as_often_as_they_should():
    data = tf.data.Dataset.range(4000).map(lambda x: (x % 10 == 0).int())
    for initial in ([0.9, 0.1], None):
        drawn = data.rejection_resample(lambda x: x, [0.5, 0.5], initial, seed=0)
        classes = [int(each) for each, _ in drawn]
        assert 0.4 < sum(classes) / len(classes) < 0.6 and sum(classes) > 300


def test_pieces_of_files(tmp_path):
    (tmp_path / "pieces").write_bytes(b"head" + bytes(range(6)))
    found = list(tf.data.FixedLengthRecordDataset(str(tmp_path / "pieces"), 2, header_bytes=4))
    assert found == [b"\0\1", b"\2\3", b"\4\5"]
    with pytest.raises(DataError, match="10 bytes are not a whole number of records of 4"):
        list(tf.data.FixedLengthRecordDataset(tmp_path / "pieces", 4))


def test_options_are_taken():
    options = tf.data.Options()
    options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.DATA
    options.deterministic = False
    data = tf.data.Dataset.range(2)
    assert data.with_options(options) is data and options.deterministic is False


def test_errors_are_left_out():
    data = tf.data.Dataset.range(4).map(lambda x: 1 // int(x - 2))
    assert list(data.ignore_errors()) == [-1, -1, 1]
    with pytest.raises(ArgumentError, match="right after `map`"):
        tf.data.Dataset.range(4).ignore_errors()


@pytest.mark.parametrize(
    ("refused", "error", "told"),
    [
        (lambda data: data.group_by_window(len, len), ArgumentError, "window_size"),
        (lambda data: data.bucket_by_sequence_length(len, [2], [2]), ArgumentError, "2 batch sizes"),
        (lambda data: data.get_single_element(), DataError, "more than one"),
        (lambda data: data.take(0).get_single_element(), DataError, "no item"),
        (lambda data: list(data.apply(tf.data.experimental.assert_cardinality(2))), DataError, "has more"),
        (lambda data: list(data.apply(tf.data.experimental.assert_cardinality(7))), DataError, "has 5"),
        (
            lambda data: list(data.bucket_by_sequence_length(lambda x: 9, [2], [2, 2], pad_to_bucket_boundary=True)),
            ShapeError,
            "shorter than 2",
        ),
    ],
)
def test_what_cannot_be_is_said(refused, error, told):
    with pytest.raises(error, match=told):
        refused(tf.data.Dataset.range(5))


def test_items_of_examples_in_batches(tmp_path):
    pytest.importorskip("google_crc32c")
    records = []
    for label in range(4):
        feature = tf.train.Feature(int64_list=tf.train.Int64List(value=[label]))
        records.append(tf.train.Example(features=tf.train.Features(feature={"y": feature})).SerializeToString())
    path = str(tmp_path / "own.tfrecord")
    tf.data.experimental.TFRecordWriter(path).write(tf.data.Dataset.from_tensor_slices(records))
    spec = {"y": tf.io.FixedLenFeature([], tf.int64)}
    data = tf.data.experimental.make_batched_features_dataset(path, 2, spec, num_epochs=1, shuffle=False)
    parsed = tf.data.TFRecordDataset(path).batch(2).apply(tf.data.experimental.parse_example_dataset(spec))
    for each in (data, parsed):
        assert [batch["y"].tolist() for batch in each] == [[0, 1], [2, 3]]
    pairs = tf.data.experimental.make_batched_features_dataset(path, 2, spec, label_key="y")
    assert [len(y) for _, y in itertools.islice(pairs, 3)] == [2, 2, 2]


def test_numbers_of_numpy_iterators_are_scalars():
    numbers = list(tf.data.Dataset.range(3).as_numpy_iterator())
    assert numbers == [0, 1, 2] and all(isinstance(each, np.int64) for each in numbers)
    assert next(tf.data.Dataset.from_tensor_slices(["a"]).as_numpy_iterator()) == b"a"
    assert next(tf.data.Dataset.from_tensors([1.0, 2.0]).as_numpy_iterator()).tolist() == [1.0, 2.0]


def test_a_list_that_a_mapped_function_gives_is_a_tuple():
    lines = tf.data.Dataset.from_tensor_slices(["1,2", "3,4"])
    parts = lines.map(lambda line: tf.io.decode_csv(line, [0.0, 0]))
    assert [type(item) for item in parts] == [tuple, tuple]
    assert [float(total) for total in parts.map(lambda a, b: a + tf.cast(b, tf.float32))] == [3.0, 7.0]


def test_size_of_strings():
    assert int(tf.size(tf.strings.split("a b c"))) == 3
    assert int(tf.size(tf.constant([["a", "b"]]))) == 2 and int(tf.size("a")) == 1


def test_get_next():
    items = iter(tf.data.Dataset.range(4).batch(2).map(lambda x: x + 1))
    assert items.get_next().tolist() == [1, 2] and next(items).tolist() == [3, 4]
    with pytest.raises(StopIteration):
        items.get_next()


def test_samples_of_different_shapes_need_a_padded_batch():
    data = tf.data.Dataset.from_generator(lambda: iter([[1], [2, 3]]), output_signature=tf.TensorSpec([None]))
    with pytest.raises(ShapeError, match=r"\[\(1,\), \(2,\)\].*padded_batch"):
        list(data.batch(2))

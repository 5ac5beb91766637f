"""TFRecord files, against those that TensorFlow 2.21 wrote, and what it read there (`tensorflow_records.json`)."""

import base64
import gzip
import json
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch

import lamella
import lamella.tensorflow_stand_in as tf
from lamella import layers
from lamella.errors import ArgumentError, DataError
from lamella.utils import record_files, records_dataset_from_files, write_records

google_crc32c = pytest.importorskip("google_crc32c")

KNOWN = json.loads((Path(__file__).parent / "tensorflow_records.json").read_text(encoding="utf-8"))
RECORDS = [base64.b64decode(each) for each in KNOWN["records"]]
Fixed, Var = tf.io.FixedLenFeature, tf.io.VarLenFeature


@pytest.fixture
def files(tmp_path):
    for kind, content in KNOWN["files"].items():
        (tmp_path / f"known{kind}.tfrecord").write_bytes(base64.b64decode(content))
    return tmp_path


@pytest.mark.parametrize("kind", ["", "GZIP", "ZLIB"])
def test_reads_what_tensorflow_wrote(files, kind):
    found = tf.data.TFRecordDataset(str(files / f"known{kind}.tfrecord"), compression_type=kind)
    assert [each.numpy() for each in found] == RECORDS
    assert list(tf.data.TFRecordDataset([files / f"known{kind}.tfrecord"] * 2, kind)) == RECORDS * 2


@pytest.mark.parametrize(("kind", "unpacked"), [("", bytes), ("GZIP", gzip.decompress), ("ZLIB", zlib.decompress)])
def test_writes_what_tensorflow_writes(tmp_path, kind, unpacked):
    with tf.io.TFRecordWriter(tmp_path / "own", tf.io.TFRecordOptions(compression_type=kind)) as writer:
        for record in RECORDS:
            writer.write(record)
    assert unpacked((tmp_path / "own").read_bytes()) == base64.b64decode(KNOWN["files"][""])
    with pytest.raises(TypeError, match="of bytes"), tf.io.TFRecordWriter(tmp_path / "other") as writer:
        writer.write("text")


def test_files_in_turns(files):
    paths = [str(files / "known.tfrecord"), str(files / "knownsequences.tfrecord")]
    in_turns = list(tf.data.TFRecordDataset(paths, num_parallel_reads=2))
    assert in_turns[::2][:3] == RECORDS[:3] and len(in_turns) == 7
    names = tf.data.Dataset.list_files(paths, shuffle=False)
    assert list(names.interleave(tf.data.TFRecordDataset, cycle_length=2)) == in_turns
    assert list(tf.data.TFRecordDataset(names)) == list(tf.data.TFRecordDataset(paths))


def test_what_is_damaged_is_named(tmp_path):
    whole = base64.b64decode(KNOWN["files"][""])
    second = 16 + len(RECORDS[0])
    changed = bytearray(whole)
    changed[second + 20] ^= 1
    size = struct.pack("<Q", 2**62)
    for content, told in [
        (size + record_files._masked(google_crc32c)(size), r"record 0 .*4,611,686,018,427,387,904 bytes, more than"),
        (whole[: second + 14], r"damaged: record 1 .*cut off: 2 of"),
        (whole[: second + 5], r"damaged: record 1 .*cut off"),
        (changed, r"damaged: record 1 .*checksum is wrong"),
        (b"this is a text, and no record at all", r"record 0 .*as not compressed"),
    ]:
        (tmp_path / "damaged").write_bytes(content)
        with pytest.raises(DataError, match=told):
            list(tf.data.TFRecordDataset(tmp_path / "damaged"))
    (tmp_path / "cut").write_bytes(base64.b64decode(KNOWN["files"]["GZIP"])[:-20])
    with pytest.raises(tf.errors.DataLossError, match=r"cut: record . .*cannot be decompressed"):
        list(tf.data.TFRecordDataset(tmp_path / "cut", "GZIP"))
    for kind in ("GZIP", "ZLIB"):
        with pytest.raises(DataError, match=r"record 0 .*compressed by"):
            list(tf.data.TFRecordDataset(tmp_path / "damaged", kind))
    with pytest.raises(tf.errors.NotFoundError):
        list(tf.data.TFRecordDataset(tmp_path / "nowhere"))
    with pytest.raises(ArgumentError, match="compression"):
        tf.io.TFRecordOptions("BZIP")


def test_examples_are_parsed_as_tensorflow_does():
    spec = {
        "x": Fixed([2, 3], tf.float32),
        "y": Fixed([], tf.int64),
        "s": Fixed([], tf.string),
        "v": Var(tf.int64),
        "z": Fixed([2], tf.float32, default_value=[1.0, 2.0]),
    }
    found = tf.io.parse_example(RECORDS, spec)
    sparse = found["v"]
    assert [sparse.indices.tolist(), sparse.values.tolist(), sparse.dense_shape.tolist()] == KNOWN["sparse"]
    found["v"] = tf.sparse.to_dense(sparse)
    assert [each.decode() for each in found["s"].numpy()] == KNOWN["batch"].pop("s")
    assert {key: value.tolist() for key, value in found.items() if key != "s"} == KNOWN["batch"]
    one = tf.io.parse_single_example(RECORDS[2], spec)
    assert one["s"].numpy() == "é2".encode() and one["y"].dtype == torch.int64 and one["v"].values.tolist() == [-2, -1]
    ragged = tf.io.parse_example(RECORDS, {"v": tf.io.RaggedFeature(tf.int64)})["v"]
    assert ragged.to_list() == KNOWN["ragged"]
    rows = {"v": tf.io.FixedLenSequenceFeature([], tf.int64, allow_missing=True, default_value=9)}
    assert tf.io.parse_example(RECORDS, rows)["v"].tolist() == KNOWN["rows"]


def test_sequences_of_features(files):
    records = list(tf.data.TFRecordDataset(files / "knownsequences.tfrecord"))
    spec = {"n": Fixed([], tf.int64)}, {"w": tf.io.FixedLenSequenceFeature([2], tf.int64)}
    context, steps, lengths = tf.io.parse_sequence_example(records, *spec)
    assert [context["n"].tolist(), steps["w"].tolist(), lengths["w"].tolist()] == KNOWN["sequences"]
    _, steps = tf.io.parse_single_sequence_example(records[1], None, {"w": Var(tf.int64)})
    assert steps["w"].to_dense().tolist() == [[0, 1], [1, 2]]
    with pytest.raises(DataError, match="'q' is not in the example"):
        tf.io.parse_single_sequence_example(records[1], None, {"q": tf.io.FixedLenSequenceFeature([2], tf.int64)})


@pytest.mark.parametrize(
    ("feature", "error", "told"),
    [
        ({"x": Fixed([], tf.float32)}, DataError, "holds 6 values"),
        ({"q": Fixed([], tf.float32)}, DataError, "'q' is not in the example"),
        ({"x": Fixed([6], tf.int64)}, DataError, "holds values of torch.float32"),
        ({"x": Fixed([6], tf.int32)}, ArgumentError, "Cast it afterwards"),
        ({"x": tf.float32}, ArgumentError, "FixedLenFeature"),
    ],
)
def test_features_that_are_not_as_they_were_said(feature, error, told):
    with pytest.raises(error, match=told):
        tf.io.parse_single_example(RECORDS[0], feature)
    with pytest.raises(DataError, match="no Example"):
        tf.io.parse_single_example(b"nonsense", feature if error is DataError else {})


def test_messages():
    known = tf.train
    feature = known.Feature(int64_list=known.Int64List(value=[True, np.int64(2), torch.tensor(3)]))
    sent = known.Example(features=known.Features(feature={"a": feature}))
    again = known.Example()
    again.ParseFromString(sent.SerializeToString())
    assert again == known.Example.FromString(sent.SerializeToString()) == sent
    assert again.features.feature["a"].int64_list.value == [1, 2, 3] and "int64_list" in str(again)
    assert known.Example.FromString(RECORDS[1]).SerializeToString(deterministic=True) == RECORDS[1]
    with pytest.raises(AttributeError, match="Nothing"):
        known.Nothing  # noqa: B018


@pytest.mark.parametrize("expression", KNOWN["serialized"])
def test_tensors_as_bytes(expression):
    tensor, known = eval(expression), base64.b64decode(KNOWN["serialized"][expression])
    assert tf.io.serialize_tensor(tensor).numpy() == known
    kind = tf.string if isinstance(tensor, np.ndarray) else tensor.dtype
    again = tf.io.parse_tensor(known, kind)
    if kind == tf.string:
        assert again.numpy().tolist() == tensor.numpy().tolist()
    else:
        assert again.dtype == kind and torch.equal(again, tensor)
    with pytest.raises(DataError, match="parse_tensor"):
        tf.io.parse_tensor(known, tf.int64)


def test_raw_bytes():
    assert tf.io.decode_raw(b"\1\2\3\4", tf.int16).tolist() == [513, 1027]
    assert tf.io.decode_raw(tf.constant([b"\1\2", b"\3\4"]), tf.uint8).tolist() == [[1, 2], [3, 4]]
    assert tf.io.decode_raw(b"\1\2", tf.int16, little_endian=False).tolist() == [258]
    assert tf.io.decode_raw(b"\1\2\3", tf.int16, fixed_length=4).tolist() == [513, 3]
    assert tf.io.decode_raw(b"", tf.float32).shape == (0,)
    with pytest.raises(DataError, match="3 bytes"):
        tf.io.decode_raw(b"\1\2\3", tf.int16)
    assert tf.io.decode_base64(tf.io.encode_base64(b"ab?c")) == b"ab?c" and tf.io.encode_base64(b"ab?c") == b"YWI_Yw"


def test_pictures_in_records_train(tmp_path):
    """As tutorials do it: pictures as PNG in records, decoded in a map, cached, shuffled, trained on."""
    path = tmp_path / "pictures.tfrecord"
    rng = np.random.default_rng(0)
    with tf.io.TFRecordWriter(str(path)) as writer:
        for label in [0, 1] * 8:
            picture = tf.constant(rng.integers(0, 60, (4, 4, 3)) + 180 * label, dtype=tf.uint8)
            content = tf.io.encode_png(picture)
            features = {
                "picture": tf.train.Feature(bytes_list=tf.train.BytesList(value=[content.numpy()])),
                "label": tf.train.Feature(int64_list=tf.train.Int64List(value=[label])),
            }
            writer.write(tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString())

    def parse(record):
        spec = {"picture": Fixed([], tf.string), "label": Fixed([], tf.int64)}
        found = tf.io.parse_single_example(record, spec)
        return tf.cast(tf.io.decode_png(found["picture"], channels=3), tf.float32) / 255.0, found["label"]

    data = tf.data.TFRecordDataset(str(path)).map(parse, num_parallel_calls=tf.data.AUTOTUNE).cache()
    model = lamella.Sequential([layers.Flatten(), layers.Dense(2)])
    loss = lamella.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(lamella.optimizers.Adam(0.1), loss, metrics=["accuracy"])
    model.fit(data.shuffle(16, seed=0).batch(8).prefetch(1), epochs=8, verbose=0)
    assert model.evaluate(data.batch(8), verbose=0, return_dict=True)["accuracy"] == 1


def test_sparse_tensors_of_a_map_are_batched():
    data = tf.data.Dataset.from_tensor_slices(RECORDS).map(
        lambda each: tf.io.parse_single_example(each, {"v": Var(tf.int64)})
    )
    found = [tf.sparse.to_dense(each["v"], default_value=-9).tolist() for each in data.batch(3)]
    assert found == [[[-9, -9], [-2, -9], [-2, -1]], [[-2, -1, 0]]]


def test_files_and_folders(tmp_path):
    room = tf.io.gfile
    folder = room.join(str(tmp_path), "a", "b")
    room.makedirs(folder)
    room.makedirs(folder)
    with room.GFile(f"{folder}/text.txt", "w") as file:
        file.write("é")
    with room.GFile(f"{folder}/text.txt") as text, room.GFile(f"{folder}/text.txt", "rb") as raw:
        assert text.read() == "é" and raw.read() == "é".encode()
    assert room.exists(folder) and room.isdir(folder) and room.listdir(folder) == ["text.txt"]
    assert tf.io.matching_files(f"{folder}/*.txt").numpy().tolist() == [f"{folder}/text.txt".encode()]
    assert room.glob(f"{folder}/*.png") == [] and tf.io.matching_files(f"{folder}/*.png").shape == (0,)
    room.copy(f"{folder}/text.txt", f"{folder}/other.txt")
    for change in (room.copy, room.rename):
        with pytest.raises(FileExistsError, match="overwrite=True"):
            change(f"{folder}/text.txt", f"{folder}/other.txt")
    room.rename(f"{folder}/text.txt", f"{folder}/other.txt", overwrite=True)
    assert room.stat(f"{folder}/other.txt").st_size == 2
    assert [names for _, _, names in room.walk(folder)] == [["other.txt"]]
    room.remove(f"{folder}/other.txt")
    room.rmtree(str(tmp_path / "a"))
    assert not room.exists(folder)


def test_a_picture_in_a_file_of_jpeg():
    picture = torch.full((4, 6, 3), 128, dtype=torch.uint8)
    content = tf.io.encode_jpeg(picture)
    assert tf.io.is_jpeg(content) and tf.io.extract_jpeg_shape(content).tolist() == [4, 6, 3]
    assert torch.equal(tf.io.decode_jpeg(content), picture)
    grey = tf.io.decode_png(tf.io.encode_png(picture[..., :1]))
    assert torch.equal(grey, picture[..., :1]) and not tf.io.is_jpeg(b"GIF")
    with pytest.raises(DataError, match="uint8"):
        tf.io.encode_png(picture.float())


# Without the alias


def test_a_data_set_of_files(tmp_path):
    rows = [{"x": np.full((2, 2), i, "f"), "y": i, "name": f"n{i}", "some": list(range(i))} for i in range(5)]
    write_records(tmp_path / "a-0.tfrecord", rows[:3])
    write_records(tmp_path / "a-1.tfrecord", rows[3:])
    features = {"x": (2, 2), "y": (), "name": (), "some": None}
    found = list(records_dataset_from_files(tmp_path / "a-*.tfrecord", features, "y", 4, shuffle=False))
    inputs, targets = found[0]
    assert inputs["x"].shape == (4, 2, 2) and targets.tolist() == [0, 1, 2, 3] and targets.dtype == torch.int64
    assert inputs["name"].tolist() == [b"n0", b"n1", b"n2", b"n3"]
    assert inputs["some"].tolist() == [[0, 0, 0], [0, 0, 0], [0, 1, 0], [0, 1, 2]]
    drawn = records_dataset_from_files(tmp_path / "a-*.tfrecord", {"y": ()}, batch_size=None, seed=1)
    first, second = [[int(each) for each in drawn] for _ in range(2)]
    assert first != second and sorted(first) == sorted(second) == [0, 1, 2, 3, 4]


def test_a_data_set_of_files_that_does_not_fit(tmp_path):
    write_records(tmp_path / "a", [{"x": [1.0, 2.0]}], "GZIP")

    def read(features, **options):
        return list(records_dataset_from_files(tmp_path / "a", features, compression="GZIP", **options))

    for features, told in [({"x": (3,)}, "has 2 values"), ({"y": ()}, "'y' is not in an example")]:
        with pytest.raises(DataError, match=told):
            read(features)
    with pytest.raises(ArgumentError, match="none of the features"):
        read({"x": (2,)}, target="y")
    with pytest.raises(ArgumentError, match="no file"):
        records_dataset_from_files(tmp_path / "b", {"x": (2,)})
    with pytest.raises(DataError, match="numbers, texts or bytes"):
        write_records(tmp_path / "c", [{"x": [1j]}])


def test_a_model_learns_from_files(tmp_path):
    x = torch.linspace(-1, 1, 64)[:, None]
    write_records(tmp_path / "line", [{"x": each, "y": 3 * each + 1} for each in x.numpy()])
    data = records_dataset_from_files(tmp_path / "line", {"x": (1,), "y": (1,)}, "y", 16, seed=0)
    model = lamella.Sequential([layers.Dense(1)])
    model.compile(lamella.optimizers.Adam(0.1), "mse")
    model.fit(data, epochs=60, verbose=0)
    assert model.evaluate(data, verbose=0) < 1e-3

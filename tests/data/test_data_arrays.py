"""Arrays as a source of batches: types, memory, order, structures, weights."""

import collections

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from lamella.data.adapters import make_source, train_validation_split
from lamella.data.batch import pack_x_y_sample_weight, unpack_x_y_sample_weight, with_class_weight

pd = pytest.importorskip("pandas")


def rows(n, features=3):
    """Row i is filled with i, so that a batch tells which samples it holds."""
    return np.repeat(np.arange(n, dtype="float32")[:, None], features, axis=1)


def order_of(batches):
    return torch.cat([x[:, 0] for x, _, _ in batches]).int().tolist()


class CountedCalls(TorchDispatchMode):
    def __init__(self):
        super().__init__()
        self.counts = collections.Counter()

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        self.counts[function.overloadpacket.__name__] += 1
        return function(*args, **(kwargs or {}))


# Types and memory


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("float32", torch.float32),
        ("float64", torch.float32),
        ("float16", torch.float32),
        ("longdouble", torch.float32),
        (">f4", torch.float32),
        ("int8", torch.int8),
        ("uint8", torch.uint8),
        ("int32", torch.int32),
        ("int64", torch.int64),
        (">i4", torch.int32),
        ("bool", torch.bool),
    ],
)
def test_floats_become_float32_and_whole_numbers_stay(given, expected):
    values = np.array([[1, 0], [0, 1], [1, 1]])
    x, _, _ = make_source(values.astype(given), batch_size=3).peek()
    assert x.dtype == expected
    assert x.int().tolist() == values.tolist()


@pytest.mark.parametrize("given", [torch.float64, torch.float16, torch.int32, torch.uint8, torch.bool])
def test_tensors_follow_the_same_rule(given):
    x, _, _ = make_source(torch.ones(3, 2, dtype=given)).peek()
    assert x.dtype == (torch.float32 if given.is_floating_point else given)


def test_floats_take_the_type_that_is_asked_for():
    source = make_source(np.ones((3, 2), "float32"), np.ones(3), [1, 2, 3], dtype=torch.float64)
    assert [part.dtype for part in source.peek()] == [torch.float64] * 3


def test_a_parameter_comes_without_its_gradient():
    x, _, _ = make_source(torch.nn.Parameter(torch.ones(3, 2))).peek()
    assert not x.requires_grad


def test_memory_is_shared_where_the_type_fits():
    array = rows(8)
    x, _, _ = make_source(array, batch_size=4).peek()
    assert x.data_ptr() == array.ctypes.data
    tensor = torch.ones(8, 2)
    assert make_source(tensor).peek()[0].data_ptr() == tensor.data_ptr()


@pytest.mark.parametrize("make", ["read_only", "reversed", "fortran", "every_second"])
def test_odd_memory_layouts_are_read_right_and_without_a_warning(make):
    array = rows(8)
    if make == "read_only":
        array.flags.writeable = False
    given = {"reversed": array[::-1], "fortran": np.asfortranarray(array), "every_second": array[::2]}.get(make, array)
    x, _, _ = make_source(given, batch_size=8).peek()
    np.testing.assert_array_equal(x.numpy(), given)


def test_unshuffled_batches_are_views():
    array = rows(10)
    starts = [x.data_ptr() for x, _, _ in make_source(array, np.zeros(10), batch_size=4).batches()]
    assert starts == [array[i:].ctypes.data for i in (0, 4, 8)]


# Order


@pytest.mark.parametrize(("n", "size", "features"), [(10, 4, 3), (12, 4, 3), (3, 32, 1), (40, 16, 3000), (7, 1, 2)])
@pytest.mark.parametrize("shuffle", [False, True, "batch"])
@pytest.mark.parametrize("weighted", [False, True])
def test_each_epoch_has_each_sample_once_and_parts_stay_together(n, size, features, shuffle, weighted):
    weight = np.arange(n) * 10.0 if weighted else None
    source = make_source(rows(n, features), np.arange(n), weight, batch_size=size, shuffle=shuffle)
    assert (source.num_samples, source.batch_size, source.num_batches) == (n, size, -(-n // size))
    for _ in range(2):
        batches = list(source.batches())
        assert len(batches) == source.num_batches
        assert sorted(len(x) for x, _, _ in batches) == sorted([size] * (n // size) + [n % size] * (n % size > 0))
        assert sorted(order_of(batches)) == list(range(n))
        for x, y, w in batches:
            assert x.shape[1:] == (features,)
            assert torch.equal(x[:, 0].long(), y)
            assert w is None if not weighted else torch.equal(w, y * 10.0)


def test_a_shuffled_epoch_has_a_new_order_that_the_seed_decides():
    source = make_source(rows(50), np.arange(50), batch_size=8, shuffle=True)
    torch.manual_seed(5)
    first, second = order_of(source.batches()), order_of(source.batches())
    torch.manual_seed(5)
    again = order_of(source.batches())
    assert first == again
    assert first != second
    assert first != sorted(first)


def test_shuffle_batch_moves_whole_batches():
    source = make_source(rows(64), batch_size=4, shuffle="batch")
    starts = [x[0, 0].int().item() for x, _, _ in source.batches()]
    for x, _, _ in source.batches():
        assert torch.equal(x[:, 0] - x[0, 0], torch.arange(4.0))
    assert sorted(starts) == list(range(0, 64, 4))
    assert starts != sorted(starts)


def test_peek_shows_the_first_batch_and_does_not_use_it_up():
    source = make_source(rows(10), np.arange(10), batch_size=4)
    assert torch.equal(source.peek()[0], source.peek()[0])
    assert order_of(source.batches()) == list(range(10))
    assert torch.equal(source.targets(), torch.arange(10))


def test_small_batches_are_gathered_together():
    source = make_source(rows(1000, 4), np.arange(1000), batch_size=10, shuffle=True)
    with CountedCalls() as calls:
        assert len(list(source.batches())) == 100
    assert calls.counts["index_select"] == 2  # one for x, one for y
    assert calls.counts["randperm"] == 1


def test_what_is_gathered_at_once_is_bounded():
    source = make_source(rows(64, 8192), np.arange(64), batch_size=4, shuffle=True)  # a batch has 128 KiB
    with CountedCalls() as calls:
        assert all(x._base is None and x.untyped_storage().nbytes() <= 1 << 17 for x, _, _ in source.batches())
    assert calls.counts["index_select"] == 16 + 1  # the labels of all batches are small enough to go together


def test_each_array_is_gathered_in_the_same_order_whatever_its_width():
    n = 3000
    numbers = np.arange(n)
    x = {"wide": np.repeat(numbers[:, None], 600, 1).astype("float32"), "narrow": numbers[:, None].astype("float32")}
    source = make_source(x, numbers, numbers.astype("float32"), batch_size=7, shuffle=True)
    found = []
    for features, y, weight in source.batches():
        found += y.tolist()
        assert len(y) == (7 if len(found) < n else n % 7)
        for column in (features["wide"][:, 0], features["wide"][:, -1], features["narrow"][:, 0], weight):
            assert column.tolist() == y.tolist()
    assert found != list(range(n))
    assert sorted(found) == list(range(n))


# Steps


def test_an_epoch_of_some_steps_goes_on_where_the_last_one_stopped():
    source = make_source(rows(10), batch_size=2, steps=3)
    assert source.num_batches == 3
    assert order_of(source.batches()) == [0, 1, 2, 3, 4, 5]
    assert order_of(source.batches()) == [6, 7, 8, 9, 0, 1]


@pytest.mark.parametrize(("n", "steps"), [(100, 10), (100, 3), (5, 5), (7, 2)])
def test_steps_without_a_batch_size_divide_the_samples_like_keras(n, steps):
    adapters = pytest.importorskip("keras.src.trainers.data_adapters.array_data_adapter")
    keras_batch = adapters.ArrayDataAdapter(rows(n), steps=steps).batch_size
    assert make_source(rows(n), steps=steps).batch_size == keras_batch
    assert make_source(rows(n), batch_size=4, steps=steps).batch_size == 4


# Structures

Pair = collections.namedtuple("Pair", "left right")
STRUCTURES = {
    "list": lambda a, b: [a, b],
    "tuple": lambda a, b: (a, b),
    "dict": lambda a, b: {"left": a, "right": b},
    "namedtuple": Pair,
    "nested": lambda a, b: {"both": [a, (b,)], "again": a},
}


@pytest.mark.parametrize("structure", STRUCTURES)
@pytest.mark.parametrize("shuffle", [False, True])
def test_nested_inputs_keep_their_structure(structure, shuffle):
    make = STRUCTURES[structure]
    a, b = rows(10), np.arange(10)
    source = make_source(make(a, b), make(b, a), batch_size=4, shuffle=shuffle)
    seen = 0
    for x, y, weight in source.batches():
        left = torch.utils._pytree.tree_leaves(x)[0]
        expected = make(left, left[:, 0].long())
        assert torch.utils._pytree.tree_structure(x) == torch.utils._pytree.tree_structure(expected)
        for found, wanted in zip(
            torch.utils._pytree.tree_leaves((x, y)),
            torch.utils._pytree.tree_leaves((expected, make(left[:, 0].long(), left))),
            strict=True,
        ):
            assert torch.equal(found, wanted)
        assert weight is None
        seen += len(left)
    assert seen == 10


@pytest.mark.parametrize(
    ("given", "shape", "dtype"),
    [
        ([[1, 2], [3, 4], [5, 6]], (3, 2), torch.int64),
        ([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]], (3, 2), torch.float32),
        ([1, 2, 3], (3,), torch.int64),
        (((1, 2), (3, 4), (5, 6)), (3, 2), torch.int64),
        ([True, False, True], (3,), torch.bool),
        (pd.DataFrame({"a": [1, 2, 3], "b": [4, 5, 6]}), (3, 2), torch.int64),
        (pd.DataFrame({"a": [1, 2, 3], "b": [0.5, 1, 2]}), (3, 2), torch.float32),
        (pd.DataFrame({"a": [1, 2, 3], "b": [True, False, True], "c": [0.5, 1, 2]}), (3, 3), torch.float32),
        (pd.DataFrame({"a": pd.array([1, 2, 3], dtype="Int64")}), (3, 1), torch.int64),
        (pd.Series([1.0, 2.0, 3.0]), (3, 1), torch.float32),
        (pd.Series([1, 2, 3], index=[7, 8, 9]), (3, 1), torch.int64),
    ],
)
def test_lists_and_data_frames(given, shape, dtype):
    x, _, _ = make_source(given).peek()
    assert tuple(x.shape) == shape
    assert x.dtype == dtype
    np.testing.assert_allclose(x.numpy(), np.asarray(given).astype("float64").reshape(shape))


def test_anything_that_turns_into_an_array_will_do():
    class Wrapped:
        def __array__(self, dtype=None, copy=None):
            return rows(5)

    assert torch.equal(make_source(Wrapped()).peek()[0], torch.from_numpy(rows(5)))


# Weights of classes


@pytest.mark.parametrize(
    "y",
    [
        np.array([0, 2, 1, 2, 0]),
        np.array([0.0, 2.0, 1.0, 2.0, 0.0], "float32"),
        np.array([[0], [2], [1], [2], [0]]),
        np.eye(3, dtype="float32")[[0, 2, 1, 2, 0]],
        np.array([-1, 1, 1, -1, 1]),
        np.array([100000000, 2, 0, 2, 2]),
        np.array([True, False, True, True, False]),
        np.eye(3, dtype=bool)[[0, 2, 1, 2, 0]],
    ],
)
@pytest.mark.parametrize("class_weight", [{0: 0.5, 1: 2.0, 2: 3.0}, {2: 4.0}, {-1: 2.0, 1: 5.0}, {np.int64(0): 7}, {}])
def test_class_weights_like_keras(y, class_weight):
    utils = pytest.importorskip("keras.src.trainers.data_adapters.data_adapter_utils")
    expected = utils.class_weight_to_sample_weights(y, class_weight)
    found = make_source(rows(5), y, class_weight=class_weight, batch_size=5).peek()[2]
    np.testing.assert_allclose(found.numpy(), expected)


def test_class_weights_multiply_sample_weights():
    y = torch.tensor([0, 1, 1])
    assert with_class_weight(y, torch.tensor([1.0, 2.0, 3.0]), {1: 10.0}).tolist() == [1.0, 20.0, 30.0]
    per_step = with_class_weight(y, torch.ones(3, 2), {1: 10.0})
    assert per_step.tolist() == [[1.0, 1.0], [10.0, 10.0], [10.0, 10.0]]


# Splitting and packing


@pytest.mark.parametrize("share", [0.2, 0.5, 0.33, 0.9])
@pytest.mark.parametrize("kind", ["numpy", "torch", "list", "pandas", "dict"])
def test_validation_is_the_last_share_like_keras(share, kind):
    slicing = pytest.importorskip("keras.src.trainers.data_adapters.array_slicing")
    x, y, weight = rows(17), np.arange(17), np.arange(17) * 0.5
    given = {
        "numpy": (x, y, weight),
        "torch": (torch.from_numpy(x), torch.from_numpy(y), None),
        "list": (x.tolist(), y.tolist(), weight.tolist()),
        "pandas": (pd.DataFrame(x), pd.DataFrame(y), None),
        "dict": ({"a": x, "b": y}, [y, x], weight),
    }[kind]
    train, validation = train_validation_split(given, share)
    (expected, _, _), (expected_validation, _, _) = slicing.train_validation_split((x, y, weight), share)
    source, source_validation = make_source(*train), make_source(*validation)
    assert source.num_samples == expected.shape[0]
    assert source_validation.num_samples == expected_validation.shape[0]
    first = torch.utils._pytree.tree_leaves(source_validation.peek()[0])[0]
    assert first[0, 0] == expected.shape[0]
    assert (train[2] is None) == (given[2] is None)


@pytest.mark.parametrize("data", [5, (5,), (5, 6), (5, 6, 7), [5, 6], {"a": 5}])
def test_unpacking_like_keras(data):
    keras = pytest.importorskip("keras")
    assert unpack_x_y_sample_weight(data) == keras.utils.unpack_x_y_sample_weight(data)


@pytest.mark.parametrize("parts", [(5,), ((5, 6),), ([5],), (5, 6), (5, 6, 7)])
def test_packing_like_keras(parts):
    keras = pytest.importorskip("keras")
    if parts == ([5],):  # real Keras, too, wraps a list of inputs
        assert pack_x_y_sample_weight(*parts) == ([5],)
    assert pack_x_y_sample_weight(*parts) == keras.utils.pack_x_y_sample_weight(*parts)

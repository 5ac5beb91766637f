"""Windows over series, splits of data sets, and the methods of streams."""

import numpy as np
import pandas as pd
import pytest
import torch

import lamella
from lamella import utils
from lamella.errors import ArgumentError, DataError, ShapeError
from lamella.utils.slices import Slices
from lamella.utils.stream import Stream

keras = pytest.importorskip("keras")

SERIES = np.arange(60, dtype="float32").reshape(30, 2)
GOALS = np.arange(100, 130)

CASES = [
    {"sequence_length": 5},
    {"sequence_length": 4, "sampling_rate": 3, "sequence_stride": 2, "batch_size": 3},
    {"sequence_length": 4, "start_index": 6, "end_index": 25},
    {"sequence_length": 3, "start_index": 10, "sequence_stride": 4, "batch_size": 2},
    {"sequence_length": 30},
]


@pytest.mark.parametrize("arguments", CASES, ids=lambda a: "-".join(a))
@pytest.mark.parametrize("with_targets", [True, False])
def test_windows_by_their_definition(arguments, with_targets):
    options = {"sampling_rate": 1, "sequence_stride": 1, "start_index": 0, "end_index": 30, **arguments}
    first, last, rate = options["start_index"], options["end_index"], options["sampling_rate"]
    length, stride = options["sequence_length"], options["sequence_stride"]
    starts = range(first, last - (length - 1) * rate, stride)
    dataset = utils.timeseries_dataset_from_array(SERIES, GOALS if with_targets else None, **arguments)
    batches = list(dataset)
    assert len(batches) == len(dataset)
    windows = torch.cat([batch[0] if with_targets else batch for batch in batches])
    np.testing.assert_array_equal(windows, [[SERIES[s + i * rate] for i in range(length)] for s in starts])
    if with_targets:
        assert torch.cat([y for _, y in batches]).tolist() == [GOALS[s] for s in starts]


def test_targets_that_end_sooner_end_the_windows():
    dataset = utils.timeseries_dataset_from_array(SERIES, GOALS[:9], 3)
    assert sum(len(x) for x, _ in dataset) == 9


def test_a_seed_repeats_the_orders():
    def orders(seed):
        dataset = utils.timeseries_dataset_from_array(SERIES, GOALS, 3, shuffle=True, seed=seed, batch_size=None)
        return [[int(y) for _, y in dataset] for _ in range(2)]

    one = orders(1)
    assert one == orders(1) != orders(2)
    assert one[0] != one[1] and sorted(one[0]) == sorted(one[1])


@pytest.mark.parametrize(
    "arguments",
    [
        {"start_index": -1},
        {"start_index": 30},
        {"end_index": 30},
        {"start_index": 9, "end_index": 9},
        {"sampling_rate": 0},
        {"sampling_rate": 30},
        {"sequence_stride": 0},
        {"sequence_stride": 30},
    ],
    ids=str,
)
def test_windows_refused_as_in_keras(arguments):
    name = list(arguments)[-1]
    for k in (lamella, keras):
        with pytest.raises(ValueError, match=name):
            k.utils.timeseries_dataset_from_array(SERIES, GOALS, 3, **arguments)


def test_fit_trains_on_windows():
    series = np.sin(np.arange(200) / 5).astype("float32")[:, None]
    data = utils.timeseries_dataset_from_array(series, series[8:], 8, batch_size=32, shuffle=True, seed=0)
    model = lamella.Sequential([lamella.Input((8, 1)), lamella.layers.Flatten(), lamella.layers.Dense(1)])
    model.compile(lamella.optimizers.Adam(0.05), "mse")
    assert model.fit(data, epochs=20, verbose=0).history["loss"][-1] < 0.01


class TestSplit:
    @pytest.mark.parametrize(
        ("left", "right", "sizes"),
        [(0.7, None, (7, 3)), (None, 2, (8, 2)), (3, 4, (3, 4)), (0.25, 0.5, (2, 5)), (6, 0.4, (6, 4))],
    )
    def test_sizes_as_in_keras(self, left, right, sizes):
        x, y = np.arange(20).reshape(10, 2), np.arange(10)
        ours = utils.split_dataset((x, y), left, right)
        assert tuple(map(len, ours)) == sizes
        if sum(sizes) == 10:  # Keras on torch wants all samples in one of the parts
            assert tuple(map(len, keras.utils.split_dataset((x, y), left, right))) == sizes
        assert [int(goal) for _, goal in ours[0]] == list(range(sizes[0]))
        assert [int(goal) for _, goal in ours[1]] == list(range(10 - sizes[1], 10))

    def test_shuffled_parts_do_not_meet(self):
        parts = utils.split_dataset(np.arange(50), 0.6, shuffle=True, seed=1)
        left, right = ([int(x) for x in part] for part in parts)
        assert sorted(left + right) == list(range(50)) and left != sorted(left)
        assert left == [int(x) for x in utils.split_dataset(np.arange(50), 0.6, shuffle=True, seed=1)[0]]

    def test_other_kinds_of_data(self):
        torch_data = torch.utils.data.TensorDataset(torch.arange(10))
        assert [int(x) for (x,) in utils.split_dataset(torch_data, 4)[0]] == [0, 1, 2, 3]
        stream = utils.timeseries_dataset_from_array(SERIES, GOALS, 3, batch_size=4)
        left, right = utils.split_dataset(stream, 20)
        assert (len(left), len(right)) == (20, 8) and int(right[0][1]) == 120
        assert int(utils.split_dataset({"a": np.arange(4)}, 2)[1][0]["a"]) == 2

    @pytest.mark.parametrize(
        ("left", "right"), [(None, None), (0, None), (1.5, None), (10, None), (0.7, 0.7), (8, 8), (0.01, None)]
    )
    def test_refusals_as_in_keras(self, left, right):
        for k in (lamella, keras):
            with pytest.raises(ValueError):
                k.utils.split_dataset(np.arange(10), left, right)

    def test_what_cannot_be_split(self):
        with pytest.raises(TypeError, match="left_size"):
            utils.split_dataset(np.arange(4), "half")
        with pytest.raises(TypeError, match="takes arrays"):
            utils.split_dataset(iter([1]), 1)
        with pytest.raises(DataError, match="one length"):
            utils.split_dataset((np.arange(4), np.arange(5)), 1)

    def test_fit_takes_the_parts(self):
        x = np.random.default_rng(0).normal(size=(40, 3)).astype("float32")
        left, right = utils.split_dataset((x, x[:, :1]), 0.8)
        model = lamella.Sequential([lamella.Input((3,)), lamella.layers.Dense(1)])
        model.compile("adam", "mse")
        assert len(model.fit(left, validation_data=right, epochs=2, verbose=0).history["val_loss"]) == 2


class TestStream:
    def numbers(self, count=7):
        return Stream(lambda: iter(range(count)), count)

    def test_methods(self):
        numbers = self.numbers()
        assert list(numbers.take(3)) == [0, 1, 2] and len(numbers.take(30)) == 7
        assert list(numbers.skip(5)) == [5, 6] and len(numbers.skip(5)) == 2
        assert list(numbers.repeat(2).skip(6).take(2)) == [6, 0] and len(numbers.repeat(2)) == 14
        assert [x.tolist() for x in numbers.batch(3)] == [[0, 1, 2], [3, 4, 5], [6]] and len(numbers.batch(3)) == 3
        assert len(list(numbers.batch(3, drop_remainder=True))) == len(numbers.batch(3, drop_remainder=True)) == 2
        assert [int(x) for x in numbers.batch(3).unbatch()] == list(range(7))
        assert list(numbers.map(lambda x: (x, -x)).map(lambda x, y: y - x)) == [-2 * i for i in range(7)]
        assert numbers.cardinality() == 7 and numbers.repeat().cardinality() == -1
        assert list(numbers.prefetch(2)) == list(numbers.as_numpy_iterator()) == list(range(7))

    def test_shuffle(self):
        mixed = list(self.numbers(50).shuffle(10, seed=1))
        assert sorted(mixed) == list(range(50)) and mixed != list(range(50))
        assert all(place >= number - 10 for place, number in enumerate(mixed))
        assert mixed == list(self.numbers(50).shuffle(10, seed=1))
        with pytest.raises(ArgumentError, match="buffer_size"):
            self.numbers().shuffle(0)

    def test_a_seed_gives_each_epoch_its_order(self):
        epochs = self.numbers(50).shuffle(10, seed=1)
        orders = [list(epochs), list(epochs), list(epochs), list(epochs)]
        assert len(set(map(tuple, orders))) == 4
        resumed = self.numbers(50).shuffle(10, seed=1).map(lambda x: x)
        resumed.set_epoch(2)
        assert list(resumed) == orders[2]
        twice = self.numbers(50).shuffle(10, seed=1).repeat(2)
        twice.set_epoch(1)
        assert list(twice) == orders[2] + orders[3]

    def test_an_order_without_a_seed_follows_from_one_draw(self):
        def orders(drawn_by_model):
            torch.manual_seed(3)
            found = []
            for x in self.numbers(20).shuffle(10).repeat(3):
                torch.rand(drawn_by_model)
                found.append(x)
            return found

        first = orders(0)
        assert first == orders(5)
        assert len({tuple(first[i : i + 20]) for i in (0, 20, 40)}) == 3

    def test_nothing_repeated_is_nothing(self):
        assert list(self.numbers(0).repeat()) == []
        assert list(self.numbers(3).repeat(0)) == []

    def test_cache_reads_once(self):
        read = []
        cached = self.numbers(3).map(lambda x: read.append(x) or x).cache()
        next(iter(cached))  # an epoch that is broken off does not count
        assert [list(cached), list(cached)] == [[0, 1, 2], [0, 1, 2]]
        assert read == [0, 0, 1, 2]

    def test_an_unknown_length(self):
        with pytest.raises(TypeError, match="not known"):
            len(self.numbers().batch(2).unbatch())

    def test_one_order_for_all_epochs(self):
        fixed = self.numbers(50).shuffle(50, reshuffle_each_iteration=False)
        assert list(fixed) == list(fixed) != list(range(50))
        whole = self.numbers(50).shuffle(50, seed=1)
        assert sorted(whole) == list(range(50)) and list(whole) != list(whole)

    def test_lengths_that_follow(self):
        numbers = self.numbers()
        assert len(numbers.concatenate(self.numbers(3))) == 10 and len(numbers.enumerate()) == 7
        assert [len(numbers.shard(3, index)) for index in range(3)] == [3, 2, 2]
        assert [len(list(numbers.shard(3, index))) for index in range(3)] == [3, 2, 2]
        assert numbers.take(-1) is numbers and numbers.filter(lambda x: x > 3).cardinality() == -2
        assert numbers.apply(len) == 7 and numbers.reduce(1, lambda a, b: a + b) == 22

    @pytest.mark.parametrize(
        ("method", "arguments", "message"),
        [("shard", (3, 3), r"in \[0, 3\); got 3"), ("batch", (0,), "1 or more; got 0"), ("shuffle", (0,), "1 or more")],
    )
    def test_what_cannot_be_is_refused(self, method, arguments, message):
        with pytest.raises(ArgumentError, match=message):
            getattr(self.numbers(), method)(*arguments)

    def test_windows_of_pairs(self):
        pairs = self.numbers(4).map(lambda x: (x, -x)).window(2)
        assert [[list(part) for part in window] for window in pairs] == [[[0, 1], [0, -1]], [[2, 3], [-2, -3]]]

    def test_padded_batches_of_pairs_and_texts(self):
        def made():
            yield torch.tensor([1]), "a"
            yield torch.tensor([2, 3]), "b"

        ((numbers, texts),) = Stream(made).padded_batch(2)
        assert numbers.tolist() == [[1, 0], [2, 3]] and texts.tolist() == ["a", "b"]
        ((numbers, _),) = Stream(made).padded_batch(2, padded_shapes=([3], []), padding_values=(9, ""))
        assert numbers.tolist() == [[1, 9, 9], [2, 3, 9]]
        with pytest.raises(ShapeError, match="does not fit into"):
            list(Stream(made).padded_batch(2, padded_shapes=([1], [])))


class TestSlices:
    X = np.arange(40, dtype="float32").reshape(20, 2)

    def test_samples_and_batches_are_those_of_the_arrays(self):
        slices = Slices({"x": self.X, "y": list(range(20))})
        assert len(slices) == 20 and next(iter(slices))["x"].tolist() == [0, 1]
        batches = list(slices.batch(8))
        assert [len(batch["y"]) for batch in batches] == [8, 8, 4]
        assert torch.cat([batch["x"] for batch in batches]).tolist() == self.X.tolist()
        assert (batches[0]["x"].dtype, batches[0]["y"].dtype) == (torch.float32, torch.int32)

    def test_rows_stay_together_and_orders_are_drawn_anew(self):
        slices = Slices((self.X, np.arange(20))).shuffle(20, seed=1)
        orders = []
        for _ in range(2):
            batches = list(slices.repeat(2).batch(8, drop_remainder=True))
            assert [len(y) for _, y in batches] == [8] * 5
            orders.append(torch.cat([y for _, y in batches]).tolist())
            assert all(x[:, 0].tolist() == (2 * y).tolist() for x, y in batches)
        assert orders[0] != orders[1] and sorted(orders[0]) == sorted(list(range(20)) * 2)
        resumed = Slices((self.X, np.arange(20))).shuffle(20, seed=1)
        resumed.set_epoch(1)
        assert [int(y) for _, y in resumed] == orders[0][20:]

    def test_parts_of_the_samples(self):
        slices = Slices(self.X)
        taken = slices.skip(2).take(6).shard(2, 1)
        assert [x.tolist() for x in taken] == [self.X[i].tolist() for i in (3, 5, 7)]
        assert [len(batch) for batch in taken.batch(2)] == [2, 1]

    def test_texts_frames_and_tensors(self):
        frame = pd.DataFrame({"a": [1.5, 2.5], "b": [3.0, 4.0]})
        ((rows, words, tensors),) = Slices((frame, ["x", "y"], [torch.ones(2), torch.zeros(2)])).batch(2)
        assert rows.tolist() == [[1.5, 3], [2.5, 4]] and words.tolist() == ["x", "y"] and tensors.shape == (2, 2)

    @pytest.mark.parametrize("arrays", [(np.ones(3), np.ones(4)), 5.0])
    def test_what_has_no_samples_is_refused(self, arrays):
        with pytest.raises(ShapeError, match="samples"):
            Slices(arrays)


@pytest.mark.parametrize("batch_size", [None, 4])
def test_a_series_shorter_than_a_window_has_no_batches(batch_size):
    found = utils.timeseries_dataset_from_array(np.arange(8.0), np.arange(8.0), 5, end_index=3, batch_size=batch_size)
    assert len(found) == 0 and list(found) == []

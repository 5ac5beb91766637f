"""Data that cannot be used are refused before training, with a message that says what to do."""

import numpy as np
import pytest
import torch

from lamella.data.adapters import make_source, train_validation_split
from lamella.data.batch import unpack_x_y_sample_weight
from lamella.data.py_dataset import PyDataset
from lamella.errors import ArgumentError, DataError

pd = pytest.importorskip("pandas")

X = np.ones((100, 5), "float32")
Y = np.zeros(100)


def with_value(value, *places, shape=(100, 5), dtype="float32"):
    array = np.ones(shape, dtype)
    for place in places:
        array[place] = value
    return array


def batches():
    yield X[:10], Y[:10]


class OneBatch(PyDataset):
    def __len__(self):
        return 1

    def __getitem__(self, index):
        return X[:10], Y[:10]


class Endless(OneBatch):
    num_batches = None


class NoLength(PyDataset):
    def __getitem__(self, index):
        return X[:10], Y[:10]


LOADER = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(torch.ones(4, 2)), batch_size=2)
NAN, INF = float("nan"), float("inf")

CASES = {
    "lengths": (lambda: make_source(X, Y[:90]), DataError, "x has 100 samples, y has 90"),
    "weight length": (lambda: make_source(X, Y, Y[:7]), DataError, "sample_weight has 7 samples"),
    "inputs differ": (lambda: make_source([X, X[:50]], Y), DataError, "x has 50 and 100 samples"),
    "no samples": (lambda: make_source(X[:0], Y[:0]), DataError, "empty"),
    "nothing": (lambda: make_source(None), DataError, "x is None"),
    "empty list": (lambda: make_source([]).peek(), DataError, "empty"),
    "empty stream": (lambda: make_source(iter([])).peek(), DataError, "stream gave no batch"),
    "NaN": (
        lambda: make_source(with_value(NAN, (17, 4), (17, 0), (30, 1)), Y),
        DataError,
        r"x has 3 values .* first \(NaN\) at sample 17, feature 0.* numpy.nan_to_num",
    ),
    "infinite": (lambda: make_source(with_value(INF, (2, 3)), Y), DataError, r"\(infinite\) at sample 2, feature 3"),
    "both infinities": (lambda: make_source(np.array([[1, INF], [-INF, 2]])), DataError, "x has 2"),
    "NaN in a picture": (
        lambda: make_source(with_value(NAN, (1, 2, 3, 0), shape=(4, 5, 5, 1))),
        DataError,
        r"sample 1, feature \(2, 3, 0\)",
    ),
    "NaN in y": (lambda: make_source(X, with_value(NAN, 8, shape=100)), DataError, r"y has 1 .* at sample 8\."),
    "NaN in weights": (lambda: make_source(X, Y, with_value(NAN, 9, shape=100)), DataError, "sample_weight has 1"),
    "NaN in the second input": (lambda: make_source([X, with_value(NAN, 5)], Y), DataError, "sample 5"),
    "too large for float32": (lambda: make_source(np.full((3, 1), 1e300)), DataError, "infinite"),
    "NaN in a frame": (
        lambda: make_source(pd.DataFrame({"a": pd.array([1, None], dtype="Int64")})),
        DataError,
        "sample 1, feature 0",
    ),
    "NaN in the first batch": (lambda: make_source(iter([(with_value(NAN, 3), Y)])).peek(), DataError, "sample 3"),
    "NaN in y of a batch": (
        lambda: make_source(iter([(X, with_value(NAN, 3, shape=100))])).peek(),
        DataError,
        "y has 1",
    ),
    "lengths in a batch": (lambda: make_source(iter([(X, Y[:9])])).peek(), DataError, "x has 100 samples, y has 9"),
    "strings": (lambda: make_source(X, np.array(["a"] * 100)), DataError, "Encode them"),
    "list of strings": (lambda: make_source(X, ["a", "b"] * 50), DataError, "Encode them"),
    "single string": (lambda: make_source("a text"), DataError, "single string"),
    "missing strings": (lambda: make_source(["a", None]), DataError, "1 of 2 are missing"),
    "dates": (lambda: make_source(np.zeros(3, "datetime64[s]")), DataError, "datetime64"),
    "durations": (lambda: make_source(np.zeros(3, "timedelta64[s]")), DataError, "timedelta64"),
    "records": (lambda: make_source(np.zeros(3, [("a", "f4")])), DataError, "needs numbers"),
    "objects": (lambda: make_source(np.array([{}, {}])), DataError, "Python objects"),
    "string column": (
        lambda: make_source(pd.DataFrame({"a": [1, 2], "b": ["u", "v"]})),
        DataError,
        "pandas.get_dummies",
    ),
    "string targets": (lambda: make_source(X[:2], np.array(["cat", "dog"])), DataError, "y holds"),
    "ragged": (lambda: make_source([[1, 2], [3]]), DataError, "x is a ragged list.*Pad"),
    "ragged targets": (lambda: make_source([1, 2], [[1, 2], [3]]), DataError, "y is a ragged list"),
    "a single number": (lambda: make_source(np.float32(3)), DataError, "x is a single number"),
    "a single tensor": (lambda: make_source(torch.tensor(3.0)), DataError, "x is a single number"),
    "a single target": (lambda: make_source(X, np.float64(1)), DataError, "y is a single number"),
    "some object": (lambda: make_source(object()), DataError, "Cannot train on a object"),
    "batch of 0": (lambda: make_source(X, batch_size=0), ArgumentError, "1 or more; got 0"),
    "negative batch": (lambda: make_source(X, batch_size=-3), ArgumentError, "got -3"),
    "half a batch": (lambda: make_source(X, batch_size=2.5), ArgumentError, "got 2.5"),
    "true batch": (lambda: make_source(X, batch_size=True), ArgumentError, "got True"),
    "y, generator": (lambda: make_source(batches(), Y), ArgumentError, "`y` goes with arrays"),
    "y, loader": (lambda: make_source(LOADER, Y), ArgumentError, "`y` goes with arrays"),
    "y, dataset": (lambda: make_source(OneBatch(), Y), ArgumentError, "`y` goes with arrays"),
    "weight, generator": (lambda: make_source(batches(), None, Y), ArgumentError, "`sample_weight` goes with arrays"),
    "endless": (lambda: make_source(Endless()), ArgumentError, "never ends.*steps_per_epoch"),
    "no length": (lambda: make_source(NoLength()), NotImplementedError, "NoLength has neither __len__"),
    "class weight, no targets": (lambda: make_source(X, class_weight={0: 1.0}), DataError, "needs targets"),
    "class weight, outputs": (lambda: make_source(X, [Y, Y], class_weight={0: 1.0}), DataError, "several outputs"),
    "class weight, pictures": (
        lambda: make_source(X, np.zeros((100, 4, 4)), class_weight={0: 1.0}),
        DataError,
        r"got shape \(100, 4, 4\)",
    ),
    "class weight by name": (lambda: make_source(X, Y, class_weight={"cat": 1.0}), DataError, "class numbers"),
    "class weight in a list": (lambda: make_source(X, Y, class_weight=[1.0, 2.0]), DataError, r"got \[1.0, 2.0\]"),
    "four parts": (lambda: unpack_x_y_sample_weight((1, 2, 3, 4)), DataError, "got 4 parts"),
    "split of 0": (lambda: train_validation_split((X, Y, None), 0), ArgumentError, "between 0 and 1; got 0"),
    "split of 1": (lambda: train_validation_split((X, Y, None), 1), ArgumentError, "between 0 and 1; got 1"),
    "split below 0": (lambda: train_validation_split((X, Y, None), -0.5), ArgumentError, "got -0.5"),
    "split, generator": (
        lambda: train_validation_split((batches(), None, None), 0.5),
        ArgumentError,
        "pass validation_data",
    ),
    "split leaves nothing": (lambda: train_validation_split((X[:2], Y[:2], None), 0.9), ArgumentError, "leaves 0 of 2"),
    "split of lengths": (lambda: train_validation_split((X, Y[:3], None), 0.5), DataError, "y has 3"),
    "split of a number": (lambda: train_validation_split((np.float64(1), None, None), 0.5), DataError, "single number"),
}


@pytest.mark.parametrize("case", CASES)
def test_refused(case):
    act, kind, message = CASES[case]
    with pytest.raises(kind, match=f"(?s){message}"):
        act()


def test_large_numbers_whose_sum_overflows_are_no_infinity():
    x = np.full((100, 5), 3e38, "float32")
    assert make_source(x, np.zeros(100)).num_samples == 100


def test_whole_numbers_and_booleans_need_no_check():
    assert make_source(np.ones((3, 2), "int64"), np.array([True, False, True])).num_samples == 3

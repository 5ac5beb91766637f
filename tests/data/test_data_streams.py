"""Generators, loaders and data sets as sources of batches."""

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, Dataset, IterableDataset, TensorDataset

from lamella.data.adapters import make_source
from lamella.data.py_dataset import PyDataset
from lamella.utils import Sequence

N = 6


def batch(i):
    return np.full((2, 3), i, "float64"), np.full(2, i, "int64")


def generate(count=N):
    for i in range(count):
        yield batch(i)


class Anew:
    """Can be iterated again and again; has no length."""

    def __iter__(self):
        return generate()


class Sized(Anew):
    def __len__(self):
        return N


class Batches(PyDataset):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.calls = []

    def __len__(self):
        return N

    def __getitem__(self, index):
        self.calls.append(index)
        return batch(index)

    def on_epoch_begin(self):
        self.calls.append("begin")

    def on_epoch_end(self):
        self.calls.append("end")


class Endless(Batches):
    num_batches = None


class Samples(Dataset):
    def __len__(self):
        return 2 * N

    def __getitem__(self, index):
        return torch.full((3,), float(index)), index


class Stream(IterableDataset):
    def __iter__(self):
        return iter(Samples()[i] for i in range(2 * N))


def numbers(source):
    return [int(x[0, 0]) for x, _, _ in source.batches()]


ALL = list(range(N))


# Kinds of streams


KINDS = {
    "generator": (generate, None),
    "iterable": (Anew, None),
    "iterable with a length": (Sized, N),
    "PyDataset": (Batches, N),
    "loader": (lambda: DataLoader(Samples(), batch_size=2), N),
    "loader of a stream": (lambda: DataLoader(Stream(), batch_size=2), None),
}


@pytest.mark.parametrize("kind", KINDS)
def test_batches_are_tensors_of_the_right_type_in_order(kind):
    make, length = KINDS[kind]
    source = make_source(make())
    assert source.num_batches == length
    found = list(source.batches())
    assert len(found) == N
    for x, y, weight in found:
        assert (x.shape, x.dtype, y.dtype, weight) == ((2, 3), torch.float32, torch.int64, None)
        assert torch.equal(x[:, 0].long(), y)
    assert source.num_batches == N  # known once an epoch is over


@pytest.mark.parametrize("kind", KINDS)
def test_peek_does_not_use_a_batch_up(kind):
    source = make_source(KINDS[kind][0]())
    first = source.peek()
    assert source.peek() is first
    assert torch.equal(first[1], source.targets())
    found = list(source.batches())
    assert torch.equal(found[0][0], first[0]) and torch.equal(found[0][1], first[1])
    assert len(found) == N


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "generator"])
def test_what_can_be_iterated_again_starts_anew(kind):
    source = make_source(KINDS[kind][0]())
    first, second = numbers(source), numbers(source)
    assert first == second
    assert len(first) == N


def test_an_epoch_left_half_way_is_not_gone_on_with():
    source = make_source(Anew())
    for x, _, _ in source.batches():
        if x[0, 0] == 2:
            break
    assert numbers(source) == ALL


@pytest.mark.parametrize(
    ("item", "expected"),
    [
        (np.ones((2, 3)), (True, False, False)),
        ((np.ones((2, 3)),), (True, False, False)),
        ((np.ones((2, 3)), np.ones(2)), (True, True, False)),
        ([np.ones((2, 3)), np.ones(2)], (True, True, False)),
        ((np.ones((2, 3)), np.ones(2), np.ones(2)), (True, True, True)),
        (([[1, 2, 3], [4, 5, 6]], [1, 2]), (True, True, False)),
    ],
)
def test_a_batch_has_one_two_or_three_parts(item, expected):
    (parts,) = list(make_source(iter([item])).batches())
    assert tuple(part is not None for part in parts) == expected
    assert parts[0].shape == (2, 3)


def test_a_batch_may_be_a_dict_of_inputs():
    ((x, y, _),) = list(make_source(iter([({"a": np.ones((2, 1)), "b": np.zeros(2)}, np.ones(2))])).batches())
    assert {name: tuple(part.shape) for name, part in x.items()} == {"a": (2, 1), "b": (2,)}
    assert y.tolist() == [1, 1]


def test_class_weights_apply_to_streams():
    source = make_source(generate(3), class_weight={1: 5.0})
    assert [weight.tolist() for _, _, weight in source.batches()] == [[1, 1], [5, 5], [1, 1]]


# Steps


def test_a_generator_goes_on_where_the_last_epoch_stopped():
    source = make_source(generate(), steps=2)
    source.peek()
    assert [numbers(source) for _ in range(3)] == [[0, 1], [2, 3], [4, 5]]


def test_a_generator_that_runs_out_says_so():
    source = make_source(generate(), steps=4)
    assert numbers(source) == [0, 1, 2, 3]
    with pytest.warns(UserWarning, match="ran out after 2 of 4 batches.*steps_per_epoch"):
        assert numbers(source) == [4, 5]


def test_a_generator_without_steps_is_used_up_by_one_epoch():
    source = make_source(generate())
    assert numbers(source) == ALL
    with pytest.warns(UserWarning, match="ran out after 0"):
        assert numbers(source) == []


@pytest.mark.parametrize("kind", ["iterable", "PyDataset", "loader"])
def test_steps_beyond_the_end_start_again(kind):
    source = make_source(KINDS[kind][0](), steps=4)
    assert source.num_batches == 4
    first, second = numbers(source), numbers(source)
    assert len(first) == len(second) == 4
    assert first + second == (numbers(make_source(KINDS[kind][0]())) * 2)[:8]


# torch's data sets


@pytest.mark.parametrize(("size", "count"), [(None, 1), (5, 3), (12, 1)])
def test_a_torch_data_set_is_batched(size, count):
    source = make_source(Samples(), batch_size=size)
    assert source.num_batches == count
    assert torch.cat([y for _, y, _ in source.batches()]).tolist() == list(range(2 * N))


def test_a_torch_data_set_is_shuffled_when_asked():
    source = make_source(TensorDataset(torch.arange(50.0)[:, None], torch.arange(50)), batch_size=8, shuffle=True)
    first, second = (torch.cat([y for _, y, _ in source.batches()]).tolist() for _ in range(2))
    assert sorted(first) == sorted(second) == list(range(50))
    assert first != second


def test_a_torch_stream_is_batched():
    source = make_source(Stream(), batch_size=5)
    assert [len(x) for x, _, _ in source.batches()] == [5, 5, 2]


# PyDataset


def test_a_data_set_hears_of_epochs():
    data = Batches()
    source = make_source(data)
    for _ in range(2):
        numbers(source)
    assert data.calls == ["begin", *ALL, "end"] * 2


def test_a_batch_that_was_peeked_at_is_in_the_order_of_its_epoch():
    class Turned(Batches):
        first = 0

        def __getitem__(self, index):
            return batch((index + self.first) % N)

        def on_epoch_begin(self):
            self.first += 2

    source = make_source(Turned())
    source.peek()
    assert numbers(source) == [*ALL[2:], *ALL[:2]]


def test_workers_start_when_batches_are_asked_for():
    data = Batches(workers=2)
    before = torch.multiprocessing.active_children()
    make_source(data)
    assert torch.multiprocessing.active_children() == before


def test_a_data_set_is_shuffled_by_batches():
    torch.manual_seed(1)
    source = make_source(Batches(), shuffle=True)
    orders = [numbers(source) for _ in range(4)]
    assert all(sorted(order) == ALL for order in orders)
    assert len({tuple(order) for order in orders}) > 1


@pytest.mark.parametrize(("workers", "processes"), [(1, False), (1, True), (2, False)])
def test_workers_give_the_same_batches(workers, processes):
    data = Batches(workers=workers, use_multiprocessing=processes, max_queue_size=2)
    assert numbers(make_source(data)) == ALL
    made_here = [call for call in data.calls if isinstance(call, int)]
    assert made_here == (ALL if workers == 1 and not processes else [])


@pytest.mark.parametrize("workers", [1, 2])
def test_a_data_set_without_end_needs_steps(workers):
    source = make_source(Endless(workers=workers), steps=4)
    assert source.num_batches == 4
    assert numbers(source) + numbers(source) == list(range(8))


def test_a_data_set_may_give_its_number_of_batches_by_property():
    class ByProperty(PyDataset):
        num_batches = 3

        def __getitem__(self, index):
            return batch(index)

    assert numbers(make_source(ByProperty())) == [0, 1, 2]
    assert len(list(ByProperty())) == 3


def test_a_data_set_that_does_not_call_super_works():
    class Bare(PyDataset):
        def __init__(self):
            pass

        def __len__(self):
            return 2

        def __getitem__(self, index):
            return batch(index)

    assert numbers(make_source(Bare())) == [0, 1]


def test_a_data_set_without_getitem_says_so():
    class Empty(PyDataset):
        def __len__(self):
            return 1

    with pytest.raises(NotImplementedError, match="Empty has no __getitem__"):
        make_source(Empty()).peek()


def test_a_data_set_of_real_keras_is_taken():
    keras = pytest.importorskip("keras")

    class Real(keras.utils.PyDataset):
        def __len__(self):
            return N

        def __getitem__(self, index):
            return batch(index)

    assert numbers(make_source(Real(workers=2))) == ALL


def test_sequence_is_the_old_name():
    assert Sequence is PyDataset

"""Several processes load only their own samples of each batch, and train as one process does."""

import os
from pathlib import Path

import numpy as np
import pytest
import torch
import torch._dynamo  # DDP brings it: loaded once, not in each process
from processes import needed, run
from torch.utils.data import DataLoader, Dataset, default_collate

import lamella
from lamella import distribution, layers
from lamella.data.adapters import make_source
from lamella.data.division import can_be_divided
from lamella.utils import image_dataset_from_directory, save_img

pytestmark = needed
RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(50, 6)).astype("float32")
Y = X.sum(1, keepdims=True)
EPOCHS, SIZE = 3, 8


class Counting(Dataset):
    """Notes in a file, which worker processes can write to as well, each sample that is loaded."""

    def __init__(self, notes):
        self.notes = str(notes)

    def __len__(self):
        return len(X)

    def __getitem__(self, index):
        with open(self.notes, "a") as notes:
            notes.write(f"{index}\n")
        return X[index], Y[index]


def dataset(folder, notes):
    return (Counting(notes),), {"batch_size": SIZE}


def loader(folder, notes):
    return (DataLoader(Counting(notes), batch_size=SIZE, shuffle=True),), {}


def workers(folder, notes):
    return (DataLoader(Counting(notes), batch_size=SIZE, shuffle=True, num_workers=2, persistent_workers=True),), {}


def mapped(folder, notes):
    path = folder / f"x{os.getpid()}.npy"
    np.save(path, X)
    return (np.load(path, mmap_mode="r"), Y), {"batch_size": SIZE}


def steps(folder, notes):
    return (X, Y), {"batch_size": SIZE, "steps_per_epoch": 5}


KINDS = {each.__name__: each for each in (dataset, loader, workers, mapped, steps)}


def model_for(shape):
    model = lamella.Sequential([lamella.Input(shape), layers.Flatten(), layers.Dense(8, "tanh"), layers.Dense(1)])
    model.compile(lamella.optimizers.SGD(0.05, momentum=0.9), "mse", metrics=["mae"])
    return model


def train(kind, folder, spread):
    lamella.utils.set_random_seed(3)
    if spread:
        distribution.set_distribution(distribution.DataParallel(timeout=60))
    name = f"{kind}{os.environ['RANK'] if spread else ''}"
    given, settings = KINDS[kind](folder, folder / f"{name}.notes")
    history = model_for((6,)).fit(*given, epochs=EPOCHS, verbose=0, **settings).history
    np.savez(folder / f"{name}.npz", **history)


def every_kind(folder, spread):
    for kind in KINDS:
        train(kind, folder, spread)


def test_each_process_loads_its_own_samples(tmp_path):
    assert run(1, every_kind, tmp_path, False) == [0]
    assert run(2, every_kind, tmp_path, True) == [0, 0]
    for kind in KINDS:
        expected = np.load(tmp_path / f"{kind}.npz")
        for rank in "01":
            found = np.load(tmp_path / f"{kind}{rank}.npz")
            for name in expected:
                np.testing.assert_allclose(found[name], expected[name], rtol=1e-5, atol=1e-6, err_msg=kind)
    ahead = {"dataset": SIZE, "loader": SIZE, "workers": 2 * 2 * SIZE}  # what is peeked at, or fetched and not used
    for kind, more in ahead.items():
        loaded = [(tmp_path / f"{kind}{rank}.notes").read_text().split() for rank in "01"]
        assert all(len(each) <= len(X) * EPOCHS / 2 + more for each in loaded), kind
        assert set(loaded[0]) | set(loaded[1]) == {str(i) for i in range(len(X))}
        assert sum(map(len, loaded)) >= len(X) * EPOCHS


def see_files(folder, notes):
    distribution.set_distribution(distribution.DataParallel(timeout=60))
    lamella.utils.set_random_seed(int(os.environ["RANK"]))  # seeded apart: the order is agreed on nevertheless
    data = image_dataset_from_directory(folder, image_size=(4, 4), batch_size=4, verbose=False)
    load = data.load
    read = []
    data.load = lambda path: (read.append(Path(path).name), load(path))[1]
    model = model_for((4, 4, 3))
    model.fit(data, epochs=2, verbose=0)
    notes.joinpath(os.environ["RANK"]).write_text(" ".join(read))
    losses = model.evaluate(data, verbose=0)
    np.save(notes / f"{os.environ['RANK']}.npy", losses)


def test_each_process_reads_its_own_files(tmp_path):
    for number in range(14):
        folder = tmp_path / "data" / "ab"[number % 2]
        folder.mkdir(parents=True, exist_ok=True)
        save_img(folder / f"{number}.png", RANDOM.uniform(0, 255, (4, 4, 3)))
    assert run(2, see_files, tmp_path / "data", tmp_path) == [0, 0]
    read = [(tmp_path / rank).read_text().split() for rank in "01"]
    assert [len(each) for each in read] == [14, 14]  # 7 of 14 files in each of two epochs
    assert sorted(read[0] + read[1]) == sorted([f"{number}.png" for number in range(14)] * 2)
    np.testing.assert_array_equal(np.load(tmp_path / "0.npy"), np.load(tmp_path / "1.npy"))


def own_data(folder):
    lamella.utils.set_random_seed(3)
    distribution.set_distribution(distribution.DataParallel(auto_shard_dataset=False, timeout=60))
    rank = int(os.environ["RANK"])
    mine = slice(0, 30) if rank == 0 else slice(30, 50)  # batches of 10: three, and two

    def stream():
        while True:
            for start in range(mine.start, mine.stop, 10):
                yield X[start : start + 10], Y[start : start + 10]

    model = model_for((6,))
    history = model.fit(X[mine], Y[mine], 10, epochs=2, shuffle=False, verbose=0).history
    evaluated = model.evaluate(X[mine], Y[mine], 10, verbose=0)
    model.fit(stream(), steps_per_epoch=2, verbose=0)
    np.savez(folder / f"{rank}.npz", evaluated=evaluated, **history)


def test_each_process_has_data_of_its_own(tmp_path):
    assert run(2, own_data, tmp_path) == [0, 0]
    one, other = (np.load(tmp_path / f"{rank}.npz") for rank in "01")
    lamella.utils.set_random_seed(3)
    model = model_for((6,))
    rows = [*range(0, 10), *range(30, 40), *range(10, 20), *range(40, 50), *range(20, 30)]
    batches = [(X[rows[s : s + 20]], Y[rows[s : s + 20]]) for s in (0, 20, 40)]
    expected = model.fit(iter(batches * 2), steps_per_epoch=3, epochs=2, verbose=0).history
    for name in expected:
        np.testing.assert_allclose(one[name], expected[name], rtol=1e-5)
        np.testing.assert_array_equal(one[name], other[name])
    np.testing.assert_allclose(one["evaluated"], model.evaluate(X, Y, verbose=0), rtol=1e-5)


def test_what_stays_whole():
    samples = torch.utils.data.TensorDataset(torch.tensor(X), torch.tensor(Y))
    assert can_be_divided(DataLoader(samples, batch_size=4))
    padded = DataLoader(samples, batch_size=4, collate_fn=lambda rows: default_collate(rows))
    alone = DataLoader(samples, batch_size=None)
    assert not can_be_divided(padded) and not can_be_divided(alone) and not can_be_divided([X])
    source = make_source(padded)
    assert not source.divide(lambda length: slice(0, 1), lambda draw: draw())
    assert len(next(source.batches())[0]) == 4


@pytest.mark.parametrize("shuffle", [False, True, "batch"])
def test_two_halves_are_the_whole(shuffle):
    def rows(where):
        source = make_source(X, Y, batch_size=SIZE, shuffle=shuffle)
        torch.manual_seed(5)
        if where is not None:
            assert source.divide(where, lambda draw: draw())
        return list(source.batches())

    whole = rows(None)
    first = rows(lambda length: slice(0, length // 2))
    rest = rows(lambda length: slice(length // 2, length))
    assert len(whole) == len(first) == len(rest) == 7
    for batch, one, other in zip(whole, first, rest, strict=True):
        assert one.length == other.length == len(batch[0])
        for part in (0, 1):
            assert torch.equal(batch[part], torch.cat([one[part], other[part]]))

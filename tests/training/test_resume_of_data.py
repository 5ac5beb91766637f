"""A resumed run finds its place in data of every kind: the weights and the history are those of a run never killed."""

import os
import random

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, Dataset, RandomSampler, WeightedRandomSampler

import lamella
from lamella import callbacks
from lamella.data.place import Rounds, holders_of
from lamella.data.plain_values import generator_state, plain, set_generator_state, unplain
from lamella.errors import DataError, FileError
from lamella.utils.stream import Stream

X = np.random.default_rng(1).normal(size=(48, 5)).astype("float32")
Y = np.random.default_rng(2).integers(0, 3, 48)


resource = pytest.importorskip("resource")


class Killed(Exception):
    pass


class Kill(callbacks.Callback):
    def __init__(self, epoch, batch):
        super().__init__()
        self.at = epoch, batch

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch

    def on_train_batch_begin(self, batch, logs=None):
        if self.at == (self.epoch, batch):
            raise Killed


class Noisy(Dataset):
    def __len__(self):
        return 48

    def __getitem__(self, i):
        noise = torch.randn(5) + float(np.random.rand()) + random.random()
        return torch.tensor(X[i]) + 0.1 * noise, int(Y[i])


class Shuffled(lamella.utils.PyDataset):
    """As many tutorials write it: an order of its own, shuffled in place after each epoch."""

    def __init__(self, source=None, **options):
        super().__init__(**options)
        self.source = source
        self.order = np.arange(48)
        self.on_epoch_end()

    def __len__(self):
        return 6

    def __getitem__(self, i):
        rows = self.order[8 * i : 8 * i + 8]
        return X[rows] + float((self.source or np.random).normal()), Y[rows]

    def on_epoch_end(self):
        (self.source or np.random).shuffle(self.order)


class Frames(Shuffled):
    """What it changes is of no kind that is known: it says itself what to keep."""

    def on_epoch_end(self):
        self.order = tuple(np.random.permutation(48)[:, None])

    def __getitem__(self, i):
        rows = np.concatenate(self.order)[8 * i : 8 * i + 8]
        return X[rows], Y[rows]

    def state_dict(self):
        return {"order": torch.tensor(np.concatenate(self.order))}

    def load_state_dict(self, state):
        self.order = tuple(state["order"].numpy()[:, None])


def forever():
    while True:
        order = np.random.permutation(48)
        for start in range(0, 48, 8):
            rows = order[start : start + 8]
            yield X[rows], Y[rows]


def stream():
    rows = Stream(lambda: ((torch.tensor(x), int(y)) for x, y in zip(X, Y, strict=True)), 48)
    return rows.shuffle(20).map(lambda x, y: (x + 0.1 * torch.randn(5), y)).batch(8)


def seeded_stream():
    return Stream(lambda: zip(X, Y, strict=True), 48).shuffle(20, seed=4).batch(8)


def windows():
    return lamella.utils.timeseries_dataset_from_array(X, Y, sequence_length=1, batch_size=8, shuffle=True)


def source(seed=0):
    return torch.Generator().manual_seed(seed)


DATA = {
    "arrays, fewer steps": lambda: {"x": X, "y": Y, "batch_size": 8, "steps_per_epoch": 4},
    "arrays, more steps": lambda: {"x": X, "y": Y, "batch_size": 8, "steps_per_epoch": 8},
    "loader": lambda: {"x": DataLoader(Noisy(), 8, shuffle=True)},
    "loader, fewer steps": lambda: {"x": DataLoader(Noisy(), 8, shuffle=True), "steps_per_epoch": 4},
    "loader, more steps": lambda: {"x": DataLoader(Noisy(), 8, shuffle=True), "steps_per_epoch": 8},
    "loader with a generator": lambda: {"x": DataLoader(Noisy(), 8, shuffle=True, generator=source())},
    "loader with a sampler": lambda: {
        "x": DataLoader(Noisy(), 8, sampler=WeightedRandomSampler(np.ones(48), 48, generator=source()))
    },
    "loader, workers stay": lambda: {
        "x": DataLoader(Noisy(), 8, shuffle=True, num_workers=2, persistent_workers=True)
    },
    "PyDataset": lambda: {"x": Shuffled()},
    "PyDataset, fewer steps": lambda: {"x": Shuffled(), "steps_per_epoch": 4},
    "PyDataset, Generator": lambda: {"x": Shuffled(np.random.default_rng(3))},
    "PyDataset, RandomState": lambda: {"x": Shuffled(np.random.RandomState(3))},
    "PyDataset, workers": lambda: {"x": Shuffled(np.random.default_rng(3), workers=2)},
    "PyDataset, state_dict": lambda: {"x": Frames()},
    "generator": lambda: {"x": forever(), "steps_per_epoch": 4},
    "stream": lambda: {"x": stream()},
    "stream, fewer steps": lambda: {"x": stream(), "steps_per_epoch": 4},
    "stream, repeated": lambda: {"x": stream().repeat(2)},
    "stream, repeated without end": lambda: {"x": stream().repeat(), "steps_per_epoch": 4},
    "seeded stream": lambda: {"x": seeded_stream()},
    "seeded stream, repeated": lambda: {"x": seeded_stream().repeat(2)},
    "seeded stream, kept": lambda: {"x": seeded_stream().cache()},
    "time series, repeated without end": lambda: {
        "x": windows().map(lambda x, y: (x[:, 0], y)).repeat(), "steps_per_epoch": 4
    },
    "validation by generator": lambda: {
        "x": X, "y": Y, "batch_size": 8, "validation_data": forever(), "validation_steps": 4
    },
    "validation by parts": lambda: {
        "x": X, "y": Y, "batch_size": 8, "validation_data": DataLoader(Noisy(), 8), "validation_steps": 4
    },
}  # fmt: skip


def train(data, folder, *others, save_freq="epoch", epochs=4, **arguments):
    lamella.utils.set_random_seed(7)
    layers = lamella.layers
    model = lamella.Sequential([lamella.Input((5,)), layers.Dense(8, "relu"), layers.Dropout(0.4), layers.Dense(3)])
    model.compile("adam", lamella.losses.SparseCategoricalCrossentropy(from_logits=True), metrics=["accuracy"])
    used = [*others, callbacks.BackupAndRestore(folder, save_freq=save_freq, **arguments)]
    history = model.fit(**data(), epochs=epochs, verbose=0, callbacks=used)
    return [weight.tobytes() for weight in model.get_weights()], history.history


@pytest.mark.parametrize("kind", DATA)
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_killed_twice(kind, tmp_path):
    data, epochs = DATA[kind], 3 if "workers" in kind else 4  # workers are started in each epoch
    whole = train(data, tmp_path / "whole", save_freq=2, epochs=epochs)
    for epoch, batch in ((0, 3), (2, 3)):
        with pytest.raises(Killed):
            train(data, tmp_path / "b", Kill(epoch, batch), save_freq=2, epochs=epochs)
    assert train(data, tmp_path / "b", save_freq=2, epochs=epochs) == whole
    if "workers" in kind:  # backups of whole epochs know nothing of who makes the batches
        return
    with pytest.raises(Killed):
        train(data, tmp_path / "e", Kill(2, 3))
    assert train(data, tmp_path / "e") == whole


def arrays():
    return {"x": X, "y": Y, "batch_size": 8}


class KillAtTheEnd(callbacks.Callback):
    def on_train_end(self, logs=None):
        raise Killed


def test_killed_after_early_stopping(tmp_path):
    def stopping():
        return callbacks.EarlyStopping(monitor="loss", min_delta=9, patience=1, restore_best_weights=True)

    whole = train(arrays, tmp_path / "whole", stopping())
    assert len(whole[1]["loss"]) == 2
    with pytest.raises(Killed):
        train(arrays, tmp_path / "b", stopping(), KillAtTheEnd())
    assert train(arrays, tmp_path / "b", stopping()) == whole
    assert not (tmp_path / "b").exists()


def test_a_stopped_training_goes_on_when_given_more_epochs(tmp_path):
    def stopping():
        return callbacks.EarlyStopping(monitor="loss", min_delta=9, patience=1)

    with pytest.raises(Killed):
        train(arrays, tmp_path / "b", stopping(), KillAtTheEnd())
    assert len(train(arrays, tmp_path / "b", epochs=6)[1]["loss"]) == 6


def test_checkpoints_come_after_the_same_batches(tmp_path):
    def checkpoint(folder):
        return callbacks.ModelCheckpoint(str(tmp_path / folder / "{epoch}-{batch}.keras"), save_freq=4)

    train(arrays, tmp_path / "a", checkpoint("whole"))
    with pytest.raises(Killed):
        train(arrays, tmp_path / "b", checkpoint("killed"), Kill(2, 1), save_freq=3)
    train(arrays, tmp_path / "b", checkpoint("killed"), save_freq=3)
    assert sorted(os.listdir(tmp_path / "killed")) == sorted(os.listdir(tmp_path / "whole"))


def a_backup(folder):
    with pytest.raises(Killed):
        train(arrays, folder, Kill(2, 3))
    return folder / "latest.pt"


def test_a_flipped_bit_is_found(tmp_path):
    path = a_backup(tmp_path)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 4
    path.write_bytes(content)
    with pytest.raises(DataError, match="damaged"):
        train(arrays, tmp_path)


def test_a_cut_file_and_one_that_is_none(tmp_path):
    path = a_backup(tmp_path)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(DataError, match="damaged"):
        train(arrays, tmp_path)
    torch.save([1, 2], path)
    with pytest.raises(DataError, match="another version"):
        train(arrays, tmp_path)


def test_a_folder_that_is_a_file_is_refused_before_training(tmp_path):
    (tmp_path / "b").write_text("")
    with pytest.raises(FileError, match=r"cannot write to the folder .*b"):
        train(arrays, tmp_path / "b", Kill(0, 0))


def test_a_full_disk_leaves_the_last_backup(tmp_path):
    class Fill(callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            if epoch == 2:
                resource.setrlimit(resource.RLIMIT_FSIZE, (1024, before[1]))

    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    whole = train(arrays, tmp_path / "whole")
    try:
        with pytest.raises(FileError, match="Is the disk full"):
            train(arrays, tmp_path / "b", Fill())
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert os.listdir(tmp_path / "b") == ["latest.pt"]
    assert train(arrays, tmp_path / "b") == whole


def test_plain_values():
    kept = {"a": (1, "b"), "order": np.arange(3), "names": np.array(["x", "y"]), "t": torch.ones(2), "n": None}
    back = unplain(plain(kept))
    assert back["a"] == (1, "b") and back["names"].tolist() == ["x", "y"] and back["n"] is None
    np.testing.assert_array_equal(back["order"], kept["order"])
    assert torch.equal(back["t"], kept["t"])
    assert plain([object()]) is NotImplemented
    assert plain(np.ones((2, 2)), most_axes=1) is NotImplemented


@pytest.mark.parametrize(
    "generator",
    [random.Random(1), np.random.default_rng(1), np.random.RandomState(1), torch.Generator().manual_seed(1)],
    ids=lambda generator: type(generator).__name__,
)
def test_generators(generator):
    def draw():
        return (
            float(torch.rand((), generator=generator)) if isinstance(generator, torch.Generator) else generator.random()
        )

    state = generator_state(generator)
    first = [draw() for _ in range(3)]
    set_generator_state(generator, state)
    assert [draw() for _ in range(3)] == first


def test_only_what_changed_is_kept():
    class Data:
        def __init__(self):
            self.names, self.order, self.pictures = ["a", "b"], np.arange(4), np.ones((4, 2, 2))

        def on_epoch_end(self):
            pass

    data = Data()
    rounds = Rounds(holders_of(data))
    assert rounds.own_states() == [{"generators": {}, "values": {}, "state_dict": {}}]
    data.order = data.order[::-1].copy()
    data.pictures = data.pictures + 1
    assert list(rounds.own_states()[0]["values"]) == ["order"]
    sampler = RandomSampler(range(4), generator=source())
    assert sampler in holders_of(DataLoader(range(4), sampler=sampler))

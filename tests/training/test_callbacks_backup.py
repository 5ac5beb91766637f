"""`BackupAndRestore`: a run that was cut off and one that was not end with the same bits."""

import numpy as np
import pytest
import torch

import lamella
from lamella import callbacks
from lamella.errors import ArgumentError, DataError

X = np.random.default_rng(1).normal(size=(64, 6)).astype("float32")
Y = np.random.default_rng(2).integers(0, 3, 64)


class Killed(Exception):
    pass


class Kill(callbacks.Callback):
    """Ends training as a crash would."""

    def __init__(self, epoch, batch=None):
        super().__init__()
        self.at = (epoch, batch)

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch
        if self.at == (epoch, None):
            raise Killed

    def on_train_batch_begin(self, batch, logs=None):
        if self.at == (self.epoch, batch):
            raise Killed


def a_model(optimizer):
    layers = lamella.layers
    model = lamella.Sequential(
        [
            lamella.Input((6,)),
            layers.Dense(8, activation="relu"),
            layers.BatchNormalization(),
            layers.Dropout(0.3),
            layers.Dense(8, activation="relu"),
            layers.Dropout(0.2, seed=5),
            layers.Dense(3, activation="softmax"),
        ]
    )
    model.compile(optimizer(), "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


OPTIMIZERS = {
    "adam": lambda: lamella.optimizers.Adam(0.01, amsgrad=True, use_ema=True),
    "nadam": lambda: lamella.optimizers.Nadam(0.01, gradient_accumulation_steps=2),
    "sgd": lambda: lamella.optimizers.SGD(lamella.optimizers.schedules.CosineDecay(0.1, 40), momentum=0.9),
}


def train(optimizer, *used, initial_epoch=0, data=None, **arguments):
    lamella.utils.set_random_seed(11)
    model = a_model(OPTIMIZERS[optimizer])
    slower = callbacks.ReduceLROnPlateau(monitor="loss", patience=1, factor=0.5, min_delta=0.05)
    watch = [callbacks.EarlyStopping(monitor="loss", patience=50, restore_best_weights=True)]
    if optimizer != "sgd":
        watch.append(slower)
    inputs = {"x": X, "y": Y, "batch_size": 16} if data is None else {"x": data()}
    history = model.fit(
        **inputs, epochs=6, verbose=0, callbacks=[*used, *watch], initial_epoch=initial_epoch, **arguments
    )
    return model, history


def same(one, other):
    for a, b in zip(one[0].get_weights(), other[0].get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    assert one[1].history == other[1].history
    assert one[1].epoch == other[1].epoch
    a, b = one[0].optimizer.state_dict(), other[0].optimizer.state_dict()
    assert a["steps"] == b["steps"] and a["learning_rate"] == b["learning_rate"] and a["scalars"] == b["scalars"]
    for name, tensors in a["slots"].items():
        assert all(torch.equal(x, y) for x, y in zip(tensors, b["slots"][name], strict=True))


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_after_a_kill_between_epochs(optimizer, tmp_path):
    whole = train(optimizer)
    with pytest.raises(Killed):
        train(optimizer, callbacks.BackupAndRestore(tmp_path / "b"), Kill(3))
    same(train(optimizer, callbacks.BackupAndRestore(tmp_path / "b"), initial_epoch=3), whole)
    assert not (tmp_path / "b").exists()  # training has ended


@pytest.mark.parametrize(("epoch", "batch", "every"), [(3, 2, 1), (3, 2, 3), (4, 0, 5), (2, 3, 2)])
def test_after_a_kill_within_an_epoch(epoch, batch, every, tmp_path):
    whole = train("adam", callbacks.BackupAndRestore(tmp_path / "whole", save_freq=every))
    with pytest.raises(Killed):
        train("adam", callbacks.BackupAndRestore(tmp_path / "b", save_freq=every), Kill(epoch, batch))
    saved = torch.load(tmp_path / "b" / "latest.pt", weights_only=True)
    assert (saved["epoch"] * 4 + saved["batch"]) == (epoch * 4 + batch) // every * every
    again = callbacks.BackupAndRestore(tmp_path / "b", save_freq=every)
    same(train("adam", again, initial_epoch=saved["epoch"]), whole)


def test_batches_that_were_trained_are_not_told_twice(tmp_path):
    told = []

    def tell():
        return callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: told.append(batch))

    with pytest.raises(Killed):
        train("adam", callbacks.BackupAndRestore(tmp_path, save_freq=2), Kill(0, 3))
    train("adam", tell(), callbacks.BackupAndRestore(tmp_path, save_freq=2))
    assert told[:6] == [2, 3, 0, 1, 2, 3]


@pytest.mark.parametrize("every", ["epoch", 3])
def test_fit_finds_the_epoch_by_itself(every, tmp_path):
    whole = train("adam")
    with pytest.raises(Killed):
        train("adam", callbacks.BackupAndRestore(tmp_path / "b", save_freq=every), Kill(3, 3))
    same(train("adam", callbacks.BackupAndRestore(tmp_path / "b", save_freq=every)), whole)


def test_with_a_shuffling_loader(tmp_path):
    def loader():
        data = torch.utils.data.TensorDataset(torch.tensor(X), torch.tensor(Y))
        return torch.utils.data.DataLoader(data, batch_size=16, shuffle=True)

    whole = train("adam", data=loader)
    with pytest.raises(Killed):
        train("adam", callbacks.BackupAndRestore(tmp_path / "b"), Kill(2), data=loader)
    same(train("adam", callbacks.BackupAndRestore(tmp_path / "b"), data=loader), whole)


def test_a_start_at_another_epoch_is_refused(tmp_path):
    with pytest.raises(Killed):
        train("adam", callbacks.BackupAndRestore(tmp_path), Kill(3))
    with pytest.raises(ArgumentError, match="initial_epoch=3"):
        train("adam", callbacks.BackupAndRestore(tmp_path), initial_epoch=5)


def test_the_backup_of_another_model_is_refused(tmp_path):
    with pytest.raises(Killed):
        train("adam", callbacks.BackupAndRestore(tmp_path), Kill(3))
    other = lamella.Sequential([lamella.Input((6,)), lamella.layers.Dense(3)])
    other.compile("adam", "sparse_categorical_crossentropy")
    with pytest.raises(DataError, match="another model"):
        other.fit(X, Y, verbose=0, epochs=6, initial_epoch=3, callbacks=[callbacks.BackupAndRestore(tmp_path)])


def test_a_damaged_backup(tmp_path):
    def backup():
        return callbacks.BackupAndRestore(tmp_path, double_checkpoint=True, delete_checkpoint=False)

    with pytest.raises(Killed):
        train("adam", backup(), Kill(3))
    (tmp_path / "latest.pt").write_bytes(b"half of a fi")
    train("adam", backup(), initial_epoch=2)  # that of the epoch before
    (tmp_path / "latest.pt.bkp").unlink()
    (tmp_path / "latest.pt").write_bytes(b"half of a fi")
    with pytest.raises(DataError, match="damaged"):
        train("adam", backup())


def test_ctrl_c_keeps_the_backup(tmp_path):
    def on_second(epoch, logs):
        if epoch == 2:
            raise KeyboardInterrupt

    train("adam", callbacks.BackupAndRestore(tmp_path / "b"), callbacks.LambdaCallback(on_epoch_begin=on_second))
    assert (tmp_path / "b" / "latest.pt").exists()


def test_refusals(tmp_path):
    with pytest.raises(ArgumentError, match="backup_dir"):
        callbacks.BackupAndRestore("")
    with pytest.raises(ArgumentError, match="save_freq"):
        callbacks.BackupAndRestore(tmp_path, save_freq=0.5)

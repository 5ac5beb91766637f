"""Modules of plain torch, alone or wrapped, have their parameters and buffers in files, where Keras has them."""

from __future__ import annotations

from typing import Any

import h5py
import keras
import numpy as np
import pytest
import torch
from torch import nn

import lamella

LIBRARIES = [lamella, keras]
X = np.random.default_rng(0).random((6, 3)).astype("float32")
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:keras", "ignore:.*__array__.*:DeprecationWarning")


def attributes(k: Any) -> Any:
    """Torch modules as attributes: before and after `layers` in the alphabet."""

    class Attributes(k.Model):
        def __init__(self) -> None:
            super().__init__()
            self.first = nn.Linear(3, 4)
            self.head = k.layers.Dense(2)
            self.net = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4), nn.ReLU())
            self.wrapped = k.layers.TorchModuleWrapper(nn.Linear(4, 4))

        def call(self, x: Any) -> Any:
            return self.head(self.wrapped(self.net(self.first(x))))

    return Attributes()


def listed(k: Any) -> Any:
    class Listed(k.Model):
        def __init__(self) -> None:
            super().__init__()
            self.blocks = [k.layers.TorchModuleWrapper(nn.Linear(3, 3)) for _ in range(2)]
            self.head = k.layers.Dense(2)

        def call(self, x: Any) -> Any:
            for block in self.blocks:
                x = block(x)
            return self.head(x)

    return Listed()


def chained(k: Any) -> Any:
    wrapped = [k.layers.TorchModuleWrapper(nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3))) for _ in range(2)]
    return k.Sequential([k.Input((3,)), *wrapped, k.layers.Dense(2)])


def trained(make: Any, library: Any) -> Any:
    model = make(library)
    model(X)
    model.compile("sgd", "mse")
    model.fit(X, X[:, :2], verbose=0)
    return model


@pytest.mark.parametrize("make", [attributes, listed, chained])
@pytest.mark.parametrize("reader", LIBRARIES)
@pytest.mark.parametrize("writer", LIBRARIES)
def test_weights_both_ways(writer: Any, reader: Any, make: Any, tmp_path: Any) -> None:
    model = trained(make, writer)
    model.save_weights(tmp_path / "m.weights.h5")
    again = make(reader)
    again(X)
    again.load_weights(tmp_path / "m.weights.h5")
    again.save_weights(tmp_path / "again.weights.h5")
    before, after = content(tmp_path / "m.weights.h5"), content(tmp_path / "again.weights.h5")
    assert before.keys() == after.keys() and any("running_mean" in name for name in before) is (make is not listed)
    for name, value in before.items():
        np.testing.assert_array_equal(after[name], value)
    if reader is writer is lamella:
        np.testing.assert_array_equal(again.predict(X, verbose=0), model.predict(X, verbose=0))


def content(path: Any) -> dict[str, np.ndarray]:
    """The weights of a file by their paths, but for the optimizer's."""
    found = {}
    with h5py.File(path) as file:
        file.visititems(lambda name, item: found.update({name: item[()]} if isinstance(item, h5py.Dataset) else {}))
    return {name: value for name, value in found.items() if not name.startswith("optimizer")}


def test_modules_of_torch_infer_until_fit_trains_them() -> None:
    class Held(lamella.Model):
        def __init__(self) -> None:
            super().__init__()
            self.one = nn.Sequential(nn.BatchNorm1d(3), nn.Dropout(0.5))
            self.several = [nn.Dropout(0.5)]
            self.head = lamella.layers.Dense(2)

        def call(self, x: Any) -> Any:
            return self.head(self.several[0](self.one(x)))

    model = Held()
    before = model.one[0].running_mean.clone()
    np.testing.assert_array_equal(model(X).detach(), model(X).detach())
    np.testing.assert_array_equal(model.predict(X, verbose=0), model(X).detach())
    assert torch.equal(model.one[0].running_mean, before)
    model.compile("sgd", "mse")
    model.fit(X, X[:, :2], verbose=0)
    assert not torch.equal(model.one[0].running_mean, before)
    np.testing.assert_array_equal(model(X).detach(), model(X).detach())


def test_shards_and_modules_with_layers_in_them(tmp_path: Any) -> None:
    class Mixed(lamella.Model):
        def __init__(self) -> None:
            super().__init__()
            self.both = nn.Sequential(nn.Linear(3, 4), lamella.layers.Dense(4), nn.ModuleList([nn.Linear(4, 2)]))
            self.more = [nn.Linear(4, 2)]

        def call(self, x: Any) -> Any:
            x = self.both[1](self.both[0](x))
            return self.both[2][0](x) + self.more[0](x)

    model, again = Mixed(), Mixed()
    model(X), again(X)
    model.save_weights(tmp_path / "m.weights.json", max_shard_size=1)
    again.load_weights(tmp_path / "m.weights.json")
    for one, other in zip(model.parameters(), again.parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=0)


def test_a_file_without_them_is_refused_and_nothing_is_changed(tmp_path: Any) -> None:
    def little(width: int) -> Any:
        model = attributes(lamella)
        model.net = nn.Sequential(nn.Linear(4, width), nn.Linear(width, 4))
        model(X)
        return model

    little(2).save_weights(tmp_path / "m.weights.h5")
    model = little(3)
    before = model.predict(X, verbose=0)
    with pytest.raises(lamella.errors.FileError, match=r"'0\.weight' of a torch Sequential has shape \(3, 4\)"):
        model.load_weights(tmp_path / "m.weights.h5")
    np.testing.assert_array_equal(model.predict(X, verbose=0), before)
    other = attributes(lamella)
    other(X)
    with pytest.raises(lamella.errors.FileError, match=r"torch Sequential has \['0\.weight'.*the file has"):
        other.load_weights(tmp_path / "m.weights.h5")

"""Bars beside what takes long and is no training."""

import numpy as np
import pytest
from torch.utils.data import DataLoader, IterableDataset

from lamella import layers
from lamella.engine import watched


class Endless(IterableDataset):
    def __iter__(self):
        while True:
            yield np.ones(3, "float32")


@pytest.fixture
def terminal(monkeypatch):
    monkeypatch.setattr(watched, "somebody_watches", lambda: True)
    monkeypatch.setattr(watched, "_PATIENCE", 0.0)


def test_adapt_shows_how_far_it_is(terminal, capsys):
    layers.Normalization().adapt([np.ones((2, 3))] * 7)
    assert "adapt: 100%" in (shown := capsys.readouterr().out) and "7/7" in shown
    layers.Discretization(num_bins=2).adapt(np.ones((2, 3)) for _ in range(5))
    shown = capsys.readouterr().out
    assert "5it" in shown and "%" not in shown  # how many there are is not known
    layers.Discretization(num_bins=2).adapt(DataLoader(Endless(), batch_size=2), steps=4)
    assert "4/4" in capsys.readouterr().out
    layers.Normalization().adapt(np.ones((2, 3)))
    assert capsys.readouterr().out == ""  # one array


def test_what_is_quick_or_not_watched_shows_nothing(terminal, monkeypatch, capsys):
    monkeypatch.setattr(watched, "_PATIENCE", 60.0)
    layers.Normalization().adapt([np.ones((2, 3))] * 7)
    monkeypatch.setattr(watched, "_PATIENCE", 0.0)
    monkeypatch.setattr(watched, "somebody_watches", lambda: False)
    layers.Normalization().adapt([np.ones((2, 3))] * 7)
    printed = capsys.readouterr()
    assert printed.out == printed.err == ""

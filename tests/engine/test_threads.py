"""The number of threads is chosen while training, and given back."""

import time

import pytest
import torch

from lamella.engine import random, threads


@pytest.fixture
def two_threads(monkeypatch):
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    monkeypatch.setattr(random, "seeded", False)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize(("quick", "expected"), [(1, 1), (2, 2)])
def test_the_quicker_number_wins_and_no_step_is_lost(two_threads, quick, expected):
    steps = []

    def step(x, y, weight):
        steps.append(x)
        time.sleep(1e-4 if torch.get_num_threads() == quick else 1e-3)

    quickest = threads.QuickestThreads(step)
    for i in range(150):
        quickest(i, None, None)
    assert steps == list(range(150))
    assert torch.get_num_threads() == expected
    quickest.restore()
    assert torch.get_num_threads() == 2


def test_long_steps_and_seeded_runs_keep_their_threads(two_threads, monkeypatch):
    quickest = threads.QuickestThreads(lambda x, y, weight: time.sleep(3e-3))
    for i in range(60):
        quickest(i, None, None)
        assert torch.get_num_threads() == 2
    monkeypatch.setattr(random, "seeded", True)
    assert not threads.QuickestThreads(lambda *batch: None).deciding

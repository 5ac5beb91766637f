"""Shared fixtures. Real Keras, the reference, runs on its torch engine."""

import gc
import os

os.environ.setdefault("KERAS_BACKEND", "torch")

import numpy as np
import pytest
import torch

from lamella.engine import random, replay


def pytest_collection_finish():
    """What was imported and collected stays: no garbage collection goes through its millions of objects again."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)
    np.random.seed(0)


@pytest.fixture
def every_step_is_recorded(monkeypatch):
    """Also those that are long, or of few operations. The flag that a run is seeded is put back afterwards."""
    monkeypatch.setattr(replay, "_SHORT", 60.0)
    monkeypatch.setattr(replay, "_WORTH", 0.0)
    monkeypatch.setattr(random, "seeded", random.seeded)


class Clock:
    """Stands for the module `time`: nothing but `sleep` moves its hand, however busy the machine is."""

    def __init__(self):
        self.now = 0.0

    def perf_counter(self):
        return self.now

    time = perf_counter

    def sleep(self, seconds):
        self.now += seconds


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def rng():
    return np.random.default_rng(0)

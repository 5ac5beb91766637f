"""Shared fixtures. Real Keras, the reference, runs on its torch engine."""

import os

os.environ.setdefault("KERAS_BACKEND", "torch")

import numpy as np
import pytest
import torch

from lamella.engine import random, replay


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


@pytest.fixture
def rng():
    return np.random.default_rng(0)

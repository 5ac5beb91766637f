"""Shared fixtures. Real Keras, the reference, runs on its torch engine."""

import gc
import os
import sys

os.environ.setdefault("KERAS_BACKEND", "torch")

import numpy as np
import pytest
import torch

from lamella.dtype_policies.policy import keep_as_default
from lamella.engine import naming, random, replay

LONGEST = """
    test_model_parallel test_export test_applications_a test_gallery_a test_docs test_gallery_b test_study_equality
    test_resume_of_data test_applications_b test_yolo test_tagger test_translator test_cli_language test_restricted
    test_quantization test_watch_server test_recurrent_gradients test_interchange test_calibration test_bert test_unet
    test_autoencoders test_captioner test_forecaster test_linear_models test_serving test_sklearn_estimators
""".split()
"""The files that take more than 15 seconds, the longest first."""


def pytest_configure(config):
    """xdist, which would begin with the files of most tests, takes them in the order below."""
    if hasattr(config.option, "loadscopereorder"):
        config.option.loadscopereorder = False


def pytest_collection_modifyitems(items):
    """The longest files first: none is begun last, and then runs on one core while the other waits."""
    place = {name: i for i, name in enumerate(LONGEST)}
    items.sort(key=lambda item: place.get(item.path.stem, len(place)))


def pytest_collection_finish():
    """What was imported and collected stays: no garbage collection goes through its millions of objects again."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)
    np.random.seed(0)


@pytest.fixture(autouse=True)
def defaults_begin_anew():
    """The first `Dense` of a test is `dense`, of float32, whichever tests ran before it here; so is Keras's."""
    naming.begin_anew()
    keep_as_default(None)
    if real := sys.modules.get("keras"):
        real.utils.clear_session(free_memory=False)


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

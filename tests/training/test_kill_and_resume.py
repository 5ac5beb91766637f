"""A training that is killed (SIGKILL) at a random moment and started again ends as one that never was: to the bit."""

import gc
import json
import multiprocessing
import os
import random
import signal
import time

import numpy as np
import pytest

import lamella
from lamella import layers

pytestmark = pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="needs os.fork")

PICTURES = np.random.default_rng(0).random((160, 8, 8, 3)).astype("float32")
CLASSES = np.random.default_rng(1).integers(0, 4, 160)


def train(folder, out):
    """Dropout, augmentation, moving averages, a schedule, momentum, shuffling, validation and early stopping."""
    gc.freeze()  # what other tests left may have threads, which stayed behind: it would wait for them
    lamella.utils.set_random_seed(5)
    model = lamella.Sequential(
        [
            lamella.Input((8, 8, 3)),
            layers.RandomFlip(),
            layers.RandomTranslation(0.1, 0.1),
            layers.Conv2D(8, 3, activation="relu"),
            layers.BatchNormalization(),
            layers.Flatten(),
            layers.Dropout(0.3),
            layers.Dense(4, activation="softmax"),
        ]
    )
    rate = lamella.optimizers.schedules.CosineDecay(0.05, 60, warmup_target=0.1, warmup_steps=7)
    model.compile(lamella.optimizers.SGD(rate, momentum=0.9), "sparse_categorical_crossentropy", metrics=["accuracy"])
    used = [lamella.callbacks.BackupAndRestore(folder, save_freq=3)] if folder else []
    used.append(lamella.callbacks.EarlyStopping(patience=9, restore_best_weights=True))
    history = model.fit(
        PICTURES, CLASSES, 16, epochs=6, verbose=0, callbacks=used, validation_data=(PICTURES[:40], CLASSES[:40])
    )
    result = {"weights": [w.tobytes().hex() for w in model.get_weights()], "history": history.history}
    out.write_text(json.dumps(result))


def start(*arguments):
    process = multiprocessing.get_context("fork").Process(target=train, args=arguments)
    process.start()
    return process


def check(kills, tmp_path):
    def seconds_of_a_whole_run():
        begun = time.perf_counter()
        start(None, tmp_path / "whole").join()
        return time.perf_counter() - begun

    seconds = min(seconds_of_a_whole_run() for _ in range(2))  # a slow one would have every kill come too late
    chance, cut_off = random.Random(3), 0
    for i in range(kills):
        process = start(tmp_path / f"backup{i}", tmp_path / f"resumed{i}")
        time.sleep(chance.uniform(0.05, 1.0) * seconds)
        if process.is_alive():
            os.kill(process.pid, signal.SIGKILL)
        process.join()
        cut_off += process.exitcode == -signal.SIGKILL
        again = start(tmp_path / f"backup{i}", tmp_path / f"resumed{i}")
        again.join()
        assert again.exitcode == 0
        assert (tmp_path / f"resumed{i}").read_text() == (tmp_path / "whole").read_text()
    assert cut_off >= kills // 2


def test_a_few_kills(tmp_path):
    check(3, tmp_path)


@pytest.mark.slow
def test_thirty_kills(tmp_path):
    check(30, tmp_path)

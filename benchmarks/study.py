"""64 learning rates of a small MLP on the embedded digits: all at once against one `fit` after the other.

    python benchmarks/study.py

Both sides are timed in turns, a pair in each round, and the median is given: of the seconds, and of the ratio within a
round. The separate trainings are of ready models and have no seed, so that `fit` may choose its number of threads; the
study's time has all that it does: making the models, the check of its first step, and what it returns.
"""

import argparse
import statistics
import time

import numpy as np
import torch

import lamella
from lamella import layers, optimizers
from lamella.study import learning_rates


def make(units: int, rate: float) -> lamella.Sequential:
    model = lamella.Sequential(
        [lamella.Input((64,)), layers.Dense(units, activation="relu"), layers.Dense(10, activation="softmax")]
    )
    model.compile(optimizers.Adam(rate), "sparse_categorical_crossentropy")
    return model


def one_by_one(units: int, rates: np.ndarray, x: np.ndarray, y: np.ndarray, epochs: int) -> float:
    models = [make(units, rate) for rate in rates]
    start = time.perf_counter()
    for model in models:
        model.fit(x, y, batch_size=32, epochs=epochs, verbose=0)
    return time.perf_counter() - start


def at_once(units: int, rates: np.ndarray, x: np.ndarray, y: np.ndarray, epochs: int) -> float:
    model = make(units, 0.001)
    start = time.perf_counter()
    study = learning_rates(model, x, y, values=rates, seeds=1, epochs=epochs, batch_size=32)
    seconds = time.perf_counter() - start
    assert {run.how for run in study.runs} == {"at once"}
    return seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--units", type=int, nargs="+", default=[24, 134, 1334], help="1,810, 10,060 and 100,060 weights"
    )
    parser.add_argument("--copies", type=int, default=64)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    (x, y), _ = lamella.datasets.digits.load_data()
    x = (x.reshape(-1, 64) / 16).astype("float32")
    y = y.astype("int64")
    rates = np.logspace(-4, -1, options.copies)
    print(f"{options.copies} rates, {options.epochs} epochs of 45 steps, {torch.get_num_threads()} threads")
    print(f"{'weights':>8}{'one by one, s':>15}{'at once, s':>12}{'times as fast':>15}")
    for units in options.units:
        weights = make(units, 0.1).count_params()
        pairs = []
        at_once(units, rates[:4], x, y, 1)  # warm
        for _ in range(options.rounds):
            seeded = lamella.engine.random.seeded
            lamella.engine.random.seeded = False  # what the study seeded must not keep `fit` from choosing its threads
            alone = one_by_one(units, rates, x, y, options.epochs)
            lamella.engine.random.seeded = seeded
            pairs.append((alone, at_once(units, rates, x, y, options.epochs)))
        alone, together = (statistics.median(side) for side in zip(*pairs, strict=True))
        ratio = statistics.median(a / b for a, b in pairs)
        print(f"{weights:>8}{alone:>15.2f}{together:>12.2f}{ratio:>15.1f}", flush=True)


if __name__ == "__main__":
    main()

"""What `fit` costs beyond its steps: `python fit_overhead.py [mlp] [cnn]` in the environment of Lamella.

An epoch of `fit` (checks, shuffling, metrics, history) takes turns with the same step called in a loop on batches that
were made before, in one process. A third column is `fit` with a progress bar, which goes where nobody watches it.
"""

import argparse
import contextlib
import io
import os
import statistics
import sys
import time
from importlib import import_module

ROUNDS = 15


def main():
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("rows", nargs="*", default=["mlp", "cnn"])
    arguments.add_argument("--threads", type=int, default=os.cpu_count())
    arguments.add_argument("--rounds", type=int, default=ROUNDS)
    options = arguments.parse_args()
    import torch

    torch.set_num_threads(options.threads)
    print(
        f"torch {torch.__version__}, {options.threads} threads; milliseconds a step, medians of {options.rounds} rounds"
    )
    print("| work | bare step | fit, verbose=0 | more | fit, verbose=1 | more |\n|---|---|---|---|---|---|")
    for name in options.rows:
        row = import_module(f"rows.{name}")
        bare, silent, shown = measured(row, options.rounds)
        print(
            f"| {row.TITLE} | {bare:.4f} | {silent:.4f} | {silent / bare - 1:+.1%} | {shown:.4f} | "
            f"{shown / bare - 1:+.1%} |",
            flush=True,
        )


def measured(row, rounds):
    """Milliseconds a step: the step alone, `fit` without and with a progress bar."""
    import torch

    import lamella

    lamella.utils.set_random_seed(0)
    samples = row.BATCH * row.STEPS
    x, y = row.data(samples)
    model = row.keras_model(lamella)
    batches = [
        (torch.from_numpy(x[i : i + row.BATCH]), torch.from_numpy(y[i : i + row.BATCH]), None)
        for i in range(0, samples, row.BATCH)
    ]

    def fit(verbose):
        with contextlib.redirect_stdout(io.StringIO()):
            model.fit(x, y, batch_size=row.BATCH, epochs=1, verbose=verbose)

    def bare():
        step = model._train_function  # the one that fit has just used
        model.train()
        with lamella.engine.kernels.best_matmul(torch.device("cpu")):
            for batch in batches:
                step(*batch)
        model.eval()

    turns = [lambda: bare(), lambda: fit(0), lambda: fit(1)]
    fit(0)
    seconds = [[] for _ in turns]
    for _ in range(rounds):
        for found, turn in zip(seconds, turns, strict=True):
            begun = time.perf_counter()
            turn()
            found.append(time.perf_counter() - begun)
    return [1e3 * statistics.median(found) / row.STEPS for found in seconds]


if __name__ == "__main__":
    sys.exit(main())

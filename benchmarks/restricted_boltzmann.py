"""An epoch of a restricted Boltzmann machine, 784-500, beside scikit-learn's BernoulliRBM.

    python benchmarks/restricted_boltzmann.py --data FOLDER --threads 1

Both do the same: persistent contrastive divergence with one Gibbs step and as many chains as a batch has rows, on
MNIST's pictures from 0 to 1. Each is measured in turns, in one process; a round is one epoch over `--rows` pictures.
scikit-learn computes in float64, as it does with what its loaders give, and in float32. The pseudo-likelihood of both
is shown, so that nobody is fast by not learning.
"""

import argparse
import os
import statistics
import time
from pathlib import Path

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--data", type=Path, required=True, help="the folder with MNIST's four files")
parser.add_argument("--threads", type=int, default=1)
parser.add_argument("--rows", type=int, default=6000, help="pictures in an epoch; all are 60000")
parser.add_argument("--rounds", type=int, default=3)
parser.add_argument("--batches", type=int, nargs="+", default=[10, 100])
options = parser.parse_args()
for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[name] = str(options.threads)  # before the libraries are loaded
os.environ["LAMELLA_DATA"] = str(options.data)

import torch
from sklearn.neural_network import BernoulliRBM

import lamella
from lamella.energy import RestrictedBoltzmannMachine

HIDDEN, RATE = 500, 0.05


def lamella_run(x, batch):
    rbm = RestrictedBoltzmannMachine(HIDDEN, persistent=True, chains=batch)
    rbm.compile(lamella.optimizers.SGD(RATE))
    rbm.build((None, x.shape[1]))
    return lambda: rbm.fit(x, batch_size=batch, verbose=0), lambda: rbm.pseudo_log_likelihood(x).mean().item()


def sklearn_run(x, batch):
    rbm = BernoulliRBM(HIDDEN, learning_rate=RATE, batch_size=batch, n_iter=1)  # each fit starts anew
    return lambda: rbm.fit(x), lambda: rbm.score_samples((x > 0.5).astype(x.dtype)).mean()


def main():
    torch.set_num_threads(options.threads)
    lamella.utils.set_random_seed(0)
    (pictures, _), _ = lamella.datasets.mnist.load_data()
    x = pictures[: options.rows].reshape(-1, 784).astype("float32") / 255
    print(f"{options.threads} thread(s), {options.rows} rows, median of {options.rounds} rounds")
    print(f"{'batch':>5}  {'who':<22}{'ms/update':>10}{'s/epoch of 60000':>18}{'times':>8}{'pseudo-likelihood':>19}")
    for batch in options.batches:
        runs = {
            "Lamella": lamella_run(x, batch),
            "scikit-learn, float64": sklearn_run(x.astype("float64"), batch),
            "scikit-learn, float32": sklearn_run(x, batch),
        }
        times = {name: [] for name in runs}
        for _ in range(options.rounds):
            for name, (fit, _score) in runs.items():
                start = time.perf_counter()
                fit()
                times[name].append((time.perf_counter() - start) / len(x))
        own = statistics.median(times["Lamella"])
        for name, (_fit, score) in runs.items():
            row = statistics.median(times[name])
            numbers = f"{1e3 * batch * row:>10.2f}{60_000 * row:>18.1f}{row / own:>8.1f}{score():>19.1f}"
            print(f"{batch:>5}  {name:<22}{numbers}", flush=True)


if __name__ == "__main__":
    main()

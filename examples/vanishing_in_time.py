"""How gradients vanish and explode along a sequence, what that does to learning, and what helps.

    python examples/vanishing_in_time.py --out vanishing_in_time.png

Before any training: how much the last output changes with the input of each earlier step. Then: networks learn to tell,
at the end of a sequence, which symbol stood at its beginning. `docs/recurrent.md` explains what is to be seen.
"""

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

import lamella
from lamella import layers
from lamella.errors import NonFiniteError
from lamella.initializers import Identity, RandomNormal
from lamella.optimizers import SGD, Adam

UNITS = 64
SYMBOLS, NOISE = 8, 2  # one of eight symbols comes first; what follows it is one of two others
COLOURS = ("#999999", "#d55e00", "#e69f00", "#009e73", "#56b4e9", "#0072b2", "#cc79a7")


def spread(gain: float) -> RandomNormal:
    """A recurrent kernel whose eigenvalues fill a disc of radius `gain`."""
    return RandomNormal(stddev=gain / UNITS**0.5)


def long_memory(longest: int) -> Callable:
    """Biases of an LSTM by which its units forget over 1 to `longest` steps (Tallec and Ollivier, 2018)."""

    def bias(shape: tuple[int], dtype: object = None) -> torch.Tensor:
        forget = (1 + (longest - 2) * torch.rand(UNITS)).log()
        return torch.cat([-forget, forget, torch.zeros(2 * UNITS)])

    return bias


NETWORKS: dict[str, Callable[[int], layers.Layer]] = {
    "RNN, small weights": lambda n: layers.SimpleRNN(UNITS, recurrent_initializer=spread(0.5)),
    "RNN, large weights": lambda n: layers.SimpleRNN(UNITS, recurrent_initializer=spread(3.0)),
    "RNN, orthogonal": lambda n: layers.SimpleRNN(UNITS),
    "RNN, ReLU and identity": lambda n: layers.SimpleRNN(UNITS, "relu", recurrent_initializer="identity"),
    "GRU": lambda n: layers.GRU(UNITS),
    "LSTM, forget bias 1": lambda n: layers.LSTM(UNITS),
    "LSTM, forget bias by length": lambda n: layers.LSTM(
        UNITS, unit_forget_bias=False, bias_initializer=long_memory(n)
    ),
}


def sequences(count: int, length: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """One-hot symbols (count, length, 10), and which of the first eight came first."""
    symbols = rng.integers(SYMBOLS, SYMBOLS + NOISE, (count, length))
    symbols[:, 0] = rng.integers(0, SYMBOLS, count)
    return np.eye(SYMBOLS + NOISE, dtype="float32")[symbols], symbols[:, 0]


def gradient_by_distance(layer: layers.Layer, length: int) -> np.ndarray:
    """The size of the gradient of the last output (in a random direction) at the input d steps before, by d."""
    x = torch.from_numpy(sequences(64, length, np.random.default_rng(0))[0]).requires_grad_()
    direction = torch.nn.functional.normalize(torch.randn(64, UNITS), dim=1)
    (gradient,) = torch.autograd.grad((layer(x) * direction).sum(), x)
    return gradient.double().norm(dim=2).square().mean(0).sqrt().flip(0).numpy()


def learnt(make: Callable, length: int, steps: int, optimizer: object) -> float:
    """The accuracy on new sequences after `steps` steps, each on 32 sequences never seen before."""
    lamella.utils.set_random_seed(0)
    model = lamella.Sequential(
        [lamella.Input((length, SYMBOLS + NOISE)), make(length), layers.Dense(SYMBOLS, activation="softmax")]
    )
    model.compile(optimizer, "sparse_categorical_crossentropy", metrics=["accuracy"])
    rng = np.random.default_rng(0)
    try:
        model.fit(*sequences(32 * steps, length, rng), batch_size=32, verbose=0)
    except NonFiniteError:
        return float("nan")
    return model.evaluate(*sequences(1000, length, rng), verbose=0)[1]


def draw(gradients: dict, accuracies: dict, lengths: list[int], out: Path) -> None:
    """Gradients on the left, one line for each length (they lie on one another), accuracies on the right."""
    from matplotlib import pyplot

    figure, (left, right) = pyplot.subplots(1, 2, figsize=(11, 4.2), layout="constrained")
    for (name, curves), colour in zip(gradients.items(), COLOURS, strict=True):
        for curve in curves[:-1]:
            left.plot(curve, color=colour, linewidth=0.8, alpha=0.6)
        left.plot(curves[-1], color=colour, label=name)
        right.plot(lengths, accuracies[name], "o-", color=colour, label=name)
    left.set(yscale="log", ylim=(1e-12, 1e8), xlabel="steps before the last", ylabel="gradient of the last output")
    left.set_title("Before training")
    right.axhline(1 / SYMBOLS, color="black", linestyle=":", linewidth=0.8)
    right.set(xscale="log", xticks=lengths, xticklabels=lengths, ylim=(0, 1.04))
    right.set(xlabel="length of the sequence", ylabel="accuracy", title="After training to tell the first symbol")
    right.minorticks_off()
    figure.legend(*left.get_legend_handles_labels(), loc="outside lower center", ncols=4, frameon=False)
    figure.savefig(out, dpi=75)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--lengths", type=int, nargs="+", default=[10, 25, 50, 100, 200])
    parser.add_argument("--steps", type=int, default=1000, help="training steps for each network and length")
    parser.add_argument("--out", type=Path, help="a PNG file for the picture (needs matplotlib)")
    options = parser.parse_args()
    started = time.perf_counter()
    longest = max(options.lengths)

    print(f"{'gradient, steps back:':<28}" + "".join(f"{d:>10}" for d in (1, 10, 50, longest - 1)))
    gradients = {}
    for name, make in NETWORKS.items():
        lamella.utils.set_random_seed(0)
        layer = make(longest)
        gradients[name] = [gradient_by_distance(layer, length) for length in options.lengths]
        curve = gradients[name][-1]
        print(f"{name:<28}" + "".join(f"{curve[d]:>10.0e}" for d in (1, 10, 50, longest - 1)))

    print(f"\n{'accuracy, length:':<28}" + "".join(f"{n:>10}" for n in options.lengths))
    accuracies: dict[str, list[float]] = {}
    for name, make in NETWORKS.items():
        accuracies[name] = [learnt(make, n, options.steps, Adam(1e-3, clipnorm=1.0)) for n in options.lengths]
        print(f"{name:<28}" + "".join(f"{a:>10.3f}" for a in accuracies[name]), flush=True)

    print("\nexplosion: ReLU and 1.05 times the identity, 100 steps, plain SGD (nan: the loss became infinite)")
    for clip in (None, 1.0):
        make = lambda n: layers.SimpleRNN(UNITS, "relu", recurrent_initializer=Identity(1.05))  # noqa: E731
        print(f"{f'clipnorm={clip}':<28}{learnt(make, 100, options.steps, SGD(0.005, clipnorm=clip)):>10.3f}")
    print(f"{(time.perf_counter() - started) / 60:.1f} minutes")
    if options.out:
        draw(gradients, accuracies, options.lengths, options.out)


if __name__ == "__main__":
    main()

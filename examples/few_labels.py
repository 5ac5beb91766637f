"""Ten labels for each digit, and 60,000 pictures without: what learning without labels is worth.

    python examples/few_labels.py --data /path/to/mnist --out few_labels.png

A stack of denoising autoencoders and a deep belief network learn from all pictures, once. Then each is fine-tuned on
100 labelled ones, for several draws of these, and so is the same network from scratch. Five minutes on one thread:
from scratch 0.774 (ReLU 0.777), denoising autoencoders 0.807, deep belief network 0.834 of the test pictures right.
"""

import argparse
import os
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

import lamella
from lamella import layers
from lamella.energy import DeepBeliefNetwork
from lamella.optimizers import SGD, Adam
from lamella.pretraining import StackedAutoencoder


def pictures() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Rows of 784 numbers from 0 to 1, and labels; those to test with last."""
    (x, y), (x_test, y_test) = lamella.datasets.mnist.load_data()
    rows = [part.reshape(len(part), -1).astype("float32") / 255 for part in (x, x_test)]
    return rows[0], y, rows[1], y_test


def from_scratch(units: list[int], activation: str, dropout: float) -> lamella.Model:
    """The network that the others are, with fresh weights."""
    hidden = [part for size in units for part in (layers.Dense(size, activation), layers.Dropout(dropout))]
    return lamella.Sequential([lamella.Input((784,)), *hidden, layers.Dense(10, "softmax")])


def some_of_each(labels: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """The places of `count` labels of each class, drawn at random."""
    return np.concatenate([rng.choice(np.flatnonzero(labels == digit), count, replace=False) for digit in range(10)])


def fine_tuned(model: lamella.Model, x: np.ndarray, y: np.ndarray, epochs: int) -> lamella.Model:
    """The model, trained on a few labelled pictures until it has long known them."""
    model.compile(Adam(1e-3), "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(x, y, batch_size=20, epochs=epochs, verbose=0)
    return model


def draw(accuracies: dict[str, list[float]], filters: dict[str, np.ndarray], out: Path) -> None:
    """The accuracy of each draw on the left; on the right what some units of the lowest layers look for."""
    from matplotlib import pyplot

    figure, (left, *others) = pyplot.subplots(1, 3, figsize=(13, 4), width_ratios=(1.4, 1, 1), layout="constrained")
    for place, values in enumerate(accuracies.values()):
        left.plot(values, [place] * len(values), "o", color="#0072b2", alpha=0.5)
        left.plot(np.mean(values), place, "|", color="black", markersize=22)
    left.set(yticks=range(len(accuracies)), yticklabels=accuracies, xlabel="test accuracy, one point for each draw")
    left.set_title("100 labels")
    left.invert_yaxis()
    for axis, (name, kernel) in zip(others, filters.items(), strict=True):
        tiles = kernel.T[:64].reshape(8, 8, 28, 28)
        tiles = tiles / np.abs(tiles).max((2, 3), keepdims=True)
        axis.imshow(np.pad(tiles, ((0, 0), (0, 0), (1, 1), (1, 1))).transpose(0, 2, 1, 3).reshape(240, 240), "gray")
        axis.set_axis_off()
        axis.set_title(f"64 units of the {name}")
    figure.savefig(out, dpi=80)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", help="the folder with MNIST's files; otherwise it is downloaded")
    parser.add_argument("--units", type=int, nargs="+", default=[500, 500], help="the sizes of the hidden layers")
    parser.add_argument("--epochs", type=int, default=15, help="of pretraining, for each layer")
    parser.add_argument("--fine-tuning", type=int, default=200, help="epochs with labels")
    parser.add_argument("--labels", type=int, default=10, help="labelled pictures of each digit")
    parser.add_argument("--draws", type=int, default=5, help="how often other pictures are labelled")
    parser.add_argument("--noise", type=float, default=0.25, help="the share of pixels that is hidden")
    parser.add_argument("--dropout", type=float, default=0.5, help="while fine-tuning, for all alike")
    parser.add_argument("--out", type=Path, help="a PNG file for the picture (needs matplotlib)")
    options = parser.parse_args()
    if options.data:
        os.environ["LAMELLA_DATA"] = options.data
    started = time.perf_counter()
    lamella.utils.set_random_seed(0)
    x, y, x_test, y_test = pictures()

    def tell(what: str) -> None:
        print(f"{(time.perf_counter() - started) / 60:5.1f} minutes: {what}", flush=True)

    stack = StackedAutoencoder(784, options.units, noise=options.noise)
    stack.compile(Adam(1e-3), "binary_crossentropy")
    losses = [each.history["loss"][-1] for each in stack.pretrain(x, options.epochs, batch_size=100, verbose=0)]
    tell("denoising autoencoders, losses " + ", ".join(f"{loss:.4f}" for loss in losses))
    dbn = DeepBeliefNetwork(options.units)
    dbn.compile(SGD(0.05, momentum=0.5))
    histories = dbn.fit(x, epochs=options.epochs, batch_size=100, verbose=0)
    errors = [each.history["reconstruction_error"][-1] for each in histories]
    tell("Boltzmann machines, reconstruction errors " + ", ".join(f"{error:.4f}" for error in errors))

    makers: dict[str, Callable[[], lamella.Model]] = {
        "from scratch": lambda: from_scratch(options.units, "sigmoid", options.dropout),
        "from scratch, with ReLU": lambda: from_scratch(options.units, "relu", options.dropout),
        "denoising autoencoders": lambda: stack.classifier(10, options.dropout),
        "deep belief network": lambda: dbn.classifier(10, options.dropout),
    }
    accuracies: dict[str, list[float]] = {name: [] for name in makers}
    for number in range(options.draws):
        chosen = some_of_each(y, options.labels, np.random.default_rng(number))
        for name, make in makers.items():
            model = fine_tuned(make(), x[chosen], y[chosen], options.fine_tuning)
            accuracies[name].append(model.evaluate(x_test, y_test, batch_size=1000, verbose=0)[1])
        tell(f"draw {number + 1}: " + ", ".join(f"{values[-1]:.3f}" for values in accuracies.values()))

    print(f"\n{'':<26}{'accuracy':>10}{'spread':>10}")
    for name, values in accuracies.items():
        print(f"{name:<26}{np.mean(values):>10.3f}{np.std(values):>10.3f}")
    if options.out:
        lowest = {"denoising autoencoder": stack.encoder.layers[0].kernel, "Boltzmann machine": dbn.machines[0].kernel}
        draw(accuracies, {name: kernel.numpy() for name, kernel in lowest.items()}, options.out)


if __name__ == "__main__":
    main()

"""Filters of a convolution: small pictures that it looks for everywhere, learnt from the task alone.

    python examples/gallery/cnn_filters.py --out cnn_filters.png

A filter is a little window of weights. It is moved over the picture, and at each place answers how well what it sees
fits its weights: bright where they are positive, dark where they are negative. Nobody draws the filters; training does
(Fukushima, 1980, had the layers; LeCun et al., 1989, trained them). On digits they become edges and strokes of several
directions, as in photographs, too (Krizhevsky et al., 2012).

Top: the eight first-layer filters of one seed, red positive, blue negative; in the titles, what accuracy on new digits
becomes without each. Middle: the mean of the 50 patches, of all test digits, that excite it most: edges and strokes in
several directions, easier to read than the filter itself. Bottom: what it answers to one digit. Over five seeds: 97.4 %
of new digits are right (96.4 to 98.3), with a first layer that stays random 94.3 % (91.7 to 95.6): the layers behind it
make much of any filters. Without one filter accuracy falls by up to 13.3 points, or not at all (it even rises by 0.6).
Takes 12 seconds on one thread.
"""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import lamella
from lamella import layers
from lamella.study import Study, sweep

FILTERS, SIZE = 8, 5


def build(first: str) -> lamella.Sequential:
    """A small network for digits, whose first layer is trained, or stays as it began (`"random"`)."""
    model = lamella.Sequential(
        [
            lamella.Input((8, 8, 1)),
            layers.Conv2D(
                FILTERS, SIZE, padding="same", activation="relu", trainable=first == "learnt", name="filters"
            ),
            layers.MaxPooling2D(),
            layers.Conv2D(16, 3, padding="same", activation="relu"),
            layers.Flatten(),
            layers.Dense(10, "softmax"),
        ]
    )
    model.compile(lamella.optimizers.Adam(0.003), "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def digits() -> tuple[tuple[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]:
    return tuple(
        (x[..., None].astype("float32") / 16, y.astype("int64")) for x, y in lamella.datasets.digits.load_data()
    )


def compute(seeds: int = 5, epochs: int = 12) -> Study:
    """Networks with a learnt and with a random first layer, from each seed."""
    train, test = digits()
    return sweep(build, {"first": ["learnt", "random"]}, *train, seeds, epochs, validation_data=test)


@dataclass
class Seen:
    """What the filters of a network look like, and what they answer to."""

    kernels: np.ndarray  # (8, 5, 5)
    favourites: np.ndarray  # (8, 5, 5): the means of the patches that they answer most
    picture: np.ndarray  # (8, 8)
    answers: np.ndarray  # (8, 8, 8): each filter's map of the picture
    losses: np.ndarray  # (8,): how much accuracy is lost without it


def look(model: lamella.Model, digit: int = 0, best: int = 50) -> Seen:
    """Looks at the first layer of a network."""
    x, y = digits()[1]
    maps = lamella.Model(model.inputs, model.get_layer("filters").output).predict(x, verbose=0)
    picture, edge = int(np.argmax(y == digit)), SIZE // 2
    padded = np.pad(x[..., 0], ((0, 0), (edge, edge), (edge, edge)))
    patches = np.lib.stride_tricks.sliding_window_view(padded, (SIZE, SIZE), (1, 2)).reshape(-1, SIZE, SIZE)
    most = np.argsort(maps.reshape(-1, FILTERS), 0)[-best:]
    kernels = model.get_layer("filters").get_weights()[0]
    return Seen(
        kernels[:, :, 0].transpose(2, 0, 1),
        patches[most].mean(0),
        x[picture, ..., 0],
        maps[picture].transpose(2, 0, 1),
        silenced(model, x, y),
    )


def silenced(model: lamella.Model, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """(8,): by how much the accuracy falls if one filter gives 0 everywhere."""
    layer = model.get_layer("filters")
    kernel, bias = layer.get_weights()
    whole = model.evaluate(x, y, verbose=0)[1]
    found = []
    for i in range(FILTERS):
        others = np.arange(FILTERS) != i
        layer.set_weights([kernel * others, bias * others])
        found.append(whole - model.evaluate(x, y, verbose=0)[1])
    layer.set_weights([kernel, bias])
    return np.array(found)


def accuracies(study: Study, first: str) -> list[float]:
    """On new digits, by seed."""
    return [run.last("val_accuracy") for run in study.runs if run.settings["first"] == first]


def draw(seen: Seen, out: Path) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3.7), layout="constrained")
    rows = figure.subplots(3, FILTERS + 1)
    for axes in rows.flat:
        axes.set(xticks=[], yticks=[])
        axes.spines[:].set_visible(False)
    extent = np.abs(seen.kernels).max()
    for i in range(FILTERS):
        rows[0, i + 1].imshow(seen.kernels[i], cmap="RdBu_r", vmin=-extent, vmax=extent)
        rows[0, i + 1].set_title(f"{-100 * seen.losses[i]:+.1f} %", fontsize="medium")
        rows[1, i + 1].imshow(seen.favourites[i], cmap="gray", vmin=0, vmax=1)
        rows[2, i + 1].imshow(seen.answers[i], cmap="viridis", vmin=0, vmax=seen.answers.max())
    rows[2, 0].imshow(seen.picture, cmap="gray")
    for axes, label in zip(rows[:, 0], ("filter", "what excites\nit most", ""), strict=True):
        axes.text(0.5, 0.5, label, ha="center", va="center", transform=axes.transAxes)
    rows[0, 0].set_title("without it:", fontsize="medium")
    rows[2, 0].set_title("answers to:", fontsize="medium")
    figure.suptitle("Eight filters: what they look for, and what they find in one digit")
    figure.savefig(out, dpi=110)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--out", type=Path, help="a PNG file for the picture (needs matplotlib)")
    options = parser.parse_args(arguments)
    study = compute(options.seeds, options.epochs)
    print(study)
    for first in ("learnt", "random"):
        found = accuracies(study, first)
        print(f"first layer {first}: accuracy {np.mean(found):.3f} ({min(found):.3f} to {max(found):.3f})")
    losses = []
    for run in study.runs:
        if run.settings["first"] == "learnt":
            seen = look(run.model())
            losses.append(seen.losses)
            if run.seed == 0 and options.out:
                draw(seen, options.out)
    for seed, each in enumerate(losses):
        print(f"seed {seed}: without one filter the accuracy falls by " + ", ".join(f"{loss:.3f}" for loss in each))


if __name__ == "__main__":
    main()

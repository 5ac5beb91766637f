"""Under-fitting: a model that is too simple for its data, and how its size mends that.

    python examples/gallery/under_fitting.py --out under_fitting.png

Points on two rings, one within the other. Without hidden units a network draws one straight line, and no line parts the
rings. Each hidden unit adds a line, and three make a triangle around the inner ring; enough of them draw any border
(Cybenko, 1989; Hornik et al., 1989). The sign of under-fitting: the network is as bad on the points it learns from as
on new ones. More data and longer training change nothing then; more units do.

Left and middle: what a network without hidden units and one with three say (shaded), and the points. Right: the
accuracy after training, a dot for each of five seeds.

Accuracy on the training points and on new ones, medians of five seeds: without hidden units 0.48 and 0.50, with one
0.61 and 0.61, with two 0.77 and 0.75, with three 0.95 and 0.94, with 16 0.99 and 0.97. With three units two of five
trainings ended at 0.75, as if they had two: spare units help to find what fewer could do. 18 s on one thread.
"""

import argparse
from pathlib import Path

import numpy as np
from sklearn.datasets import make_circles

import lamella
from lamella import layers
from lamella.doctor import Doctor
from lamella.study import Run, Study, sweep

UNITS = (0, 1, 2, 3, 4, 8, 16)


def points(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Points (count, 2) on two rings, and 1 for those of the inner one."""
    x, y = make_circles(count, noise=0.12, factor=0.5, random_state=seed)
    return x.astype("float32"), y


def build(units: int) -> lamella.Model:
    """A layer of so many hidden units, and one unit that decides."""
    hidden = [layers.Dense(units, "tanh")] if units else []
    model = lamella.Sequential([lamella.Input((2,)), *hidden, layers.Dense(1, "sigmoid")])
    model.compile(lamella.optimizers.Adam(0.02), "binary_crossentropy", metrics=["accuracy"])
    return model


def compute(epochs: int = 60, seeds: int = 5, units: tuple[int, ...] = UNITS) -> Study:
    """A training for each number of units and seed."""
    return sweep(build, {"units": list(units)}, *points(400, 0), seeds, epochs, validation_data=points(1000, 1))


def best(runs: list[Run]) -> Run:
    """The run that fits its training points best."""
    return min(runs, key=lambda run: run.last("loss"))


def draw(study: Study, out: Path) -> None:
    """What no and three hidden units say, and the accuracy by the number of units."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9.6, 3.7), layout="constrained")
    axes = figure.subplots(1, 3, width_ratios=(1, 1, 1.25))
    groups = {runs[0].settings["units"]: runs for runs in study.by_settings()}
    across, up = np.meshgrid(np.linspace(-1.5, 1.5, 150), np.linspace(-1.5, 1.5, 150))
    grid = np.stack([across.ravel(), up.ravel()], 1).astype("float32")
    x, y = points(400, 0)
    for panel, units, title in ((axes[0], 0, "No hidden unit: one line"), (axes[1], 3, "Three units: three lines")):
        share = best(groups[units]).model().predict(grid, batch_size=len(grid), verbose=0).reshape(across.shape)
        panel.contourf(across, up, share, [0, 0.5, 1], colors=("#0072b2", "#e69f00"), alpha=0.2)
        panel.contour(across, up, share, [0.5], colors="black", linewidths=1)
        for label, colour, mark in ((0, "#0072b2", "o"), (1, "#b06f00", "^")):
            panel.scatter(*x[y == label].T, s=6, color=colour, marker=mark)
        panel.set(xticks=[], yticks=[], aspect="equal", title=title)
    places = np.arange(len(groups))
    for name, what, colour, mark, shift in (
        ("accuracy", "training points", "#d55e00", "o", -0.12),
        ("val_accuracy", "new points", "#0072b2", "s", 0.12),
    ):
        values = np.array([[run.last(name) for run in runs] for runs in groups.values()])
        axes[2].plot(places + shift, np.median(values, 1), color=colour, linewidth=1)
        axes[2].plot(places + shift, values, mark, color=colour, markersize=3.5, alpha=0.6)
        axes[2].plot([], [], mark + "-", color=colour, markersize=3.5, label=what)
    axes[2].set_xticks(places, list(groups))
    axes[2].set(xlabel="hidden units", ylabel="accuracy", title="Both are bad, then both are good")
    axes[2].legend(frameon=False)
    figure.savefig(out, dpi=110)


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=60)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--out", type=Path, help="a PNG file for the picture (needs matplotlib)")
    options = parser.parse_args(arguments)
    study = compute(options.epochs, options.seeds)
    print(f"{'hidden units':<14}{'loss':>7}{'on new points':>15}{'accuracy':>10}{'on new points':>15}{'by seed':>17}")
    for runs in study.by_settings():
        names = ("loss", "val_loss", "accuracy", "val_accuracy")
        loss, new_loss, accuracy, new = (np.median([run.last(name) for run in runs]) for name in names)
        ends = [run.last("val_accuracy") for run in runs]
        print(
            f"{runs[0].settings['units']:<14}{loss:>7.3f}{new_loss:>15.3f}{accuracy:>10.3f}{new:>15.3f}"
            f"{f'{min(ends):.3f} to {max(ends):.3f}':>17}"
        )
    doctor = Doctor(shown=0, language="en")
    lamella.utils.set_random_seed(0)
    build(0).fit(*points(400, 0), epochs=options.epochs, verbose=0, callbacks=[doctor])
    print(f"\nThe doctor, without hidden units:\n{doctor.text()}")
    if options.out:
        draw(study, options.out)


if __name__ == "__main__":
    main()

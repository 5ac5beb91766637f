"""The learning rate: too small and nothing happens, too large and nothing holds; where between, an experiment tells.

    python examples/gallery/learning_rates.py --out learning_rates.png

A step of gradient descent goes down the slope that is seen from where one stands. If steps are short, training takes
for ever; if they are longer than the valley is wide, they end higher on the other side (on a bend of curvature c: with
a rate above 2 / c). The rate is often the most important single setting (Bengio, 2012, Practical recommendations for
gradient-based training of deep architectures), and it depends on the optimizer. So try many, with several seeds:
`lamella.study` trains all of them at once, as one computation.

Left: one optimizer, as `study.plot()` draws it, with the edge from which on trainings diverge. Right: four optimizers.
Best for SGD: 0.37 (by seed 0.18 to 0.74), with momentum 0.09, for RMSprop 0.0055, for Adam 0.011; from 25, 12, 6.1 and
25 on most trainings diverge. Long before that, from 1.5 on with SGD, the loss stays where it was: the doctor finds 88 %
of the ReLU units dead. A range test, one short training, says 1.3 for SGD: too bold, by one seed and 100 steps. Takes
20 seconds on one thread.
"""

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

import lamella
from lamella import layers, optimizers
from lamella.doctor import Doctor
from lamella.study import RangeTest, Study, find_learning_rate, sweep

OPTIMIZERS: dict[str, Callable[[float], optimizers.Optimizer]] = {
    "SGD": lambda rate: optimizers.SGD(rate),
    "SGD, momentum 0.9": lambda rate: optimizers.SGD(rate, momentum=0.9),
    "RMSprop": lambda rate: optimizers.RMSprop(rate),
    "Adam": lambda rate: optimizers.Adam(rate),
}
LOOKS = (("#0072b2", "-"), ("#56b4e9", "--"), ("#e69f00", "-."), ("#d55e00", "-"))


def build(optimizer: str, learning_rate: float) -> lamella.Sequential:
    model = lamella.Sequential(
        [lamella.Input((64,)), layers.Dense(24, "relu", name="hidden"), layers.Dense(10, "softmax")]
    )
    model.compile(OPTIMIZERS[optimizer](learning_rate), "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def digits() -> tuple[np.ndarray, np.ndarray, tuple[np.ndarray, np.ndarray]]:
    (x, y), (x_test, y_test) = lamella.datasets.digits.load_data()
    x, x_test = (part.reshape(-1, 64).astype("float32") / 16 for part in (x, x_test))
    return x, y.astype("int64"), (x_test, y_test.astype("int64"))


def compute(rates: int = 24, seeds: int = 5, epochs: int = 10) -> dict[str, Study]:
    """A study of each optimizer; all of them are trained together."""
    x, y, test = digits()
    space = {"optimizer": list(OPTIMIZERS), "learning_rate": np.logspace(-5, 2, rates).tolist()}
    whole = sweep(build, space, x, y, seeds, epochs, validation_data=test)
    print(whole, "\n")
    return {
        name: Study([run for run in whole.runs if run.settings["optimizer"] == name], whole.seconds)
        for name in OPTIMIZERS
    }


def range_test() -> RangeTest:
    """What a single short training tells about SGD."""
    x, y, _ = digits()
    lamella.utils.set_random_seed(0)
    return find_learning_rate(build("SGD", 0.1), x, y)


def diagnosis(rate: float, epochs: int = 10) -> Doctor:
    """What the doctor says of SGD with this rate."""
    x, y, _ = digits()
    lamella.utils.set_random_seed(0)
    doctor = Doctor(shown=0)
    build("SGD", rate).fit(x, y, epochs=epochs, verbose=0, callbacks=[doctor])
    return doctor


def accuracy(study: Study) -> float:
    """The mean accuracy on new digits with the best rate."""
    return float(np.mean([run.last("val_accuracy") for run in study.runs if run.settings == study.best]))


def draw(studies: dict[str, Study], out: Path) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8.5, 3.9), layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True)
    studies["SGD"].plot(axes=left)
    left.set(ylim=(0.02, 9), ylabel="loss on new digits", title="SGD: too small, best near the brink, too large")
    left.legend(frameon=False, fontsize="small", loc="lower left")
    for (name, study), (colour, style) in zip(studies.items(), LOOKS, strict=True):
        groups = [[run for run in runs if not run.diverged] for runs in study.by_settings()]
        points = [
            (runs[0].settings["learning_rate"], np.median([run.last("val_loss") for run in runs]))
            for runs in groups
            if runs
        ]
        right.plot(*zip(*points, strict=True), style, color=colour, label=name)
    right.set(xscale="log", xlabel="learning rate", title="Each optimizer has a range of its own")
    right.legend(frameon=False, fontsize="small", loc="lower left")
    figure.savefig(out, dpi=110)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rates", type=int, default=24)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--out", type=Path, help="a PNG file for the picture (needs matplotlib)")
    options = parser.parse_args(arguments)
    studies = compute(options.rates, options.seeds, options.epochs)
    print(f"{'optimizer':<20}{'best rate':>10}{'by seed':>20}{'diverges from':>15}{'test accuracy':>15}")
    for name, study in studies.items():
        by_seed = sorted(each["learning_rate"] for each in study.best_by_seed.values())
        edge = study.edge()
        print(
            f"{name:<20}{study.best['learning_rate']:>10.2g}{f'{by_seed[0]:.2g} to {by_seed[-1]:.2g}':>20}"
            f"{'-' if edge is None else f'{edge:.2g}':>15}{accuracy(study):>15.3f}"
        )
    print(f"\nrange test of SGD: {range_test()}")
    for rate in (1e-4, 1.5, 10.0):
        print(f"\nSGD with {rate:g}, the doctor says:\n{diagnosis(rate, options.epochs).text()}")
    if options.out:
        draw(studies, options.out)


if __name__ == "__main__":
    main()

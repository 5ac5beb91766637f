"""What the learning rate does: 32 rates, each with 5 seeds, of one network and four optimizers, trained at once.

    python examples/learning_rates.py --out learning_rates.png

`docs/study.md` explains what is to be seen.
"""

import argparse
from pathlib import Path

import numpy as np

import lamella
from lamella import layers, optimizers
from lamella.study import Study, find_learning_rate, sweep

OPTIMIZERS = {
    "SGD": lambda rate: optimizers.SGD(rate),
    "SGD, momentum 0.9": lambda rate: optimizers.SGD(rate, momentum=0.9),
    "RMSprop": lambda rate: optimizers.RMSprop(rate),
    "Adam": lambda rate: optimizers.Adam(rate),
}


def build(optimizer: str, learning_rate: float) -> lamella.Sequential:
    model = lamella.Sequential(
        [lamella.Input((64,)), layers.Dense(24, activation="relu"), layers.Dense(10, activation="softmax")]
    )
    model.compile(OPTIMIZERS[optimizer](learning_rate), "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rates", type=int, default=32)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--out", type=Path, help="a PNG file for the picture (needs matplotlib)")
    options = parser.parse_args()
    (x, y), (x_test, y_test) = lamella.datasets.digits.load_data()
    x, x_test = (part.reshape(-1, 64).astype("float32") / 16 for part in (x, x_test))
    y, y_test = y.astype("int64"), y_test.astype("int64")

    space = {"optimizer": list(OPTIMIZERS), "learning_rate": np.logspace(-5, 2, options.rates).tolist()}
    whole = sweep(build, space, x, y, options.seeds, options.epochs, validation_data=(x_test, y_test))
    print(whole, "\n")
    print(f"{'optimizer':<20}{'best rate':>10}{'by seed':>20}{'diverges from':>15}{'test accuracy':>15}")
    parts = {}
    for name in OPTIMIZERS:
        own = Study([run for run in whole.runs if run.settings["optimizer"] == name], whole.seconds)
        parts[name] = own
        best, by_seed = own.best, sorted(each["learning_rate"] for each in own.best_by_seed.values())
        accuracy = np.mean([run.last("val_accuracy") for run in own.runs if run.settings == best])
        edge = own.edge()
        print(
            f"{name:<20}{best['learning_rate']:>10.2g}{f'{by_seed[0]:.2g} to {by_seed[-1]:.2g}':>20}"
            f"{'-' if edge is None else f'{edge:.2g}':>15}{accuracy:>15.3f}"
        )
    test = find_learning_rate(build("SGD", 0.1), x, y)
    print(f"\nrange test of SGD: {test}")

    if options.out:
        from matplotlib.figure import Figure

        figure = Figure(figsize=(11, 7), layout="constrained")
        for axes, (name, own) in zip(figure.subplots(2, 2, sharex=True, sharey=True).flat, parts.items(), strict=True):
            own.plot(axes=axes)
            axes.set_title(name)
        figure.savefig(options.out, dpi=75)


if __name__ == "__main__":
    main()

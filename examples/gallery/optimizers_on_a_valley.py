"""SGD, Adagrad, Adadelta and Adam on one valley.

    python examples/gallery/optimizers_on_a_valley.py --out optimizers_on_a_valley.png

Two weights of a linear regression whose loss is a long, slanting valley: 49 times as curved across as along. SGD goes
where it is steepest: to and fro across the valley, slowly along it, and away for good with a rate above 2 / curvature.
Adagrad divides each weight's step by the root of the sum of its squared gradients so far (Duchi et al., 2011): steep
and flat directions get steps alike, and steps grow ever shorter. Adadelta forgets old gradients, and takes its own
earlier steps as the measure of the next (Zeiler, 2012); its first ones are tiny. Adam forgets, too, and keeps some of
its speed (Kingma and Ba, 2015): quick, and past the lowest point before it comes back.

Left: the ways of 200 steps, each with the best of 13 rates from 0.001 to 1. Right: the loss after 200 steps, by rate.

The best rates were 0.056, 1, 1 and 0.32, the losses then 2e-5, 2e-6, 25 (it began at 39) and 2e-8; SGD diverged from a
rate of 0.1 on, as it must above 2 / 24.5. There is nothing random in it. One valley of two weights says how each goes
about it, not which is best for a network. 4 s on one thread.
"""

import argparse
from pathlib import Path

import numpy as np

import lamella
from lamella import layers, optimizers
from lamella.callbacks import LambdaCallback
from lamella.study import Run, Study, sweep

COLOURS = {"SGD": "#777777", "Adagrad": "#d55e00", "Adadelta": "#009e73", "Adam": "#0072b2"}
MARKS = {"SGD": "o", "Adagrad": "s", "Adadelta": "D", "Adam": "^"}
RATES = np.logspace(-3, 0, 13).tolist()
SLANT = np.deg2rad(15)
CURVATURES = np.array([0.5, 24.5])  # along the valley and across it


def samples() -> tuple[np.ndarray, np.ndarray]:
    """Two samples (2, 2) whose mean squared error has the curvatures above, and targets that weights of 0 give."""
    turn = np.array([[np.cos(SLANT), np.sin(SLANT)], [-np.sin(SLANT), np.cos(SLANT)]])
    corners = np.array([[1, 1], [1, -1]]) * np.sqrt(CURVATURES / 2)
    return (corners @ turn).astype("float32"), np.zeros(2, "float32")


def build(optimizer: str, learning_rate: float) -> lamella.Model:
    """A linear regression with two weights, which start on a slope of the valley."""
    model = lamella.Sequential([lamella.Input((2,)), layers.Dense(1, use_bias=False)])
    model.set_weights([np.array([[-3.0], [1.0]], "float32")])
    model.compile(getattr(optimizers, optimizer)(learning_rate), "mse")
    return model


def way(optimizer: str, learning_rate: float, steps: int) -> np.ndarray:
    """The two weights after each step, (steps + 1, 2)."""
    model = build(optimizer, learning_rate)
    places = [model.get_weights()[0].ravel()]
    note = LambdaCallback(on_epoch_end=lambda epoch, logs: places.append(model.get_weights()[0].ravel()))
    model.fit(*samples(), epochs=steps, verbose=0, callbacks=[note])  # both samples are one batch
    return np.array(places)


def compute(steps: int = 200) -> tuple[Study, dict[str, Run], dict[str, np.ndarray]]:
    """Trainings with many rates; of each optimizer the best one, and its way."""
    study = sweep(build, {"optimizer": list(COLOURS), "learning_rate": RATES}, *samples(), epochs=steps)
    best = {}
    for name in COLOURS:
        best[name] = Study([run for run in study.runs if run.settings["optimizer"] == name], study.seconds).best_run
    return study, best, {name: way(**run.settings, steps=steps) for name, run in best.items()}


def draw(study: Study, best: dict[str, Run], ways: dict[str, np.ndarray], out: Path) -> None:
    """The ways on the left, the losses by rate on the right."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8.4, 4.1), layout="constrained")
    left, right = figure.subplots(1, 2)
    across, up = np.meshgrid(np.linspace(-3.3, 1.6, 200), np.linspace(-1.7, 1.3, 200))
    loss = np.square(np.stack([across, up], 2) @ samples()[0].T).mean(2)
    left.contour(across, up, loss, np.geomspace(0.02, 60, 12), colors="#bbbbbb", linewidths=0.6)
    for name, colour in COLOURS.items():
        look = {"color": colour, "marker": MARKS[name], "markersize": 3, "linewidth": 1}
        left.plot(*ways[name].T, **look, label=f"{name}, rate {best[name].settings['learning_rate']:.2g}")
        runs = [run for run in study.runs if run.settings["optimizer"] == name and not run.diverged]
        right.plot([run.settings["learning_rate"] for run in runs], [run.last("loss") for run in runs], **look)
    left.plot(0, 0, "*", color="black", markersize=8)
    left.set(xlabel="first weight", ylabel="second weight", title="Four ways to the lowest point")
    right.set(xscale="log", yscale="log", xlabel="learning rate", ylabel="loss after training")
    right.set_title("Each needs a rate of its own")
    figure.legend(*left.get_legend_handles_labels(), loc="outside lower center", ncols=4, frameon=False)
    figure.savefig(out, dpi=110)


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--out", type=Path, help="a PNG file for the picture (needs matplotlib)")
    options = parser.parse_args(arguments)
    study, best, ways = compute(options.steps)
    print(f"{len(study.runs)} trainings in {study.seconds:.1f} s")
    print(f"{'optimizer':<11}{'best rate':>10}{'loss':>10}{'way':>7}{'diverges from':>15}")
    for name, run in best.items():
        length = np.linalg.norm(np.diff(ways[name], axis=0), axis=1).sum()
        lost = [r.settings["learning_rate"] for r in study.runs if r.settings["optimizer"] == name and r.diverged]
        print(
            f"{name:<11}{run.settings['learning_rate']:>10.2g}{run.last('loss'):>10.2g}{length:>7.1f}"
            f"{f'{min(lost):.2g}' if lost else '-':>15}"
        )
    if options.out:
        draw(study, best, ways, options.out)


if __name__ == "__main__":
    main()

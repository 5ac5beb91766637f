"""Exclusive OR: one neuron draws one line, and no line does it; two neurons draw two, and a third puts them together.

    python examples/gallery/exclusive_or.py --out exclusive_or.png

Rosenblatt's perceptron (1958) finds a line between two classes where there is one. For "one or the other, but not both"
there is none (Minsky and Papert, 1969; four inequalities that contradict each other prove it, see
`examples/logic_gates_and_lines.py`), and its line wanders for ever. With a hidden layer, trained by backpropagation
(Rumelhart, Hinton and Williams, 1986), each hidden neuron draws a line of its own and the last one combines them. Two
are enough if one knows the weights; training finds them more surely if there are a few more.

Left: the lines of a perceptron after its last 25 mistakes, and what it says then. Middle: what a network with two
hidden neurons says, and their lines. Right: the share of 40 seeds whose network tells all corners apart. None with no
or one hidden neuron, 57 % with two, 82 % with three, 92 % with four, all with eight; the perceptron is right on 53 % of
the points. Takes 12 seconds on one thread.
"""

import argparse
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

import lamella
from lamella import layers
from lamella.doctor import Doctor
from lamella.neurons import NotSeparableWarning, Perceptron
from lamella.study import Run, Study, sweep

CORNERS, EITHER = np.array([[0, 0], [0, 1], [1, 0], [1, 1]]), np.array([0, 1, 1, 0])
HIDDEN = (0, 1, 2, 3, 4, 8)


def samples(count: int = 200) -> tuple[np.ndarray, np.ndarray]:
    """Points around the four corners: (count, 2) and (count,)."""
    rng = np.random.default_rng(0)
    corner = np.arange(count) % 4
    return (CORNERS[corner] + rng.normal(0, 0.12, (count, 2))).astype("float32"), EITHER[corner]


def build(hidden: int) -> lamella.Sequential:
    model = lamella.Sequential([lamella.Input((2,))])
    if hidden:
        model.add(layers.Dense(hidden, "tanh"))
    model.add(layers.Dense(1, "sigmoid"))
    model.compile(lamella.optimizers.Adam(0.05), "binary_crossentropy", metrics=["accuracy"])
    return model


def one_neuron() -> Perceptron:
    """A perceptron, ten times through the points; it warns that it has found no line."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotSeparableWarning)
        return Perceptron(max_iter=10, keep_trace=True).fit(*samples())


def compute(seeds: int = 40, epochs: int = 60, hidden: Sequence[int] = HIDDEN) -> Study:
    """Networks with each number of hidden neurons (0: none, a logistic regression), from each seed."""
    return sweep(build, {"hidden": list(hidden)}, *samples(), seeds, epochs)


def solved(run: Run) -> bool:
    """Whether at least 99 % of the points are told right."""
    return run.last("accuracy") >= 0.99


def shares(study: Study) -> dict[int, float]:
    """By the number of hidden neurons: the share of seeds that solved it."""
    return {runs[0].settings["hidden"]: float(np.mean([*map(solved, runs)])) for runs in study.by_settings()}


def diagnosis(epochs: int = 60) -> Doctor:
    """What the doctor says of a network without hidden neurons."""
    lamella.utils.set_random_seed(0)
    doctor = Doctor(shown=0)
    build(0).fit(*samples(), epochs=epochs, verbose=0, callbacks=[doctor])
    return doctor


def draw(neuron: Perceptron, study: Study, out: Path) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3.4), layout="constrained")
    left, middle, right = figure.subplots(1, 3, width_ratios=(1, 1, 0.9))
    for weights in neuron.trace_[-25:]:
        line(left, weights[:2], weights[2], color="black", alpha=0.2, linewidth=0.7)
    regions(left, neuron.predict)
    line(left, neuron.coef_[0], neuron.intercept_[0], color="black")
    left.set_title("One neuron:\nits line wanders for ever")

    run = next(run for run in study.runs if run.settings["hidden"] == 2 and solved(run))
    model = run.model()
    regions(middle, lambda x: model.predict(x.astype("float32"), verbose=0)[:, 0])
    kernel, bias = model.layers[0].get_weights()
    for unit in range(2):
        line(middle, kernel[:, unit], bias[unit], color="black")
    middle.set_title("Two hidden neurons:\ntwo lines, put together")

    found = shares(study)
    right.bar(range(len(found)), [100 * share for share in found.values()], color="#0072b2", width=0.65)
    for place, share in enumerate(found.values()):
        right.text(place, 100 * share + 2, f"{100 * share:.0f} %", ha="center", fontsize="small")
    right.set(xticks=range(len(found)), xticklabels=found, ylim=(0, 112), yticks=(0, 50, 100))
    right.set(xlabel="hidden neurons", ylabel="seeds that solve it, %", title="A few more neurons\nmake it sure")
    right.spines[["top", "right"]].set_visible(False)
    figure.savefig(out, dpi=110)


def regions(axes: Any, says: Callable[[np.ndarray], np.ndarray]) -> None:
    """The samples, on a ground that shows what is said of each place."""
    low, high, points = -0.5, 1.5, 200
    grid = np.linspace(low, high, points)
    places = np.stack(np.meshgrid(grid, grid), -1).reshape(-1, 2)
    ground = np.asarray(says(places), float).reshape(points, points)
    axes.contourf(grid, grid, ground, levels=[-0.01, 0.5, 1.01], colors=["#fbe3cf", "#cfe5f5"])
    x, y = samples()
    for label, marker, colour in ((0, "s", "#d55e00"), (1, "o", "#0072b2")):
        axes.scatter(*x[y == label].T, s=9, marker=marker, color=colour, zorder=3)
    axes.set(xlim=(low, high), ylim=(low, high), xticks=(0, 1), yticks=(0, 1), aspect="equal")
    axes.set(xlabel="first input", ylabel="second input")


def line(axes: Any, weights: np.ndarray, bias: float, **style: Any) -> None:
    """Where the sum of a neuron is 0."""
    if np.any(weights):
        across = np.array([-1.0, 2.0])
        if abs(weights[1]) > 1e-6:
            axes.plot(across, -(weights[0] * across + bias) / weights[1], **style)
        else:
            axes.axvline(-bias / weights[0], **style)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=40)
    parser.add_argument("--epochs", type=int, default=60)
    parser.add_argument("--out", type=Path, help="a PNG file for the picture (needs matplotlib)")
    options = parser.parse_args(arguments)
    neuron = one_neuron()
    mistakes, passes, score = len(neuron.mistakes_), neuron.n_iter_, neuron.score(*samples())
    print(f"perceptron: {mistakes} mistakes in {passes} passes through 200 points; then right on {score:.0%} of them")
    study = compute(options.seeds, options.epochs)
    print(study)
    for hidden, share in shares(study).items():
        print(f"{hidden} hidden neurons: {share:.0%} of {options.seeds} seeds solve it")
    print("\nwithout hidden neurons, the doctor says:\n" + diagnosis(options.epochs).text())
    if options.out:
        draw(neuron, study, options.out)


if __name__ == "__main__":
    main()

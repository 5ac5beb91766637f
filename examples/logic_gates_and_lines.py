"""From logic gates to lines to curves: what one neuron can, cannot, and what two layers add.

    python examples/logic_gates_and_lines.py --out logic_gates_and_lines.png

Top: a perceptron learns AND and OR; each mistake moves its line (from light to dark) until there is none. With
exclusive OR its weights go in a circle for ever. No line can do it. Suppose w1 x1 + w2 x2 + b > 0 held just where one
of the inputs is 1. Then

    (0, 0):  b <= 0          (1, 0):  w1 + b > 0          (0, 1):  w2 + b > 0          (1, 1):  w1 + w2 + b <= 0

The two in the middle add up to w1 + w2 + 2 b > 0, the two others to w1 + w2 + 2 b <= 0: a contradiction.

Bottom, left: two layers do it, by hand (the printed table of McCulloch-Pitts neurons) or learnt (the picture). Middle:
linear regression by three kinds of gradient descent comes to the exact line. Right: logistic regression tells flowers
apart where they overlap, which a perceptron cannot come to rest on.

Takes 10 seconds on one thread.
"""

import argparse
import warnings
from pathlib import Path

import numpy as np
from sklearn.datasets import load_iris

import lamella
from lamella.neurons import (
    LinearRegression,
    LogisticRegression,
    MultilayerPerceptron,
    NotSeparableWarning,
    Perceptron,
    gates,
    plot_line,
)

CORNERS = np.array([[0, 0], [0, 1], [1, 0], [1, 1]])
ANSWERS = {"AND": [0, 0, 0, 1], "OR": [0, 1, 1, 1], "XOR": [0, 1, 1, 0]}
COLOURS = ("#0072b2", "#d55e00", "#009e73")


def tables() -> None:
    """Prints what the gates say, and adds 1 + 1 + 1 with one."""
    names = ("AND", "OR", "NAND", "NOR", "XOR")
    print("a b   " + "  ".join(names))
    columns = [getattr(gates, name).truth_table()[:, -1].tolist() for name in names]
    for corner, *answers in zip(CORNERS.tolist(), *columns, strict=True):
        print(f"{corner[0]} {corner[1]}   " + "  ".join(f"{a:>{len(n)}}" for a, n in zip(answers, names, strict=True)))
    low, carry = gates.FULL_ADDER([1, 1, 1]).tolist()
    print(f"full adder: 1 + 1 + 1 = {carry}{low} in binary\n")


def perceptrons() -> dict[str, Perceptron]:
    """One for each gate, with the weights after each mistake."""
    found = {}
    for name, answers in ANSWERS.items():
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", NotSeparableWarning)
            neuron = found[name] = Perceptron(keep_trace=True).fit(CORNERS, answers)
        end = "and is right" if neuron.converged_ else "and never ends"
        print(f"perceptron, {name:<4} {len(neuron.mistakes_)} mistakes in {neuron.n_iter_} epochs, {end}")
        for each in caught:
            print(f"  {each.message}")
    return found


def descents(X: np.ndarray, y: np.ndarray) -> dict[str, LinearRegression]:
    """The same line by three kinds of descent."""
    found = {}
    for mode in ("batch", "stochastic", "mini_batch"):
        model = LinearRegression(solver="gradient", mode=mode, batch_size=10, max_iter=15, random_state=0)
        found[mode] = model.fit(X, y)
    return found


def draw(neurons: dict, network: object, lines: dict, data: tuple, flowers: tuple, out: Path) -> None:
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(2, 3, figsize=(11, 7), layout="constrained")
    for panel, (name, neuron) in zip(axes[0], neurons.items(), strict=True):
        plot_line(neuron, CORNERS, ANSWERS[name], panel)
        for line in panel.lines:
            line.set_visible(neuron.converged_)
        across = np.array([-0.2, 1.2])
        for step, (first, second, offset) in enumerate(neuron.trace_[1:], 1):
            if second:
                shade = 0.15 + 0.6 * step / len(neuron.trace_)
                panel.plot(across, -(first * across + offset) / second, color="#d55e00", alpha=shade, linewidth=1)
        panel.set(title=f"{name}: {'found' if neuron.converged_ else 'no line'}", xlim=(-0.2, 1.2), ylim=(-0.2, 1.2))
        panel.set(xlabel="first input", ylabel="second input")

    grid = np.stack(np.meshgrid(np.linspace(-0.2, 1.2, 80), np.linspace(-0.2, 1.2, 80)), -1)
    chances = network.predict_proba(grid.reshape(-1, 2))[:, 1].reshape(80, 80)
    left, middle, right = axes[1]
    shown = left.contourf(grid[..., 0], grid[..., 1], chances, levels=20, cmap="RdBu_r", vmin=0, vmax=1)
    left.scatter(*CORNERS.T, c=ANSWERS["XOR"], cmap="RdBu_r", edgecolors="black", s=70)
    left.set(title="XOR by two layers: P(1)", xlabel="first input", ylabel="second input")
    figure.colorbar(shown, ax=left)

    X, y = data
    least = np.square(y - LinearRegression().fit(X, y).predict(X)).mean()
    for (mode, model), colour in zip(lines.items(), COLOURS, strict=True):
        losses = model.history_.history["loss"]
        middle.plot(range(1, len(losses) + 1), losses, "o-", color=colour, label=mode, markersize=3)
    middle.axhline(least, color="black", linestyle=":", label="exact")
    middle.set(title="Linear regression by descent", xlabel="epoch", ylabel="mean squared error", yscale="log")
    middle.legend(frameon=False)

    plot_line(flowers[0], *flowers[1:], right)
    right.set(title="Logistic regression", xlabel="petal length (cm)", ylabel="petal width (cm)")
    right.legend(frameon=False, loc="upper left")
    figure.savefig(out, dpi=75)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, help="a PNG file for the picture (needs matplotlib)")
    options = parser.parse_args()
    lamella.utils.set_random_seed(0)

    tables()
    neurons = perceptrons()
    network = MultilayerPerceptron((8,), "tanh", learning_rate=0.1, max_iter=100, random_state=0)
    network.fit(CORNERS, ANSWERS["XOR"])
    print(f"two layers, XOR: {network.predict(CORNERS).tolist()}\n")

    rng = np.random.default_rng(0)
    X = rng.normal(size=(200, 1))
    y = 2 * X[:, 0] + 1 + rng.normal(0, 0.3, 200)
    exact, lines = LinearRegression().fit(X, y), descents(X, y)
    print(f"{'linear regression':<20}{'slope':>8}{'intercept':>11}")
    for name, model in {"exact": exact, **lines}.items():
        print(f"{name:<20}{model.coef_[0]:>8.4f}{model.intercept_:>11.4f}")

    flowers = load_iris()
    two = flowers.target > 0
    petals, kinds = flowers.data[two][:, 2:], flowers.target_names[flowers.target[two]]
    logistic = LogisticRegression(C=10.0).fit(petals, kinds)
    print(f"\nlogistic regression: {logistic.score(petals, kinds):.2f} of two kinds of iris by their petals")
    if options.out:
        draw(neurons, network, lines, (X, y), (logistic, petals, kinds), options.out)


if __name__ == "__main__":
    main()

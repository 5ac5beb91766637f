"""Attention maps: where a network looks, on a task where one knows where it must look.

    python examples/gallery/attention_maps.py --out attention_maps.png

Attention answers a question by comparing it with the key of every place, and takes the values of the places whose keys
fit, each by its share (Bahdanau et al., 2015; Vaswani et al., 2017). Here eight letters stand in any order, each with a
digit, and the network is asked for the digits of A, B, C, ...: to answer for B it must look where B stands. Nobody
tells it so; it is told the right digits alone.

Left and middle: which share of its attention each question (row) gives to each place (column), before and after
training; circles mark where the letter stands. Right: how much lies on the right place, and how many digits are right.
After 20 epochs on 500 samples, five seeds: all digits of new samples are right, 0.84 to 0.89 of attention lies on the
right place (0.125 before), and its entropy has fallen from 1 (even) to 0.21 to 0.28; the doctor finds nothing, as its
limit is 0.05. Takes 12 seconds on one thread.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np

import lamella
from lamella import layers
from lamella.callbacks import LambdaCallback
from lamella.doctor import Doctor

LETTERS, DIGITS, UNITS = 8, 10, 16
ALPHABET = "ABCDEFGH"


def samples(count: int, seed: int) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Letters in any order, a digit for each, the questions A to H, and the right digits: all (count, 8)."""
    rng = np.random.default_rng(seed)
    letters = rng.permuted(np.tile(np.arange(LETTERS), (count, 1)), axis=1)
    digits = rng.integers(0, DIGITS, (count, LETTERS))
    questions = np.tile(np.arange(LETTERS), (count, 1))
    return {"letters": letters, "digits": digits, "questions": questions}, np.take_along_axis(digits, place(letters), 1)


def place(letters: np.ndarray) -> np.ndarray:
    """(count, 8): where A, B, C, ... stand."""
    return letters.argsort(1)


def build() -> tuple[lamella.Model, lamella.Model]:
    """The network, and one of the same layers that gives its attention (count, questions, places)."""
    letters, digits, questions = (lamella.Input((LETTERS,), name=n) for n in ("letters", "digits", "questions"))
    meaning = layers.Embedding(LETTERS, UNITS)  # of a letter, whether it stands somewhere or is asked for
    attention = layers.MultiHeadAttention(num_heads=1, key_dim=UNITS, name="attention")
    found, scores = attention(
        meaning(questions), layers.Embedding(DIGITS, UNITS)(digits), meaning(letters), return_attention_scores=True
    )
    inputs = {"letters": letters, "digits": digits, "questions": questions}
    model = lamella.Model(inputs, layers.Dense(DIGITS, "softmax")(found))
    model.compile(lamella.optimizers.Adam(0.003), "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model, lamella.Model(inputs, scores)


def attention_of(looks: lamella.Model, x: dict[str, np.ndarray]) -> np.ndarray:
    """(count, questions, places): the shares of its only head."""
    return looks.predict(x, verbose=0)[:, 0]


def on_the_right_place(maps: np.ndarray, letters: np.ndarray) -> float:
    """The mean share of attention on the place where the letter stands."""
    return float(np.take_along_axis(maps, place(letters)[..., None], 2).mean())


def compute(seeds: int = 5, epochs: int = 20) -> tuple[list[dict[str, list[float]]], list[np.ndarray], list[Doctor]]:
    """For each seed the shares and accuracies by epoch, and a doctor; of seed 0 a map before and one after training."""
    x, y = samples(500, seed=1)
    x_test, y_test = samples(200, seed=2)
    courses, maps, doctors = [], [], []
    for seed in range(seeds):
        lamella.utils.set_random_seed(seed)
        model, looks = build()
        course: dict[str, list[float]] = {"share": [], "accuracy": []}

        def see(epoch: int, logs: object, model=model, looks=looks, course=course) -> None:
            course["share"].append(on_the_right_place(attention_of(looks, x_test), x_test["letters"]))
            course["accuracy"].append(model.evaluate(x_test, y_test, verbose=0)[1])

        see(0, None)
        before = attention_of(looks, x_test)[0]
        doctors.append(Doctor(shown=0))
        model.fit(x, y, epochs=epochs, verbose=0, callbacks=[LambdaCallback(on_epoch_end=see), doctors[-1]])
        courses.append(course)
        if seed == 0:
            maps = [before, attention_of(looks, x_test)[0]]
    return courses, maps, doctors


def entropy(doctor: Doctor, moment: int) -> float:
    """How evenly the doctor saw attention spread: 1 even, 0 all on one place."""
    return next(layer.entropy for layer in doctor.readings[moment].layers if layer.layer == "attention")


def draw(courses: list[dict[str, list[float]]], maps: Sequence[np.ndarray], out: Path) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3.3), layout="constrained")
    *squares, right = figure.subplots(1, 3, width_ratios=(1, 1, 1.1))
    letters = samples(200, seed=2)[0]["letters"][:1]
    for axes, shares, title in zip(
        squares, maps, ("Before: everywhere alike", "After: where the letter is"), strict=True
    ):
        image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
        axes.scatter(place(letters)[0], range(LETTERS), s=90, facecolors="none", edgecolors="#d55e00", linewidths=1.4)
        axes.set(xticks=range(LETTERS), xticklabels=[ALPHABET[i] for i in letters[0]], yticks=range(LETTERS))
        axes.set(yticklabels=ALPHABET, xlabel="what stands there", title=title)
    squares[0].set_ylabel("what is asked for")
    figure.colorbar(image, ax=squares, shrink=0.75, label="share of attention")
    for name, label, colour, style in (
        ("accuracy", "digits", "#d55e00", "--"),
        ("share", "attention", "#0072b2", "-"),
    ):
        curves = np.array([course[name] for course in courses])
        right.fill_between(range(curves.shape[1]), curves.min(0), curves.max(0), color=colour, alpha=0.2, lw=0)
        right.plot(np.median(curves, 0), style, color=colour, label=label)
    right.set(
        ylim=(0, 1.02), xlabel="epoch", ylabel="share that is right", title="It learns where to look", box_aspect=1
    )
    right.legend(frameon=False, fontsize="small", loc="center right")
    figure.savefig(out, dpi=110)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--out", type=Path, help="a PNG file for the picture (needs matplotlib)")
    options = parser.parse_args(arguments)
    courses, maps, doctors = compute(options.seeds, options.epochs)
    print("seed   share on the right place   digits right   entropy, from 1 (even)   the doctor finds")
    for seed, (course, doctor) in enumerate(zip(courses, doctors, strict=True)):
        found = ", ".join(finding.kind for finding in doctor.findings) or "nothing"
        shares = f"{course['share'][0]:.3f} to {course['share'][-1]:.3f}"
        evenness = f"{entropy(doctor, 0):.3f} to {entropy(doctor, -1):.3f}"
        print(f"{seed:>4}{shares:>27}{course['accuracy'][-1]:>15.3f}{evenness:>25}   {found}")
    if options.out:
        draw(courses, maps, options.out)


if __name__ == "__main__":
    main()

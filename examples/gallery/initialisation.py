"""Initialisation: what the weights start with decides whether a deep network learns at all.

    python examples/gallery/initialisation.py --out initialisation.png

A layer of n inputs and weights of size s multiplies the size of what passes by about s sqrt(n), and half of that is
cut off by ReLU. Twelve layers do so twelve times. Glorot's weights (Glorot and Bengio, 2010) keep the size where no
ReLU cuts; He's (He et al., 2015) are sqrt(2) times as large and make up for the cut. With zeros, all units of a layer
are the same unit, and here all are 0.

Left: the size of each layer's output before training; He's line stays level. Right: the loss, median and range of five
seeds. Size after twelve layers and loss after ten epochs: zeros 0 and 2.30; 0.01: 8e-16 and 2.30; 1: 8e8, and NaN from
step 2 on; Glorot 0.012 and 0.67 (0.46 to 0.77); He 0.7 and 0.22 (0.18 to 0.34). Takes 12 seconds on one thread.
"""

import argparse
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np

import lamella
from lamella import layers
from lamella.doctor import Doctor
from lamella.errors import NonFiniteError
from lamella.initializers import Initializer, RandomNormal
from lamella.study import Study, sweep

DEPTH, WIDTH = 12, 64
STARTS: dict[str, str | Initializer] = {
    "zeros": "zeros",
    "too small: 0.01": RandomNormal(stddev=0.01),
    "too large: 1": RandomNormal(stddev=1.0),
    "Glorot": "glorot_uniform",
    "He": "he_normal",
}
COLOURS = {
    "zeros": "black",
    "too small: 0.01": "#e69f00",
    "too large: 1": "#d55e00",
    "Glorot": "#56b4e9",
    "He": "#0072b2",
}


def build(start: str) -> lamella.Sequential:
    model = lamella.Sequential([lamella.Input((64,))])
    for i in range(1, DEPTH + 1):
        model.add(layers.Dense(WIDTH, "relu", kernel_initializer=STARTS[start], name=f"hidden{i}"))
    model.add(layers.Dense(10, "softmax", name="classes"))
    model.compile(lamella.optimizers.SGD(0.02, momentum=0.9), "sparse_categorical_crossentropy")
    return model


def digits() -> tuple[np.ndarray, np.ndarray]:
    (x, y), _ = lamella.datasets.digits.load_data()
    return x.reshape(-1, 64).astype("float32") / 16, y.astype("int64")


def compute(seeds: int = 5, epochs: int = 10) -> tuple[dict[str, Doctor], Study]:
    """What a doctor saw of each start (before and in three epochs), and the losses of several seeds."""
    x, y = digits()
    doctors = {}
    for start in STARTS:
        lamella.utils.set_random_seed(0)
        doctors[start] = Doctor(shown=0)
        with suppress(NonFiniteError):  # the doctor has seen it
            build(start).fit(x, y, epochs=3, verbose=0, callbacks=[doctors[start]])
    return doctors, sweep(build, {"start": list(STARTS)}, x, y, seeds, epochs)


def sizes(doctor: Doctor) -> list[float]:
    """The sizes of the input and of each hidden layer's output before training."""
    hidden = doctor.readings[0].layers[:DEPTH]
    return [hidden[0].inputs, *(layer.activation for layer in hidden)]


def losses(study: Study, start: str) -> np.ndarray:
    """(seeds, 1 + epochs): the losses before training and after each epoch."""
    return np.array([[run.before, *run.history["loss"]] for run in study.runs if run.settings["start"] == start])


def draw(doctors: dict[str, Doctor], study: Study, out: Path) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8.5, 3.7), layout="constrained")
    left, right = figure.subplots(1, 2)
    for start, colour in COLOURS.items():
        style = ":" if start == "zeros" else "-"
        left.plot(np.maximum(sizes(doctors[start]), 1e-17), style, color=colour, label=start)
        curves = losses(study, start)
        if np.isfinite(curves).all():
            right.fill_between(range(curves.shape[1]), curves.min(0), curves.max(0), color=colour, alpha=0.2, lw=0)
            right.plot(np.median(curves, 0), style, color=colour)
    left.text(1.4, 3e-17, "nothing at all", color=COLOURS["zeros"], fontsize="small")
    left.set(yscale="log", ylim=(1e-18, 1e12), yticks=10.0 ** np.arange(-16, 12, 4), xticks=range(0, DEPTH + 1, 2))
    left.set(
        xlabel="layer (0: the input)", ylabel="size of its output", title="Before training: signals die or explode"
    )
    right.set(ylim=(0, 2.6), xlabel="epoch", ylabel="loss", title="Training: only He learns at once")
    lost = [run.lost_at for run in study.runs if run.lost_at]
    if lost:
        right.text(0.3, 0.1, f"too large: NaN from step {max(lost)} on", color=COLOURS["too large: 1"])
    figure.legend(*left.get_legend_handles_labels(), loc="outside lower center", ncols=5, frameon=False)
    figure.savefig(out, dpi=110)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--out", type=Path, help="a PNG file for the picture (needs matplotlib)")
    options = parser.parse_args(arguments)
    doctors, study = compute(options.seeds, options.epochs)
    print(f"{'start':<18}{'size after':>12}{'loss, median':>14}{'least':>8}{'most':>8}   the doctor finds")
    for start, doctor in doctors.items():
        last = losses(study, start)[:, -1]
        found = ", ".join(f"{finding.kind} ({finding.layer})" for finding in doctor.findings) or "nothing"
        figures = f"{np.median(last):>14.3f}{last.min():>8.3f}{last.max():>8.3f}"
        print(f"{start:<18}{sizes(doctor)[-1]:>12.1e}{figures}   {found}")
    print("\n" + doctors["too large: 1"].text())
    if options.out:
        draw(doctors, study, options.out)


if __name__ == "__main__":
    main()

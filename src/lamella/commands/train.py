"""`lamella train`: a model on a data set, from one command."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np

import lamella
from lamella import layers
from lamella.commands.run_folder import new_folder, observers, print_history, tell_what_is_left
from lamella.engine.image_data_format import channels_last_inside
from lamella.errors import ArgumentError

MODELS = ("mlp", "cnn", "logistic")
REGRESSION = ("california_housing",)


@dataclass
class Options:
    """What `lamella train` was asked for."""

    dataset: str = "digits"
    model: str = "mlp"
    epochs: int = 30
    batch_size: int = 32
    optimizer: str = "adam"
    learning_rate: float | None = None
    hidden: Sequence[int] = (128, 64)
    dropout: float = 0.2
    validation_split: float = 0.1
    seed: int = 0
    out: str | None = None
    verbose: int = 1
    doctor: bool = True


def train(options: Options) -> dict[str, float]:
    """Trains, evaluates, prints a table and writes `runs/<name>/`; the test scores."""
    lamella.utils.set_random_seed(options.seed)
    (x_train, y_train), (x_test, y_test) = getattr(lamella.datasets, options.dataset).load_data()
    regression = options.dataset in REGRESSION
    x_train, x_test, top = _scaled(x_train, x_test, options.dataset)
    y_train, y_test, unit = _targets(y_train, y_test, regression)
    model = build(options, x_train, None if regression else int(y_train.max()) + 1, top)
    optimizer = lamella.optimizers.get(options.optimizer)
    if options.learning_rate is not None:
        optimizer.learning_rate = options.learning_rate
    loss = "mse" if regression else lamella.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizer, loss, metrics=["mae" if regression else "accuracy"])
    folder = new_folder(
        f"{options.dataset}-{options.model}", options.out
    )  # only now: a mistake in the options leaves no empty folder behind
    model.summary()
    start = time.perf_counter()
    history = model.fit(
        x_train,
        y_train,
        batch_size=options.batch_size,
        epochs=options.epochs,
        validation_split=options.validation_split,
        callbacks=observers(folder, options.doctor),
        verbose=options.verbose,
    )
    seconds = time.perf_counter() - start
    scores = model.evaluate(x_test, y_test, verbose=0, return_dict=True)
    _print_scores(history.history, scores, seconds, unit)
    model.save(folder / "model.keras")
    model.save_weights(folder / "weights.safetensors")
    told = {**asdict(options), "hidden": list(options.hidden)}
    tell_what_is_left(folder, model, told, history.history, scores, seconds, ["model.keras", "weights.safetensors"])
    print(f"Try it in the browser: lamella serve {folder / 'model.keras'}{_pixels(x_train)}")
    return scores


@channels_last_inside
def build(options: Options, x: np.ndarray, classes: int | None, top: layers.Layer) -> lamella.Sequential:
    """The model: `logistic` (or linear), `mlp` or `cnn`, for inputs such as `x`; `top` scales them.

    Layers with weights are named, so that a file of weights fits every model of the same options.
    """
    model = lamella.Sequential([lamella.Input(x.shape[1:]), top], name=f"{options.dataset}_{options.model}")
    if options.model == "cnn":
        if x.ndim < 3:
            raise ArgumentError(f"--model cnn needs pictures; {options.dataset} has rows of numbers. Use --model mlp.")
        if x.ndim == 3:
            model.add(layers.Reshape((*x.shape[1:], 1)))
        for number, filters in enumerate((32, 64), 1):
            model.add(layers.Conv2D(filters, 3, padding="same", activation="relu", name=f"convolution_{number}"))
            model.add(layers.MaxPooling2D())
    if x.ndim > 2:
        model.add(layers.Flatten())
    if options.model != "logistic":
        for number, units in enumerate(options.hidden, 1):
            model.add(layers.Dense(units, activation="relu", name=f"hidden_{number}"))
            model.add(layers.Dropout(options.dropout))
    model.add(layers.Dense(classes or 1, name="output"))
    return model


def _scaled(x_train: np.ndarray, x_test: np.ndarray, dataset: str) -> tuple[np.ndarray, np.ndarray, layers.Layer]:
    """Pictures are scaled to [0, 1], columns of numbers to mean 0 and variance 1 (of the training part)."""
    if x_train.dtype == np.uint8:
        return x_train, x_test, layers.Rescaling(1.0 / float(x_train.max()))
    scale = layers.Normalization()
    scale.adapt(x_train)
    return x_train, x_test, scale


def _targets(y_train: np.ndarray, y_test: np.ndarray, regression: bool) -> tuple[np.ndarray, np.ndarray, float]:
    """Class numbers as they are; numbers to predict in units of 100,000, so that the loss is of a good size."""
    if not regression:
        return y_train, y_test, 1.0
    unit = 100_000.0
    return y_train.reshape(-1, 1) / unit, y_test.reshape(-1, 1) / unit, unit


def _print_scores(history: dict[str, list[float]], scores: dict[str, float], seconds: float, unit: float) -> None:
    print_history(history, scores)
    if "accuracy" in scores:
        print(f"\nTest accuracy: {scores['accuracy']:.4f} ({seconds:.1f} s of training)")
    else:
        print(f"\nTest mean absolute error: {scores['mae'] * unit:,.0f} ({seconds:.1f} s of training)")


def _pixels(x: np.ndarray) -> str:
    """How `lamella serve` is told what the model takes for white, where that is not 255."""
    top = int(x.max()) if x.dtype == np.uint8 else 255
    return "" if top == 255 else f" --pixels 0,{top}"

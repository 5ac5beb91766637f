"""How often the doctor is right: 40 trainings that are ill, each in a known way, and 40 that are well.

    python benchmarks/doctor.py --seed 1            the tables of docs/doctor.md; --part ill, --part well
    python benchmarks/doctor.py --cost              what a doctor costs, on two rows of the benchmarks

A seed draws sizes, depths, data and weights anew: the doctor's limits were set on seed 0, so another is a
fair test. A sickness counts as found where its kind is among the findings, with its layer.
"""

import argparse
import contextlib
import io
import statistics
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

import lamella
from lamella import layers
from lamella.doctor import Doctor
from lamella.initializers import Constant, Identity, RandomNormal
from lamella.losses import BinaryCrossentropy, SparseCategoricalCrossentropy
from lamella.optimizers import SGD, Adam

CLASSES = "sparse_categorical_crossentropy"
Rng = np.random.Generator


@dataclass
class Case:
    """A training, what is wrong with it, and in which layer (None: in none in particular)."""

    title: str
    model: Any
    x: Any
    y: Any
    expected: str | None = None
    layer: str | None = None
    validation: Any = None
    epochs: int = 8
    options: dict[str, Any] = field(default_factory=dict)

    def findings(self) -> list[Any]:
        """Trains under a doctor; what it found."""
        doctor = Doctor(shown=0)
        with contextlib.suppress(lamella.errors.NonFiniteError):
            self.model.fit(
                self.x,
                self.y,
                epochs=self.epochs,
                validation_data=self.validation,
                verbose=0,
                callbacks=[doctor],
                **self.options,
            )
        return doctor.findings

    def is_found(self, findings: list[Any]) -> bool:
        """Whether the sickness is among the findings, in its layer."""
        return any(each.kind == self.expected and self.layer in (None, each.layer) for each in findings)


# -- data and models ------------------------------------------------------------------------------------------


def blobs(rng: Rng, samples: int = 600, features: int = 12, classes: int = 4, noise: float = 0.6) -> Any:
    """Classes around centres that differ, standardized."""
    centres = rng.normal(size=(classes, features))
    y = rng.permutation(np.arange(samples) % classes)
    x = centres[y] + noise * rng.normal(size=(samples, features))
    return ((x - x.mean(0)) / x.std(0)).astype("float32"), y


def curve(rng: Rng, samples: int = 600, features: int = 6) -> Any:
    """A smooth function of normal features."""
    x = rng.normal(size=(samples, features)).astype("float32")
    return x, (np.sin(x @ rng.normal(size=features)) + 0.5 * x[:, 0]).astype("float32")[:, None]


def pictures(rng: Rng, samples: int = 400, size: int = 12) -> Any:
    """Bright bars, lying or standing, on noise."""
    x = 0.2 * rng.random((samples, size, size, 1))
    y = rng.permutation(np.arange(samples) % 2)
    for i, standing in enumerate(y):
        place = rng.integers(1, size - 2)
        x[(i, slice(None), slice(place, place + 2)) if standing else (i, slice(place, place + 2))] += 0.7
    return x.astype("float32"), y


def mlp(
    features: int, outputs: int, widths: Any, activation: str = "relu", last: str | None = "softmax", **own: Any
) -> Any:
    """A stack of dense layers h0, h1, ...; `own` has arguments of single layers by name."""
    stack = [layers.Dense(w, activation, name=f"h{i}", **own.get(f"h{i}", {})) for i, w in enumerate(widths)]
    return lamella.Sequential([lamella.Input((features,)), *stack, layers.Dense(outputs, last, name="out")])


def cnn(outputs: int = 2, size: int = 12, filters: int = 8, **own: Any) -> Any:
    """Two convolutions, c0 and c1, and a dense layer."""
    return lamella.Sequential(
        [
            lamella.Input((size, size, 1)),
            layers.Conv2D(filters, 3, activation="relu", name="c0", **own.get("c0", {})),
            layers.MaxPooling2D(),
            layers.Conv2D(2 * filters, 3, activation="relu", name="c1", **own.get("c1", {})),
            layers.Flatten(),
            layers.Dense(outputs, "softmax", name="out"),
        ]
    )


def compiled(model: Any, loss: Any = CLASSES, optimizer: Any = None) -> Any:
    """The model, ready for training."""
    model.compile(optimizer or Adam(3e-3), loss)
    return model


def widths(rng: Rng, depth: int) -> list[int]:
    """Some widths."""
    return [int(w) for w in rng.integers(24, 65, depth)]


def halves(x: Any, y: Any) -> Any:
    """The first and the second half."""
    return x[: len(x) // 2], y[: len(y) // 2], (x[len(x) // 2 :], y[len(y) // 2 :])


# -- the ill --------------------------------------------------------------------------------------------------


def vanishing(rng: Rng) -> Iterator[Case]:
    for optimizer in (SGD(0.1), Adam(1e-3), SGD(0.01, momentum=0.9)):
        x, y = blobs(rng)
        model = mlp(12, 4, widths(rng, int(rng.integers(8, 11))), "sigmoid")
        yield Case("sigmoid, deep", compiled(model, optimizer=optimizer), x, y, "vanishing_gradients", "h0")


def exploding_start(rng: Rng) -> Iterator[Case]:
    for _ in range(2):
        x, y = blobs(rng)
        ill = f"h{rng.integers(3)}"
        model = mlp(12, 4, widths(rng, 3), **{ill: {"kernel_initializer": RandomNormal(stddev=rng.uniform(3, 6))}})
        yield Case("one layer's weights too large", compiled(model), x, y, "exploding_activations", ill)
    x, y = pictures(rng)
    model = cnn(c1={"kernel_initializer": RandomNormal(stddev=2.0)})
    yield Case("a convolution's weights too large", compiled(model), x, y, "exploding_activations", "c1")


def dying(rng: Rng) -> Iterator[Case]:
    x, y = blobs(rng)
    ill = f"h{rng.integers(3)}"
    model = mlp(12, 4, widths(rng, 3), **{ill: {"bias_initializer": Constant(-10.0)}})
    yield Case("biases of -10", compiled(model), x, y, "dead_units", ill)
    x, y = pictures(rng)
    model = cnn(c0={"bias_initializer": Constant(-5.0)})
    yield Case("biases of -5 in a convolution", compiled(model), x, y, "dead_units", "c0")
    x, y = blobs(rng)
    model = mlp(12, 4, widths(rng, 2))
    yield Case("Adam with a rate of 1", compiled(model, optimizer=Adam(1.0)), x, y, "dead_units")


def saturated(rng: Rng) -> Iterator[Case]:
    for activation, size in (("tanh", 4.0), ("sigmoid", 8.0), ("tanh", 6.0)):
        x, y = blobs(rng)
        ill = f"h{rng.integers(2)}"
        model = mlp(12, 4, widths(rng, 2), activation, **{ill: {"kernel_initializer": RandomNormal(stddev=size)}})
        yield Case(f"{activation}, large weights", compiled(model), x, y, "saturated_units", ill)


def too_large(rng: Rng) -> Iterator[Case]:
    x, y = blobs(rng)
    yield Case("SGD, 30", compiled(mlp(12, 4, widths(rng, 2), "tanh"), optimizer=SGD(30.0)), x, y, "rate_too_large")
    x, y = curve(rng)
    model = compiled(mlp(6, 1, widths(rng, 2), last=None), "mse", SGD(2.0))
    yield Case("SGD, 2, regression", model, x, y, "rate_too_large")
    x, y = pictures(rng)
    yield Case("Adam, 2, convolutions", compiled(cnn(), optimizer=Adam(2.0)), x, y, "rate_too_large")


def too_small(rng: Rng) -> Iterator[Case]:
    x, y = blobs(rng)
    yield Case("SGD, 1e-5", compiled(mlp(12, 4, widths(rng, 2)), optimizer=SGD(1e-5)), x, y, "rate_too_small")
    x, y = curve(rng)
    model = compiled(mlp(6, 1, widths(rng, 2), last=None), "mse", Adam(1e-7))
    yield Case("Adam, 1e-7, regression", model, x, y, "rate_too_small")
    x, y = pictures(rng)
    yield Case("SGD, 1e-6, convolutions", compiled(cnn(), optimizer=SGD(1e-6)), x, y, "rate_too_small")


def over_fitting(rng: Rng) -> Iterator[Case]:
    x, y = blobs(rng, samples=160, noise=3.0)
    ours, targets, held = halves(x, y)
    model = compiled(mlp(12, 4, [128, 128]))
    yield Case("few noisy samples", model, ours, targets, "over_fitting", validation=held, epochs=60)
    x, y = curve(rng, samples=120)
    y = y + rng.normal(size=y.shape).astype("float32")
    ours, targets, held = halves(x, y)
    model = compiled(mlp(6, 1, [128, 128], last=None), "mse")
    yield Case("noisy values", model, ours, targets, "over_fitting", validation=held, epochs=80)
    x, y = pictures(rng, samples=120)
    y = np.where(rng.random(120) < 0.35, 1 - y, y)
    ours, targets, held = halves(x, y)
    yield Case("wrong labels", compiled(cnn()), ours, targets, "over_fitting", validation=held, epochs=100)


def under_fitting(rng: Rng) -> Iterator[Case]:
    x = rng.normal(size=(600, 2)).astype("float32")
    xor, ring = (x[:, 0] * x[:, 1] > 0).astype("int64"), ((x**2).sum(1) > 1.4).astype("int64")
    for title, y in (("a line for XOR", xor), ("a line for a ring", ring)):
        yield Case(title, compiled(mlp(2, 2, []), optimizer=Adam(0.02)), x, y, "under_fitting", epochs=20)
    model = compiled(mlp(2, 1, [], last=None), "mse", SGD(0.05))
    yield Case("a line for a parabola", model, x, (x[:, :1] ** 2), "under_fitting", epochs=20)


def unbalanced(rng: Rng) -> Iterator[Case]:
    x, y = blobs(rng, classes=2)
    keep = (y == 0) | (rng.random(len(y)) < 0.05)
    model = compiled(mlp(12, 1, widths(rng, 2), last="sigmoid"), "binary_crossentropy")
    yield Case("1 in 20", model, x[keep], y[keep], "label_imbalance")
    x, y = blobs(rng)
    keep = (y != 2) | (rng.random(len(y)) < 0.06)
    model = compiled(mlp(12, 4, widths(rng, 2)), "categorical_crossentropy")
    yield Case("one class of four, one-hot", model, x[keep], np.eye(4)[y[keep]], "label_imbalance")


def constant(rng: Rng) -> Iterator[Case]:
    for columns in ([3], [0, 5, 7]):
        x, y = blobs(rng)
        x[:, columns] = rng.normal()
        yield Case("constant columns", compiled(mlp(12, 4, widths(rng, 2))), x, y, "constant_features")


def unscaled(rng: Rng) -> Iterator[Case]:
    x, y = pictures(rng)
    yield Case("pixels up to 255", compiled(cnn()), x * 255, y, "unscaled_inputs", "c0")
    x, y = blobs(rng)
    x[:, rng.integers(12)] *= 3000
    yield Case("one feature in thousands", compiled(mlp(12, 4, widths(rng, 2))), x, y, "unscaled_inputs", "h0")
    x, y = blobs(rng)
    yield Case("millionths", compiled(mlp(12, 4, widths(rng, 2))), x * 1e-6, y, "unscaled_inputs", "h0")


def leaked(rng: Rng) -> Iterator[Case]:
    for share in (0.1, 0.6):
        x, y, (held, targets) = halves(*blobs(rng))
        count = int(share * len(held))
        held[:count] = x[rng.permutation(len(x))[:count]]
        model = compiled(mlp(12, 4, widths(rng, 2)))
        yield Case("copied rows", model, x, y, "leaked_rows", validation=(held, targets))


def unfit_output(rng: Rng) -> Iterator[Case]:
    x, y = blobs(rng)
    kind = "output_does_not_fit_loss"
    model = mlp(12, 4, widths(rng, 2))
    yield Case("softmax twice", compiled(model, SparseCategoricalCrossentropy(from_logits=True)), x, y, kind, "out")
    yield Case("no softmax", compiled(mlp(12, 4, widths(rng, 2), last=None)), x, y, kind, "out")
    model = compiled(mlp(12, 1, widths(rng, 2), last="sigmoid"), BinaryCrossentropy(from_logits=True))
    yield Case("sigmoid twice", model, x, y % 2, kind, "out")
    x, y = curve(rng)
    model = compiled(mlp(6, 1, widths(rng, 2), last="sigmoid"), "mse")
    yield Case("sigmoid for any number", model, x, y, kind, "out")


def not_finite(rng: Rng) -> Iterator[Case]:
    for title, function in (("log(0)", lambda h: lamella.ops.log(h)), ("division by 0", lambda h: 1 / h)):
        x, y = blobs(rng)
        hidden = layers.Dense(24, "relu", name="h0")
        ill = layers.Lambda(function, name="ill")
        model = lamella.Sequential([lamella.Input((12,)), hidden, ill, layers.Dense(4, "softmax", name="out")])
        yield Case(title, compiled(model), x, y, "non_finite", "ill")


def exploding_in_time(rng: Rng) -> Iterator[Case]:
    x = rng.normal(size=(300, 40, 3)).astype("float32")
    factor = rng.uniform(1.3, 1.5)
    recurrent = layers.SimpleRNN(16, "relu", recurrent_initializer=Identity(factor), name="rnn")
    model = lamella.Sequential([lamella.Input((40, 3)), recurrent, layers.Dense(1, name="out")])
    model = compiled(model, "mse", Adam(1e-3))
    yield Case("a growing recurrence", model, x, x[:, -1, :1], "exploding_gradients", "rnn", epochs=3)


ILL = (
    vanishing, exploding_start, dying, saturated, too_large, too_small, over_fitting, under_fitting,
    unbalanced, constant, unscaled, leaked, unfit_output, not_finite, exploding_in_time,
)  # fmt: skip


# -- the well -------------------------------------------------------------------------------------------------


def well(rng: Rng) -> Iterator[Case]:
    x, y, held = halves(*blobs(rng, samples=1200))
    yield Case("MLP, Adam", compiled(mlp(12, 4, widths(rng, 2))), x, y, validation=held)
    x, y, held = halves(*blobs(rng, samples=1200, classes=3))
    model = compiled(mlp(12, 3, widths(rng, 3), "tanh"), "categorical_crossentropy", SGD(0.1, momentum=0.9))
    yield Case("tanh, momentum, one-hot", model, x, np.eye(3)[y], validation=(held[0], np.eye(3)[held[1]]))
    x, y, held = halves(*curve(rng, samples=2000))
    yield Case("regression", compiled(mlp(6, 1, [64, 64], last=None), "mse"), x, y, validation=held, epochs=15)
    x, y, held = halves(*pictures(rng, samples=800))
    yield Case("CNN", compiled(cnn()), x, y, validation=held)
    x, y, held = halves(*blobs(rng, samples=1200, classes=2))
    stack = [
        layers.Dense(48),
        layers.BatchNormalization(),
        layers.ReLU(),
        layers.Dropout(0.3),
        layers.Dense(1, "sigmoid"),
    ]
    model = compiled(lamella.Sequential([lamella.Input((12,)), *stack]), "binary_crossentropy")
    yield Case("batch normalization and dropout", model, x, y, validation=held, epochs=10)
    x = rng.normal(size=(500, 12, 3)).astype("float32")
    stack = [layers.LSTM(24), layers.Dense(1)]
    model = compiled(lamella.Sequential([lamella.Input((12, 3)), *stack]), "mse", Adam(5e-3))
    yield Case("LSTM", model, x, x.mean((1, 2))[:, None] * 3, epochs=12)
    tokens = rng.integers(0, 30, (500, 10))
    inputs = lamella.Input((10,), dtype="int32")
    h = layers.Embedding(30, 16)(inputs)
    h = layers.LayerNormalization()(h + layers.MultiHeadAttention(2, 8)(h, h))
    outputs = layers.Dense(1, "sigmoid")(layers.GlobalAveragePooling1D()(h))
    model = compiled(lamella.Model(inputs, outputs), "binary_crossentropy", Adam(1e-2))
    yield Case("attention", model, tokens, (tokens < 8).sum(1) > 2, epochs=10)
    x, y = lamella.datasets.digits.load_data()[0]
    chosen = rng.permutation(len(x))
    x, y = (x.reshape(len(x), -1) / x.max()).astype("float32")[chosen], y[chosen]
    model = compiled(mlp(64, 10, widths(rng, 2)), optimizer=SGD(0.2))
    yield Case("digits, SGD", model, x, y, epochs=12, options={"validation_split": 0.2})


def drawn(make: Callable[[Rng], Iterator[Case]], seed: int) -> Iterator[Case]:
    """The trainings of a kind, one by one: each model is made when it is trained."""
    lamella.utils.set_random_seed(seed)
    return make(np.random.default_rng(seed))


def measure_ill(seed: int) -> None:
    """Prints, for each sickness, how often it was found, and what else was."""
    found, count = 0, 0
    print("| planted | trainings | found | told first | found besides |\n|---|---|---|---|---|")
    for make in ILL:
        also: Counter[str] = Counter()
        missed = []
        right, first, total, kind = 0, 0, 0, ""
        for case in drawn(make, seed):
            findings = case.findings()
            kind, total = str(case.expected), total + 1
            right += case.is_found(findings)
            first += bool(findings) and findings[0].kind == case.expected
            also.update({each.kind for each in findings} - {kind})
            if not case.is_found(findings):
                missed.append(f"{case.title}, {case.layer}: {[(each.kind, each.layer) for each in findings]}")
        others = ", ".join(f"{name} {times}" for name, times in also.most_common())
        print(f"| {kind} | {total} | {right} | {first} | {others} |", flush=True)
        for line in missed:
            print(f"    missed: {line}", flush=True)
        found, count = found + right, count + total
    print(f"{found} of {count} found")


def measure_well(seed: int) -> None:
    """Prints how many healthy trainings raised an alarm."""
    alarms, count = 0, 0
    for repeat in range(5):
        for case in drawn(well, 1000 * seed + repeat):
            findings = case.findings()
            count, alarms = count + 1, alarms + bool(findings)
            for each in findings:
                print(f"    false alarm: {case.title}: {each.kind}, {each.layer}, {each.figures}", flush=True)
    print(f"{alarms} false alarms in {count} healthy trainings")


def cost(repeats: int) -> None:
    """Prints how much longer `fit` takes with a doctor, in the medians of alternating runs."""
    from rows import cnn as cnn_row
    from rows import mlp as mlp_row

    for row, samples, epochs in ((mlp_row, 60_000, 5), (cnn_row, 4_000, 4)):
        x, y = row.data(samples)
        seconds: dict[bool, list[float]] = {False: [], True: []}
        own = []
        for i in range(2 * repeats + 2):
            with_doctor = i % 2 == 1
            lamella.utils.set_random_seed(i // 2)
            model = row.keras_model(lamella)
            doctor = Doctor(shown=0)
            begun = time.perf_counter()
            with contextlib.redirect_stdout(io.StringIO()):
                callbacks = [doctor] if with_doctor else []
                model.fit(x, y, batch_size=row.BATCH, epochs=epochs, verbose=0, callbacks=callbacks)
            if i > 1:
                seconds[with_doctor].append(time.perf_counter() - begun)
            if with_doctor:
                own.append(doctor.seconds)
        bare, watched = (statistics.median(seconds[key]) for key in (False, True))
        share = statistics.median(own) / bare
        print(f"{row.TITLE}: {bare:.2f} s, with a doctor {watched:.2f} s; in the doctor {share:.1%}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--part", choices=("ill", "well"))
    parser.add_argument("--cost", action="store_true")
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args()
    if arguments.cost:
        cost(arguments.repeats)
    else:
        for part, measure in (("ill", measure_ill), ("well", measure_well)):
            if arguments.part in (None, part):
                measure(arguments.seed)

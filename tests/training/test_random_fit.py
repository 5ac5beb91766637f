"""Training by chance: models, losses, metrics, data and arguments drawn alike, in real Keras and here.

Of each case a few calls in a row (`fit`, `evaluate`, `predict`, single batches) must give the same results, in the same
structure and order, tell callbacks the same, and end with the same weights.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pandas as pd
import pytest
import torch
from torch.utils.data import DataLoader, Dataset

import lamella

NAMES = ["zed", "alpha", "mid"]
STEPS, FEATURES, CLASSES = 4, 3, 3


def numbers(rng: Any, shape: tuple[int, ...]) -> np.ndarray:
    return rng.normal(size=shape).astype("float32")


# What an output may be: its units, activation, targets of `n` samples, losses, metrics.
TASKS: dict[str, tuple[int, str | None, Callable[[Any, int], np.ndarray], list[str], list[str]]] = {
    "number": (1, None, lambda rng, n: numbers(rng, (n, 1)), ["mse", "huber"], ["mae", "RootMeanSquaredError"]),
    "numbers": (2, None, lambda rng, n: numbers(rng, (n, 2)), ["mae", "mse"], ["cosine_similarity", "r2_score"]),
    "yes": (
        1,
        "sigmoid",
        lambda rng, n: rng.integers(0, 2, (n, 1)),
        ["binary_crossentropy", "crossentropy"],
        ["accuracy", "AUC", "Precision"],
    ),
    "class": (
        CLASSES,
        "softmax",
        lambda rng, n: rng.integers(0, CLASSES, n),
        ["sparse_categorical_crossentropy", "crossentropy"],
        ["acc", "sparse_categorical_accuracy"],
    ),
    "one-hot": (
        CLASSES,
        "softmax",
        lambda rng, n: np.eye(CLASSES)[rng.integers(0, CLASSES, n)],
        ["categorical_crossentropy", "kl_divergence"],
        ["accuracy", "AUC"],
    ),
    "class of each step": (
        CLASSES,
        "softmax",
        lambda rng, n: rng.integers(0, CLASSES, (n, STEPS)),
        ["sparse_categorical_crossentropy"],
        ["accuracy"],
    ),
}
X_TYPES: list[Callable[[np.ndarray], Any]] = [
    lambda x: x,
    lambda x: x.astype("float64"),
    lambda x: x.astype("float16"),
    lambda x: x.round().astype("int8"),
    lambda x: x > 0,
    torch.from_numpy,
    lambda x: pd.DataFrame(x) if x.ndim == 2 else x,
]
Y_TYPES: list[Callable[[np.ndarray], Any]] = [
    lambda y: y,
    lambda y: y.astype("float64"),
    lambda y: y.astype("uint8" if y.dtype.kind == "i" else "float32"),
    lambda y: y.astype(bool) if y.max() == 1 and y.min() == 0 else y,
    lambda y: torch.from_numpy(y.copy()),
    lambda y: pd.Series(y[:, 0]) if y.shape[1:] == (1,) else y,
]


class Case:
    """What is drawn from a seed; nothing in it belongs to a library."""

    def __init__(self, seed: int) -> None:
        rng = self.rng = np.random.default_rng(seed)

        def c(*choices: Any) -> Any:
            return choices[rng.integers(len(choices))]

        self.kind = c("sequential", "functional", "functional", "own")
        self.sequences = c(False, False, True)
        self.masked = self.sequences and c(False, True)
        alone = self.kind == "sequential"
        self.inputs = 1 if alone else c(1, 2)
        self.names = NAMES[: 1 if alone else c(1, 2, 2, 3)]
        self.nest = c(list, tuple, dict) if len(self.names) > 1 else None
        self.nest_of_inputs = c(list, dict) if self.inputs > 1 else None
        kinds = [*TASKS] if self.sequences else [*TASKS][:-1]
        self.tasks = [c(*kinds) for _ in self.names]
        self.losses = [c(*TASKS[task][3]) for task in self.tasks]
        if self.kind == "own" and self.nest and len(set(self.losses)) < len(self.losses):
            self.nest = dict  # of outputs without names Keras reports losses of one name in each other's place
        self.as_objects = c(False, True)
        self.loss_weights = c(None, [0.5, 2.0, 1.0][: len(self.names)]) if self.nest else None
        self.metrics, self.weighted = (
            c(None, [[c(*TASKS[task][4])] for task in self.tasks], [[c(*TASKS[task][4])] for task in self.tasks])
            for _ in range(2)
        )
        if self.weighted == self.metrics:
            self.weighted = None  # Keras lists metrics of one name several times
        if self.kind == "own" and self.nest in (list, tuple):
            self.metrics = self.weighted = None
        self.optimizer = c("sgd", "adam", "rmsprop")
        self.regularizer = c(None, "l2")
        self.own_loss = self.kind == "own" and c(False, True)
        self.calls = [self._call(c, position) for position in range(c(2, 3, 4))]

    def _call(self, c: Any, position: int) -> dict[str, Any]:
        n, name = c(9, 14), c("fit", "evaluate", "predict", "train_on_batch", "test_on_batch", "predict_on_batch")
        name = name if position else "fit"
        call: dict[str, Any] = {"name": name, "n": n, "arguments": {}}
        call["data"] = (
            c("arrays", "arrays", "generator", "PyDataset", "DataLoader") if "batch" not in name else "arrays"
        )
        call["types"] = [c(*X_TYPES)] * self.inputs, [c(*Y_TYPES) for _ in self.tasks]
        if call["data"] != "arrays" or "batch" in name:
            call["types"] = [X_TYPES[0]] * self.inputs, [Y_TYPES[0]] * len(self.tasks)
        call["weights"] = c(None, "of samples", "of outputs")
        if name in ("train_on_batch", "test_on_batch", "evaluate"):
            call["arguments"]["return_dict"] = c(False, True)
        if name == "fit":
            call["arguments"] |= {"epochs": 1 if call["data"] == "generator" else c(1, 2), "shuffle": False}
            call["validation"] = c(None, "arrays", "PyDataset", "DataLoader")
            if c(True, False):
                call["arguments"]["validation_freq"] = c(2, [1, 3])
            one = len(self.tasks) == 1 and self.tasks[0] in ("yes", "class", "one-hot")
            if one and call["data"] == "arrays" and c(True, False):
                call |= {"weights": None}
                call["arguments"]["class_weight"] = {0: 0.5, 1: 2.0}
        if call["data"] == "arrays" and "batch" not in name:
            call["arguments"]["batch_size"] = c(4, 5, 32)
        return call

    def nested(self, parts: list[Any]) -> Any:
        """One part for each output, as the outputs are nested."""
        if self.nest is None:
            return parts[0]
        return dict(zip(self.names, parts, strict=True)) if self.nest is dict else self.nest(parts)

    def nested_inputs(self, parts: list[Any]) -> Any:
        if self.nest_of_inputs is None:
            return parts[0]
        return dict(zip("ab", parts, strict=False)) if self.nest_of_inputs is dict else parts

    def samples(self, n: int, seed: int) -> tuple[list[np.ndarray], list[np.ndarray], list[np.ndarray]]:
        """The inputs, the targets, and weights of the samples or of their steps."""
        rng = np.random.default_rng(seed)
        x = [numbers(rng, (n, STEPS, FEATURES) if self.sequences else (n, FEATURES)) for _ in range(self.inputs)]
        for each in x if self.masked else []:
            each[1::3, STEPS // 2 :] = 0.0
        steps = [(STEPS,) if task == "class of each step" else () for task in self.tasks]
        weights = [rng.uniform(0.2, 2.0, (n, *each)).astype("float32") for each in steps]
        return x, [TASKS[task][2](rng, n) for task in self.tasks], weights


def model_of(case: Case, library: Any) -> Any:
    """The model, compiled; its weights follow from their shapes."""
    layers = library.layers

    def start(shape: Any, dtype: Any = None) -> torch.Tensor:
        size = int(np.prod(shape))
        return torch.tensor(0.6 * np.sin(1.7 * np.arange(size) + 0.3 * size).reshape(tuple(shape)), dtype=torch.float32)

    bodies = [
        layers.Dense(4, "tanh", kernel_initializer=start, kernel_regularizer=case.regularizer)
        for _ in range(case.inputs)
    ]
    gates = [layers.Masking() for _ in bodies] if case.masked else None
    heads = []
    for name, task in zip(case.names, case.tasks, strict=True):
        head = [layers.Dense(TASKS[task][0], TASKS[task][1], kernel_initializer=start, name=name)]
        if case.sequences and task != "class of each step":
            head.insert(0, layers.LSTM(3, kernel_initializer=start, recurrent_initializer=start))
        heads.append(head)

    def computed(inputs: list[Any]) -> Any:
        inputs = [gate(x) for gate, x in zip(gates, inputs, strict=True)] if gates else inputs
        total = sum(body(x) for body, x in zip(bodies, inputs, strict=True))
        total = bodies[0](inputs[0]) if len(inputs) == 1 else total
        outputs = []
        for head in heads:
            found = total
            for layer in head:
                found = layer(found)
            outputs.append(found)
        return case.nested(outputs)

    shape = (STEPS, FEATURES) if case.sequences else (FEATURES,)
    if case.kind == "sequential":
        model = library.Sequential([library.Input(shape), *(gates or []), bodies[0], *heads[0]])
    elif case.kind == "functional":
        inputs = [library.Input(shape, name=name) for name, _ in zip("ab", bodies, strict=False)]
        model = library.Model(case.nested_inputs(inputs), computed(inputs))
    else:

        class Own(library.Model):  # type: ignore[name-defined, misc]
            def __init__(self) -> None:
                super().__init__()
                self.parts = [*bodies, *(gates or []), *(layer for head in heads for layer in head)]

            def call(self, x: Any) -> Any:
                return computed([*(x.values() if isinstance(x, dict) else x if isinstance(x, (list, tuple)) else [x])])

            def compute_loss(self, *args: Any, **kwargs: Any) -> Any:
                return super().compute_loss(*args, **kwargs) * (2.0 if case.own_loss else 1.0)

        model = Own()
    losses = [library.losses.get(name) if case.as_objects and name != "crossentropy" else name for name in case.losses]
    model.compile(
        case.optimizer,
        case.nested(losses),
        loss_weights=case.loss_weights and case.nested(case.loss_weights),
        metrics=case.metrics and case.nested(case.metrics),
        weighted_metrics=case.weighted and case.nested(case.weighted),
        jit_compile=False,
    )
    return model


def rows(structure: Any, where: Any) -> Any:
    return keras.tree.map_structure(lambda leaf: leaf[where], structure)


def streamed(library: Any, kind: str, parts: tuple[Any, ...], n: int, size: int = 5) -> Any:
    """Batches of `parts` as a generator, a `PyDataset` or a `DataLoader`."""
    cuts = [slice(start, start + size) for start in range(0, n, size)]
    if kind == "generator":
        return (tuple(rows(part, cut) for part in parts) for cut in cuts)

    class Batches(library.utils.PyDataset):  # type: ignore[name-defined, misc]
        def __len__(self) -> int:
            return len(cuts)

        def __getitem__(self, i: int) -> Any:
            return tuple(rows(part, cuts[i]) for part in parts)

    class Samples(Dataset[Any]):
        def __len__(self) -> int:
            return n

        def __getitem__(self, i: int) -> Any:
            return tuple(rows(part, i) for part in parts)

    return Batches() if kind == "PyDataset" else DataLoader(Samples(), batch_size=size)


def listener(library: Any, told: list[Any]) -> Any:
    """A callback that notes every event with its number and its logs."""

    class Listener(library.callbacks.Callback):  # type: ignore[name-defined, misc]
        pass

    for name in dir(keras.callbacks.Callback):
        if name.startswith(("on_train", "on_epoch", "on_test")):

            def note(self: Any, *args: Any, _event: str = name, **kwargs: Any) -> None:
                told.append((_event, *args, *kwargs.values()))

            setattr(Listener, name, note)
    return Listener()


def result(case: Case, library: Any, model: Any, call: dict[str, Any], seed: int) -> list[Any]:
    """What a call gives, what a callback was told, and the weights after it."""
    name, arguments, told = call["name"], dict(call["arguments"]), []
    xs, ys, ws = case.samples(call["n"], seed)
    x = case.nested_inputs([kind(each) for kind, each in zip(call["types"][0], xs, strict=True)])
    y = case.nested([kind(each) for kind, each in zip(call["types"][1], ys, strict=True)])
    plain = "class of each step" not in case.tasks
    weights = case.nested(ws) if call["weights"] == "of outputs" else ws[0] if call["weights"] and plain else None
    parts = (x, y) if weights is None else (x, y, weights)
    if "batch" not in name:
        arguments |= {"verbose": 0, "callbacks": [listener(library, told)]}
    if call["data"] != "arrays":
        streamed_parts = (case.nested_inputs(xs), case.nested(ys), *parts[2:])
        parts = (streamed(library, call["data"], streamed_parts, call["n"]),)
    elif name.startswith("predict"):
        parts = (x,)
    elif weights is not None:
        parts, arguments["sample_weight"] = (x, y), weights
    if call.get("validation"):
        xs, ys, _ = case.samples(7, seed + 1)
        held = case.nested_inputs(xs), case.nested(ys)
        arrays = call["validation"] == "arrays"
        arguments["validation_data"] = held if arrays else streamed(library, call["validation"], held, 7, 3)
    else:
        arguments.pop("validation_freq", None)
    found = getattr(model, name)(*parts, **arguments)
    if name == "fit":
        found = [found.epoch, list(found.history), list(found.history.values())]
    return [list(found) if isinstance(found, dict) and "dict" in arguments else None, found, told, model.get_weights()]


def check(ours: Any, theirs: Any, path: str) -> None:
    """Whether two results are alike: kinds, order of names, shapes and numbers."""
    if isinstance(theirs, dict):
        named = all(isinstance(value, float) for value in theirs.values())
        assert list(ours) == list(theirs) if named else set(ours) == set(theirs), path
        for key in theirs:
            check(ours[key], theirs[key], f"{path}.{key}")
    elif isinstance(theirs, (list, tuple)):
        assert type(ours) is type(theirs) and len(ours) == len(theirs), f"{path}: {ours} {theirs}"
        for i, (one, two) in enumerate(zip(ours, theirs, strict=True)):
            check(one, two, f"{path}[{i}]")
    elif isinstance(theirs, (np.ndarray, float)):
        assert type(ours) is type(theirs) and getattr(ours, "dtype", None) == getattr(theirs, "dtype", None), path
        np.testing.assert_allclose(ours, theirs, rtol=2e-4, atol=2e-5, err_msg=path)
    else:
        assert ours == theirs, path


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("seed", [*range(16), *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(16, 200))])
def test_as_in_keras(seed: int) -> None:
    case = Case(seed)
    models = [(library, model_of(case, library)) for library in (lamella, keras)]
    for place, call in enumerate(case.calls):
        ours, theirs = (result(case, library, model, call, 10 * seed + place) for library, model in models)
        check(ours, theirs, f"call {place}, {call['name']}")

"""States of layers that users wrote: what looks at a model before it runs changes none of them."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest

import lamella

X = np.ones((8, 3), "float32")


def counting(library: Any, at_build: bool) -> Any:
    class Counter(library.layers.Layer):
        def __init__(self) -> None:
            super().__init__()
            if not at_build:
                self.make()

        def build(self, input_shape: Any) -> None:
            if at_build:
                self.make()

        def make(self) -> None:
            self.calls = self.add_weight(shape=(), initializer="zeros", dtype="float32", trainable=False)

        def call(self, x: Any) -> Any:
            self.calls.assign(self.calls + 1)
            return x

    return Counter()


def counted(library: Any, at_build: bool, has_input: bool, use: str) -> list[float]:
    layer = counting(library, at_build)
    start = [library.Input((3,))] if has_input else []
    model = library.Sequential([*start, layer, library.layers.Dense(1)])
    model.compile("sgd", "mse")
    found = []
    for _ in range(2):
        if use == "predict":
            model.predict(X, batch_size=4, verbose=0)
        else:
            getattr(model, use)(X, X[:, :1], batch_size=4, verbose=0)
        found.append(float(layer.calls.numpy()))
    return found


@pytest.mark.parametrize("use", ["fit", "evaluate", "predict"])
@pytest.mark.parametrize("has_input", [True, False])
@pytest.mark.parametrize("at_build", [True, False])
def test_calls_are_those_of_the_batches_alone(at_build: bool, has_input: bool, use: str) -> None:
    assert counted(lamella, at_build, has_input, use) == counted(keras, at_build, has_input, use) == [2.0, 4.0]

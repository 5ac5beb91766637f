"""Metrics that are attributes of layers, as in real Keras."""

import keras
import numpy as np
import pytest

import lamella


def models(library):
    class Watched(library.layers.Layer):
        def __init__(self, inner=None):
            super().__init__()
            self.dense = inner or library.layers.Dense(1)
            self.seen = library.metrics.Mean(name="outer" if inner else "inner")

        def call(self, x):
            y = self.dense(x)
            self.seen.update_state(y)
            return y

    inputs = library.Input((3,))
    return library.Model(inputs, Watched(Watched())(inputs))


@pytest.mark.filterwarnings("ignore")
def test_a_layer_names_its_metrics_and_those_of_its_layers():
    found = []
    for library in (lamella, keras):
        model = models(library)
        layer = model.layers[-1]
        model.compile("sgd", "mse")
        history = model.fit(np.ones((4, 3)), np.ones((4, 1)), verbose=0).history
        names = [metric.name for metric in layer.metrics]
        inner = [metric.name for metric in layer.dense.metrics]
        found.append((names, inner, len(layer.metrics_variables), len(layer.weights), sorted(history)))
    assert found[0] == found[1] == (["outer", "inner"], ["inner"], 4, 2, ["inner", "loss", "outer"])
    assert lamella.layers.Dense(2).metrics == []

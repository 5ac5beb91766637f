"""Pictures of neurons; they need matplotlib."""

from __future__ import annotations

from typing import Any

import numpy as np

from lamella.errors import ShapeError


def plot_line(neuron: Any, X: Any, y: Any, axes: Any = None) -> Any:
    """Draws samples of two features and the line on which a linear classifier wavers.

    Args:
        neuron: A fitted classifier with `coef_`, `intercept_` and `classes_`.
        X: (samples, 2).
        y: (samples,): labels.
        axes: Where to draw; new ones by default.

    Raises:
        ShapeError: Other than two features.
        ImportError: matplotlib is missing.
    """
    X, y = np.asarray(X, float), np.asarray(y)
    if X.ndim != 2 or X.shape[1] != 2 or neuron.coef_.shape != (1, 2):
        raise ShapeError(
            f"plot_line draws two features; X is {X.shape}, and {type(neuron).__name__} was fitted on "
            f"{neuron.n_features_in_}."
        )
    if axes is None:
        try:
            from matplotlib.figure import Figure
        except ImportError as error:
            raise ImportError("plot_line draws with matplotlib: pip install matplotlib") from error
        axes = Figure(layout="constrained").subplots()
    for label, marker in zip(neuron.classes_, "os", strict=True):
        axes.scatter(*X[y == label].T, marker=marker, label=str(label))
    low, high = X.min(0), X.max(0)
    edge = 0.15 * np.maximum(high - low, 1e-9)
    (first, second), offset = neuron.coef_[0], neuron.intercept_[0]
    if second:
        across = np.array([low[0] - edge[0], high[0] + edge[0]])
        axes.plot(across, -(first * across + offset) / second, color="black")
    elif first:
        axes.axvline(-offset / first, color="black")
    axes.set(xlim=(low[0] - edge[0], high[0] + edge[0]), ylim=(low[1] - edge[1], high[1] + edge[1]))
    axes.set(xlabel="first feature", ylabel="second feature")
    return axes

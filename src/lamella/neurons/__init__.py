"""Neurons, from the first (1943) to networks of them: estimators with scikit-learn's conventions."""

from lamella.neurons import gates
from lamella.neurons.adaline import Adaline
from lamella.neurons.linear_regression import LinearRegression, Ridge
from lamella.neurons.logistic_regression import LogisticRegression
from lamella.neurons.mcculloch_pitts import McCullochPittsNetwork, McCullochPittsNeuron
from lamella.neurons.multilayer_perceptron import MultilayerPerceptron, MultilayerPerceptronRegressor
from lamella.neurons.perceptron import NotSeparableWarning, Perceptron
from lamella.neurons.plots import plot_line
from lamella.neurons.softmax_regression import SoftmaxRegression

__all__ = [
    "Adaline",
    "LinearRegression",
    "LogisticRegression",
    "McCullochPittsNetwork",
    "McCullochPittsNeuron",
    "MultilayerPerceptron",
    "MultilayerPerceptronRegressor",
    "NotSeparableWarning",
    "Perceptron",
    "Ridge",
    "SoftmaxRegression",
    "gates",
    "plot_line",
]

"""`tf.keras.optimizers.legacy`: the names that scripts for older versions use, for the optimizers of today."""

from lamella.optimizers.adam import Adam, Adamax, Nadam
from lamella.optimizers.adaptive import Adadelta, Adagrad, Ftrl, RMSprop
from lamella.optimizers.base import Optimizer
from lamella.optimizers.sgd import SGD

__all__ = ["SGD", "Adadelta", "Adagrad", "Adam", "Adamax", "Ftrl", "Nadam", "Optimizer", "RMSprop"]

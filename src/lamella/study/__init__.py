"""Many trainings at once: learning rates, seeds and other settings compared.

Copies of a model train as one vectorised computation, each as it would train alone; what cannot be vectorised runs in a
pool of processes, through the same call.
"""

from lamella.study.ensemble import Ensemble, ensemble
from lamella.study.learning_rates import learning_rates
from lamella.study.optuna_search import optuna_search
from lamella.study.range_test import RangeTest, find_learning_rate
from lamella.study.study import Run, Study
from lamella.study.sweep import sweep

__all__ = [
    "Ensemble",
    "RangeTest",
    "Run",
    "Study",
    "ensemble",
    "find_learning_rate",
    "learning_rates",
    "optuna_search",
    "sweep",
]

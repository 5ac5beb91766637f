"""Energy-based models: Boltzmann machines of every kind, built from Lamella's public API."""

from lamella.energy.annealed_importance_sampling import LogPartition, annealed_importance_sampling
from lamella.energy.boltzmann import BoltzmannMachine
from lamella.energy.deep_belief import DeepBeliefNetwork
from lamella.energy.deep_boltzmann import DeepBoltzmannMachine
from lamella.energy.recommender import RBMRecommender
from lamella.energy.restricted import RestrictedBoltzmannMachine

__all__ = [
    "BoltzmannMachine",
    "DeepBeliefNetwork",
    "DeepBoltzmannMachine",
    "LogPartition",
    "RBMRecommender",
    "RestrictedBoltzmannMachine",
    "annealed_importance_sampling",
]

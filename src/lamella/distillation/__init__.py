"""Distillation: a small model (the student) learns from the labels and from a large one (the teacher)."""

from lamella.distillation.distiller import Distiller
from lamella.distillation.losses import DistillationLoss, FeatureDistillation, LogitsDistillation

__all__ = ["DistillationLoss", "Distiller", "FeatureDistillation", "LogitsDistillation"]

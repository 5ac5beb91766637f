"""Models as estimators of scikit-learn: in pipelines, cross-validation and grid search."""

from lamella.wrappers.classifier import LamellaClassifier
from lamella.wrappers.regressor import LamellaRegressor
from lamella.wrappers.transformer import LamellaTransformer

SKLearnClassifier = LamellaClassifier
SKLearnRegressor = LamellaRegressor
SKLearnTransformer = LamellaTransformer

__all__ = [
    "LamellaClassifier",
    "LamellaRegressor",
    "LamellaTransformer",
    "SKLearnClassifier",
    "SKLearnRegressor",
    "SKLearnTransformer",
]

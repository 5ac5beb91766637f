"""Data sets, each with `load_data()`. `digits` and `shapes` need no download."""

from lamella.datasets import (
    boston_housing,
    california_housing,
    cifar10,
    cifar100,
    digits,
    fashion_mnist,
    imdb,
    mnist,
    movielens,
    reuters,
    shapes,
)

__all__ = [
    "boston_housing",
    "california_housing",
    "cifar10",
    "cifar100",
    "digits",
    "fashion_mnist",
    "imdb",
    "mnist",
    "movielens",
    "reuters",
    "shapes",
]

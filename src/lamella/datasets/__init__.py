"""Data sets, each with `load_data()`. `digits` and `shapes` need no download."""

from lamella.datasets import california_housing, cifar10, digits, fashion_mnist, imdb, mnist, movielens, shapes

__all__ = ["california_housing", "cifar10", "digits", "fashion_mnist", "imdb", "mnist", "movielens", "shapes"]

"""Data sets, each with `load_data()`. `digits` needs no download."""

from lamella.datasets import california_housing, cifar10, digits, fashion_mnist, imdb, mnist

__all__ = ["california_housing", "cifar10", "digits", "fashion_mnist", "imdb", "mnist"]

"""Trees: networks that follow the branches of a sentence, a formula or any other tree, all trees of a batch at once."""

from lamella.trees.batch import TreeBatch
from lamella.trees.brackets import read_trees
from lamella.trees.classifier import TreeClassifier
from lamella.trees.matrix_vector import MatrixVectorNetwork
from lamella.trees.recursive import RecursiveNetwork
from lamella.trees.tensor import RecursiveTensorNetwork
from lamella.trees.tree import Tree
from lamella.trees.tree_data import TreeBatches
from lamella.trees.tree_lstm import TreeLSTM

__all__ = [
    "MatrixVectorNetwork",
    "RecursiveNetwork",
    "RecursiveTensorNetwork",
    "Tree",
    "TreeBatch",
    "TreeBatches",
    "TreeClassifier",
    "TreeLSTM",
    "read_trees",
]

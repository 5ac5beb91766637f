"""`TreeBatch`: several trees as columns of numbers, one row for each node."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

from lamella.errors import DataError, nearest
from lamella.trees.tree import Tree

NO_WORD, UNKNOWN, FIRST_WORD = 0, 1, 2  # the numbers of words


class TreeBatch:
    """Trees side by side, their nodes in level order: all roots first, in the order of the trees, then all children
    of roots, then all of theirs, to the deepest. Siblings are neighbours.

    In this order one column says how the trees grow: `parents`, the row of each node's parent, which never falls.
    With it and with a column of what stands at the nodes, such as `tokens(...)`, a layer can compute. The rows up to
    any row are trees, too: those of before, cut.

    Args:
        trees: The trees.

    Raises:
        DataError: No trees, or something that is no `Tree` (named by its index).

    Example:
        >>> batch = TreeBatch([Tree.from_string("(2 (3 a) (4 gem))"), Tree.from_string("(1 dull)")])
        >>> batch.parents.tolist(), batch.words
        ([-1, -1, 0, 0], [None, 'dull', 'a', 'gem'])
        >>> batch.tokens({"a": 2, "dull": 3}).tolist(), batch.labels([1, 2, 3]).tolist()
        ([0, 3, 2, 1], [1, 0, 2, -1])
        >>> [part.tolist() for part in batch.split(torch.arange(4))]
        [[0, 2, 3], [1]]
    """

    def __init__(self, trees: Sequence[Tree]) -> None:
        self.trees = checked_trees(trees)
        self.sizes = [len(tree) for tree in self.trees]
        """The number of nodes of each tree."""
        self.order, parents = level_order(self.trees)
        self.parents = torch.from_numpy(parents)
        """(nodes,), int64: the row of each node's parent; -1 for roots."""

    @property
    def words(self) -> list[str | None]:
        """The word at each node, or None."""
        flat = [word for tree in self.trees for word in tree.words]
        return [flat[i] for i in self.order.tolist()]

    def tokens(self, vocabulary: Mapping[str, int]) -> torch.Tensor:
        """(nodes,), int64: the number of each node's word; 0 for no word, and 1 for one that is not known.

        Args:
            vocabulary: The number of each known word, from 2 on.
        """
        rows = [token_numbers(tree, vocabulary) for tree in self.trees]
        return torch.from_numpy(np.concatenate(rows)[self.order])

    def labels(self, classes: Sequence[Any]) -> torch.Tensor:
        """(nodes,), int64: the place of each node's label in `classes`; -1 for none, and for one that is not there."""
        numbers = {label: i for i, label in enumerate(classes)}
        flat = np.asarray([numbers.get(label, -1) for tree in self.trees for label in tree.labels], "int64")
        return torch.from_numpy(flat[self.order])

    def split(self, values: torch.Tensor) -> list[torch.Tensor]:
        """A column of this batch as a tensor for each tree, (its nodes, ...), in the order of the tree's own nodes.

        Raises:
            DataError: Another number of rows.
        """
        if len(values) != len(self.order):
            raise DataError(f"TreeBatch.split: there are {len(values)} rows for {len(self.order)} nodes.")
        back = torch.empty(len(self.order), dtype=torch.int64)
        back[torch.from_numpy(self.order)] = torch.arange(len(self.order))
        return list(values[back.to(values.device)].split(self.sizes))

    def __len__(self) -> int:
        return len(self.trees)


def level_order(trees: Sequence[Tree]) -> tuple[np.ndarray, np.ndarray]:
    """The order of the nodes of all trees by level, as indices into one tree after the other, and their parents."""
    sizes = np.asarray([len(tree) for tree in trees])
    order = np.concatenate([tree.depths for tree in trees]).argsort(kind="stable")  # stable: siblings stay together
    row = np.empty_like(order)
    row[order] = np.arange(len(order))
    firsts = np.repeat(sizes.cumsum() - sizes, sizes)
    parents = np.concatenate([tree.parents for tree in trees])
    parents = np.where(parents < 0, -1, row[np.maximum(parents, 0) + firsts])
    return order, parents[order]


def token_numbers(tree: Tree, vocabulary: Mapping[str, int]) -> np.ndarray:
    """The number of the word at each node of a tree: `NO_WORD`, `UNKNOWN` or that of the vocabulary."""
    numbers = (NO_WORD if word is None else vocabulary.get(word, UNKNOWN) for word in tree.words)
    return np.fromiter(numbers, "int64", len(tree))


def label_numbers(index: int, tree: Tree, numbers: Mapping[Any, int]) -> np.ndarray:
    """The number of the label at each node of tree `index`; -1 for none.

    Raises:
        DataError: A label that has no number.
    """
    try:
        found = [-1 if label is None else numbers[label] for label in tree.labels]
    except KeyError as error:
        (label,) = error.args
        node = tree.labels.index(label)
        known = [str(each) for each in numbers]
        close = nearest(str(label), known) if isinstance(label, str) else []
        raise DataError(
            f"Tree {index}, node {node} ({tree.words[node] or 'an inner node'}): the label {label!r} is not one of the "
            f"classes: {', '.join(close or known[:20])}. Trees can be relabelled by tree.mapped(labels=...)."
        ) from None
    return np.asarray(found, "int64")


def checked_trees(trees: Any) -> list[Tree]:
    """`trees` as a list of `Tree`s.

    Raises:
        DataError: One tree in place of a list, no trees, or something that is no tree.
    """
    if isinstance(trees, (Tree, str)):
        raise DataError(f"Give a list of trees; got one {type(trees).__name__}. Wrap it: [tree].")
    trees = list(trees)
    if not trees:
        raise DataError("There are no trees.")
    for i, tree in enumerate(trees):
        if not isinstance(tree, Tree):
            raise DataError(
                f"Number {i} of the trees is {tree!r:.60} ({type(tree).__name__}), no Tree. Make one by "
                f"Tree.from_string, Tree.from_nested or Tree.from_networkx."
            )
    return trees

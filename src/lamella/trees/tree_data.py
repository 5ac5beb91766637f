"""`TreeBatches`: trees as a data set for `fit`, batches of similar depth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

from lamella.errors import ArgumentError, DataError
from lamella.trees.batch import checked_trees, label_numbers, level_order, token_numbers
from lamella.trees.tree import Tree
from lamella.utils import PyDataset


class TreeBatches(PyDataset):
    """Trees in batches of similar depth: the deepest tree of a batch says in how many levels it is computed.

    Batch i is (inputs, labels, weights), all with a row for each node in level order (see `TreeBatch`): inputs are a
    dict of `"tokens"` and `"parents"`, weights are 1 at nodes with a label and 0 at those without. Without classes it
    is the inputs alone.

    Args:
        trees: The trees.
        vocabulary: The number of each known word, from 2 on.
        classes: The number of each label, from 0 on; None where labels are not looked at.
        batch_size: Trees in one batch.
        shuffle: Whether each epoch has other batches; without it they go from flat to deep.

    Raises:
        DataError: No trees, a label that is not among the classes, or no label at all.
        ArgumentError: `batch_size` is not a positive whole number.

    Example:
        >>> tree = Tree.from_string("(4 (2 a) (4 gem))")
        >>> data = TreeBatches([tree], {"a": 2, "gem": 3}, {2: 0, 4: 1})
        >>> inputs, labels, weights = data[0]
        >>> inputs["tokens"].tolist(), labels.tolist(), weights.tolist()
        ([0, 2, 3], [1, 0, 1], [1.0, 1.0, 1.0])
    """

    def __init__(
        self,
        trees: Sequence[Tree],
        vocabulary: Mapping[str, int],
        classes: Mapping[Any, int] | None = None,
        batch_size: int = 32,
        shuffle: bool = True,
    ) -> None:
        super().__init__()
        self.trees = checked_trees(trees)
        if isinstance(batch_size, bool) or not isinstance(batch_size, int) or batch_size < 1:
            raise ArgumentError(f"TreeBatches: `batch_size` must be a whole number, 1 or more; got {batch_size!r}.")
        self.batch_size = batch_size
        self.shuffle = shuffle
        self._tokens = [token_numbers(tree, vocabulary) for tree in self.trees]
        self._labels: list[np.ndarray] | None = None
        if classes is not None:
            self._labels = [label_numbers(i, tree, classes) for i, tree in enumerate(self.trees)]
            if all((labels < 0).all() for labels in self._labels):
                raise DataError(
                    "None of the trees has a label at any node, so there is nothing to learn or to evaluate."
                )
        self._depths = torch.tensor([tree.depth for tree in self.trees])
        self.on_epoch_begin()

    def on_epoch_begin(self) -> None:
        count = len(self.trees)
        order = torch.randperm(count) if self.shuffle else torch.arange(count)
        batches = order[self._depths[order].argsort(stable=True)].split(self.batch_size)
        shuffled = torch.randperm(len(batches)).tolist() if self.shuffle else range(len(batches))
        self._batches = [batches[i].tolist() for i in shuffled]

    def __len__(self) -> int:
        return len(self._batches)

    def __getitem__(self, index: int) -> Any:
        rows = self._batches[index]
        order, parents = level_order([self.trees[i] for i in rows])
        tokens = np.concatenate([self._tokens[i] for i in rows])[order]
        inputs = {"tokens": torch.from_numpy(tokens), "parents": torch.from_numpy(parents)}
        if self._labels is None:
            return inputs
        labels = torch.from_numpy(np.concatenate([self._labels[i] for i in rows])[order])
        return inputs, labels.clamp(min=0), (labels >= 0).float()

    def split(self, values: np.ndarray) -> list[np.ndarray]:
        """What was computed of all batches of this epoch, one after the other, as an array for each tree.

        Args:
            values: (nodes of all trees, ...), in the order of the batches' rows.

        Returns:
            In the order of the trees, (its nodes, ...), each in the order of the tree's own nodes.
        """
        found: list[np.ndarray] = [values[:0]] * len(self.trees)
        start = 0
        for rows in self._batches:
            trees = [self.trees[i] for i in rows]
            order, _ = level_order(trees)
            own = np.empty_like(values[start : start + len(order)])
            own[order] = values[start : start + len(order)]
            start += len(order)
            ends = np.cumsum([len(tree) for tree in trees])[:-1]
            for i, part in zip(rows, np.split(own, ends), strict=True):
                found[i] = part
        return found

"""`Levels`: what is computed together when a batch of trees is gone through from the leaves to the roots."""

from __future__ import annotations

from bisect import bisect_left

import numpy as np
import torch

from lamella.errors import ArgumentError, DataError


class Levels:
    """The schedule of a batch of trees, from its column of parents.

    All leaves come first, at once. Then the inner nodes of one level after the other, from the deepest up: the
    children of a level are the level below it, whole, so each is looked at once, and all is linear in the nodes.

    Args:
        parents: (nodes,), whole numbers: the row of each node's parent, -1 for roots, in level order.
        arity: The most children of a node, each with a place of its own; None for any number, in no order.

    Attributes:
        roots: The number of roots, which are the first rows.
        leaves: (leaves,), int64: their rows.
        inner: (inner nodes,), int64: their rows.
        inner_sizes: The number of inner nodes in each level that has some, from the top; one 0 if none has.
        leaf_sizes: The number of leaves in each of these levels, and in the one below them.
        children: For each of these levels, int64: with an arity, for each place of each inner node, the child that
            comes there, counted in the level below: its inner nodes, then its leaves, then nothing at all. Without, for
            each child, its parent, counted among the inner nodes of the level.
        gaps: Whether any node has fewer children than places.
        order: (nodes,): where each node is in: the inner nodes, level by level from the top, then the leaves.

    Reading the parents waits for the device that they are on: once a batch.

    Raises:
        DataError: Rows that are not in level order.
        ArgumentError: A node with more children than `arity`.
    """

    def __init__(self, parents: torch.Tensor, arity: int | None) -> None:
        device = parents.device
        up = parents.detach().cpu().numpy().astype("int64", copy=False)
        self.roots = _checked_roots(up)
        starts = np.asarray(_level_starts(up.tolist(), self.roots))
        level = np.repeat(np.arange(len(starts) - 1), np.diff(starts))

        counts = np.bincount(up[self.roots :], minlength=len(up))
        is_inner = counts > 0
        inner_sizes = np.add.reduceat(is_inner, starts[:-1], dtype="int64")
        leaf_sizes = np.diff(starts) - inner_sizes
        inner_number = is_inner.cumsum() - 1  # among all inner nodes
        leaf_number = (~is_inner).cumsum() - 1
        own_inner = inner_number - (inner_sizes.cumsum() - inner_sizes)[level]  # among those of its level
        own_leaf = leaf_number - (leaf_sizes.cumsum() - leaf_sizes)[level]
        place = np.where(is_inner, own_inner, inner_sizes[level] + own_leaf)

        below = np.arange(self.roots, len(up))  # all that are children
        mother = up[below]
        if arity is None:
            taken = np.empty(len(up), "int64")
            taken[starts[level] + place] = np.where(level > 0, own_inner[up], 0)
            children, sizes = taken[self.roots :], np.diff(starts)[1:]
            self.gaps = False
        else:
            if counts.max() > arity:
                raise ArgumentError(
                    f"The node of row {counts.argmax()} has {counts.max()} children, more than `arity`, {arity}. Give "
                    f"the layer a larger `arity`, or take TreeLSTM(arity=None), which takes any number."
                )
            sizes = inner_sizes[:-1] * arity
            children = np.repeat(np.diff(starts)[1:], sizes)  # just behind the last one: nothing
            first_child = self.roots + counts.cumsum() - counts
            children[inner_number[mother] * arity + below - first_child[mother]] = place[below]
            self.gaps = bool((counts[is_inner] < arity).any())

        # Where no tree has an inner node there is a level of none.
        self.inner_sizes: list[int] = inner_sizes[:-1].tolist() or [0]
        self.leaf_sizes: list[int] = leaf_sizes.tolist() if len(leaf_sizes) > 1 else [*leaf_sizes.tolist(), 0]
        self.children = torch.from_numpy(children).to(device).split(sizes.tolist() or [0])
        order = np.where(is_inner, inner_number, is_inner.sum() + leaf_number)
        rows = np.flatnonzero(~is_inner), np.flatnonzero(is_inner), order
        self.leaves, self.inner, self.order = (torch.from_numpy(each).to(device) for each in rows)


def _checked_roots(parents: np.ndarray) -> int:
    """The number of roots, of parents in level order."""
    if parents.ndim != 1 or len(parents) == 0:
        raise DataError(f"Parents are a column (nodes,) with one node or more; got the shape {parents.shape}.")
    right = (parents >= -1) & (parents < np.arange(len(parents))) & (np.diff(parents, prepend=-1) >= 0)
    if not right.all():
        row = right.argmin()
        raise DataError(
            f"Row {row} has the parent {parents[row]}: the rows are not in level order, roots (-1) first, then each "
            f"level after the one above it, siblings together. TreeBatch(trees).parents is."
        )
    return int(np.searchsorted(parents, 0))


def _level_starts(parents: list[int], roots: int) -> list[int]:
    """Where each level starts, and the end of the last."""
    starts = [0, roots]
    while starts[-1] < len(parents):
        starts.append(bisect_left(parents, starts[-1], lo=starts[-1]))
    return starts

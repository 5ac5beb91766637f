"""`TreeLayer`: how a layer goes through a batch of trees, level by level."""

from __future__ import annotations

from typing import Any

import torch

from lamella.errors import ArgumentError, DTypeError, ShapeError
from lamella.layers import Layer
from lamella.trees.levels import Levels

States = tuple[torch.Tensor, ...]


class TreeLayer(Layer):
    """The base of layers over trees: a state for each node, from its own input and the states of its children.

    Called on `[x, parents]`: what stands at each node, (nodes, features), and the row of its parent, (nodes,), in
    level order, as `TreeBatch` has them. The output is (nodes, units), or with `return_nodes=False` that of the
    roots, (trees, units). If `x` has a mask, as from `Embedding(mask_zero=True)`, nodes that it hides have no input.

    A subclass writes `leaf_states` and `inner_states`; where inner nodes have an input, `inner_inputs`; and where the
    children are summed, `message`, what each of them adds.

    Args:
        units: The size of the output.
        arity: The most children of a node, for layers with weights for each; None where their number does not matter.
        return_nodes: Whether the output is that of all nodes, or of the roots.
        **kwargs: As for every layer.
    """

    def __init__(self, units: int, arity: int | None = 2, return_nodes: bool = True, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.units = positive(self, "units", units)
        self.arity = None if arity is None else positive(self, "arity", arity)
        self.return_nodes = return_nodes

    # -- what a layer writes ------------------------------------------------------------------------------------

    def leaf_states(self, x: torch.Tensor, mask: torch.Tensor | None) -> States:
        """The states of leaves with inputs (leaves, features): tensors (leaves, ...), the output first."""
        raise NotImplementedError(f"{type(self).__name__} has no leaf_states().")

    def inner_inputs(self, x: torch.Tensor, mask: torch.Tensor | None, rows: torch.Tensor) -> torch.Tensor | None:
        """What the inputs add at inner nodes, (inner nodes, ...), computed for all levels at once; None for nothing.

        Args:
            x: The inputs of all nodes.
            mask: (nodes,), True where there is one; None where all have.
            rows: The rows of the inner nodes.
        """
        return None

    def message(self, states: States, parents: torch.Tensor, inputs: torch.Tensor | None) -> States:
        """With `arity` None: what children with `states` hand up to their `parents`, numbers of rows of `inputs`."""
        return states

    def inner_states(self, children: States, inputs: torch.Tensor | None) -> States:
        """The states of inner nodes, each (n, ...).

        Args:
            children: (n, arity, ...) of each state: the children's, 0 where there is none; with `arity` None
                (n, ...), the sum of what they hand up.
            inputs: The part of `inner_inputs` for these nodes.
        """
        raise NotImplementedError(f"{type(self).__name__} has no inner_states().")

    # -- level by level -----------------------------------------------------------------------------------------

    def call(self, inputs: Any, mask: Any = None) -> torch.Tensor:
        x, parents = inputs
        if x.is_meta:
            return x.new_empty((len(x), self.units))
        if parents.is_floating_point():
            raise DTypeError(
                f"{type(self).__name__} {self.name!r}: the parents are whole numbers; got {parents.dtype}."
            )
        if parents.shape != x.shape[:1]:
            raise ShapeError(
                f"{type(self).__name__} {self.name!r}: there are {len(x)} rows of inputs and parents of shape "
                f"{tuple(parents.shape)}; each node has one of both."
            )
        mask = mask[0] if mask is not None else None
        levels = Levels(parents, self.arity)
        leaf_mask = None if mask is None else mask[levels.leaves]
        leaves = self.leaf_states(x.index_select(0, levels.leaves), leaf_mask)
        outputs = [*self._upwards(levels, leaves, self.inner_inputs(x, mask, levels.inner)), leaves[0]]
        order = levels.order if self.return_nodes else levels.order[: levels.roots]
        return torch.cat(outputs).index_select(0, order)

    def _upwards(self, levels: Levels, leaves: States, inputs: torch.Tensor | None) -> list[torch.Tensor]:
        """The outputs of the inner nodes, a tensor for each level, from the top."""
        leaf_parts = [state.split(levels.leaf_sizes) for state in leaves]
        inner_parts = [None] * len(levels.inner_sizes) if inputs is None else inputs.split(levels.inner_sizes)
        nothing = [state.new_zeros((1, state.shape[1])) for state in leaves] if levels.gaps else None

        found: list[torch.Tensor] = []
        states: States = ()
        for level in reversed(range(len(levels.inner_sizes))):
            below: list[States] = [(parts[level + 1],) for parts in leaf_parts]
            if states:  # the inner nodes of the level below
                below = [(state, *leaf) for state, leaf in zip(states, below, strict=True)]
            if nothing is not None:
                below = [(*parts, zero) for parts, zero in zip(below, nothing, strict=True)]
            joined = tuple(torch.cat(parts) if len(parts) > 1 else parts[0] for parts in below)
            children = self._brought(joined, levels.children[level], levels.inner_sizes[level], inner_parts[level])
            states = self.inner_states(children, inner_parts[level])  # even of no nodes: a weight is to have a gradient
            found.append(states[0])
        return found[::-1]

    def _brought(self, below: States, children: torch.Tensor, count: int, inputs: torch.Tensor | None) -> States:
        """What the `count` inner nodes of a level have of the level below."""
        if self.arity is None:
            messages = self.message(below, children, inputs)
            return tuple(m.new_zeros((count, m.shape[1])).index_add(0, children, m) for m in messages)
        return tuple(state.index_select(0, children).view(count, self.arity, state.shape[1]) for state in below)


def input_width(layer: Layer, shapes: Any) -> int:
    """The features of `x`, of the shapes with which a layer over trees is built.

    Raises:
        ShapeError: The layer is not called on a pair, or on tensors of another rank.
    """
    pair = isinstance(shapes, (list, tuple)) and all(isinstance(shape, (list, tuple)) for shape in shapes)
    if not pair or [len(shape) for shape in shapes] != [2, 1]:
        raise ShapeError(
            f"{type(layer).__name__} {layer.name!r} is called on [x, parents], (nodes, features) and (nodes,); got "
            f"{shapes}. In a functional model: Input((features,)) and Input((), dtype='int64')."
        )
    return int(shapes[0][1])


def positive(layer: Layer, name: str, value: Any) -> int:
    """`value`, if it is a positive whole number; else an error that names the layer."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ArgumentError(
            f"{type(layer).__name__} {layer.name!r}: `{name}` must be a whole number, 1 or more; got {value!r}."
        )
    return value


def check_width(layer: Layer, found: int, wanted: int) -> None:
    """Refuses inputs of another size than leaves' vectors must have.

    Raises:
        ShapeError: `found` is not `wanted`.
    """
    if found != wanted:
        raise ShapeError(
            f"{type(layer).__name__} {layer.name!r}: a leaf's input is its state, so `x` must have {wanted} features; "
            f"got {found}. Change `units`, or put Dense({wanted}) before the layer."
        )

"""`RecursiveNetwork`: the same weights at every node of a tree."""

from __future__ import annotations

from typing import Any

import torch

from lamella import activations, initializers, regularizers
from lamella.saving import register_keras_serializable
from lamella.trees.layer import States, TreeLayer, check_width, input_width, positive


@register_keras_serializable(package="lamella")
class RecursiveNetwork(TreeLayer):
    """A parent's vector from those of its children, by the same weights at every node: p = f([c1; c2] W + b).

    A leaf's vector is its input. The inputs of inner nodes are not looked at; a child that is missing is 0.

    Args:
        units: The size of the vectors, leaves' inputs included.
        activation: f; tanh by default.
        arity: The most children of a node, each with weights of its own; 2 by default.
        return_nodes: Whether the output is that of all nodes, or of the roots.
        kernel_initializer: Where the kernel starts.
        bias_initializer: Where the bias starts.
        kernel_regularizer: A penalty on the kernel.
        **kwargs: As for every layer.

    Called on `[x, parents]`, (nodes, units) and (nodes,) in level order (see `TreeBatch`). Output: (nodes, units); with
    `return_nodes=False` (trees, units). Weights: kernel (arity * units, units), bias (units,).

    Raises:
        ShapeError: Inputs of another size than `units`.
        ArgumentError: A node with more children than `arity`.

    Source: Socher, Lin, Ng and Manning, Parsing natural scenes and natural language with recursive neural networks,
        2011.

    Example:
        >>> from lamella.trees import Tree, TreeBatch
        >>> batch = TreeBatch([Tree.from_nested(["the", ["old", "house"]])])
        >>> RecursiveNetwork(4)([torch.ones(5, 4), batch.parents]).shape
        torch.Size([5, 4])
    """

    def __init__(
        self,
        units: int,
        activation: Any = "tanh",
        arity: int = 2,
        return_nodes: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(units, arity, return_nodes, **kwargs)
        self.arity: int = positive(self, "arity", arity)
        self.activation = activations.get(activation)
        self.kernel_initializer = initializers.get(kernel_initializer)
        self.bias_initializer = initializers.get(bias_initializer)
        self.kernel_regularizer = regularizers.get(kernel_regularizer)

    def build(self, input_shape: Any) -> None:
        check_width(self, input_width(self, input_shape), self.units)
        self.kernel = self.add_weight(
            (self.arity * self.units, self.units),
            self.kernel_initializer,
            regularizer=self.kernel_regularizer,
            name="kernel",
        )
        self.bias = self.add_weight((self.units,), self.bias_initializer, name="bias")

    def leaf_states(self, x: torch.Tensor, mask: torch.Tensor | None) -> States:
        return (x,)

    def inner_states(self, children: States, inputs: torch.Tensor | None) -> States:
        return (self.activation(torch.addmm(self.bias, children[0].flatten(1), self.kernel)),)

"""`RecursiveTensorNetwork`: children that multiply one another."""

from __future__ import annotations

from typing import Any

import torch

from lamella import activations, initializers, regularizers
from lamella.saving import register_keras_serializable
from lamella.trees.layer import States, TreeLayer, check_width, input_width


@register_keras_serializable(package="lamella")
class RecursiveTensorNetwork(TreeLayer):
    """A parent's vector from the products of its children's numbers: p_k = f(c V_k c' + (c W + b)_k), c = [c1; c2].

    A leaf's vector is its input. The inputs of inner nodes are not looked at; a child that is missing is 0.

    Args:
        units: The size of the vectors, leaves' inputs included.
        activation: f; tanh by default.
        return_nodes: Whether the output is that of all nodes, or of the roots.
        kernel_initializer: Where the kernel starts.
        tensor_initializer: Where the tensor starts; near 0 by default, so that at first the layer is nearly a
            `RecursiveNetwork`.
        bias_initializer: Where the bias starts.
        kernel_regularizer: A penalty on the kernel.
        tensor_regularizer: A penalty on the tensor.
        **kwargs: As for every layer.

    Called on `[x, parents]`, (nodes, units) and (nodes,) in level order (see `TreeBatch`), of trees with at most two
    children at a node. Output: (nodes, units); with `return_nodes=False` (trees, units). Weights: kernel
    (2 * units, units), tensor (2 * units, 2 * units, units), bias (units,).

    Raises:
        ShapeError: Inputs of another size than `units`.
        ArgumentError: A node with more than two children.

    Source: Socher, Perelygin, Wu, Chuang, Manning, Ng and Potts, Recursive deep models for semantic compositionality
        over a sentiment treebank, 2013.

    Example:
        >>> from lamella.trees import Tree, TreeBatch
        >>> batch = TreeBatch([Tree.from_nested(["the", ["old", "house"]])])
        >>> RecursiveTensorNetwork(4, return_nodes=False)([torch.ones(5, 4), batch.parents]).shape
        torch.Size([1, 4])
    """

    def __init__(
        self,
        units: int,
        activation: Any = "tanh",
        return_nodes: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        tensor_initializer: Any = "uniform",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        tensor_regularizer: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(units, 2, return_nodes, **kwargs)
        self.activation = activations.get(activation)
        self.kernel_initializer = initializers.get(kernel_initializer)
        self.tensor_initializer = initializers.get(tensor_initializer)
        self.bias_initializer = initializers.get(bias_initializer)
        self.kernel_regularizer = regularizers.get(kernel_regularizer)
        self.tensor_regularizer = regularizers.get(tensor_regularizer)

    def build(self, input_shape: Any) -> None:
        check_width(self, input_width(self, input_shape), self.units)
        pair, units = 2 * self.units, self.units
        self.kernel = self.add_weight(
            (pair, units), self.kernel_initializer, regularizer=self.kernel_regularizer, name="kernel"
        )
        self.tensor = self.add_weight(
            (pair, pair, units), self.tensor_initializer, regularizer=self.tensor_regularizer, name="tensor"
        )
        self.bias = self.add_weight((units,), self.bias_initializer, name="bias")

    def leaf_states(self, x: torch.Tensor, mask: torch.Tensor | None) -> States:
        return (x,)

    def inner_states(self, children: States, inputs: torch.Tensor | None) -> States:
        c = children[0].flatten(1)
        cv = (c @ self.tensor.flatten(1)).view(len(c), *self.tensor.shape[1:])  # (n, 2 units, units): c V_k
        products = torch.bmm(c.unsqueeze(1), cv).squeeze(1)
        return (self.activation(products + torch.addmm(self.bias, c, self.kernel)),)

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        config.pop("arity", None)
        return config

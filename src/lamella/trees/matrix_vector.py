"""`MatrixVectorNetwork`: each node has a vector, what it means, and a matrix, what it does to its neighbour."""

from __future__ import annotations

from typing import Any

import torch

from lamella import activations, initializers, regularizers
from lamella.saving import register_keras_serializable
from lamella.trees.layer import States, TreeLayer, check_width, input_width


@register_keras_serializable(package="lamella")
class MatrixVectorNetwork(TreeLayer):
    """Children with vectors a, b and matrices A, B make p = f([a B; b A] W + b0) and P = W_left' A + W_right' B.

    So "very" and "not" are matrices that change what stands beside them. A leaf's input is its vector and, after it,
    its matrix row by row, as what it differs by from the identity: a word that starts near 0 changes nothing at
    first. A child that is missing is the vector 0 and the identity.

    Args:
        units: The size d of the vectors. Inputs have d + d * d features.
        activation: f; tanh by default.
        return_nodes: Whether the output is that of all nodes, or of the roots.
        kernel_initializer: Where the kernels start.
        bias_initializer: Where the bias starts.
        kernel_regularizer: A penalty on the kernels.
        **kwargs: As for every layer.

    Called on `[x, parents]`, (nodes, d + d * d) and (nodes,) in level order (see `TreeBatch`), of trees with at most
    two children at a node. Output: the vectors, (nodes, d); with `return_nodes=False` (trees, d). Weights: kernel
    (2 * d, d), matrix_kernel (2 * d, d), which starts as half the sum, and bias (d,).

    Raises:
        ShapeError: Inputs of another size.
        ArgumentError: A node with more than two children.

    Source: Socher, Huval, Manning and Ng, Semantic compositionality through recursive matrix-vector spaces, 2012.

    Example:
        >>> from lamella.trees import Tree, TreeBatch
        >>> batch = TreeBatch([Tree.from_nested(["not", ["very", "good"]])])
        >>> MatrixVectorNetwork(4)([torch.zeros(5, 4 + 16), batch.parents]).shape
        torch.Size([5, 4])
    """

    def __init__(
        self,
        units: int,
        activation: Any = "tanh",
        return_nodes: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(units, 2, return_nodes, **kwargs)
        self.activation = activations.get(activation)
        self.kernel_initializer = initializers.get(kernel_initializer)
        self.bias_initializer = initializers.get(bias_initializer)
        self.kernel_regularizer = regularizers.get(kernel_regularizer)

    def build(self, input_shape: Any) -> None:
        d = self.units
        check_width(self, input_width(self, input_shape), d + d * d)
        penalty = self.kernel_regularizer
        self.kernel = self.add_weight((2 * d, d), self.kernel_initializer, regularizer=penalty, name="kernel")
        self.matrix_kernel = self.add_weight((2 * d, d), _half_the_sum, regularizer=penalty, name="matrix_kernel")
        self.bias = self.add_weight((d,), self.bias_initializer, name="bias")

    def leaf_states(self, x: torch.Tensor, mask: torch.Tensor | None) -> States:
        return x[:, : self.units], x[:, self.units :]

    def inner_states(self, children: States, inputs: torch.Tensor | None) -> States:
        vectors, differences = children
        n, d = len(vectors), self.units
        identity = torch.eye(d, dtype=vectors.dtype, device=vectors.device)
        matrices = differences.view(n, 2, d, d) + identity
        changed = torch.einsum("nci,ncij->ncj", vectors, matrices.flip(1))  # each by the other's matrix
        p = self.activation(torch.addmm(self.bias, changed.reshape(n, 2 * d), self.kernel))
        matrix = torch.einsum("nki,kj->nji", matrices.reshape(n, 2 * d, d), self.matrix_kernel) - identity
        return p, matrix.flatten(1)

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        config.pop("arity", None)
        return config


def _half_the_sum(shape: tuple[int, int], dtype: Any = None) -> torch.Tensor:
    """[I; I] / 2: the matrix of a node starts as the mean of its children's."""
    return 0.5 * torch.eye(shape[1], dtype=dtype).repeat(2, 1)

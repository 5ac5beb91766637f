"""`TreeLSTM`: an LSTM whose steps go from the children of a node to the node."""

from __future__ import annotations

from typing import Any

import torch

from lamella import initializers, regularizers
from lamella.saving import register_keras_serializable
from lamella.trees.layer import States, TreeLayer, input_width


@register_keras_serializable(package="lamella")
class TreeLSTM(TreeLayer):
    """Long short-term memory over trees: a node has a forget gate for each of its children.

    With the input x of a node and its children's outputs h_k and carries c_k:

        i, o = sigmoid(x W + h U + b)         f_k = sigmoid(x W + h_k U + b)        g = tanh(x W + h U + b)
        c = i * g + sum of f_k * c_k          output = o * tanh(c)

    With `arity=None` (child-sum), h is the sum of the h_k: any number of children, whose order does not matter, as in
    dependency trees. With a number (N-ary; 2 for binary trees) h, for f_k too, is all of them side by side, and each
    position has weights of its own, as in constituency trees. On a chain, both are an ordinary LSTM.

    Args:
        units: The size of the output.
        arity: The most children of a node, or None for the child-sum form.
        return_nodes: Whether the output is that of all nodes, or of the roots.
        kernel_initializer: Where the kernel starts.
        recurrent_initializer: Where the recurrent kernel starts.
        bias_initializer: Where the bias starts.
        unit_forget_bias: Whether the bias of the forget gates starts at 1.
        kernel_regularizer: A penalty on the kernel.
        recurrent_regularizer: A penalty on the recurrent kernel.
        **kwargs: As for every layer.

    Called on `[x, parents]`, (nodes, features) and (nodes,) in level order (see `TreeBatch`). Nodes that a mask of `x`
    hides have no input: x is 0. Output: (nodes, units); with `return_nodes=False` (trees, units). Weights: kernel
    (features, 4 * units) and bias (4 * units,) with the blocks g, i, o, f; recurrent_kernel (units, 4 * units)
    likewise, or (arity * units, (3 + arity) * units) with a block f for each child.

    Raises:
        ArgumentError: Arguments out of range, or a node with more children than `arity`.

    Source: Tai, Socher and Manning, Improved semantic representations from tree-structured long short-term memory
        networks, 2015.

    Example:
        >>> from lamella.trees import Tree, TreeBatch
        >>> batch = TreeBatch([Tree.from_nested(["a", ["very", "old", "house"]]), Tree.from_nested(["so", "so"])])
        >>> TreeLSTM(4)([torch.ones(9, 3), batch.parents]).shape
        torch.Size([9, 4])
    """

    def __init__(
        self,
        units: int,
        arity: int | None = None,
        return_nodes: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        recurrent_initializer: Any = "orthogonal",
        bias_initializer: Any = "zeros",
        unit_forget_bias: bool = True,
        kernel_regularizer: Any = None,
        recurrent_regularizer: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(units, arity, return_nodes, **kwargs)
        self.kernel_initializer = initializers.get(kernel_initializer)
        self.recurrent_initializer = initializers.get(recurrent_initializer)
        self.bias_initializer = initializers.get(bias_initializer)
        self.unit_forget_bias = unit_forget_bias
        self.kernel_regularizer = regularizers.get(kernel_regularizer)
        self.recurrent_regularizer = regularizers.get(recurrent_regularizer)

    def build(self, input_shape: Any) -> None:
        units, places = self.units, self.arity or 1
        self.kernel = self.add_weight(
            (input_width(self, input_shape), 4 * units),
            self.kernel_initializer,
            regularizer=self.kernel_regularizer,
            name="kernel",
        )
        self.recurrent_kernel = self.add_weight(
            (places * units, (3 + places) * units),
            self.recurrent_initializer,
            regularizer=self.recurrent_regularizer,
            name="recurrent_kernel",
        )
        self.bias = self.add_weight((4 * units,), self.bias_initializer, name="bias")
        if self.unit_forget_bias:
            with torch.no_grad():
                self.bias[3 * units :] = 1.0

    def leaf_states(self, x: torch.Tensor, mask: torch.Tensor | None) -> States:
        g, gates = self._candidate_and_gates(torch.addmm(self.bias, _without_hidden(x, mask), self.kernel))
        i, o = gates[:, : self.units], gates[:, self.units : 2 * self.units]
        c = i * g
        return o * c.tanh(), c

    def inner_inputs(self, x: torch.Tensor, mask: torch.Tensor | None, rows: torch.Tensor) -> torch.Tensor:
        """x W + b, in the blocks of the recurrent kernel."""
        if mask is not None:
            mask = mask[rows]
        if mask is not None and not mask.any():  # constituency trees: words are at leaves
            z = self.bias
        else:
            z = torch.addmm(self.bias, _without_hidden(x.index_select(0, rows), mask), self.kernel)
        if self.arity is not None:
            z = torch.cat([z, *[z[..., 3 * self.units :]] * (self.arity - 1)], -1)
        return z.expand(len(rows), -1)

    def message(self, states: States, parents: torch.Tensor, inputs: Any) -> States:
        """h and f * c, of which the parent gets the sums."""
        gates = 3 * self.units
        h, c = states
        x = inputs[:, gates:].index_select(0, parents)
        return h, torch.addmm(x, h, self.recurrent_kernel[:, gates:]).sigmoid() * c

    def inner_states(self, children: States, inputs: Any) -> States:
        units = self.units
        h, c = children
        if self.arity is None:  # the forget gates have done their work in the messages
            z = torch.addmm(inputs[:, : 3 * units], h, self.recurrent_kernel[:, : 3 * units])
        else:
            z = torch.addmm(inputs, h.flatten(1), self.recurrent_kernel)
        g, gates = self._candidate_and_gates(z)
        i, o, f = gates.tensor_split((units, 2 * units), 1)
        kept = c if self.arity is None else (f.view(c.shape) * c).sum(1)
        c = torch.addcmul(kept, i, g)
        return o * c.tanh(), c

    def _candidate_and_gates(self, z: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return z[:, : self.units].tanh(), z[:, self.units :].sigmoid()


def _without_hidden(x: torch.Tensor, mask: torch.Tensor | None) -> torch.Tensor:
    return x if mask is None else x * mask.unsqueeze(1)

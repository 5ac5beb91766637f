"""`EinsumDense`: a dense layer between any axes, told by an einsum equation."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from functools import partial
from typing import Any

import torch

from lamella import activations, constraints, initializers, regularizers
from lamella.dtype_policies.quantized import MODES
from lamella.errors import ArgumentError, ShapeError
from lamella.layers.base import InputSpec, Layer, registry
from lamella.layers.float8 import rounded_bias, rounded_gradient, rounded_inputs
from lamella.layers.input_spec import check_input
from lamella.layers.lora import AdaptedWeight, KeptWeight
from lamella.layers.quantizable import QuantizableLayer
from lamella.layers.quantized_weight import Int4Weight, Int8Weight, block_size_of, matrix_shape, product, rounded

_OF_THE_EQUATION = "gptq_unpacked_column_size"
"""What Keras's configs say of a layer rounded by GPTQ, and the equation and the shapes say too."""
_EQUATION = re.compile(r"(\.\.\.)?([a-zA-Z]+)(\.\.\.)?,([a-zA-Z]+)->(\.\.\.)?([a-zA-Z]+)(\.\.\.)?")


@registry.register()
class EinsumDense(QuantizableLayer):
    """activation(einsum(equation, inputs, kernel) + bias).

    Args:
        equation: Such as `"abc,cd->abd"`: the axes of input, kernel and output. `...` at the start (or the end)
            of input and output stands for any further axes.
        output_shape: The output's shape without the batch and without what `...` stands for; None where an
            axis is the input's.
        activation: A name or function; none by default.
        bias_axes: The letters of the output axes that have a bias of their own; None for no bias.
        kernel_initializer: Where the kernel starts.
        bias_initializer: Where the bias starts.
        kernel_regularizer: A penalty on the kernel.
        bias_regularizer: A penalty on the bias.
        kernel_constraint: A projection of the kernel after each update.
        bias_constraint: A projection of the bias.
        lora_rank: Where given, the kernel is frozen and a change of this rank is trained: see `enable_lora`.
        lora_alpha: How much that change counts: it is multiplied by lora_alpha / lora_rank. By default lora_rank.
        quantization_config: How the kernel is rounded where `dtype` is a policy such as `"int8_from_float32"`.
        **kwargs: As for every layer.

    Weights: kernel, with the axes of the equation's second term; bias, from the first axis of `bias_axes` on.

    Raises:
        ArgumentError: An equation of another form, or letters that fit no axis.
        ShapeError: An input that does not fit the equation or `output_shape`.

    Example:
        >>> import torch
        >>> from lamella.layers import EinsumDense
        >>> layer = EinsumDense("abc,cde->abde", output_shape=(None, 2, 5), bias_axes="de")
        >>> layer(torch.ones(1, 4, 3)).shape, layer.kernel.shape
        (torch.Size([1, 4, 2, 5]), torch.Size([3, 2, 5]))
    """

    kernel = AdaptedWeight("kernel")
    _kernel = KeptWeight()
    _modes = MODES

    def __init__(
        self,
        equation: str,
        output_shape: int | Sequence[int | None],
        activation: Any = None,
        bias_axes: str | None = None,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        bias_regularizer: Any = None,
        kernel_constraint: Any = None,
        bias_constraint: Any = None,
        lora_rank: int | None = None,
        lora_alpha: float | None = None,
        quantization_config: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.equation = equation
        self.partial_output_shape = (output_shape,) if isinstance(output_shape, int) else tuple(output_shape)
        self.activation = activations.get(activation)
        self.bias_axes = bias_axes
        self.kernel_initializer = initializers.get(kernel_initializer)
        self.bias_initializer = initializers.get(bias_initializer)
        self.kernel_regularizer = regularizers.get(kernel_regularizer)
        self.bias_regularizer = regularizers.get(bias_regularizer)
        self.kernel_constraint = constraints.get(kernel_constraint)
        self.bias_constraint = constraints.get(bias_constraint)
        self._set_lora(lora_rank, lora_alpha)
        self._set_quantization(quantization_config)
        self.bias: torch.Tensor | None = None
        self._read_equation()

    def _read_equation(self) -> None:
        match = _EQUATION.fullmatch(self.equation.replace(" ", "")) if isinstance(self.equation, str) else None
        groups: tuple[Any, ...] = match.groups() if match else (None,) * 7
        left, source, right, kernel, out_left, output, out_right = groups
        if match is None or (left, right) != (out_left, out_right) or (left and right):
            raise ArgumentError(
                f"EinsumDense {self.name!r}: `equation` must look like 'ab,bc->ac', '...ab,bc->...ac' or "
                f"'ab...,bc->ac...'; got {self.equation!r}."
            )
        for letter in kernel:
            if letter not in source and letter not in output:
                raise ArgumentError(
                    f"EinsumDense {self.name!r}: axis {letter!r} of the kernel in {self.equation!r} is neither in "
                    f"the input nor in the output, so its size is unknown."
                )
        for letter in output:
            if letter not in source and letter not in kernel:
                raise ArgumentError(
                    f"EinsumDense {self.name!r}: axis {letter!r} of the output in {self.equation!r} is neither in "
                    f"the input nor in the kernel."
                )
        for letter in self.bias_axes or "":
            if letter not in output:
                raise ArgumentError(
                    f"EinsumDense {self.name!r}: `bias_axes` has {letter!r}, which is no output axis of "
                    f"{self.equation!r}."
                )
        self._source, self._kernel_axes, self._output = source, kernel, output
        self._ellipsis = "left" if left else "right" if right else None

    def build(self, input_shape: Any) -> None:
        source, kernel, output = self._source, self._kernel_axes, self._output
        sizes, elided = self._input_sizes(tuple(input_shape))
        full = self._full_output_shape(input_shape, len(elided))
        out_sizes = dict(zip(output, full[len(elided) :] if self._ellipsis == "left" else full, strict=True))
        for letter in source:
            if None not in (sizes[letter], out_sizes.get(letter)) and out_sizes[letter] != sizes[letter]:
                raise ShapeError(
                    f"EinsumDense {self.name!r}: axis {letter!r} of {self.equation!r} has size {sizes[letter]} in "
                    f"the input, but {out_sizes[letter]} in `output_shape`."
                )
        out_sizes = {letter: sizes.get(letter) if size is None else size for letter, size in out_sizes.items()}
        kernel_shape = [out_sizes[letter] if letter in out_sizes else sizes[letter] for letter in kernel]
        self._choose_way()
        self.add_weight(
            kernel_shape,
            self._fan_aware(self.kernel_initializer),
            regularizer=self.kernel_regularizer,
            constraint=self.kernel_constraint,
            name="kernel",
        )
        if self.bias_axes is not None:
            self.bias = self.add_weight(
                self._bias_shape(out_sizes, len(elided)),
                self.bias_initializer,
                regularizer=self.bias_regularizer,
                constraint=self.bias_constraint,
                name="bias",
            )
        self.input_spec = InputSpec(ndim=len(input_shape))
        self._finish_build()

    def _input_sizes(self, shape: tuple[Any, ...]) -> tuple[dict[str, Any], tuple[Any, ...]]:
        """The size of each letter of the input, and the sizes of what `...` stands for."""
        count = len(shape) - len(self._source)
        if count < 0 or (count and not self._ellipsis):
            raise ShapeError(
                f"EinsumDense {self.name!r}: {self.equation!r} takes an input of {len(self._source)} axes"
                f"{' or more' if self._ellipsis else ''}; got shape {shape}."
            )
        if self._ellipsis == "left":
            return dict(zip(self._source, shape[count:], strict=True)), shape[:count]
        named = len(self._source)
        return dict(zip(self._source, shape[:named], strict=True)), shape[named:]

    def _full_output_shape(self, input_shape: Any, elided: int) -> list[Any]:
        """`output_shape` with the batch, and on the left what `...` stands for there."""
        full: list[Any] = [input_shape[0], *self.partial_output_shape]
        if self._ellipsis == "left" and elided > 1:
            full[1:1] = list(input_shape[1:elided])
        named = len(full) - (elided if self._ellipsis == "left" else 0)
        if named != len(self._output):
            raise ShapeError(
                f"EinsumDense {self.name!r}: `output_shape` must give the {len(self._output)} axes of the output of "
                f"{self.equation!r} but the batch and what '...' stands for; got {self.partial_output_shape}."
            )
        return full

    def _bias_shape(self, sizes: dict[str, Any], elided: int) -> list[int]:
        assert self.bias_axes is not None
        first = min(self._output.find(letter) for letter in self.bias_axes)
        shape = [sizes[letter] if letter in self.bias_axes else 1 for letter in self._output[first:]]
        return shape + [1] * (elided if self._ellipsis == "right" else 0)

    def _fan_aware(self, initializer: Any) -> Any:
        """The initializer, told which axes of the kernel are a unit's inputs and which its outputs."""
        if not isinstance(initializer, initializers.VarianceScaling):
            return initializer
        if initializer.input_axes is not None and initializer.output_axes is not None:
            return initializer
        outputs = [axis for axis, letter in enumerate(self._kernel_axes) if letter in self._output]
        inputs = [axis for axis, letter in enumerate(self._kernel_axes) if letter not in self._output]
        config = initializer.get_config() | {"input_axes": inputs, "output_axes": outputs}
        return type(initializer).from_config(config)

    def _choose_way(self) -> None:
        """Whether it is one matrix product: the last axes of the input times the kernel's first, in their order."""
        summed = [letter for letter in self._source if letter not in self._output]
        count = len(summed)
        free, made = self._source[: len(self._source) - count], self._kernel_axes[count:]
        self._summed = count
        self._is_product = (
            self._ellipsis != "right"
            and list(self._source[len(free) :]) == summed == list(self._kernel_axes[:count])
            and self._output == free + made
            and count > 0
            and len(set(free + made)) == len(free + made)
        )
        self._one_bias = self.bias_axes is not None and set(self.bias_axes) == set(made)

    def call(self, inputs: torch.Tensor) -> torch.Tensor:
        if inputs.ndim != self.input_spec.ndim:
            check_input(self, inputs)
        if inputs.is_meta:  # torch would load its compiler, most of a second, for the shape alone
            return torch.empty(self._shape_of_output(inputs), dtype=self._float, device="meta")
        inputs = self._in_floats(inputs)
        if not self._is_plain:
            z = self._adapted_product(inputs)
        else:
            z = self._product(inputs) if self._is_product else self._einsum(inputs)
        return z if self.activation is None else self.activation(z)  # None: taken away after the layer was made

    def _product(self, inputs: torch.Tensor) -> torch.Tensor:
        """One matrix product: several times as quick as einsum where the matrices are small."""
        kernel, count = self.kernel, self._summed
        if inputs.shape[inputs.ndim - count :] != kernel.shape[:count]:
            self._shape_of_output(inputs)  # says what is wrong
        made = kernel.shape[count:]
        inner = math.prod(kernel.shape[:count])
        rows, matrix = inputs.reshape(-1, inner), kernel.reshape(inner, -1)
        shape = (*inputs.shape[: inputs.ndim - count], *made)
        if self.bias is not None and self._one_bias:
            return torch.addmm(self.bias.reshape(-1), rows, matrix).view(shape)
        outputs = torch.mm(rows, matrix).view(shape)
        return outputs if self.bias is None else outputs + self.bias

    def _einsum(self, inputs: torch.Tensor) -> torch.Tensor:
        self._shape_of_output(inputs)
        outputs = torch.einsum(self.equation, inputs, self.kernel)
        return outputs if self.bias is None else outputs + self.bias

    def _adapted_product(self, inputs: torch.Tensor) -> torch.Tensor:
        """The sum of products with LoRA or quantized, and the bias."""
        shape = self._shape_of_output(inputs)
        bias = self.bias
        if self._quantized is None and self._is_quantized:
            factors = rounded_inputs(self, inputs, "inputs"), rounded_inputs(self, self.kernel, "kernel")
            outputs = rounded_gradient(self, torch.einsum(self.equation, *factors))
            bias = bias if bias is None else rounded_bias(self, bias)
        elif self._quantized is None:
            outputs = torch.einsum(self.equation, inputs, self._kept_weight())
        elif self._is_product:
            rows = inputs.reshape(-1, math.prod(inputs.shape[inputs.ndim - self._summed :]))
            outputs = product(rows, partial(self._quantized.matrix, self), self._input_quantizer).view(shape)
        else:
            summed = [axis for axis, letter in enumerate(self._letters(inputs.ndim)) if letter not in self._output]
            seen = rounded(inputs, self._input_quantizer, [axis for axis in summed if axis is not None])
            outputs = torch.einsum(self.equation, seen, self._quantized.floats(self, self._float))
        if self.lora_enabled:
            outputs = outputs + self._lora_part(inputs)
        return outputs if bias is None else outputs + bias

    def _letters(self, ndim: int) -> str:
        """A letter for each axis of the input; for those that `...` stands for, one that is in the output too."""
        elided = self._output[0] * (ndim - len(self._source))
        return elided + self._source if self._ellipsis == "left" else self._source + elided

    def _lora_part(self, inputs: torch.Tensor) -> torch.Tensor:
        """What LoRA adds: factor by factor where the last axis of the kernel is the output's own last."""
        a, b, scale = self._lora_factors()
        last = self._kernel_axes[-1]
        if last == self._output[-1] and last not in self._source and self._ellipsis != "right":
            return scale * (torch.einsum(self.equation, inputs, a) @ b)
        return scale * torch.einsum(self.equation, inputs, a @ b)

    def _summed_axes(self) -> tuple[int, ...]:
        return tuple(axis for axis, letter in enumerate(self._kernel_axes) if letter not in self._output)

    def _int8_weights(self, config: Any, policy: Any) -> list[Int8Weight]:
        elided: tuple[None, ...] = (None,) * (self.input_spec.ndim - len(self._source))
        named = [self._kernel_axes.index(letter) if letter in self._kernel_axes else None for letter in self._output]
        kept = (*elided, *named) if self._ellipsis == "left" else (*named, *elided)
        quantizer = config and config.weight_quantizer
        return [Int8Weight("kernel", tuple(self.kernel.shape), self._summed_axes(), kept, quantizer)]

    def _int4_weights(self, config: Any, policy: Any) -> list[Int4Weight]:
        shape, block = tuple(self.kernel.shape), block_size_of(config, policy)
        return [Int4Weight("kernel", shape, matrix_shape(shape, self._summed_axes()), block_size=block)]

    def _calibrated_shape(self) -> tuple[tuple[int, ...], tuple[int, int]]:
        if not self._is_product:
            raise NotImplementedError(
                f"EinsumDense {self.name!r} cannot be quantized by GPTQ or AWQ, as {self.equation!r} is not one "
                f"product of matrices, with the last axes of the input and the first of the kernel."
            )
        shape = tuple(self.kernel.shape)
        return shape, matrix_shape(shape, self._summed_axes())

    def _shape_of_output(self, inputs: torch.Tensor) -> list[int]:
        sizes, elided = self._input_sizes(tuple(inputs.shape))
        for letter, size in zip(self._kernel_axes, self._shape_for_lora(), strict=True):
            if sizes.setdefault(letter, size) != size:
                raise ShapeError(
                    f"EinsumDense {self.name!r}: axis {letter!r} of {self.equation!r} has size {size} in the kernel, "
                    f"but {sizes[letter]} in the input of shape {tuple(inputs.shape)}."
                )
        named = [sizes[letter] for letter in self._output]
        return [*elided, *named] if self._ellipsis == "left" else [*named, *elided]

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Layer:
        """The layer that `get_config` (here or in Keras) described."""
        return super().from_config({name: value for name, value in config.items() if name != _OF_THE_EQUATION})

    def get_config(self) -> dict[str, Any]:
        config = {"activity_regularizer": None} | super().get_config()
        return config | {"output_shape": list(self.partial_output_shape)}

"""`Dense`: every output from every input."""

from __future__ import annotations

import warnings
from functools import partial
from typing import Any

import torch

from lamella import activations, constraints, initializers, regularizers
from lamella.dtype_policies.quantized import MODES
from lamella.errors import ArgumentError, ArgumentTypeError
from lamella.layers.base import InputSpec, Layer, registry
from lamella.layers.float8 import rounded_bias, rounded_gradient, rounded_inputs
from lamella.layers.input_spec import check_input
from lamella.layers.lora import AdaptedWeight, KeptWeight
from lamella.layers.quantizable import QuantizableLayer
from lamella.layers.quantized_weight import Int4Weight, Int8Weight, block_size_of, product


@registry.register()
class Dense(QuantizableLayer):
    """activation(inputs @ kernel + bias), along the last axis.

    Args:
        units: The number of outputs.
        activation: A name or function; none by default.
        use_bias: Whether to add a bias.
        kernel_initializer: Where the kernel starts.
        bias_initializer: Where the bias starts.
        kernel_regularizer: A penalty on the kernel.
        bias_regularizer: A penalty on the bias.
        activity_regularizer: A penalty on the output.
        kernel_constraint: A projection of the kernel after each update.
        bias_constraint: A projection of the bias.
        lora_rank: Where given, the kernel is frozen and a change of this rank is trained: see `enable_lora`.
        lora_alpha: How much that change counts: it is multiplied by lora_alpha / lora_rank. By default lora_rank.
        quantization_config: How the kernel is rounded where `dtype` is a policy such as `"int8_from_float32"`.
        **kwargs: `name`, `trainable`, `dtype`, `input_shape`, as for every layer.

    Shapes: (batch, ..., in) -> (batch, ..., units). Weights: kernel (in, units), bias (units,).

    Raises:
        ArgumentError: `units` is not a positive whole number.
        ShapeError: An input whose last axis has another size than the kernel was built for.

    Example:
        >>> import torch
        >>> from lamella.layers import Dense
        >>> Dense(3, kernel_initializer="ones")(torch.ones(1, 2))
        tensor([[2., 2., 2.]], grad_fn=<AddmmBackward0>)
    """

    kernel = AdaptedWeight("kernel")
    _kernel = KeptWeight()
    _modes = MODES

    def __init__(
        self,
        units: int,
        activation: Any = None,
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        kernel_constraint: Any = None,
        bias_constraint: Any = None,
        lora_rank: int | None = None,
        lora_alpha: float | None = None,
        quantization_config: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(activity_regularizer=activity_regularizer, **kwargs)
        self.units = positive_int(self, "units", units)
        self.activation = activations.get(activation)
        warn_of_one_choice(self, self.units)
        self.use_bias = use_bias
        self.kernel_initializer = initializers.get(kernel_initializer)
        self.bias_initializer = initializers.get(bias_initializer)
        self.kernel_regularizer = regularizers.get(kernel_regularizer)
        self.bias_regularizer = regularizers.get(bias_regularizer)
        self.kernel_constraint = constraints.get(kernel_constraint)
        self.bias_constraint = constraints.get(bias_constraint)
        self._set_lora(lora_rank, lora_alpha)
        self._set_quantization(quantization_config)
        self.input_spec = InputSpec(min_ndim=2)
        self.supports_masking = True
        self.bias: torch.Tensor | None = None

    def build(self, input_shape: Any) -> None:
        size = input_shape[-1]
        self.add_weight(
            (size, self.units),
            self.kernel_initializer,
            regularizer=self.kernel_regularizer,
            constraint=self.kernel_constraint,
            name="kernel",  # (in, out) in memory too: its gradient is computed three times as fast as that of (out, in)
        )
        if self.use_bias:
            self.bias = self.add_weight(
                (self.units,),
                self.bias_initializer,
                regularizer=self.bias_regularizer,
                constraint=self.bias_constraint,
                name="bias",
            )
        self.input_spec = InputSpec(min_ndim=2, axes={-1: size})
        self._finish_build()

    def call(self, inputs: torch.Tensor) -> torch.Tensor:
        if self.activation is activations.relu:
            return self._shaped(self._rows(inputs).relu_(), inputs)  # nobody else has these numbers
        z = self.before_activation(inputs)
        return z if self.activation is None else self.activation(z)  # None: taken away after the layer was made

    def before_activation(self, inputs: torch.Tensor) -> torch.Tensor:
        """inputs @ kernel + bias."""
        return self._shaped(self._rows(inputs), inputs)

    def _rows(self, inputs: torch.Tensor) -> torch.Tensor:
        """All vectors of the inputs as rows, times the kernel, plus the bias: one call, which adds on its way."""
        if inputs.is_meta:  # torch would load its compiler, most of a second, for the shape of an addmm
            check_input(self, inputs)
            return torch.empty((*inputs.shape[:-1], self.units), dtype=self._float, device="meta")
        rows = self._in_floats(inputs)
        rows = rows if rows.ndim == 2 else rows.flatten(0, -2)
        if not self._is_plain:
            return self._adapted_rows(rows)
        return rows @ self.kernel if self.bias is None else torch.addmm(self.bias, rows, self.kernel)

    def _adapted_rows(self, rows: torch.Tensor) -> torch.Tensor:
        """The same with LoRA or quantized.

        LoRA goes factor by factor: so the gradient of the large kernel is never computed.
        """
        if self._quantized is not None:
            products = product(rows, partial(self._quantized.matrix, self), self._input_quantizer)
        elif self._is_quantized:
            return self._float8_rows(rows)
        else:
            products = rows @ self._kept_weight()
        if self.lora_enabled:
            a, b, scale = self._lora_factors()
            products = torch.addmm(products, rows @ a, b, alpha=scale)
        return products if self.bias is None else products + self.bias

    def _float8_rows(self, rows: torch.Tensor) -> torch.Tensor:
        kernel = rounded_inputs(self, self.kernel, "kernel")
        products = rounded_gradient(self, rounded_inputs(self, rows, "inputs") @ kernel)
        return products if self.bias is None else products + rounded_bias(self, self.bias)

    def _int8_weights(self, config: Any, policy: Any) -> list[Int8Weight]:
        return [Int8Weight("kernel", tuple(self.kernel.shape), (0,), (1,), config and config.weight_quantizer)]

    def _int4_weights(self, config: Any, policy: Any) -> list[Int4Weight]:
        rows, columns = self.kernel.shape
        block = block_size_of(config, policy)
        quantizer = config and config.weight_quantizer
        return [Int4Weight("kernel", (rows, columns), (rows, columns), block_size=block, quantizer=quantizer)]

    def _calibrated_shape(self) -> tuple[tuple[int, ...], tuple[int, int]]:
        rows, columns = self.kernel.shape
        return (rows, columns), (rows, columns)

    def _shaped(self, rows: torch.Tensor, inputs: torch.Tensor) -> torch.Tensor:
        return rows if inputs.ndim == 2 else rows.view(*inputs.shape[:-1], self.units)


def positive_int(layer: Layer, name: str, value: Any) -> int:
    """`value`, if it is a positive whole number; else an error that names the layer."""
    whole = hasattr(value, "__index__") and not isinstance(value, bool)
    if not whole or value < 1:
        raise (ArgumentError if whole else ArgumentTypeError)(
            f"{type(layer).__name__} {layer.name!r}: `{name}` must be a positive whole number; got {value!r}."
        )
    return int(value)


def warn_of_one_choice(layer: Layer, outputs: int) -> None:
    """Warns where a softmax chooses among one number, so that the layer's output is always 1."""
    if outputs == 1 and layer.activation is activations.softmax:
        warnings.warn(
            f"{type(layer).__name__} {layer.name!r}: the softmax of its one output is always 1, whatever it learns. "
            f"For two classes with one output use activation='sigmoid' and loss='binary_crossentropy'.",
            stacklevel=3,
        )

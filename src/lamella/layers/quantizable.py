"""Layers that `quantize` makes small: their large weight is kept in whole numbers of 8 bits or fewer."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, ClassVar

import numpy as np
import torch

from lamella import dtype_policies
from lamella.dtype_policies.quantized import CALIBRATED
from lamella.engine.dtypes import torch_dtype
from lamella.engine.registry import deserialize
from lamella.errors import ArgumentError, NotBuiltError, ShapeError
from lamella.layers.calibrated_weight import CalibratedWeight, Rounding
from lamella.layers.float8 import add_float8
from lamella.layers.lora import AdaptableLayer
from lamella.layers.quantized_weight import Int4Weight, Int8Weight, Parts
from lamella.quantizers import AbsMaxQuantizer, as_config


class QuantizableLayer(AdaptableLayer):
    """A layer whose large weight can be quantized.

    A subclass says how: `_int8_weights`, `_int4_weights` and, if `_modes` has those that look at data,
    `_calibrated_shape`.
    """

    quantization_config: Any
    _is_quantized = False
    _is_plain = True
    """Whether the weight is what it was built as: no LoRA, not quantized."""
    _quantized: Int8Weight | Int4Weight | CalibratedWeight | None = None
    _modes: tuple[str, ...] = ("int8", "int4", "float8")
    _default_quantizers: ClassVar[dict[str, Any]] = {"int8": AbsMaxQuantizer()}
    """How inputs are rounded where there is no config, by mode."""

    def _set_quantization(self, config: Any) -> None:
        self.quantization_config = deserialize(config) if isinstance(config, dict) else config

    @property
    def quantization_mode(self) -> str | None:
        """How the weight is kept: `"int8"`, `"int4"`, `"float8"`, `"gptq"` or `"awq"`; None where it is not."""
        return self._policy.quantization_mode

    def quantize(self, mode: str | None = None, type_check: bool = True, config: Any = None) -> None:
        """Keeps the large weight in whole numbers (or computes with floats of 8 bits), from now on.

        With `"int8"` it takes a quarter of the memory, and products are those of whole numbers, which are quicker too
        where the CPU or GPU has units for them. `"int4"` takes an eighth; the weight is made floats again for each
        product. `"float8"` keeps floats, and rounds factors of products while training.

        Args:
            mode: `"int8"`, `"int4"` or `"float8"`. (`"gptq"` and `"awq"` look at data, for which a model is needed.)
            type_check: Whether layers of a subclass are refused, which may compute in another way.
            config: How to round, such as `Int4QuantizationConfig(block_size=64)`.

        Raises:
            NotBuiltError: The layer has no weights yet.
            ArgumentError: An unknown mode, a config of another one, or the layer is quantized already.
            NotImplementedError: A mode that this kind of layer does not have.

        Example:
            >>> import torch
            >>> from lamella.layers import Dense
            >>> layer = Dense(100)
            >>> x = torch.ones(1, 200)
            >>> before = layer(x)
            >>> layer.quantize("int8")
            >>> [str(weight.dtype) for weight in layer.weights], bool((layer(x) - before).abs().max() < 0.02)
            (['torch.float32', 'torch.int8', 'torch.float32'], True)
        """
        config = as_config(mode, config)
        if config.mode in CALIBRATED:
            raise ArgumentError(
                f"{type(self).__name__} {self.name!r}: {config.mode!r} looks at what comes into a layer, for which it "
                f"needs the model around it: call quantize({config.mode!r}, config=...) of the model."
            )
        self._check_quantizable(config.mode, type_check)
        self._quantize_by(config)

    def _check_quantizable(self, mode: str, type_check: bool) -> None:
        what = f"{type(self).__name__} {self.name!r}"
        if not self.built:
            raise NotBuiltError(f"{what} has no weights yet to quantize. Call it on data, or build() it, first.")
        if self._is_quantized:
            raise ArgumentError(f"{what} is quantized already: its policy is {self._policy.name!r}.")
        if type_check and not type(self).__module__.startswith("lamella.layers."):
            raise NotImplementedError(
                f"{what} is of a class of its own, which may compute in another way, so it is not quantized. "
                f"quantize(..., type_check=False) quantizes it."
            )
        self._check_mode(mode)

    def _quantize_by(self, config: Any, rounding: Rounding | None = None) -> None:
        """Quantizes as a config says; weights are rounded by `rounding` where it has looked at data."""
        policy = dtype_policies.get(f"{_policy_mode(config)}_from_{self._policy.name}")
        self._quantize(config.mode, config, policy, rounding)
        self.quantization_config = config.without_data() if config.mode in CALIBRATED else config
        if self._policy.quantization_mode is None:
            self._use_policy(policy)
        self._settle()

    def _finish_build(self) -> None:
        """At the end of `build`: what the policy and the arguments say about the weight."""
        if self._policy.quantization_mode is not None:
            self._quantize(self._policy.quantization_mode, self.quantization_config, self._policy)
        self._begin_with_lora()

    def _policy_was_set(self) -> None:
        if self.built and not self._is_quantized and self._policy.quantization_mode is not None:
            if self._policy.quantization_mode in CALIBRATED:
                raise ArgumentError(
                    f"{type(self).__name__} {self.name!r}: a policy alone does not quantize it by "
                    f"{self._policy.quantization_mode!r}, which looks at data: call quantize(...) of the model."
                )
            self._quantize(self._policy.quantization_mode, self.quantization_config, self._policy)

    def _check_mode(self, mode: str) -> None:
        if mode not in self._modes:
            raise NotImplementedError(
                f"{type(self).__name__} {self.name!r} cannot be quantized to {mode!r}, only to {self._modes}."
            )
        if self.lora_enabled and mode not in ("int8", "int4"):
            raise ArgumentError(
                f"{type(self).__name__} {self.name!r} has LoRA, with which {mode!r} does not go. Use 'int8' or 'int4'."
            )

    def _quantize(self, mode: str, config: Any, policy: Any, rounding: Rounding | None = None) -> None:
        self._check_mode(mode)
        if mode == "float8":
            self._use_policy_of_float8(policy)
        elif mode in CALIBRATED:
            self._input_quantizer = None
            calibrated = self._calibrated_weight(mode, config, policy)
            self._keep(calibrated.name, partial(calibrated.parts, rounding=rounding))
            self._quantized = calibrated
        else:
            self._input_quantizer = (
                self._default_quantizers.get(mode) if config is None else config.activation_quantizer
            )
            weights = (self._int8_weights if mode == "int8" else self._int4_weights)(config, policy)
            for weight in weights:
                self._keep(weight.name, weight.parts)
            self._quantized = weights[0]
        self._is_quantized, self._is_plain = True, False

    def _use_policy_of_float8(self, policy: Any) -> None:
        before = self._policy
        self._policy = policy
        add_float8(self)
        self._policy = before

    def _int8_weights(self, config: Any, policy: Any) -> list[Int8Weight]:
        raise NotImplementedError

    def _int4_weights(self, config: Any, policy: Any) -> list[Int4Weight]:
        raise NotImplementedError

    def _calibrated_weight(self, mode: str, config: Any, policy: Any) -> CalibratedWeight:
        if not hasattr(policy, "weight_bits"):
            raise ArgumentError(
                f"{type(self).__name__} {self.name!r}: the policy {policy.name!r} does not say how many bits and how "
                f"large groups are: give one such as '{mode}/4/128_from_float32'."
            )
        shape, matrix_shape = self._calibrated_shape()
        symmetric = getattr(config, "symmetric", False)
        return CalibratedWeight(
            self._adapted, shape, matrix_shape, policy.weight_bits, policy.group_size, mode == "awq", symmetric
        )

    def _calibrated_shape(self) -> tuple[tuple[int, ...], tuple[int, int]]:
        """The shape of the weight, and that of the matrix (inputs, outputs) that its numbers are in their order.

        Raises:
            NotImplementedError: They are no such matrix.
        """
        raise NotImplementedError

    def _keep(self, name: str, parts: Callable[[torch.Tensor], Parts]) -> None:
        """What `parts` makes of the weight `name`, in place of its floats."""
        floats = self._parameters.pop(name)
        assert floats is not None
        for held in (self._regularizers, self._constraints):
            held.pop(name, None)
        for part, value in parts(floats.detach()).items():
            if part not in self._buffers:
                kept = self.add_weight(value.shape, "zeros", dtype=value.dtype, trainable=False, name=part)
                kept.data = value.contiguous()

    # -- what LoRA and files ask for ------------------------------------------------------------------

    def _float_weight(self, name: str) -> torch.Tensor:
        return super()._float_weight(name) if self._quantized is None else self._quantized.floats(self, self._float)

    def _shape_for_lora(self) -> tuple[int, ...]:
        return super()._shape_for_lora() if self._quantized is None else self._quantized.shape

    def _add_lora(self, *arguments: Any) -> None:
        if self._is_quantized and self._quantized is None:
            raise ArgumentError(
                f"{type(self).__name__} {self.name!r} computes with float8, with which LoRA does not go."
            )
        if isinstance(self._quantized, CalibratedWeight):
            raise ArgumentError(
                f"{type(self).__name__} {self.name!r} is quantized by {self.quantization_mode!r}, with which LoRA does "
                f"not go: files have the sum, and rounding it anew would lose what was calibrated. Use 'int4'."
            )
        super()._add_lora(*arguments)
        self._is_plain = False

    def load_own_variables(self, store: Any) -> None:
        """Takes the layer's own weights from `store`.

        Raises:
            ShapeError: Another number of weights, other shapes, or weights that are quantized where the layer is not.
        """
        if self._quantized is None and any(store[key].dtype in ("int8", "uint8") for key in list(store)[:2]):
            raise ShapeError(
                f"{type(self).__name__} {self.name!r}: the file has its weight quantized. Quantize the model as it "
                f"was, with model.quantize(...), and then load the file."
            )
        if isinstance(self._quantized, CalibratedWeight) and len(store) == len(self._own_weights()) - 1:
            store = self._with_zero_points(store)
        super().load_own_variables(store)

    def _with_zero_points(self, store: Any) -> dict[str, Any]:
        """What a file of Keras 3.15 has, which leaves zero points out: known only where ranges are symmetric."""
        weight = self._quantized
        assert isinstance(weight, CalibratedWeight)
        if not weight.symmetric:
            raise ShapeError(
                f"{type(self).__name__} {self.name!r}: the file has no zero points, which Keras 3.15 does not write "
                f"(nor can it read such files). The weights cannot be found again, unless they were quantized with "
                f"symmetric=True: quantize the model here."
            )
        names = self._names_in_files()
        place = names.index(f"{self._adapted}_zero")
        values = [store[str(i)] for i in range(len(names) - 1)]
        middle = np.full(self._own_weights()[place].shape, 2 ** (weight.bits - 1), np.uint8)
        return {str(i): value for i, value in enumerate([*values[:place], middle, *values[place:]])}

    def _merged(self) -> dict[str, torch.Tensor]:
        if self._quantized is None:
            return super()._merged()
        kind = torch_dtype(self._dtype)
        with torch.no_grad():
            return self._quantized.parts(self._sum_with_lora(self._quantized.floats(self, kind)).to(kind))

    def _names_in_files(self) -> list[str]:
        names = super()._names_in_files()
        return names if self._quantized is None else sorted(names, key=self._place_in_files)

    def _place_in_files(self, name: str) -> int:
        """Keras's files have the large weight first, then the bias, then scales; of GPTQ and AWQ the bias first."""
        if isinstance(self._quantized, CalibratedWeight):
            return {"bias": 0, self._adapted: 1}.get(name, 2)
        return {self._adapted: 0, "bias": 1}.get(name, 2)


def _policy_mode(config: Any) -> str:
    if config.mode in CALIBRATED:
        return str(config.dtype_policy_string())
    if config.mode != "int4":
        return str(config.mode)
    return f"int4/{-1 if config.block_size is None else config.block_size}"

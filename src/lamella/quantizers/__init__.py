"""Quantization: weights (and inputs) as whole numbers of 8 or 4 bits, or floats of 8, under Keras's names.

`model.quantize("int8")` does it to a model. What is here are its parts.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lamella.dtype_policies.quantized import CALIBRATED
from lamella.engine import registry as _names
from lamella.errors import ArgumentError
from lamella.quantizers.calibration_configs import AWQConfig, GPTQConfig
from lamella.quantizers.configs import (
    Float8QuantizationConfig,
    Int4QuantizationConfig,
    Int8QuantizationConfig,
    QuantizationConfig,
)
from lamella.quantizers.fake_quant import fake_quant_with_min_max_vars
from lamella.quantizers.float8 import compute_float8_amax_history, compute_float8_scale, quantize_and_dequantize
from lamella.quantizers.packing import pack_int4, unpack_int4
from lamella.quantizers.rounding import (
    AbsMaxQuantizer,
    Quantizer,
    abs_max_quantize,
    abs_max_quantize_grouped_with_zero_point,
    registry,
)


def get(identifier: Any, **kwargs: Any) -> Any:
    """The quantizer (or config of quantization) for a name, a config, a class or the object itself; None for None.

    Example:
        >>> get("abs_max_quantizer").value_range
        (-127, 127)
    """
    return registry.get(registry[identifier](**kwargs) if isinstance(identifier, str) else identifier)


def serialize(initializer: Any) -> Any:
    """The config of a quantizer, in Keras's form."""
    return _names.serialize(initializer)


def deserialize(config: Any, custom_objects: Mapping[str, Any] | None = None) -> Any:
    """The quantizer that `serialize` described."""
    return registry.get(config, custom_objects)


def as_config(mode: str | None, config: Any) -> QuantizationConfig:
    """The config of a mode; or `config`, if it is one of that mode.

    Raises:
        ArgumentError: An unknown mode, neither mode nor config, or two that contradict each other.

    Example:
        >>> as_config("int8", None).mode
        'int8'
    """
    if isinstance(config, str):
        mode, config = config, None
    if config is None:
        made = {"int8": Int8QuantizationConfig, "int4": Int4QuantizationConfig, "float8": Float8QuantizationConfig}
        if mode in CALIBRATED:
            made_as = f"{mode.upper()}Config(dataset, tokenizer)"
            raise ArgumentError(
                f"quantize({mode!r}) looks at data first: give it with quantize({mode!r}, config={made_as})."
            )
        if mode not in made:
            raise ArgumentError(
                f"quantize() takes 'int8', 'int4' or 'float8', or a `config` such as Int8QuantizationConfig(), or "
                f"GPTQConfig(...) and AWQConfig(...), which look at data; got mode={mode!r}."
            )
        return made[mode]()
    if not isinstance(config, QuantizationConfig):
        raise ArgumentError(f"quantize(): `config` must be a QuantizationConfig; got {config!r}.")
    if mode is not None and config.mode != mode:
        raise ArgumentError(f"quantize(): mode is {mode!r}, but the config is one of {config.mode!r}.")
    return config


__all__ = [
    "AWQConfig",
    "AbsMaxQuantizer",
    "Float8QuantizationConfig",
    "GPTQConfig",
    "Int4QuantizationConfig",
    "Int8QuantizationConfig",
    "QuantizationConfig",
    "Quantizer",
    "abs_max_quantize",
    "abs_max_quantize_grouped_with_zero_point",
    "compute_float8_amax_history",
    "compute_float8_scale",
    "deserialize",
    "fake_quant_with_min_max_vars",
    "get",
    "pack_int4",
    "quantize_and_dequantize",
    "serialize",
    "unpack_int4",
]

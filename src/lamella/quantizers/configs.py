"""What `quantize(config=...)` takes: how weights and inputs of layers are rounded."""

from __future__ import annotations

from typing import Any

from lamella.engine.registry import deserialize, serialize
from lamella.errors import ArgumentError
from lamella.quantizers.rounding import AbsMaxQuantizer, registry


@registry.register()
class QuantizationConfig:
    """The base of the configs of quantization.

    Args:
        weight_quantizer: How weights are rounded; None for the mode's own way.
        activation_quantizer: How inputs are rounded; None where they stay floats.
    """

    def __init__(self, weight_quantizer: Any = None, activation_quantizer: Any = None) -> None:
        self.weight_quantizer = weight_quantizer
        self.activation_quantizer = activation_quantizer

    @property
    def mode(self) -> str:
        """The name of the kind of quantization."""
        raise NotImplementedError("QuantizationConfig is a base: use Int8QuantizationConfig or another of its kind.")

    def get_config(self) -> dict[str, Any]:
        """The arguments that make this config again."""
        return {
            "weight_quantizer": serialize(self.weight_quantizer),
            "activation_quantizer": serialize(self.activation_quantizer),
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> QuantizationConfig:
        """The config that `get_config` described."""
        objects = ("weight_quantizer", "activation_quantizer")
        return cls(**{key: deserialize(value) if key in objects else value for key, value in config.items()})


@registry.register()
class Int8QuantizationConfig(QuantizationConfig):
    """Weights and inputs in int8.

    Args:
        weight_quantizer: How weights are rounded; by default with a scale for each output.
        activation_quantizer: How inputs are rounded; by default with a scale for each row. None leaves them floats.

    Raises:
        ArgumentError: A quantizer of weights that does not give int8.

    Example:
        >>> Int8QuantizationConfig().mode
        'int8'
    """

    def __init__(self, weight_quantizer: Any = None, activation_quantizer: Any = "default") -> None:
        if isinstance(activation_quantizer, str) and activation_quantizer == "default":
            activation_quantizer = AbsMaxQuantizer()
        super().__init__(weight_quantizer, activation_quantizer)
        _gives_int8(self)

    @property
    def mode(self) -> str:
        return "int8"


@registry.register()
class Int4QuantizationConfig(QuantizationConfig):
    """Weights in 4 bits, two in a byte; inputs stay floats unless it is said how they are rounded.

    Args:
        weight_quantizer: How weights are rounded, to numbers from -8 to 7.
        activation_quantizer: How inputs are rounded; by default they stay floats.
        block_size: So many weights of an output share a scale and a zero point. None or -1 for one scale for all
            weights of an output.

    Raises:
        ArgumentError: A `block_size` below 1, quantizers together with a `block_size`, or a quantizer of weights with
            another range or type.

    Example:
        >>> Int4QuantizationConfig(block_size=64).block_size
        64
    """

    def __init__(
        self, weight_quantizer: Any = None, activation_quantizer: Any = "default", block_size: int | None = 128
    ) -> None:
        if isinstance(activation_quantizer, str) and activation_quantizer == "default":
            activation_quantizer = None
        super().__init__(weight_quantizer, activation_quantizer)
        if block_size is not None and block_size != -1 and block_size < 1:
            raise ArgumentError(f"`block_size` must be None, -1 or a positive whole number; got {block_size}.")
        self.block_size = block_size
        if block_size not in (None, -1) and (weight_quantizer is not None or activation_quantizer is not None):
            raise ArgumentError(
                f"Quantizers of one's own go with block_size=None or -1 only; got block_size={block_size}."
            )
        if weight_quantizer is not None and tuple(weight_quantizer.value_range) != (-8, 7):
            raise ArgumentError(
                f"The weight_quantizer of Int4QuantizationConfig must have value_range=(-8, 7); got "
                f"{weight_quantizer.value_range}."
            )
        _gives_int8(self)

    @property
    def mode(self) -> str:
        return "int4"

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"block_size": self.block_size}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> QuantizationConfig:
        return super().from_config({"block_size": None} | config)  # older files have none, and one scale for all


@registry.register()
class Float8QuantizationConfig(QuantizationConfig):
    """Training in floats of 8 bits; there is nothing to choose.

    Example:
        >>> Float8QuantizationConfig().mode
        'float8'
    """

    def __init__(self) -> None:
        super().__init__()

    @property
    def mode(self) -> str:
        return "float8"

    def get_config(self) -> dict[str, Any]:
        return {}


def _gives_int8(config: QuantizationConfig) -> None:
    quantizer = config.weight_quantizer
    if quantizer is not None and quantizer.output_dtype != "int8":
        raise ArgumentError(
            f"The weight_quantizer of {type(config).__name__} must give int8; it gives {quantizer.output_dtype}."
        )


__all__ = ["Float8QuantizationConfig", "Int4QuantizationConfig", "Int8QuantizationConfig", "QuantizationConfig"]

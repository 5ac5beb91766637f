"""What `quantize(config=...)` takes for quantization that looks at data first."""

from __future__ import annotations

from typing import Any, ClassVar

from lamella.errors import ArgumentError
from lamella.quantizers.configs import QuantizationConfig
from lamella.quantizers.rounding import registry


class CalibratedConfig(QuantizationConfig):
    """The base of the configs of quantization that looks at data: what `GPTQConfig` and `AWQConfig` share."""

    _bits: ClassVar[tuple[int, ...]]
    _in_files: ClassVar[tuple[str, ...]]

    def __init__(
        self,
        dataset: Any,
        tokenizer: Any,
        weight_bits: int,
        num_samples: int,
        sequence_length: int,
        group_size: int,
        quantization_layer_structure: dict[str, Any] | None,
    ) -> None:
        super().__init__()
        self.dataset = dataset
        self.tokenizer = tokenizer
        self.weight_bits = weight_bits
        self.num_samples = num_samples
        self.sequence_length = sequence_length
        self.group_size = group_size
        self.quantization_layer_structure = quantization_layer_structure
        self._check()

    def _check(self) -> None:
        name = type(self).__name__
        if self.weight_bits not in self._bits:
            many = f"one of {self._bits}" if len(self._bits) > 1 else f"{self._bits[0]}"
            raise ArgumentError(f"{name}: `weight_bits` must be {many}; got {self.weight_bits!r}.")
        for argument in ("num_samples", "sequence_length"):
            if getattr(self, argument) < 1:
                raise ArgumentError(f"{name}: `{argument}` must be 1 or more; got {getattr(self, argument)}.")
        if self.group_size < -1 or self.group_size == 0:
            raise ArgumentError(
                f"{name}: `group_size` must be a positive whole number, or -1 for one scale for all weights of an "
                f"output; got {self.group_size}."
            )

    def dtype_policy_string(self) -> str:
        """The mode in the policies of layers, such as `"gptq/4/128"`."""
        return f"{self.mode}/{self.weight_bits}/{self.group_size}"

    def without_data(self) -> CalibratedConfig:
        """The same config as layers and files keep it: without what calibration alone needs."""
        return type(self)(**self.get_config())

    def get_config(self) -> dict[str, Any]:
        """The arguments that make this config again, without the data and the layers that it was found on."""
        return _WITHOUT_DATA | {name: getattr(self, name) for name in self._in_files}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> QuantizationConfig:
        return cls(**config | {"quantization_layer_structure": None})


@registry.register()
class GPTQConfig(CalibratedConfig):
    """Weights in few bits by GPTQ: those that are rounded later make up for the errors of those before.

    Args:
        dataset: What the model is shown: texts; arrays or lists of tokens, which are laid end to end and cut into
            pieces of `sequence_length`; or arrays of floats, each of them a sample as it is.
        tokenizer: What has `encode` or `tokenize`, or a function that gives the tokens of a text; None where the
            dataset has no texts.
        weight_bits: 2, 3, 4 or 8. Numbers of 4 bits lie two in a byte, others each in its own.
        num_samples: How many samples the model is shown.
        per_channel: Whether each output has a scale of its own.
        sequence_length: The tokens of a sample.
        hessian_damping: What is added to the diagonal of the Hessian, as a share of its mean.
        group_size: So many weights of an output share a scale and a zero point; -1 for all of them.
        symmetric: Whether the range reaches as far below 0 as above.
        activation_order: Whether the inputs with the largest squares are rounded first, which is better and makes the
            product slower.
        quantization_layer_structure: `{"pre_block_layers": [...], "sequential_blocks": [...]}`: what samples go through
            first, and the layers that follow each other, in which dense layers are quantized. By default what the
            model's `get_quantization_layer_structure` says.

    Raises:
        ArgumentError: A number out of its range.

    Source: Frantar et al., 2022.

    Example:
        >>> import lamella, torch
        >>> model = lamella.Sequential([lamella.Input((8,)), lamella.layers.Dense(6, "relu"), lamella.layers.Dense(2)])
        >>> layers = {"sequential_blocks": model.layers}
        >>> config = GPTQConfig(torch.randn(50, 8), None, group_size=4, quantization_layer_structure=layers)
        >>> model.quantize("gptq", config=config)
        >>> model.layers[0].dtype_policy.name
        'gptq/4/4_from_float32'
    """

    _bits = (2, 3, 4, 8)
    _in_files = (
        "weight_bits",
        "num_samples",
        "per_channel",
        "sequence_length",
        "hessian_damping",
        "group_size",
        "symmetric",
        "activation_order",
    )

    def __init__(
        self,
        dataset: Any,
        tokenizer: Any,
        *,
        weight_bits: int = 4,
        num_samples: int = 128,
        per_channel: bool = True,
        sequence_length: int = 512,
        hessian_damping: float = 0.01,
        group_size: int = 128,
        symmetric: bool = False,
        activation_order: bool = False,
        quantization_layer_structure: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(
            dataset, tokenizer, weight_bits, num_samples, sequence_length, group_size, quantization_layer_structure
        )
        self.per_channel = per_channel
        self.hessian_damping = hessian_damping
        self.symmetric = symmetric
        self.activation_order = activation_order
        if not 0 <= hessian_damping <= 1:
            raise ArgumentError(f"GPTQConfig: `hessian_damping` must lie between 0 and 1; got {hessian_damping}.")

    @property
    def mode(self) -> str:
        return "gptq"


@registry.register()
class AWQConfig(CalibratedConfig):
    """Weights in 4 bits by AWQ: those of large inputs are rounded finer.

    Args:
        dataset: What the model is shown, as in `GPTQConfig`.
        tokenizer: As in `GPTQConfig`.
        weight_bits: 4.
        num_samples: How many samples the model is shown.
        sequence_length: The tokens of a sample.
        group_size: So many weights of an output share a scale and a zero point; -1 for all of them.
        num_grid_points: How many steps the ratio is tried in, from none of the inputs' size to all of it.
        quantization_layer_structure: As in `GPTQConfig`.

    Raises:
        ArgumentError: A number out of its range.

    Source: Lin et al., 2023.

    Example:
        >>> AWQConfig(["a text", "another"], str.encode, group_size=64).dtype_policy_string()
        'awq/4/64'
    """

    _bits = (4,)
    _in_files = ("weight_bits", "num_samples", "sequence_length", "group_size", "num_grid_points")

    def __init__(
        self,
        dataset: Any,
        tokenizer: Any,
        *,
        weight_bits: int = 4,
        num_samples: int = 128,
        sequence_length: int = 512,
        group_size: int = 128,
        num_grid_points: int = 20,
        quantization_layer_structure: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(
            dataset, tokenizer, weight_bits, num_samples, sequence_length, group_size, quantization_layer_structure
        )
        self.num_grid_points = num_grid_points
        if num_grid_points < 1:
            raise ArgumentError(f"AWQConfig: `num_grid_points` must be 1 or more; got {num_grid_points}.")

    @property
    def mode(self) -> str:
        return "awq"


_WITHOUT_DATA = {"dataset": None, "tokenizer": None, "quantization_layer_structure": None}

__all__ = ["AWQConfig", "CalibratedConfig", "GPTQConfig"]

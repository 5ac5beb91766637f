"""The policies of quantized layers: how weights are kept, and the policy that the layer had before."""

from __future__ import annotations

import re
from typing import Any

from lamella.dtype_policies.policy import DTypePolicy, dtype_policy, registry
from lamella.errors import ArgumentError

CALIBRATED = ("gptq", "awq")
"""The modes that look at data first."""

MODES = ("int8", "int4", "float8", *CALIBRATED)


@registry.register()
class QuantizedDTypePolicy(DTypePolicy):
    """The policy of a layer whose weights are quantized.

    Args:
        mode: `"int8"`, `"int4"`, `"float8"`, `"gptq"` or `"awq"`.
        source_name: The policy by which all else is computed, such as `"float32"`; by default that of new layers.

    Raises:
        ArgumentError: Another mode, or int8 with float16, whose range is too small for it.

    Example:
        >>> policy = QuantizedDTypePolicy("int8", "mixed_bfloat16")
        >>> policy.name, policy.compute_dtype, policy.quantization_mode
        ('int8_from_mixed_bfloat16', 'bfloat16', 'int8')
    """

    def __init__(self, mode: str, source_name: str | None = None) -> None:
        self._source_name = dtype_policy().name if source_name is None else source_name
        super().__init__(self._source_name)
        self._name = f"{mode}_from_{self._source_name}"
        self._mode = mode
        kind = mode.partition("/")[0]
        if kind not in MODES:
            raise ArgumentError(f"There is no kind of quantization {mode!r}: give one of {', '.join(MODES)}.")
        if kind == "int8" and self._compute_dtype == "float16":
            raise ArgumentError(
                "int8 does not go with a computation in float16, whose numbers end at 65504. Use 'mixed_bfloat16' or "
                "'float32'."
            )

    @property
    def quantization_mode(self) -> str | None:
        return self._mode.partition("/")[0]

    def get_config(self) -> dict[str, Any]:
        return {"mode": self._mode, "source_name": self._source_name}

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and self.get_config() == other.get_config()  # type: ignore[attr-defined]

    def __hash__(self) -> int:
        return hash(self._name)

    def __repr__(self) -> str:
        return f'<{type(self).__name__} "{self._name}">'


@registry.register()
class QuantizedFloat8DTypePolicy(QuantizedDTypePolicy):
    """The policy of a layer that computes with floats of 8 bits.

    Args:
        mode: `"float8"`.
        source_name: The policy by which all else is computed.
        amax_history_length: Over how many steps the largest numbers are remembered.

    Raises:
        TypeError: An `amax_history_length` that is no whole number.

    Example:
        >>> QuantizedFloat8DTypePolicy("float8", "float32", amax_history_length=16).amax_history_length
        16
    """

    default_amax_history_length = 1024

    def __init__(self, mode: str, source_name: str | None = None, amax_history_length: int = 1024) -> None:
        super().__init__(mode, source_name)
        if not isinstance(amax_history_length, int):
            raise TypeError(f"`amax_history_length` must be a whole number; got {amax_history_length!r}.")
        self.amax_history_length = amax_history_length

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"amax_history_length": self.amax_history_length}


@registry.register()
class Int4DTypePolicy(QuantizedDTypePolicy):
    """The policy of a layer whose weights are numbers of 4 bits.

    Args:
        mode: `"int4/<block_size>"`: so many weights of an output share a scale and a zero point; -1 for one scale for
            all of them.
        source_name: The policy by which all else is computed.

    Raises:
        ArgumentError: A mode of another form.

    Example:
        >>> Int4DTypePolicy("int4/128", "float32").block_size
        128
    """

    def __init__(self, mode: str, source_name: str | None = None) -> None:
        kind, _, size = mode.partition("/")
        number = int(size) if size.removeprefix("-").isdecimal() else 0
        if kind != "int4" or number < -1 or number == 0:
            raise ArgumentError(
                f"The mode of an Int4DTypePolicy looks like 'int4/128', or 'int4/-1' for no blocks; got {mode!r}."
            )
        super().__init__(mode, source_name)
        self.block_size = number


@registry.register()
class GPTQDTypePolicy(QuantizedDTypePolicy):
    """The policy of a layer whose weights were rounded by GPTQ.

    Args:
        mode: `"gptq/<bits>/<group size>"`: 2, 3, 4 or 8 bits; so many weights of an output share a scale and a zero
            point, or with -1 all of them.
        source_name: The policy by which all else is computed.

    Raises:
        ArgumentError: A mode of another form.

    Example:
        >>> policy = GPTQDTypePolicy("gptq/4/128", "float32")
        >>> policy.name, policy.weight_bits, policy.group_size
        ('gptq/4/128_from_float32', 4, 128)
    """

    def __init__(self, mode: str, source_name: str | None = None) -> None:
        self.weight_bits, self.group_size = _bits_and_group_size(mode, "gptq", (2, 3, 4, 8))
        super().__init__(mode, source_name)


@registry.register()
class AWQDTypePolicy(QuantizedDTypePolicy):
    """The policy of a layer whose weights were rounded by AWQ.

    Args:
        mode: `"awq/4/<group size>"`: so many weights of an output share a scale and a zero point, or with -1 all.
        source_name: The policy by which all else is computed.

    Raises:
        ArgumentError: A mode of another form.

    Example:
        >>> AWQDTypePolicy("awq/4/64", "float32").group_size
        64
    """

    def __init__(self, mode: str, source_name: str | None = None) -> None:
        self.weight_bits, self.group_size = _bits_and_group_size(mode, "awq", (4,))
        super().__init__(mode, source_name)


def _bits_and_group_size(mode: str, kind: str, bits: tuple[int, ...]) -> tuple[int, int]:
    """The two numbers of a mode such as `"gptq/4/128"`."""
    parts = re.fullmatch(rf"{kind}/(\d+)/(-1|\d+)", mode)
    found = tuple(int(part) for part in parts.groups()) if parts else (0, 0)
    if found[0] not in bits or found[1] == 0:
        raise ArgumentError(
            f"The mode of a quantization by {kind.upper()} looks like '{kind}/4/128', with bits of {bits} and a group "
            f"size above 0, or -1 for no groups; got {mode!r}."
        )
    return found[0], found[1]


def quantized_policy(name: str) -> QuantizedDTypePolicy:
    """The policy for a name such as `"int8_from_float32"`.

    Raises:
        ArgumentError: A name of another form.
    """
    mode, _, source = name.partition("_from_")
    if mode == "float8":
        return QuantizedFloat8DTypePolicy(mode, source)
    if mode.startswith(("gptq", "awq")):
        return (GPTQDTypePolicy if mode.startswith("gptq") else AWQDTypePolicy)(mode, source)
    return Int4DTypePolicy(mode, source) if "/" in mode else QuantizedDTypePolicy(mode, source)


__all__ = [
    "AWQDTypePolicy",
    "GPTQDTypePolicy",
    "Int4DTypePolicy",
    "QuantizedDTypePolicy",
    "QuantizedFloat8DTypePolicy",
    "quantized_policy",
]

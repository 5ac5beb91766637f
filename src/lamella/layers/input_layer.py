"""`Input`: where a functional model begins."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lamella.engine.dtypes import STRING, dtype_name
from lamella.engine.symbolic import Node, SymbolicTensor, symbolic_input
from lamella.errors import ArgumentError
from lamella.layers.base import Layer, registry


@registry.register()
class InputLayer(Layer):
    """The layer that an `Input` comes out of; it hands its input on.

    Args:
        shape: The shape of one sample; None for an unknown dimension.
        batch_size: The number of samples, if fixed.
        dtype: The data type; `floatx()` by default, `"string"` for the layers that take strings.
        sparse: Must be False or None: the engine computes on dense tensors.
        batch_shape: The whole shape, batch first, in place of `shape`.
        input_tensor: A symbolic tensor to use in place of a new one.
        optional: Whether None may be passed for it.
        name: A unique name.
        **kwargs: `input_shape` or `batch_input_shape`, the earlier names of `shape` and `batch_shape`.

    Example:
        >>> InputLayer(shape=(3,)).batch_shape
        (None, 3)
    """

    def __init__(
        self,
        shape: Sequence[int | None] | None = None,
        batch_size: int | None = None,
        dtype: Any = None,
        sparse: bool | None = None,
        ragged: bool | None = None,
        batch_shape: Sequence[int | None] | None = None,
        input_tensor: SymbolicTensor | None = None,
        optional: bool = False,
        name: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(name=name)
        shape = kwargs.pop("input_shape", shape)  # the earlier names
        batch_shape = kwargs.pop("batch_input_shape", batch_shape)
        if kwargs:
            raise ArgumentError(f"InputLayer has no argument {', '.join(map(repr, kwargs))}.")
        if sparse or ragged:
            raise ArgumentError(f"Input {self.name!r}: sparse and ragged tensors are not supported; give dense ones.")
        if input_tensor is not None:
            batch_shape = _shape_of(input_tensor, self.name, shape, batch_shape)
        if shape is not None and batch_shape is not None and input_tensor is None:
            raise ArgumentError("Give either `shape` or `batch_shape` to Input, not both.")
        if batch_size is not None and batch_shape is not None and input_tensor is None:
            raise ArgumentError("Give either `batch_size` or `batch_shape` to Input, not both.")
        if batch_shape is None and shape is None:
            raise ArgumentError("Input needs the `shape` of one sample, such as shape=(784,).")
        if batch_shape is None:
            batch_shape = (batch_size, *_as_shape(shape))
        self.batch_shape = _as_shape(batch_shape)
        self.sparse = False
        self.ragged = False
        self.optional = optional
        self._dtype = "string" if _means_strings(dtype) else dtype_name(dtype)
        self.autocast = False
        self.built = True
        node = Node(self, (), {})
        kind = STRING if self._dtype == "string" else self._dtype
        node.outputs = (
            input_tensor if input_tensor is not None else symbolic_input(self.batch_shape, kind, self.name, node)
        )
        self._nodes.append(node)

    def call(self, inputs: Any) -> Any:
        return inputs

    @property
    def input(self) -> SymbolicTensor:
        """The symbolic tensor."""
        return self._nodes[0].outputs

    def get_config(self) -> dict[str, Any]:
        return {
            "batch_shape": self.batch_shape,
            "dtype": self._dtype,
            "sparse": self.sparse,
            "ragged": self.ragged,
            "name": self.name,
            "optional": self.optional,
        }


def Input(
    shape: Sequence[int | None] | None = None,
    batch_size: int | None = None,
    dtype: Any = None,
    sparse: bool | None = None,
    ragged: bool | None = None,
    batch_shape: Sequence[int | None] | None = None,
    name: str | None = None,
    tensor: SymbolicTensor | None = None,
    optional: bool = False,
) -> SymbolicTensor:
    """A symbolic tensor that a functional model begins with.

    Args:
        shape: The shape of one sample, such as `(28, 28, 1)`; None for an unknown dimension.
        batch_size: The number of samples, if fixed.
        dtype: The data type; `floatx()` by default. `"string"` where the model begins with a layer that takes strings
            (`TextVectorization`, `StringLookup`, `Hashing`): it is then called and trained on arrays or lists of them.
        sparse: Must be False or None.
        ragged: Must be False or None.
        batch_shape: The whole shape, batch first, in place of `shape`.
        name: A unique name.
        tensor: A symbolic tensor to use in place of a new one.
        optional: Whether None may be passed for it.

    Raises:
        ArgumentError: Neither or both of `shape` and `batch_shape`, or a size that is not a whole number.

    Example:
        >>> Input(shape=(784,), name="pixels")
        <SymbolicTensor 'pixels' shape=(None, 784) dtype=float32>
    """
    if shape is None and batch_shape is None and tensor is None:
        raise ArgumentError("Input needs the `shape` of one sample, such as shape=(784,).")
    return InputLayer(shape, batch_size, dtype, sparse, ragged, batch_shape, tensor, optional, name).output


def _shape_of(tensor: Any, name: str, shape: Any, batch_shape: Any) -> tuple[int | None, ...]:
    """The shape of the `input_tensor` of an InputLayer, which the other arguments must not gainsay."""
    if not isinstance(tensor, SymbolicTensor):
        raise ArgumentError(
            f"InputLayer {name!r}: `input_tensor` must be a symbolic tensor, such as Input(shape=...) gives; got "
            f"{type(tensor).__name__}."
        )
    for argument, given, own in (("shape", shape, tensor.shape[1:]), ("batch_shape", batch_shape, tensor.shape)):
        if given is not None and tuple(given) != tuple(own):
            raise ArgumentError(
                f"InputLayer {name!r}: `{argument}` is {tuple(given)}, but that of its `input_tensor` is {tuple(own)}."
            )
    return tensor.shape


def _means_strings(dtype: Any) -> bool:
    return dtype in ("string", "str", str, STRING) or getattr(dtype, "kind", None) in ("U", "S", "T")


def _as_shape(shape: Any) -> tuple[int | None, ...]:
    if isinstance(shape, int):
        raise ArgumentError(f"`shape` must be a tuple, such as ({shape},); got the number {shape}.")
    shape = tuple(shape)
    for size in shape:
        if size is not None and (isinstance(size, bool) or int(size) != size or size < 0):
            raise ArgumentError(f"A shape has whole numbers, 0 or more, and None for unknown; got {shape}.")
    return tuple(None if size is None else int(size) for size in shape)

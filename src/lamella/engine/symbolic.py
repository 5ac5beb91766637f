"""The functional graph: symbolic tensors that record what is done to them.

`Input(shape=(784,))` gives a symbolic tensor. A layer called on one, or any torch function, operator,
method or index applied to one, adds a `Node` to the graph and gives symbolic outputs. A `Graph` (in
`graph.py`) from some inputs to some outputs then computes on real tensors.

Output shapes are found by running each node twice on meta tensors (which have shapes but no data). The two
runs use different sizes in place of the unknown dimensions: an output dimension that differs between the
runs is unknown too.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch.utils import _pytree as pytree

from lamella.engine import masking
from lamella.engine.device import brought_to, default_device
from lamella.engine.dtypes import dtype_name, torch_dtype
from lamella.engine.naming import auto_name
from lamella.engine.on_meta import OnMeta, off_meta, to_meta
from lamella.engine.own_sizes import SIZED, with_sizes_known
from lamella.engine.unknown_sizes import proposals
from lamella.errors import ArgumentError, ShapeError

Shape = tuple[int | None, ...]

# What stands in for an unknown dimension in each of the two runs: for the batch, and for any other axis.
# Multiples of 64 and of 12, so that strides, poolings and reshapes divide them without a remainder.
_BATCH = (12, 24)
_OTHER = (192, 384)
_ROOM = 64
"""How many times those sizes are tried where the call fails with them: for windows that are longer, as of sound."""


class Node:
    """One recorded call: `function(*args, **kwargs)`, where some arguments are symbolic tensors."""

    def __init__(self, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self.function = function
        self.args = args
        self.kwargs = kwargs
        self.inputs = symbolic_leaves((args, kwargs))
        self.outputs: Any = None
        self.name = getattr(function, "name", None) or auto_name(_function_name(function))

    @property
    def operation(self) -> int:
        """What is called, as one number: a layer's own, however often it is called, else that of this call."""
        return id(self.function) if self.is_layer else id(self)

    @property
    def is_layer(self) -> bool:
        """Whether the call is of a module rather than of a function."""
        return isinstance(self.function, torch.nn.Module)


class SymbolicTensor:
    """A tensor of a functional model: a shape and a data type, no values.

    Any torch function, tensor method, operator or index works on it and is recorded.

    Attributes:
        shape: A tuple; None stands for a dimension that is known only when the model runs.
        dtype: The `torch.dtype`; `lamella.engine.dtypes.STRING` for strings.
        name: A name for messages and `summary()`.
    """

    shape_kind: type[tuple[Any, ...]] = tuple
    """What shapes are; scripts written for TensorFlow get a tuple with its methods."""

    def __init__(
        self, probes: tuple[torch.Tensor, torch.Tensor], node: Node | None = None, name: str | None = None
    ) -> None:
        self.probes = probes
        self.node = node
        self.name = name or auto_name("symbolic_tensor")
        first, second = probes
        sizes = (a if a == b else None for a, b in zip(first.shape, second.shape, strict=True))
        self.shape: Shape = self.shape_kind(sizes)
        self.dtype = first.dtype

    @property
    def ndim(self) -> int:
        """The number of dimensions."""
        return len(self.shape)

    def dim(self) -> int:
        """The number of dimensions."""
        return len(self.shape)

    def size(self, dim: int | None = None) -> Any:
        """The shape, or one dimension of it (None where unknown)."""
        return self.shape if dim is None else self.shape[dim]

    def __repr__(self) -> str:
        return f"<SymbolicTensor {self.name!r} shape={self.shape} dtype={dtype_name(self.dtype)}>"

    @classmethod
    def __torch_function__(
        cls, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        return record(func, args, kwargs or {})

    @property
    def _keras_mask(self) -> Any:
        """The mask that the tensor will carry, under the name that Keras's guides look it up by; None without one."""
        carried = all(masking.get_mask(probe) is not None for probe in self.probes)
        return record(masking.get_mask, (self,), {}) if carried else None

    def __getattr__(self, name: str) -> Any:
        method = getattr(torch.Tensor, name, None) if not name.startswith("_") else None
        if method is None:
            raise AttributeError(f"A symbolic tensor has no attribute {name!r}.")
        if not callable(method):  # a property such as x.T
            return record(getattr, (self, name), {})
        return lambda *args, **kwargs: record(method, (self, *args), kwargs)

    def __bool__(self) -> bool:
        raise TypeError(_no_value(self, "its truth"))

    def __float__(self) -> float:
        raise TypeError(_no_value(self, "a number"))

    def __array__(self, *args: Any, **kwargs: Any) -> Any:
        raise TypeError(_no_value(self, "a NumPy array"))

    def __array_function__(self, func: Any, types: Any, args: Any, kwargs: Any) -> Any:
        if func in (np.shape, np.ndim):
            return self.shape if func is np.shape else len(self.shape)
        raise self._not_numpy(func)

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **kwargs: Any) -> Any:
        if ufunc in _OF_NUMPY and method == "__call__" and not kwargs and len(inputs) == 2:  # array + tensor
            return record(_OF_NUMPY[ufunc], tuple(_beside(self, each) for each in inputs), {})
        raise self._not_numpy(ufunc)

    def _not_numpy(self, function: Any) -> TypeError:
        wanted = f"a result of numpy.{function.__name__}"
        return TypeError(f"{_no_value(self, wanted)} Or compute with lamella.ops.")

    def __len__(self) -> int:
        if not self.shape or self.shape[0] is None:
            raise TypeError(_no_value(self, "its length"))
        return self.shape[0]

    def __iter__(self) -> Iterator[SymbolicTensor]:
        return (record(operator.getitem, (self, i), {}) for i in range(len(self)))

    # == stays Python's, as in Keras: symbolic tensors are compared by identity and used as dictionary keys.


def _beside(tensor: SymbolicTensor, x: Any) -> Any:
    """What stands beside a tensor in an operator: an array is a tensor, of its type if both are of floats or whole."""
    if isinstance(x, np.generic):
        return x.item()
    if isinstance(x, torch.Tensor):
        return brought_to(default_device(), x)
    if not isinstance(x, np.ndarray):
        return x
    found = torch.tensor(x, device=default_device())
    alike = found.is_floating_point() == tensor.dtype.is_floating_point
    return found.to(tensor.dtype) if alike and torch.bool not in (found.dtype, tensor.dtype) else found


def _operator(function: Callable[..., Any]) -> Callable[..., Any]:
    return lambda self, *args: record(function, (self, *args), {})


def _of_two(function: Callable[..., Any]) -> Callable[..., Any]:
    return lambda self, other: record(function, (self, _beside(self, other)), {})


def _reflected(function: Callable[..., Any]) -> Callable[..., Any]:
    return lambda self, other: record(function, (_beside(self, other), self), {})


for _name in ("add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "matmul", "and_", "or_", "xor"):
    _dunder = _name.rstrip("_")
    setattr(SymbolicTensor, f"__{_dunder}__", _of_two(getattr(operator, _name)))
    setattr(SymbolicTensor, f"__r{_dunder}__", _reflected(getattr(operator, _name)))
for _name in ("ne", "lt", "le", "gt", "ge"):
    setattr(SymbolicTensor, f"__{_name}__", _of_two(getattr(operator, _name)))
for _name in ("neg", "abs", "invert", "getitem"):
    setattr(SymbolicTensor, f"__{_name}__", _operator(getattr(operator, _name)))

_OF_NUMPY: dict[Any, Callable[..., Any]] = {
    np.add: operator.add,
    np.subtract: operator.sub,
    np.multiply: operator.mul,
    np.true_divide: operator.truediv,
    np.floor_divide: operator.floordiv,
    np.remainder: operator.mod,
    np.power: operator.pow,
    np.matmul: operator.matmul,
    np.bitwise_and: operator.and_,
    np.bitwise_or: operator.or_,
    np.bitwise_xor: operator.xor,
    np.not_equal: operator.ne,
    np.less: operator.lt,
    np.less_equal: operator.le,
    np.greater: operator.gt,
    np.greater_equal: operator.ge,
}
"""What NumPy calls where one of its arrays stands on the left of an operator."""


def _no_value(tensor: SymbolicTensor, wanted: str) -> str:
    return (
        f"Symbolic tensor {tensor.name!r} of shape {tensor.shape} has no values yet, so {wanted} cannot be read "
        f"from it. Put code that depends on values into the call() of a Layer, or into a Lambda layer."
    )


def _function_name(function: Callable[..., Any]) -> str:
    return getattr(function, "__name__", type(function).__name__).strip("_")


def is_symbolic(x: Any) -> bool:
    """Whether `x` is a symbolic tensor."""
    return isinstance(x, SymbolicTensor)


def symbolic_leaves(structure: Any) -> list[SymbolicTensor]:
    """The symbolic tensors in nested tuples, lists and dicts, in order."""
    return [leaf for leaf in pytree.tree_leaves(structure) if isinstance(leaf, SymbolicTensor)]


def symbolic_input(
    shape: Sequence[int | None], dtype: Any = None, name: str | None = None, node: Node | None = None
) -> SymbolicTensor:
    """A symbolic tensor that starts a graph.

    Args:
        shape: The whole shape with the batch dimension first; None for an unknown dimension.
        dtype: The data type; `floatx()` by default.
        name: Its name.
        node: The node that it comes out of (that of an `InputLayer`).
    """
    probes = tuple(_empty(_probe_shape(shape, run), torch_dtype(dtype)) for run in (0, 1))
    return SymbolicTensor(probes, node, name)  # type: ignore[arg-type]


def _probe_shape(shape: Sequence[int | None], run: int) -> list[int]:
    return [(_OTHER[run] if axis else _BATCH[run]) if size is None else int(size) for axis, size in enumerate(shape)]


def record(
    function: Callable[..., Any],
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    name: str | None = None,
    declared: Callable[..., Any] | None = None,
) -> Any:
    """Adds the call to the graph (as `name`) and returns its symbolic outputs, in the structure the call returns.

    Where the call fails on meta tensors, the outputs are what `declared(args, kwargs)` gives, unless that is None.
    """
    node = Node(function, with_sizes_known(args) if function in SIZED else args, kwargs)
    node.name = name or node.name
    try:
        runs = [_run_on_probes(node, run, lambda tensor, run=run: tensor.probes[run]) for run in (0, 1)]  # type: ignore[misc]
    except Exception as error:
        runs = [] if declared is None else [_believed(declared, args, kwargs, run) for run in (0, 1)]
        if not runs or any(each is None for each in runs):
            runs = _with_room(node)
        if any(each is None for each in runs):
            runs = _with_sizes_that_meet(node)
        if any(each is None for each in runs):
            clear = _in_words(error, node)
            if clear is error:
                raise
            raise clear from error
    first, spec = pytree.tree_flatten(runs[0])
    second = pytree.tree_leaves(runs[1])
    if len(first) != len(second):
        raise ArgumentError(f"{node.name!r} returns another number of tensors for another batch size.")
    outputs: list[Any] = []
    for index, (a, b) in enumerate(zip(first, second, strict=True)):
        if isinstance(a, torch.Tensor):
            if a.ndim != b.ndim:
                raise ShapeError(f"{node.name!r} returns another rank for another batch size.")
            name = node.name if len(first) == 1 else f"{node.name}_{index}"
            outputs.append(SymbolicTensor((_bare(a), _bare(b)), node, name))
        else:
            outputs.append(a if a == b else None)
    node.outputs = pytree.tree_unflatten(outputs, spec)
    return node.outputs


def _in_words(error: Exception, node: Node) -> Exception:
    """The error of a call; what torch says of shapes and axes, as a `ShapeError` with the name and the shapes."""
    made_by = getattr(type(node.function) if node.is_layer else node.function, "__module__", None) or "torch"
    of_users = str(made_by).partition(".")[0] not in ("lamella", "torch", "_operator")
    if of_users or type(error) not in (RuntimeError, IndexError):
        return error
    shapes = [tuple(tensor.shape) for tensor in node.inputs]
    unknown = any(None in shape for shape in shapes)
    stand_ins = f" (Here {_BATCH[0]} and {_OTHER[0]} stand for unknown sizes.)" if unknown else ""
    told = ", ".join(map(str, shapes))
    clear = ShapeError(f"{node.name!r} cannot be computed of inputs of shape {told}: {error}{stand_ins}")
    for note in getattr(error, "__notes__", ()):
        clear.add_note(note)
    return clear


def _bare(tensor: torch.Tensor) -> torch.Tensor:
    """The meta tensor without gradient history (a mask that it carries stays with it)."""
    bare = to_meta(tensor).detach()
    if hasattr(tensor, "_keras_mask"):
        bare._keras_mask = tensor._keras_mask  # type: ignore[attr-defined]
    return bare


def _believed(declared: Callable[..., Any], args: Any, kwargs: Any, run: int) -> Any:
    """What is declared for inputs of the sizes of one run: a length that was halved before must stay so."""
    args, kwargs = pytree.tree_map_only(
        SymbolicTensor, lambda tensor: symbolic_input(tensor.probes[run].shape, tensor.dtype), (args, kwargs)
    )
    return pytree.tree_map_only(SymbolicTensor, lambda tensor: tensor.probes[run], declared(args, kwargs))


def _run_on_probes(node: Node, run: int, probe: Callable[[SymbolicTensor], torch.Tensor]) -> Any:
    args, kwargs = pytree.tree_map_only(SymbolicTensor, probe, (node.args, node.kwargs))
    with torch.no_grad(), OnMeta(_OTHER[run]):
        return node.function(*args, **kwargs)


def _with_room(node: Node) -> list[Any]:
    """The two runs where unknown sizes are many times what stands in for them: a window may be larger than that."""
    tensors = symbolic_leaves((node.args, node.kwargs))
    if not any(None in tensor.shape[1:] for tensor in tensors):
        return [None, None]
    try:
        return [_run_on_probes(node, run, lambda tensor, run=run: _longer(tensor, run)) for run in (0, 1)]  # type: ignore[misc]
    except Exception:  # the first error is told
        return [None, None]


def _longer(tensor: SymbolicTensor, run: int) -> torch.Tensor:
    probe = tensor.probes[run]
    shape = [size * _ROOM if axis and tensor.shape[axis] is None else size for axis, size in enumerate(probe.shape)]
    return _empty(shape, tensor.dtype)


def _with_sizes_that_meet(node: Node) -> list[Any]:
    """The two runs where some unknown sizes are what the others of the call ask for: `(None, 3) + (2, None)`."""
    tensors = list({id(tensor): tensor for tensor in node.inputs}.values())
    for proposed in proposals(tensors, _known_sizes(node)):
        shapes: list[dict[int, torch.Tensor]] = [{}, {}]
        for run in (0, 1):
            for place, tensor in enumerate(tensors):
                own = enumerate(tensor.probes[run].shape)
                sizes = [proposed[place, axis][run] if (place, axis) in proposed else size for axis, size in own]
                shapes[run][id(tensor)] = _empty(sizes, tensor.dtype)
        try:
            return [
                _run_on_probes(node, run, lambda tensor, found=found: found[id(tensor)])  # type: ignore[misc]
                for run, found in enumerate(shapes)
            ]
        except Exception:  # the first error is told
            continue
    return [None, None]


def _known_sizes(node: Node) -> Iterator[int]:
    """The sizes of the arrays among the arguments of a call, and its whole numbers."""
    for leaf in pytree.tree_leaves((node.args, node.kwargs)):
        if type(leaf) is int and leaf > 0:
            yield leaf
        elif not isinstance(leaf, SymbolicTensor):
            yield from getattr(leaf, "shape", ())


def _empty(shape: Sequence[int], dtype: torch.dtype) -> torch.Tensor:
    with off_meta():
        return torch.empty(shape, dtype=dtype, device="meta")

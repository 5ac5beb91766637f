"""The functional graph: symbolic tensors that record what is done to them.

`Input(shape=(784,))` gives a symbolic tensor. A layer called on one, or any torch function, operator,
method or index applied to one, adds a `Node` to the graph and gives symbolic outputs. A `Graph` from some
inputs to some outputs then computes on real tensors.

Output shapes are found by running each node twice on meta tensors (which have shapes but no data). The two
runs use different sizes in place of the unknown dimensions: an output dimension that differs between the
runs is unknown too.
"""

from __future__ import annotations

import operator
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch.nn.modules.module import _has_any_global_hook
from torch.utils import _pytree as pytree

from lamella.engine import masking
from lamella.engine.dtypes import dtype_name, torch_dtype
from lamella.engine.naming import auto_name
from lamella.engine.on_meta import OnMeta, off_meta, to_meta
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
        name = func.__name__
        raise TypeError(f"{_no_value(self, f'a result of numpy.{name}')} Or compute with lamella.ops.")

    def __len__(self) -> int:
        if not self.shape or self.shape[0] is None:
            raise TypeError(_no_value(self, "its length"))
        return self.shape[0]

    def __iter__(self) -> Iterator[SymbolicTensor]:
        return (record(operator.getitem, (self, i), {}) for i in range(len(self)))

    # == stays Python's, as in Keras: symbolic tensors are compared by identity and used as dictionary keys.


def _operator(function: Callable[..., Any]) -> Callable[..., Any]:
    return lambda self, *args: record(function, (self, *args), {})


def _reflected(function: Callable[..., Any]) -> Callable[..., Any]:
    return lambda self, other: record(function, (other, self), {})


for _name in ("add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "matmul", "and_", "or_", "xor"):
    _dunder = _name.rstrip("_")
    setattr(SymbolicTensor, f"__{_dunder}__", _operator(getattr(operator, _name)))
    setattr(SymbolicTensor, f"__r{_dunder}__", _reflected(getattr(operator, _name)))
for _name in ("neg", "abs", "invert", "ne", "lt", "le", "gt", "ge", "getitem"):
    setattr(SymbolicTensor, f"__{_name}__", _operator(getattr(operator, _name)))


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


def _by_key(structure: Any) -> list[SymbolicTensor]:
    """`symbolic_leaves`, those of a dict in the order of its sorted keys, as Keras's trees have them."""
    if isinstance(structure, dict):
        keys = sorted(structure) if all(isinstance(key, str) for key in structure) else list(structure)
        return [leaf for key in keys for leaf in _by_key(structure[key])]
    if type(structure) in (list, tuple):
        return [leaf for item in structure for leaf in _by_key(item)]
    return symbolic_leaves(structure)


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
    node = Node(function, args, kwargs)
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


def _replaced(structure: Any, found: dict[int, Any]) -> Any:
    return pytree.tree_map_only(SymbolicTensor, lambda tensor: found[id(tensor)], structure)


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


class Graph:
    """The nodes between some symbolic inputs and outputs, in an order in which they can be computed.

    Args:
        inputs: Symbolic tensors in any nesting of lists, tuples and dicts.
        outputs: Symbolic tensors in any nesting.
        fuse: Given two functions of which the second alone uses the first's result (and, where the second takes a
            list, the place of that result in it), one that computes both quicker, or None.
        hide: Given a function whose result is no output, and those that take it, the function that is called for it.

    Raises:
        ArgumentError: An output that cannot be computed from the inputs; the message names what is missing.
    """

    def __init__(
        self,
        inputs: Any,
        outputs: Any,
        fuse: Callable[..., Any] | None = None,
        hide: Callable[..., Any] | None = None,
    ) -> None:
        self.inputs = inputs
        self.outputs = outputs
        self.input_list = _all_symbolic(inputs, "inputs")
        self.output_list = _all_symbolic(outputs, "outputs")
        self.nodes = self._sorted_nodes()
        self._compile(fuse, hide)

    def _sorted_nodes(self) -> list[Node]:
        given = {id(tensor) for tensor in self.input_list}
        done: dict[int, Node] = {}
        stack: list[tuple[SymbolicTensor, bool]] = [(tensor, False) for tensor in reversed(self.output_list)]
        while stack:  # depth first without recursion: a deep network would pass Python's limit
            tensor, ready = stack.pop()
            node = tensor.node
            if id(tensor) in given or (node is not None and id(node) in done):
                continue
            if node is None or not node.inputs:
                raise ArgumentError(
                    f"Graph disconnected: {tensor.name!r} of shape {tensor.shape} is needed for the outputs but is "
                    f"not among the inputs {[t.name for t in self.input_list]}. Add it to `inputs`."
                )
            if ready:
                done[id(node)] = node
                continue
            stack.append((tensor, True))
            stack.extend((source, False) for source in reversed(node.inputs))
        return list(done.values())

    def nodes_by_depth(self) -> list[Node]:
        """All nodes, those of the inputs too, in Keras's order: the farthest from the outputs first.

        Among equals, in the order in which a walk from the outputs back meets them.
        """
        inputs = [tensor.node for tensor in self.input_list if tensor.node is not None]
        met, finished = self._walk_back()
        depth: dict[int, int] = {}
        of_operations: dict[int, int] = {}
        for node in reversed(finished):  # a layer that is called twice is as deep as its deeper call
            own = max(depth.get(id(node), 0), of_operations.get(node.operation, 0))
            depth[id(node)] = of_operations[node.operation] = own
            for tensor in node.inputs:
                if tensor.node is not None:
                    depth[id(tensor.node)] = max(depth.get(id(tensor.node), 0), own + 1)
        every = {id(node): node for node in (*inputs, *finished)}
        return sorted(every.values(), key=lambda node: (-depth.get(id(node), 0), met.get(node.operation, len(met))))

    def _walk_back(self) -> tuple[dict[int, int], list[Node]]:
        """The operations by when a walk from the outputs back meets them, and the nodes by when it leaves them."""
        given = {id(tensor) for tensor in self.input_list}
        met: dict[int, int] = {}
        left: dict[int, Node] = {}
        stack: list[tuple[SymbolicTensor, bool]] = [(tensor, False) for tensor in reversed(_by_key(self.outputs))]
        while stack:
            tensor, leaving = stack.pop()
            node = tensor.node
            if node is None or id(node) in left:
                continue
            if leaving or id(tensor) in given:
                met.setdefault(node.operation, len(met))
                left[id(node)] = node
                continue
            met.setdefault(node.operation, len(met))
            stack.append((tensor, True))
            stack.extend((source, False) for source in reversed(_by_key((node.args, node.kwargs))))
        return met, list(left.values())

    def _compile(self, fuse: Callable[..., Any] | None, hide: Callable[..., Any] | None) -> None:
        """Gives each symbolic tensor a slot in a list, and each node the plan of its call."""
        slots = {id(tensor): slot for slot, tensor in enumerate(self.input_list)}
        steps: dict[int, Step] = {}
        for node in self.nodes:
            out_slots = [slots.setdefault(id(leaf), len(slots)) for leaf in pytree.tree_leaves(node.outputs)]
            steps[id(node)] = Step(node, slots, out_slots)
        if fuse is not None:
            self._fuse(steps, fuse)
        self.steps = list(steps.values())
        self.size = len(slots)
        self.output_slots = _with_slots(alone(self.outputs), slots)
        if hide is not None:
            self._hide({slots[id(tensor)] for tensor in self.output_list}, hide)
        for step in self.steps:
            step.direct = getattr(step.function, "direct", step.function) if step.alone else step.function

    def _fuse(self, steps: dict[int, Step], fuse: Callable[..., Any]) -> None:
        uses = Counter(id(tensor) for node in self.nodes for tensor in node.inputs)
        uses.update(id(tensor) for tensor in self.output_list)
        for node in self.nodes:
            step = steps[id(node)]
            for place, tensor in enumerate(node.inputs if step.listed or step.source >= 0 else ()):
                first = steps.get(id(tensor.node))
                if first is None or uses[id(tensor)] != 1 or not (first.alone and first.single):
                    continue
                if step.listed and first.source < 0:
                    continue
                together = fuse(first.function, step.function, *([place] if step.listed else []))
                if together is not None:
                    step.take_over(first, together, place)
                    del steps[id(tensor.node)]
                    break

    def _hide(self, seen: set[int], hide: Callable[..., Any]) -> None:
        takers: dict[int, list[Any]] = {}
        for step in self.steps:
            for slot in step.reads:
                takers.setdefault(slot, []).append(step.function)
        for step in self.steps:
            if step.single and step.out not in seen:
                step.function = hide(step.function, takers.get(step.out, ()))

    def again(self, input_list: Sequence[SymbolicTensor]) -> Any:
        """The outputs for other symbolic inputs, as symbolic tensors; the nodes of the layers stay as they are."""
        same = [one.shape == other.shape for one, other in zip(self.input_list, input_list, strict=True)]
        if all(same):
            return self.outputs
        found = {id(own): given for own, given in zip(self.input_list, input_list, strict=True)}
        for node in self.nodes:
            args, kwargs = _replaced((node.args, node.kwargs), found)
            outputs = node.function(*args, **kwargs) if node.is_layer else record(node.function, args, kwargs)
            if node.is_layer:
                node.function._nodes.pop()  # type: ignore[attr-defined]
            own, given = pytree.tree_leaves(node.outputs), pytree.tree_leaves(outputs)
            found |= {id(one): other for one, other in zip(own, given, strict=True)}
        return _replaced(self.outputs, found)

    def __call__(self, input_list: Sequence[torch.Tensor]) -> Any:
        """Computes the outputs for a flat list of input tensors: nested as they were given, one in a list by itself."""
        values: list[Any] = [None] * self.size
        values[: len(input_list)] = input_list
        direct = calls_can_be_direct()
        for step in self.steps:
            step.run(values, step.direct if direct else step.function)
        return filled(self.output_slots, values)


def calls_can_be_direct() -> bool:
    """Whether a model may go straight to its layers' `call`: no mask is on its way, no hook is on every module."""
    return not (masking.in_use or _has_any_global_hook())


def alone(structure: Any) -> Any:
    """What is in a list or tuple of one; any other structure as it is."""
    return structure[0] if isinstance(structure, (list, tuple)) and len(structure) == 1 else structure


class Slot(int):
    """A place in the list of values, standing in the arguments of a call."""


def _with_slots(structure: Any, slots: dict[int, int]) -> Any:
    return pytree.tree_map_only(SymbolicTensor, lambda tensor: Slot(slots[id(tensor)]), structure)


def filled(structure: Any, values: Any) -> Any:
    """The structure with each slot replaced by its value."""
    kind = type(structure)
    if kind is Slot:
        return values[structure]
    if kind is list or kind is tuple:
        return kind([filled(item, values) for item in structure])
    if kind is dict:
        return {key: filled(item, values) for key, item in structure.items()}
    if isinstance(structure, (tuple, dict)) and kind is not torch.Size:  # a named tuple, an ordered dict
        return pytree.tree_map_only(Slot, lambda slot: values[slot], structure)
    return structure


class Step:
    """How one node is computed from the list of values: the common case, one tensor in and one out, is quick."""

    def __init__(self, node: Node, slots: dict[int, int], out_slots: list[int]) -> None:
        self.function = self.direct = node.function
        self.out_slots = out_slots
        self.out = out_slots[0]
        self.alone = len(node.args) == 1 and not node.kwargs
        given = node.args[0] if self.alone else None
        self.source = slots[id(given)] if isinstance(given, SymbolicTensor) else -1
        self.listed = isinstance(given, list) and all(isinstance(item, SymbolicTensor) for item in given)
        self.args, self.kwargs = _with_slots((node.args, node.kwargs), slots)
        self.single = isinstance(node.outputs, SymbolicTensor)

    def take_over(self, first: Step, together: Callable[..., Any], place: int) -> None:
        """From now on computes both: `first`, whose result was the input in this place of its list, and itself."""
        self.function = together
        if self.listed:
            self.args[0][place] = first.args[0]
        else:
            self.source, self.args = first.source, first.args

    @property
    def reads(self) -> set[int]:
        """The slots that it reads."""
        if self.source >= 0:
            return {self.source}
        return {slot for slot in pytree.tree_leaves((self.args, self.kwargs)) if isinstance(slot, Slot)}

    def run(self, values: Any, function: Callable[..., Any]) -> None:
        if self.source >= 0:
            result = function(values[self.source])
        else:
            result = function(*filled(self.args, values), **filled(self.kwargs, values))
        if self.single:
            values[self.out] = result
        else:
            for slot, leaf in zip(self.out_slots, pytree.tree_leaves(result), strict=True):
                values[slot] = leaf


def _all_symbolic(structure: Any, what: str) -> list[SymbolicTensor]:
    leaves = pytree.tree_leaves(structure)
    for leaf in leaves:
        if not isinstance(leaf, SymbolicTensor):
            raise ArgumentError(
                f"All {what} of a functional model must be symbolic tensors, made by lamella.Input or by calling "
                f"layers on one; got {leaf!r} ({type(leaf).__name__})."
            )
    return leaves

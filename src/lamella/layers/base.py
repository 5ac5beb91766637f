"""`Layer`: Keras's layer as a plain `torch.nn.Module`.

A layer is configuration (`__init__`), weights (`build`, at the first call) and a formula (`call`). The
rest of this file is what makes that enough: names, symbolic calls, masks, training mode, configs.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.utils import _pytree as pytree

from lamella import regularizers
from lamella.engine import masking, remat_scope
from lamella.engine.device import accelerator, brought_to, default_device
from lamella.engine.dtypes import STRING
from lamella.engine.naming import auto_name, within
from lamella.engine.on_meta import off_meta
from lamella.engine.registry import Registry
from lamella.engine.rematerialize import rematerialized
from lamella.engine.stateless import trained
from lamella.engine.strings import holds_strings
from lamella.engine.symbolic import (
    Node,
    SymbolicTensor,
    record,
    symbolic_input,
    symbolic_leaves,
)
from lamella.errors import ArgumentError, DataError, DTypeError, LamellaError, NoGraphError
from lamella.layers import added_losses
from lamella.layers.added_losses import add_losses, pop_added_losses
from lamella.layers.building import prepared
from lamella.layers.can_rematerialize import CanRematerialize
from lamella.layers.carried_masks import carried_masks
from lamella.layers.declared_outputs import declared_outputs
from lamella.layers.has_policy import HasPolicy
from lamella.layers.holds_sublayers import HELD, HoldsSublayers
from lamella.layers.holds_weights import HoldsWeights
from lamella.layers.input_spec import InputSpec, check_input
from lamella.layers.kept_states import note_states
from lamella.layers.layer_config import arguments_of, config_of, from_config
from lamella.layers.mixed import call_mixed
from lamella.layers.modes import in_mode, is_other_mode
from lamella.layers.own_forward import take_as_call
from lamella.layers.shapes import (
    as_tuples,
    declared_shape,
    has_tensors,
    is_number_list,
    map_shapes,
    of_any_batch,
    shapes_of,
)
from lamella.layers.state_names import with_own_names
from lamella.layers.stateless import Stateless
from lamella.layers.tracking import children_in_order

registry = Registry("layer", "keras.layers")


class _NotInitialized:
    """What a layer has in the place of torch's own attributes while `super().__init__()` was not called."""

    def __get__(self, layer: Any, owner: Any = None) -> Any:
        if layer is None:
            return self
        name = type(layer).__name__
        raise ArgumentError(f"{name}.__init__ does not call super().__init__(): let it be the first line there.")


class Layer(HoldsWeights, HoldsSublayers, HasPolicy, CanRematerialize, Stateless):
    """The base of every layer. Subclass it, and write `call` (and `build` where it has weights) in torch.

    Args:
        activity_regularizer: A regularizer of the layer's output, added to the loss.
        trainable: Whether the weights are trained.
        dtype: The data type of the weights and of the computation, or a dtype policy such as `"mixed_bfloat16"`;
            by default that of `set_dtype_policy`, or `floatx()`.
        autocast: Whether floating-point inputs of another type are cast to the one that the layer computes in.
        name: A unique name; `dense`, `dense_1`, ... by default.
        **kwargs: `input_shape` (a tuple without the batch) or `input_dim`, for the first layer of a
            `Sequential` model in the older form.

    Example:
        >>> import torch
        >>> from lamella.layers import Layer
        >>> class Scale(Layer):
        ...     def build(self, input_shape):
        ...         self.factor = self.add_weight(shape=(input_shape[-1],), initializer="ones", name="factor")
        ...     def call(self, inputs):
        ...         return inputs * self.factor
        >>> Scale()(torch.ones(2, 3)).shape
        torch.Size([2, 3])
    """

    computes_in_float32 = False
    """Whether a mixed policy leaves the computation in float32, as sums over many numbers need it (normalizations)."""

    takes_strings = False
    """Whether it may be called on strings (a NumPy array of them)."""

    wants_strings = False
    """Whether it is called on nothing else: a model that begins with it begins with strings."""

    _convert_input_args = True
    """Whether arrays and lists of numbers become tensors before `call`. Layers that prepare data turn it off."""

    _init_arguments: tuple[tuple[Any, ...], dict[str, Any]]

    _modules = _backward_hooks = _NotInitialized()  # type: ignore[assignment]

    def __new__(cls, *args: Any, **kwargs: Any) -> Layer:
        layer = super().__new__(cls)
        object.__setattr__(layer, "_init_arguments", (args, kwargs))  # for get_config
        return layer

    _path: str | None = None
    _masked_arguments: Sequence[str] = ()

    when_built: Callable[[Any], None] | None = None
    """What is called once, when the weights exist: values that were read before wait for them."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "build" in vars(cls):
            cls.build = prepared(vars(cls)["build"])  # type: ignore[method-assign]
        take_as_call(cls)

    def __init__(
        self,
        *,
        activity_regularizer: Any = None,
        trainable: bool = True,
        dtype: Any = None,
        autocast: bool = True,
        name: str | None = None,
        **kwargs: Any,
    ) -> None:
        early = {name: value for name, value in self.__dict__.items() if isinstance(value, HELD)}
        super().__init__()
        self.training = False  # calling a layer is inference; `fit` trains
        for attribute, value in early.items():  # given before this: the layers in them are the layer's own all the same
            setattr(self, attribute, value)
        input_shape = kwargs.pop("input_shape", None)
        input_dim = kwargs.pop("input_dim", None)
        batch_shape = kwargs.pop("batch_input_shape", None)
        if batch_shape is not None and input_shape is None:
            input_shape = tuple(batch_shape)[1:]
        if kwargs:
            raise ArgumentError(
                f"{type(self).__name__} has no argument {', '.join(map(repr, kwargs))}. "
                f"Its arguments: {', '.join(arguments_of(type(self)))}."
            )
        if name is not None and (not isinstance(name, str) or "/" in name):
            raise ArgumentError(f"A layer's name must be a string without '/'; got {name!r}.")
        self.name = name or auto_name(type(self).__name__)
        self.autocast = autocast
        self.activity_regularizer = regularizers.get(activity_regularizer)
        self.supports_masking = False
        self.input_spec: Any = None
        self.built = False
        self.declared_input_shape = declared_shape(input_shape, input_dim)
        if not isinstance(trainable, (bool, np.bool_)):
            raise ArgumentError(f"{type(self).__name__}: `trainable` must be True or False; got {trainable!r}.")
        self._trainable = bool(trainable)
        self._as_it_is: set[str] = set()  # weights that stay in their own type under a mixed policy
        self._use_policy(dtype)
        self._regularizers: dict[str, Any] = {}
        self._constraints: dict[str, Any] = {}
        self._added_losses: list[torch.Tensor] = []
        self._nodes: list[Node] = []
        self._quick = False
        self._remat_scope = remat_scope.current()  # asked once the layer is whole
        self._rematerialize = self._remat_scope is not None
        self._build_config: dict[str, Any] | None = None
        arguments = self._call_names()
        self._call_takes = frozenset(arguments)
        self._pass_training = "training" in self._call_takes
        self._before_training = arguments.index("training") if self._pass_training else len(arguments)
        self._from_training = arguments[self._before_training :]
        self._masked_arguments = [name for name in arguments if f"{name}_mask" in self._call_takes]

    # -- to be written by subclasses ----------------------------------------------------------------

    def build(self, input_shape: Any) -> None:
        """Makes the weights for inputs of `input_shape` (None where a dimension is unknown)."""

    def call(self, *args: Any, **kwargs: Any) -> Any:
        """Computes the outputs."""
        raise NotImplementedError(f"{type(self).__name__} has no call(): write it, in torch.")

    def compute_mask(self, inputs: Any, previous_mask: Any) -> Any:
        """The mask of the outputs, given that of the inputs."""
        return previous_mask if self.supports_masking else None

    # -- penalties ----------------------------------------------------------------------------------

    def add_loss(self, loss: Any) -> None:
        """Adds a number, or the sum of a tensor (or several), to the loss of the model that this layer is in."""
        self._quick = False
        add_losses(self, loss if isinstance(loss, (list, tuple)) else [loss])

    @property
    def losses(self) -> list[torch.Tensor]:
        """The penalties of the regularizers and what `add_loss` added in the last call, sublayers' included."""
        found: list[torch.Tensor] = []
        for layer in self._flatten_layers():
            found.extend(layer._added_losses)
            for name, regularizer in layer._regularizers.items():
                weight = layer._parameters.get(name)
                if weight is not None and (weight.requires_grad or id(weight) in trained):
                    found.append(regularizer(weight))
        return found

    def __getstate__(self) -> dict[str, Any]:
        """What pickling and copying keep: all but the losses of the last call, which hang on its gradients."""
        return {**super().__getstate__(), "_added_losses": []}

    def load_state_dict(self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False) -> Any:
        """As in torch; names that differ only in default names' numbers (`dense_3` for `dense_1`) are the same."""
        return super().load_state_dict(with_own_names(self.state_dict(), state_dict), strict, assign)

    def _flatten_layers(self, include_self: bool = True, recursive: bool = True) -> list[Layer]:
        """This layer and those inside it, under the name that packages around Keras walk them by."""
        found = self.modules() if recursive else (self, *nearest_layers(self))
        return [module for module in found if isinstance(module, Layer) and (include_self or module is not self)]

    # -- calling ------------------------------------------------------------------------------------

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """`call`, with everything around it. `layer(x)` comes here by way of `torch.nn.Module`."""
        if not added_losses.inside:
            return self._from_outside(args, kwargs)
        if self._quick and len(args) == 1 and not kwargs and not masking.in_use and self._is_ready(args[0]):
            return self._quickly(args[0])
        return self._forward(args, kwargs)

    def _from_outside(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        added_losses.inside = True
        try:
            pop_added_losses(self)
            if accelerator() is not None:
                args, kwargs = brought_to(self._device(), (args, kwargs))
            return Layer.forward(self, *args, **kwargs)
        finally:
            added_losses.inside = False

    def _quickly(self, x: Any) -> Any:
        try:
            return self.call(x, training=self.training) if self._pass_training else self.call(x)
        except (RuntimeError, IndexError, ValueError, TypeError) as error:
            raise self._explained(error, (x,), {}) from None

    def _is_ready(self, x: Any) -> bool:
        """Whether it is a tensor, or a list of tensors, that needs no conversion."""
        if type(x) is torch.Tensor:
            return x.dtype is self._float or not x.is_floating_point()
        return (
            type(x) is list
            and len(x) > 0
            and not masking.in_use
            and all(type(each) is torch.Tensor and self._is_ready(each) for each in x)
        )

    def direct(self, x: Any) -> Any:
        """`self(x)`, straight to `call` where nothing else has to happen: no hook, no mask, nothing to build."""
        return self._quickly(x) if self._quick and not self._has_hooks() and self._is_ready(x) else self(x)

    def _has_hooks(self) -> bool:
        forward = self._forward_hooks or self._forward_pre_hooks
        return bool(forward or self._backward_hooks or self._backward_pre_hooks)

    def _forward(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if self._before_training < len(args) <= self._before_training + len(self._from_training):
            by_name = dict(zip(self._from_training, args[self._before_training :], strict=False))  # `layer(x, True)`
            if not by_name.keys() & kwargs.keys():
                args, kwargs = args[: self._before_training], by_name | kwargs
        if self._convert_input_args:
            args = tuple(pytree.tree_map(self._to_tensor, arg, is_leaf=is_number_list) for arg in args)
            kwargs = {
                name: pytree.tree_map(self._to_tensor, arg, is_leaf=is_number_list) for name, arg in kwargs.items()
            }
        if symbolic_leaves((args, kwargs)):
            return self._call_symbolic(args, kwargs)
        if not self.built:
            with within(self):
                with off_meta():
                    self._build(args, kwargs)
                return self._called(args, kwargs)
        return self._called(args, kwargs)

    def _called(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        kwargs = dict(kwargs)
        training = kwargs.pop("training", None)
        if is_other_mode(self, training):
            with in_mode(self, bool(training)):
                return self._call(args, kwargs)
        return self._call(args, kwargs)

    def _call(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if self._pass_training:
            kwargs["training"] = self.training
        mask = carried_masks(self, args, kwargs) if masking.in_use else None
        call = functools.partial(call_mixed, self) if self._is_mixed else self.call
        try:
            if self._rematerialize and self.training and self.rematerialize:
                outputs = rematerialized(lambda: call(*args, **kwargs), [self])
            else:
                outputs = call(*args, **kwargs)
        except (RuntimeError, IndexError, ValueError, TypeError) as error:
            raise self._explained(error, args, kwargs) from None
        if self._remat_scope is not None:
            self._ask_remat_scope(outputs)
        if self._makes_masks or mask is not None or ("mask" in kwargs and self.supports_masking):
            self._attach_masks(args, mask if mask is not None else kwargs.get("mask"), outputs)
        if self.activity_regularizer is not None:
            for output in pytree.tree_leaves(outputs):  # per sample, as in Keras
                self.add_loss(self.activity_regularizer(output) / max(output.shape[0], 1))
        return outputs

    def _cast_with_it(self) -> Iterable[Layer]:
        """The layers whose weights a mixed policy casts while this layer's `call` runs."""
        return (self,)

    @property
    def _makes_masks(self) -> bool:
        return type(self).compute_mask is not Layer.compute_mask

    def _attach_masks(self, args: tuple[Any, ...], mask: Any, outputs: Any) -> None:
        computed = self.compute_mask(args[0] if args else None, mask)
        if isinstance(outputs, torch.Tensor):
            if isinstance(computed, torch.Tensor) and masking.get_mask(outputs) is None:
                masking.set_mask(outputs, computed)
        elif isinstance(computed, (list, tuple)):
            for output, each in zip(pytree.tree_leaves(outputs), computed, strict=False):
                if each is not None:
                    masking.set_mask(output, each)

    def _call_symbolic(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if any(leaf.dtype is STRING for leaf in symbolic_leaves((args, kwargs))):
            self._check_takes_strings()
        with within(self):
            if not self.built:
                self._build(args, kwargs)
            check_input(self, args[0] if args else next(iter(kwargs.values())))
            outputs = record(self, args, kwargs, declared=self._declared_outputs)
        pop_added_losses(self)  # those were of meta tensors
        made = symbolic_leaves(outputs)
        if not made or made[0].node is None:
            raise ArgumentError(
                f"{type(self).__name__} {self.name!r}: call() gave {'None' if outputs is None else 'no tensor'}; it "
                f"must give what the next layer takes. Is a `return` missing?"
            )
        self._nodes.append(made[0].node)
        return outputs

    def _declared_outputs(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """The outputs of a symbolic call as the layer's class declares them, or None."""
        return declared_outputs(self, Layer, args, kwargs)

    def _to_tensor(self, x: Any) -> Any:
        if not isinstance(x, torch.Tensor) and hasattr(x, "to_numpy"):  # a data frame
            x = np.array(x)
        if isinstance(x, np.ndarray) and x.dtype.kind in "USTO":
            if holds_strings(x):
                self._check_takes_strings()
            return x  # torch has no tensors of strings
        if isinstance(x, (np.ndarray, np.generic)) or is_number_list(x):
            x = torch.as_tensor(np.asarray(x), device=self._device())
        if self._is_mixed and self.computes_in_float32:
            return x  # float16 would overflow before the sums are taken
        if isinstance(x, torch.Tensor) and self.autocast and x.dtype is not self._float and x.is_floating_point():
            mask = masking.of(x)
            x = x.to(self._float)
            if mask is not None:
                masking.set_mask(x, mask)
        return x

    def _in_floats(self, x: torch.Tensor) -> torch.Tensor:
        """`x`; if its numbers are whole, in the type that the layer computes in."""
        if x.is_floating_point():
            return x
        return x.to(torch.float32 if self._is_mixed and self.computes_in_float32 else self._float)

    def _check_takes_strings(self) -> None:
        ours = type(self).__module__.startswith("lamella.layers.")  # a user's layer may have one inside that takes them
        if ours and not self.takes_strings:
            raise DataError(
                f"{type(self).__name__} {self.name!r} computes with numbers, but was called on strings. Put a layer "
                f"that makes numbers of them before it, such as TextVectorization for texts or StringLookup for "
                f"categories."
            )

    def _device(self) -> torch.device:
        for weight in self.parameters():
            return weight.device
        return default_device()

    def _build(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Calls `build` with the shape (or nested shapes) of the inputs, by the parameters that it takes."""
        inputs = dict(zip(self._call_names(), args, strict=False)) | kwargs
        shapes = {name: shapes_of(value) for name, value in inputs.items() if has_tensors(value)}
        if not shapes:
            shapes = {"inputs": None}
        wanted = list(inspect.signature(self.build).parameters)
        named = {f"{name}_shape": shape for name, shape in shapes.items() if f"{name}_shape" in wanted}
        if len(wanted) > 1 and named:
            self.build(**named)
            self._build_config = {"shapes_dict": {name: of_any_batch(shape) for name, shape in named.items()}}
        else:
            check_input(self, next(iter(inputs.values()), None))
            shape = next(iter(shapes.values()))
            self.build(shape)
            self._build_config = {"input_shape": of_any_batch(shape)} if shape is not None else None
        self._mark_built()

    def _build_at_init(self) -> None:
        """Counts a layer without weights as built from the start, unless a user's subclass has a `build`."""
        if type(self).build.__module__.startswith("lamella."):
            self._mark_built()

    def _mark_built(self) -> None:
        self.built = True
        self._settle()
        note_states(self)
        if self.when_built is not None:
            self.when_built(self)

    def _can_be_quick(self) -> bool:
        """Whether a call on one plain tensor may go straight to `call`."""
        return self.activity_regularizer is None and not self._makes_masks

    def _call_names(self) -> list[str]:
        return list(inspect.signature(self.call).parameters)

    def _explained(self, error: Exception, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Exception:
        """The error of a call, with the layer's name; a wrong input shape as a `ShapeError` of its own."""
        if getattr(error, "_lamella_layer", None) is not None or isinstance(error, LamellaError):
            return error
        try:
            check_input(self, args[0] if args else None)
        except LamellaError as clear:
            clear.__cause__ = error
            return clear
        tensors = [leaf for leaf in pytree.tree_leaves((args, kwargs)) if isinstance(leaf, torch.Tensor)]
        if isinstance(error, NotImplementedError) and "not implemented for" in str(error):  # torch has no such kernel
            kinds = ", ".join(str(tensor.dtype).removeprefix("torch.") for tensor in tensors)
            return DTypeError(
                f"{type(self).__name__} {self.name!r} cannot be computed of inputs of type {kinds}: torch has no "
                f"kernel for that ({error}). Cast them first, such as with x.float() or x.astype('float32')."
            )
        shapes = [tuple(tensor.shape) for tensor in tensors]
        error.add_note(f"In layer {self.name!r} ({type(self).__name__}), called on inputs of shape {shapes}.")
        error._lamella_layer = self.name  # type: ignore[attr-defined]
        return error

    # -- the functional graph -------------------------------------------------------------------------

    @property
    def input(self) -> Any:
        """The symbolic input of the layer's first call."""
        return self._node("input").args[0]

    @property
    def output(self) -> Any:
        """The symbolic output of the layer's first call: `Model(base.input, base.get_layer("x").output)`."""
        return self._node("output").outputs

    def _node(self, what: str) -> Node:
        if not self._nodes:
            raise NoGraphError(
                f"Layer {self.name!r} has no symbolic {what}: it was never called on an Input. "
                f"Build the model with an Input, or call the layer on one."
            )
        return self._nodes[0]

    def compute_output_spec(self, *args: Any, **kwargs: Any) -> Any:
        """The outputs of a symbolic call, as symbolic tensors of their own."""
        outputs = self(*args, **kwargs)
        self._nodes.pop()
        return pytree.tree_map_only(SymbolicTensor, lambda each: symbolic_input(each.shape, each.dtype), outputs)

    def compute_output_shape(self, *shapes: Any, **named: Any) -> Any:
        """The shape of the outputs for inputs of these shapes, found by running `call` on meta tensors.

        Args:
            shapes: The shape of each input, in the order of `call`'s arguments.
            named: Shapes by name: `query_shape` is that of the argument `query`, `input_shape` that of the first.

        Example:
            >>> import lamella
            >>> attention = lamella.layers.MultiHeadAttention(num_heads=2, key_dim=4)
            >>> attention.compute_output_shape(query_shape=(None, 3, 8), value_shape=(None, 5, 8))
            (None, 3, 8)
        """
        names = self._call_names()
        inputs = dict(zip(names, shapes, strict=False))
        inputs |= {name if (name := each.removesuffix("_shape")) in names else names[0]: named[each] for each in named}
        given = {
            name: map_shapes(lambda each: symbolic_input(each, self._dtype), shape)
            for name, shape in inputs.items()
            if shape is not None
        }
        outputs = self(given.pop(names[0]), **given)
        self._nodes.pop()
        return pytree.tree_map_only(SymbolicTensor, lambda tensor: tensor.shape, outputs)

    # -- configuration --------------------------------------------------------------------------------

    def _settle(self) -> None:
        plain = self.built and not (self._is_mixed or self._rematerialize)
        self._quick = plain and self._can_be_quick()

    @property
    def path(self) -> str:
        """The names of the layers that it was built within, and its own."""
        return self._path or self.name

    @property
    def quantization_mode(self) -> str | None:
        """How the weights are quantized; None for layers whose weights are not."""
        return None

    def get_config(self) -> dict[str, Any]:
        """The arguments that make this layer again, as plain data, with Keras's keys.

        Each argument of `__init__` is read from the attribute of the same name; where there is none, it is
        what was passed to `__init__`.
        """
        return config_of(self, Layer)

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Layer:
        """The layer that `get_config` (here or in Keras) described.

        What every layer has (name, trainable, dtype) is set afterwards where `__init__` does not take it.
        """
        return from_config(cls, config)

    def get_build_config(self) -> dict[str, Any] | None:
        """The shapes that `build` got, so that a saved layer can make its weights before it is called."""
        return self._build_config

    def build_from_config(self, config: dict[str, Any]) -> None:
        """Makes the weights for the shapes that `get_build_config` (here or in Keras) gave."""
        if self.built or not config:
            return
        if "shapes_dict" in config:
            self.build(**{name: as_tuples(shape) for name, shape in config["shapes_dict"].items()})
        elif "input_shape" in config:
            shape = config["input_shape"]
            self.build(shape if shape is None else as_tuples(shape))

    def extra_repr(self) -> str:
        return f"name={self.name!r}"


def nearest_layers(module: nn.Module) -> Iterator[Layer]:
    """The layers directly inside a module, through lists and other modules."""
    for child in children_in_order(module):
        if isinstance(child, Layer):
            yield child
        else:
            yield from nearest_layers(child)


__all__ = ["InputSpec", "Layer", "registry"]

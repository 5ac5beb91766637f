"""`Model`: layers with an input, an output and a training loop."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.utils import _pytree as pytree

from lamella.engine.dtypes import STRING, torch_dtype
from lamella.engine.graph import Graph, alone
from lamella.engine.naming import auto_name
from lamella.engine.registry import class_of, serialize
from lamella.engine.rematerialize import in_segments
from lamella.engine.strings import as_strings, is_string, is_string_list
from lamella.engine.symbolic import SymbolicTensor
from lamella.errors import ArgumentError, DataError, NoGraphError, ShapeError, nearest
from lamella.layers.base import Layer, nearest_layers, registry
from lamella.layers.building import marks_itself
from lamella.layers.fusion import fused
from lamella.layers.modes import in_mode, is_other_mode
from lamella.layers.shapes import map_shapes
from lamella.layers.unseen import unseen
from lamella.training.functional_config import graph_config, graph_from_config
from lamella.training.quantization import Filters, quantize
from lamella.training.state_tree import get_state_tree, set_state_tree
from lamella.training.summary import print_summary
from lamella.training.trainer import Trainer

_inside_a_model = False


@registry.register("Functional", written_as=("keras.src.models.functional", "Functional"))
class Model(Trainer, Layer):
    """A model, in either of two forms.

    Functional: `Model(inputs, outputs)`, from symbolic tensors. Subclassed: layers are made in `__init__`, and
    `call` uses them.

    Args:
        inputs: Symbolic tensors, in any nesting of lists and dicts.
        outputs: What was computed from them.
        name: A name.
        **kwargs: As for every layer.

    Example:
        >>> import lamella
        >>> inputs = lamella.Input((4,))
        >>> model = lamella.Model(inputs, lamella.layers.Dense(3)(inputs))
        >>> model.output_shape
        (None, 3)
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        arguments = dict(zip(("inputs", "outputs", "name"), args, strict=False)) | kwargs
        inputs, outputs = arguments.pop("inputs", None), arguments.pop("outputs", None)
        if (inputs is None) != (outputs is None):
            raise ArgumentError("A functional model needs both `inputs` and `outputs`.")
        if inputs is not None and type(self) is Model and arguments.get("name") is None:
            arguments["name"] = auto_name("Functional")
        super().__init__(**arguments)
        self._init_trainer()
        self._graph: Graph | None = None
        self.supports_masking = True
        if inputs is not None:
            self._set_graph(Graph(inputs, outputs, fused, unseen))

    # -- the functional form ------------------------------------------------------------------------------

    def _set_graph(self, graph: Graph) -> None:
        self._graph = graph
        self._graph_layers = self._register_layers(graph)
        self._input_dtypes = [tensor.dtype for tensor in graph.input_list]
        self._single_input = isinstance(graph.inputs, SymbolicTensor)
        known = self._single_input and None not in graph.inputs.shape[1:]
        self._plain_dtype = self._input_dtypes[0] if known else None  # what needs no further look
        self._plain_shape = graph.inputs.shape[1:] if known else None
        self.input_names = [tensor.name for tensor in graph.input_list]
        self.output_names = self._names(graph)
        self._call_takes = frozenset({"inputs", "training", "mask"})
        self._pass_training = False
        self._mark_built()

    def _register_layers(self, graph: Graph) -> list[Layer]:
        layers: dict[int, Layer] = {}
        for node in graph.nodes_by_depth():
            starts = not node.inputs or node.outputs not in graph.input_list
            if isinstance(node.function, Layer) and starts:
                layers.setdefault(id(node.function), node.function)
        names = [layer.name for layer in layers.values()]
        for name in names:
            if names.count(name) > 1:
                raise ArgumentError(f"Two layers of the model are named {name!r}; every name must be unique.")
        for layer in layers.values():
            self._modules[layer.name.replace(".", "_")] = layer
        leaves = pytree.tree_leaves([(node.args, node.kwargs) for node in graph.nodes])
        weights = {id(leaf): leaf for leaf in leaves if isinstance(leaf, nn.Parameter)}  # as in torch.matmul(h, weight)
        self._parameters.update({f"parameter_{number}": weight for number, weight in enumerate(weights.values())})
        return list(layers.values())

    def _names(self, graph: Graph) -> list[str]:
        if isinstance(graph.outputs, dict):
            return list(graph.outputs)
        return [tensor.node.name if tensor.node is not None else tensor.name for tensor in graph.output_list]

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        """Computes the outputs. Subclasses write their own."""
        if self._graph is None:
            raise NotImplementedError(
                f"{type(self).__name__} has no call(): write it, or make the model as Model(inputs, outputs)."
            )
        if is_other_mode(self, training):
            with in_mode(self, bool(training)):
                return self.call(inputs)
        tensors = self._as_input_list(inputs)
        return in_segments(self._graph, tensors) if self._in_segments and self.training else self._graph(tensors)

    def _declared_outputs(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Those of the graph, found layer by layer: a layer may know its own where it cannot be run on any length."""
        if self._graph is None or type(self).call is not Model.call:
            return super()._declared_outputs(args, kwargs)
        return self._graph.again(pytree.tree_leaves(args[0] if args else kwargs["inputs"]))

    @property
    def can_be_called(self) -> bool:
        """Whether there is a `call`, or a graph of layers: a model for its own `train_step` alone may have neither."""
        return self._graph is not None or type(self).call is not Model.call

    def _as_input_list(self, inputs: Any) -> list[torch.Tensor]:
        assert self._graph is not None
        if type(inputs) is torch.Tensor and inputs.dtype is self._plain_dtype and inputs.shape[1:] == self._plain_shape:
            return [inputs]
        if self._single_input and isinstance(inputs, torch.Tensor):
            tensors = [inputs]
        else:
            tensors = self._in_their_places(inputs)
        wanted = self._graph.input_list
        if len(tensors) != len(wanted):
            raise ShapeError(
                f"Model {self.name!r} takes {len(wanted)} inputs {self.input_names}, but got {len(tensors)}."
            )
        return [
            self._fitted(np.array(x, dtype=object) if is_string(x) or is_string_list(x) else x, symbolic, dtype)
            if x is not None
            else self._left_out(symbolic)
            for x, symbolic, dtype in zip(tensors, wanted, self._input_dtypes, strict=True)
        ]

    def _in_their_places(self, inputs: Any) -> list[Any]:
        """What is given for each input, in the order of the graph's list of them."""
        assert self._graph is not None
        wanted = self._graph.inputs
        if isinstance(inputs, dict) and isinstance(wanted, dict):
            return self._by_keys(inputs, wanted)
        if isinstance(inputs, dict):
            return self._picked(inputs, self.input_names)
        if isinstance(wanted, dict) and list(wanted) != sorted(wanted):
            raise ArgumentError(
                f"Model {self.name!r} takes a dict of inputs, {list(wanted)}; in a {type(inputs).__name__} it is not "
                f"clear which is which. Give a dict."
            )
        return _leaves(inputs, len(self.input_names))

    def _by_keys(self, inputs: dict[str, Any], wanted: dict[str, Any]) -> list[Any]:
        found: list[Any] = []
        for given, like in zip(self._picked(inputs, list(wanted)), wanted.values(), strict=True):
            if isinstance(given, dict) and isinstance(like, dict):
                found.extend(self._by_keys(given, like))
            elif isinstance(like, SymbolicTensor):
                found.append(given)
            else:
                found.extend(_leaves(given, len(pytree.tree_leaves(like))))
        return found

    def _picked(self, inputs: dict[str, Any], names: list[str]) -> list[Any]:
        missing = [name for name in names if name not in inputs]
        if missing:
            raise ArgumentError(
                f"Model {self.name!r} needs the inputs {names}; the dict given lacks {missing} (it has {list(inputs)})."
            )
        return [inputs[name] for name in names]

    def _left_out(self, wanted: SymbolicTensor) -> None:
        """None in the place of an input, which must be an optional one."""
        maker = wanted.node.function if wanted.node is not None else None
        if not getattr(maker, "optional", True):
            raise DataError(
                f"Model {self.name!r}: input {wanted.name!r} is None, but it is not optional. Give data for it, or "
                f"declare it as Input(..., optional=True)."
            )

    def _fitted(self, x: Any, wanted: SymbolicTensor, dtype: torch.dtype) -> Any:
        if dtype is not STRING and not isinstance(x, torch.Tensor) and _is_numbers(x):
            x = torch.as_tensor(np.array(x), device=self._device())
        if dtype is STRING or not isinstance(x, torch.Tensor):
            x = self._strings(x, wanted)
        elif x.dtype is not dtype:
            x = x.to(dtype)
        if x.ndim == len(wanted.shape) - 1 and wanted.shape[-1] == 1:
            x = x[..., None]
        elif x.ndim == len(wanted.shape) + 1 and x.shape[-1] == 1:
            x = x[..., 0]
        if x.ndim != len(wanted.shape) or any(
            own is not None and axis and size != own
            for axis, (size, own) in enumerate(zip(x.shape, wanted.shape, strict=True))
        ):
            raise ShapeError(
                f"Model {self.name!r}: input {wanted.name!r} must have shape {wanted.shape}, but the data have shape "
                f"{(None, *x.shape[1:])}. Reshape the data, or change Input(shape=...)."
            )
        return x

    def _strings(self, x: Any, wanted: SymbolicTensor) -> np.ndarray:
        found = None if isinstance(x, torch.Tensor) else as_strings(x, f"Model {self.name!r}: input {wanted.name!r}")
        if found is not None and wanted.dtype is STRING:
            return found
        if wanted.dtype is STRING:
            wants, given, mend = "strings", "numbers", "Give an array or a list of strings."
        elif found is None:
            wants, given, mend = (
                "numbers",
                f"a {type(x).__name__}",
                "Give a tensor or an array with an axis of samples.",
            )
        else:
            wants, given, mend = (
                "numbers",
                "strings",
                "Begin the model with Input(..., dtype='string') and a layer that makes numbers of them, such as "
                "TextVectorization for texts or StringLookup for categories.",
            )
        raise DataError(f"Model {self.name!r}: input {wanted.name!r} must hold {wants}, but got {given}. {mend}")

    @property
    def takes_strings(self) -> bool:  # type: ignore[override]
        """Whether it may be called on strings: its layers say it."""
        return True

    @property
    def wants_strings(self) -> bool:  # type: ignore[override]
        """Whether it begins with strings."""
        return self._graph is not None and self._graph.input_list[0].dtype is STRING

    def _use_policy(self, policy: Any) -> None:
        super()._use_policy(policy)
        self._float, self._is_mixed = torch_dtype(self._dtype), False  # each layer casts its inputs for itself

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Runs the model."""
        global _inside_a_model
        if _inside_a_model:
            return super().forward(*args, **kwargs)
        _inside_a_model = True
        try:
            return super().forward(*args, **kwargs)
        finally:
            _inside_a_model = False

    def _build(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        super()._build(args, kwargs)
        self._quick = False

    def get_build_config(self) -> dict[str, Any] | None:
        """The shapes that make the weights, for a model that is not functional."""
        return None if self._graph is not None and self.is_functional else super().get_build_config()

    @marks_itself
    def build(self, input_shape: Any = None) -> None:
        """Makes the weights for inputs of `input_shape` (batch first), by a run on meta tensors."""
        if self._graph is not None or self.built or input_shape is None:
            return
        if type(self).call is not Model.call and not _inside_a_model:
            from lamella.engine.symbolic import symbolic_input

            self.built = True  # the run below must not come back here
            try:
                self(map_shapes(lambda shape: symbolic_input(shape, self._dtype), input_shape))
            except Exception:
                self.built = False
                raise
            self._build_config = {"input_shape": input_shape}

    def _load_from_state_dict(self, state_dict: Any, prefix: str, local_metadata: Any, *rest: Any) -> None:
        if self._graph is not None:  # its own weights stand in the graph: they take the numbers, and stay who they are
            local_metadata = {**local_metadata, "assign_to_params_buffers": False}
        super()._load_from_state_dict(state_dict, prefix, local_metadata, *rest)

    def _apply(self, fn: Callable[[torch.Tensor], torch.Tensor], recurse: bool = True) -> Model:
        self._on_cpu = None
        super()._apply(fn, recurse)
        return self

    def __getstate__(self) -> dict[str, Any]:
        """What pickling and copying keep: all but the functions that `fit` makes anew."""
        made_anew = ("_train_function", "_replay", "_quickest_way", "_jitted", "_compiled_call_impl")
        return super().__getstate__() | dict.fromkeys(made_anew)

    # -- configuration --------------------------------------------------------------------------------------

    @property
    def is_functional(self) -> bool:
        """Whether its graph is all there is to it: a functional model, of `Model` or of a class made like it."""
        return self._graph is not None and _is_made_like_model(class_of(self))

    def get_config(self) -> dict[str, Any]:
        """What makes this model again: the graph of a functional model, the arguments of a subclassed one."""
        if not self.is_functional:
            return super().get_config()
        assert self._graph is not None
        return {"name": self.name, "trainable": self._trainable, **graph_config(self._graph)}

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> Model:
        """The model that `get_config` (here or in Keras) described."""
        if not all(key in config for key in ("layers", "input_layers", "output_layers")):
            return super().from_config(config)  # type: ignore[return-value]
        inputs, outputs = graph_from_config(config, custom_objects)
        model = cls(inputs, outputs, name=config.get("name"))
        if config.get("trainable") is False:
            model.trainable = False
        return model

    def to_json(self, **kwargs: Any) -> str:
        """The config, with the class, as JSON; `models.model_from_json` makes the model again, without its weights."""
        return json.dumps(serialize(self), **kwargs)

    # -- what the model is made of --------------------------------------------------------------------------

    @property
    def layers(self) -> list[Layer]:
        """The layers, in the order in which they were made or called."""
        if self._graph is not None:
            return list(self._graph_layers)
        return list(nearest_layers(self))

    def get_layer(self, name: str | None = None, index: int | None = None) -> Layer:
        """The layer of a name, or at an index.

        Raises:
            ArgumentError: There is none; the message lists the nearest names.
        """
        layers = self.layers
        if index is not None:
            if not -len(layers) <= index < len(layers):
                raise ArgumentError(f"Model {self.name!r} has {len(layers)} layers; there is none at index {index}.")
            return layers[index]
        for layer in layers:
            if layer.name == name:
                return layer
        names = [layer.name for layer in layers]
        raise ArgumentError(
            f"Model {self.name!r} has no layer {name!r}. Nearest: {nearest(str(name), names) or names}."
        )

    @property
    def inputs(self) -> list[SymbolicTensor]:
        """The symbolic inputs, as a flat list."""
        return self._require_graph().input_list

    @property
    def outputs(self) -> list[SymbolicTensor]:
        """The symbolic outputs, as a flat list."""
        return self._require_graph().output_list

    @property
    def input(self) -> Any:
        """The symbolic input, in the nesting it was given in."""
        return self._require_graph().inputs

    @property
    def output(self) -> Any:
        """The symbolic output, in the nesting it was given in."""
        return self._require_graph().outputs

    @property
    def input_shape(self) -> Any:
        """The shape of the input, None where unknown."""
        return pytree.tree_map_only(SymbolicTensor, lambda t: t.shape, alone(self.input))

    @property
    def output_shape(self) -> Any:
        """The shape of the output, None where unknown."""
        return pytree.tree_map_only(SymbolicTensor, lambda t: t.shape, alone(self.output))

    def _require_graph(self) -> Graph:
        if self._graph is None:
            raise NoGraphError(
                f"Model {self.name!r} has no symbolic inputs and outputs: it is subclassed, or not built yet. "
                f"Add an Input(shape=...) at its start."
            )
        return self._graph

    def quantize(
        self, mode: str | None = None, config: Any = None, filters: Filters = None, type_check: bool = True
    ) -> None:
        """Keeps the large weights of dense layers and embeddings in whole numbers (or computes in floats of 8 bits).

        Args:
            mode: `"int8"`: weights in a quarter of the memory, products of whole numbers. `"int4"`: weights in an
                eighth. `"float8"`: trains with factors rounded to floats of 8 bits. `"gptq"` and `"awq"`: weights of
                dense layers in few bits, rounded so that outputs on data that is given stay near what they were.
            config: How to round, such as `lamella.quantizers.Int4QuantizationConfig(block_size=64)`; for `"gptq"` and
                `"awq"`, `GPTQConfig(dataset, tokenizer)` and `AWQConfig(dataset, tokenizer)`.
            filters: Which layers: a pattern that is searched in their names, a list of them, or a function of a layer.
            type_check: Whether layers of classes of one's own are left as they are.

        Raises:
            NotBuiltError: The model has no weights yet.
            ArgumentError: An unknown mode, a config of another one, or a layer that is quantized already. For `"gptq"`
                and `"awq"`: no data, no tokenizer for its texts, or no blocks that are known to follow each other.
            DataError: For `"gptq"` and `"awq"`: a dataset without samples.

        Example:
            >>> import lamella
            >>> model = lamella.Sequential([lamella.Input((64,)), lamella.layers.Dense(64), lamella.layers.Dense(8)])
            >>> model.quantize("int8", filters="dense")
            >>> sorted({str(weight.dtype) for weight in model.weights})
            ['torch.float32', 'torch.int8']
        """
        quantize(self, mode, config, filters, type_check)

    def get_quantization_layer_structure(self, mode: str | None = None) -> dict[str, list[Any]] | None:
        """Which layers follow each other, for `quantize("gptq")` and `quantize("awq")`. A model of one's own may say.

        Args:
            mode: The kind of quantization that asks.

        Returns:
            `{"pre_block_layers": [...], "sequential_blocks": [...]}`: what the data goes through first, such as an
            embedding, and the layers in which dense layers are quantized, each of which takes what the one before gave.
            None where it is not known.

        Example:
            >>> from lamella.language import GPT
            >>> structure = GPT(50, num_layers=2, num_heads=2, width=8).get_quantization_layer_structure("gptq")
            >>> [block.name for block in structure["sequential_blocks"]]
            ['block_0', 'block_1']
        """
        return None

    def summary(
        self,
        line_length: int | None = None,
        positions: Sequence[float] | None = None,
        print_fn: Callable[[str], None] | None = None,
        expand_nested: bool = False,
        show_trainable: bool = False,
        layer_range: Sequence[str] | None = None,
    ) -> None:
        """Prints the layers with their output shapes and numbers of weights.

        Args:
            line_length: The width; found from the contents by default.
            positions: Kept for Keras's signature.
            print_fn: Gets the lines in place of `print`.
            expand_nested: Whether the layers of nested models are shown.
            show_trainable: Whether a column says which layers are trained.
            layer_range: The names of the first and the last layer to show.
        """
        print_summary(self, print_fn or print, expand_nested, show_trainable, layer_range, line_length)

    def get_state_tree(self, value_format: str = "backend_tensor") -> dict[str, Any]:
        """All weights and states, in nested dicts by their paths.

        Args:
            value_format: `"backend_tensor"` for the tensors themselves, `"numpy_array"` for arrays.

        Returns:
            `"trainable_variables"`, `"non_trainable_variables"`, `"optimizer_variables"` and `"metrics_variables"`,
            each as nested dicts: the layer `dense` has its kernel at `["dense"]["kernel"]`.

        Raises:
            ArgumentError: Another format, or two variables of one path.

        Example:
            >>> import lamella
            >>> model = lamella.Sequential([lamella.Input((2,)), lamella.layers.Dense(3, name="dense")])
            >>> {name: tuple(w.shape) for name, w in model.get_state_tree()["trainable_variables"]["dense"].items()}
            {'kernel': (2, 3), 'bias': (3,)}
        """
        return get_state_tree(self, value_format)

    def set_state_tree(self, state_tree: dict[str, Any]) -> None:
        """Sets the weights and states that a state tree holds; others stay as they are.

        Args:
            state_tree: Nested dicts as `get_state_tree` gives them, or a part of them.

        Raises:
            ArgumentError: A path that the model does not have.
        """
        set_state_tree(self, state_tree)

    # -- files -------------------------------------------------------------------------------------------------

    def save(
        self,
        filepath: str | Path,
        overwrite: bool = True,
        zipped: bool | None = None,
        save_format: str | None = None,
        include_optimizer: bool = True,
    ) -> None:
        """Writes the whole model to a `.keras` file: what it is, its weights, how it is trained and how far it is.

        `lamella.models.load_model`, and real Keras, read it. The file is written aside and renamed: a kill leaves the
        old file or the new one.

        Args:
            filepath: Where to.
            overwrite: Whether a file that exists is replaced.
            zipped: False writes a folder of the files that a `.keras` file packs into one.
            save_format: An argument of older versions of Keras: the ending alone counts, and a warning says so.
            include_optimizer: False leaves out the state of the optimizer.

        Raises:
            ArgumentError: Another ending, or the file exists and `overwrite` is False.
        """
        from lamella.saving import save_model

        save_model(self, filepath, overwrite, zipped, save_format, include_optimizer)

    def save_weights(
        self,
        filepath: str | Path,
        overwrite: bool = True,
        max_shard_size: float | None = None,
        objects_to_skip: Sequence[Any] | None = None,
    ) -> None:
        """Writes the weights to a `.weights.h5` file (Keras's form) or a `.safetensors` file.

        Args:
            filepath: Where to.
            overwrite: Whether a file that exists is replaced.
            max_shard_size: The size in GiB that no file passes: then `filepath` is an index that ends in
                `.weights.json`, and the weights lie beside it in files of their own.
            objects_to_skip: Layers whose weights are left out.

        Raises:
            ArgumentError: Another ending, or the file exists and `overwrite` is False.
        """
        from lamella.saving import save_weights

        save_weights(self, filepath, overwrite, max_shard_size, objects_to_skip)

    def export(
        self,
        filepath: str | Path,
        format: str = "onnx",
        verbose: bool | None = None,
        input_signature: Any = None,
        **options: Any,
    ) -> None:
        """Writes the model's computation to a file that needs no Lamella: see `lamella.saving.export`."""
        from lamella.saving.export import export

        export(self, filepath, format, verbose, input_signature, **options)

    def load_weights(
        self,
        filepath: str | Path,
        skip_mismatch: bool = False,
        by_name: bool = False,
        objects_to_skip: Sequence[Any] | None = None,
    ) -> None:
        """Reads the weights of a `.weights.h5`, `.weights.json`, `.keras`, `.safetensors` or older `.h5` file.

        The model is unchanged if that fails.

        Args:
            filepath: The file.
            skip_mismatch: Whether layers whose weights have other shapes are left as they are, with a warning.
            by_name: For older `.h5` files: take the layers by their names rather than in their order.
            objects_to_skip: Layers whose weights stay as they are.

        Raises:
            FileError: A damaged file, or weights that are not this model's.
        """
        from lamella.saving import load_weights

        load_weights(self, filepath, skip_mismatch, by_name, objects_to_skip)


def _is_numbers(x: Any) -> bool:
    """Whether it is an array, or a column of a data frame, with numbers."""
    return getattr(getattr(x, "dtype", None), "kind", None) in tuple("biuf")


def _leaves(inputs: Any, count: int) -> list[Any]:
    """What is given for each of so many inputs; a list of strings is one."""
    several = inputs if count > 1 and isinstance(inputs, (list, tuple)) else [inputs]
    return [leaf for each in several for leaf in pytree.tree_leaves(each, is_leaf=is_string_list)]


def _is_made_like_model(cls: type[Model]) -> bool:
    """Whether a class takes what `Model` does, `(inputs, outputs, name)`: a graph and a `train_step` of its own."""
    taken = list(inspect.signature(cls.__init__).parameters.values())[1:]
    names = [each.name for each in taken if each.kind is not each.VAR_KEYWORD]
    return names == ["args"] or (names[:2] == ["inputs", "outputs"] and set(names[2:]) <= {"name", "trainable"})

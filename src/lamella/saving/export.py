"""Models for other programs: ONNX, `torch.export`'s own form, OpenVINO and LiteRT."""

from __future__ import annotations

import importlib
import os
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.utils import _pytree as pytree

from lamella.errors import ArgumentError, ExportError, NotBuiltError
from lamella.saving.atomic import written_aside
from lamella.saving.export_inputs import Example, dynamic_axes, examples_of


def export(
    model: Any,
    filepath: str | Path,
    format: str = "onnx",
    verbose: bool | None = None,
    input_signature: Any = None,
    **options: Any,
) -> None:
    """Writes a model's computation, in inference, to a file that needs no Lamella.

    Args:
        model: A built model.
        filepath: Where to.
        format: `"onnx"` (read by onnxruntime and others), `"torch"` (a `.pt2` file, which `torch.export.load` reads: it
            takes and gives what the model does, in lists and dicts as there), `"openvino"` (an `.xml` file with a
            `.bin` beside it) or `"litert"` (a `.tflite` file).
        verbose: Whether to print where the file is.
        input_signature: `InputSpec`s (whose names are those of the inputs in ONNX), symbolic tensors or examples of the
            inputs; by default those of the model. The batch, and axes of size None, may have any size in use. (In
            LiteRT they are fixed: to 1, or as given.)
        **options: Passed on to `torch.onnx.export` (such as `opset_version`), `torch.export.export` (such as
            `dynamic_shapes`), `openvino.convert_model` or `litert_torch.convert`.

    Raises:
        ArgumentError: Another format, another ending, or inputs that cannot be made up.
        ExportError: The model computes something that the format has nothing for; the message says what.
        NotBuiltError: The model has no weights yet.
        ImportError: What the format needs is not installed; the message says what.
    """
    if format == "tf_saved_model":
        raise ArgumentError(
            "A SavedModel is a program of TensorFlow's own operations, which this model is not made of. Export it with "
            "format='onnx' (onnxruntime, and most servers), 'torch', 'openvino' or 'litert'; or save it as a .keras "
            "file, which Keras on TensorFlow loads and exports."
        )
    if format not in _FORMATS:
        raise ArgumentError(f"A model is exported as {', '.join(map(repr, _FORMATS))}; got {format!r}.")
    if not model.built:
        raise NotBuiltError(
            f"Model {model.name!r} has no weights yet: call it on data, or build() it, before exporting."
        )
    endings, write = _FORMATS[format]
    path = Path(filepath)
    if endings and path.suffix not in endings:
        raise ArgumentError(f"A file of format {format!r} ends in {' or '.join(endings)}; got {path.name!r}.")
    examples, names, nesting = examples_of(model, input_signature)
    was_training = model.training
    module = _Plain(model, names, nesting).eval()
    try:
        write(module, examples, path, options)
    except RuntimeError as error:  # whatever the exporters say; none has a class that is meant to be caught
        raise ExportError(
            f"Model {model.name!r} cannot be exported as {format!r}: {_cause(error)} Write that part by other functions"
            + ("." if format == "torch" else ", or export with format='torch', which knows more of them.")
        ) from error
    finally:
        model.train(was_training)
    if verbose:
        print(f"Saved {model.name!r} at {path}.")


def _cause(error: BaseException) -> str:
    """The first line of what an exporter stumbled over."""
    while error.__cause__ is not None:
        error = error.__cause__
    return f"{str(error).splitlines()[0].rstrip('.')}." if str(error) else f"{type(error).__name__}."


class _Plain(nn.Module):
    """A model as a module of flat inputs and flat outputs."""

    def __init__(self, model: Any, names: list[str | None], nesting: pytree.TreeSpec) -> None:
        super().__init__()
        self.model = model
        self.names = names
        self.nesting = nesting

    def forward(self, *inputs: torch.Tensor) -> Any:
        leaves = pytree.tree_leaves(self.model(*pytree.tree_unflatten(list(inputs), self.nesting)))
        return leaves[0] if len(leaves) == 1 else tuple(leaves)


class _Nested(nn.Module):
    """A model as a module that takes and gives what the model does."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(self, *args: Any) -> Any:
        return self.model(*args)


def _to_torch(module: _Plain, examples: list[Example], path: Path, options: dict[str, Any]) -> None:
    args = pytree.tree_unflatten([tensor for tensor, _ in examples], module.nesting)
    shapes = pytree.tree_unflatten(list(_shapes(options.get("dynamic_shapes"), examples)), module.nesting)
    whole = _Nested(module.model).eval()
    program = torch.export.export(whole, args, **{**options, "dynamic_shapes": {"args": shapes}})
    with written_aside(path) as aside, open(aside, "wb") as file:
        torch.export.save(program, file)


def _to_onnx(module: _Plain, examples: list[Example], path: Path, options: dict[str, Any]) -> None:
    _needed("onnxscript", "Export to ONNX needs two more packages: pip install 'lamella[onnx]'.")
    program = torch.onnx.export(
        module,
        tuple(tensor for tensor, _ in examples),
        input_names=[name for name in module.names if name is not None] if None not in module.names else None,
        dynamic_shapes={"inputs": tuple(map(dynamic_axes, examples))},
        dynamo=True,
        verbose=False,
        **options,
    )
    with written_aside(path) as aside:
        program.save(aside)  # type: ignore[union-attr]


def _to_openvino(module: _Plain, examples: list[Example], path: Path, options: dict[str, Any]) -> None:
    openvino = _needed("openvino", "Export to OpenVINO needs one more package: pip install openvino.")
    converted = openvino.convert_model(_program(module, examples), **options)
    for source, (tensor, axes) in zip(converted.inputs, examples, strict=True):
        shape = [-1 if axis in axes else size for axis, size in enumerate(tensor.shape)]
        source.get_node().set_partial_shape(openvino.PartialShape(shape))
    converted.validate_nodes_and_infer_types()
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:  # OpenVINO insists on its endings
        openvino.serialize(converted, f"{folder}/m.xml", f"{folder}/m.bin")
        with written_aside(path) as graph, written_aside(path.with_suffix(".bin")) as weights:
            os.replace(f"{folder}/m.xml", graph)
            os.replace(f"{folder}/m.bin", weights)


def _to_litert(module: _Plain, examples: list[Example], path: Path, options: dict[str, Any]) -> None:
    litert = _needed("litert_torch", "Export to LiteRT needs one more package: pip install litert-torch.")
    given = tuple(tensor[:1] if 0 in axes else tensor for tensor, axes in examples)
    converted = litert.convert(module, given, **options)
    with written_aside(path) as aside:
        converted.export(str(aside))


def _needed(package: str, mend: str) -> Any:
    try:
        return importlib.import_module(package)
    except ImportError as error:
        raise ImportError(mend) from error


def _program(module: _Plain, examples: Sequence[Example]) -> torch.export.ExportedProgram:
    shapes = {"inputs": tuple(map(dynamic_axes, examples))}
    return torch.export.export(module, tuple(tensor for tensor, _ in examples), dynamic_shapes=shapes)


def _shapes(given: Any, examples: Sequence[Example]) -> tuple[Any, ...]:
    """The sizes that are not fixed, for each input: those given, or those that the inputs leave open."""
    if given is None:
        return tuple(map(dynamic_axes, examples))
    if isinstance(given, dict):
        given = [given]
    while isinstance(given, (list, tuple)) and len(given) == 1 and isinstance(given[0], (list, tuple)):
        given = given[0]
    if len(given) != len(examples):
        raise ArgumentError(f"`dynamic_shapes` describes {len(given)} inputs, the model has {len(examples)}.")
    return tuple(given)


_Write = Callable[[_Plain, list[Example], Path, dict[str, Any]], None]
_FORMATS: dict[str, tuple[tuple[str, ...], _Write]] = {
    "onnx": ((), _to_onnx),
    "torch": ((), _to_torch),
    "openvino": ((".xml",), _to_openvino),
    "litert": ((".tflite",), _to_litert),
}
"""The endings of each format's files (any, where none is given) and what writes them."""

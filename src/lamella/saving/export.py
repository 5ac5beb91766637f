"""Models for other programs: ONNX, and `torch.export`'s own form."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.utils import _pytree as pytree

from lamella.engine.dtypes import STRING
from lamella.engine.symbolic import SymbolicTensor
from lamella.errors import ArgumentError, NotBuiltError
from lamella.layers.shapes import map_shapes
from lamella.saving.atomic import written_aside

_EXAMPLES = 2  # torch.export takes sizes of 0 and 1 for constants


def export(model: Any, filepath: str | Path, format: str = "onnx", input_signature: Any = None, **options: Any) -> None:
    """Writes a model's computation, in inference, to a file that needs no Lamella.

    Args:
        model: A built model.
        filepath: Where to.
        format: `"onnx"` (read by onnxruntime and others) or `"torch"` (a `.pt2` file: `torch.export.load`).
        input_signature: Example inputs; by default made from the shapes of the model's symbolic inputs. The batch may
            have any size in use.
        **options: Passed on to `torch.onnx.export`.

    Raises:
        ArgumentError: Another format, or inputs that cannot be made up.
        NotBuiltError: The model has no weights yet.
        ImportError: `onnx` and `onnxscript` are not installed: `pip install lamella[onnx]`.
    """
    if format not in ("onnx", "torch"):
        raise ArgumentError(f"A model is exported as 'onnx' or 'torch'; got {format!r}.")
    if not model.built:
        raise NotBuiltError(
            f"Model {model.name!r} has no weights yet: call it on data, or build() it, before exporting."
        )
    examples, unknown, nesting = _inputs(model, input_signature)
    module = _Plain(model, nesting).eval()
    shapes = tuple(_dynamic(example, axes) for example, axes in zip(examples, unknown, strict=True))
    with written_aside(Path(filepath)) as aside:
        if format == "torch":
            program = torch.export.export(module, examples, dynamic_shapes={"inputs": shapes})
            torch.export.save(program, aside)
        else:
            _to_onnx(module, examples, shapes, model, aside, options)


def _to_onnx(module: nn.Module, examples: Any, shapes: Any, model: Any, path: Path, options: Any) -> None:
    try:
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise ImportError("Export to ONNX needs two more packages: pip install 'lamella[onnx]'.") from error
    names = [tensor.name for tensor in model.inputs] if getattr(model, "_graph", None) is not None else None
    program = torch.onnx.export(
        module,
        examples,
        input_names=names,
        dynamic_shapes={"inputs": shapes},
        dynamo=True,
        verbose=False,
        **options,
    )
    program.save(path)  # type: ignore[union-attr]


class _Plain(nn.Module):
    """A model as a module of flat inputs and flat outputs."""

    def __init__(self, model: Any, nesting: pytree.TreeSpec) -> None:
        super().__init__()
        self.model = model
        self.nesting = nesting

    def forward(self, *inputs: torch.Tensor) -> Any:
        outputs = self.model(pytree.tree_unflatten(list(inputs), self.nesting))
        leaves = pytree.tree_leaves(outputs)
        return leaves[0] if len(leaves) == 1 else tuple(leaves)


def _inputs(model: Any, signature: Any) -> tuple[tuple[torch.Tensor, ...], list[list[int]], pytree.TreeSpec]:
    """Example inputs, for each the axes whose size is not known, and how the model takes them."""
    device = next(iter(model.parameters()), torch.empty(0)).device
    if signature is not None:
        given, nesting = pytree.tree_flatten(signature)
        examples = tuple(torch.as_tensor(each) for each in given)
        return examples, [[0] for _ in examples], _alone(nesting)
    if getattr(model, "_graph", None) is not None:
        symbols: Sequence[SymbolicTensor] = model.inputs
        _refuse_strings(model, symbols)
        nested: Any = [(symbol.shape, symbol.dtype) for symbol in symbols]
    else:
        config = model.get_build_config() or {}
        shapes = config.get("input_shape")
        if not shapes:
            raise ArgumentError(
                f"Model {model.name!r} is subclassed: pass an example of its inputs as input_signature=[...]."
            )
        nested = map_shapes(lambda shape: ((None, *shape[1:]), torch.float32), shapes)
    wanted, nesting = pytree.tree_flatten(nested, is_leaf=_is_shape_and_type)
    examples = tuple(
        torch.zeros([_size(size, axis) for axis, size in enumerate(shape)], dtype=dtype, device=device)
        for shape, dtype in wanted
    )
    unknown = [[axis for axis, size in enumerate(shape) if size is None] for shape, _ in wanted]
    return examples, unknown, _alone(nesting)


def _refuse_strings(model: Any, symbols: Sequence[SymbolicTensor]) -> None:
    named = [symbol.name for symbol in symbols if symbol.dtype is STRING]
    if named:
        raise ArgumentError(
            f"Model {model.name!r} takes strings ({', '.join(named)}), and exported files compute with numbers alone. "
            f"Export what comes after the layer that makes numbers of them: "
            f"lamella.Model(that_layer.output, model.output)."
        )


def _is_shape_and_type(value: Any) -> bool:
    return isinstance(value, tuple) and len(value) == 2 and isinstance(value[1], torch.dtype)


def _alone(nesting: pytree.TreeSpec) -> pytree.TreeSpec:
    """How a model takes its inputs: one in a list by itself, several as they are nested."""
    return pytree.tree_structure(0) if nesting == pytree.tree_structure([0]) else nesting


def _size(size: int | None, axis: int) -> int:
    return size if size is not None else _EXAMPLES if axis == 0 else 16


def _dynamic(example: torch.Tensor, axes: list[int]) -> dict[int, Any]:
    return {axis: torch.export.Dim.DYNAMIC for axis in axes if axis < example.ndim}

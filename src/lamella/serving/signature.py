"""What a model takes and gives, found from the model itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from lamella.engine.dtypes import STRING, dtype_name
from lamella.errors import ArgumentError, NotBuiltError
from lamella.language import BERTClassifier, TextClassifier
from lamella.layers import Embedding
from lamella.losses import Loss
from lamella.serving.texts import Reader, text_reader

Shape = tuple[int | None, ...]


@dataclass(frozen=True)
class ModelInput:
    """One input of a model.

    Attributes:
        name: Its name.
        kind: `"numbers"` or `"text"`.
        shape: The shape of one sample; None where any size goes.
        dtype: `"float32"`, `"int64"`, `"bool"`, ..., or `"string"`.
        picture: Whether it may also be given as a picture file: (height, width) or (height, width, 1 or 3).
        rows: For tokens, how many there are: numbers go from 0 to `rows - 1`.
    """

    name: str
    kind: str
    shape: Shape
    dtype: str
    picture: bool = False
    rows: int | None = None

    @property
    def channels(self) -> int:
        """The channels of a picture, 1 or 3."""
        return self.shape[2] or 3 if len(self.shape) == 3 else 1


@dataclass(frozen=True)
class ModelOutput:
    """One output of a model.

    Attributes:
        name: Its name.
        shape: The shape for one sample; None where unknown.
        scores: What the numbers are: `"probabilities"` (they add up to 1), `"sigmoid"` (each from 0 to 1),
            `"logits"` (a softmax, or for one number a sigmoid, makes them probabilities), or `"numbers"`.
    """

    name: str
    shape: Shape
    scores: str


@dataclass(frozen=True)
class Signature:
    """What a model takes and gives, and the names of its classes, where they are known."""

    inputs: tuple[ModelInput, ...]
    outputs: tuple[ModelOutput, ...]
    class_names: tuple[str, ...] | None


def signature_of(model: Any, class_names: Sequence[str] | None = None) -> Signature:
    """The signature of a functional, sequential or text model.

    Args:
        model: The model, built.
        class_names: The names of the classes; by default the model's own, if it has any.

    Raises:
        ArgumentError: A model without symbolic inputs that reads no texts; names that do not fit the output.

    Example:
        >>> import lamella
        >>> model = lamella.Sequential([lamella.Input((4,), name="iris"), lamella.layers.Dense(3, "softmax")])
        >>> signature_of(model).inputs[0].shape, signature_of(model).outputs[0].scores
        ((4,), 'probabilities')
    """
    names = class_names if class_names is not None else getattr(model, "class_names", None)
    read = text_reader(model)
    if read is not None:
        inputs = [ModelInput("texts", "text", (), "string")]
        outputs = [_output_of_texts(model, read)]
    else:
        try:
            inputs, outputs = _inputs(model), _outputs(model)
        except NotBuiltError:
            raise ArgumentError(
                f"A {type(model).__name__} cannot be served: it says neither by symbolic inputs what it takes, nor "
                f"does it take texts. Wrap it: lamella.Model(x, model(x)) with x = lamella.Input(shape=...)."
            ) from None
    if names is not None:
        _check_names(names, outputs)
    return Signature(tuple(inputs), tuple(outputs), None if names is None else tuple(map(str, names)))


def _output_of_texts(model: Any, read: Reader) -> ModelOutput:
    if isinstance(model, (BERTClassifier, TextClassifier)):
        scores = "logits" if isinstance(model, BERTClassifier) else "probabilities"
        return ModelOutput("classes", (len(model.class_names),), scores)
    with torch.inference_mode():
        found = model(read(["a"]))
    return ModelOutput(model.layers[-1].name, tuple(found.shape[1:]), _scores(model))


def _inputs(model: Any) -> list[ModelInput]:
    names = list(model.input) if isinstance(model.input, dict) else model.input_names
    rows = {id(layer.input): layer.input_dim for layer in model.layers if isinstance(layer, Embedding) and layer.built}
    return [_input(name, tensor, rows.get(id(tensor))) for name, tensor in zip(names, model.inputs, strict=True)]


def _input(name: str, tensor: Any, rows: int | None) -> ModelInput:
    shape = tuple(tensor.shape[1:])
    if tensor.dtype is STRING:
        if shape not in ((), (1,)):
            raise ArgumentError(
                f"Input {name!r} takes strings of shape {(None, *shape)}; a model is served with one string a sample: "
                f"Input((1,), dtype='string') for each."
            )
        return ModelInput(name, "text", (), "string")
    return ModelInput(name, "numbers", shape, dtype_name(tensor.dtype), _may_be_picture(tensor), rows)


def _may_be_picture(tensor: Any) -> bool:
    shape = tensor.shape[1:]
    number = tensor.dtype.is_floating_point or tensor.dtype is torch.uint8
    return number and ((len(shape) == 2 and None not in shape) or (len(shape) == 3 and shape[2] in (1, 3)))


def _outputs(model: Any) -> list[ModelOutput]:
    scores = _scores(model) if len(model.outputs) == 1 else "numbers"
    return [
        ModelOutput(name, tuple(tensor.shape[1:]), scores)
        for name, tensor in zip(model.output_names, model.outputs, strict=True)
    ]


def _scores(model: Any) -> str:
    """What the last layer, or else the loss that it was trained by, says of the output."""
    last = model.layers[-1]
    activation = getattr(getattr(last, "activation", None), "__name__", type(last).__name__.lower())
    if activation in ("softmax", "sigmoid"):
        return "probabilities" if activation == "softmax" else "sigmoid"
    loss = getattr(model, "loss", None)
    logits = isinstance(loss, Loss) and loss.get_config().get("from_logits")
    return "logits" if logits else "numbers"


def _check_names(names: Sequence[str], outputs: Sequence[ModelOutput]) -> None:
    last = outputs[0].shape[-1] if outputs[0].shape else None
    if len(outputs) != 1 or isinstance(names, str) or (last, len(names)) not in ((len(names), len(names)), (1, 2)):
        raise ArgumentError(
            f"{len(names)} names of classes do not fit the model: it has {len(outputs)} outputs, and the first is of "
            f"shape {outputs[0].shape} a sample."
        )

"""Features: what a layer inside a trained network computes, for classical models to learn from."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import nn

from lamella.engine.device import device_of
from lamella.errors import ArgumentError, DataError, nearest
from lamella.layers import Layer, TorchModule
from lamella.models import Model


def extract_features(
    model: nn.Module,
    layer: str | int | nn.Module | None,
    images: Any,
    batch_size: int = 32,
    pooling: str | None = None,
) -> np.ndarray:
    """What a layer of a network computes for each picture.

    Args:
        model: A model of Lamella (functional, Sequential or subclassed), or any torch module. It infers, whatever
            mode it is in, and is not changed.
        layer: The layer: its name (of a torch module its path, `"layer4.1"`), its index in `model.layers`, or itself;
            it may be inside another model. Of a layer that is called several times, its first output. By default what
            goes into the classifier: the last layer of weights, where that sees one vector for each picture; a model
            without a classifier gives its own output.
        images: (pictures, ...): an array, a tensor or a list, as the model takes them.
        batch_size: Pictures in one batch.
        pooling: `"avg"` or `"max"` over all axes but that of the channels; None leaves the features as they are.

    Returns:
        (pictures, ...), a NumPy array; with pooling (pictures, channels).

    Raises:
        ArgumentError: No such layer, or one that gives no tensor; another `pooling`.
        DataError: There are no pictures.

    Source: Razavian et al., 2014 ("CNN features off-the-shelf").

    Example:
        >>> import lamella, numpy as np
        >>> from lamella.layers import Conv2D, Dense, Flatten
        >>> model = lamella.Sequential([lamella.Input((8, 8, 1)), Conv2D(4, 3, name="maps"), Flatten(), Dense(10)])
        >>> images = np.zeros((5, 8, 8, 1))
        >>> extract_features(model, None, images).shape, extract_features(model, "maps", images, pooling="avg").shape
        ((5, 144), (5, 4))
    """
    if pooling not in (None, "avg", "max"):
        raise ArgumentError(f"`pooling` must be 'avg', 'max' or None; got {pooling!r}.")
    if len(images) == 0:
        raise DataError("extract_features: there are no pictures.")
    if not hasattr(images, "shape"):
        images = np.asarray(images)
    training = [module for module in model.modules() if module.training]
    model.eval()
    try:
        with torch.no_grad():
            if layer is None:
                watched, before = _classifier(model, _batch(model, images[:1]))
            else:
                watched, before = find_layer(model, layer), False
            parts = []
            for start in range(0, len(images), batch_size):
                features = _seen(model, _batch(model, images[start : start + batch_size]), watched, before)
                parts.append(_pooled(features, pooling, _channels(watched, features)).cpu().numpy())
    finally:
        for module in training:
            module.training = True
    return np.concatenate(parts)


def find_layer(model: nn.Module, layer: str | int | nn.Module) -> nn.Module:
    """The layer of a name, at an index of `model.layers`, or given itself, also inside other models.

    Raises:
        ArgumentError: It is not in the model, or two layers have the name.
    """
    if isinstance(layer, int):
        layers = model.layers if isinstance(model, Model) else list(model.children())
        if not -len(layers) <= layer < len(layers):
            raise ArgumentError(f"The model has {len(layers)} layers; there is none at index {layer}.")
        return layers[layer]
    modules = dict(model.named_modules())
    if isinstance(layer, nn.Module):
        if not any(module is layer for module in modules.values()):
            raise ArgumentError(f"The layer {getattr(layer, 'name', layer)!r} is not in the model.")
        return layer
    named = [module for module in modules.values() if isinstance(module, Layer) and module.name == layer]
    if not named and layer in modules:
        return modules[layer]
    if len(named) == 1:
        return named[0]
    if named:
        raise ArgumentError(f"{len(named)} layers of the model are named {layer!r}: give the layer itself.")
    names = [module.name if isinstance(module, Layer) else path for path, module in modules.items() if path]
    raise ArgumentError(f"The model has no layer {layer!r}. Nearest: {nearest(layer, names) or names}.")


def _classifier(model: nn.Module, batch: torch.Tensor) -> tuple[nn.Module, bool]:
    """The classifier, and that what goes into it is wanted; or the model, and that its output is."""
    calls: list[tuple[nn.Module, Any]] = []

    def note(module: nn.Module, inputs: tuple[Any, ...]) -> None:
        calls.append((module, inputs[0] if inputs else None))

    model(batch)  # makes the weights of a model that has none yet
    weighted = [module for module in model.modules() if any(w.ndim > 1 for w in module.parameters(recurse=False))]
    handles = [module.register_forward_pre_hook(note) for module in weighted]
    try:
        model(batch)
    finally:
        for handle in handles:
            handle.remove()
    head, x = calls[-1] if calls else (model, None)
    is_vector = isinstance(x, torch.Tensor) and x.is_floating_point() and x[0].numel() == max(x.shape[1:], default=0)
    return (head, True) if is_vector else (model, False)


def _seen(model: nn.Module, batch: torch.Tensor, module: nn.Module, before: bool) -> torch.Tensor:
    """What goes into a module (laid flat), or comes out of it, when the model runs on a batch."""
    found: list[Any] = []
    if before:
        handle = module.register_forward_pre_hook(lambda module, inputs: found.append(inputs[0].flatten(1)))
    else:
        handle = module.register_forward_hook(lambda module, inputs, output: found.append(output))
    try:
        model(batch)
    finally:
        handle.remove()
    name = getattr(module, "name", type(module).__name__)
    if not found:
        raise ArgumentError(f"The layer {name!r} is not called when the model is.")
    features = found[-1 if before else 0]
    if not isinstance(features, torch.Tensor):
        raise ArgumentError(f"The layer {name!r} gives no single tensor but a {type(features).__name__}.")
    return features


def _batch(model: nn.Module, images: Any) -> torch.Tensor:
    """Pictures as a tensor where the model is: floats as its weights, bytes as floats too."""
    tensor = torch.as_tensor(images)
    is_picture = tensor.is_floating_point() or tensor.dtype is torch.uint8
    kind = next((weight.dtype for weight in model.parameters() if weight.is_floating_point()), torch.float32)
    return tensor.to(device_of(model), kind if is_picture else tensor.dtype)


def _channels(module: nn.Module, features: torch.Tensor) -> int:
    """The axis of the channels: the last one in Lamella, the second one in the maps of torch."""
    is_torch = not isinstance(module, Layer) or isinstance(module, TorchModule)
    first = is_torch or getattr(module, "data_format", None) == "channels_first"
    return 1 if first and features.ndim > 3 else features.ndim - 1


def _pooled(features: torch.Tensor, pooling: str | None, channels: int) -> torch.Tensor:
    axes = [axis for axis in range(1, features.ndim) if axis != channels]
    if pooling is None or not axes:
        return features
    return features.mean(axes) if pooling == "avg" else features.amax(axes)

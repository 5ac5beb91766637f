"""`Model.quantize` by GPTQ and AWQ: block after block is shown data, and its dense layers are rounded for it.

What comes into a block has gone through the blocks before it as they are after rounding, so it can make up for them.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from lamella.engine.device import device_of
from lamella.errors import ArgumentError
from lamella.layers.modes import in_mode
from lamella.layers.quantizable import QuantizableLayer
from lamella.quantizers.awq import AWQ
from lamella.quantizers.calibration_configs import CalibratedConfig
from lamella.quantizers.calibration_data import calibration_samples
from lamella.quantizers.gptq import GPTQ

_TOKENS_AT_ONCE = 4096
_STATISTICS: dict[str, Any] = {"gptq": GPTQ, "awq": AWQ}

Layers = list[QuantizableLayer]
Statistics = dict[QuantizableLayer, Any]


def calibrate(model: Any, config: CalibratedConfig, wanted: Callable[[Any], bool], type_check: bool) -> None:
    """Quantizes the dense layers in the model's blocks that are wanted."""
    before, blocks = _structure(model, config)
    chosen = _layers_to_quantize(blocks, config.mode, wanted, type_check)
    if not any(chosen):
        raise ArgumentError(
            f"Model {model.name!r}: none of its {len(blocks)} blocks has a Dense or EinsumDense layer to quantize "
            f"(that the `filters` let through)."
        )
    samples = calibration_samples(config).to(device_of(model))
    rows = max(1, _TOKENS_AT_ONCE // max(1, samples[0].numel()))
    with torch.no_grad(), in_mode(model, False):
        batches = [_through(before, batch) for batch in samples.split(rows)]
        for i, (block, layers) in enumerate(zip(blocks, chosen, strict=True)):
            if layers:
                _round(layers, _seen(block, layers, batches, config), config)
            if i + 1 < len(blocks):
                batches = [_through([block], batch) for batch in batches]


def _structure(model: Any, config: CalibratedConfig) -> tuple[list[Any], list[Any]]:
    """What samples go through first, and the blocks."""
    found = config.quantization_layer_structure or model.get_quantization_layer_structure(config.mode)
    if not isinstance(found, dict) or not found.get("sequential_blocks"):
        raise ArgumentError(
            f"Model {model.name!r}: quantize({config.mode!r}) must know which layers follow each other. Give "
            f"{type(config).__name__}(quantization_layer_structure={{'pre_block_layers': [the embedding, ...], "
            f"'sequential_blocks': [the blocks]}}), or write the model's get_quantization_layer_structure(mode) to "
            f"return it; got {found!r}."
        )
    before, blocks = list(found.get("pre_block_layers") or []), list(found["sequential_blocks"])
    strange = [block for block in blocks if not isinstance(block, nn.Module)]
    if strange:
        raise ArgumentError(
            f"Model {model.name!r}: the 'sequential_blocks' of its structure must be layers; got {strange[0]!r}."
        )
    return before, blocks


def _layers_to_quantize(blocks: list[Any], mode: str, wanted: Callable[[Any], bool], type_check: bool) -> list[Layers]:
    """The layers of each block; one that blocks share is rounded for the first of them."""
    taken: set[QuantizableLayer] = set()
    found = []
    for block in blocks:
        layers: Layers = []
        for layer in block.modules():
            chosen = isinstance(layer, QuantizableLayer) and layer not in taken and wanted(layer)
            if chosen and _can_be_quantized(layer, mode, type_check):
                layers.append(layer)
        taken.update(layers)
        found.append(layers)
    return found


def _can_be_quantized(layer: QuantizableLayer, mode: str, type_check: bool) -> bool:
    if mode not in layer._modes:
        return False
    try:
        layer._check_quantizable(mode, type_check)
        layer._calibrated_shape()
    except NotImplementedError as error:
        warnings.warn(f"{error} It stays as it is.", stacklevel=6)
        return False
    return True


def _seen(block: Any, layers: Layers, batches: list[torch.Tensor], config: CalibratedConfig) -> Statistics:
    """What is to be known of the inputs of each layer, when the block is shown the batches."""
    make = _STATISTICS[config.mode]
    found = {layer: make(config, layer._calibrated_shape()[1][0], batches[0].device) for layer in layers}
    with _watching(found):
        for batch in batches:
            block(batch)
    return found


@contextmanager
def _watching(statistics: Statistics) -> Iterator[None]:
    """Within, each layer's inputs are shown to what is gathered of it."""

    def watch(layer: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        inputs = args[0] if args else kwargs["inputs"]
        statistics[layer].see(inputs.reshape(-1, layer._calibrated_shape()[1][0]))

    hooks = [layer.register_forward_pre_hook(watch, with_kwargs=True) for layer in statistics]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def _round(layers: Layers, statistics: Statistics, config: CalibratedConfig) -> None:
    for layer in layers:
        seen = statistics.pop(layer)
        if not seen.seen:
            warnings.warn(
                f"{type(layer).__name__} {layer.name!r} was not called when its block was shown the data: its weights "
                f"are rounded to the nearest.",
                stacklevel=5,
            )
        layer._quantize_by(config, seen.round)


def _through(layers: list[Any], batch: torch.Tensor) -> Any:
    for layer in layers:
        batch = layer(batch)
        batch = batch[0] if isinstance(batch, (tuple, list)) else batch
    return batch

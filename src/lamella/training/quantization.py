"""`Model.quantize`: every layer that can be quantized, is."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Sequence
from typing import Any

from lamella.errors import ArgumentError, NotBuiltError
from lamella.layers.quantizable import QuantizableLayer
from lamella.quantizers import as_config
from lamella.quantizers.calibration_configs import CalibratedConfig
from lamella.training.calibration import calibrate

Filters = str | Sequence[str] | Callable[[Any], bool] | None


def quantize(model: Any, mode: str | None, config: Any, filters: Filters, type_check: bool) -> None:
    """See `Model.quantize`."""
    config = as_config(mode, config)
    wanted = _filter(filters)
    if not model.built:
        raise NotBuiltError(
            f"Model {model.name!r} has no weights yet to quantize. Call it on data, or build() it, first."
        )
    if isinstance(config, CalibratedConfig):
        calibrate(model, config, wanted, type_check)
    else:
        _quantize_every_layer(model, config, wanted, type_check)
    model._train_function = model._tried = None


def _quantize_every_layer(model: Any, config: Any, wanted: Callable[[Any], bool], type_check: bool) -> None:
    for layer in model._flatten_layers():
        if isinstance(layer, QuantizableLayer) and wanted(layer):
            try:
                layer.quantize(type_check=type_check, config=config)
            except NotImplementedError as error:
                warnings.warn(f"{error} It stays as it is.", stacklevel=4)


def _filter(filters: Filters) -> Callable[[Any], bool]:
    if filters is None:
        return lambda layer: True
    if isinstance(filters, str):
        filters = [filters]
    if isinstance(filters, (list, tuple)):
        patterns = [re.compile(each) for each in filters]
        return lambda layer: any(pattern.search(layer.name) for pattern in patterns)
    if callable(filters):
        return filters
    raise ArgumentError(f"`filters` must be a pattern, a list of patterns or a function of a layer; got {filters!r}.")

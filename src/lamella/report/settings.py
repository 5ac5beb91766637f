"""How a model was compiled and fitted, and its layers, as texts."""

from __future__ import annotations

from typing import Any

from torch.utils import _pytree as pytree

from lamella.callbacks import History
from lamella.errors import NotBuiltError
from lamella.report.environment import seed
from lamella.report.record import LayerRow


def settings(history: History) -> dict[str, str]:
    """Optimizer, learning rate, loss, sizes, ...; of the optimizer's other settings, those that are not the default."""
    model = history.model
    weights = model.weights
    found: dict[str, Any] = {
        **_of_optimizer(model.optimizer, history.rates[:1]),
        "loss": _loss(model.loss),
        **{name: f"{count:,}" for name, count in history.sizes.items()},
        "weights": f"{sum(weight.numel() for weight in weights):,}",
        "precision": model.dtype_policy.name,
        "device": str(weights[0].device) if weights else "",
        "seed": seed(),
    }
    return {name: str(value) for name, value in found.items() if value not in (None, "")}


def layer_rows(model: Any) -> list[LayerRow]:
    """The model's layers as `summary()` lists them; an output's shape is empty where it is not known."""
    return [
        LayerRow(layer.name, type(layer).__name__, _shape(layer), sum(weight.numel() for weight in layer.weights))
        for layer in model.layers
    ]


def _of_optimizer(optimizer: Any, first_rate: list[float | None]) -> dict[str, Any]:
    """Its name, its learning rate and its own settings; nothing of None."""
    if optimizer is None:
        return {}
    optimizer = getattr(optimizer, "inner_optimizer", optimizer)
    config = optimizer.get_config()
    try:
        usual = type(optimizer)().get_config()
    except TypeError:  # it has arguments without a default
        usual = {}
    rate = config.pop("learning_rate", None)
    if isinstance(rate, dict):
        rate = rate.get("class_name")
    elif first_rate:
        rate = first_rate[0]
    others = {
        name: value
        for name, value in config.items()
        if name not in ("name", "learning_rate") and value != usual.get(name) and isinstance(value, (int, float, str))
    }
    shown = f"{rate:.6g}" if isinstance(rate, float) else rate
    return {"optimizer": type(optimizer).__name__, "learning_rate": shown, **others}


def _loss(loss: Any) -> str:
    if isinstance(loss, dict):
        return ", ".join(f"{name}: {_loss(each)}" for name, each in loss.items())
    if isinstance(loss, (list, tuple)):
        return ", ".join(map(_loss, loss))
    return "" if loss is None else loss if isinstance(loss, str) else getattr(loss, "name", None) or loss.__name__


def _shape(layer: Any) -> str:
    try:
        return ", ".join(str(leaf.shape) for leaf in pytree.tree_leaves(layer.output))
    except (NotBuiltError, AttributeError):
        return ""

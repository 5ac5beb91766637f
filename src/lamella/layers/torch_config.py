"""Configs of torch's own modules: the arguments that make one again, read from its attributes."""

from __future__ import annotations

import inspect
from typing import Any

import torch
from torch import nn

from lamella.engine.dtypes import dtype_name, torch_dtype
from lamella.engine.registry import deserialize, serialize
from lamella.errors import ArgumentError, ConfigError
from lamella.layers.weight_value import spend

_CONTAINERS = (nn.Sequential, nn.ModuleList, nn.ModuleDict)
_OTHER_NAMES: dict[type, dict[str, str]] = {
    nn.MultiheadAttention: {"bias": "in_proj_bias", "add_bias_kv": "bias_k"},
    nn.TransformerEncoderLayer: {
        "d_model": "self_attn.embed_dim",
        "nhead": "self_attn.num_heads",
        "dim_feedforward": "linear1.out_features",
        "dropout": "dropout.p",
        "activation": "activation.__name__",
        "layer_norm_eps": "norm1.eps",
        "batch_first": "self_attn.batch_first",
        "bias": "linear1.bias",
    },
    nn.TransformerEncoder: {"encoder_layer": "layers.0"},
    nn.TransformerDecoder: {"decoder_layer": "layers.0"},
    nn.Transformer: {
        "num_encoder_layers": "encoder.num_layers",
        "num_decoder_layers": "decoder.num_layers",
        "dim_feedforward": "encoder.layers.0.linear1.out_features",
        "dropout": "encoder.layers.0.dropout.p",
        "activation": "encoder.layers.0.activation.__name__",
        "layer_norm_eps": "encoder.norm.eps",
        "norm_first": "encoder.layers.0.norm_first",
        "bias": "encoder.layers.0.linear1.bias",
    },
}
_OTHER_NAMES[nn.TransformerDecoderLayer] = _OTHER_NAMES[nn.TransformerEncoderLayer]
"""Where an argument is kept, if not under its own name."""
_MISSING = object()


def module_config(module: nn.Module) -> dict[str, Any] | None:
    """A module of `torch.nn`, or one with a `get_config` of its own, as plain data; None where that cannot be.

    Example:
        >>> module_config(torch.nn.Linear(3, 2, bias=False))
        {'torch': 'Linear', 'arguments': {'in_features': 3, 'out_features': 2, 'bias': False}}
        >>> type(module_from(module_config(torch.nn.Sequential(torch.nn.Flatten(), torch.nn.LSTM(3, 2)))))
        <class 'torch.nn.modules.container.Sequential'>
    """
    if hasattr(module, "get_config"):
        return {"object": serialize(module)}
    if type(module) in _CONTAINERS:
        inside = {name: module_config(child) for name, child in module._modules.items() if child is not None}
        whole = len(inside) == len(module._modules) and all(inside.values())
        return {"torch": type(module).__name__, "modules": inside} if whole else None
    is_lazy = any(map(nn.parameter.is_lazy, [*module.parameters(), *module.buffers()]))
    if getattr(nn, type(module).__name__, None) is not type(module) or is_lazy:
        return None
    config = {"torch": type(module).__name__, "arguments": _arguments(module)}
    kinds = {tensor.dtype for tensor in module.state_dict().values() if tensor.is_floating_point()}
    if len(kinds) == 1 and (kind := kinds.pop()) is not torch.float32:
        config["dtype"] = dtype_name(kind)
    return config if _makes_again(config, module) else None


def module_from(config: dict[str, Any]) -> nn.Module:
    """The module that `module_config` told of, with weights drawn anew. Runs no code of a file.

    Raises:
        ConfigError: What is no module of torch.nn, or arguments that it does not take.
    """
    if not isinstance(config, dict) or not all(
        isinstance(config.get(key, {}), dict) for key in ("arguments", "modules")
    ):
        raise ConfigError(f"A TorchModule is told of by a class of torch.nn and its arguments; found {config!r}.")
    if "object" in config:
        made = deserialize(config["object"])
        if not isinstance(made, nn.Module):
            raise ConfigError(f"A TorchModule holds a torch.nn.Module; the file has {made!r}.")
        return made
    name = config.get("torch")
    cls: Any = getattr(nn, name, None) if isinstance(name, str) else None
    if not (inspect.isclass(cls) and issubclass(cls, nn.Module) and cls.__module__.startswith("torch.nn.modules.")):
        raise ConfigError(f"There is no module {name!r} in torch.nn (torch {torch.__version__}).")
    if "modules" in config:
        container = cls()
        for key, inside in config["modules"].items():
            container.add_module(key, module_from(inside))
        return container  # type: ignore[no-any-return]
    with torch.device("meta"):
        for weight in _made(cls, config).state_dict().values():
            spend(cls.__name__, tuple(weight.shape))
    return _made(cls, config)


def _made(cls: Any, config: dict[str, Any]) -> nn.Module:
    kind = torch_dtype(config.get("dtype", "float32"))
    try:
        arguments = {name: _argument(value) for name, value in config["arguments"].items()}
        module: nn.Module = cls(**arguments)
    except (TypeError, ValueError, AttributeError, KeyError, RuntimeError, AssertionError) as error:
        raise ConfigError(f"torch.nn.{cls.__name__} cannot be made of {config.get('arguments')}: {error}") from error
    return module.to(kind)


def _argument(value: Any) -> Any:
    return module_from(value) if isinstance(value, dict) else value


def _parameters(cls: type) -> dict[str, inspect.Parameter]:
    """The arguments of a class; of one that hands all of them on (`LSTM`), those of its base."""
    own = inspect.signature(cls.__init__).parameters  # type: ignore[misc]
    handed_on = any(each.kind is each.VAR_POSITIONAL for each in own.values())
    base = inspect.signature(cls.__bases__[0].__init__).parameters if handed_on else {}  # type: ignore[misc]
    return {name: each for name, each in {**base, **own}.items() if name not in ("self", "device", "dtype")}


def _arguments(module: nn.Module) -> dict[str, Any]:
    """What of the arguments of its class is found; those that are not may have their default."""
    found: dict[str, Any] = {}
    for parameter in _parameters(type(module)).values():
        place = _OTHER_NAMES.get(type(module), {}).get(parameter.name, parameter.name)
        value: Any = module
        for part in place.split("."):
            value = getattr(value, part, _MISSING)
        if isinstance(module, nn.RNNBase) and (
            parameter.name == "mode" or (parameter.name == "proj_size" and not value)
        ):
            continue  # the class is the mode; a GRU does not know projections
        if isinstance(parameter.default, bool) and value is not _MISSING and not isinstance(value, bool):
            value = value is not None  # `bias`: whether there is one
        if isinstance(value, nn.Module):
            value = module_config(value)
        if _is_plain(value) or isinstance(value, dict):
            found[parameter.name] = value
    if isinstance(module, nn.RNN):
        found["nonlinearity"] = module.nonlinearity
    return found


def _is_plain(value: Any) -> bool:
    if isinstance(value, (list, tuple)):
        return all(map(_is_plain, value))
    return value is None or isinstance(value, (bool, int, float, str))


def _makes_again(config: dict[str, Any], module: nn.Module) -> bool:
    """Whether the config makes such a module: nothing that its author set later would be lost."""
    try:
        with torch.device("meta"):
            again = _made(type(module), config)
    except ConfigError:
        return False
    return _looks(again) == _looks(module)


def _looks(module: nn.Module) -> list[Any]:
    return [
        repr(module),
        {name: (tensor.shape, tensor.dtype) for name, tensor in module.state_dict().items()},
        [
            {name: value for name, value in vars(part).items() if name != "training" and _is_plain(value)}
            for part in module.modules()
        ],
    ]


def no_config(name: str, module: nn.Module) -> ArgumentError:
    """The error of a model that is to be saved with a module that has no config."""
    return ArgumentError(
        f"TorchModule {name!r} holds a {type(module).__name__}, of which a file cannot tell how it is made. Give the "
        f"class a get_config() that returns the arguments of its __init__ and register it with "
        f"lamella.saving.register_keras_serializable(), or save the weights alone: model.save_weights(...)."
    )

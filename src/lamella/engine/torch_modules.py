"""Modules of `torch.nn` as plain data: the arguments that make one again, read from its attributes."""

from __future__ import annotations

import copy
import inspect
from typing import Any

import torch
from torch import nn

from lamella.engine.allowance import spend
from lamella.engine.dtypes import dtype_name, torch_dtype
from lamella.errors import ConfigError

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


def parts_of(module: nn.Module) -> dict[str, Any] | None:
    """What makes a module of `torch.nn` again; None where that cannot be told. Modules inside it stand as they are.

    Example:
        >>> parts_of(torch.nn.Linear(3, 2, bias=False))
        {'class': 'Linear', 'arguments': {'in_features': 3, 'out_features': 2, 'bias': False}}
        >>> made_of(parts_of(torch.nn.LSTM(3, 2)))
        LSTM(3, 2)
    """
    parts: dict[str, Any] = {"class": type(module).__name__}
    if type(module) in _CONTAINERS:
        return {**parts, "modules": [list(each) for each in module._modules.items()]}
    is_lazy = any(map(nn.parameter.is_lazy, [*module.parameters(), *module.buffers()]))
    if getattr(nn, type(module).__name__, None) is not type(module) or is_lazy:
        return None
    parts["arguments"] = _arguments(module)
    kinds = {tensor.dtype for tensor in module.state_dict().values() if tensor.is_floating_point()}
    if len(kinds) == 1 and (kind := kinds.pop()) is not torch.float32:
        parts["dtype"] = dtype_name(kind)
    return parts if _makes_again(parts, module) else None


def made_of(parts: Any) -> nn.Module:
    """The module that `parts_of` told of, with weights drawn anew. Runs no code of a file.

    Raises:
        ConfigError: What is no module of torch.nn, or arguments that it does not take.
        FileError: Larger weights than a file that is being read has numbers for.
    """
    name = parts.get("class") if isinstance(parts, dict) else None
    cls: Any = getattr(nn, name, None) if isinstance(name, str) else None
    if not (inspect.isclass(cls) and issubclass(cls, nn.Module) and cls.__module__.startswith("torch.nn.modules.")):
        raise ConfigError(f"There is no module {name!r} in torch.nn (torch {torch.__version__}).")
    if cls in _CONTAINERS:
        return _filled(cls(), parts.get("modules"))
    for weight in _on_meta(cls, parts).state_dict().values():
        spend(cls.__name__, tuple(weight.shape))
    return _made(cls, parts)


def _filled(container: nn.Module, modules: Any) -> nn.Module:
    try:
        for name, module in modules:
            container.add_module(name, module)
    except (TypeError, ValueError, KeyError) as error:
        raise ConfigError(f"torch.nn.{type(container).__name__} cannot hold {modules!r}: {error}") from error
    return container


def _made(cls: Any, parts: dict[str, Any]) -> nn.Module:
    kind, arguments = torch_dtype(parts.get("dtype", "float32")), parts.get("arguments")
    if not isinstance(arguments, dict):
        raise ConfigError(f"torch.nn.{cls.__name__} is made of arguments by their names; found {arguments!r}.")
    try:
        module: nn.Module = cls(**arguments)
    except (TypeError, ValueError, AttributeError, KeyError, RuntimeError, AssertionError) as error:
        raise ConfigError(f"torch.nn.{cls.__name__} cannot be made of {arguments}: {error}") from error
    return module.to(kind)


def _on_meta(cls: Any, parts: dict[str, Any]) -> nn.Module:
    """The module without data, and without copies of the data of those that it is made of."""
    arguments = parts.get("arguments")
    if isinstance(arguments, dict):
        arguments = {name: _without_data(value) for name, value in arguments.items()}
    with torch.device("meta"):
        return _made(cls, {**parts, "arguments": arguments})


def _without_data(value: Any) -> Any:
    return copy.deepcopy(value).to("meta") if isinstance(value, nn.Module) else value


def _parameters(cls: type) -> dict[str, inspect.Parameter]:
    """The arguments of a class; of one that hands all of them on (`LSTM`), those of its base."""
    own = inspect.signature(cls).parameters
    handed_on = any(each.kind is each.VAR_POSITIONAL for each in own.values())
    base = inspect.signature(cls.__bases__[0]).parameters if handed_on else {}
    return {name: each for name, each in {**base, **own}.items() if name not in ("device", "dtype")}


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
        if _is_plain(value) or isinstance(value, (nn.Module, torch.Tensor)):  # a tensor: the weights of classes
            found[parameter.name] = value
    if isinstance(module, nn.RNN):
        found["nonlinearity"] = module.nonlinearity
    return found


def _is_plain(value: Any) -> bool:
    if isinstance(value, (list, tuple)):
        return all(map(_is_plain, value))
    return value is None or isinstance(value, (bool, int, float, str))


def _makes_again(parts: dict[str, Any], module: nn.Module) -> bool:
    """Whether the parts make such a module: nothing that its author set later would be lost."""
    try:
        return _looks(_on_meta(type(module), parts)) == _looks(module)
    except ConfigError:
        return False


def _looks(module: nn.Module) -> list[Any]:
    return [
        repr(module),
        {name: (tensor.shape, tensor.dtype) for name, tensor in module.state_dict().items()},
        [
            {name: value for name, value in vars(part).items() if name != "training" and _is_plain(value)}
            for part in module.modules()
        ],
    ]

"""`Lambda`: any function as a layer."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

from lamella.engine.registry import code_allowed, deserialize, serialize
from lamella.layers.base import Layer, registry


@registry.register()
class Lambda(Layer):
    """Calls a function of the inputs.

    For more than a line, or for weights of its own, subclass `Layer`: that can also be saved.

    Args:
        function: Takes the inputs (and `mask` and `training`, if it has such arguments).
        output_shape: Kept for Keras's signature; the shape is found by running the function.
        mask: The mask of the output, or a function (inputs, mask) that gives it.
        arguments: Further keyword arguments of the function.
        **kwargs: As for every layer.

    Example:
        >>> import torch
        >>> from lamella.layers import Lambda
        >>> Lambda(lambda x: x**2)(torch.tensor([3.0]))
        tensor([9.])
    """

    takes_strings = True

    def __init__(
        self,
        function: Callable[..., Any],
        output_shape: Any = None,
        mask: Any = None,
        arguments: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.function = function
        self.output_shape = output_shape
        self._mask = mask
        self._arguments = dict(arguments or {})
        self.supports_masking = mask is not None
        self._takes = _arguments_of(function)
        self.built = True

    def call(self, inputs: Any, mask: Any = None, training: bool | None = None) -> Any:
        arguments = dict(self._arguments)
        if "mask" in self._takes:
            arguments["mask"] = mask
        if "training" in self._takes:
            arguments["training"] = training
        return self.function(inputs, **arguments)

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        return self._mask(inputs, mask) if callable(self._mask) else self._mask

    def get_config(self) -> dict[str, Any]:
        config = {**super().get_config(), "arguments": self._arguments}
        config["function"] = _function_config(self.function)
        config.pop("mask", None)
        if self._mask is not None:
            config["mask"] = _function_config(self._mask)
        return config

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None, safe_mode: bool | None = None) -> Lambda:
        """The layer that `get_config` described.

        Args:
            config: What `get_config` gave.
            custom_objects: Functions by name.
            safe_mode: False to make functions of code, which runs it: only where the config is trusted.

        Raises:
            UnsafeError: A function that is code, where that is not trusted.
        """
        config = dict(config)
        with nullcontext() if safe_mode is None else code_allowed(not safe_mode):
            for name in ("function", "mask", "output_shape"):
                if isinstance(config.get(name), (dict, str)):
                    config[name] = deserialize(_by_name(config[name]), custom_objects)
        return cls(**config)


def _arguments_of(function: Callable[..., Any]) -> frozenset[str]:
    try:
        return frozenset(inspect.signature(function).parameters)
    except ValueError:  # compiled ones, such as torch.erf, do not tell
        return frozenset()


def _by_name(config: Any) -> Any:
    """The config of a function, where a name alone stands for it."""
    if not isinstance(config, str):
        return config
    return {"module": "builtins", "class_name": "function", "config": config, "registered_name": "function"}


def _function_config(function: Any) -> Any:
    """A named function by its name; a `lambda` as its code, in the form that Keras's `Lambda` reads."""
    config = _by_name(serialize(function))
    if isinstance(config, dict) and config.get("class_name") == "__lambda__" and "value" in config["config"]:
        config["config"] = dict(zip(("code", "defaults", "closure"), config["config"]["value"], strict=True))
    return config

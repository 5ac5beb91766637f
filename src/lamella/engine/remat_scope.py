"""`RematScope`: layers that are made within it compute their activations again for the gradients."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lamella.errors import ArgumentError

_MODES = ("full", "activations", "larger_than", "list_of_layers", None)
_scopes: list[RematScope] = []


class RematScope:
    """Within it, layers are made with `layer.rematerialize` set: less memory in training, and more time.

    Args:
        mode: Which layers: `"full"` all, `"activations"` those with an activation, `"larger_than"` those whose output
            has more numbers for a sample than `output_size_threshold`, `"list_of_layers"` those named in
            `layer_names`, None none of them.
        output_size_threshold: For `"larger_than"`.
        layer_names: For `"list_of_layers"`.

    Raises:
        ArgumentError: Another mode.

    Source: Chen et al., 2016 (arXiv:1604.06174).

    Example:
        >>> import lamella
        >>> with lamella.RematScope(mode="list_of_layers", layer_names=["wide"]):
        ...     wide, narrow = lamella.layers.Dense(512, name="wide"), lamella.layers.Dense(8)
        >>> wide.rematerialize, narrow.rematerialize
        (True, False)
    """

    def __init__(
        self, mode: str | None = "full", output_size_threshold: int = 1024, layer_names: Sequence[str] | None = None
    ) -> None:
        if mode not in _MODES:
            raise ArgumentError(f"RematScope: `mode` must be one of {_MODES}; got {mode!r}.")
        self.mode = mode
        self.output_size_threshold = output_size_threshold
        self.layer_names = list(layer_names or ())

    def __enter__(self) -> RematScope:
        _scopes.append(self)
        return self

    def __exit__(self, *exception: Any) -> None:
        _scopes.pop()

    def wants(self, layer: Any) -> bool:
        """Whether a layer is to compute its activations again; for `"larger_than"`, before its output is known."""
        if hasattr(layer, "fit"):  # a model's layers are asked, each by itself
            return False
        if self.mode == "list_of_layers":
            return layer.name in self.layer_names
        if self.mode == "activations":
            activation = getattr(layer, "activation", None)
            return activation is not None and getattr(activation, "__name__", "") != "linear"
        return self.mode is not None


def current() -> RematScope | None:
    """The innermost scope, if it asks for anything."""
    return _scopes[-1] if _scopes and _scopes[-1].mode is not None else None

"""The masks that a layer's inputs carry, as the arguments of its `call`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lamella.engine import masking

if TYPE_CHECKING:
    from lamella.layers.base import Layer


def carried_masks(layer: Layer, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """The mask of the first input, which goes to `mask`; that of an argument `x` goes to `x_mask`.

    Args:
        layer: The layer that is called.
        args: The positional arguments of `call`.
        kwargs: Those by name, to which the masks are added that `call` takes and was not given.
    """
    if layer._masked_arguments:
        inputs = dict(zip(layer._call_names(), args, strict=False)) | kwargs
        for name in layer._masked_arguments:
            _give(kwargs, f"{name}_mask", masking.of(inputs.get(name)))
    first = args[0] if args else next(iter(kwargs.values()), None)
    mask = masking.of(first)
    if "mask" in layer._call_takes:
        _give(kwargs, "mask", mask)
    return mask


def _give(kwargs: dict[str, Any], name: str, mask: Any) -> None:
    if mask is not None and kwargs.get(name) is None:
        kwargs[name] = mask

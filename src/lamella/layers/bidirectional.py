"""`Bidirectional`: a recurrent layer that reads the sequence both ways."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from lamella.engine.registry import deserialize, serialize
from lamella.errors import ArgumentError
from lamella.layers.base import Layer, registry
from lamella.layers.recurrent import first_mask
from lamella.layers.wrapper import build_layer, checked_layer

_MERGE = ("sum", "mul", "ave", "concat", None)


@registry.register()
class Bidirectional(Layer):
    """Runs a recurrent layer forwards and another backwards, and merges their outputs step by step.

    Args:
        layer: An `RNN` (`LSTM`, `GRU`, ...) or a layer with its attributes; it is copied, not kept.
        merge_mode: How the two outputs become one: `"concat"`, `"sum"`, `"mul"`, `"ave"`; None for a tuple of both.
        weights: The arrays to start from, those of the forward layer first.
        backward_layer: The layer that reads backwards; a copy of `layer` by default.
        **kwargs: As for every layer.

    Shapes: (batch, time, features) -> (batch, 2 * units) with `"concat"`, else (batch, units); with a time axis if
    the layer returns sequences. With its `return_state` a tuple (output, *forward states, *backward states), and
    `initial_state` is given in the same order. The output of a masked step is 0.

    Raises:
        ArgumentError: Something that is not a layer, an unknown `merge_mode`, or two layers that do not match.

    Source: Schuster and Paliwal, 1997.

    Example:
        >>> import torch
        >>> from lamella.layers import LSTM, Bidirectional
        >>> Bidirectional(LSTM(4, return_sequences=True))(torch.ones(2, 5, 3)).shape
        torch.Size([2, 5, 8])
    """

    def __init__(
        self,
        layer: Layer,
        merge_mode: str | None = "concat",
        weights: Sequence[Any] | None = None,
        backward_layer: Layer | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        given = _check_recurrent(self, layer)
        if merge_mode not in _MERGE:
            raise ArgumentError(
                f"Bidirectional {self.name!r}: `merge_mode` must be one of {_MERGE}; got {merge_mode!r}."
            )
        self.forward_layer: Any = _copy(layer, "forward_", given.go_backwards)
        if backward_layer is None:
            self.backward_layer = _copy(layer, "backward_", True)
        else:
            self.backward_layer = _check_recurrent(self, backward_layer)
        self._check_match()
        for each in (self.forward_layer, self.backward_layer):
            if getattr(each, "zero_output_for_mask", None) is not None:
                each.zero_output_for_mask = each.return_sequences  # what is added or put beside it must not be stale
        self.merge_mode = merge_mode
        self.stateful = given.stateful
        self.return_sequences = given.return_sequences
        self.return_state = given.return_state
        self.supports_masking = True
        self.input_spec = given.input_spec
        self._initial_weights = weights
        if not self._trainable:
            self.trainable = False

    def _check_match(self) -> None:
        forward, backward = self.forward_layer, self.backward_layer
        if forward.go_backwards == backward.go_backwards:
            raise ArgumentError(
                f"Bidirectional {self.name!r}: one layer must go forwards and the other backwards, but both have "
                f"go_backwards={forward.go_backwards}. Give the backward layer go_backwards=True."
            )
        for name in ("stateful", "return_sequences", "return_state"):
            if getattr(forward, name) != getattr(backward, name):
                raise ArgumentError(
                    f"Bidirectional {self.name!r}: both layers must have the same `{name}`; the forward layer has "
                    f"{getattr(forward, name)}, the backward layer {getattr(backward, name)}."
                )

    def build(self, sequences_shape: Any, initial_state_shape: Any = None) -> None:
        build_layer(self.forward_layer, sequences_shape)
        build_layer(self.backward_layer, sequences_shape)
        if self._initial_weights:
            self.set_weights(list(self._initial_weights))
            self._initial_weights = None

    def call(
        self,
        sequences: torch.Tensor,
        initial_state: Any = None,
        mask: Any = None,
        training: bool | None = None,
    ) -> Any:
        states: Any = (None, None)
        if initial_state is not None:
            half = len(initial_state) // 2
            states = (list(initial_state[:half]), list(initial_state[half:]))
        further = {} if mask is None else {"mask": mask}
        y, y_back = (
            layer(sequences, training=training, **further, **({} if state is None else {"initial_state": state}))
            for layer, state in zip((self.forward_layer, self.backward_layer), states, strict=True)
        )
        after: tuple[Any, ...] = ()
        if self.return_state:
            after = (*y[1:], *y_back[1:])
            y, y_back = y[0], y_back[0]
        if self.return_sequences:
            y_back = y_back.flip(1)
        merged = self._merged(y, y_back)
        if not self.return_state:
            return merged
        return (*merged, *after) if self.merge_mode is None else (merged, *after)

    def _merged(self, y: torch.Tensor, y_back: torch.Tensor) -> Any:
        if self.merge_mode == "concat":
            return torch.cat([y, y_back], -1)
        if self.merge_mode == "sum":
            return y + y_back
        if self.merge_mode == "ave":
            return (y + y_back) / 2
        if self.merge_mode == "mul":
            return y * y_back
        return y, y_back

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        mask = first_mask(mask) if self.return_sequences else None
        outputs = [mask, mask] if self.merge_mode is None else [mask]
        if self.return_state:
            outputs += [None] * (2 * len(self.forward_layer.state_size))
        return outputs if len(outputs) > 1 else mask

    def _can_be_quick(self) -> bool:
        return self.activity_regularizer is None  # without a mask there is none to make

    @property
    def states(self) -> tuple[Any, ...] | None:
        """The states in which the last batch ended, of a stateful layer."""
        forward, backward = self.forward_layer.states, self.backward_layer.states
        return (*forward, *backward) if forward and backward else None

    def reset_state(self) -> None:
        """Sets the states of both layers to zeros.

        Raises:
            AttributeError: The layers are not stateful.
        """
        if not self.stateful:
            raise AttributeError(f"Bidirectional {self.name!r} is not stateful: it has no states to reset.")
        self.forward_layer.reset_state()
        self.backward_layer.reset_state()

    def reset_states(self) -> None:
        """The same as `reset_state`."""
        self.reset_state()

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        config.pop("weights", None)
        config["layer"] = serialize(self.forward_layer)
        config["backward_layer"] = serialize(self.backward_layer)
        return config

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Mapping[str, Any] | None = None) -> Layer:
        layers = {
            key: deserialize(config[key], custom_objects, registry)
            for key in ("layer", "backward_layer")
            if config.get(key) is not None
        }
        return super().from_config({**config, **layers})


def _check_recurrent(wrapper: Layer, layer: Any) -> Any:
    layer = checked_layer(wrapper, layer)
    needed = ("go_backwards", "stateful", "return_sequences", "return_state")
    missing = [name for name in needed if not hasattr(layer, name)]
    if missing:
        raise ArgumentError(
            f"Bidirectional {wrapper.name!r} wraps a recurrent layer, such as LSTM; {layer.name!r} "
            f"({type(layer).__name__}) has no {missing}."
        )
    return layer


def _copy(layer: Layer, prefix: str, go_backwards: bool) -> Any:
    """A layer with the configuration of `layer`, and no weights yet."""
    name = prefix + layer.name.removeprefix(prefix)
    made: Any = type(layer).from_config({**layer.get_config(), "name": name, "go_backwards": go_backwards})
    if hasattr(layer, "use_cudnn"):
        made.use_cudnn = layer.use_cudnn
    return made

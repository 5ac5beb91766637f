"""The networks of a `Forecaster`: from the history (and what is known of the future) to all the steps ahead at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F

from lamella import layers
from lamella.engine.image_data_format import channels_last_inside
from lamella.initializers import Constant
from lamella.language.positions import PositionEncoding
from lamella.language.transformer import TransformerBlock
from lamella.models import Model
from lamella.saving import register_keras_serializable

ARCHITECTURES = ("linear", "rnn", "lstm", "gru", "tcn", "transformer")
_RECURRENT = {"rnn": layers.SimpleRNN, "lstm": layers.LSTM, "gru": layers.GRU}


@dataclass(frozen=True)
class Sizes:
    """What a network is to be: lengths, numbers of features, width and depth."""

    input_length: int
    horizon: int
    num_targets: int
    num_features: int
    num_known: int
    num_quantiles: int  # 1 for a single forecast
    units: int
    depth: int
    dropout: float
    kernel_size: int
    num_heads: int
    patch_length: int


def forecast_network(architecture: str, sizes: Sizes) -> Model:
    """A model from (batch, input_length, num_features), and (batch, horizon, num_known) where num_known is above 0.

    Returns:
        A functional model whose output is (batch, horizon, num_targets, num_quantiles).
    """
    history = layers.Input((sizes.input_length, sizes.num_features), name="history")
    future = layers.Input((sizes.horizon, sizes.num_known), name="future") if sizes.num_known else None
    if architecture == "linear":
        outputs = decomposed_linear(history, future, sizes)
    else:
        context = {"tcn": _tcn_context, "transformer": transformer_context}.get(architecture, _recurrent_context)
        outputs = decoded(context(history, sizes, architecture), future, sizes)
    return Model(history if future is None else [history, future], outputs, name="network")


def decoded(context: Any, future: Any, sizes: Sizes) -> Any:
    """All the steps ahead from one vector; each also looks at what is known of it (Wen et al., MQ-RNN, 2017)."""
    shape = (sizes.horizon, sizes.num_targets, sizes.num_quantiles)
    outputs = sizes.num_targets * sizes.num_quantiles
    if future is None:
        flat = layers.Dense(sizes.horizon * outputs, name="forecast")(context)
        return layers.Reshape(shape, name="steps")(flat)
    x = layers.Dense(sizes.horizon * sizes.units, name="steps_ahead")(context)
    x = layers.Reshape((sizes.horizon, sizes.units), name="by_step")(x)
    x = layers.Concatenate(name="with_known")([x, future])
    x = layers.Dense(sizes.units, activation="relu", name="step_hidden")(x)
    return layers.Reshape(shape, name="steps")(layers.Dense(outputs, name="forecast")(x))


# -- linear -----------------------------------------------------------------------------------------------------


def decomposed_linear(history: Any, future: Any, sizes: Sizes) -> Any:
    """DLinear: trend and rest of each target, each by one matrix over time (Zeng et al., 2023).

    What else is known adds to it, linearly too: other columns of the past over time, and those of each step ahead.
    """
    targets = history[..., : sizes.num_targets]
    smooth = MovingAverage(min(sizes.kernel_size, sizes.input_length), name="trend")(targets)
    per_target = sizes.horizon * sizes.num_quantiles
    parts = [
        layers.Dense(per_target, kernel_initializer=_mean(sizes), name=f"{name}_over_time")(part.transpose(1, 2))
        for name, part in (("trend", smooth), ("rest", targets - smooth))
    ]
    total = layers.Reshape((sizes.num_targets, sizes.horizon, sizes.num_quantiles), name="by_target")(
        parts[0] + parts[1]
    ).transpose(1, 2)
    shape = (sizes.horizon, sizes.num_targets, sizes.num_quantiles)
    if sizes.num_features > sizes.num_targets:
        others = layers.Dense(sizes.horizon, kernel_initializer="zeros", name="others_over_time")(
            history[..., sizes.num_targets :].transpose(1, 2)
        )
        outputs = layers.Dense(sizes.num_targets * sizes.num_quantiles, name="others")(others.transpose(1, 2))
        total = total + layers.Reshape(shape, name="others_by_step")(outputs)
    if future is not None:
        known = layers.Dense(sizes.num_targets * sizes.num_quantiles, kernel_initializer="zeros", name="known")(future)
        total = total + layers.Reshape(shape, name="known_by_step")(known)
    return total


def _mean(sizes: Sizes) -> Any:
    return Constant(1 / sizes.input_length)  # the first forecast is the mean of the history


@register_keras_serializable(package="lamella")
class MovingAverage(layers.Layer):
    """The mean of the `kernel_size` values around each; at the ends, the first and the last value go on.

    Shapes: (batch, time, channels) -> the same.

    Example:
        >>> MovingAverage(3)(torch.tensor([[[0.0], [3.0], [6.0]]])).flatten().tolist()
        [1.0, 3.0, 5.0]
    """

    def __init__(self, kernel_size: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.kernel_size = kernel_size

    def call(self, inputs: torch.Tensor) -> torch.Tensor:
        before = (self.kernel_size - 1) // 2
        x = F.pad(inputs.transpose(1, 2), (before, self.kernel_size - 1 - before), mode="replicate")
        return F.avg_pool1d(x, self.kernel_size, 1).transpose(1, 2)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "kernel_size": self.kernel_size}


# -- recurrent --------------------------------------------------------------------------------------------------


def _recurrent_context(history: Any, sizes: Sizes, architecture: str) -> Any:
    x = history
    for i in range(sizes.depth):
        last = i == sizes.depth - 1
        layer = _RECURRENT[architecture](sizes.units, return_sequences=not last, name=f"{architecture}_{i + 1}")
        x = layer(x)
        if sizes.dropout:
            x = layers.Dropout(sizes.dropout, name=f"dropout_{i + 1}")(x)
    return x


# -- convolutional ----------------------------------------------------------------------------------------------


@channels_last_inside
def temporal_convolutions(x: Any, sizes: Sizes) -> Any:
    """Residual blocks of causal convolutions, each twice as dilated as the one before (Bai et al., 2018).

    (batch, time, features) -> (batch, time, units); no output sees what comes after it.
    """
    x = layers.Dense(sizes.units, name="tcn_width")(x)
    for i in range(tcn_blocks(sizes)):
        y = x
        for j in (1, 2):
            y = layers.Conv1D(
                sizes.units,
                sizes.kernel_size,
                padding="causal",
                dilation_rate=2**i,
                activation="relu",
                kernel_initializer="he_normal",
                name=f"tcn_{i + 1}_conv{j}",
            )(y)
            if sizes.dropout:
                y = layers.Dropout(sizes.dropout, name=f"tcn_{i + 1}_dropout{j}")(y)
        x = layers.LayerNormalization(name=f"tcn_{i + 1}_norm")(x + y)
    return x


def tcn_blocks(sizes: Sizes) -> int:
    """As many blocks as it takes for the last output to see the whole history."""
    blocks = 1
    while 1 + 2 * (sizes.kernel_size - 1) * (2**blocks - 1) < sizes.input_length:
        blocks += 1
    return blocks


def _tcn_context(history: Any, sizes: Sizes, architecture: str) -> Any:
    return temporal_convolutions(history, sizes)[:, -1]


# -- transformer ------------------------------------------------------------------------------------------------


@channels_last_inside
def transformer_context(history: Any, sizes: Sizes, architecture: str) -> Any:
    """Attention over patches of the history, the oldest rest of it left out (Nie et al., PatchTST, 2023)."""
    patches = sizes.input_length // sizes.patch_length
    recent = history[:, sizes.input_length - patches * sizes.patch_length :]
    x = layers.Reshape((patches, sizes.patch_length * sizes.num_features), name="patches")(recent)
    x = PositionEncoding(patches, "learned", name="positions")(layers.Dense(sizes.units, name="patch_width")(x))
    for i in range(sizes.depth):
        x = TransformerBlock(sizes.num_heads, 2 * sizes.units, dropout=sizes.dropout, name=f"block_{i + 1}")(x)
    x = layers.LayerNormalization(name="last_norm")(x)
    x = layers.Flatten(name="all_patches")(x)
    return layers.Dropout(sizes.dropout, name="context_dropout")(x) if sizes.dropout else x

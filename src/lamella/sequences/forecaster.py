"""`Forecaster`: what comes next in a series, in the units of the data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

from lamella.engine.device import device_of
from lamella.errors import ArgumentError, DataError, NotBuiltError
from lamella.losses import MeanSquaredError
from lamella.models import Model
from lamella.optimizers import Adam
from lamella.saving import register_keras_serializable
from lamella.sequences.forecast_networks import ARCHITECTURES, Sizes, forecast_network
from lamella.sequences.instance_normalization import ReversibleNormalization
from lamella.sequences.quantile_loss import QuantileLoss, checked_quantiles
from lamella.sequences.scaling import Scaler
from lamella.sequences.series import Series
from lamella.sequences.series_features import SeriesFeatures
from lamella.sequences.windows import Windows


@register_keras_serializable(package="lamella")
class Forecaster(Model):
    """Forecasts the next rows of one or several series, all steps at once.

    Series are arrays, dicts of columns, DataFrames or CSV files, as for `read_series`. The model scales them itself, by
    what the training part of each says, and its forecasts are in the units of the data. All that it needs for that is
    in its `.keras` file.

    Args:
        input_length: How many rows of history it sees.
        horizon: How many rows it forecasts.
        architecture: `"linear"` (DLinear), `"rnn"`, `"lstm"`, `"gru"`, `"tcn"` or `"transformer"`. Try the first first.
        targets: The columns to forecast; by default every column of numbers that is not named below.
        past: Other columns that help, known up to now.
        known_future: Other columns that help, known for the rows to forecast too, such as holidays or prices.
        quantiles: None for one forecast (of the mean, with the default loss), or the quantiles to forecast, as
            (0.1, 0.5, 0.9). They never cross.
        scaling: `"standard"`, `"log1p"` (of targets that are never negative and grow by percents; other columns are
            scaled as usual) or None.
        instance_normalization: True or `"mean"` normalizes the targets of each window by its own mean and deviation;
            `"last"` by its last value and its deviation. For series whose level wanders or grows.
        calendar: What of the time counts: any of "minute_of_hour", "hour_of_day", "day_of_week", "day_of_month",
            "month_of_year", "day_of_year".
        time_column: The column of the times; several for year, month, day, hour, minute.
        series_column: The column that says which series a row belongs to.
        fill: What to do with missing rows and values: None refuses them, `"linear"` and `"forward"` fill them.
        units: The width of the network (not of `"linear"`).
        depth: How many recurrent layers or transformer blocks it has; a TCN has what the history needs.
        dropout: The share that is dropped while training.
        kernel_size: The rows of the moving average of `"linear"` (25) and of a convolution of `"tcn"` (3).
        num_heads: The attention heads of `"transformer"`.
        patch_length: The rows of a patch of `"transformer"`; by default such that there are about 24 patches.
        **kwargs: As for every model.

    Shapes, of the network itself: (batch, input_length, features), and (batch, horizon, known features) where there are
    some, all scaled -> (batch, horizon, targets), or (batch, horizon, targets, quantiles).

    Raises:
        ArgumentError: Arguments that cannot be.

    Source: linear: Zeng et al., 2023; TCN: Bai et al., 2018; patches: Nie et al., 2023; many steps at once with
    quantiles: Wen et al., 2017; instance normalization: Kim et al., 2022.

    Example:
        >>> model = Forecaster(input_length=12, horizon=6, kernel_size=3)
        >>> model.compile()
        >>> wave = 100 + 10 * np.sin(np.arange(120) * 2 * np.pi / 12)
        >>> history = model.fit(wave, epochs=2, verbose=0)
        >>> model.predict(wave).shape
        (6, 1)
    """

    def __init__(
        self,
        input_length: int,
        horizon: int,
        architecture: str = "linear",
        targets: str | Sequence[str] | None = None,
        past: Sequence[str] = (),
        known_future: Sequence[str] = (),
        quantiles: Sequence[float] | None = None,
        scaling: str | None = "standard",
        instance_normalization: bool | str = False,
        calendar: Sequence[str] = (),
        time_column: str | Sequence[str] | None = None,
        series_column: str | None = None,
        fill: str | None = None,
        units: int = 64,
        depth: int = 2,
        dropout: float = 0.0,
        kernel_size: int | None = None,
        num_heads: int = 4,
        patch_length: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        _check_numbers(input_length, horizon, units, depth, dropout)
        for argument, value, known in (
            ("architecture", architecture, ARCHITECTURES),
            ("instance_normalization", instance_normalization, (False, True, "mean", "last")),
        ):
            if value not in known:
                raise ArgumentError(f"Forecaster: `{argument}` must be one of {known}; got {value!r}.")
        if patch_length is not None and not 1 <= patch_length <= input_length:
            raise ArgumentError(
                f"Forecaster: `patch_length` {patch_length} must be from 1 to the input_length, {input_length}."
            )
        self.input_length = input_length
        self.horizon = horizon
        self.architecture = architecture
        self.quantiles = None if quantiles is None else checked_quantiles(quantiles)
        self.instance_normalization = "mean" if instance_normalization is True else instance_normalization
        self.units = units
        self.depth = depth
        self.dropout = dropout
        self.kernel_size = kernel_size or {"linear": 25}.get(architecture, 3)
        self.num_heads = num_heads
        self.patch_length = patch_length or max(1, input_length // 24)
        self.features = SeriesFeatures(targets, past, known_future, scaling, calendar, time_column, series_column, fill)
        self._fitted_with: dict[str, Any] = {}
        if targets is not None:
            self._make_network()

    # -- the network ------------------------------------------------------------------------------------------

    @property
    def targets(self) -> list[str]:
        """The columns that are forecast."""
        return self.features.columns[: len(self.features.targets or ())]

    def _make_network(self) -> None:
        sizes = Sizes(
            input_length=self.input_length,
            horizon=self.horizon,
            num_targets=len(self.targets),
            num_features=self.features.num_features,
            num_known=self.features.num_known,
            num_quantiles=len(self.quantiles or (1,)),
            units=self.units,
            depth=self.depth,
            dropout=self.dropout,
            kernel_size=self.kernel_size,
            num_heads=self.num_heads,
            patch_length=self.patch_length,
        )
        self.network = forecast_network(self.architecture, sizes)
        if self.instance_normalization:
            self.normalization = ReversibleNormalization(str(self.instance_normalization), name="normalization")
            self.normalization.build((None, self.input_length, len(self.targets)))
            self.normalization.built = True
        self.built = True  # with its network

    def call(self, inputs: Any, training: bool | None = None) -> torch.Tensor:  # type: ignore[override]
        history, *future = inputs if isinstance(inputs, (list, tuple)) else [inputs]
        if self.instance_normalization:
            count = len(self.targets)
            normal, level, spread = self.normalization(history[..., :count])
            history = torch.cat([normal, history[..., count:]], -1)
        outputs = self.network([history, *future] if future else history)
        if self.instance_normalization:
            outputs = self.normalization.restore(outputs, level, spread)
        return outputs.squeeze(-1) if self.quantiles is None else outputs.sort(-1).values  # so they never cross

    # -- training ---------------------------------------------------------------------------------------------

    def compile(self, optimizer: Any = None, loss: Any = None, **kwargs: Any) -> None:  # type: ignore[override]
        """Says how to train: by default with Adam, on the squared error or, for quantiles, the pinball loss."""
        if loss is None:
            loss = MeanSquaredError() if self.quantiles is None else QuantileLoss(self.quantiles)
        super().compile(Adam() if optimizer is None else optimizer, loss, **kwargs)

    def fit(  # type: ignore[override]
        self,
        x: Any = None,
        validation_split: float = 0.0,
        validation_rows: int = 0,
        batch_size: int = 32,
        epochs: int = 1,
        verbose: str | int = "auto",
        callbacks: Any = None,
        shuffle: bool = True,
        **kwargs: Any,
    ) -> Any:
        """Trains on every window of the series.

        Scales are learnt from the rows before those of validation alone, once for each series; training goes on with
        them. A window is for validation if the rows that it forecasts are; its history may reach back further.

        Args:
            x: One or several series, as for `read_series`.
            validation_split: The share of the last rows of each series that is kept for validation.
            validation_rows: Or how many rows.
            batch_size: Windows in one step.
            epochs: The epoch to train up to.
            verbose: 0 silent, 1 a progress bar, 2 a line an epoch.
            callbacks: Callback objects.
            shuffle: Whether windows come in a new order each epoch.
            **kwargs: `initial_epoch`, `steps_per_epoch`, ... as for every model.

        Returns:
            The history: a number for each metric, in scaled units, and epoch.

        Raises:
            DataError: Series that cannot be used: too short, with gaps, constant, without a column, ...
            ArgumentError: No share, or both a share and rows.
        """
        self._require_compiled("fit")
        if not 0 <= validation_split < 1 or validation_rows < 0 or (validation_split and validation_rows):
            raise ArgumentError(
                f"Forecaster.fit: give either `validation_split`, a share from 0 to 1, or `validation_rows`; got "
                f"{validation_split!r} and {validation_rows!r}."
            )
        self._fitted_with = {
            "validation_split": validation_split,
            "validation_rows": validation_rows,
            "batch_size": batch_size,
            "epochs": epochs,
            "callbacks": callbacks,
            "shuffle": shuffle,
        }
        many = self.features.read(x, fitting=True)
        if not self.built:
            self._make_network()
        held = [validation_rows or int(len(series) * validation_split) for series in many]
        for series, count in zip(many, held, strict=True):
            self.features.learn_scale(series, len(series) - count)
        rows, offsets = self._stacked(many)
        starts, later = [], []
        for series, count, offset in zip(many, held, offsets, strict=True):
            split, window = len(series) - count, self.input_length + self.horizon
            self._require_rows(series, split, window, "to train on")
            starts.append(torch.arange(offset, offset + split - window + 1))
            if count:
                if count < self.horizon:
                    raise DataError(
                        f"Series {series.name!r}: {count} rows of validation are fewer than the horizon of "
                        f"{self.horizon}. Keep more."
                    )
                later.append(torch.arange(offset + split - self.input_length, offset + len(series) - window + 1))
        training = self._windows(rows, torch.cat(starts), batch_size, shuffle)
        validation = self._windows(rows, torch.cat(later), 256) if later else None
        return super().fit(
            training,
            epochs=epochs,
            verbose=verbose,
            callbacks=callbacks,
            shuffle=False,  # the windows do it
            validation_data=validation,
            **kwargs,
        )

    def refitted(self, x: Any) -> Forecaster:
        """A new model like this one, trained on other rows with the arguments of this one's last `fit`."""
        if not self._fitted_with:
            raise NotBuiltError(f"Forecaster {self.name!r} has not been fitted: there is nothing to do again.")
        model = type(self).from_config({**self.get_config(), "scalers": {}, "step": None})
        model.compile_from_config(self.get_compile_config() or {})
        model.fit(x, verbose=0, **self._fitted_with)
        return model

    def evaluate(  # type: ignore[override]
        self,
        x: Any = None,
        rows: int | None = None,
        batch_size: int = 256,
        verbose: str | int = 0,
        callbacks: Any = None,
        return_dict: bool = False,
    ) -> Any:
        """The loss and the metrics, in scaled units, of all windows that forecast within the last `rows` rows.

        Args:
            x: One or several series.
            rows: How many rows at the end of each are forecast; by default all that have a whole history.
            batch_size: Windows in one batch.
            verbose: 0 silent, 1 a progress bar, 2 a line.
            callbacks: Callback objects.
            return_dict: Whether to return a dict by name.
        """
        many = self.features.read(x)
        values, offsets = self._stacked(many)
        starts = []
        for series, offset in zip(many, offsets, strict=True):
            self._require_rows(series, len(series), self.input_length + (rows or self.horizon), "to evaluate")
            first = 0 if rows is None else len(series) - rows - self.input_length
            starts.append(torch.arange(offset + first, offset + len(series) - self.input_length - self.horizon + 1))
        windows = self._windows(values, torch.cat(starts), batch_size)
        return super().evaluate(windows, verbose=verbose, callbacks=callbacks, return_dict=return_dict)

    # -- prediction -------------------------------------------------------------------------------------------

    def predict(  # type: ignore[override]
        self,
        x: Any,
        future: Any = None,
        batch_size: int = 256,
        verbose: str | int = 0,
    ) -> np.ndarray:
        """The rows after the last, in the units of the data.

        Args:
            x: The history of one or several series: `input_length` rows or more each, with the columns of `fit`.
            future: The `horizon` rows after it, for models with `known_future` columns: with these columns (and times,
                if there are any), as many series as `x`.
            batch_size: Series in one batch.
            verbose: Kept for Keras's signature.

        Returns:
            (horizon, targets), or (horizon, targets, quantiles); for a list, a dict or a `series_column` of several
            series, (series, ...).

        Raises:
            DataError: A history that is too short or has gaps, other columns, a series whose scale was never learnt.
        """
        many = self.features.read(x)
        ahead = self.features.read_future(future, many, self.horizon)
        for series in many:
            self._require_rows(series, len(series), self.input_length, "of history")
        parts = [
            self.features.rows(series[-self.input_length :], more) for series, more in zip(many, ahead, strict=True)
        ]
        rows = torch.cat(parts)
        starts = torch.arange(len(many)) * (self.input_length + self.horizon)
        found = self._forecasts(rows, starts, batch_size)
        values = np.stack(
            [self.features.scaler(series.name).inverse(each, 1) for series, each in zip(many, found, strict=True)]
        )
        single = len(many) == 1 and self.features.series_column is None and not _is_several(x)
        return values[0] if single else values

    def predict_at(self, x: Any, origins: Sequence[int] | np.ndarray, batch_size: int = 256) -> np.ndarray:
        """Forecasts from many rows of one series at once, as a back-test needs them.

        Args:
            x: One series, as `fit` takes them.
            origins: The first row of each forecast; its history is the `input_length` rows before. What is known of
                the future is read from the rows that it forecasts, which must be there; their targets are not used.
            batch_size: Windows in one batch.

        Returns:
            (origins, horizon, targets), or (origins, horizon, targets, quantiles), in the units of the data.
        """
        many = self.features.read(x)
        if len(many) != 1:
            raise ArgumentError(f"Forecaster.predict_at takes one series; got {len(many)}.")
        series, where = many[0], torch.as_tensor(np.asarray(origins), dtype=torch.int64)
        if not len(where) or int(where.min()) < self.input_length or int(where.max()) > len(series) - self.horizon:
            raise DataError(
                f"Series {series.name!r} has {len(series)} rows: forecasts of {self.horizon} from {self.input_length} "
                f"start at rows {self.input_length} to {len(series) - self.horizon}; got {list(origins)[:5]}..."
            )
        found = self._forecasts(self.features.rows(series), where - self.input_length, batch_size)
        return self.features.scaler(series.name).inverse(found, 2)

    def _forecasts(self, rows: torch.Tensor, starts: torch.Tensor, batch_size: int) -> np.ndarray:
        windows = self._windows(rows.to(device_of(self)), starts, batch_size)
        with torch.no_grad():
            parts = [self(windows[i][0], training=False) for i in range(len(windows))]
        return torch.cat(parts).double().cpu().numpy()

    # -- windows ----------------------------------------------------------------------------------------------

    def _stacked(self, many: list[Series]) -> tuple[torch.Tensor, list[int]]:
        """The rows of all series, one after the other, on the device; and where each starts."""
        rows = torch.cat([self.features.rows(series) for series in many]).to(device_of(self))
        lengths = [len(series) for series in many]
        return rows, [sum(lengths[:i]) for i in range(len(lengths))]

    def _windows(self, rows: torch.Tensor, starts: torch.Tensor, batch_size: int, shuffle: bool = False) -> Windows:
        return Windows(
            rows,
            starts.to(rows.device),
            self.input_length,
            self.horizon,
            len(self.targets),
            self.features.num_known,
            batch_size,
            shuffle,
        )

    def _require_rows(self, series: Series, rows: int, needed: int, what: str) -> None:
        if rows < needed:
            raise DataError(
                f"Series {series.name!r} has {rows} rows {what}; expected {needed} or more (input_length "
                f"{self.input_length}, horizon {self.horizon}). Give a longer series, or make the model's lengths less."
            )

    # -- configuration ----------------------------------------------------------------------------------------

    def get_config(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "input_length": self.input_length,
            "horizon": self.horizon,
            "architecture": self.architecture,
            "quantiles": self.quantiles,
            "instance_normalization": self.instance_normalization,
            "units": self.units,
            "depth": self.depth,
            "dropout": self.dropout,
            "kernel_size": self.kernel_size,
            "num_heads": self.num_heads,
            "patch_length": self.patch_length,
            **self.features.get_config(),
        }

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> Forecaster:
        config = dict(config)
        scalers, step = config.pop("scalers", {}), config.pop("step", None)
        model = cls(**config)
        model.features.scalers = {name: Scaler(**scaler) for name, scaler in scalers.items()}
        model.features.step = step
        return model


def _is_several(data: Any) -> bool:
    """Whether the caller gave a collection of series, be it of one."""
    if isinstance(data, Mapping):
        return any(np.ndim(each) != 1 for each in data.values())
    return isinstance(data, (list, tuple)) and bool(len(data)) and not np.isscalar(data[0])


def _check_numbers(input_length: int, horizon: int, units: int, depth: int, dropout: float) -> None:
    whole = {"input_length": input_length, "horizon": horizon, "units": units, "depth": depth}
    for argument, value in whole.items():
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise ArgumentError(f"Forecaster: `{argument}` must be a whole number, 1 or more; got {value!r}.")
    if not 0 <= dropout < 1:
        raise ArgumentError(f"Forecaster: `dropout` must be 0 or more and below 1; got {dropout!r}.")

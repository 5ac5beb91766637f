"""`Callback`: what happens at the start and the end of training, of an epoch, of a batch."""

from __future__ import annotations

from typing import Any

Logs = dict[str, Any]


class Callback:
    """The base of callbacks. `self.model` is the model, `self.params` what `fit` was given.

    Besides Keras's events `fit` calls two more on a callback that defines them:

    - `set_data(source, validation)`, before training, with the data as `fit` reads them (validation: None without).
      `peek()` of each is a first batch, `(x, y, sample_weight)`, `num_samples` how many samples there are (None if
      unknown); of data in memory `x`, `y` and `weight` are all of them. Let go of them at the end.
    - `on_train_error(error)`, in the place of `on_train_end`, where an error ends the training (Ctrl-C is none). The
      error is raised all the same.

    A class with `first_only = True` works in the first process alone, where several train together; one with
    `comes_last = True` is called after the others, whatever their order.

    Example:
        >>> class Say(Callback):
        ...     def on_epoch_end(self, epoch, logs=None):
        ...         print(epoch, sorted(logs))
        >>> Say().on_epoch_end(0, {"loss": 1.0})
        0 ['loss']
    """

    def __init__(self) -> None:
        self.params: dict[str, Any] = {}
        self._model: Any = None
        self.validation_data: Any = None

    @property
    def model(self) -> Any:
        """The model that is being trained."""
        return self._model

    def set_params(self, params: dict[str, Any]) -> None:
        """Called before training."""
        self.params = params

    def set_model(self, model: Any) -> None:
        """Called before training."""
        self._model = model

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Called once before training."""

    def on_train_end(self, logs: Logs | None = None) -> None:
        """Called once after training, however few epochs it had; not, as in Keras, where an error ended it.

        A callback that must clean up then defines `on_train_error(error)`, which `fit` calls in that case.
        """

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        """Called before each epoch, counted from 0."""

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Called after each epoch, with its metrics."""

    def on_train_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Called before each batch; calls the older name, `on_batch_begin`."""
        self.on_batch_begin(batch, logs)

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """Called after each batch; calls the older name, `on_batch_end`."""
        self.on_batch_end(batch, logs)

    def on_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """The older name of `on_train_batch_begin`."""

    def on_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """The older name of `on_train_batch_end`."""

    def on_test_begin(self, logs: Logs | None = None) -> None:
        """Called before an evaluation."""

    def on_test_end(self, logs: Logs | None = None) -> None:
        """Called after an evaluation."""

    def on_test_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Called before each batch of an evaluation."""

    def on_test_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """Called after each batch of an evaluation."""

    def on_predict_begin(self, logs: Logs | None = None) -> None:
        """Called before a prediction."""

    def on_predict_end(self, logs: Logs | None = None) -> None:
        """Called after a prediction."""

    def on_predict_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Called before each batch of a prediction."""

    def on_predict_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """Called after each batch of a prediction."""


_OLDER_NAMES = {"on_train_batch_begin": "on_batch_begin", "on_train_batch_end": "on_batch_end"}


def defines(callback: Any, name: str) -> bool:
    """Whether the callback does anything at this event, under its name or its older one."""
    if name in _OLDER_NAMES and isinstance(callback, Callback) and defines(callback, _OLDER_NAMES[name]):
        return True
    method = getattr(type(callback), name, None)
    own = name in getattr(callback, "__dict__", {})
    return own or (method is not None and method is not getattr(Callback, name, None))

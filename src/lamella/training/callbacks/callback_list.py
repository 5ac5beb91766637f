"""`CallbackList`: the callbacks of one run."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from lamella.engine import cluster
from lamella.errors import ArgumentError
from lamella.training.callbacks.base import Callback, Logs, defines
from lamella.training.callbacks.history import History
from lamella.training.callbacks.learning_rate import ShowsRates
from lamella.training.callbacks.progbar_logger import ProgbarLogger

_OF_TRAINED_BATCHES = frozenset({"on_train_batch_begin", "on_train_batch_end", "on_batch_begin", "on_batch_end"})


class CallbackList(Callback):
    """The callbacks of one run; calls each that defines the event.

    A training loop of your own calls its events: `on_train_begin()`, `on_epoch_begin(epoch)`,
    `on_train_batch_end(batch, logs)`, ...

    Args:
        callbacks: Callback objects, or one.
        add_history: Whether a `History` is added, if there is none.
        add_progbar: Whether a `ProgbarLogger` is added, if there is none.
        model: The model.
        **params: What the callbacks get as `params`: `epochs`, `steps`, `verbose`, ...

    Raises:
        ArgumentError: Something that is no callback.

    Example:
        >>> from lamella.callbacks import LambdaCallback
        >>> callbacks = CallbackList(LambdaCallback(on_epoch_end=lambda epoch, logs: print(epoch, logs)))
        >>> callbacks.on_epoch_end(2, {"loss": 0.5})
        2 {'loss': 0.5}
    """

    def __init__(
        self,
        callbacks: Any = None,
        add_history: Any = False,
        add_progbar: Any = False,
        model: Any = None,
        **params: Any,
    ) -> None:
        if not isinstance(add_history, bool):  # fit's own form: (callbacks, model, params)
            model, params, add_history, add_progbar = add_history, dict(add_progbar or {}), False, False
        super().__init__()
        if callbacks is None:
            callbacks = []
        elif isinstance(callbacks, CallbackList):
            callbacks = callbacks.callbacks
        elif not isinstance(callbacks, Iterable):
            callbacks = [callbacks]
        first = cluster.is_first()
        taken = [each for each in callbacks if first or not getattr(each, "first_only", False)]
        self.callbacks: list[Any] = sorted(taken, key=_comes_last)
        self.params = params
        self.replaying = False
        """While True a resumed epoch goes over batches that were trained before: nobody is told of those."""
        if add_history and not any(isinstance(callback, History) for callback in self.callbacks):
            self.callbacks.append(History())
        if add_progbar and not any(isinstance(callback, ProgbarLogger) for callback in self.callbacks):
            self.callbacks.append(ProgbarLogger())
        for callback in self.callbacks:
            if not hasattr(callback, "set_model"):
                raise ArgumentError(
                    f"A callback must be an object made from lamella.callbacks.Callback; got {callback!r}."
                )
        self._model = model
        self._listeners: dict[str, list[Any]] = {}
        for callback in self.callbacks:
            self._introduce(callback)

    def _introduce(self, callback: Any) -> None:
        callback.set_params(self.params)
        callback.set_model(self._model)
        if hasattr(callback, "set_callbacks"):
            callback.set_callbacks(self)

    def append(self, callback: Any) -> None:
        """Adds a callback at the end, and gives it its model and what `fit` was given."""
        self.callbacks.append(callback)
        self._listeners.clear()
        self._introduce(callback)

    def set_model(self, model: Any) -> None:
        """Gives the callbacks their model."""
        self._model = model
        for callback in self.callbacks:
            callback.set_model(model)

    def set_params(self, params: dict[str, Any]) -> None:
        """Gives the callbacks what `fit` was given."""
        self.params = params
        for callback in self.callbacks:
            callback.set_params(params)

    def listeners(self, event: str) -> list[Any]:
        """The callbacks that define `event`; one that keeps the others' state comes last."""
        if event not in self._listeners:
            found = [callback for callback in self.callbacks if defines(callback, event)]
            self._listeners[event] = sorted(found, key=_comes_last)
        return self._listeners[event]

    def call(self, event: str, *args: Any) -> None:
        """Calls `event` of each callback that defines it."""
        if self.replaying and event in _OF_TRAINED_BATCHES:
            return
        for callback in self.listeners(event):
            getattr(callback, event)(*args)

    def shown(self) -> Logs:
        """What callbacks want to see in the line of an epoch, besides its metrics."""
        found = (callback.shown() for callback in self.callbacks if isinstance(callback, ShowsRates))
        return {name: value for logs in found for name, value in logs.items()}

    def skips(self, epoch: int) -> bool:
        """Whether a callback knows that this epoch was trained before (in a run that was cut off)."""
        return any(callback.skips(epoch) for callback in self.callbacks if hasattr(callback, "skips"))


def _comes_last(callback: Any) -> float:
    """0, or how far behind the others it comes: 1 (or True) for what keeps their state, less for what looks at them."""
    return float(getattr(callback, "comes_last", 0))


def _forwarded(event: str, counted: bool) -> Callable[..., None]:
    def with_number(self: CallbackList, number: int, logs: Logs | None = None) -> None:
        self.call(event, number, logs)

    def without(self: CallbackList, logs: Logs | None = None) -> None:
        self.call(event, logs)

    function: Callable[..., None] = with_number if counted else without
    function.__name__ = event
    function.__doc__ = f"Calls `{event}` of each callback."
    return function


for _event in [name for name in vars(Callback) if name.startswith("on_")]:
    setattr(CallbackList, _event, _forwarded(_event, "epoch" in _event or "batch" in _event))

"""`Profile`: where the time of a training goes, in words."""

from __future__ import annotations

import time
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile

from lamella.engine import marks
from lamella.errors import ArgumentError
from lamella.training.callbacks.base import Callback, Logs

_WORDS = {
    "input": "waiting for the next batch",
    "forward": "the forward pass and the loss",
    "backward": "the gradients",
    "update": "the optimizer and the metrics",
    "rest": "callbacks, the progress bar and Python between them",
}


class Profile(Callback):
    """Looks at some steps by torch's profiler, and tells where their time goes.

    Args:
        start: The step from which on it looks; earlier ones warm up.
        steps: How many steps.
        trace: A file for the whole trace (`.json`), which chrome://tracing and Perfetto show.

    Attributes:
        seconds: The seconds of a step, by part: `input`, `forward`, `backward`, `update`, `rest`.
        operations: torch's operations, as (name, the share of the steps' time that they took themselves).
        busy: The share of the time in which a GPU computed; None without one.

    Raises:
        ArgumentError: Fewer than one step.

    Example:
        >>> import lamella, torch
        >>> model = lamella.Sequential([lamella.Input((8,)), lamella.layers.Dense(1)])
        >>> model.compile("sgd", "mse")
        >>> look = Profile(start=2, steps=4)
        >>> _ = model.fit(torch.ones(64, 8), torch.ones(64), batch_size=8, verbose=0, callbacks=[look])
        >>> sorted(look.seconds)
        ['backward', 'forward', 'input', 'rest', 'update']
    """

    def __init__(self, start: int = 10, steps: int = 50, trace: str | None = None) -> None:
        super().__init__()
        if steps < 1 or start < 0:
            raise ArgumentError(f"Profile: `steps` must be 1 or more and `start` 0 or more; got {steps} and {start}.")
        self.start, self.steps, self.trace = start, steps, trace
        self.seconds: dict[str, float] = {}
        self.operations: list[tuple[str, float]] = []
        self.busy: float | None = None
        self._seen = 0
        self._profiler: Any = None

    def on_train_begin(self, logs: Logs | None = None) -> None:
        marks.on = True
        self.model._train_function = self.model._make_train_function()
        self._seen = 0

    def on_train_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        if self._seen == self.start:
            self._look()
        elif self._seen == self.start + self.steps:
            self._stop(self.steps)
        self._seen += 1

    def on_train_end(self, logs: Logs | None = None) -> None:
        self._stop(self._seen - self.start)
        marks.on = False
        if not self.seconds:
            print(f"Profile: training ended after {self._seen} steps, before the step {self.start} from which to look.")

    def on_train_error(self, error: Exception) -> None:
        """Called by `fit` when an error ends the training: nothing is measured any more."""
        marks.on = False
        if self._profiler is not None:
            profiler, self._profiler = self._profiler, None
            profiler.__exit__(None, None, None)

    def _look(self) -> None:
        activities = [ProfilerActivity.CPU] + [ProfilerActivity.CUDA] * torch.cuda.is_available()
        self._profiler = profile(activities=activities)
        self._profiler.__enter__()
        self._begun = time.perf_counter()

    def _stop(self, steps: int) -> None:
        if self._profiler is None or steps < 1:
            return
        profiler, self._profiler = self._profiler, None
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        whole = time.perf_counter() - self._begun
        profiler.__exit__(None, None, None)
        events = profiler.key_averages()
        parts = {event.key.removeprefix("lamella::"): event.cpu_time_total / 1e6 for event in events}
        self.seconds = {name: parts.get(name, 0.0) / steps for name in marks.PARTS}
        self.seconds["rest"] = max(whole / steps - sum(self.seconds.values()), 0.0)
        own = [(e.key, e.self_cpu_time_total / 1e6 / whole) for e in events if not e.key.startswith("lamella::")]
        if torch.cuda.is_available():
            own = [(event.key, event.self_device_time_total / 1e6 / whole) for event in events]
            self.busy = sum(share for _, share in own)
        self.operations = sorted(own, key=lambda pair: -pair[1])[:8]
        if self.trace is not None:
            profiler.export_chrome_trace(self.trace)

    def text(self) -> str:
        """Where the time goes, and what to try, in words."""
        if not self.seconds:
            return "There is nothing to tell: no step was looked at."
        whole = sum(self.seconds.values())
        lines = [f"A step takes {whole * 1e3:.2f} ms:"]
        for name, seconds in sorted(self.seconds.items(), key=lambda pair: -pair[1]):
            lines.append(f"  {seconds / whole:5.0%}  {seconds * 1e3:8.2f} ms  {_WORDS[name]}")
        lines.append("Most of it in:")
        lines += [f"  {share:5.1%}  {name}" for name, share in self.operations]
        if self.busy is not None:
            lines.append(f"The GPU computes {min(self.busy, 1):.0%} of the time.")
        return "\n".join([*lines, *self._advice(whole)])

    def _advice(self, whole: float) -> list[str]:
        share = {name: seconds / whole for name, seconds in self.seconds.items()}
        found = []
        if share["input"] > 0.2:
            found.append(
                f"{share['input']:.0%} of the time there is nothing to compute with: read ahead with workers "
                f"(PyDataset(workers=4, use_multiprocessing=True)), decode less, or keep the data in memory."
            )
        if share["rest"] > 0.2:
            found.append(f"{share['rest']:.0%} of the time runs between steps: callbacks at each batch, printing.")
        if share["update"] > 0.35:
            found.append("The update is a large part: larger batches make fewer of them.")
        if self.busy is not None and self.busy < 0.6:
            found.append("The GPU waits for Python: larger batches, or compile(jit_compile=True).")
        return found

"""`lamella profile SCRIPT`: where the time of its trainings goes."""

from __future__ import annotations

from typing import Any

from lamella.commands.run import run
from lamella.training.callbacks import profile as profiling


def profile(script: str, arguments: list[str], steps: int, trace: str | None) -> int:
    """Runs a script, and prints after each of its `fit`s where the time of some steps went; its exit code."""
    from lamella.training.trainer import Trainer

    fit: Any = Trainer.fit

    def fit_and_tell(self: Any, *args: Any, **kwargs: Any) -> Any:
        look = profiling.Profile(steps=steps, trace=trace)
        given = kwargs.pop("callbacks", None)
        given = list(given) if isinstance(given, (list, tuple)) else [given] if given is not None else []
        history = fit(self, *args, callbacks=[*given, look], **kwargs)
        print(f"\nlamella profile: {self.name}, steps {look.start + 1} to {look.start + look.steps}")
        print(look.text(), flush=True)
        return history

    Trainer.fit = fit_and_tell  # type: ignore[method-assign]
    try:
        return run(script, arguments)
    finally:
        Trainer.fit = fit  # type: ignore[method-assign]

"""`lamella serve MODEL`: a saved model behind HTTP, with a page to try it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

import lamella
from lamella.errors import LamellaError, UnknownNameError


@dataclass
class Use:
    """What `lamella serve` was asked for."""

    model: str
    host: str = "127.0.0.1"
    port: int = 8000
    classes: Sequence[str] | None = None
    pixels: tuple[float, float] = (0, 255)
    max_batch: int = 32
    max_wait_ms: float = 2.0
    max_queue: int = 1024
    max_samples: int = 256
    max_body_mb: float = 8.0
    max_length: int = 1024
    timeout: float = 10.0
    threads: int | None = None


def serve(options: Use) -> None:
    """Loads the model and serves it until SIGTERM or Ctrl+C."""
    from lamella import serving

    app = serving.create_app(
        _loaded(options.model),
        class_names=options.classes,
        pixel_range=options.pixels,
        max_batch=options.max_batch,
        max_wait_ms=options.max_wait_ms,
        max_queue=options.max_queue,
        max_samples=options.max_samples,
        max_body=int(options.max_body_mb * 2**20),
        max_length=options.max_length,
        timeout=options.timeout,
        threads=options.threads or max(1, torch.get_num_threads() - 1),  # one core is for HTTP
    )
    serving.serve(app, options.host, options.port)


def _loaded(path: str) -> Any:
    try:
        return lamella.models.load_model(path)  # compiled, for the loss says whether outputs are logits
    except LamellaError:
        pass
    try:
        return lamella.models.load_model(path, compile=False)
    except UnknownNameError as error:
        raise UnknownNameError(
            f"{error} This command knows no code of yours: load such a model in a script, and serve it there by "
            f"lamella.serving.serve(lamella.serving.create_app(model))."
        ) from error

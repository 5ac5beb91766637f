"""A look into a trained model, which is left as it was."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import numpy as np
import torch

from lamella.layers import Layer


@contextmanager
def as_it_was(model: Any) -> Iterator[None]:
    """Inside, the model infers, with one fixed seed; afterwards its modes and all random states are as before."""
    modes = [(module, module.training) for module in model.modules()]
    python, numpy = random.getstate(), np.random.get_state()
    model.eval()
    try:
        with torch.random.fork_rng(), torch.no_grad():
            torch.manual_seed(0)
            yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)
        for module, mode in modes:
            module.training = mode


class BeforeHead:
    """What goes into the last layer with a kernel that is called: the model's view of samples.

    Attributes:
        parts: It, a tensor (samples, features) for each batch; empty where it is not of this form.
        layer: The name of the layer that made it; empty where none did.
    """

    def __init__(self) -> None:
        self.parts: list[torch.Tensor] = []
        self.layer = ""

    @contextmanager
    def watching(self, model: Any) -> Iterator[None]:
        """Watches one call of the model."""
        made: dict[int, tuple[str, torch.Tensor]] = {}
        given: list[torch.Tensor] = []

        def remember(module: Any, args: Any, output: Any) -> None:
            if isinstance(output, torch.Tensor):
                made.setdefault(id(output), (module.name, output))  # dropout hands on what it was given

        def look(module: Any, args: Any) -> None:
            given[:] = [each for each in args[:1] if isinstance(each, torch.Tensor)]

        with ExitStack() as hooks:
            for module in model.modules():
                if not isinstance(module, Layer) or module is model:
                    continue
                hooks.callback(module.register_forward_hook(remember).remove)
                if any(weight.ndim > 1 for weight in module.parameters(recurse=False)):
                    hooks.callback(module.register_forward_pre_hook(look).remove)
            yield
        if given and given[0].ndim == 2 and given[0].is_floating_point():
            self.parts.append(given[0].detach().float().cpu())
            self.layer = made.get(id(given[0]), ("", None))[0]

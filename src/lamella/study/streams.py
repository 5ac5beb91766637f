"""Random numbers for copies that train together: each copy sees those that it would see alone.

A training draws from torch's global generator: an order of samples for each epoch, masks for each dropout. Here every
seed has a generator in the same state. While the copies compute as one, what a layer would draw from the global
generator is drawn once for each seed, and each copy takes the draw of its seed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

_IN_PLACE = frozenset({torch.Tensor.uniform_, torch.Tensor.normal_, torch.Tensor.random_, torch.Tensor.exponential_})
_NEW = frozenset({torch.rand, torch.randn, torch.randint})
_WITHOUT_RULE: dict[Any, Any] = {torch.Tensor.lt_: torch.Tensor.lt, torch.Tensor.lerp_: torch.Tensor.lerp}
"""In-place operations that vmap can only do copy by copy, and the same ones out of place."""
_LIKE = {torch.rand_like: torch.Tensor.uniform_, torch.randn_like: torch.Tensor.normal_}


class Streams(TorchFunctionMode):
    """The generators of all seeds; as a context, what draws for the copies within `torch.func.vmap`.

    Args:
        states: For each copy, the state of torch's generator from which it goes on.
        device: Where the copies compute.

    Attributes:
        of_copy: (copies,): the number of each copy's stream; copies in one state share one.
        current: Within vmap, the number of the stream of the copy that computes.
        needed: Whether anything was drawn, or done otherwise, so far.
    """

    def __init__(self, states: Sequence[torch.Tensor], device: torch.device) -> None:
        super().__init__()
        numbers: dict[bytes, int] = {}
        places = [numbers.setdefault(state.numpy().tobytes(), len(numbers)) for state in states]
        self.states = [states[places.index(i)] for i in range(len(numbers))]
        self.of_copy = torch.tensor(places, device=device)
        self.current = self.of_copy
        self.device = device
        self.needed = False
        self.restart()

    def restart(self) -> None:
        """Puts all streams back to where they began."""
        self.generators = [torch.Generator() for _ in self.states]
        for generator, state in zip(self.generators, self.states, strict=True):
            generator.set_state(state)

    def orders(self, count: int) -> torch.Tensor:
        """An order of `count` samples for each stream, (streams, count)."""
        drawn = [torch.randperm(count, generator=generator) for generator in self.generators]
        return torch.stack(drawn).to(self.device)

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if function in _WITHOUT_RULE:
            self.needed = True
            return args[0].copy_(_WITHOUT_RULE[function](*args, **kwargs))
        if kwargs.get("generator") is None:
            rest = {name: value for name, value in kwargs.items() if name != "generator"}
            if function in _NEW:
                return self._each(lambda generator: function(*args, generator=generator, **rest))
            fill: Any = function if function in _IN_PLACE else _LIKE.get(function)
            if fill is not None:
                like = args[0]
                return self._each(
                    lambda generator: fill(
                        torch.empty(like.shape, dtype=like.dtype), *args[1:], generator=generator, **rest
                    ).to(like.device)
                )
        return function(*args, **kwargs)

    def _each(self, draw: Callable[[torch.Generator], torch.Tensor]) -> torch.Tensor:
        self.needed = True
        drawn = [draw(generator) for generator in self.generators]
        return drawn[0] if len(drawn) == 1 else torch.stack(drawn)[self.current]

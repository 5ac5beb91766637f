"""`SeedGenerator`: a counter that gives every random call a seed of its own."""

from __future__ import annotations

import random as python_random
from typing import Any

import torch

from lamella.engine.naming import auto_name
from lamella.engine.on_meta import off_meta
from lamella.engine.variable import State
from lamella.errors import ArgumentError


class SeedGenerator:
    """A seed and a count of its uses. Two generators of one seed give one sequence of random numbers.

    The state is `[seed, count]`. It stays on the CPU, so that drawing a seed never waits for another device.

    Args:
        seed: An integer; by default one drawn from Python's `random` (which `set_random_seed` seeds).
        name: A unique name.
        **kwargs: `backend`, kept for Keras's signature.

    Raises:
        ArgumentError: A seed that is no integer, or an unknown argument.

    Example:
        >>> seeds = SeedGenerator(7)
        >>> seeds.next().tolist(), seeds.next().tolist()
        ([7, 0], [7, 1])
    """

    def __init__(self, seed: int | None = None, name: str | None = None, **kwargs: Any) -> None:
        kwargs.pop("backend", None)
        if kwargs:
            raise ArgumentError(
                f"SeedGenerator has no argument {', '.join(map(repr, kwargs))}; it takes seed and name."
            )
        self.name = name or auto_name(type(self).__name__)
        self._initial_seed = seed
        if seed is None:
            seed = make_default_seed()
        if isinstance(seed, bool) or not isinstance(seed, int):
            raise ArgumentError(f"SeedGenerator {self.name!r}: `seed` must be an integer; got {seed!r}.")
        with off_meta():
            self.state = State(torch.tensor([seed, 0], dtype=torch.int64, device="cpu"))

    def next(self, ordered: bool = True) -> torch.Tensor:
        """The state before this call, as `[seed, count]`; the count goes on by one.

        Args:
            ordered: False scrambles both numbers instead, as Keras's global generator does.
        """
        with torch.no_grad():
            before = self.state.detach().clone()
            if ordered:
                self.state[1] += 1
            else:
                self.state.copy_((before + 1).to(torch.int32) * 5387 % 933199)  # 32 bits, as in Keras, wrap around
        return before

    def get_config(self) -> dict[str, Any]:
        """The arguments that make this generator again."""
        return {"seed": self._initial_seed, "name": self.name}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> SeedGenerator:
        """The generator that `get_config` described, at the start of its sequence."""
        return cls(**config)


def make_default_seed() -> int:
    """A seed for who gave none, drawn from Python's `random`.

    Example:
        >>> 1 <= make_default_seed() <= 10**9
        True
    """
    return python_random.randint(1, 10**9)


def torch_generator(seed: int | SeedGenerator | None, device: torch.device | str = "cpu") -> torch.Generator | None:
    """The `torch.Generator` of one random call, seeded as Keras seeds it on its torch engine.

    Args:
        seed: None for torch's global generator (returned as None), an integer for the same numbers at each
            call, or a `SeedGenerator`, which goes on by one.
        device: Where the numbers are drawn.

    Raises:
        ArgumentError: Any other seed.

    Example:
        >>> seeds = SeedGenerator(7)
        >>> a, b = (torch.rand(2, generator=torch_generator(seeds)) for _ in range(2))
        >>> bool((a == b).any())
        False
    """
    if seed is None or torch.device(device).type == "meta":
        return None
    if isinstance(seed, SeedGenerator):
        first, second = seed.next().tolist()
    elif isinstance(seed, int) and not isinstance(seed, bool):
        first, second = seed, 0
    else:
        raise ArgumentError(
            f"`seed` must be None, an integer or a SeedGenerator; got {seed!r} ({type(seed).__name__})."
        )
    return torch.Generator(device=device).manual_seed((first + second) & 0xFFFFFFFF)

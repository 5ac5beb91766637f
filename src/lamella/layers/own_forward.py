"""Layers and models whose author wrote `forward`, as in PyTorch, rather than `call`."""

from __future__ import annotations

from typing import Any


def take_as_call(cls: type) -> None:
    """What a user's class has as `forward` is its formula; `forward` stays what is around the formula.

    `super().forward(x)` in a subclass is the formula of the class above.
    """
    own = vars(cls)
    if cls.__module__.startswith("lamella."):
        return
    if "forward" in own and "call" not in own:
        cls.call = own["forward"]  # type: ignore[attr-defined]
        cls.forward = _forward(cls, own["forward"])  # type: ignore[attr-defined]
    elif "call" in own and "forward" not in own and cls.forward is not _around(cls):  # type: ignore[attr-defined]
        cls.forward = _around(cls)  # type: ignore[attr-defined]


def _around(cls: type) -> Any:
    """What Lamella's own class among its bases does around the formula."""
    ours = (vars(base) for base in cls.__mro__ if base.__module__.startswith("lamella."))
    return next(own["forward"] for own in ours if "forward" in own)


def _forward(cls: type, formula: Any) -> Any:
    around = _around(cls)

    def forward(self: Any, *args: Any, **kwargs: Any) -> Any:
        return (around if type(self).call is formula else formula)(self, *args, **kwargs)

    return forward

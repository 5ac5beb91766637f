"""What an optimizer keeps: in files, in Keras's order; in backups; and as it was at a moment."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np
import torch

from lamella.engine.variable import as_array, copy_into, whole
from lamella.errors import ArgumentError


class KeepsState:
    """The part of an optimizer that writes and reads its state."""

    name: str
    built: bool
    _steps: int
    _learning_rate: Any
    _slots: dict[str, list[torch.Tensor]]
    _extra: list[torch.Tensor]
    slot_values: Callable[[], dict[str, float]]

    def kept_together(self) -> list[tuple[str, ...]]:
        """The slots in the order of Keras's files: those in one tuple lie side by side, weight after weight."""
        return [tuple(self.slot_values())]

    _file_signs: ClassVar[dict[str, int]] = {}
    """-1 for slots that have the other sign in Keras."""

    def _kept(self) -> list[tuple[torch.Tensor, int]]:
        """The tensors in the order of Keras's files, each with its sign there."""
        shared = self._side_by_side([("ema",), ("accumulated",)])
        return [*shared, *self._own_kept(), *((tensor, 1) for tensor in self._extra)]

    def _own_kept(self) -> list[tuple[torch.Tensor, int]]:
        """Those of them that this kind of optimizer has."""
        return self._side_by_side(self.kept_together())

    def _side_by_side(self, together: list[tuple[str, ...]]) -> list[tuple[torch.Tensor, int]]:
        found: list[tuple[torch.Tensor, int]] = []
        for names in together:
            slots = [self._slots[name] for name in names if name in self._slots]
            signs = [self._file_signs.get(name, 1) for name in names if name in self._slots]
            found.extend(pair for tensors in zip(*slots, strict=True) for pair in zip(tensors, signs, strict=True))
        return found

    def save_own_variables(self, store: Any) -> None:
        """Puts the step, the learning rate and all slots into `store`, a mapping, in the order of Keras's files."""
        values = [np.array(self._steps)]
        if isinstance(self._learning_rate, float):
            values.append(np.array(self._learning_rate, dtype="float32"))
        values += [as_array(tensor.detach() * sign) for tensor, sign in self._kept()]
        for i, value in enumerate(values):
            store[str(i)] = value

    def load_own_variables(self, store: Any) -> None:
        """Takes what `save_own_variables` (here or in Keras) put into `store`; with a warning, nothing if it is for
        other weights."""
        kept, has_rate = self._kept(), isinstance(self._learning_rate, float)
        first = 2 if has_rate else 1
        shapes = [tuple(store[str(first + i)].shape) for i in range(len(store) - first)] if len(store) >= first else []
        if not shapes and "0" in store and not int(np.asarray(store["0"])):
            return  # it was saved before its first step
        if shapes != [tuple(tensor.shape) for tensor, _ in kept]:
            why = f"it keeps {len(kept)} tensors, the file {len(shapes)}, or their shapes differ"
            if not self.built:
                why = "it has none yet that it could replace (load_model() brings a model with its state)"
            warnings.warn(
                f"The file's state of the optimizer {self.name!r} does not fit: {why}. Training starts with a fresh "
                f"state.",
                stacklevel=2,
            )
            return
        self._steps = int(np.asarray(store["0"]))
        if has_rate:
            self._learning_rate = float(f"{float(np.asarray(store['1'])):.7g}")  # float32 in the file
        with torch.no_grad():
            for i, (tensor, sign) in enumerate(kept):
                copy_into(tensor, torch.as_tensor(np.asarray(store[str(first + i)])) * sign)

    def remember(self) -> Callable[[], None]:
        """A function that puts the state of this moment back."""
        steps, rate = self._steps, self._learning_rate
        kept = [(tensor, tensor.detach().clone()) for tensor, _ in self._kept()]

        def restore() -> None:
            self._steps, self._learning_rate = steps, rate
            with torch.no_grad():
                for tensor, value in kept:
                    tensor.copy_(value)

        return restore

    def state_dict(self) -> dict[str, Any]:
        """All that a later run needs to go on exactly: the step, the rate and the slots."""
        rate = None if callable(self._learning_rate) else self._learning_rate
        return {
            "steps": self._steps,
            "learning_rate": rate,
            "slots": {name: [whole(t).clone() for t in tensors] for name, tensors in self._slots.items()},
            "extra": [t.clone() for t in self._extra],
            "scalars": self._scalars(),
        }

    @torch.no_grad()
    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Goes back to what `state_dict` described; the optimizer must be built for the same weights."""
        if {name: len(t) for name, t in state["slots"].items()} != {n: len(t) for n, t in self._slots.items()}:
            raise ArgumentError("The state is of another optimizer, or of other weights.")
        self._steps = state["steps"]
        if state["learning_rate"] is not None:
            self._learning_rate = state["learning_rate"]
        for name, tensors in state["slots"].items():
            for own, saved in zip(self._slots[name], tensors, strict=True):
                copy_into(own, saved)
        for own, saved in zip(self._extra, state["extra"], strict=True):
            own.copy_(saved)
        vars(self).update(state["scalars"])

    def _scalars(self) -> dict[str, float]:
        """Numbers that change from step to step, besides the slots."""
        return {}

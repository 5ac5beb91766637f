"""`Discretization`: numbers into bins, given or learnt as quantiles."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from lamella.errors import ArgumentError, NotBuiltError
from lamella.layers.base import registry
from lamella.layers.category_encoding import encode
from lamella.layers.data_layer import NumberLayer, each_batch, one_of, refuse, refuse_sparse


@registry.register()
class Discretization(NumberLayer):
    """The number of the bin that each value falls into.

    Args:
        bin_boundaries: Rising boundaries b: bin 0 is below b[0], bin i from b[i - 1] to below b[i].
        num_bins: How many bins `adapt` shall make, about equally full, in place of `bin_boundaries`.
        epsilon: How exact `adapt` is about quantiles: larger is quicker and coarser.
        output_mode: `"int"` (int32), `"one_hot"`, `"multi_hot"` or `"count"`, as for `CategoryEncoding`.
        sparse: Must be False.
        dtype: The data type.
        name: A unique name.

    Raises:
        ArgumentError: Both or none of `bin_boundaries` and `num_bins`, or an unknown mode.

    Example:
        >>> from lamella.layers import Discretization
        >>> Discretization(bin_boundaries=[0.0, 1.0])([[-1.5, 0.5, 1.0]])
        tensor([[0, 1, 2]], dtype=torch.int32)
    """

    def __init__(
        self,
        bin_boundaries: Sequence[float] | None = None,
        num_bins: int | None = None,
        epsilon: float = 0.01,
        output_mode: str = "int",
        sparse: bool = False,
        dtype: Any = None,
        name: str | None = None,
    ) -> None:
        super().__init__(name=name, dtype=dtype)
        self.autocast = False  # `dtype` is that of the outputs
        refuse_sparse(self, sparse)
        one_of(self, "output_mode", output_mode, ("int", "one_hot", "multi_hot", "count"))
        if num_bins is not None and num_bins < 0:
            raise refuse(self, f"`num_bins` must be 0 or more; got {num_bins}.")
        if (num_bins is None) == (bin_boundaries is None):
            raise refuse(self, "give either `bin_boundaries`, or `num_bins` and then adapt().")
        self.num_bins = num_bins
        self.epsilon = epsilon
        self.output_mode = output_mode
        self.sparse = sparse
        self._boundaries: tuple[float, ...] | None = None
        self._summary = np.zeros((2, 0), np.float32)
        if bin_boundaries is not None:
            self._set_boundaries(bin_boundaries)
        self._build_at_init()

    @property
    def bin_boundaries(self) -> list[float] | None:
        """The boundaries; None before `adapt`."""
        return None if self._boundaries is None else list(self._boundaries)

    @bin_boundaries.setter
    def bin_boundaries(self, value: Sequence[float]) -> None:
        self._modules.pop("bin_boundaries", None)  # the list is data, no home of layers
        self._set_boundaries(value)

    def _set_boundaries(self, value: Sequence[float]) -> None:
        self._boundaries = tuple(float(boundary) for boundary in value)
        if any(b < a for a, b in zip(self._boundaries, self._boundaries[1:], strict=False)):
            raise refuse(self, f"`bin_boundaries` must rise; got {list(self._boundaries)}.")
        self.register_buffer("_edges", torch.tensor(self._boundaries, dtype=torch.float32), persistent=False)

    def adapt(self, data: Any, steps: int | None = None) -> None:
        """Learns the boundaries from `data`: an array, a tensor, or an iterable of batches (at most `steps`)."""
        if self.num_bins is None:
            raise ArgumentError(
                f"Discretization {self.name!r} was given its bin_boundaries: there is nothing to adapt. Give "
                f"`num_bins` instead."
            )
        self.reset_state()
        for batch in each_batch(data, steps, lambda data: isinstance(data, (np.ndarray, torch.Tensor))):
            self.update_state(batch)
        self.finalize_state()

    def update_state(self, data: Any) -> None:
        """Takes the values of one batch into account."""
        if isinstance(data, torch.Tensor):
            data = data.detach().cpu().numpy()
        values = np.sort(np.asarray(data, np.float32), axis=None)
        # Every step-th value stands for itself and the step - 1 before it.
        step = max(values.size / (1.0 / self.epsilon), 1)
        kept = values[int(step - 1) :: int(step)]
        merged = np.concatenate([np.stack([kept, np.full_like(kept, step)]), self._summary], axis=1)
        self._summary = _compressed(merged[:, np.argsort(merged[0])], self.epsilon)

    def finalize_state(self) -> None:
        """Makes the boundaries from all batches so far."""
        if self.num_bins is not None:
            self._set_boundaries(_compressed(self._summary, 1.0 / self.num_bins)[0, :-1].tolist())

    def reset_state(self) -> None:
        """Forgets the batches so far."""
        self._summary = np.zeros((2, 0), np.float32)

    def call(self, inputs: torch.Tensor) -> torch.Tensor:
        if inputs.is_meta and self._boundaries is None:  # a model may be made first, and the layer adapted then
            return self._encoded(torch.empty(inputs.shape, dtype=torch.int64, device="meta"), self.num_bins or 0)
        if self._boundaries is None:
            raise NotBuiltError(
                f"Discretization {self.name!r} has no boundaries yet: call adapt(data) first, or give `bin_boundaries`."
            )
        inputs = inputs if inputs.is_floating_point() else inputs.to(torch.float32)
        edges = self._edges.to(inputs.device, inputs.dtype)
        if inputs.is_meta:
            indices = torch.empty(inputs.shape, dtype=torch.int64, device="meta")
        else:
            indices = torch.bucketize(inputs, edges, right=True)  # type: ignore[arg-type]
        return self._encoded(indices, len(self._boundaries) + 1)

    def _encoded(self, indices: torch.Tensor, bins: int) -> torch.Tensor:
        return encode(indices, self.output_mode, bins, torch.int32 if self.output_mode == "int" else self._float)

    def load_own_variables(self, store: Any) -> None:
        """Nothing: the boundaries are in the config. Old files of Keras hold a summary besides, which is not needed."""

    def get_config(self) -> dict[str, Any]:
        names = ("bin_boundaries", "num_bins", "epsilon", "output_mode", "sparse", "name", "dtype")
        return {name: getattr(self, name) for name in names}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Discretization:
        """The layer that `get_config` described; one that was adapted has both its bins and its boundaries."""
        if config.get("num_bins") is None or config.get("bin_boundaries") is None:
            return cls(**config)
        layer = cls(**{**config, "bin_boundaries": None})
        layer._set_boundaries(config["bin_boundaries"])
        return layer


def _compressed(summary: np.ndarray, epsilon: float) -> np.ndarray:
    """Fewer values for a weighted distribution: those at every `epsilon` of the total weight.

    Row 0 holds rising values, row 1 how many samples each stands for.
    """
    values, weights = summary
    if len(values) * epsilon < 1:
        return summary
    total = weights.cumsum()
    share = total / total[-1]
    wanted = epsilon + np.arange(0.0, 1.0, epsilon)
    new_total = np.interp(wanted, share, total)
    new = np.stack([np.interp(wanted, share, values), np.diff(new_total, prepend=0.0)])
    return new.astype(np.float32)

"""The part of a layer that may compute its activations again for the gradients."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.utils import _pytree as pytree

from lamella.engine.remat_scope import RematScope


class CanRematerialize(nn.Module):
    """A module with the switch `rematerialize`. `Layer` builds on it, and sets what is declared here."""

    _remat_scope: RematScope | None
    _rematerialize: bool
    _settle: Any

    @property
    def rematerialize(self) -> bool:
        """Whether, in training, what `call` computes on its way is computed again for the gradients and not kept.

        Less memory, and the time of one more call. It pays for layers made of others (a Transformer block), and for
        whole models: `model.compile(..., rematerialize=True)`. Source: Chen et al., 2016.
        """
        if self._remat_scope is not None:
            self._ask_remat_scope(None)
        return self._rematerialize

    @rematerialize.setter
    def rematerialize(self, value: bool) -> None:
        self._rematerialize = bool(value)
        self._settle()

    def _ask_remat_scope(self, outputs: Any) -> None:
        """Settles what the `RematScope` that the layer was made in wants, if that is known now."""
        scope = self._remat_scope
        assert scope is not None
        wanted = scope.wants(self)
        if wanted and scope.mode == "larger_than":
            if outputs is None:
                return
            tensors = [leaf for leaf in pytree.tree_leaves(outputs) if isinstance(leaf, torch.Tensor) and leaf.ndim]
            wanted = sum(leaf[0].numel() for leaf in tensors if len(leaf)) > scope.output_size_threshold
        self._remat_scope = None
        self.rematerialize = wanted

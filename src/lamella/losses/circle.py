"""Circle loss: for embeddings in which one class lies close together."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F

from lamella.engine import masking
from lamella.losses.base import LossFunctionWrapper, _as_tensor, as_predictions, registry


@registry.register()
def circle(
    y_true: Any,
    y_pred: Any,
    ref_labels: Any = None,
    ref_embeddings: Any = None,
    remove_diagonal: bool = True,
    gamma: float = 80,
    margin: float = 0.4,
) -> torch.Tensor:
    """Pulls embeddings of one class together and pushes others apart (Sun et al., 2020).

    Args:
        y_true: Class numbers, (batch,) or (batch, 1).
        y_pred: Embeddings of norm one, (batch, size).
        ref_labels: The classes compared with; `y_true` by default.
        ref_embeddings: Their embeddings; `y_pred` by default.
        remove_diagonal: Whether a sample is not compared with itself.
        gamma: The scale.
        margin: The margin.

    Returns:
        A loss for each sample; samples with a loss of 0 are masked out of the mean.

    Example:
        >>> circle([1, 1], [[1.0, 0.0], [1.0, 0.0]]).shape
        torch.Size([2])
    """
    y_pred = as_predictions(y_pred)
    y_true = _as_tensor(y_true).reshape(-1, 1)
    embeddings = y_pred if ref_embeddings is None else _as_tensor(ref_embeddings)
    labels = y_true if ref_labels is None else _as_tensor(ref_labels).reshape(-1, 1)
    distance = (1 - y_pred @ embeddings.T).clamp(min=0.0)
    same = y_true == labels.T
    positive, negative = same, ~same
    if remove_diagonal:
        positive = positive & ~torch.eye(*same.shape, dtype=torch.bool, device=same.device)
    pull = ((margin + distance) * positive).clamp(min=0.0)
    push = ((1 + margin - distance) * negative).clamp(min=0.0)
    pulled = -gamma * pull * (margin - distance)
    pushed = gamma * push * (1 - margin - distance)
    never = torch.full((), float("-inf"), dtype=distance.dtype, device=distance.device)
    total = torch.logsumexp(torch.where(positive, pulled, never), 1) + torch.logsumexp(
        torch.where(negative, pushed, never), 1
    )
    losses = F.softplus(total)
    masking.set_mask(losses, losses > 0)
    return losses


@registry.register()
class Circle(LossFunctionWrapper):
    """Circle loss of embeddings (Sun et al., 2020).

    Example:
        >>> import torch
        >>> loss = Circle()(torch.tensor([0, 1]), torch.eye(2))
        >>> bool(torch.isfinite(loss))
        True
    """

    _takes_class_numbers = True

    def __init__(
        self,
        gamma: float = 80.0,
        margin: float = 0.4,
        remove_diagonal: bool = True,
        reduction: str | None = "sum_over_batch_size",
        name: str = "circle",
        dtype: Any = None,
    ) -> None:
        super().__init__(circle, reduction, name, dtype, gamma=gamma, margin=margin, remove_diagonal=remove_diagonal)
        self.gamma = gamma
        self.margin = margin
        self.remove_diagonal = remove_diagonal

    def mean(self, y_true: Any, y_pred: Any) -> torch.Tensor:
        losses = self.call(y_true, y_pred)
        return losses.sum() / (losses > 0).sum().clamp(min=1)

"""`DiceCrossEntropy`: how well masks overlap and how sure each pixel is, in one loss."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F

from lamella.errors import ArgumentError, DataError, ShapeError
from lamella.losses import Loss, dice
from lamella.saving import register_keras_serializable

_SMALLEST = 1e-7  # a probability; Keras's epsilon


@register_keras_serializable(package="lamella")
class DiceCrossEntropy(Loss):
    """The cross-entropy of the pixels plus the Dice loss of the classes; both are means over a picture.

    Cross-entropy alone lets a rare class be forgotten; Dice weighs classes alike, however few their pixels are. Dice
    is averaged over the classes that a picture's mask has: the others it cannot grade, and cross-entropy does. With
    one output, Dice is that of the object alone, and pictures without it have none.

    Args:
        from_logits: Whether predictions have not been through a sigmoid or softmax yet (more exact).
        dice_weight: What Dice counts beside the cross-entropy; 0 leaves it out.
        class_weights: A weight for each class (for one output: background, object), in both parts. Only their ratios
            matter.
        ignore_class: Pixels of this class, such as 255 for "unknown", count in neither part.
        reduction: As for every loss.
        name: A name.
        dtype: The data type.

    Shapes: masks of class numbers (batch, height, width) or (batch, height, width, 1), predictions (batch, height,
    width, classes), with one channel for an object and its background -> (batch,). Any number of spatial axes.

    Raises:
        ArgumentError: A negative weight.
        ShapeError: Masks of another size than the predictions, or weights of another number than the classes.
        DataError: Before training: class numbers out of range.

    Source: Milletari et al., V-Net, 2016 (Dice); Isensee et al., nnU-Net, 2021 (the sum).

    Example:
        >>> import torch
        >>> loss = DiceCrossEntropy()
        >>> round(float(loss(torch.tensor([[[0, 1]]]), torch.tensor([[[[0.5], [0.5]]]]))), 4)
        1.1931
    """

    def __init__(
        self,
        from_logits: bool = False,
        dice_weight: float = 1.0,
        class_weights: Sequence[float] | None = None,
        ignore_class: int | None = None,
        reduction: str | None = "sum_over_batch_size",
        name: str = "dice_cross_entropy",
        dtype: Any = None,
    ) -> None:
        super().__init__(name, reduction, dtype)
        if dice_weight < 0:
            raise ArgumentError(f"{name}: `dice_weight` must be 0 or more; got {dice_weight}.")
        if class_weights is not None and (min(class_weights) < 0 or not sum(class_weights)):
            raise ArgumentError(
                f"{name}: `class_weights` must be 0 or more, and not all of them 0; got {class_weights}."
            )
        self.from_logits = from_logits
        self.dice_weight = dice_weight
        self.class_weights = None if class_weights is None else [float(weight) for weight in class_weights]
        self.ignore_class = ignore_class
        self._weights = torch.tensor(self.class_weights or ())

    def call(self, y_true: Any, y_pred: Any) -> torch.Tensor:
        classes, counted, y_pred = self._pixels(y_true, y_pred)
        binary = y_pred.shape[-1] == 1
        if self.from_logits:
            log_p = torch.cat([F.logsigmoid(-y_pred), F.logsigmoid(y_pred)], -1) if binary else y_pred.log_softmax(-1)
            p = log_p.exp()
        else:
            p = torch.cat([1 - y_pred, y_pred], -1) if binary else y_pred / y_pred.sum(-1, keepdim=True)
            log_p = p.clamp(_SMALLEST, 1 - _SMALLEST).log()
        weights = self._weights_of(p)
        amounts = counted * weights[classes]  # (batch, pixels)
        surprise = -log_p.gather(-1, classes.unsqueeze(-1)).squeeze(-1)
        total = (surprise * amounts).sum(1) / amounts.sum(1).clamp(min=_SMALLEST)
        if not self.dice_weight:
            return total
        target = F.one_hot(classes, p.shape[-1]) * counted.unsqueeze(-1)
        shares = (target.sum(1) > 0) * weights  # (batch, classes)
        overlap = dice(target, p * counted.unsqueeze(-1), axis=1)
        if binary:
            shares, overlap = shares[:, 1:], overlap[:, 1:]
        return total + self.dice_weight * (overlap * shares).sum(1) / shares.sum(1).clamp(min=_SMALLEST)

    def _pixels(self, y_true: torch.Tensor, y_pred: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Class numbers and whether they count (batch, pixels), and predictions (batch, pixels, channels)."""
        if tuple(y_true.shape) not in (tuple(y_pred.shape[:-1]), (*y_pred.shape[:-1], 1)):
            raise self._shape_error(y_true.shape, y_pred.shape)
        classes = y_true.reshape(len(y_true), -1).to(torch.int64)
        counted = torch.ones_like(classes, dtype=y_pred.dtype)
        if self.ignore_class is not None:
            valid = classes != self.ignore_class
            classes, counted = torch.where(valid, classes, 0), valid.to(y_pred.dtype)
        return classes, counted, y_pred.reshape(*classes.shape, y_pred.shape[-1])

    def _weights_of(self, p: torch.Tensor) -> torch.Tensor:
        if self.class_weights is None:
            return p.new_ones(p.shape[-1])
        if len(self.class_weights) != p.shape[-1]:
            raise ShapeError(
                f"{self.name}: there are {len(self.class_weights)} `class_weights` for {p.shape[-1]} classes "
                f"(with one output: the background and the object)."
            )
        self._weights = self._weights.to(p)  # kept there: a copy at every step would wait for the device
        return self._weights

    def check_targets(self, y_true: Any, output_shape: Sequence[int | None]) -> None:
        """Refuses masks of another size, or with classes that the output does not have, before training."""
        super().check_targets(y_true, output_shape)
        y_true = torch.as_tensor(y_true)
        sides = tuple(y_true.shape[: len(output_shape) - 1])
        fits = all(own in (None, side) for own, side in zip(output_shape[1:-1], sides[1:], strict=False))
        if not fits or tuple(y_true.shape) not in (sides, (*sides, 1)):
            raise self._shape_error(y_true.shape, output_shape)
        if self.ignore_class is not None:
            y_true = y_true[y_true != self.ignore_class]
        most = max(output_shape[-1] or 0, 2)
        if y_true.numel() and (int(y_true.min()) < 0 or int(y_true.max()) >= most):
            raise DataError(
                f"{self.name}: masks must have class numbers from 0 to {most - 1}, because the model has "
                f"{output_shape[-1]} output{'s' * (output_shape[-1] != 1)}; found {int(y_true.min())} to "
                f"{int(y_true.max())}. Pixels without a class can have a number of their own, as in ignore_class=255."
            )

    def _shape_error(self, target: Sequence[int], output: Sequence[int | None]) -> ShapeError:
        return ShapeError(
            f"{self.name}: masks of shape {tuple(target)} do not fit predictions of shape {tuple(output)}: expected "
            f"one class number a pixel, {tuple(output[:-1])}. One-hot masks become class numbers by argmax(axis=-1)."
        )

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "from_logits": self.from_logits,
            "dice_weight": self.dice_weight,
            "class_weights": self.class_weights,
            "ignore_class": self.ignore_class,
        }

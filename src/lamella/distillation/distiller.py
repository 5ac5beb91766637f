"""`Distiller`: the model that trains a student with a teacher beside it."""

from __future__ import annotations

import operator
from collections.abc import Mapping, Sequence
from typing import Any

import torch

from lamella import metrics, tree
from lamella.distillation.features import END, features_of, has_graph
from lamella.distillation.losses import registry
from lamella.engine.registry import deserialize, serialize
from lamella.errors import ArgumentError, ShapeError
from lamella.models import Model


@registry.register()
class Distiller(Model):
    """Trains a student on labels and on what a trained teacher makes of the same inputs. The teacher is frozen.

    The loss is `student_loss_weight` times that of `compile`, plus the rest of 1 times the weighted sum of the
    distillation losses. `student_loss`, `distillation_loss` and `total_loss` are among the metrics.

    Args:
        teacher: A trained model.
        student: The model to train; afterwards it is used, and saved, by itself.
        distillation_losses: `LogitsDistillation`, `FeatureDistillation`, one of your own, or a list of them.
        distillation_loss_weights: A weight for each; 1 by default.
        student_loss_weight: The share of the labels, from 0 (none are needed) to 1.
        name: A name.
        **kwargs: As for every model.

    Raises:
        ArgumentError: No models, no losses, or weights that do not fit.
        ShapeError: Models whose inputs or outputs differ.

    Example:
        >>> import numpy as np
        >>> import lamella
        >>> def network(units):
        ...     layers = [lamella.Input((4,)), lamella.layers.Dense(units, "relu"), lamella.layers.Dense(3)]
        ...     return lamella.Sequential(layers)
        >>> distiller = lamella.distillation.Distiller(
        ...     network(32), network(4), lamella.distillation.LogitsDistillation(temperature=3.0)
        ... )
        >>> distiller.compile("adam", lamella.losses.SparseCategoricalCrossentropy(from_logits=True))
        >>> history = distiller.fit(np.ones((8, 4)), np.zeros(8), verbose=0)
        >>> sorted(history.history)
        ['distillation_loss', 'loss', 'student_loss', 'total_loss']
        >>> distiller.student.predict(np.ones((1, 4)), verbose=0).shape
        (1, 3)
    """

    def __init__(
        self,
        teacher: Model,
        student: Model,
        distillation_losses: Any,
        distillation_loss_weights: Sequence[float] | None = None,
        student_loss_weight: float = 0.5,
        name: str = "distiller",
        **kwargs: Any,
    ) -> None:
        super().__init__(name=name, **kwargs)
        _check_models(teacher, student)
        if distillation_losses is None:
            raise ArgumentError("Distiller: give `distillation_losses`, such as LogitsDistillation().")
        alone = not isinstance(distillation_losses, (list, tuple))
        found = (distillation_losses,) if alone else tuple(distillation_losses)
        weights = (1.0,) * len(found) if alone or distillation_loss_weights is None else distillation_loss_weights
        if len(weights) != len(found):
            raise ArgumentError(
                f"Distiller: there are {len(found)} `distillation_losses`, but {len(weights)} "
                f"`distillation_loss_weights`; give one for each."
            )
        if isinstance(student_loss_weight, bool) or not isinstance(student_loss_weight, (int, float)):
            raise ArgumentError(f"Distiller: `student_loss_weight` must be a number; got {student_loss_weight!r}.")
        if not 0 <= student_loss_weight <= 1:
            raise ArgumentError(f"Distiller: `student_loss_weight` must be from 0 to 1; got {student_loss_weight}.")
        for each in found:
            each.validate_model_compatibility(teacher, student)
        self.teacher = teacher
        self.student = student
        self.distillation_losses = list(found)
        self.distillation_loss_weights = list(weights)
        self.student_loss_weight = student_loss_weight
        self.teacher.trainable = False
        self.student_loss_tracker = metrics.Mean(name="student_loss")
        self.distillation_loss_tracker = metrics.Mean(name="distillation_loss")
        self.total_loss_tracker = metrics.Mean(name="total_loss")
        # In a tuple they are no parts of the model: their layers are the teacher's and the student's.
        self._extractors = (
            features_of(teacher, (_layer_of(each, "teacher") for each in found)),
            features_of(student, (_layer_of(each, "student") for each in found)),
        )
        self._last_features: dict[str, Any] | None = None

    def compile(self, optimizer: Any = "adam", loss: Any = None, metrics: Any = None, **kwargs: Any) -> None:  # type: ignore[override]
        """Says how the student is trained, as `Model.compile` does.

        Args:
            optimizer: A name or an optimizer.
            loss: The student's loss on the labels.
            metrics: A list of metrics of the student's predictions.
            **kwargs: As for `Model.compile`.

        Raises:
            ArgumentError: No `loss`, or metrics that are no list.
        """
        if loss is None:
            raise ArgumentError("Distiller.compile(): `loss` says how the student learns from labels; give one.")
        if metrics is not None and not isinstance(metrics, (list, tuple)):
            raise ArgumentError(f"Distiller.compile(): `metrics` must be a list; got {type(metrics).__name__}.")
        self._student_loss = loss
        super().compile(optimizer, loss if self.student_loss_weight else None, metrics=metrics, **kwargs)

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        """The student's predictions."""
        extractor = self._extractors[1]
        if extractor is None or not self.compiled:
            return self.student(inputs)
        self._last_features = extractor(inputs)
        return self._last_features[END]

    def train(self, mode: bool = True) -> Distiller:
        """Trains the student, or no longer; the teacher always infers."""
        super().train(mode)
        if "teacher" in self._modules:
            self.teacher.eval()
        return self

    def compute_loss(
        self, x: Any = None, y: Any = None, y_pred: Any = None, sample_weight: Any = None, training: bool = True
    ) -> torch.Tensor:
        """The loss of the labels and of the teacher, each with its share."""
        if y_pred is None:
            y_pred = self(x, training=training)
        features, self._last_features = self._last_features, None
        share = self.student_loss_weight
        labels = distance = torch.zeros((), device=tree.flatten(y_pred)[0].device)
        if share > 0:
            found = super().compute_loss(x, y, y_pred, sample_weight, training)
            labels = labels if found is None else found
        if share < 1:
            distance = self._distance(x, y_pred, features, training)
        total = share * labels + (1 - share) * distance
        self.student_loss_tracker.update_state(labels.detach())
        self.distillation_loss_tracker.update_state(distance.detach())
        self.total_loss_tracker.update_state(total.detach())
        return total

    def _distance(self, x: Any, y_pred: Any, features: dict[str, Any] | None, training: bool) -> torch.Tensor:
        """The weighted sum of the distillation losses."""
        teacher_features = self._of_teacher(x)
        student_features = self._of_student(x, y_pred, features, training)
        found = []
        for loss, weight in zip(self.distillation_losses, self.distillation_loss_weights, strict=True):
            teacher = teacher_features[_layer_of(loss, "teacher") or END]
            student = student_features[_layer_of(loss, "student") or END]
            loss.validate_outputs(teacher, student)
            value = loss.compute_loss(teacher, student)
            if getattr(value, "shape", ()) != ():
                raise ShapeError(
                    f"{type(loss).__name__}.compute_loss() must give one number for the batch; it gave the shape "
                    f"{tuple(value.shape)}. Take the mean."
                )
            found.append(weight * value)
        return torch.stack(found).sum()

    @torch.no_grad()
    def _of_teacher(self, x: Any) -> dict[str, Any]:
        extractor = self._extractors[0]
        return {END: self.teacher(x, training=False)} if extractor is None else extractor(x, training=False)

    def _of_student(self, x: Any, y_pred: Any, features: dict[str, Any] | None, training: bool) -> dict[str, Any]:
        """The features of the pass that gave `y_pred`; of another one, where that was not ours."""
        extractor = self._extractors[1]
        if extractor is None:
            return {END: y_pred}
        ours = features is not None and all(map(operator.is_, tree.flatten(features[END]), tree.flatten(y_pred)))
        found = features if features is not None and ours else extractor(x, training=training)
        return {**found, END: y_pred}

    def get_config(self) -> dict[str, Any]:
        """What makes this distiller again, both models among it."""
        config = {key: value for key, value in super().get_config().items() if key in ("name", "trainable", "dtype")}
        return config | {
            "teacher": serialize(self.teacher),
            "student": serialize(self.student),
            "distillation_losses": [serialize(each) for each in self.distillation_losses],
            "distillation_loss_weights": list(self.distillation_loss_weights),
            "student_loss_weight": self.student_loss_weight,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Mapping[str, Any] | None = None) -> Distiller:
        """The distiller that `get_config` (here or in Keras) described."""
        parts = ("teacher", "student", "distillation_losses")
        return cls(**config | {key: deserialize(config[key], custom_objects) for key in parts})

    def get_compile_config(self) -> dict[str, Any] | None:
        """What `compile` was given, as plain data."""
        config = super().get_compile_config()
        return None if config is None else {**config, "loss": serialize(self._student_loss)}

    def compile_from_config(self, config: dict[str, Any]) -> None:
        """Compiles as `get_compile_config` says. Files of Keras leave the loss out: then it is not compiled."""
        if config.get("loss") is not None:
            super().compile_from_config(config)


def _layer_of(loss: Any, role: str) -> str | None:
    return getattr(loss, f"{role}_layer_name", None)


def _check_models(teacher: Any, student: Any) -> None:
    for role, model in {"teacher": teacher, "student": student}.items():
        if not isinstance(model, Model):
            raise ArgumentError(f"Distiller: the {role} must be a Model; got {type(model).__name__}.")
    if not (has_graph(teacher) and has_graph(student)):
        return
    for side in ("input", "output"):
        of_teacher, of_student = getattr(teacher, f"{side}s"), getattr(student, f"{side}s")
        if len(of_teacher) != len(of_student):
            raise ShapeError(
                f"Distiller: the teacher has {len(of_teacher)} {side}s, the student {len(of_student)}; they must be "
                f"as many."
            )
        for a, b in zip(of_teacher, of_student, strict=True):
            _check_alike(side, a, b)


def _check_alike(side: str, teacher: Any, student: Any) -> None:
    a, b = teacher.shape, student.shape
    if len(a) != len(b) or any(None not in (m, n) and m != n for m, n in zip(a, b, strict=True)):
        raise ShapeError(f"Distiller: the teacher's {side} has shape {a}, the student's {b}; they must be equal.")
    if teacher.dtype is not student.dtype:
        raise ArgumentError(
            f"Distiller: the teacher's {side} is of type {teacher.dtype}, the student's of {student.dtype}; they must "
            f"be equal."
        )

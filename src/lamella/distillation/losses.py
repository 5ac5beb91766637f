"""How far a student's outputs, or the features of one of its layers, are from the teacher's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from lamella import losses, tree
from lamella.distillation.features import has_graph
from lamella.engine.registry import Registry
from lamella.errors import ArgumentError, ShapeError

registry = Registry("part of distillation", "keras.distillation")


class DistillationLoss:
    """The base of the losses of a `Distiller`: subclasses write `compute_loss`, and `get_config` to be saved.

    Example:
        >>> import torch
        >>> from lamella.distillation import DistillationLoss
        >>> class LargestDistance(DistillationLoss):
        ...     def compute_loss(self, teacher_outputs, student_outputs, **kwargs):
        ...         return (teacher_outputs - student_outputs).abs().amax()
        >>> LargestDistance().compute_loss(torch.zeros(2, 3), torch.ones(2, 3))
        tensor(1.)
    """

    teacher_layer_name: str | None = None
    student_layer_name: str | None = None

    def compute_loss(self, teacher_outputs: Any, student_outputs: Any, **kwargs: Any) -> torch.Tensor:
        """The loss of a batch, a number.

        Args:
            teacher_outputs: What the teacher's layer (or the teacher) gives, in the nesting that it gives it in.
            student_outputs: What the student's gives.
            **kwargs: For losses of your own.
        """
        raise NotImplementedError(f"{type(self).__name__} has no compute_loss(): write it, in torch.")

    def validate_outputs(self, teacher_outputs: Any, student_outputs: Any) -> None:
        """Refuses outputs that are not nested alike.

        Raises:
            ValueError: They are not.
        """
        tree.assert_same_structure(teacher_outputs, student_outputs)

    def validate_model_compatibility(self, teacher: Any, student: Any) -> None:
        """Refuses models that this loss cannot compare; there is nothing to refuse by default."""


class _WithLosses(DistillationLoss):
    """A distillation loss that compares with losses, one for each output, and adds them up."""

    def __init__(self, loss: Any) -> None:
        self.loss = tree.map_structure(losses.get, loss)
        if all(each is None for each in tree.flatten(self.loss)):
            raise ArgumentError(f"{type(self).__name__}: `loss` names no loss at all; give one for some output.")

    def validate_outputs(self, teacher_outputs: Any, student_outputs: Any) -> None:
        super().validate_outputs(teacher_outputs, student_outputs)
        try:
            tree.assert_same_structure(self.loss, teacher_outputs)
        except ValueError as error:
            raise ShapeError(
                f"{type(self).__name__}: `loss` must be nested as the outputs are, a loss or None for each: {error}"
            ) from None

    def _total(self, compare: Callable[..., torch.Tensor], teacher_outputs: Any, student_outputs: Any) -> torch.Tensor:
        def one(loss: Any, teacher: Any, student: Any) -> torch.Tensor | None:
            return None if loss is None else compare(loss, torch.as_tensor(teacher), torch.as_tensor(student))

        found = tree.flatten(tree.map_structure(one, self.loss, teacher_outputs, student_outputs))
        return torch.stack([each for each in found if each is not None]).sum()

    def get_config(self) -> dict[str, Any]:
        """The arguments that make this loss again."""
        return {"loss": tree.map_structure(losses.serialize, self.loss)}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Any:
        """The loss that `get_config` (here or in Keras) described."""
        return cls(**{**config, "loss": _deserialized(config["loss"])})


@registry.register()
class LogitsDistillation(_WithLosses):
    """The distance between the logits of the teacher and of the student, both divided by a temperature.

    With the Kullback-Leibler divergence, probabilities softmax(logits / temperature) are compared, and the result is
    multiplied by temperature², so that gradients stay as large as those of the labels. Any other loss compares the
    divided logits themselves.

    Args:
        temperature: Above 1, the classes that the teacher holds for unlikely count for more.
        loss: A loss by its name or as an object; nested as the outputs are, with None for outputs to leave out.

    Raises:
        ArgumentError: A temperature that is not positive, or no loss at all.

    Source: Hinton, Vinyals and Dean, 2015 (arXiv:1503.02531).

    Example:
        >>> import torch
        >>> from lamella.distillation import LogitsDistillation
        >>> teacher, student = torch.tensor([[2.0, 0.0]]), torch.tensor([[0.0, 0.0]])
        >>> LogitsDistillation(temperature=2.0).compute_loss(teacher, student)
        tensor(0.4438)
    """

    def __init__(self, temperature: float = 3.0, loss: Any = "kl_divergence") -> None:
        super().__init__(loss)
        if isinstance(temperature, bool) or not isinstance(temperature, (int, float)) or temperature <= 0:
            raise ArgumentError(f"LogitsDistillation: `temperature` must be a positive number; got {temperature!r}.")
        self.temperature = temperature

    def compute_loss(self, teacher_outputs: Any, student_outputs: Any, **kwargs: Any) -> torch.Tensor:
        return self._total(self._distance, teacher_outputs, student_outputs)

    def _distance(self, loss: Any, teacher: torch.Tensor, student: torch.Tensor) -> torch.Tensor:
        teacher, student = teacher / self.temperature, student / self.temperature
        if loss is losses.kl_divergence or isinstance(loss, losses.KLDivergence):
            return loss(teacher.softmax(-1), student.softmax(-1)).mean() * self.temperature**2
        return loss(teacher, student).mean()

    def get_config(self) -> dict[str, Any]:
        return {"temperature": self.temperature, **super().get_config()}


@registry.register()
class FeatureDistillation(_WithLosses):
    """The distance between the features of a layer of the teacher and of a layer of the student.

    Args:
        loss: A loss by its name or as an object; nested as the layer's outputs are, with None for those to leave out.
        teacher_layer_name: The teacher's layer; its final output by default.
        student_layer_name: The student's layer; its final output by default.

    Raises:
        ArgumentError: No loss at all.

    Source: Romero et al., "FitNets", 2015 (arXiv:1412.6550).

    Example:
        >>> import torch
        >>> from lamella.distillation import FeatureDistillation
        >>> FeatureDistillation("mse").compute_loss(torch.zeros(4, 8), torch.full((4, 8), 3.0))
        tensor(9.)
    """

    def __init__(
        self, loss: Any = "mse", teacher_layer_name: str | None = None, student_layer_name: str | None = None
    ) -> None:
        super().__init__(loss)
        self.teacher_layer_name = teacher_layer_name
        self.student_layer_name = student_layer_name

    def validate_model_compatibility(self, teacher: Any, student: Any) -> None:
        named = {"teacher": (teacher, self.teacher_layer_name), "student": (student, self.student_layer_name)}
        for role, (model, layer_name) in named.items():
            if layer_name is None:
                continue
            if not has_graph(model):
                raise ArgumentError(
                    f"FeatureDistillation needs a functional or Sequential {role} to find the layer {layer_name!r} in; "
                    f"{model.name!r} is subclassed, or has no Input. Leave the layer's name out to compare final "
                    f"outputs."
                )
            try:
                model.get_layer(name=layer_name)
            except ArgumentError as error:
                raise ArgumentError(f"FeatureDistillation: in the {role}: {error}") from None

    def compute_loss(self, teacher_outputs: Any, student_outputs: Any, **kwargs: Any) -> torch.Tensor:
        return self._total(lambda loss, *both: loss(*both).mean(), teacher_outputs, student_outputs)

    def get_config(self) -> dict[str, Any]:
        names = {"teacher_layer_name": self.teacher_layer_name, "student_layer_name": self.student_layer_name}
        return {**super().get_config(), **names}


def _deserialized(config: Any) -> Any:
    """Losses of a config: one, or a nest of them."""
    if isinstance(config, dict) and "class_name" not in config:
        return {key: _deserialized(each) for key, each in config.items()}
    if isinstance(config, (list, tuple)):
        return type(config)(map(_deserialized, config))
    return losses.deserialize(config)

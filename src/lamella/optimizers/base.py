"""`Optimizer`: everything around the formula: the learning rate, clipping, decay, averages, accumulation.

An optimizer names its slots and writes `update(weights, gradients, rate)` over whole lists of tensors, with
torch's multi-tensor operations: one call for all weights, in place.
"""

from __future__ import annotations

import inspect
import re
import warnings
from collections.abc import Callable, Iterable, Sequence
from typing import Any, ClassVar

import numpy as np
import torch

from lamella import initializers
from lamella.engine.dtypes import torch_dtype
from lamella.engine.naming import auto_name
from lamella.engine.registry import Registry, serialize
from lamella.engine.variable import State, copy_into, in_this_process
from lamella.errors import ArgumentError, NotBuiltError
from lamella.optimizers.keeps_state import KeepsState
from lamella.optimizers.layout import all_laid_out
from lamella.optimizers.rate import Rate
from lamella.optimizers.schedules import LearningRateSchedule
from lamella.optimizers.schedules import registry as schedules
from lamella.optimizers.stateless import StatelessApply

registry = Registry("optimizer", "keras.optimizers")
Tensors = list[torch.Tensor]

_OF_ALL = {"ema": "average", "accumulated": "gradient_accumulator"}
"""The slots that this class keeps for every optimizer, and `update` does not see; and what Keras calls them."""


@registry.register()
class Optimizer(KeepsState, StatelessApply):
    """The base of optimizers.

    Args:
        learning_rate: A number, a schedule, or a function without arguments.
        weight_decay: Each step takes this share, times the rate, off the weights (decoupled).
        clipnorm: The greatest norm of one weight's gradient.
        clipvalue: The greatest absolute value in a gradient.
        global_clipnorm: The greatest norm of all gradients together.
        use_ema: Whether to keep a moving average of the weights.
        ema_momentum: How slowly it follows.
        ema_overwrite_frequency: After so many steps the weights become their average; None: at the end.
        loss_scale_factor: The loss is multiplied by it, the gradients divided: for float16.
        gradient_accumulation_steps: Update once in so many steps, with the mean gradient.
        name: A name.

    An optimizer of your own defines `update_step(gradient, variable, learning_rate)` for one weight, with
    slots from `add_variable_from_reference` made in `build`.

    Example:
        >>> import torch
        >>> from lamella.optimizers import Optimizer
        >>> class Signs(Optimizer):
        ...     def update_step(self, gradient, variable, learning_rate):
        ...         variable.sub_(gradient.sign() * learning_rate)
        >>> w = torch.nn.Parameter(torch.tensor([1.0]))
        >>> Signs(0.5).apply([torch.tensor([3.0])], [w])
        >>> w.detach()
        tensor([0.5000])
    """

    when_built: Callable[[Any], None] | None = None
    """What is called once, when the slots exist: values that were read before wait for them."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "update_step" in cls.__dict__ and "update" not in cls.__dict__:  # a user's, in place of that of its base
            cls.update = Optimizer.update  # type: ignore[method-assign]
            cls.by_element = False

    def __init__(
        self,
        learning_rate: Any = 0.01,
        weight_decay: float | None = None,
        clipnorm: float | None = None,
        clipvalue: float | None = None,
        global_clipnorm: float | None = None,
        use_ema: bool = False,
        ema_momentum: float = 0.99,
        ema_overwrite_frequency: int | None = None,
        loss_scale_factor: float | None = None,
        gradient_accumulation_steps: int | None = None,
        name: str | None = None,
        **kwargs: Any,
    ) -> None:
        if kwargs.pop("decay", None) is not None:
            warnings.warn("`decay` is no longer supported and is ignored: use a learning-rate schedule.", stacklevel=2)
        if kwargs:
            raise ArgumentError(f"{type(self).__name__} has no argument {', '.join(map(repr, kwargs))}.")
        clipping = {"clipnorm": clipnorm, "clipvalue": clipvalue, "global_clipnorm": global_clipnorm}
        given = {key: value for key, value in clipping.items() if value is not None}
        if len(given) > 1:
            raise ArgumentError(f"Only one kind of clipping at a time; got {' and '.join(given)}.")
        for key, value in given.items():
            if value < 0:
                raise ArgumentError(f"`{key}` must be 0 or more; got {value}.")
        if use_ema and not 0 <= ema_momentum <= 1:
            raise ArgumentError(f"`ema_momentum` must be from 0 to 1; got {ema_momentum}.")
        if (
            use_ema
            and ema_overwrite_frequency is not None
            and (not isinstance(ema_overwrite_frequency, int) or ema_overwrite_frequency < 1)
        ):
            raise ArgumentError(
                f"`ema_overwrite_frequency` must be a whole number, 1 or more; got {ema_overwrite_frequency}."
            )
        if gradient_accumulation_steps is not None and gradient_accumulation_steps < 2:
            raise ArgumentError(f"`gradient_accumulation_steps` must be 2 or more; got {gradient_accumulation_steps}.")
        self.name = name or auto_name(type(self).__name__)
        self.weight_decay = weight_decay
        self.clipnorm = clipnorm
        self.clipvalue = clipvalue
        self.global_clipnorm = global_clipnorm
        self.use_ema = use_ema
        self.ema_momentum = ema_momentum
        self.ema_overwrite_frequency = ema_overwrite_frequency
        self.loss_scale_factor = loss_scale_factor
        self.gradient_accumulation_steps = gradient_accumulation_steps
        self._learning_rate = self._checked_rate(learning_rate)
        self.built = False
        self._steps = 0
        self._weights: Tensors = []
        self._constrained: list[tuple[torch.Tensor, Any]] = []
        self._slots: dict[str, Tensors] = {}
        self._index: dict[int, int] = {}
        self._spread = False  # over processes
        self._not_decayed: set[int] = set()
        self._undecayed_weights: list[torch.Tensor] = []
        self._undecayed_names: list[str] = []
        self._extra: Tensors = []

    def _checked_rate(self, rate: Any) -> Any:
        if isinstance(rate, dict):
            rate = schedules.get(rate)
        if isinstance(rate, LearningRateSchedule) or callable(rate):
            return rate
        if not isinstance(rate, (int, float, torch.Tensor, np.number, np.ndarray)) or float(rate) < 0:
            raise ArgumentError(f"`learning_rate` must be a number of 0 or more, or a schedule; got {rate!r}.")
        return float(rate)

    # -- to be written by subclasses ------------------------------------------------------------------

    by_element: ClassVar[bool] = False
    """Whether `update` treats each number of a weight by itself: then each process updates its own parts of weights."""

    def slot_values(self) -> dict[str, float]:
        """The names of the tensors kept for each weight, and what they start from."""
        return {}

    def update(self, weights: Tensors, gradients: Tensors, rate: float, **slots: Tensors) -> None:
        """Changes the weights in place. By default calls `update_step` for each."""
        for weight, gradient in zip(weights, gradients, strict=True):
            self.update_step(gradient, weight, rate)

    def update_step(self, gradient: torch.Tensor, variable: torch.Tensor, learning_rate: float) -> None:
        """Changes one weight in place: Keras's form, for optimizers of users, which may call that of their base."""
        together = next((each.__dict__["update"] for each in type(self).__mro__ if _updates_together(each)), None)
        if together is None:
            raise NotImplementedError(f"{type(self).__name__} has no update() or update_step().")
        place = self._get_variable_index(variable)
        own = {name: [tensors[place]] for name, tensors in self._slots.items() if name not in _OF_ALL}
        together(self, [variable], all_laid_out([gradient], [variable]), learning_rate, **own)

    # -- slots ----------------------------------------------------------------------------------------

    def build(self, variables: Iterable[torch.Tensor]) -> None:
        """Makes the slots for these weights."""
        self._weights = list(variables)
        self._index = {id(weight): i for i, weight in enumerate(self._weights)}
        values = dict(self.slot_values())
        if self.use_ema:
            values["ema"] = 0.0
        if self.gradient_accumulation_steps:
            values["accumulated"] = 0.0
        self._slots = {name: [_slot_like(weight, value) for weight in self._weights] for name, value in values.items()}
        self._name_slots()
        self._extra = []
        constraints = [(weight, getattr(weight, "constraint", None)) for weight in self._weights]
        self._constrained = [(weight, constraint) for weight, constraint in constraints if constraint is not None]
        self._spread = any(hasattr(weight, "to_local") for weight in self._weights)
        self._find_undecayed()
        self.built = True
        if self.when_built is not None:
            self.when_built(self)

    def _name_slots(self) -> None:
        """Gives the slots Keras's paths, such as "adam/dense_kernel_velocity"."""
        for kind, slots in self._slots.items():
            for i, (weight, slot) in enumerate(zip(self._weights, slots, strict=True)):
                of = (getattr(weight, "path", "") or str(i)).replace("/", "_")
                slot.path = f"{self.name}/{of}_{_OF_ALL.get(kind, kind)}"  # type: ignore[attr-defined]

    def add_variable_from_reference(
        self, reference_variable: torch.Tensor, name: str | None = None, initializer: str = "zeros"
    ) -> State:
        """A slot of the shape of a weight, for optimizers of users."""
        slot = State(torch.zeros_like(reference_variable.detach(), memory_format=torch.preserve_format))
        if initializer != "zeros":
            slot.assign(initializers.get(initializer)(slot.shape, dtype=slot.dtype))
        self._extra.append(slot)
        return slot

    def add_optimizer_variables(
        self, trainable_variables: Iterable[torch.Tensor], name: Any, initializer: Any = "zeros"
    ) -> Any:
        """A list of slots, one for each weight; for several names a tuple of such lists."""
        if isinstance(name, str):
            return [self.add_variable_from_reference(weight, name, initializer) for weight in trainable_variables]
        starts = initializer if isinstance(initializer, (list, tuple)) else [initializer] * len(name)
        if len(starts) != len(name):
            raise ArgumentError(f"There are {len(name)} names, but {len(starts)} initializers: give as many.")
        weights = list(trainable_variables)
        return tuple(self.add_optimizer_variables(weights, *pair) for pair in zip(name, starts, strict=True))

    def add_variable(self, shape: Any, initializer: str = "zeros", dtype: Any = None, name: str | None = None) -> State:
        """A slot of any shape, for optimizers of users."""
        device = self._weights[0].device if self._weights else "cpu"
        kind = torch_dtype(dtype or "float32")
        slot = State(torch.as_tensor(initializers.get(initializer)(tuple(shape), dtype=kind)).to(device, kind))
        self._extra.append(slot)
        return slot

    def _get_variable_index(self, variable: torch.Tensor) -> int:
        return self._index[id(variable)]

    @staticmethod
    def assign(variable: torch.Tensor, value: Any) -> None:
        """Copies `value` into a weight or slot: Keras's form, for optimizers of users."""
        variable.copy_(torch.as_tensor(value, dtype=variable.dtype, device=variable.device))

    @staticmethod
    def assign_add(variable: torch.Tensor, value: Any) -> None:
        """Adds `value` to a weight or slot."""
        variable.add_(value)

    @staticmethod
    def assign_sub(variable: torch.Tensor, value: Any) -> None:
        """Subtracts `value` from a weight or slot."""
        variable.sub_(value)

    @property
    def variables(self) -> Tensors:
        """The step, the learning rate, and all slots."""
        slots = [tensor for tensors in self._slots.values() for tensor in tensors]
        step, rate = State(torch.tensor(self._steps)), State(torch.tensor(self.learning_rate))
        step.path, rate.path = f"{self.name}/iteration", f"{self.name}/learning_rate"
        return [step, rate, *slots, *self._extra]

    @property
    def iterations(self) -> torch.Tensor:
        """How many updates there were."""
        return torch.tensor(self._updates())

    @iterations.setter
    def iterations(self, value: Any) -> None:
        self._steps = int(value) * (self.gradient_accumulation_steps or 1)

    def _updates(self) -> int:
        return self._steps // (self.gradient_accumulation_steps or 1)

    @property
    def learning_rate(self) -> Rate:
        """The learning rate of the next step; settable unless it is a schedule."""
        return Rate.of(self, self._current_rate())

    @learning_rate.setter
    def learning_rate(self, value: Any) -> None:
        if isinstance(self._learning_rate, LearningRateSchedule) and not callable(value):
            raise TypeError(
                "This optimizer follows a learning-rate schedule, so its rate cannot be set. Make the optimizer with a "
                "number as learning_rate to set it later."
            )
        self._learning_rate = self._checked_rate(value)

    @property
    def lr(self) -> Rate:
        """`learning_rate`, by its name in Keras 2."""
        return self.learning_rate

    @lr.setter
    def lr(self, value: Any) -> None:
        self.learning_rate = value

    def _current_rate(self) -> float:
        if isinstance(self._learning_rate, LearningRateSchedule):
            return float(self._learning_rate(self._steps))
        return float(self._learning_rate()) if callable(self._learning_rate) else self._learning_rate

    # -- the step ---------------------------------------------------------------------------------------

    @property
    def scales_loss(self) -> bool:
        """Whether `scale_loss` changes anything."""
        return self.loss_scale_factor is not None

    def scale_loss(self, loss: torch.Tensor) -> torch.Tensor:
        """The loss times the loss scale."""
        return loss if self.loss_scale_factor is None else loss * self.loss_scale_factor

    def apply_gradients(self, grads_and_vars: Iterable[tuple[Any, torch.Tensor]]) -> torch.Tensor:
        """`apply`, for pairs of a gradient and its weight."""
        pairs = list(grads_and_vars)
        self.apply([gradient for gradient, _ in pairs], [weight for _, weight in pairs])
        return self.iterations

    def apply(
        self, grads: Sequence[torch.Tensor | None], trainable_variables: Sequence[torch.Tensor] | None = None
    ) -> None:
        """One step: changes the weights, given their gradients (None: that weight is left alone).

        An empty list of gradients does nothing, and counts for no step.

        Raises:
            NotBuiltError: No weights given, and none before.
            ArgumentError: Another number of gradients than weights, a weight that is not this optimizer's, or
                no gradient at all.
            ShapeError: A gradient of another shape than its weight.
        """
        if len(grads) == 0:
            return
        if torch.is_grad_enabled():
            with torch.no_grad():
                self._apply(grads, trainable_variables)
        else:
            self._apply(grads, trainable_variables)

    def _apply(self, grads: Sequence[torch.Tensor | None], trainable_variables: Sequence[torch.Tensor] | None) -> None:
        if trainable_variables is not None and not self.built:
            self.build(trainable_variables)
        if not self.built:
            raise NotBuiltError("The optimizer has no weights yet: pass them to apply(grads, weights), or build() it.")
        weights = self._weights
        index: list[int] | None = None
        if trainable_variables is not None and trainable_variables is not weights:
            weights = list(trainable_variables)
            try:
                index = [self._index[id(weight)] for weight in weights]
            except KeyError:
                raise ArgumentError(
                    "The optimizer was built for other weights. "
                    "Make a new optimizer (compile() the model again) for these."
                ) from None
        if len(grads) != len(weights):
            raise ArgumentError(f"There are {len(grads)} gradients for {len(weights)} weights.")
        if type(None) in map(type, grads):
            index = index if index is not None else list(range(len(weights)))
            kept = [i for i, g in enumerate(grads) if g is not None]
            if not kept:
                raise ArgumentError("No weight has a gradient: does the loss depend on the model's output?")
            _warn_missing(len(grads) - len(kept), len(grads))
            weights, index = [weights[i] for i in kept], [index[i] for i in kept]
            grads = [grads[i] for i in kept]
        slots = self._slots
        if index is not None and index != list(range(len(self._weights))):
            slots = {name: [tensors[i] for i in index] for name, tensors in slots.items()}
        self._step(weights, all_laid_out(grads, weights), slots)  # type: ignore[arg-type]
        for weight, constraint in self._constrained:
            copy_into(weight, constraint(weight))
        self._steps += 1

    def _step(self, weights: Tensors, gradients: Tensors, slots: dict[str, Tensors]) -> None:
        if self.loss_scale_factor is not None:
            gradients = torch._foreach_div(gradients, self.loss_scale_factor)  # type: ignore[assignment]
        if self.gradient_accumulation_steps:
            sums = slots["accumulated"]
            torch._foreach_add_(sums, gradients)
            if (self._steps + 1) % self.gradient_accumulation_steps:
                self._follow_average(slots)
                return
            gradients = torch._foreach_div(sums, self.gradient_accumulation_steps)  # type: ignore[assignment]
            torch._foreach_zero_(sums)
        rate = self._current_rate()
        gradients = self._clipped(gradients)
        self._decay(weights, rate)
        own = slots
        if self.use_ema or self.gradient_accumulation_steps:
            own = {name: tensors for name, tensors in slots.items() if name not in _OF_ALL}
        if self._spread and self.by_element:
            own = {name: in_this_process(tensors) for name, tensors in own.items()}
            weights = in_this_process(weights)
            gradients = all_laid_out(in_this_process(gradients), weights)
        self.update(weights, gradients, rate, **own)
        self._follow_average(slots)

    def _clipped(self, gradients: Tensors) -> Tensors:
        if self.clipvalue is not None and self.clipvalue > 0:
            low = torch._foreach_clamp_min(gradients, -self.clipvalue)
            return list(torch._foreach_clamp_max(low, self.clipvalue))
        if self.clipnorm is not None and self.clipnorm > 0:
            norms = torch._foreach_norm(gradients)
            scales = [self.clipnorm / norm.clamp(min=self.clipnorm) for norm in norms]
            return list(torch._foreach_mul(gradients, scales))
        if self.global_clipnorm is not None and self.global_clipnorm > 0:
            norm = torch.stack(torch._foreach_norm(gradients)).norm()
            scale = self.global_clipnorm / norm.clamp(min=self.global_clipnorm)
            # norm - norm is 0, or NaN where the norm is not finite: then every weight shows it, not some
            return list(torch._foreach_mul(gradients, scale + (norm - norm)))
        return gradients

    def _decay(self, weights: Tensors, rate: float) -> None:
        if self.weight_decay is None:
            return
        if self._not_decayed:
            weights = [weight for weight in weights if id(weight) not in self._not_decayed]
        if weights:
            torch._foreach_mul_(weights, 1.0 - self.weight_decay * rate)

    def exclude_from_weight_decay(
        self, var_list: Sequence[torch.Tensor] | None = None, var_names: Sequence[str] | None = None
    ) -> None:
        """Says which weights weight decay leaves alone, in place of what an earlier call said.

        Args:
            var_list: The weights.
            var_names: Parts of their names (regular expressions); the weights must have a `name`.

        Raises:
            ArgumentError: Names, but for weights that have none (when the weights are known).
        """
        self._undecayed_weights = list(var_list or ())
        self._undecayed_names = list(var_names or ())
        self._find_undecayed()

    def _find_undecayed(self) -> None:
        self._not_decayed = {id(weight) for weight in self._undecayed_weights}
        if not self._undecayed_names or not self._weights:
            return
        names = [getattr(weight, "name", None) or "" for weight in self._weights]
        if not any(names):
            raise ArgumentError(
                f"exclude_from_weight_decay(var_names={self._undecayed_names}) needs weights with names, and these "
                "have none. Pass the weights themselves, as var_list=[...]."
            )
        pattern = re.compile("|".join(self._undecayed_names))
        self._not_decayed |= {id(w) for w, name in zip(self._weights, names, strict=True) if pattern.search(name)}

    # -- the moving average -------------------------------------------------------------------------------

    def _follow_average(self, slots: dict[str, Tensors]) -> None:
        if not self.use_ema:
            return
        averages = self._slots["ema"]
        momentum = self.ema_momentum if self._updates() else 0.0
        torch._foreach_lerp_(averages, self._weights, 1.0 - momentum)
        if self.ema_overwrite_frequency and (self._updates() + 1) % self.ema_overwrite_frequency == 0:
            torch._foreach_copy_(in_this_process(self._weights), in_this_process(averages))

    @torch.no_grad()
    def finalize_variable_values(self, var_list: Sequence[torch.Tensor]) -> None:
        """At the end of training: the weights become their average, if there is one."""
        if self.use_ema and self._slots:
            for weight in var_list:
                weight.copy_(self._slots["ema"][self._index[id(weight)]])

    # -- configuration --------------------------------------------------------------------------------------

    def get_config(self) -> dict[str, Any]:
        """The arguments that make this optimizer again."""
        rate = self._learning_rate
        config: dict[str, Any] = {
            "name": self.name,
            "learning_rate": serialize(rate) if isinstance(rate, LearningRateSchedule) else float(self.learning_rate),
            "weight_decay": self.weight_decay,
            "clipnorm": self.clipnorm,
            "global_clipnorm": self.global_clipnorm,
            "clipvalue": self.clipvalue,
            "use_ema": self.use_ema,
            "ema_momentum": self.ema_momentum,
            "ema_overwrite_frequency": self.ema_overwrite_frequency,
            "loss_scale_factor": self.loss_scale_factor,
            "gradient_accumulation_steps": self.gradient_accumulation_steps,
        }
        own = [name for name in inspect.signature(type(self).__init__).parameters if name not in ("self", "options")]
        return config | {name: getattr(self, name) for name in own if name not in config and hasattr(self, name)}

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> Optimizer:
        """The optimizer that `get_config` described."""
        rate = config.get("learning_rate")
        if custom_objects and isinstance(rate, dict):
            config = {**config, "learning_rate": schedules.get(rate, custom_objects)}
        return cls(**config)


_warned: set[tuple[int, int]] = set()


def _warn_missing(missing: int, total: int) -> None:
    if (missing, total) not in _warned:
        _warned.add((missing, total))
        warnings.warn(
            f"{missing} of {total} weights have no gradient: the loss does not depend on them. They stay as they are.",
            stacklevel=4,
        )


def _updates_together(kind: type) -> bool:
    """Whether a class of optimizers has an `update` of all weights at once."""
    return "update" in kind.__dict__ and kind.__dict__["update"] is not Optimizer.update


def _slot_like(weight: torch.Tensor, value: float) -> torch.Tensor:
    return as_slot(torch.full_like(weight, value, requires_grad=False, memory_format=torch.preserve_format))


def as_slot(tensor: torch.Tensor) -> torch.Tensor:
    """The tensor with Keras's methods, unless it is spread over processes."""
    return tensor if hasattr(tensor, "to_local") else State(tensor)

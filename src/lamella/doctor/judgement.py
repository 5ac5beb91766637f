"""From what was seen of a training to findings: its layers and its losses."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

from lamella.doctor.finding import Finding
from lamella.doctor.probe import Trial
from lamella.doctor.reading import LayerReading, Reading

_FLAT_SHARE = 0.5
"""From this share of dead or saturated units on a layer is ill."""
_VANISHED, _EXPLODED = 1e-3, 1e3
_GAIN = 4.0
"""Times that a layer's output may be larger than its input before training."""
_GREW = 10.0
"""Times that a recurrent layer's output may be larger than its input."""
_COLLAPSED = 0.05
_STUCK = 0.85
"""Of the loss before training: one above has hardly fallen."""
_FEWEST_STEPS = 20
"""The first steps of a good training may raise the loss: of fewer no rate is judged, unless the loss is no number."""


@dataclass
class Course:
    """What was seen of a training so far.

    Attributes:
        losses: After each epoch.
        validation_losses: Likewise; empty without validation.
        readings: Of the layers, the first from before training.
        trials: Of single steps, the first from before training.
        constant: The loss of the best constant answer; None if unknown.
        steps: How many were taken.
    """

    losses: list[float] = field(default_factory=list)
    validation_losses: list[float] = field(default_factory=list)
    readings: list[Reading] = field(default_factory=list)
    trials: list[Trial] = field(default_factory=list)
    constant: float | None = None
    steps: int = 0

    @property
    def first(self) -> float:
        """The loss before training."""
        return self.readings[0].loss if self.readings else self.losses[0]

    @property
    def stuck(self) -> float:
        """A loss that has hardly fallen since before training, on the samples of the trials; infinite before it."""
        return _STUCK * self.trials[0].before if self.losses and self.trials else math.inf

    @property
    def start(self) -> float:
        """The loss before training, or what a constant answer gives where that is less."""
        return self.first if self.constant is None else min(self.first, self.constant)


def layer_findings(course: Course) -> list[Finding]:
    """Layers whose units, activations or gradients are ill."""
    if not course.readings:
        return []
    return [
        *_exploding_activations(course.readings[0]),
        *_dead_units(course.readings[-1]),
        *_saturated_units(course.readings),
        *_exploding_gradients(course.readings),
        *_vanishing_gradients(course.readings),
        *_collapsed_attention(course.readings[-1]),
    ]


def _exploding_activations(first: Reading) -> list[Finding]:
    for layer in first.layers:
        grows = layer.activation > _GAIN * layer.inputs > 0 and layer.weight > 0
        if grows and not (layer.last or layer.recurrent):
            figures = {"gain": layer.activation / layer.inputs, "weight": layer.weight}
            return [Finding("exploding_activations", figures, layer.layer)]
    return []


def _dead_units(last: Reading) -> list[Finding]:
    dead = next((layer for layer in last.layers if layer.dead >= _FLAT_SHARE and not layer.last), None)
    return [] if dead is None else [Finding("dead_units", {"share": dead.dead}, dead.layer, last.epoch)]


def _saturated_units(readings: list[Reading]) -> list[Finding]:
    last = readings[-1]
    flat = next((layer for layer in last.layers if layer.saturated >= _FLAT_SHARE and not layer.last), None)
    return [] if flat is None else [Finding("saturated_units", {"share": flat.saturated}, flat.layer, last.epoch)]


def _judged_by_gradient(reading: Reading) -> list[LayerReading]:
    """The layers from the first on, where nothing else (dead or saturated units) stops the gradient."""
    stopped = any(max(_known(layer.dead), _known(layer.saturated)) >= _FLAT_SHARE for layer in reading.layers[:-1])
    return [] if stopped else [layer for layer in reading.layers if layer.weight > 0 and layer.gradient > 0]


def _known(number: float) -> float:
    return 0.0 if math.isnan(number) else number


def _vanishing_gradients(readings: list[Reading]) -> list[Finding]:
    found = []
    for reading in (readings[0], readings[-1]):
        judged = [layer for layer in _judged_by_gradient(reading) if not layer.recurrent]
        if len(judged) < 3:
            return []
        largest = max(judged, key=lambda layer: layer.gradient)
        ratio = judged[0].gradient / largest.gradient
        if ratio >= _VANISHED:
            return []
        found.append(
            Finding("vanishing_gradients", {"ratio": ratio, "other": largest.layer}, judged[0].layer, reading.epoch)
        )
    return found[-1:]


def _exploding_gradients(readings: list[Reading]) -> list[Finding]:
    """Of recurrent layers: what grows from step to step, on the way there or on the way back."""
    for reading in readings:
        ahead = next((layer for layer in reversed(reading.layers) if layer.gradient > 0 and not layer.recurrent), None)
        for layer in reading.layers:
            if not layer.recurrent:
                continue
            if layer.activation > _GREW * layer.inputs > 0:
                figures: dict[str, Any] = {"ratio": layer.activation / layer.inputs}
                return [Finding("exploding_gradients", figures, layer.layer, reading.epoch)]
            if ahead is not None and layer.gradient > _EXPLODED * ahead.gradient:
                figures = {"ratio": layer.gradient / ahead.gradient, "other": ahead.layer}
                return [Finding("exploding_gradients", figures, layer.layer, reading.epoch, "back")]
    return []


def _collapsed_attention(last: Reading) -> list[Finding]:
    for layer in last.layers:
        if layer.entropy < _COLLAPSED:  # NaN is not
            return [Finding("attention_collapse", {"entropy": layer.entropy}, layer.layer, last.epoch)]
    return []


def course_findings(course: Course, found: list[Finding]) -> list[Finding]:
    """What the losses and the tried steps show.

    Args:
        course: What was seen.
        found: What was found already: an ill layer explains a loss that stays.
    """
    if not course.losses or not math.isfinite(course.losses[-1]):
        return _too_large(course)
    too_large = _too_large(course)
    explained = {finding.kind for finding in found}
    no_explanation = not explained & {
        "output_does_not_fit_loss",
        "dead_units",
        "saturated_units",
        "vanishing_gradients",
        "exploding_activations",
    }
    too_small = _too_small(course) if no_explanation and not too_large else []
    under = _under_fitting(course) if no_explanation and not (too_large or too_small) else []
    spike = _spike(course) if not too_large else []
    return [*too_large, *too_small, *under, *spike, *_over_fitting(course)]


def stays(course: Course) -> bool:
    """Whether the loss is no better than before training."""
    return not course.losses[-1] < 0.98 * course.start


def _too_large(course: Course) -> list[Finding]:
    known = [trial for trial in course.trials if math.isfinite(trial.before)]
    hot = next((t for t in known if not t.after <= 1.02 * t.before or t.ratio > 0.3), None)
    if hot is None:
        return []
    losses, epoch = course.losses, len(course.losses)
    if losses and math.isfinite(losses[-1]):
        best, jumps = losses[0], 0
        for loss in losses[1:]:
            jumps += loss > 1.3 * best + 0.05 * course.start
            best = min(best, loss)
        now = min(losses[-1], known[-1].before)  # the mean over a first epoch has its bad start in it
        learns = now <= 0.95 * course.start and jumps < max(2, epoch / 4)
        if learns or course.steps < _FEWEST_STEPS:
            return []
    figures = {"ratio": hot.ratio, "before": hot.before, "after": hot.after, "loss": losses[-1] if losses else math.nan}
    case = "raises" if not hot.after <= 1.02 * hot.before else "jumps"
    return [Finding("rate_too_large", figures, hot.layer or None, epoch, case)]


def _too_small(course: Course) -> list[Finding]:
    if len(course.trials) < 2 or course.steps < _FEWEST_STEPS:
        return []
    first, trial = course.trials[0], course.trials[-1]
    if trial.times < 100 or trial.before - trial.best < 0.05 * course.start:
        return []
    fall = 1 - trial.before / first.before
    figures = {"change": abs(fall), "times": trial.times, "before": trial.before, "best": trial.best}
    return [Finding("rate_too_small", figures, epoch=len(course.losses), case="rose" if fall < 0 else None)]


def _under_fitting(course: Course) -> list[Finding]:
    losses, constant = course.losses, course.constant
    if constant is None or len(losses) < 4 or losses[-1] < 0.8 * constant:
        return []
    if abs(losses[len(losses) // 2] - losses[-1]) > 0.03 * constant:
        return []
    return [Finding("under_fitting", {"loss": losses[-1], "constant": constant}, epoch=len(losses))]


def _over_fitting(course: Course) -> list[Finding]:
    losses, held = course.losses, course.validation_losses
    if len(held) < 3 or len(held) != len(losses):
        return []
    scale = course.start
    best = min(range(len(held)), key=held.__getitem__)
    now, gap = held[-1], held[-1] - losses[-1]
    rises = best < len(held) - 2 and now > 1.15 * held[best] + 0.05 * scale and gap > 0.2 * scale
    apart = gap > 0.5 * scale and losses[-1] < 0.5 * now
    if not (rises or apart):
        return []
    figures = {"training": losses[-1], "validation": now, "best": held[best], "best_epoch": best + 1}
    return [Finding("over_fitting", figures, epoch=len(losses), case="rises" if rises else "apart")]


def _spike(course: Course) -> list[Finding]:
    losses = course.losses
    for i in range(1, len(losses) - 1):
        leap = losses[i] - losses[i - 1]
        if leap > max(losses[i - 1], 0.2 * course.start) and min(losses[i + 1 :]) < losses[i]:
            return [Finding("loss_spike", {"before": losses[i - 1], "loss": losses[i]}, epoch=i + 1)]
    return []

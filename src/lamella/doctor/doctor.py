"""`Doctor`: watches a training and tells what is wrong with it."""

from __future__ import annotations

import math
import time
from typing import Any

from lamella import distribution
from lamella.callbacks import Callback
from lamella.doctor import catalogue, data_checks, outputs
from lamella.doctor.finding import Finding, worst_first
from lamella.doctor.judgement import Course, course_findings, layer_findings, stays
from lamella.doctor.non_finite import non_finite
from lamella.doctor.probe import Look, Probe, sample
from lamella.doctor.reading import Reading, activation_of
from lamella.errors import NonFiniteError
from lamella.models import Model
from lamella.optimizers.rate import steps_of

_SHARE = 0.015
"""The share of a training's time for looks at the layers between its start and its end."""
_DEADLY = (
    "non_finite",
    "output_does_not_fit_loss",
    "rate_too_large",
    "rate_too_small",
    "dead_units",
    "saturated_units",
    "vanishing_gradients",
    "exploding_activations",
    "exploding_gradients",
)


class Doctor(Callback):
    """Watches a training, and says at its end what is wrong; nothing if nothing is.

    It looks at the data and at one batch of samples before training, at the layers between epochs as often as 1.5 % of
    the time allows, and once more at the end. It never listens to batches, so steps are as quick as without it. What
    leads nowhere (NaN; a loss that does not fall at all) it tells early. Weights, states and random numbers are left
    as they were: a training with a doctor gives bit for bit what it gives without.

    Args:
        shown: How many findings are printed at most, the worst first; 0 prints nothing.
        language: `"en"` or `"zh"`; by default `LAMELLA_LANG`, else the system's.

    Attributes:
        findings: All that was found.
        readings: What the layers looked like, from before training to its end.
        seconds: How long the doctor itself took.

    Raises:
        ArgumentError: A language that the doctor does not speak.

    Example:
        >>> import numpy as np
        >>> from lamella import Input, Sequential, layers
        >>> from lamella.doctor import Doctor
        >>> model = Sequential([Input((2,)), layers.Dense(8, "relu", name="hidden"), layers.Dense(1)])
        >>> model.compile("sgd", "mse")
        >>> x = np.random.default_rng(0).normal(size=(64, 2))
        >>> doctor = Doctor(shown=0)
        >>> _ = model.fit(x, x[:, 0], epochs=2, verbose=0, callbacks=[doctor])
        >>> doctor.findings
        []
    """

    first_only = True  # of several processes

    def __init__(self, shown: int = 5, language: str | None = None) -> None:
        super().__init__()
        self.shown = shown
        self.language = language if language is None else catalogue.chosen(language)
        self.findings: list[Finding] = []
        self._source: Any = None
        self._validation: Any = None
        self._begin()

    @property
    def readings(self) -> list[Reading]:
        """What the layers looked like, from before training to its end."""
        return self._course.readings

    def _begin(self) -> None:
        self.findings = []
        self._course = Course()
        self._probe: Probe | None = None
        self._of_data: list[Finding] = []
        self._told: set[tuple[str, str | None]] = set()
        self.seconds = self._last_look = 0.0
        self._started = time.perf_counter()

    def set_data(self, source: Any, validation: Any) -> None:
        """Called by `fit` with what it trains on, and with what it validates on or None."""
        self._source, self._validation = source, validation

    def on_train_begin(self, logs: Any = None) -> None:
        self._begin()
        source, model = self._source, self.model
        self._first_step = steps_of(model.optimizer)
        if source is not None and _may_be_probed(model):
            batch = sample(source, self.params.get("epochs", 1))
            self._probe = Probe(model, batch)
            self._of_data = self._examine_data(batch)
        self.seconds += time.perf_counter() - self._started

    def _examine_data(self, batch: Any) -> list[Finding]:
        assert self._probe is not None
        source, loss = self._source, outputs.single_loss(self.model)
        look = self._look(0, step=True)
        prediction = look.prediction
        first = next((layer.layer for layer in look.reading.layers if layer.weight > 0), "")
        found = data_checks.unscaled_inputs(look.given, first)
        x, y = getattr(source, "x", batch[0]), source.targets()
        found += data_checks.constant_features(x)
        found += data_checks.leaked_rows(source, self._validation)
        if loss is not None and hasattr(prediction, "shape") and prediction.ndim > 1:
            last = self.model.layers[-1]
            weighted = batch[2] is not None
            found += data_checks.label_imbalance(y, loss, prediction.shape[-1], weighted, x)
            found += outputs.fits_loss(prediction, batch[1], loss, activation_of(last), last.name)
            self._course.constant = None if weighted else outputs.constant_loss(y, loss, prediction.shape[-1])
        return found

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        begun = time.perf_counter()
        logs = logs or {}
        if not isinstance(logs.get("loss"), float):
            return
        self._course.losses.append(logs["loss"])
        if "val_loss" in logs:
            self._course.validation_losses.append(logs["val_loss"])
        if not math.isfinite(logs["loss"]):
            self._find_non_finite()
            return
        done, asked = len(self._course.losses), self.params.get("epochs", 0)
        if self._probe is not None and done == max(3, asked // 4) and stays(self._course):
            self._look(done, step=True)
            self._judge()
            self._tell([finding for finding in self.findings if finding.kind in _DEADLY])
        elif self._probe is not None and done < asked and self._has_time(begun):  # at last `on_train_end` looks
            self._look(done)
        self.seconds += time.perf_counter() - begun

    def on_train_end(self, logs: Any = None) -> None:
        begun = time.perf_counter()
        if not any(finding.kind == "non_finite" for finding in self.findings):
            epoch = len(self._course.losses)
            if epoch and self._probe is not None:
                self._look(epoch, step=True)
            self._judge()
        self.seconds += time.perf_counter() - begun
        self._tell(self.findings)
        self._let_go()

    def on_train_error(self, error: Exception) -> None:
        """Called by `fit` when an error ends the training."""
        if isinstance(error, NonFiniteError):
            self._find_non_finite()
            self._tell(self.findings)
        self._let_go()

    def text(self, language: str | None = None) -> str:
        """All findings in words, the worst first; empty if nothing is wrong.

        Args:
            language: `"en"` or `"zh"`; by default the doctor's.
        """
        return "\n\n".join(finding.text(language or self.language) for finding in self.findings)

    def _has_time(self, now: float) -> bool:
        return self.seconds + self._last_look < _SHARE * (now - self._started)

    def _look(self, epoch: int, step: bool = False) -> Look:
        assert self._probe is not None
        begun = time.perf_counter()
        course = self._course
        look = self._probe.look(epoch, step, course.stuck)
        if course.readings and course.readings[-1].epoch == epoch:  # callbacks may have changed weights since
            course.readings.pop()
        course.readings.append(look.reading)
        if look.trial is not None:
            course.trials.append(look.trial)
        self._last_look = time.perf_counter() - begun
        return look

    def _judge(self) -> None:
        self._course.steps = steps_of(self.model.optimizer) - self._first_step
        found = [*self._of_data, *layer_findings(self._course)]
        self.findings = worst_first([*found, *course_findings(self._course, found)])

    def _find_non_finite(self) -> None:
        losses = self._course.losses
        alone = distribution.get_distribution() is None  # else the other processes would have to compute with this one
        broken = non_finite(self.model, self._source if alone else None, len(losses))
        if not losses or math.isfinite(losses[-1]):
            losses.append(math.inf)
        self._judge()
        self.findings = worst_first([broken, *self.findings])

    def _tell(self, findings: list[Finding]) -> None:
        new = [each for each in findings if (each.kind, each.layer) not in self._told][: self.shown]
        self._told |= {(each.kind, each.layer) for each in new}
        if new:
            print("\n" + "\n\n".join(finding.text(self.language) for finding in new), flush=True)

    def _let_go(self) -> None:
        self._probe = self._source = self._validation = None


def _may_be_probed(model: Any) -> bool:
    """Whether the model's loss is what `compute_loss` says, and one process may compute it alone."""
    return type(model).train_step is Model.train_step and distribution.get_distribution() is None

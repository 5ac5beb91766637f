"""What a look at a trained model shows."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from types import NoneType
from typing import Any

from lamella import distribution
from lamella.models import Model
from lamella.report.embeddings import embeddings
from lamella.report.filters import filters
from lamella.report.forward import as_it_was
from lamella.report.look import Look
from lamella.report.mistakes import mistakes
from lamella.report.record import Evidence
from lamella.report.samples import Batch


def evidence(model: Any, kind: str, batches: Iterator[Batch]) -> Evidence:
    """What a look at the trained model shows. What cannot be known of this model or of these data is left out.

    The model, its modes and all random states stay as they were. It takes 10 seconds at most, and one batch.

    Args:
        model: A compiled model.
        kind: What the data are: `"validation"`, `"training"` or `"given"`.
        batches: Samples: see `lamella.report.samples`.

    Example:
        >>> import lamella, torch
        >>> from lamella.report.samples import of_arrays
        >>> model = lamella.Sequential([lamella.Input((2,)), lamella.layers.Dense(3, "softmax")])
        >>> model.compile("sgd", "sparse_categorical_crossentropy")
        >>> found = evidence(model, "training", of_arrays(torch.eye(2), torch.tensor([0, 2])))
        >>> found.samples, found.confusion.labels, len(found.mistakes)
        (2, ['0', '1', '2'], 2)
    """
    found = Evidence(kind)
    with as_it_was(model):
        found.filters = tried(lambda: filters(model))
        if not isinstance(distribution.get_distribution(), (distribution.DataParallel, NoneType)):
            return found  # one process has but a part of the model
        look = Look(model, predicts=kind == "given")
        own_step = type(model).train_step is not Model.train_step  # it may not call the model on x alone
        if look.loss is not None or not own_step:
            tried(lambda: look.through(batches), quiet=own_step)
        found.samples = look.samples
        said = tried(look.answers)
        if said is not None:
            found.confusion, found.residuals = said.confusion(), said.residuals()
            found.mistakes = tried(lambda: mistakes(look, said)) or []
        found.embeddings = tried(lambda: embeddings(look.before, said))
    return found


def tried(work: Callable[[], Any], quiet: bool = False) -> Any:
    """What the work gives; None and a warning if it fails, for no training is to be lost by what is told of it."""
    try:
        return work()
    except Exception as error:
        if not quiet:
            warnings.warn(f"The report leaves something out: {type(error).__name__}: {error}", stacklevel=2)
        return None

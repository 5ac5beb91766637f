"""Many copies of a model as one: their weights are stacked, and every step computes all of them at once.

`torch.func.vmap` turns the model's own computation into that of all copies (a product of matrices becomes a batched
one). The copies do not touch each other, so the gradient of the sum of their losses holds the gradient of each: one
ordinary backward pass gives them all.
"""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from functools import partial
from typing import Any

import torch
from torch import nn
from torch.func import functional_call, vmap
from torch.utils import _pytree as pytree

from lamella.engine.denormals import denormals_as_zeros
from lamella.engine.kernels import keep_freed_memory
from lamella.engine.replay import Replay
from lamella.layers import Dropout
from lamella.models import Model
from lamella.study.job import Data, Job, held_by
from lamella.study.likeness import Place, numbers
from lamella.study.stacked_optimizers import StackedOptimizer
from lamella.study.streams import Streams
from lamella.training.plain import is_plain


class Loss(nn.Module):
    """A model and its loss as one module: from a batch to the loss and the predictions."""

    def __init__(self, model: Model) -> None:
        super().__init__()
        self.model = model

    def forward(self, x: Any, y: Any) -> tuple[torch.Tensor, Any]:
        y_pred = self.model(x)
        loss: Any = self.model.compute_loss(x, y, y_pred, training=self.model.training)
        return loss, y_pred


class Stack:
    """Copies of one model with stacked weights.

    Args:
        jobs: Those of models with one `likeness`.
        data: What they are trained on.
        draws: Whether layers of the model may draw random numbers.

    Attributes:
        weights: By name, what is trained: (copies, *shape) each.
        rest: The same for frozen weights, moving averages and other states.
    """

    def __init__(self, jobs: Sequence[Job], data: Data, draws: bool = True) -> None:
        self.jobs = jobs
        self.data = data
        self.model = copy.deepcopy(jobs[0].model)
        self.loss = Loss(self.model)
        states = {id(job.model): held_by(job.model) for job in jobs}
        columns = zip(*(states[id(job.model)].values() for job in jobs), strict=True)
        with torch.no_grad():
            stacked = dict(zip(held_by(self.model), map(torch.stack, columns), strict=True))
        trained = {name for name, weight in self.model.named_parameters() if weight.requires_grad}
        self.weights = {name: value.requires_grad_() for name, value in stacked.items() if name in trained}
        self.rest = {name: value for name, value in stacked.items() if name not in trained}
        self.penalties = _penalties(self.model, trained)
        self.device = next(iter(self.weights.values())).device
        self.streams = Streams([job.stream for job in jobs], self.device)
        self.numbers = self._differing_numbers()
        self.rows = torch.arange(len(jobs), device=self.device)
        self.draws = draws
        self._prepare_dropout()

    def _differing_numbers(self) -> dict[Place, torch.Tensor]:
        found = {id(job.model): numbers(job.model) for job in self.jobs}
        values = {place: [found[id(job.model)][place] for job in self.jobs] for place in numbers(self.model)}
        return {
            place: torch.tensor(each, dtype=torch.float32, device=self.device)
            for place, each in values.items()
            if len(set(each)) > 1
        }

    def _prepare_dropout(self) -> None:
        modules = list(self.model.modules())
        self._owners = {place: modules[place[0]] for place in self.numbers}
        self._rates: dict[int, torch.Tensor] = {}
        for place, owner in self._owners.items():
            if isinstance(owner, Dropout):
                owner.call = partial(self._dropped, place[0], owner)  # type: ignore[method-assign]

    def _dropped(self, place: int, layer: Dropout, inputs: Any, training: bool | None = None) -> Any:
        """Dropout with the rate of the copy: for up to 16384 numbers, what the layer itself draws."""
        if not training:
            return inputs
        keep = 1.0 - self._rates[place]
        asked = layer.noise_shape or inputs.shape
        shape = [size if own is None else own for own, size in zip(asked, inputs.shape, strict=True)]
        return inputs * (torch.empty(shape, dtype=inputs.dtype, device=inputs.device).uniform_() < keep) / keep

    # -- computing ------------------------------------------------------------------------------------

    def compute(self, x: Any, y: Any, shared: bool) -> tuple[torch.Tensor, Any]:
        """The loss (copies,) and the predictions (copies, batch, ...) of all copies.

        Args:
            x: A batch (batch, ...) for all copies if `shared`, else (copies, batch, ...).
            y: The targets, likewise.
            shared: Whether all copies see the same batch.
        """
        over_data = None if shared else 0
        state = {**self.weights, **self.rest}
        run = vmap(self._one, in_dims=(0, 0, 0, over_data, over_data), randomness="same")
        with self.streams if self.draws else nullcontext():
            return run(state, self.numbers, self.streams.of_copy, x, y)

    def _one(self, state: Any, given: Any, stream: torch.Tensor, x: Any, y: Any) -> Any:
        """The loss and the predictions of one copy, as vmap sees it."""
        self.streams.current = stream
        for place, value in given.items():
            self._set(place, value)
        loss, y_pred = functional_call(self.loss, {f"model.{name}": value for name, value in state.items()}, (x, y))
        for name, regularizer in self.penalties:
            loss = loss + regularizer(state[name])
        return loss, y_pred

    def _set(self, place: Place, value: torch.Tensor) -> None:
        if place[1] == "rate":
            self._rates[place[0]] = value
        else:
            regularizer, factor = place[1].split(".")
            setattr(getattr(self._owners[place], regularizer), factor, value)

    def batch(self, orders: torch.Tensor, start: int) -> tuple[Any, Any]:
        """The batch at this place of an epoch: one for all copies of one stream, else (copies, batch, ...)."""
        rows = orders[:, start : start + self.data.batch_size]
        rows = rows[0] if len(rows) == 1 else rows[self.streams.of_copy]
        take: Callable[[torch.Tensor], torch.Tensor] = lambda part: part[rows]  # noqa: E731
        return pytree.tree_map(take, self.data.x), pytree.tree_map(take, self.data.y)

    def gradients(self, x: Any, y: Any, weight: Any = None) -> tuple[torch.Tensor, Any, Sequence[torch.Tensor | None]]:
        """The losses, the predictions, and the gradient of each stacked weight, for what `batch` gives."""
        losses, outputs = self.compute(x, y, shared=len(self.streams.states) == 1)
        found = torch.autograd.grad(losses.sum(), list(self.weights.values()), allow_unused=True)
        return losses.detach(), outputs, found

    # -- whether it is right ----------------------------------------------------------------------------

    def difference(self) -> str | None:
        """Why these copies cannot be computed as one, in words; None if they can.

        Computes the first step of the first and the last copy in the ordinary way, too, and compares. The stack is
        used up by it.
        """
        self.model.train()
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            try:
                losses, _, _ = self.gradients(*self.batch(self.streams.orders(self.data.count), 0))
            except (RuntimeError, NotImplementedError, TypeError, ValueError) as error:
                return f"vmap refuses it ({str(error).strip().splitlines()[0]})"
        if any("batching rule" in str(warning.message) for warning in caught):
            return "vmap has no rule for an operation in it"
        for row in {0, len(self.jobs) - 1}:
            alone = _first_loss(self.jobs[row], self.data)
            if not torch.isclose(losses[row], alone, rtol=1e-3, atol=1e-6, equal_nan=True):
                return f"computed as one, the first loss is {float(losses[row]):.6g}, alone {float(alone):.6g}"
        return None

    # -- training -------------------------------------------------------------------------------------

    @denormals_as_zeros()
    def train(self) -> Trained:
        """Trains all copies to the end."""
        keep_freed_memory()
        plain = self.device.type == "cpu" and not self.draws and is_plain(self.model, self.model.loss)
        step: Any = self.gradients
        optimizer = StackedOptimizer([job.optimizer for job in self.jobs], [w.detach() for w in self.weights.values()])
        record = Trained(self)
        self.model.eval()
        with torch.no_grad():
            record.before = self.compute(*self.data.head(), shared=True)[0]
        for _ in range(self.data.epochs):
            self.model.train()
            if plain and getattr(step, "played", None) is None:  # half the time of a small step is Python's
                step = Replay(self.gradients, lambda: None)
            orders = self.streams.orders(self.data.count)
            epoch = Epoch(self, record.watches)
            for start in range(0, self.data.count, self.data.batch_size):
                losses, outputs, found = step(*self.batch(orders, start), None)
                with torch.no_grad():
                    optimizer.apply(found)
                record.note(losses)
                epoch.add(losses, outputs, min(self.data.batch_size, self.data.count - start))
            self.model.eval()
            record.add_epoch(epoch.results(self._in_order(orders)), self._validate(record.watches))
        optimizer.finish()
        return record

    def _in_order(self, orders: torch.Tensor) -> Any:
        """For each stream, all targets in the order of the epoch."""
        return [pytree.tree_map(lambda part, order=order: part[order], self.data.y) for order in orders]

    def _validate(self, watches: bool) -> dict[str, torch.Tensor]:
        if self.data.validation is None:
            return {}
        x, y = self.data.validation
        epoch = Epoch(self, watches)
        count = len(pytree.tree_leaves(x)[0])
        with torch.no_grad():
            for start in range(0, count, self.data.batch_size):
                part = slice(start, start + self.data.batch_size)
                some_x, some_y = (pytree.tree_map(lambda t, part=part: t[part], side) for side in (x, y))
                losses, outputs = self.compute(some_x, some_y, shared=True)
                epoch.add(losses, outputs, min(self.data.batch_size, count - start))
        return {f"val_{name}": values for name, values in epoch.results([y] * len(self.streams.states)).items()}

    def state(self, row: int) -> list[torch.Tensor]:
        """The weights and states of one copy, in the order of `held_by`."""
        whole = {**self.weights, **self.rest}
        return [whole[name][row].detach().clone() for name in held_by(self.model)]


class Epoch:
    """The losses of one epoch, and the predictions where metrics want them."""

    def __init__(self, stack: Stack, watches: bool) -> None:
        self.stack = stack
        self.watches = watches
        self.total: Any = 0.0
        self.count = 0
        self.outputs: list[Any] = []

    def add(self, losses: torch.Tensor, outputs: Any, size: int) -> None:
        """Adds a batch."""
        self.total = self.total + losses * size
        self.count += size
        if self.watches:
            self.outputs.append(pytree.tree_map(torch.Tensor.detach, outputs))

    def results(self, targets: Sequence[Any]) -> dict[str, torch.Tensor]:
        """By name, the mean loss and the metrics of each copy, (copies,).

        Args:
            targets: For each stream, the targets of the whole epoch.
        """
        found = {"loss": (self.total / self.count).cpu()}
        if not self.watches:
            return found
        model, streams = self.stack.model, self.stack.streams.of_copy.tolist()
        whole = pytree.tree_map(lambda *parts: torch.cat(parts, 1), *self.outputs)
        values: dict[str, list[float]] = {}
        for row, stream in enumerate(streams):  # once an epoch, and any metric will do
            model.reset_metrics()
            own = pytree.tree_map(lambda part, row=row: part[row], whole)
            with torch.no_grad():
                logs = model.compute_metrics(None, targets[stream], own)
            for name, value in logs.items():
                if name != "loss" and not name.endswith("_loss"):
                    values.setdefault(name, []).append(float(value))
        return found | {name: torch.tensor(each) for name, each in values.items()}


class Trained:
    """What came of the copies.

    Attributes:
        before: (copies,): the loss before training.
        epochs: For each epoch, by name, (copies,).
        fine: (copies,): how many steps had a finite loss, from the first on.
        watches: Whether the model has metrics besides the loss.
    """

    def __init__(self, stack: Stack) -> None:
        names = stack.model.metrics_names
        self.watches = any(name != "loss" and not name.endswith("_loss") for name in names)
        self.stack = stack
        self.before = torch.zeros(0)
        self.epochs: list[dict[str, torch.Tensor]] = []
        self._alive = torch.ones(len(stack.jobs), dtype=torch.bool, device=stack.device)
        self.fine = torch.zeros(len(stack.jobs), dtype=torch.int64, device=stack.device)

    def note(self, losses: torch.Tensor) -> None:
        """Notes which copies still have a finite loss."""
        self._alive &= losses.isfinite()
        self.fine += self._alive

    def add_epoch(self, *results: dict[str, torch.Tensor]) -> None:
        """Adds the results of an epoch; none for copies that were lost on the way."""
        lost = ~self._alive.cpu()
        merged = {name: value for each in results for name, value in each.items()}
        self.epochs.append({name: value.float().masked_fill(lost, float("nan")) for name, value in merged.items()})


def _penalties(model: Model, trained: set[str]) -> list[tuple[str, Any]]:
    """The regularizers of what is trained, each with the name of its weight.

    `Layer.losses` leaves out weights that take no gradient, and within vmap none seems to.
    """
    return [
        (f"{path}.{name}" if path else name, regularizer)
        for path, layer in model.named_modules()
        for name, regularizer in getattr(layer, "_regularizers", {}).items()
        if (f"{path}.{name}" if path else name) in trained
    ]


def _first_loss(job: Job, data: Data) -> torch.Tensor:
    """The loss of the first step of this training by itself."""
    model = job.fresh_model()
    torch.set_rng_state(job.stream)
    rows = torch.randperm(data.count)[: data.batch_size].to(next(model.parameters()).device)
    x, y = (pytree.tree_map(lambda part: part[rows], side) for side in (data.x, data.y))
    model.train()
    with torch.no_grad():
        return Loss(model)(x, y)[0]

"""More than one process: what each does of a training, and what they tell each other (by `torch.distributed`).

Every process runs the same script. Of each batch it takes its rows; gradients and sums of metrics are added up, so that
the mathematics is that of one process with the whole batch.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from functools import partial
from typing import Any

import torch
import torch.distributed as dist
from torch import nn
from torch.utils import _pytree as pytree

from lamella.engine.batches import length, rows
from lamella.engine.device import default_device
from lamella.engine.replay import Compute, Computed
from lamella.errors import ArgumentError, ClusterError

active: Distribution | None = None
"""How models are trained; None in one process."""


class Distribution:
    """The processes of a training, each started by `torchrun`, `lamella train --nproc` or Ray Train.

    Args:
        timeout: Seconds until a process that does not answer counts as lost.
        auto_shard_dataset: Whether each process takes its rows of each batch; False: each has data of its own, and
            their batches together are the batch of all.

    Attributes:
        rank: The number of this process, from 0 on.
        world_size: How many there are.
        part: Which part of each batch this process computes, and into how many `parts` it is divided.
        group: The processes whose parts make up a batch; None for all.
        share: What the mean loss of this process counts in the loss whose gradients are taken. They are averaged over
            the parts, so it is the share of the samples, times `parts`.

    Raises:
        ClusterError: The processes do not find each other.
    """

    def __init__(self, timeout: float = 300.0, auto_shard_dataset: bool = True) -> None:
        if not dist.is_available():
            raise ClusterError("This torch is built without torch.distributed.")
        if not dist.is_initialized():
            start(timeout)
        self.rank, self.world_size = dist.get_rank(), dist.get_world_size()
        self.part, self.parts = self.rank, self.world_size
        self.group: dist.ProcessGroup | None = None
        self.auto_shard_dataset = auto_shard_dataset
        self.share = 1.0

    @contextmanager
    def scope(self) -> Iterator[None]:
        """Within it models are trained this way."""
        before = active
        set_distribution(self)
        try:
            yield
        finally:
            set_distribution(before)

    def place(self, model: nn.Module) -> None:
        """Makes the weights of all processes those of process 0."""
        _take_from_first((*model.parameters(), *model.buffers()))

    def settle(self, model: nn.Module) -> None:
        """Makes the states that follow the batches (moving averages) those of process 0 everywhere."""
        _take_from_first(model.buffers())

    def forward(self, model: nn.Module) -> Callable[[Any], Any]:
        """The model as a function whose gradients are the mean over the processes."""
        raise NotImplementedError

    def not_compiled(self, model: nn.Module) -> None:
        """Refuses `compile(jit_compile=True)`: torch's compiler fails at what gathers weights that are in parts."""
        if getattr(model, "jit_compile", False):
            name = type(self).__name__
            raise ArgumentError(f"{name}: weights in parts cannot be compiled yet; compile(..., jit_compile=False).")

    def gathered(
        self, gradients: Sequence[torch.Tensor | None], parameters: Sequence[torch.Tensor]
    ) -> list[torch.Tensor | None]:
        """The gradients for the whole batch, from those of this process's rows; torch's wrappers have done it."""
        return list(gradients)

    def seed_noise(self, shared: torch.Tensor) -> None:
        """Other noise in each part of the batch, also where all processes were seeded alike."""
        if self.part and torch.equal(shared, torch.get_rng_state()):
            torch.manual_seed(torch.initial_seed() + self.part)

    def agreed(self, tensor: torch.Tensor) -> torch.Tensor:
        """The tensor of process 0."""
        device = _speaking_device()
        on_device = tensor.to(device, copy=True)
        dist.broadcast(on_device, 0)
        return on_device.to(tensor.device)

    @contextmanager
    def summed(self, tensors: Sequence[torch.Tensor]) -> Iterator[None]:
        """Within it these sums are those of all processes."""
        own = [tensor.clone() for tensor in tensors]
        for tensor in tensors:
            dist.all_reduce(tensor.as_subclass(torch.Tensor), group=self.group)
        try:
            yield
        finally:
            for tensor, before in zip(tensors, own, strict=True):
                tensor.copy_(before)

    def where(self, length: int) -> slice:
        """This process's rows of a batch of this length. One that gets none computes the first row."""
        first, end = self._rows_of(length)
        return slice(first, end) if end > first else slice(0, 1)

    def count(self, length: int) -> None:
        """The batch that comes next has so many samples: what this process's rows count. A row that another has, 0."""
        first, end = self._rows_of(length)
        self.weigh(end - first, length)

    def _rows_of(self, length: int) -> tuple[int, int]:
        return length * self.part // self.parts, length * (self.part + 1) // self.parts

    def count_own(self, own: int) -> bool:
        """As `count`, where this process has `own` samples that no other part has; False if none has any more."""
        device = _speaking_device()
        total = torch.tensor(own, device=device)
        dist.all_reduce(total, group=self.group)
        samples = int(total)
        self.weigh(own, max(samples, 1))
        return samples > 0

    def weigh(self, own: int, total: int) -> None:
        """Sets `share` for `own` of `total` samples."""
        self.share = own * self.parts / total


class DataParallel(Distribution):
    """Every process has the whole model and takes a part of each batch (torch's DistributedDataParallel).

    Args:
        device_mesh: Kept for Keras's signature: a mesh of all processes.
        devices: Likewise a list of their devices.
        auto_shard_dataset: Whether each process takes its rows of each batch; False: each has data of its own, and
            their batches together are the batch of all.
        find_unused_parameters: Whether some weights may get no gradient in a step.
        timeout: Seconds until a process that does not answer counts as lost.

    Raises:
        ArgumentError: Another number of devices than of processes.
        ClusterError: The processes do not find each other.

    Notes:
        Batch normalization sees the rows of its own process, or with `synchronized=True` those of all. A loss must
        be a mean over the samples.

    Source: Li et al., 2020, "PyTorch Distributed: Experiences on Accelerating Data Parallel Training".
    """

    def __init__(
        self,
        device_mesh: Any = None,
        devices: Sequence[str] | None = None,
        auto_shard_dataset: bool = True,
        find_unused_parameters: bool = False,
        timeout: float = 300.0,
    ) -> None:
        super().__init__(timeout, auto_shard_dataset)
        listed = device_mesh.devices.size if device_mesh is not None else len(devices or range(self.world_size))
        if listed != self.world_size:
            raise ArgumentError(
                f"DataParallel: {listed} devices are given, but there are {self.world_size} processes; each has one "
                f"device. Start {listed} (`--nproc {listed}`), or leave `devices` out."
            )
        self.find_unused_parameters = find_unused_parameters

    def forward(self, model: nn.Module) -> Callable[[Any], Any]:
        from torch.nn.parallel import DistributedDataParallel

        return DistributedDataParallel(model, find_unused_parameters=self.find_unused_parameters)


class FullyShardedDataParallel(Distribution):
    """Every process keeps a part of each weight, of its gradient and of the optimizer's slots (torch's FSDP2).

    A layer's weights are gathered for the time of its computation. Files hold whole weights: they load at any number of
    processes.

    Args:
        timeout: Seconds until a process that does not answer counts as lost.
        auto_shard_dataset: Whether each process takes its rows of each batch; False: each has data of its own.

    Raises:
        ArgumentError: While training starts: a layer that changes its weights as it computes (`SpectralNormalization`),
            or `jit_compile=True`.

    Source: Rajbhandari et al., 2020 (ZeRO); Zhao et al., 2023 (PyTorch FSDP).
    """

    def place(self, model: nn.Module) -> None:
        from torch.distributed.device_mesh import init_device_mesh
        from torch.distributed.fsdp import FSDPModule, fully_shard

        if isinstance(model, FSDPModule):
            return
        for part in model.modules():
            if getattr(part, "changed_in_call", ()):
                raise ArgumentError(
                    f"{type(part).__name__} {getattr(part, 'name', '')!r} changes a weight in each call: what is "
                    f"gathered for the time of the call, not the parts that stay. Train with DataParallel."
                )
        super().place(model)
        device = next(model.parameters()).device
        mesh = init_device_mesh(device.type, (self.world_size,))
        for child in model.children():
            if any(True for _ in child.parameters()) and hasattr(child, "forward"):
                turned = [weight for weight in child.parameters() if not weight.is_contiguous()]
                for weight in turned:  # a kernel of a convolution, in an order that FSDP does not take
                    weight.data = weight.data.contiguous()
                child.register_forward_hook(_without_views)
                fully_shard(child, mesh=mesh)
                carried: list[dict[str, Any]] = []  # FSDP hands on other tensors than it got, without their masks
                child.register_forward_pre_hook(partial(_note, carried), prepend=True, with_kwargs=True)
                child.register_forward_pre_hook(partial(_hand_on, carried), with_kwargs=True)
                if turned:
                    child.register_forward_pre_hook(_kept_for_gradients)
        fully_shard(model, mesh=mesh)

    def forward(self, model: nn.Module) -> Callable[[Any], Any]:
        self.not_compiled(model)

        def whole_way(x: Any) -> Any:
            """The model; also the gradient of a cross-entropy, which goes to the logits at once, passes its outputs.

            There FSDP waits for it, to gather the weights.
            """
            outputs = model(x)
            for output in pytree.tree_leaves(outputs):
                if hasattr(output, "_keras_logits"):
                    output._keras_logits = output._keras_logits + 0.0 * output.sum()
            return outputs

        return whole_way


def _note(carried: list[dict[str, Any]], module: nn.Module, args: Any, kwargs: Any) -> None:
    carried[:] = [dict(vars(leaf)) for leaf in _tensors((args, kwargs))]


def _hand_on(carried: list[dict[str, Any]], module: nn.Module, args: Any, kwargs: Any) -> None:
    for leaf, attributes in zip(_tensors((args, kwargs)), carried, strict=True):
        vars(leaf).update(attributes)


def _tensors(structure: Any) -> list[torch.Tensor]:
    return [leaf for leaf in pytree.tree_leaves(structure) if isinstance(leaf, torch.Tensor)]


def _kept_for_gradients(module: Any, inputs: Any) -> None:
    """A kernel is not let go of between its use and its gradient: torch 2.13 crashes there where pooling follows."""
    module.set_reshard_after_forward(not torch.is_grad_enabled())


def _without_views(module: nn.Module, inputs: Any, outputs: Any) -> Any:
    """The outputs as tensors of their own: FSDP would lose its place in the gradients if a view were written to."""

    def own(tensor: torch.Tensor) -> torch.Tensor:
        if not tensor._is_view():
            return tensor
        copied = tensor.clone()
        vars(copied).update(vars(tensor))  # a mask, logits
        return copied

    return pytree.tree_map_only(torch.Tensor, own, outputs)


@torch.no_grad()
def _take_from_first(tensors: Iterable[torch.Tensor]) -> None:
    for tensor in tensors:
        dist.broadcast(tensor.detach(), 0)


def is_divided() -> bool:
    """Whether this process computes a part of each batch only."""
    return active is not None and active.parts > 1


def total_of_parts(sums: torch.Tensor) -> torch.Tensor:
    """Sums over this process's rows, as the sums over the whole batch; their gradients go to all processes."""
    if active is None or not is_divided():
        return sums
    total: torch.Tensor = _Total.apply(sums if active.share else sums * 0.0, active.group)
    return total


class _Total(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, sums: torch.Tensor, group: dist.ProcessGroup | None) -> torch.Tensor:
        ctx.group = group
        total = sums.contiguous().clone()
        dist.all_reduce(total, group=group)
        return total

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> Any:
        return _Total.apply(gradient, ctx.group), None


def start(timeout: float, place: tuple[str, int, int] | None = None) -> None:
    """Joins the processes, as the launcher told; or at `place`, (host:port of process 0, own number, how many)."""
    if place is None and "RANK" not in os.environ:
        raise ClusterError(
            "There is one process only. Start the script with `torchrun --nproc-per-node N script.py`, `lamella run "
            "--nproc N script.py`, or under Ray Train; or initialize torch.distributed yourself."
        )
    if torch.cuda.is_available():
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", 0)))
    backend = "nccl" if default_device().type == "cuda" else "gloo"
    within = timedelta(seconds=timeout)
    if place is None:
        dist.init_process_group(backend, timeout=within, **_apart_from_earlier_attempts(within))
    else:
        address, number, count = place
        dist.init_process_group(backend, f"tcp://{address}", timeout=within, rank=number, world_size=count)


def _apart_from_earlier_attempts(within: timedelta) -> dict[str, Any]:
    """Where the processes that `torchrun` started again meet: not at the addresses that those before them left.

    All attempts share one store, and who looks into it before the others have written finds the dead. (Agents on
    several machines count their attempts each for itself, so there it stays as torch has it.)
    """
    attempt = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")
    shared = os.environ.get("TORCHELASTIC_USE_AGENT_STORE") == "True" and os.environ.get("GROUP_WORLD_SIZE") == "1"
    if attempt == "0" or not shared:
        return {}
    store = dist.TCPStore(os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"]), is_master=False, timeout=within)
    rank, count = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
    return {"store": dist.PrefixStore(f"attempt {attempt}", store), "rank": rank, "world_size": count}


def _speaking_device() -> torch.device:
    """Where tensors must be that the processes tell each other."""
    return default_device() if dist.get_backend() == "nccl" else torch.device("cpu")


def set_distribution(distribution: Distribution | None) -> None:
    """Trains all models that way from now on; None: in this process alone.

    Raises:
        ArgumentError: Something else.
    """
    global active
    if distribution is not None and not isinstance(distribution, Distribution):
        raise ArgumentError(
            f"set_distribution() takes a lamella.distribution.DataParallel or the like; got {distribution!r}."
        )
    active = distribution


def get_distribution() -> Distribution | None:
    """How models are trained; None: in this process alone."""
    return active


def is_first() -> bool:
    """Whether this process is the one that prints and writes files."""
    return active is None or active.rank == 0


def gradients(
    distribution: Distribution,
    forward: Callable[[Any], Any],
    loss: Callable[[Any, Any, Any, Any], torch.Tensor],
    penalty: Callable[[], torch.Tensor | None],
    parameters: Sequence[torch.Tensor],
    scale_loss: Callable[[torch.Tensor], torch.Tensor] | None = None,
) -> Compute:
    """As `lamella.engine.step.gradients`, with the gradients of the whole batch; the penalty counts once."""
    parameters = list(parameters)

    def compute(x: Any, y: Any, weight: Any) -> Computed:
        y_pred = forward(x)
        value = loss(x, y, y_pred, weight)
        target, extra = value * distribution.share, penalty()
        if extra is not None:
            value, target = value + extra.detach(), target + extra
        (target if scale_loss is None else scale_loss(target)).backward()
        found = distribution.gathered([parameter.grad for parameter in parameters], parameters)
        for parameter in parameters:
            parameter.grad = None
        return value, y_pred, found

    return compute


class Share:
    """A source of whole batches as a source of this process's rows of them.

    The processes draw the order of the samples from one generator; noise within the model is each one's own. Where
    samples are found by number, a process loads its own only.
    """

    def __init__(self, source: Any, distribution: Distribution) -> None:
        self.source = source
        self.distribution = distribution
        self._begin()
        self._divided = distribution.auto_shard_dataset and source.divide(distribution.where, self._drawn)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.source, name)

    def peek(self) -> Any:
        """The first batch, or this process's rows of it."""
        return self._drawn(self.source.peek)

    def batches(self) -> Iterator[Any]:
        """This process's rows of each batch of an epoch."""
        self._begin()
        batches = self.source.batches()
        try:
            yield from self._rows(batches) if self.distribution.auto_shard_dataset else self._all(batches)
        finally:
            self.distribution.count(self.distribution.parts)  # a batch that is given by hand is whole in each process

    def _rows(self, batches: Iterator[Any]) -> Iterator[Any]:
        distribution = self.distribution
        while (batch := self._next(batches)) is not None:
            whole = getattr(batch, "length", None)  # of the whole batch, if only own rows were loaded
            distribution.count(length(batch) if whole is None else whole)
            yield batch if whole is not None else rows(tuple(batch), distribution.where(length(batch)))

    def _all(self, batches: Iterator[Any]) -> Iterator[Any]:
        """Batches of this process's own data. One that has no more goes on to the end, with rows that count nothing."""
        last = self.source.peek()
        while True:
            batch = next(batches, None)
            if not self.distribution.count_own(0 if batch is None else length(batch)):
                return
            last = last if batch is None else batch
            yield last if batch is not None else rows(tuple(last), slice(0, 1))

    def _next(self, batches: Iterator[Any]) -> Any:
        if self._divided:  # it draws the order by `_drawn` itself, and what is drawn for samples is noise
            return next(batches, None)
        return self._drawn(lambda: next(batches, None))

    def _begin(self) -> None:
        """One generator for the order: it goes on from where that of process 0 is."""
        self._order = self.distribution.agreed(torch.get_rng_state())
        self.distribution.seed_noise(self._order)
        self._after = torch.get_rng_state()
        self._drawing = False

    def _drawn(self, draw: Callable[[], Any]) -> Any:
        """Calls a function that draws the order of samples.

        In the first part of the batch noise follows the order, as in one process, until some was drawn.
        """
        if self._drawing:
            return draw()
        own = torch.get_rng_state()
        follows = self.distribution.part == 0 and torch.equal(own, self._after)
        torch.set_rng_state(self._order)
        self._drawing = True
        try:
            return draw()
        finally:
            self._drawing = False
            self._order = torch.get_rng_state()
            if follows:
                self._after = self._order
            else:
                torch.set_rng_state(own)


def told(error: RuntimeError) -> RuntimeError:
    """The error of torch, in words if another process was lost."""
    lost = (
        "Connection closed by peer",
        "Connection reset",
        "Timed out",
        "timed out",
        "Broken pipe",
        "NCCL",
        "ncclRemote",
    )
    if active is None or not any(part in str(error) for part in lost):
        return error
    return ClusterError(
        f"Process {active.rank} of {active.world_size} lost contact with another one: that was killed, ran out of "
        f"memory or lost its network; its own output tells. With callbacks.BackupAndRestore, and "
        f"`torchrun --max-restarts N`, training goes on from the last backup. ({str(error).splitlines()[0]})"
    )

"""More than one process: what each does of a training, and what they tell each other (by `torch.distributed`).

Every process runs the same script. Of each batch it takes its rows; gradients and sums of metrics are added up, so that
the mathematics is that of one process with the whole batch.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch import nn
from torch.utils import _pytree as pytree

from lamella.engine.device import default_device
from lamella.engine.replay import Compute, Computed
from lamella.errors import ArgumentError, ClusterError

active: Distribution | None = None
"""How models are trained; None in one process."""


class Distribution:
    """The processes of a training, each started by `torchrun`, `lamella train --nproc` or Ray Train.

    Args:
        timeout: Seconds until a process that does not answer counts as lost.

    Attributes:
        rank: The number of this process, from 0 on.
        world_size: How many there are.
        share: What the mean loss of this process counts in the mean of the current batch, times `world_size`.

    Raises:
        ClusterError: The processes do not find each other.
    """

    def __init__(self, timeout: float = 300.0) -> None:
        if not dist.is_available():
            raise ClusterError("This torch is built without torch.distributed.")
        if not dist.is_initialized():
            _start(timeout)
        self.rank, self.world_size = dist.get_rank(), dist.get_world_size()
        self.share = 1.0

    def place(self, model: nn.Module) -> None:
        """Makes the weights of all processes those of process 0."""
        with torch.no_grad():
            for tensor in (*model.parameters(), *model.buffers()):
                dist.broadcast(tensor.detach(), 0)

    def forward(self, model: nn.Module) -> Callable[[Any], Any]:
        """The model as a function whose gradients are the mean over the processes."""
        raise NotImplementedError

    def agreed(self, tensor: torch.Tensor) -> torch.Tensor:
        """The tensor of process 0."""
        device = default_device() if dist.get_backend() == "nccl" else torch.device("cpu")
        on_device = tensor.to(device, copy=True)
        dist.broadcast(on_device, 0)
        return on_device.to(tensor.device)

    @contextmanager
    def summed(self, tensors: Sequence[torch.Tensor]) -> Iterator[None]:
        """Within it these sums are those of all processes."""
        own = [tensor.clone() for tensor in tensors]
        for tensor in tensors:
            dist.all_reduce(tensor.as_subclass(torch.Tensor))
        try:
            yield
        finally:
            for tensor, before in zip(tensors, own, strict=True):
                tensor.copy_(before)

    def rows(self, batch: Any) -> Any:
        """This process's rows of a batch. One that gets none computes the first row, which then counts nothing."""
        leaves = [leaf for leaf in pytree.tree_leaves(batch) if isinstance(leaf, torch.Tensor)]
        length = len(leaves[0])
        first, end = (length * rank // self.world_size for rank in (self.rank, self.rank + 1))
        self.share = (end - first) * self.world_size / length
        where = slice(first, end) if end > first else slice(0, 1)
        return pytree.tree_map_only(torch.Tensor, lambda leaf: leaf[where], batch)


class DataParallel(Distribution):
    """Every process has the whole model and takes a part of each batch (torch's DistributedDataParallel).

    Args:
        find_unused_parameters: Whether some weights may get no gradient in a step.
        timeout: Seconds until a process that does not answer counts as lost.

    Notes:
        Batch normalization sees the rows of its own process. A loss must be a mean over the samples.

    Source: Li et al., 2020, "PyTorch Distributed: Experiences on Accelerating Data Parallel Training".
    """

    def __init__(self, find_unused_parameters: bool = False, timeout: float = 300.0) -> None:
        super().__init__(timeout)
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

    Source: Rajbhandari et al., 2020 (ZeRO); Zhao et al., 2023 (PyTorch FSDP).
    """

    def place(self, model: nn.Module) -> None:
        from torch.distributed.device_mesh import init_device_mesh
        from torch.distributed.fsdp import FSDPModule, fully_shard

        if isinstance(model, FSDPModule):
            return
        super().place(model)
        device = next(model.parameters()).device
        mesh = init_device_mesh(device.type, (self.world_size,))
        for child in model.children():
            if any(True for _ in child.parameters()) and hasattr(child, "forward"):
                fully_shard(child, mesh=mesh)
        fully_shard(model, mesh=mesh)

    def forward(self, model: nn.Module) -> Callable[[Any], Any]:
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


def _start(timeout: float) -> None:
    if "RANK" not in os.environ:
        raise ClusterError(
            "There is one process only. Start the script with `torchrun --nproc-per-node N script.py`, `lamella run "
            "--nproc N script.py`, or under Ray Train; or initialize torch.distributed yourself."
        )
    if torch.cuda.is_available():
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", 0)))
    backend = "nccl" if default_device().type == "cuda" else "gloo"
    dist.init_process_group(backend, timeout=timedelta(seconds=timeout))


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
        found = [parameter.grad for parameter in parameters]
        for parameter in parameters:
            parameter.grad = None
        return value, y_pred, found

    return compute


class Share:
    """A source of whole batches as a source of this process's rows of them.

    The processes draw the order of the samples from one generator; noise within the model is each one's own.
    """

    def __init__(self, source: Any, distribution: Distribution) -> None:
        source.drawn_on_cpu = True
        self.source = source
        self.distribution = distribution

    def __getattr__(self, name: str) -> Any:
        return getattr(self.source, name)

    def batches(self) -> Iterator[Any]:
        """This process's rows of each batch of an epoch."""
        first = self.distribution.rank == 0
        shared = self.distribution.agreed(torch.get_rng_state())
        if not first and torch.equal(shared, torch.get_rng_state()):  # seeded alike: noise is to differ
            torch.manual_seed(torch.initial_seed() + self.distribution.rank)
        batches, begun = self.source.batches(), False
        while True:
            own = torch.get_rng_state()
            torch.set_rng_state(shared)
            batch = next(batches, None)
            shared = torch.get_rng_state()
            torch.set_rng_state(shared if first and not begun else own)
            begun = True
            if batch is None:
                return
            yield self.distribution.rows(batch)


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

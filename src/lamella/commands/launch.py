"""`--nproc N`: the same command in N processes, each of which takes a part of every batch."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence


def in_processes(count: int, arguments: Sequence[str]) -> int:
    """Runs `lamella ARGUMENTS` in so many processes on this machine, by torchrun's launcher; the exit code."""
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // count)))
    here = LaunchConfig(1, 1, count, run_id="lamella", rdzv_backend="c10d", rdzv_endpoint="localhost:0", max_restarts=0)
    try:
        elastic_launch(here, sys.executable)("-m", "lamella", *arguments)
    except ChildFailedError as error:
        rank, failure = error.get_first_failure()
        print(f"lamella: process {rank} of {count} ended with exit code {failure.exitcode}", file=sys.stderr)
        return failure.exitcode if 0 < failure.exitcode < 256 else 1
    return 0


def join() -> None:
    """Takes part in the training of several processes, if a launcher started this one. Only the first one prints."""
    if int(os.environ.get("WORLD_SIZE", "1")) < 2 or "RANK" not in os.environ:
        return
    from lamella.distribution import DataParallel, set_distribution

    set_distribution(DataParallel())
    if int(os.environ["RANK"]):
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115 - for as long as the process lives

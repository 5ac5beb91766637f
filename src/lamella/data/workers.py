"""Worker processes that died: which, and of what."""

from __future__ import annotations

import signal
from typing import Any


def death_of_worker(batches: Any) -> str | None:
    """What became of the worker processes of a `DataLoader`'s iterator; None if all live, or if there are none.

    torch's own message for it is lost where the main process was just then receiving a batch from that worker.
    """
    for worker in getattr(batches, "_workers", ()):
        worker.join(1.0)  # its connection closes a moment before it has ended
        if code := worker.exitcode:
            how = f"was killed by signal {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
            return (
                f"A worker process of the data (pid {worker.pid}) {how}, and could not say why. Read the data without "
                f"workers to see it. SIGKILL and SIGBUS often mean that memory, or shared memory (/dev/shm), ran out."
            )
    return None

"""Worker processes that fail: what is said of it, so that nobody waits for them."""

from __future__ import annotations

import gc
import os
import pickle
import signal
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from multiprocessing.queues import Queue
from typing import Any

from torch._utils import ExceptionWrapper
from torch.utils.data import DataLoader
from torch.utils.data._utils import worker as torch_worker


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


@contextmanager
def telling(stream: Any) -> Iterator[None]:
    """While the workers of a `DataLoader` start: they are made to tell of every failure, see `start`."""
    if not isinstance(stream, DataLoader):
        yield
        return
    own = stream.worker_init_fn
    stream.worker_init_fn = partial(start, then=own)
    try:
        yield
    finally:
        stream.worker_init_fn = own


def start(worker_id: int, then: Callable[[int], Any] | None = None) -> None:
    """Called in a worker process before its first batch: the `worker_init_fn` of torch's `DataLoader`.

    What cannot be pickled would be lost on its way to the main process, which then waits for it for ever: an error of a
    class that was made within a function, or such a batch. And what a forked process inherits is not its to clear away:
    an object with threads (a session of another library, say) waits for ever for threads that stayed behind.

    Args:
        worker_id: The worker's number.
        then: What the user's own `worker_init_fn` is.
    """
    gc.freeze()
    torch_worker.ExceptionWrapper = _Failure  # type: ignore[attr-defined, misc]
    Queue._on_queue_feeder_error = staticmethod(_end)  # type: ignore[attr-defined]
    if then is not None:
        then(worker_id)


class _Failure(ExceptionWrapper):
    """An error with its traceback as text, of a class that every process knows."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        try:
            pickle.dumps(self.exc_type)
        except Exception:
            self.exc_type = RuntimeError


def _end(error: Exception, batch: Any) -> None:
    """Ends the process, which the main process notices, when a batch cannot be sent."""
    traceback.print_exception(error)
    os._exit(1)

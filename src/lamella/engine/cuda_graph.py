"""What a captured step asks of a CUDA device: a stream of its own, a clock, a graph. See `captured.py`.

The rules that a capture must keep are torch's ("CUDA semantics", chapter "CUDA Graphs"): not on the default
stream, after some steps on the stream of the capture, and with nothing in it that waits for the device.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

import torch

Result = TypeVar("Result")
Work = Callable[[], Result]


def graphs_of(device: torch.device) -> CudaGraphs | None:
    """The graphs of a device; None where it has none."""
    return CudaGraphs(device) if device.type == "cuda" else None


class CudaGraphs:
    """Graphs of one CUDA device.

    Args:
        device: The device, with its index.

    Attributes:
        generator: torch's own generator there. A graph draws from it anew each time it is played.
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.stream = torch.cuda.Stream(device)
        self.generator: torch.Generator = torch.cuda.default_generators[device.index or 0]

    def rehearse(self, work: Work[Result]) -> Result:
        """What `work` returns, computed on the stream of the capture.

        Raises:
            RuntimeError: An operation in it waits for the device. Found here it does no harm; in a capture it would
                leave torch's allocator and generator in the middle of it.
        """
        before = torch.cuda.get_sync_debug_mode()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch says that this mode is new
            torch.cuda.set_sync_debug_mode("error")
        try:
            return self._aside(work)
        finally:
            torch.cuda.set_sync_debug_mode(before)

    def timed(self, work: Work[Result]) -> tuple[Result, float, float]:
        """What `work` returns; the seconds until the device had been told all of it; those until it was done."""
        torch.cuda.synchronize(self.device)
        start = time.perf_counter()
        result = self._aside(work)
        told = time.perf_counter() - start
        torch.cuda.synchronize(self.device)
        return result, told, time.perf_counter() - start

    def has_room(self) -> bool:
        """Whether what a step needs fits twice into the free memory: a graph keeps its own for as long as it lives."""
        allocated = torch.cuda.memory_allocated(self.device)
        of_a_step = torch.cuda.max_memory_allocated(self.device) - allocated
        unused = torch.cuda.memory_reserved(self.device) - allocated
        return torch.cuda.mem_get_info(self.device)[0] + unused > 2 * of_a_step

    def capture(self, work: Work[Result]) -> tuple[Result, Callable[[], None]]:
        """What `work` returns, and the function that computes it: until that is called the tensors hold nothing.

        Raises:
            RuntimeError: It cannot be captured, or memory ran out.
        """
        try:
            return self._capture(work)
        except RuntimeError:
            # torch's generator may still take itself to be in the capture, and then refuses to draw a number.
            # The end of the next capture puts that right.
            with suppress(RuntimeError):
                self._capture(lambda: torch.zeros((), device=self.device))
            raise

    def _capture(self, work: Work[Result]) -> tuple[Result, Callable[[], None]]:
        graph = torch.cuda.CUDAGraph()
        # "thread_local": a loader's thread may pin memory meanwhile. The outer stream(...) is left even where
        # the end of a failed capture raises, which torch's own context then is not.
        with (
            torch.cuda.stream(self.stream),
            torch.cuda.graph(graph, stream=self.stream, capture_error_mode="thread_local"),
        ):
            result = work()
        return result, graph.replay

    def _aside(self, work: Work[Result]) -> Result:
        here = torch.cuda.current_stream(self.device)
        self.stream.wait_stream(here)
        with torch.cuda.stream(self.stream):
            result = work()
        here.wait_stream(self.stream)
        return result

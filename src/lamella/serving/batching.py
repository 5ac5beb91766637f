"""`Batcher`: requests that wait at the same time are computed together."""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any

from lamella.serving.errors import RequestError
from lamella.serving.values import Values

Run = Callable[[Sequence[Values]], Sequence[dict[str, Any] | RequestError]]


@dataclass(eq=False)
class _Waiting:
    values: Values
    arrived: float
    answer: asyncio.Future[dict[str, Any]]


class Batcher:
    """A queue of requests, and one thread that computes them in batches.

    A batch starts when the thread is free and either `max_batch` samples wait or the oldest request has waited for
    `max_wait` seconds. While a batch is computed, the next gathers; so under load nobody waits for the clock.

    Args:
        run: Computes the answers of joined requests, or their errors. It is called in the thread.
        max_batch: The most samples in a batch. A request of more is a batch of its own.
        max_wait: How long the first of a batch waits for others, in seconds.
        max_queue: The most samples that wait; a request that finds no room is refused.
        timeout: The most seconds from a request to its answer.
        start_thread: What the thread does before its first batch.
        observe: Told of each batch: its samples and its seconds.
    """

    def __init__(
        self,
        run: Run,
        max_batch: int,
        max_wait: float,
        max_queue: int,
        timeout: float,
        start_thread: Callable[[], None] = lambda: None,
        observe: Callable[[int, float], None] = lambda samples, seconds: None,
    ) -> None:
        self.max_batch = max_batch
        self.max_wait = max_wait
        self.max_queue = max_queue
        self.timeout = timeout
        self.samples_waiting = 0
        self._run = run
        self._observe = observe
        self._queue: deque[_Waiting] = deque()
        self._some = asyncio.Event()  # a request waits
        self._full = asyncio.Event()  # a whole batch waits
        self._thread = ThreadPoolExecutor(1, "lamella-model", start_thread)
        self._task: asyncio.Task[None] | None = None
        self._sample_seconds = 0.0

    @property
    def alive(self) -> bool:
        """Whether requests are, or would be, answered."""
        return self._task is None or not self._task.done()

    async def answer(self, values: Values) -> dict[str, Any]:
        """The answer to a request, when its batch is done.

        Raises:
            RequestError: 503 where the queue is full, 504 after `timeout`, or what the model says of the request.
        """
        if self._task is None:
            self._task = asyncio.create_task(self._work())
        if self.samples_waiting and self.samples_waiting + values.samples > self.max_queue:
            raise RequestError(
                503,
                "busy",
                f"{self.samples_waiting} samples are waiting, and at most {self.max_queue} may. Try again later.",
                headers={"Retry-After": str(max(1, math.ceil(self.samples_waiting * self._sample_seconds)))},
            )
        loop = asyncio.get_running_loop()
        waiting = _Waiting(values, loop.time(), loop.create_future())
        self._queue.append(waiting)
        self._count(values.samples)
        try:
            async with asyncio.timeout(self.timeout):
                return await waiting.answer
        except TimeoutError:
            raise RequestError(
                504,
                "timeout",
                f"There was no answer within {self.timeout:g} s. Send fewer samples, or try again later.",
            ) from None

    async def run_in_thread(self, work: Callable[[], Any]) -> Any:
        """Does something in the thread of the model."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    async def close(self) -> None:
        """Answers what waits, and ends the thread."""
        while self.samples_waiting and self.alive:
            await asyncio.sleep(0.01)
        if self._task is not None:
            self._task.cancel()
        await asyncio.to_thread(self._thread.shutdown)

    def _count(self, samples: int) -> None:
        self.samples_waiting += samples
        for event, wanted in ((self._some, bool(self._queue)), (self._full, self.samples_waiting >= self.max_batch)):
            if wanted:
                event.set()
            else:
                event.clear()

    async def _work(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await self._some.wait()
            left = self._queue[0].arrived + self.max_wait - loop.time()
            if left > 0 and not self._full.is_set():
                try:
                    async with asyncio.timeout(left):
                        await self._full.wait()
                except TimeoutError:
                    pass
            batch = self._take()
            if not batch:
                continue
            start = loop.time()
            answers = await self.run_in_thread(partial(self._run, [each.values for each in batch]))
            samples, seconds = sum(each.values.samples for each in batch), loop.time() - start
            self._sample_seconds = seconds / samples
            self._observe(samples, seconds)
            for waiting, answer in zip(batch, answers, strict=True):
                if waiting.answer.done():  # given up after `timeout`
                    continue
                if isinstance(answer, RequestError):
                    waiting.answer.set_exception(answer)
                else:
                    waiting.answer.set_result(answer)

    def _take(self) -> list[_Waiting]:
        """The oldest request, and all after it that can be joined to it, up to a batch."""
        batch: list[_Waiting] = []
        others: deque[_Waiting] = deque()
        taken = gone = 0
        while self._queue and taken < self.max_batch:
            waiting = self._queue.popleft()
            samples = waiting.values.samples
            if waiting.answer.done():
                gone += samples
            elif batch and (waiting.values.key != batch[0].values.key or taken + samples > self.max_batch):
                others.append(waiting)
            else:
                batch.append(waiting)
                taken += samples
        self._queue.extendleft(reversed(others))
        self._count(-taken - gone)
        return batch

"""`Feed`: sends what runs look like to those who watch them, whenever that changes."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor

from lamella.report.live import Runs

_PAUSE, _LONGEST_PAUSE = 0.3, 1.2
_IDLE = 9
"""So many times as long as looks and pages took, nothing is done: a training may need the processor."""
_BEAT = 15.0
_KEPT = 8

Names = tuple[str, ...]


class Feed:
    """Looks at runs while somebody watches, and renders each view once for all who watch it.

    Files are read and pages rendered in one thread of its own, so that a slow disk holds up nobody. A client that
    reads slowly misses what came between; nothing is kept for it.

    Args:
        runs: The runs.
        render: Makes what a page shows of some runs (of none: the list of all) as HTML; called in the thread.
        beat: The seconds after which a client is sent a sign of life where there is no news.
    """

    def __init__(self, runs: Runs, render: Callable[[Names], str], beat: float = _BEAT) -> None:
        self.runs = runs
        self.clients = 0
        self._render = render
        self.beat = beat
        self._thread = ThreadPoolExecutor(1, "lamella-watch")
        self._changed = asyncio.Event()
        self._looking: asyncio.Task[None] | None = None
        self._spent = 0.0
        self._views: OrderedDict[Names, tuple[str, str]] = OrderedDict()
        self._closed = False

    async def knows(self, names: Names) -> bool:
        """Whether all of these are runs, as of now."""
        await self._look()
        return all(name in self.runs.stamps for name in names)

    async def view(self, names: Names) -> tuple[str, str]:
        """The version of a view, and the view, as of the last look."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._view, names)

    async def follow(self, names: Names, seen: str | None = None) -> AsyncIterator[str]:
        """Server-sent events: `{"view": ...}` whenever the view is another than that `seen`, with its version as id."""
        self.clients += 1
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(self._keep_looking())
        try:
            yield "retry: 1000\n\n"
            while not self._closed:
                changed = self._changed  # before the view: what changes from here on is not missed
                version, view = await self.view(names)
                yield ":\n\n" if version == seen else f"id: {version}\ndata: {json.dumps({'view': view})}\n\n"
                seen = version
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(changed.wait(), self.beat)
        finally:
            self.clients -= 1

    def close(self) -> None:
        """Ends all streams."""
        self._closed = True
        self._wake()

    async def _keep_looking(self) -> None:
        while self.clients and not self._closed:
            await self._look()
            spent, self._spent = self._spent, 0.0
            await asyncio.sleep(min(max(_PAUSE, _IDLE * spent), _LONGEST_PAUSE))

    async def _look(self) -> None:
        loop = asyncio.get_running_loop()

        def look() -> None:
            begun = time.perf_counter()
            if self.runs.look():
                loop.call_soon_threadsafe(self._wake)
            self._spent += time.perf_counter() - begun

        await loop.run_in_executor(self._thread, look)

    def _wake(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    def _view(self, names: Names) -> tuple[str, str]:
        stamps = self.runs.stamps
        of = {name: stamps.get(name) for name in names} if names else stamps
        version = hashlib.blake2s(repr(sorted(of.items())).encode(), digest_size=8).hexdigest()
        if self._views.get(names, ("", ""))[0] != version:
            begun = time.perf_counter()
            self._views[names] = version, self._render(names)
            self._spent += time.perf_counter() - begun
            while len(self._views) > _KEPT:
                self._views.popitem(last=False)
        return self._views[names]

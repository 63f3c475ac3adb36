"""Worker processes: launched, lent out for a batch each, and replaced when they end.

Synchronous decisions only, on the event loop's thread; a worker does its own I/O. A worker that ends costs
the batch that it was busy with and nothing else. Another is launched in its place at once, unless too many
ended of late.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from typing import Final

from gateway.classify.acoustic.hand import Hand
from gateway.classify.port import ClassifierError
from gateway.clock import Clock

log = logging.getLogger(__name__)

ENDS: Final = 5
ENDS_WINDOW_S: Final = 60.0
"""So many ends within so many seconds, and the next launch waits."""
PAUSE_S: Final = 5.0
"""For so long."""
MOST_WAITING: Final = 512
"""Calls that wait for a worker; the dispatcher keeps a few open for each worker."""


class NobodyThere(Exception):
    """No worker can be had now."""


class Crew:
    """At most `size` worker processes.

    Args:
        on_change: called when a worker came or went.
    """

    def __init__(
        self, make: Callable[[], Hand], clock: Clock, on_change: Callable[[], None] = lambda: None
    ) -> None:
        self._make = make
        self._clock = clock
        self._on_change = on_change
        self._size = 0
        self._loading: set[Hand] = set()
        self._ready: set[Hand] = set()
        self._idle: list[Hand] = []
        self._waiting: deque[asyncio.Future[Hand]] = deque()
        self._ends: deque[float] = deque(maxlen=ENDS)
        self._pause: asyncio.TimerHandle | None = None
        self._leaving: set[asyncio.Task[None]] = set()
        self._closed = False
        self.ended = 0
        """Workers that ended although they had been ready, since the start."""
        self.failed = 0
        """Workers that never got ready, since the start."""

    @property
    def size(self) -> int:
        """Workers that there are to be."""
        return self._size

    @property
    def loading(self) -> int:
        """Workers that are on their way."""
        return len(self._loading)

    @property
    def ready(self) -> int:
        """Workers that are there."""
        return len(self._ready)

    def resize(self, size: int) -> None:
        """Have so many from now on; idle ones that are too many go, busy ones once they have answered."""
        self._size = size
        self._fill()
        while self._idle and len(self._ready) > self._size:
            self._dismiss(self._idle.pop())

    async def lease(self) -> Hand:
        """An idle worker, which is the caller's until it has answered what it is asked.

        Raises:
            NobodyThere: none is there, and none is being launched, or it went before it came.
            ClassifierError: too many wait already.
        """
        if self._idle:
            return self._idle.pop()
        if not self._ready and not self._loading:
            raise NobodyThere
        if len(self._waiting) >= MOST_WAITING:
            raise ClassifierError("too many batches wait for a worker")
        waiter: asyncio.Future[Hand] = asyncio.get_running_loop().create_future()
        self._waiting.append(waiter)
        try:
            return await waiter
        except asyncio.CancelledError:
            if waiter.done() and not waiter.cancelled() and waiter.exception() is None:
                self.give_back(waiter.result())
            raise

    def give_back(self, worker: Hand) -> None:
        """A worker that was not asked anything."""
        if worker in self._ready:
            self._free(worker)

    async def aclose(self) -> None:
        """End all of them; who waits hears `NobodyThere`. May be called twice."""
        self._closed = True
        if self._pause is not None:
            self._pause.cancel()
        workers = [*self._loading, *self._ready]
        self._loading.clear()
        self._ready.clear()
        self._idle.clear()
        await asyncio.gather(*(worker.aclose() for worker in workers), *self._leaving)
        self._turn_away()

    # Told by workers

    def on_idle(self, worker: Hand) -> None:
        """It has loaded, or answered."""
        if worker in self._loading:
            self._loading.remove(worker)
            self._ready.add(worker)
            self._on_change()
        if worker not in self._ready:
            return
        if len(self._ready) > self._size:
            self._dismiss(worker)
        else:
            self._free(worker)

    def on_end(self, worker: Hand, reason: str) -> None:
        """It is gone, and not because it was dismissed."""
        if worker not in self._ready and worker not in self._loading:
            return
        log.error("a classify worker ended: %s", reason)
        if worker in self._loading:
            self._loading.remove(worker)
            self.failed += 1
        else:
            self._ready.remove(worker)
            self.ended += 1
        if worker in self._idle:
            self._idle.remove(worker)
        self._ends.append(self._clock.monotonic())
        self._fill()
        if not self._ready and not self._loading:
            self._turn_away()
        self._on_change()

    # Inside

    def _fill(self) -> None:
        """Launch what is missing, or do so later."""
        missing = self._size - len(self._ready) - len(self._loading)
        if self._closed or missing <= 0 or self._pause is not None:
            return
        if len(self._ends) == ENDS and self._clock.monotonic() - self._ends[0] < ENDS_WINDOW_S:
            self._pause = asyncio.get_running_loop().call_later(PAUSE_S, self._launch_one)
            return
        for _ in range(missing):
            self._launch()

    def _launch_one(self) -> None:
        """After a pause, to see how it goes."""
        self._pause = None
        if not self._closed and len(self._ready) + len(self._loading) < self._size:
            self._launch()
            self._fill()

    def _launch(self) -> None:
        worker = self._make()
        self._loading.add(worker)
        worker.launch(self)

    def _free(self, worker: Hand) -> None:
        while self._waiting:
            waiter = self._waiting.popleft()
            if not waiter.done():
                waiter.set_result(worker)
                return
        self._idle.append(worker)

    def _dismiss(self, worker: Hand) -> None:
        self._ready.discard(worker)
        task = asyncio.create_task(worker.aclose(), name="classify-worker-leaves")
        self._leaving.add(task)
        task.add_done_callback(self._leaving.discard)
        self._on_change()

    def _turn_away(self) -> None:
        while self._waiting:
            waiter = self._waiting.popleft()
            if not waiter.done():
                waiter.set_exception(NobodyThere())

"""Cuts the streams of all sessions into utterances, in one thread beside the event loop.

A stream's samples are cut in order, and the actions come back to the event loop in order. While the thread is
busy, what arrives waits at its stream and goes along with the next round; the bound is the stream's.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from gateway.transcribe.segmenter import Action, Detector, PowerDetector, Samples, Segmenter

log = logging.getLogger(__name__)

STREAMS_A_ROUND: Final = 64
"""So that the first of a round don't wait for very many others."""

MakeDetector: TypeAlias = Callable[[], Detector]
Waiting: TypeAlias = list[tuple[int, Samples] | asyncio.Event]


@dataclass(slots=True, eq=False)
class Cut:
    """One stream's place: what waits to be cut, and where its results go."""

    on_actions: Callable[[Sequence[Action]], None]
    """Called on the event loop."""
    waiting: Waiting = field(default_factory=list)
    """Samples with the index of their first, and events to be set at the end of an utterance then."""
    waiting_samples: int = 0
    segmenter: Segmenter | None = None
    """The thread's."""
    failed: bool = False
    """Its detector broke down, and the power detector stands in for it."""


class Cutter:
    """The thread, and the task that feeds it. All methods are called on the event loop.

    Args:
        make: makes a stream's detector.
    """

    def __init__(self, make: MakeDetector) -> None:
        self._make = make
        self._ready: dict[Cut, None] = {}
        self._news = asyncio.Event()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="cutter")
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to work, on the running event loop."""
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name="cutter")

    def feed(self, cut: Cut, samples: Samples, start16k: int) -> None:
        """The next samples of a stream; an index that doesn't follow ends its open utterance."""
        cut.waiting.append((start16k, samples))
        cut.waiting_samples += len(samples)
        self._wake(cut)

    async def flush(self, cut: Cut) -> None:
        """End the open utterance of a stream; on return its actions so far were told."""
        done = asyncio.Event()
        cut.waiting.append(done)
        self._wake(cut)
        await done.wait()

    def forget(self, cut: Cut) -> None:
        """The stream is closed; who waits for a flush of it waits no longer."""
        self._ready.pop(cut, None)
        _release(cut.waiting)
        cut.waiting, cut.waiting_samples = [], 0

    async def aclose(self) -> None:
        """End the thread; what waits isn't cut any more."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        for cut in list(self._ready):
            self.forget(cut)
        self._thread.shutdown(wait=False, cancel_futures=True)

    def _wake(self, cut: Cut) -> None:
        self._ready[cut] = None
        self._news.set()

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await self._news.wait()
            round_ = [self._take(cut) for cut in list(self._ready)[:STREAMS_A_ROUND]]
            if not self._ready:
                self._news.clear()
            try:
                told = await loop.run_in_executor(self._thread, self._cut_all, round_)
                for (cut, _), actions in zip(round_, told, strict=True):
                    _tell(cut, actions)
            finally:
                for _, waiting in round_:
                    _release(waiting)

    def _take(self, cut: Cut) -> tuple[Cut, Waiting]:
        del self._ready[cut]
        waiting, cut.waiting, cut.waiting_samples = cut.waiting, [], 0
        return cut, waiting

    # In the thread

    def _cut_all(self, round_: Sequence[tuple[Cut, Waiting]]) -> list[list[Action]]:
        told = []
        for cut, waiting in round_:
            actions: list[Action] = []
            told.append(actions)
            try:
                self._cut(cut, waiting, actions)
            except Exception:
                log.exception("a stream could not be cut")
        return told

    def _cut(self, cut: Cut, waiting: Waiting, actions: list[Action]) -> None:
        for one in waiting:
            if not isinstance(one, tuple):
                actions += cut.segmenter.flush() if cut.segmenter is not None else ()
                continue
            try:
                self._feed(cut, *one, actions)
            except Exception:
                if not cut.failed:
                    log.exception("the voice detector failed; a session goes on without")
                self._replace(cut, actions)
                self._feed(cut, *one, actions)

    def _feed(self, cut: Cut, start16k: int, samples: Samples, actions: list[Action]) -> None:
        if cut.segmenter is None:
            cut.segmenter = Segmenter(start16k, PowerDetector() if cut.failed else self._make())
        elif start16k != cut.segmenter.next_sample:
            actions += cut.segmenter.jump(start16k)
        actions += cut.segmenter.feed(samples)

    def _replace(self, cut: Cut, actions: list[Action]) -> None:
        """End what is open, and go on by the level alone."""
        cut.failed = True
        segmenter, cut.segmenter = cut.segmenter, None
        if segmenter is not None:
            actions += segmenter.flush()


def _tell(cut: Cut, actions: Sequence[Action]) -> None:
    try:
        cut.on_actions(actions)
    except Exception:
        log.exception("a stream could not take its utterances")


def _release(waiting: Waiting) -> None:
    for one in waiting:
        if isinstance(one, asyncio.Event):
            one.set()

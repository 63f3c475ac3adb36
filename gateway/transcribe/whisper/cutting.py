"""Cuts the streams of all sessions into utterances, in one thread beside the event loop.

A stream's samples are cut in order, and the actions come back to the event loop in order. While the thread is
busy, what arrives waits at its stream, which bounds it. A round takes a second of each stream at most: nobody
waits for all of a recording that came at once.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import chain
from typing import Final, TypeAlias

from gateway.transcribe.segmenter import Action, Detector, PowerDetector, Samples, Segmenter

log = logging.getLogger(__name__)

STREAMS_A_ROUND: Final = 64
"""So that the first of a round don't wait for very many others."""
TOLD_AT_ONCE: Final = 16
"""Streams told before others have their turn at the event loop: about a millisecond where all have speech."""
SAMPLES_A_ROUND: Final = 16_000
"""Of one stream: 1 s, about 3 ms of the thread's time."""

MakeDetector: TypeAlias = Callable[[], Detector]
Piece: TypeAlias = tuple[int, Samples] | asyncio.Event
"""Samples with the index of their first, or an event to be set when the open utterance was ended."""


@dataclass(slots=True, eq=False)
class Cut:
    """One stream's place: what waits to be cut, and where its results go."""

    on_actions: Callable[[Sequence[Action]], None]
    """Called on the event loop."""
    on_progress: Callable[[], None]
    """Called on the event loop after `on_actions`, when `uncut_from16k` has moved on; it doesn't raise."""
    waiting: deque[Piece] = field(default_factory=deque)
    waiting_samples: int = 0
    cutting: Sequence[Piece] = ()
    """What the thread has, until its actions were told."""
    segmenter: Segmenter | None = None
    """The thread's."""
    failed: bool = False
    """Its detector broke down, and the power detector stands in for it."""

    @property
    def uncut_from16k(self) -> int | None:
        """Index of the oldest sample whose actions weren't told yet; None where there is none."""
        pieces = chain(self.cutting, self.waiting)
        return next((piece[0] for piece in pieces if isinstance(piece, tuple)), None)


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
        cut.waiting.clear()
        cut.waiting_samples, cut.cutting = 0, ()

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
            round_ = [(cut, self._take(cut)) for cut in list(self._ready)[:STREAMS_A_ROUND]]
            if not self._ready:
                self._news.clear()
            try:
                found = await loop.run_in_executor(self._thread, self._cut_all, round_)
                for count, ((cut, _), actions) in enumerate(zip(round_, found, strict=True), 1):
                    _tell(cut, actions)
                    if count % TOLD_AT_ONCE == 0:
                        await asyncio.sleep(0)
            finally:
                for cut, pieces in round_:
                    cut.cutting = ()
                    _release(pieces)

    def _take(self, cut: Cut) -> Sequence[Piece]:
        """The oldest of what waits; a stream with more than that goes to the end of the line."""
        del self._ready[cut]
        pieces: list[Piece] = []
        room = SAMPLES_A_ROUND
        while cut.waiting and room:
            piece = cut.waiting.popleft()
            if isinstance(piece, tuple):
                start16k, samples = piece
                if len(samples) > room:
                    cut.waiting.appendleft((start16k + room, samples[room:]))
                    samples = samples[:room]
                    piece = start16k, samples
                room -= len(samples)
            pieces.append(piece)
        cut.waiting_samples -= SAMPLES_A_ROUND - room
        cut.cutting = pieces
        if cut.waiting:
            self._ready[cut] = None
        return pieces

    # In the thread

    def _cut_all(self, round_: Sequence[tuple[Cut, Sequence[Piece]]]) -> list[list[Action]]:
        found = []
        for cut, pieces in round_:
            actions: list[Action] = []
            found.append(actions)
            try:
                self._cut(cut, pieces, actions)
            except Exception:
                log.exception("a stream could not be cut")
        return found

    def _cut(self, cut: Cut, pieces: Sequence[Piece], actions: list[Action]) -> None:
        for piece in pieces:
            if not isinstance(piece, tuple):
                actions += cut.segmenter.flush() if cut.segmenter is not None else ()
                continue
            try:
                self._feed(cut, *piece, actions)
            except Exception:
                if not cut.failed:
                    log.exception("the voice detector failed; a session goes on without")
                self._replace(cut, actions)
                self._feed(cut, *piece, actions)

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
    cut.cutting = ()
    cut.on_progress()


def _release(pieces: Iterable[Piece]) -> None:
    for piece in pieces:
        if isinstance(piece, asyncio.Event):
            piece.set()

"""The dispatcher: gathers batches out of the queue, asks the classifier, hands the answers back.

What is decided, and by which rules, stands in `gateway.classify.queue`; here is the I/O.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Sequence
from typing import Protocol

from gateway.classify.lanes import Job, Lane, Timing
from gateway.classify.port import Answer, Classifier, ClassifierError, Window, calls_of, room_of
from gateway.classify.queue import Batch, WindowQueue
from gateway.clock import Clock

log = logging.getLogger(__name__)

TURN_S = 0.002
"""How long answers are handed back before other work has its turn."""


class Observer(Protocol):
    """Who wants to know of batches; telemetry does."""

    def batch(self, size: int, waited_s: Sequence[float], took_s: float, *, failed: int) -> None:
        """A batch is back; `failed` of its windows have no answer."""
        ...


class Scheduler:
    """Gathers batches for at most `linger_s`, keeps at most `concurrency` calls open, hands answers back."""

    def __init__(
        self,
        classifier: Classifier,
        clock: Clock,
        *,
        batch_size: int = 32,
        linger_s: float = 0.010,
        capacity: int = 4096,
        deadline_s: float = 2.0,
        call_s: float = 10.0,
        concurrency: int = 1,
        observer: Observer | None = None,
    ) -> None:
        self._classifier = classifier
        self._clock = clock
        self._batch_size = batch_size
        self._concurrency = concurrency
        self._linger_s = linger_s
        self._call_s = call_s
        self._stalled = False
        self._queue = WindowQueue(capacity=capacity, deadline_s=deadline_s)
        self._open = 0
        self._back = asyncio.Event()
        self._enough = batch_size
        """Windows that are a full batch, while one is gathered."""
        self._arrival = asyncio.Event()
        self._full = asyncio.Event()
        self._observer = observer

    @property
    def waiting(self) -> int:
        """Windows waiting for dispatch."""
        return self._queue.waiting

    @property
    def batch_limit(self) -> int:
        """Windows in the next batch: no more than are answered in time, or turns would not be kept."""
        room = room_of(self._classifier)
        return self._batch_size if room is None else max(1, min(room, self._batch_size))

    @property
    def call_limit(self) -> int:
        """Calls that are kept open now; what a classifier says of itself changes while it runs."""
        calls = calls_of(self._classifier)
        return self._concurrency if calls is None else max(1, min(calls, self._concurrency))

    @property
    def stalled(self) -> bool:
        """Whether the classifier gave no answer in time, and none since."""
        return self._stalled

    def late_for(self, now: float) -> float:
        """For how many seconds without interruption the dispatch queue has been late; see `WindowQueue`."""
        return self._queue.late_for(now)

    def submit(self, lane: Lane, job: Job) -> None:
        """Queue a window; sheds what no longer fits, through the jobs themselves. Never blocks."""
        for dropped in self._queue.submit(lane, job):
            dropped.shed()
        self._signal()

    def close(self, lane: Lane) -> list[Job]:
        """Take a lane out; the caller declares the windows returned. One in flight stays in flight."""
        return self._queue.close(lane)

    async def run(self) -> None:
        """Dispatch until cancelled. Batches in flight are cancelled with it."""
        async with asyncio.TaskGroup() as calls:
            while True:
                await self._arrival.wait()
                self._enough = self.batch_limit
                self._signal()
                await self._gather()
                await self._slot()
                batch, late = self._queue.take(self.batch_limit, self._clock.monotonic())
                self._settle_signals()
                for job in late:
                    job.shed()
                if batch.items:
                    self._open += 1
                    calls.create_task(self._call(batch), name="classify-batch")

    async def _slot(self) -> None:
        """Wait until another call may be opened."""
        while self._open >= self.call_limit:
            self._back.clear()
            await self._back.wait()

    async def _gather(self) -> None:
        """Wait until a batch is full, and no longer than the linger."""
        if self._linger_s > 0 and not self._full.is_set():
            try:
                async with asyncio.timeout(self._linger_s):
                    await self._full.wait()
            except TimeoutError:
                pass

    def _signal(self) -> None:
        if self._queue.ready:
            self._arrival.set()
        if self._queue.ready >= self._enough:
            self._full.set()

    def _settle_signals(self) -> None:
        if not self._queue.ready:
            self._arrival.clear()
        if self._queue.ready < self._enough:
            self._full.clear()

    async def _call(self, batch: Batch) -> None:
        left = deque(batch.items)
        try:
            try:
                answers = await self._answers(batch)
            finally:
                self._open -= 1
                self._back.set()
            await self._hand_back(batch, answers, left)
        finally:
            for lane, _ in left:
                self._queue.finish(lane)
            self._signal()

    async def _hand_back(
        self, batch: Batch, answers: Sequence[Answer], left: deque[tuple[Lane, Job]]
    ) -> None:
        """Each answer to its session, whose turn may come again then. Other work has its turn in between,
        where there is much to be said; `left` are those that still have to hear."""
        took = self._clock.monotonic() - batch.taken_at
        waited = [batch.taken_at - job.arrived for _, job in batch.items]
        if self._observer is not None:
            failed = sum(isinstance(answer, ClassifierError) for answer in answers)
            self._observer.batch(len(batch.items), waited, took, failed=failed)
        turn_ends = self._clock.monotonic() + TURN_S
        for answer, queued in zip(answers, waited, strict=True):
            lane, job = left.popleft()
            self._queue.finish(lane)
            try:
                if isinstance(answer, ClassifierError):
                    job.failed(answer)
                else:
                    job.classified(answer, Timing(queued, took))
            except Exception:
                # One session's defect stays in that session.
                log.exception("a session could not take its answer")
            if left and self._clock.monotonic() > turn_ends:
                self._signal()
                await asyncio.sleep(0)
                turn_ends = self._clock.monotonic() + TURN_S

    async def _answers(self, batch: Batch) -> Sequence[Answer]:
        """An answer for each window, whatever happens. One that its session can't give is that session's
        affair: the others go to the classifier without it."""
        answers: list[Answer] = []
        windows: list[Window] = []
        places: list[int] = []
        for place, (_, job) in enumerate(batch.items):
            try:
                windows.append(job.window())
            except Exception as error:
                why = type(error).__name__
                log.exception("a session could not give its window: %s", why)
                answers.append(ClassifierError(f"no window: {why}"))
            else:
                places.append(place)
                answers.append([])
        if windows:
            for place, answer in zip(places, await self._classify(windows), strict=True):
                answers[place] = answer
        return answers

    async def _classify(self, windows: Sequence[Window]) -> Sequence[Answer]:
        """An answer for each window, whatever happens."""
        size = len(windows)
        try:
            async with asyncio.timeout(self._call_s):
                answers = await self._classifier.classify(windows)
            self._stalled = False
        except TimeoutError:
            self._stalled = True
            log.error("the classifier gave no answer to %d windows in %g s", size, self._call_s)
            return [ClassifierError("no answer in time")] * size
        except ClassifierError as error:
            return [error] * size
        except Exception as error:
            # A defect in one classifier must not end the dispatcher that serves every session.
            log.exception("the classifier failed unexpectedly")
            return [ClassifierError(f"unexpected: {type(error).__name__}")] * size
        if len(answers) != size:
            return [ClassifierError(f"{len(answers)} answers to {size} windows")] * size
        return answers

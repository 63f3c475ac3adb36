"""One bounded queue of windows for all sessions, and the batches cut from it.

Each session has a `Lane`: at most one window in flight (its analysis state travels with it) and a short
row of waiting ones. A session's turn comes round-robin, so one that floods its own lane takes nothing from
its neighbours. `WindowQueue` decides, synchronously and with time handed in; `Scheduler` does the I/O with
what was decided.

Bounds and their policies:

* a lane's waiting row: the oldest waiting window is shed;
* the queue over all lanes: the submitting lane's oldest waiting window is shed, or the new one;
* a window not dispatched within the deadline is shed (lossless lanes have no deadline).

Whatever is shed goes back to its session, which declares it.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from gateway.classify.port import Classifier, ClassifierError, Observation, Window
from gateway.clock import Clock

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Timing:
    """The latency receipt of one window."""

    queued_s: float
    """Seconds from the window's arrival to its dispatch."""
    classify_s: float
    """Seconds the classifier took for the batch."""


class Job(Protocol):
    """A window waiting for its turn, and what to do with the answer. Callbacks run on the event loop."""

    @property
    def arrived(self) -> float:
        """Monotonic seconds at which the window was complete."""
        ...

    def window(self) -> Window:
        """The audio and the state to classify; called once, at dispatch."""
        ...

    def classified(self, observations: list[Observation], timing: Timing) -> None: ...

    def failed(self, error: ClassifierError) -> None: ...

    def shed(self) -> None:
        """The window will not be classified: there was no time for it."""
        ...


class Observer(Protocol):
    """Who wants to know of batches; telemetry does."""

    def batch(self, size: int, waited_s: Sequence[float], took_s: float, *, failed: bool) -> None: ...


@dataclass(slots=True, eq=False)
class Lane:
    """One session's place in the queue."""

    depth: int | None = 2
    """How many windows may wait; None for lossless sessions, which credit bounds."""
    waiting: deque[Job] = field(default_factory=deque)
    in_flight: Job | None = None
    queued: bool = False
    """Whether the lane stands in the round-robin row."""
    closed: bool = False


@dataclass(frozen=True, slots=True)
class Batch:
    """What was decided to be classified now."""

    items: tuple[tuple[Lane, Job], ...]
    taken_at: float


class WindowQueue:
    """The decisions: who waits, who is shed, who goes next. Synchronous; never calls a job but to shed it."""

    def __init__(self, *, capacity: int, deadline_s: float) -> None:
        self._capacity = capacity
        self._deadline_s = deadline_s
        self._row: deque[Lane] = deque()
        self._waiting = 0

    @property
    def waiting(self) -> int:
        """Windows waiting, over all lanes."""
        return self._waiting

    @property
    def ready(self) -> int:
        """Lanes that could go into a batch now."""
        return len(self._row)

    def submit(self, lane: Lane, job: Job) -> list[Job]:
        """Let `job` wait in `lane`; returns the windows shed to make room, oldest first."""
        if lane.closed:
            return [job]
        lane.waiting.append(job)
        self._waiting += 1
        shed: list[Job] = []
        while lane.depth is not None and len(lane.waiting) > lane.depth:
            shed.append(self._pop(lane))
        if self._waiting > self._capacity:
            shed.append(self._pop(lane))
        self._enrol(lane)
        return shed

    def take(self, limit: int, now: float) -> tuple[Batch, list[Job]]:
        """The next batch of at most `limit` windows, and those whose deadline has passed."""
        items: list[tuple[Lane, Job]] = []
        late: list[Job] = []
        while self._row and len(items) < limit:
            lane = self._row.popleft()
            lane.queued = False
            job = self._next(lane, now, late)
            if job is not None:
                lane.in_flight = job
                items.append((lane, job))
        return Batch(tuple(items), now), late

    def finish(self, lane: Lane) -> None:
        """The lane's window in flight came back, whatever became of it."""
        lane.in_flight = None
        self._enrol(lane)

    def close(self, lane: Lane) -> list[Job]:
        """Take the lane out; returns the windows that were still waiting, oldest first."""
        lane.closed = True
        left = [self._pop(lane) for _ in range(len(lane.waiting))]
        if lane.queued:
            self._row.remove(lane)
            lane.queued = False
        return left

    def _next(self, lane: Lane, now: float, late: list[Job]) -> Job | None:
        while lane.waiting:
            job = self._pop(lane)
            if lane.depth is None or now - job.arrived <= self._deadline_s:
                return job
            late.append(job)
        return None

    def _pop(self, lane: Lane) -> Job:
        self._waiting -= 1
        return lane.waiting.popleft()

    def _enrol(self, lane: Lane) -> None:
        if lane.waiting and lane.in_flight is None and not lane.queued and not lane.closed:
            lane.queued = True
            self._row.append(lane)


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
        self._linger_s = linger_s
        self._call_s = call_s
        self._stalled = False
        self._queue = WindowQueue(capacity=capacity, deadline_s=deadline_s)
        self._slots = asyncio.Semaphore(concurrency)
        self._arrival = asyncio.Event()
        self._full = asyncio.Event()
        self._observer = observer

    @property
    def waiting(self) -> int:
        """Windows waiting for dispatch."""
        return self._queue.waiting

    @property
    def stalled(self) -> bool:
        """Whether the classifier gave no answer in time, and none since."""
        return self._stalled

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
                await self._gather()
                await self._slots.acquire()
                batch, late = self._queue.take(self._batch_size, self._clock.monotonic())
                self._settle_signals()
                for job in late:
                    job.shed()
                if batch.items:
                    calls.create_task(self._call(batch), name="classify-batch")
                else:
                    self._slots.release()

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
        if self._queue.ready >= self._batch_size:
            self._full.set()

    def _settle_signals(self) -> None:
        if not self._queue.ready:
            self._arrival.clear()
        if self._queue.ready < self._batch_size:
            self._full.clear()

    async def _call(self, batch: Batch) -> None:
        try:
            answers, error = await self._classify(batch)
        finally:
            self._slots.release()
            for lane, _ in batch.items:
                self._queue.finish(lane)
            self._signal()
        took = self._clock.monotonic() - batch.taken_at
        waited = [batch.taken_at - job.arrived for _, job in batch.items]
        if self._observer is not None:
            self._observer.batch(len(batch.items), waited, took, failed=error is not None)
        for index, (_, job) in enumerate(batch.items):
            try:
                if error is not None:
                    job.failed(error)
                else:
                    job.classified(answers[index], Timing(waited[index], took))
            except Exception:
                # One session's defect stays in that session.
                log.exception("a session could not take its answer")

    async def _classify(self, batch: Batch) -> tuple[list[list[Observation]], ClassifierError | None]:
        try:
            windows = [job.window() for _, job in batch.items]
            async with asyncio.timeout(self._call_s):
                answers = await self._classifier.classify(windows)
            self._stalled = False
        except TimeoutError:
            self._stalled = True
            log.error("the classifier gave no answer to %d windows in %g s", len(windows), self._call_s)
            return [], ClassifierError("no answer in time")
        except ClassifierError as error:
            return [], error
        except Exception as error:
            # A defect in one classifier must not end the dispatcher that serves every session.
            log.exception("the classifier failed unexpectedly")
            return [], ClassifierError(f"unexpected: {type(error).__name__}")
        if len(answers) != len(windows):
            return [], ClassifierError(f"{len(answers)} answers to {len(windows)} windows")
        return answers, None

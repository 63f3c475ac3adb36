"""Windows of all calls on their way through the scheduler: how many are let in, and what becomes of each.

Each window has a lane of its own: a caller has at most one of a session under way, and it is the callers who
keep their sessions in order. Those who come in first are served first.
"""

import asyncio
import logging
import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from enum import StrEnum
from http import HTTPStatus
from typing import Protocol

from gateway.api.problems import Problem
from gateway.classify.lanes import Lane, Timing
from gateway.classify.port import Answer, ClassifierError, Observation, Window
from gateway.classify.scheduler import Scheduler
from gateway.clock import Clock

log = logging.getLogger(__name__)

RETRY_S = 1
MOST_RETRY_S = 3
"""Seconds after which a refused caller is to come back, one of these by chance."""


class Outcome(StrEnum):
    """What became of a window."""

    CLASSIFIED = "classified"
    FAILED = "failed"
    """The classifier had no answer to it."""
    LATE = "late"
    """It was not its turn in time."""
    ABANDONED = "abandoned"
    """Its caller has gone."""


class Late(ClassifierError):
    """There was no time for the window."""

    def __init__(self) -> None:
        super().__init__("the window waited too long for its turn")


class Counter(Protocol):
    """Who counts; the sidecar's metrics do."""

    def window(self, outcome: Outcome) -> None:
        """A window is settled."""
        ...


class _Job:
    """One window waiting for its answer; a job of the scheduler's."""

    __slots__ = ("_settled", "_window", "answer", "arrived", "lane")

    def __init__(self, window: Window, arrived: float, settled: Callable[[Answer], None]) -> None:
        self._window = window
        self._settled = settled
        self.arrived = arrived
        self.lane = Lane()
        self.answer: Answer | None = None

    def window(self) -> Window:
        return self._window

    def classified(self, observations: list[Observation], timing: Timing) -> None:
        self._settle(observations)

    def failed(self, error: ClassifierError) -> None:
        self._settle(error)

    def shed(self) -> None:
        self._settle(Late())

    def _settle(self, answer: Answer) -> None:
        if self.answer is None:
            self.answer = answer
            self._settled(answer)


class Desk:
    """Lets windows in, at most `capacity` at once, and waits for their answers."""

    def __init__(
        self,
        scheduler: Scheduler,
        clock: Clock,
        counter: Counter,
        *,
        capacity: int,
        jitter: random.Random | None = None,
    ) -> None:
        self._scheduler = scheduler
        self._clock = clock
        self._counter = counter
        self._capacity = capacity
        self._jitter = jitter or random.Random()
        self.held = 0
        """Windows let in and not answered."""
        self.closed = False
        """Whether nobody is let in any more."""
        self.called_at = float("-inf")
        """When somebody wanted to be let in last; monotonic seconds."""

    @contextmanager
    def admitted(self, windows: int) -> Iterator[float]:
        """Room for so many windows; yields the monotonic seconds at which they came in.

        Raises:
            Problem: 503, where there is none, or nobody is let in any more.
        """
        self.called_at = self._clock.monotonic()
        if self.closed:
            raise self.come_later("draining", "this sidecar is going away")
        if self.held + windows > self._capacity:
            raise self.come_later("overloaded", "as many windows are waiting here as may")
        self.held += windows
        try:
            yield self._clock.monotonic()
        finally:
            self.held -= windows

    async def ask(self, windows: Sequence[Window], arrived: float) -> list[Answer]:
        """The answer for each window, in order. Cancelled, it takes back those that still wait."""
        done = asyncio.get_running_loop().create_future()
        left = len(windows)

        def settled(answer: Answer) -> None:
            nonlocal left
            left -= 1
            self._counter.window(_outcome(answer))
            if not left and not done.done():
                done.set_result(None)

        jobs = [_Job(window, arrived, settled) for window in windows]
        for job in jobs:
            self._scheduler.submit(job.lane, job)
        try:
            await done
        except asyncio.CancelledError:
            for job in jobs:
                for _ in self._scheduler.close(job.lane):
                    self._counter.window(Outcome.ABANDONED)
            raise
        return [job.answer for job in jobs if job.answer is not None]

    def come_later(self, code: str, detail: str) -> Problem:
        """503, and when to come back."""
        wait_s = self._jitter.randint(RETRY_S, MOST_RETRY_S)
        return Problem(HTTPStatus.SERVICE_UNAVAILABLE, code, detail, headers={"retry-after": str(wait_s)})


def _outcome(answer: Answer) -> Outcome:
    match answer:
        case Late():
            return Outcome.LATE
        case ClassifierError():
            return Outcome.FAILED
        case _:
            return Outcome.CLASSIFIED

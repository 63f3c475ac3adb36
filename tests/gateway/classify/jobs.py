"""A job and a classifier that do as the test says."""

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

from gateway.classify.lanes import Job, Timing
from gateway.classify.notices import Notices
from gateway.classify.port import (
    Answer,
    ClassifierError,
    Health,
    HealthStatus,
    Observation,
    QueueObservation,
    Window,
)
from gateway.classify.queue import Batch


@dataclass(eq=False)
class FakeJob:
    """A job that remembers what became of it."""

    name: str
    arrived: float = 0.0
    outcome: list[str] = field(default_factory=list)
    answer: list[Observation] = field(default_factory=list)
    timing: Timing | None = None
    done: asyncio.Event = field(default_factory=asyncio.Event)

    def window(self) -> Window:
        samples = np.zeros(16, np.int16)
        return Window(samples=samples, owned=16, end_s=1.0, state={}, session=self.name)

    def classified(self, observations: list[Observation], timing: Timing) -> None:
        self.outcome.append("classified")
        self.answer = observations
        self.timing = timing

    def failed(self, error: ClassifierError) -> None:
        self.outcome.append("failed")
        self.done.set()

    def shed(self) -> None:
        self.outcome.append("shed")


class FakeClassifier:
    """Answers each window with its session's name, when told to."""

    name = "fake"

    def __init__(self) -> None:
        self.batches: list[list[str]] = []
        self.entered = asyncio.Event()
        self.gate = asyncio.Event()
        self.gate.set()
        self.error: Exception | None = None
        self.bad: set[str] = set()
        """Sessions whose windows fail by themselves."""
        self.room: int | None = None
        self.calls: int | None = None
        self.open_calls = 0
        self.most_open = 0

    async def classify(self, batch: Sequence[Window]) -> Sequence[Answer]:
        self.batches.append([window.session for window in batch])
        self.entered.set()
        self.open_calls += 1
        self.most_open = max(self.most_open, self.open_calls)
        try:
            await self.gate.wait()
        finally:
            self.open_calls -= 1
        if self.error is not None:
            raise self.error
        return [self._answer(window) for window in batch]

    def _answer(self, window: Window) -> Answer:
        if window.session in self.bad:
            return ClassifierError("a bad window")
        return [QueueObservation(label=window.session, confidence=1.0)]

    notices = Notices()

    async def start(self) -> None: ...

    def forget(self, session: str) -> None: ...

    def health(self) -> Health:
        return Health(HealthStatus.READY)

    async def aclose(self) -> None: ...


def names(jobs: Iterable[Job]) -> list[str]:
    """What `jobs` are called."""
    return [job.name for job in jobs if isinstance(job, FakeJob)]


def taken(batch: Batch) -> list[str]:
    """What is in `batch`."""
    return names(job for _, job in batch.items)

"""Stand-ins beside the ports, for tests that look at one part only."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import cast

from gateway.classify.lanes import Job, Lane, Timing
from gateway.classify.port import ClassifierError, Observation
from gateway.classify.queue import WindowQueue
from gateway.clock import ManualClock
from gateway.live.announcer import Announcer
from gateway.live.captions import Captions, Spawn
from gateway.live.log import EventLog
from gateway.live.pipeline import Pipeline
from gateway.sessions.ports import Entry, EventStore
from gateway.sessions.tail import BoundedTail
from gateway.stores.memory import MemoryEventStore
from gateway.telemetry.metrics import Telemetry
from gateway.transcribe.port import Transcriber
from protocol.audio import AudioFormat
from protocol.control import SessionConfig
from protocol.events import DurableEvent, Event


@dataclass
class HandScheduler:
    """A scheduler whose answers the test gives by hand, in any order a real one could."""

    jobs: list[Job] = field(default_factory=list)
    """Those in flight and those that wait, as they came."""
    lanes: list[Lane] = field(default_factory=list)
    """The lane of each."""
    closed: bool = False
    queue: WindowQueue = field(default_factory=lambda: WindowQueue(capacity=1_000_000, deadline_s=1e9))

    def submit(self, lane: Lane, job: Job) -> None:
        """Keep the job; windows beyond the lane's depth are shed as the real one sheds them."""
        self.jobs.append(job)
        self.lanes.append(lane)
        for one in self.queue.submit(lane, job):
            del self.lanes[self.jobs.index(one)]
            self.jobs.remove(one)
            one.shed()
        self.queue.take(len(self.jobs), 0.0)

    def close(self, lane: Lane) -> list[Job]:
        self.closed = True
        self.queue.close(lane)
        left = [job for job, its in zip(self.jobs, self.lanes, strict=True) if its is lane]
        self.jobs = [job for job, its in zip(self.jobs, self.lanes, strict=True) if its is not lane]
        self.lanes = [its for its in self.lanes if its is not lane]
        if lane.in_flight is not None:
            self.queue.finish(lane)
        return left

    def answer(self, observations: list[Observation] | None = None) -> None:
        """Classify the oldest window."""
        if self.jobs:
            job = self._pop()
            job.window()
            job.classified(observations or [], Timing(0.001, 0.002))

    def fail(self) -> None:
        """Fail the oldest window."""
        if self.jobs:
            self._pop().failed(ClassifierError("by hand"))

    def shed(self) -> None:
        """Shed the oldest window, as a passed deadline does."""
        if self.jobs:
            self._pop().shed()

    def _pop(self) -> Job:
        """The oldest job; the next one of its lane goes."""
        job, lane = self.jobs.pop(0), self.lanes.pop(0)
        self.queue.finish(lane)
        self.queue.take(len(self.jobs), 0.0)
        return job


@dataclass
class Bench:
    """One pipeline on a bench: no sockets, no tasks, time by hand."""

    pipeline: Pipeline
    scheduler: HandScheduler
    log: EventLog
    clock: ManualClock
    told: list[Event]
    telemetry: Telemetry

    @property
    def events(self) -> list[DurableEvent]:
        """Every durable event so far."""
        entries: list[Entry] = list(self.log.read(0, 100_000))
        return [cast("DurableEvent", entry.event()) for entry in entries]


def bench(
    audio: AudioFormat | None = None,
    config: SessionConfig | None = None,
    owner_backlog: Callable[[], int] = lambda: 0,
    transcriber: Transcriber | None = None,
    spawn: Spawn | None = None,
    store: EventStore | None = None,
) -> Bench:
    """A pipeline with a scheduler answered by hand, and a memory event store unless one is given."""
    clock, scheduler = ManualClock(), HandScheduler()
    told: list[Event] = []
    audio = audio or AudioFormat()
    telemetry = Telemetry()
    event_log = EventLog("s" * 22, store or MemoryEventStore(clock), clock, BoundedTail(100_000, 2**30, 1e9))
    config = config or SessionConfig()
    announcer = Announcer(event_log, audio, telemetry)
    captions = None
    if transcriber is not None and spawn is not None:
        captions = Captions(transcriber, announcer, audio, config, spawn)
    pipeline = Pipeline(
        audio=audio,
        config=config,
        announcer=announcer,
        scheduler=scheduler,
        clock=clock,
        telemetry=telemetry,
        tell=told.append,
        owner_backlog=owner_backlog,
        captions=captions,
    )
    return Bench(pipeline, scheduler, event_log, clock, told, telemetry)

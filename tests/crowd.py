"""A crowd of sessions before one scheduler, in virtual time: the real pipelines, queue and dispatcher.

Everything is there but sockets and real sound, so minutes of overload take seconds and give the same figures
each time.
"""

import asyncio
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass, field
from typing import Any

from gateway.classify.notices import Notices
from gateway.classify.port import (
    SAMPLE_RATE,
    Answer,
    Health,
    HealthStatus,
    QueueObservation,
    Window,
)
from gateway.classify.scheduler import Scheduler
from gateway.live.announcer import Announcer
from gateway.live.log import EventLog
from gateway.live.pipeline import Pipeline
from gateway.sessions.tail import BoundedTail
from gateway.stores.memory import MemoryEventStore
from gateway.telemetry.metrics import Telemetry
from protocol.audio import AudioFormat
from protocol.control import Delivery, SessionConfig
from protocol.events import Event, Flow, Gap, GapReason
from tests.chaos.slow import Cost, SlowClassifier
from tests.virtual_time import VirtualLoop

Span = tuple[int, int]
"""The first sample, and the one after the last."""

NO_TIME = Cost()
REALTIME = SessionConfig()
RECORDING = SessionConfig(delivery=Delivery.LOSSLESS)


class Silence:
    """Hears the same in every window, at once."""

    name = "silence"

    async def classify(self, batch: Sequence[Window]) -> Sequence[Answer]:
        return [[QueueObservation(label="silence", confidence=1.0)] for _ in batch]

    notices = Notices()

    async def start(self) -> None: ...

    def forget(self, session: str) -> None: ...

    def health(self) -> Health:
        return Health(HealthStatus.READY)

    async def aclose(self) -> None: ...


@dataclass(slots=True)
class Witness(SlowClassifier):
    """A slow classifier that remembers what it has answered."""

    answered: dict[str, list[Span]] = field(default_factory=dict)
    """By session: the samples that each window owned."""

    async def classify(self, batch: Sequence[Window]) -> Sequence[Answer]:
        answers = await SlowClassifier.classify(self, batch)
        for window in batch:
            end = round(window.end_s * SAMPLE_RATE)
            self.answered.setdefault(window.session, []).append((end - window.owned, end))
        return answers


@dataclass(slots=True)
class Staleness:
    """How old each answer was: seconds from its window's last sample. Observes a scheduler."""

    seconds: list[float] = field(default_factory=list)

    def batch(self, size: int, waited_s: Sequence[float], took_s: float, *, failed: int) -> None:
        if not failed:
            self.seconds += [waited + took_s for waited in waited_s]

    def quantile(self, share: float) -> float:
        return sorted(self.seconds)[round(share * (len(self.seconds) - 1))]


@dataclass(slots=True, eq=False)
class Talker:
    """One session at 16 kHz, and what its owner was told."""

    pipeline: Pipeline
    log: EventLog
    told: list[Event]

    @property
    def session_id(self) -> str:
        return self.log.session_id

    @property
    def flows(self) -> list[Flow]:
        return [event for event in self.told if isinstance(event, Flow)]

    def gaps(self, reason: GapReason) -> list[Span]:
        """Every gap that was declared for `reason`."""
        events = [entry.event() for entry in self.log.read(0, 1_000_000)]
        gaps = [event for event in events if isinstance(event, Gap) and event.reason is reason]
        return [(gap.start_sample, gap.end_sample) for gap in gaps]

    def balances(self) -> bool:
        """Whether every sample is in exactly one account now."""
        ledger = self.pipeline.ledger
        settled = ledger.classified_samples + ledger.gap_samples
        return ledger.next_sample == settled + ledger.pending_samples

    async def talk(self, seconds: float, frame_s: float = 0.2) -> None:
        """Speak in real time."""
        for _ in range(round(seconds / frame_s)):
            self._feed(frame_s)
            await asyncio.sleep(frame_s)

    async def send(self, seconds: float, frame_s: float = 0.2) -> None:
        """Send a recording: all that credit allows, and more when there is more."""
        more = asyncio.Event()
        unlisten = self.pipeline.on_settle(more.set)
        for _ in range(round(seconds / frame_s)):
            while not self._may_send(frame_s):
                more.clear()
                await more.wait()
            self._feed(frame_s)
        unlisten()

    def _may_send(self, seconds: float) -> bool:
        credit = self.pipeline.credit
        assert credit is not None
        return self.pipeline.ledger.next_sample + round(seconds * SAMPLE_RATE) <= credit.limit

    def _feed(self, seconds: float) -> None:
        self.pipeline.feed(bytes(2 * round(seconds * SAMPLE_RATE)))
        assert self.balances()


class Crowd:
    """Sessions, a scheduler, and a classifier as slow as wanted."""

    def __init__(self, clock: VirtualLoop, cost: Cost = NO_TIME, *, call_s: float = 10.0) -> None:
        self.clock = clock
        self.staleness = Staleness()
        self.classifier = Witness(Silence(), cost)
        self.scheduler = Scheduler(self.classifier, clock, call_s=call_s, observer=self.staleness)
        self.talkers: list[Talker] = []

    def join(self, config: SessionConfig = REALTIME, namespace: str | None = None) -> Talker:
        """One more session."""
        told: list[Event] = []
        audio, telemetry = AudioFormat(), Telemetry()
        tail = BoundedTail(100_000, 2**30, 1e9)
        log = EventLog(str(len(self.talkers)), MemoryEventStore(self.clock), self.clock, tail)
        pipeline = Pipeline(
            audio=audio,
            config=config,
            announcer=Announcer(log, audio, telemetry),
            scheduler=self.scheduler,
            clock=self.clock,
            telemetry=telemetry,
            tell=told.append,
            owner_backlog=lambda: 0,
            namespace=namespace,
        )
        talker = Talker(pipeline, log, told)
        pipeline.on_settle(lambda: _check(talker))
        self.talkers.append(talker)
        return talker

    async def run(self, *work: Coroutine[Any, Any, object]) -> None:
        """Do `work` beside the scheduler."""
        running = asyncio.create_task(self.scheduler.run())
        try:
            await asyncio.gather(*work)
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)

    def answered(self, talker: Talker) -> list[Span]:
        """The samples of `talker` that were classified, window by window."""
        return self.classifier.answered.get(talker.session_id, [])


def _check(talker: Talker) -> None:
    assert talker.balances()

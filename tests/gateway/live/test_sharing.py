"""One session that two nodes hand to each other: real pipelines and registries over one fake store."""

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, cast

import numpy as np
import pytest

from gateway.classify.notices import Notices
from gateway.classify.port import Health, HealthStatus, QueueObservation
from gateway.errors import StoreUnavailable
from gateway.live.backends import Backend, Backends, Ear, Scribe
from gateway.live.reader import Reader
from gateway.live.registry import LiveRegistry, LogBounds
from gateway.live.session import LiveSession
from gateway.sessions.model import Session, Status
from gateway.sessions.ports import Entry
from gateway.sessions.shared import StreamBounds, Superseded
from gateway.stores.hybrid.events import HybridEventStore
from gateway.telemetry.metrics import Telemetry
from gateway.telemetry.sharing import SharingCounts
from gateway.transcribe.port import Emit, TranscriptUpdate, Warn
from protocol.close import CloseCode
from protocol.control import Feature, SessionConfig
from protocol.events import DurableEvent, Gap, Queue, Summary, Transcript
from tests.fakes import HandScheduler
from tests.gateway.sessions.kit import session
from tests.streams import FakeStreamStore
from tests.virtual_time import VirtualLoop, run

RATE = 16_000
QUIET = QueueObservation(label="silence", confidence=0.9)
ROOMY = StreamBounds(10_000, 2**30, 1e9)
CONFIG = SessionConfig(features=frozenset(Feature))


class Stream:
    """Hears one word in each second of audio that it was given whole."""

    def __init__(self, emit: Emit) -> None:
        self._emit = emit
        self._from: int | None = None
        self._next = 0
        self.patient = False
        self.on_settled: Callable[[], None] = lambda: None
        self.closed = False

    @property
    def pending_from16k(self) -> int | None:
        return self._from if self._from is not None and self._from < self._next else None

    def feed(self, samples: "np.ndarray[Any, np.dtype[np.int16]]", start16k: int) -> None:
        if self._from is None or start16k != self._next:
            self._from = start16k
        self._next = start16k + len(samples)
        while (end := (self._from // RATE + 1) * RATE) <= self._next:
            start, self._from = self._from, end
            if start % RATE == 0:
                word = f"w{start // RATE}"
                self._emit(TranscriptUpdate(word, True, 0, None, start, end, "en"))

    async def flush(self) -> None: ...

    async def aclose(self) -> None:
        self.closed = True


class Ears:
    """Stands in for `Backends`: windows are answered by hand."""

    def __init__(self) -> None:
        self.scheduler = HandScheduler()
        self.streams: list[Stream] = []
        self.holders = 0
        self.answers = True

    def open(self, *, emit: Emit, warn: Warn, language: str | None) -> Stream:
        self.streams.append(Stream(emit))
        return self.streams[-1]

    def enter(self, namespace: str | None) -> Backend:
        self.holders += 1
        well = cast("Any", self)
        ear = Ear("hand", Notices(), classifier=well, scheduler=cast("Any", self.scheduler))
        return Backend(ear, Scribe("hand", Notices(), transcriber=well), own_words=False)

    def leave(self, backend: Backend, session_id: str) -> None:
        self.holders -= 1

    def health(self) -> Health:
        return Health(HealthStatus.READY)

    def decoders(self) -> Mapping[str, int]:
        return {}


class Station:
    """A node without sockets."""

    def __init__(self, name: str, streams: FakeStreamStore, loop: VirtualLoop) -> None:
        self.name, self.ears = name, Ears()
        self.summaries: list[Summary] = []
        self.events = HybridEventStore(streams, name, loop, SharingCounts())
        self.registry = LiveRegistry(
            backends=cast("Backends", self.ears),
            events=self.events,
            clock=loop,
            telemetry=Telemetry(),
            bounds=LogBounds(10_000, 2**30, 1e9),
            on_finished=self._finished,
            shared=self.events,
        )
        self.events.start()

    async def _finished(self, session_id: str, summary: Summary, counts: Mapping[str, int]) -> None:
        self.summaries.append(summary)

    async def take(self, one: Session, turn: int, before: str | None) -> LiveSession:
        """An owner attaches here."""
        attached = replaced(one, self.name, turn)
        live = await self.registry.take(attached, before)
        live.pipeline.attached()
        return live

    async def observe(self, one: Session) -> tuple[LiveSession, Reader]:
        live = await self.registry.listen(one)
        reader = Reader(live.log, 0)
        live.audience.observers.add(reader)
        return live, reader

    def hear(self, live: LiveSession, to: int) -> None:
        """Audio from where it is expected, in frames of 100 ms; each window is answered at once."""
        while (at := live.pipeline.expected_sample) < to:
            live.pipeline.feed(bytes(2 * min(1_600, to - at)))
            self.ears.scheduler.answer([QUIET])

    async def aclose(self) -> None:
        await self.registry.aclose()
        await self.events.aclose()


def replaced(one: Session, node: str, turn: int) -> Session:
    return session(id=one.id, config=CONFIG, status=Status.LIVE, node=node, attaches=turn)


def read(reader: Reader) -> list[DurableEvent]:
    """Every durable event that it has not taken."""
    found: list[DurableEvent] = []
    while items := reader.take():
        found += [cast("DurableEvent", item.event()) for item in items if isinstance(item, Entry)]
    return found


Play = Callable[[Station, Station, FakeStreamStore, Session], Coroutine[Any, Any, None]]


def play(scenario: Play) -> None:
    async def steps(loop: VirtualLoop) -> None:
        streams = FakeStreamStore(loop, ROOMY)
        a, b = Station("a", streams, loop), Station("b", streams, loop)
        try:
            await scenario(a, b, streams, session(config=CONFIG))
        finally:
            await a.aclose()
            await b.aclose()

    run(steps)


async def rest(seconds: float = 0.5) -> None:
    await asyncio.sleep(seconds)


def test_it_is_handed_over_and_back_without_a_seam() -> None:
    """Each word once, each sample once, each number once, for whoever reads it on either node."""

    async def scenario(a: Station, b: Station, _: FakeStreamStore, one: Session) -> None:
        first = await a.take(one, 1, None)
        at_a = (await a.observe(one))[1]
        a.hear(first, 3 * RATE + 8_000)
        at_b = (await b.observe(one))[1]
        await rest()
        second = await b.take(one, 2, "a")
        assert 3 * RATE - 8_000 <= second.pipeline.expected_sample <= 3 * RATE
        a.events.lose([one.id])  # as the next beat tells
        b.hear(second, 7 * RATE + 3_200)
        await rest()
        assert a.registry.get(one.id) is None
        third = await a.take(one, 3, "b")
        assert third.audience.count == 1
        b.events.lose([one.id])
        a.hear(third, 10 * RATE)
        await rest()
        await third.finish()
        await rest()
        events = [read(at_a), read(at_b)]
        assert [one.seq for one in events[0]] == list(range(1, third.log.top + 1))
        for told in events:
            assert [one.text for one in told if isinstance(one, Transcript)] == [f"w{n}" for n in range(10)]
            spans = [(one.start_sample, one.end_sample) for one in told if isinstance(one, Queue)]
            assert spans == [(n * RATE, (n + 1) * RATE) for n in range(10)]
            assert not any(isinstance(one, Gap) for one in told)
        assert events[0] == events[1]
        assert a.summaries[0].classified_samples == 10 * RATE
        assert (a.ears.holders, b.ears.holders) == (0, 0)
        assert all(stream.closed for stream in (*a.ears.streams, *b.ears.streams))
        for reader in (at_a, at_b):
            assert reader.farewell is not None
            assert reader.farewell.code is CloseCode.NORMAL

    play(scenario)


def test_what_was_not_known_to_be_lost_is_let_go_of_when_it_comes_back() -> None:
    """The owner went elsewhere and back within a beat: one pipeline speaks, and observers go on with it."""

    async def scenario(a: Station, b: Station, _: FakeStreamStore, one: Session) -> None:
        first = await a.take(one, 1, None)
        watching = (await a.observe(one))[1]
        owner = Reader(first.log, 0)
        first.audience.seat_owner(owner, 1)
        a.hear(first, 2 * RATE + 8_000)
        await rest()
        second = await b.take(one, 2, "a")
        b.hear(second, 3 * RATE)
        await rest()
        third = await a.take(one, 3, "b")
        assert first.pipeline.ended
        assert not first.log.written_here or first.log is third.log
        assert owner.farewell is not None
        assert owner.farewell.code is CloseCode.REPLACED
        a.hear(third, 5 * RATE)
        await rest()
        told = read(watching)
        assert [one.seq for one in told] == list(range(1, third.log.top + 1))
        assert [one.text for one in told if isinstance(one, Transcript)] == [f"w{n}" for n in range(5)]
        assert a.ears.holders == 1
        assert [stream.closed for stream in a.ears.streams] == [True, False]

    play(scenario)


def test_whoever_read_what_nobody_else_saw_is_told() -> None:
    """An observer of a node that was cut off can't go on from there."""

    async def scenario(a: Station, b: Station, streams: FakeStreamStore, one: Session) -> None:
        first = await a.take(one, 1, None)
        watching = (await a.observe(one))[1]
        await rest()
        streams.away = True
        a.hear(first, 2 * RATE)
        await rest()
        assert read(watching)
        streams.away = False
        await b.take(one, 2, "a")
        await rest(10.0)
        assert watching.farewell is not None
        assert watching.farewell.code is CloseCode.STORE_UNAVAILABLE
        assert a.registry.get(one.id) is None
        assert a.registry.followed == ()

    play(scenario)


def test_whose_claim_the_store_has_lost_comes_back() -> None:
    """The owner is not told that somebody else has it: nobody has. Nor is who observes it left alone."""

    async def scenario(a: Station, b: Station, streams: FakeStreamStore, one: Session) -> None:
        await b.take(one, 1, None)
        first = await a.take(one, 2, "b")
        owner = Reader(first.log, 0)
        first.audience.seat_owner(owner, 2)
        watching = (await a.observe(one))[1]
        streams.lose_claim(one.id, "b")
        a.hear(first, RATE)
        await rest()
        for reader in (owner, watching):
            assert reader.farewell is not None
            assert reader.farewell.code is CloseCode.STORE_UNAVAILABLE
        assert a.registry.get(one.id) is None

    play(scenario)


def test_a_session_deleted_elsewhere_ends_here() -> None:
    """For who reads what is live here, and who follows it."""

    async def scenario(a: Station, b: Station, _: FakeStreamStore, one: Session) -> None:
        first = await a.take(one, 1, None)
        at_a = (await a.observe(one))[1]
        a.hear(first, RATE)
        await rest()
        at_b = (await b.observe(one))[1]
        await b.events.purge(one.id)
        a.hear(first, 2 * RATE)
        await rest(10.0)
        for reader in (at_a, at_b):
            assert reader.farewell is not None
            assert reader.farewell.code is CloseCode.NOT_FOUND
        assert len(a.registry) == 0
        assert a.registry.log(one.id) is None

    play(scenario)


def test_of_claims_at_once_on_one_node_one_makes_it_live() -> None:
    """The others have the same; one that comes too late has none."""

    async def scenario(a: Station, b: Station, streams: FakeStreamStore, one: Session) -> None:
        lives = await asyncio.gather(*(a.take(one, turn, None) for turn in (1, 2, 3)))
        assert len({id(live) for live in lives}) == 1
        await b.take(one, 7, "a")
        with pytest.raises(Superseded):
            await a.take(one, 5, "b")
        assert streams.calls.count("claim") == 3

    play(scenario)


def test_observers_who_come_at_once_read_the_same() -> None:
    """The second waits for the first one's look at the store, and does not hang on what that one gave up."""

    async def scenario(a: Station, b: Station, streams: FakeStreamStore, one: Session) -> None:
        first = await a.take(one, 1, None)
        a.hear(first, 2 * RATE)
        await rest()
        right = streams.tail

        async def away(session_id: str, after: int) -> Any:
            await asyncio.sleep(0.2)
            streams.tail = right  # type: ignore[method-assign]
            raise StoreUnavailable("by hand")

        streams.tail = away  # type: ignore[method-assign]
        failing = asyncio.ensure_future(b.observe(one))
        await rest(0.1)
        coming = asyncio.ensure_future(b.observe(one))
        with pytest.raises(StoreUnavailable):
            await failing
        results = await asyncio.gather(coming, b.observe(one), return_exceptions=True)
        for result in results:
            assert not isinstance(result, BaseException)
            live, reader = result
            assert b.registry.holds(live)
            assert read(reader)

    play(scenario)


def test_an_observer_who_comes_during_a_claim_reads_what_is_claimed() -> None:
    """Not a copy beside it."""

    async def scenario(a: Station, b: Station, streams: FakeStreamStore, one: Session) -> None:
        first = await a.take(one, 1, None)
        a.hear(first, 2 * RATE)
        await rest()
        claiming = asyncio.ensure_future(b.take(one, 2, "a"))
        await asyncio.sleep(0)
        watching, reader = await b.observe(one)
        live = await claiming
        assert watching is live
        assert b.registry.holds(watching)
        b.hear(live, 4 * RATE)
        await rest()
        assert [event.seq for event in read(reader)] == list(range(1, live.log.top + 1))

    play(scenario)


def test_a_loss_that_is_told_during_a_claim_dismisses_nobody() -> None:
    """Its observers are the new one's, whatever the store says of the old one."""

    async def scenario(a: Station, b: Station, streams: FakeStreamStore, one: Session) -> None:
        first = await a.take(one, 1, None)
        watching = (await a.observe(one))[1]
        a.hear(first, 2 * RATE)
        await rest()
        await b.take(one, 2, "a")
        right = streams.tail

        async def late(session_id: str, after: int) -> Any:
            found = await right(session_id, after)
            await asyncio.sleep(0.2)
            return found

        streams.tail = late  # type: ignore[method-assign]
        a.events.lose([one.id])
        await rest(0.1)  # it is lost, and what is said elsewhere is being looked up
        third = await a.take(one, 3, "b")
        await rest(1.0)
        a.hear(third, 4 * RATE)
        await rest()
        assert watching.farewell is None
        assert [event.seq for event in read(watching)] == list(range(1, third.log.top + 1))
        assert a.registry.followed == ()

    play(scenario)


def test_who_leaves_last_ends_the_following() -> None:
    """And nothing is left of it; the same where the session is discarded."""

    async def scenario(a: Station, b: Station, _: FakeStreamStore, one: Session) -> None:
        await a.take(one, 1, None)
        live, reader = await b.observe(one)
        same, other = await b.observe(one)
        assert same is live
        for one_of_them in (reader, other):
            assert len(b.registry.followed) == 1
            live.audience.leave(one_of_them)
            b.registry.left(live)
        assert b.registry.followed == ()
        await b.observe(one)
        b.registry.discard(one.id)
        assert b.registry.followed == ()

    play(scenario)

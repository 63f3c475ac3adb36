"""How a node goes away: when who is told and closed, and what becomes of what was heard, in virtual time."""

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any, cast

import pytest

from gateway.live.drain import BATCH, STEP_S, NodeDrain
from gateway.live.reader import MAX_REPLIES, Reader
from gateway.live.registry import LiveRegistry, Tasks
from gateway.live.session import Audience, LiveSession
from protocol.close import CloseCode
from protocol.events import Drain, Error, Event, Gap, GapReason, Pong, Summary
from tests.fakes import Bench, bench
from tests.virtual_time import VirtualLoop, run

GRACE_S = 10.0


@dataclass
class Node:
    """Live sessions on a bench each, and readers that read at once, or never."""

    loop: VirtualLoop
    tasks: Tasks = field(default_factory=Tasks)
    sessions: list[LiveSession] = field(default_factory=list)
    benches: dict[LiveSession, Bench] = field(default_factory=dict)
    heard: dict[Reader, list[tuple[float, Event]]] = field(default_factory=dict)
    closed: dict[Reader, tuple[float, CloseCode]] = field(default_factory=dict)
    summaries: list[Summary] = field(default_factory=list)
    written_down_s: float = 0.0
    """Seconds that the store takes for the end of a session."""

    def session(self) -> LiveSession:
        """One more, with nobody attached."""
        on = bench()

        async def finished(summary: Summary) -> None:
            await asyncio.sleep(self.written_down_s)
            self.summaries.append(summary)
            self.sessions.remove(live)

        async def truncated() -> bool:
            return False

        live = LiveSession(
            on.log,
            on.pipeline,
            Audience(),
            None,
            drain_s=60,
            spawn=self.tasks.spawn,
            on_finished=finished,
            truncated=truncated,
        )
        self.sessions.append(live)
        self.benches[live] = on
        return live

    def owner(self, live: LiveSession, *, reads: bool = True) -> Reader:
        """Attach an owner."""
        reader = Reader(live.log, 0)
        live.audience.seat_owner(reader, 1)
        self.heard[reader] = []
        if reads:
            self.tasks.spawn(self._read(live, reader))
        return reader

    async def _read(self, live: LiveSession, reader: Reader) -> None:
        while not reader.done:
            items = reader.take()
            now = self.loop.time()
            events = [item if isinstance(item, Event) else cast("Event", item.event()) for item in items]
            self.heard[reader] += [(now, event) for event in events]
            if not items and not reader.done:
                await reader.wait()
        assert reader.farewell is not None
        self.closed[reader] = (self.loop.time(), reader.farewell.code)
        live.audience.leave(reader)

    def told(self, reader: Reader, kind: type[Event]) -> list[Any]:
        """What a reader heard of one kind."""
        return [event for _, event in self.heard[reader] if isinstance(event, kind)]

    def drain(self) -> NodeDrain:
        registry = cast(LiveRegistry, self.sessions)  # all that it looks at is who is there
        return NodeDrain(registry, self.loop, grace_s=GRACE_S, jitter=random.Random(1))


def drained(scenario: Callable[[Node], Coroutine[Any, Any, None]]) -> None:
    """Run `scenario` in virtual time."""

    async def main(loop: VirtualLoop) -> None:
        node = Node(loop)
        try:
            await scenario(node)
        finally:
            await node.tasks.aclose()

    run(main)


def test_what_was_heard_is_finished_before_the_close() -> None:
    """`drain`, then the events of the window in flight and of the one cut short, then 1012."""

    async def scenario(node: Node) -> None:
        live = node.session()
        reader, on = node.owner(live), node.benches[live]
        on.pipeline.feed(bytes(32_000 + 8_001))
        leaving = asyncio.create_task(node.drain().run(asyncio.Event()))
        await asyncio.sleep(1)
        assert len(node.told(reader, Drain)) == 1
        assert not node.closed, "a window is in flight"
        assert len(on.scheduler.jobs) == 2
        on.scheduler.answer()
        on.scheduler.answer()
        await leaving
        assert node.closed[reader][1] is CloseCode.SERVICE_RESTART
        assert node.loop.time() < 1_000 + 2, "it waited for more than there was"
        ledger = on.pipeline.ledger
        assert (ledger.next_sample, ledger.classified_samples, ledger.gap_samples) == (20_000, 20_000, 0)
        assert not node.told(reader, Gap)

    drained(scenario)


def test_audio_that_still_comes_is_not_taken_in() -> None:
    """Nor is it an error: the client goes on from there elsewhere."""

    async def scenario(node: Node) -> None:
        live = node.session()
        reader, on = node.owner(live, reads=False), node.benches[live]
        on.pipeline.feed(bytes(3_200))
        leaving = asyncio.create_task(node.drain().run(asyncio.Event()))
        await asyncio.sleep(0.01)
        on.pipeline.feed(bytes(3_200))
        on.pipeline.position(1_000_000)
        assert on.pipeline.ledger.next_sample == 1_600
        assert not [event for event in on.told if isinstance(event, Error)]
        on.scheduler.answer()
        await asyncio.sleep(1)
        assert reader.farewell is not None
        live.audience.leave(reader)
        await leaving

    drained(scenario)


def test_an_end_that_comes_late_is_still_obeyed() -> None:
    """The summary comes, with the audio that wasn't taken in any more as a gap: it ends here, so nobody will
    send that again."""

    async def scenario(node: Node) -> None:
        live = node.session()
        reader, on = node.owner(live), node.benches[live]
        on.pipeline.feed(bytes(3_200))
        leaving = asyncio.create_task(node.drain().run(asyncio.Event()))
        await asyncio.sleep(0.01)
        on.pipeline.feed(bytes(6_401))
        live.begin_finish()
        await asyncio.sleep(0.1)
        on.scheduler.answer()
        await leaving
        (summary,) = node.told(reader, Summary)
        (gap,) = node.told(reader, Gap)
        assert (gap.start_sample, gap.end_sample, gap.reason) == (1_600, 4_800, GapReason.DRAIN)
        assert (summary.classified_samples, summary.gap_samples, summary.next_sample) == (1_600, 3_200, 4_800)
        assert node.closed[reader][1] is CloseCode.NORMAL

    drained(scenario)


def test_an_end_that_has_begun_comes_to_its_summary() -> None:
    """It is closed with 1000, not 1012."""

    async def scenario(node: Node) -> None:
        live = node.session()
        reader, on = node.owner(live), node.benches[live]
        on.pipeline.feed(bytes(3_200))
        live.begin_finish()
        leaving = asyncio.create_task(node.drain().run(asyncio.Event()))
        await asyncio.sleep(1)
        on.scheduler.answer()
        await leaving
        assert node.told(reader, Summary)
        assert len(node.told(reader, Drain)) == 1
        assert node.closed[reader][1] is CloseCode.NORMAL

    drained(scenario)


def test_an_end_is_waited_for_until_it_is_written_down() -> None:
    """Whether it began before the drain, or when all was settled already."""

    async def scenario(node: Node) -> None:
        node.written_down_s = 2.0
        early, late = node.session(), node.session()
        readers = [node.owner(early), node.owner(late)]
        early.begin_finish()
        leaving = asyncio.create_task(node.drain().run(asyncio.Event()))
        await asyncio.sleep(STEP_S / 2)
        late.begin_finish()
        await leaving
        assert [node.closed[reader][1] for reader in readers] == [CloseCode.NORMAL] * 2

    drained(scenario)


def test_an_end_is_waited_for_though_nobody_is_there() -> None:
    """Whoever asked for it can read it elsewhere, once it is stored."""

    async def scenario(node: Node) -> None:
        node.written_down_s = 2.0
        node.session().begin_finish()
        await node.drain().run(asyncio.Event())
        assert len(node.summaries) == 1

    drained(scenario)


def test_a_stuck_classifier_leaves_one_gap_and_keeps_nobody() -> None:
    """Each session declares one stretch; what it closes with is what it would be anyway."""

    async def scenario(node: Node) -> None:
        going_on, ending = node.session(), node.session()
        readers = [node.owner(going_on), node.owner(ending)]
        for live in (going_on, ending):
            node.benches[live].pipeline.feed(bytes(2 * 32_000 + 3_200))
        ending.begin_finish()
        await node.drain().run(asyncio.Event())
        for reader in readers:
            (gap,) = node.told(reader, Gap)
            assert (gap.start_sample, gap.end_sample, gap.reason) == (0, 33_600, GapReason.DRAIN)
        assert [node.closed[reader][1] for reader in readers] == [
            CloseCode.SERVICE_RESTART,
            CloseCode.NORMAL,
        ]
        assert node.loop.time() - 1_000 <= 0.8 * GRACE_S

    drained(scenario)


def test_a_hurry_ends_it_now() -> None:
    """What has no answer is declared and everybody is closed, at once."""

    async def scenario(node: Node) -> None:
        readers = []
        for _ in range(3 * BATCH):
            live = node.session()
            readers.append(node.owner(live))
            node.benches[live].pipeline.feed(bytes(3_200))
        hurry = asyncio.Event()
        leaving = asyncio.create_task(node.drain().run(hurry))
        await asyncio.sleep(0.01)
        hurry.set()
        await leaving
        assert node.loop.time() - 1_000 < 0.5
        assert all(len(node.told(reader, Gap)) == 1 for reader in readers)
        assert all(len(node.told(reader, Drain)) == 1 for reader in readers)
        assert Counter(code for _, code in node.closed.values()) == {CloseCode.SERVICE_RESTART: 3 * BATCH}

    drained(scenario)


def test_a_reader_that_does_not_read_keeps_nobody() -> None:
    """It is left behind when the time is over, told or not."""

    async def scenario(node: Node) -> None:
        silent, swamped = (node.owner(node.session(), reads=False) for _ in range(2))
        for _ in range(MAX_REPLIES):
            swamped.reply(Pong())
        await node.drain().run(asyncio.Event())
        assert 0.8 * GRACE_S < node.loop.time() - 1_000 <= 0.95 * GRACE_S
        assert silent.farewell is not None
        assert silent.farewell.code is CloseCode.SERVICE_RESTART
        assert swamped.farewell is not None
        assert swamped.farewell.code is CloseCode.READER_TOO_SLOW

    drained(scenario)


def test_nobody_is_sent_off_in_a_crowd() -> None:
    """A thousand are told, and closed, fifty at a time, with time between."""

    async def scenario(node: Node) -> None:
        readers = [node.owner(node.session()) for _ in range(1_000)]
        await node.drain().run(asyncio.Event())
        closes = Counter(round(at, 3) for at, _ in node.closed.values())
        tells = Counter(round(node.heard[reader][0][0], 3) for reader in readers)
        for moments in (closes, tells):
            assert sum(moments.values()) == 1_000
            assert max(moments.values()) <= BATCH
        assert node.loop.time() - 1_000 < 2

    drained(scenario)


def test_nor_where_all_are_done_at_once() -> None:
    """A classifier that was stuck comes back and answers everything."""

    async def scenario(node: Node) -> None:
        for _ in range(5 * BATCH):
            live = node.session()
            node.owner(live)
            node.benches[live].pipeline.feed(bytes(3_200))
        leaving = asyncio.create_task(node.drain().run(asyncio.Event()))
        await asyncio.sleep(1)
        for on in node.benches.values():
            on.scheduler.answer()
        await leaving
        closes = Counter(round(at, 3) for at, _ in node.closed.values())
        assert (sum(closes.values()), max(closes.values())) == (5 * BATCH, BATCH)

    drained(scenario)


def test_who_comes_meanwhile_goes_like_the_others() -> None:
    """A session that another task was just making, and an observer of one that is on its way out."""

    async def scenario(node: Node) -> None:
        first = node.session()
        node.benches[first].pipeline.feed(bytes(3_200))
        early = node.owner(first)
        leaving = asyncio.create_task(node.drain().run(asyncio.Event()))
        await asyncio.sleep(0.2)
        late = node.owner(node.session())
        observer = Reader(first.log, 0)
        first.audience.observers.add(observer)
        node.heard[observer] = []
        node.tasks.spawn(node._read(first, observer))
        await asyncio.sleep(0.2)
        node.benches[first].scheduler.answer()
        await leaving
        for reader in (early, late, observer):
            assert len(node.told(reader, Drain)) == 1
            assert node.closed[reader][1] is CloseCode.SERVICE_RESTART

    drained(scenario)


def test_a_session_that_breaks_keeps_nobody(caplog: pytest.LogCaptureFixture) -> None:
    """Its defect is logged, and its readers are sent away with the others."""

    async def scenario(node: Node) -> None:
        broken, sound = node.session(), node.session()
        readers = [node.owner(broken), node.owner(sound)]
        broken.pipeline = None  # type: ignore[assignment]
        await node.drain().run(asyncio.Event())
        assert {node.closed[reader][1] for reader in readers} == {CloseCode.SERVICE_RESTART}

    drained(scenario)
    assert "a background task failed" in caplog.text


def test_nobody_to_send_away_takes_no_time() -> None:
    """A node without sessions is gone at once, and says all the same that it was going."""

    async def scenario(node: Node) -> None:
        drain = node.drain()
        before = drain.draining
        assert drain.begin() is drain.begin()
        assert (before, drain.draining) == (False, True)
        await drain.run(asyncio.Event())
        assert node.loop.time() == 1_000

    drained(scenario)

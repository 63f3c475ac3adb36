"""The reaper: what it decides, and what a pass does."""

import asyncio
import logging
from collections.abc import Callable, Sequence

import pytest

from gateway.clock import ManualClock
from gateway.errors import BadDocument, NotFound, StoreUnavailable, StoreUnsuitable
from gateway.sessions import reaper as reaper_module
from gateway.sessions.lifecycle import Input
from gateway.sessions.model import Session, Status, Timers
from gateway.sessions.ports import SessionFilter, TicketGrant
from gateway.sessions.reaper import Reaper, ReapReport
from gateway.sessions.service import NewSession
from gateway.sessions.shared import Whose
from gateway.sessions.tickets import Role
from gateway.stores.memory import MemorySessionStore
from tests.gateway.sessions.kit import Node, in_status, run, summary

TIMERS = Timers()
_ANY = SessionFilter()


async def live(node: Node, subscribers: int = 1) -> str:
    """A session with an owner, held here."""
    session_id = (await node.service.create(NewSession())).session.id
    await node.service.attach(session_id)
    node.hear(session_id, subscribers)
    return session_id


async def status(node: Node, session_id: str) -> Status:
    session = await node.store.get(session_id)
    assert session is not None
    return session.status


class TestPasses:
    def test_a_session_nobody_came_to_is_expired_then_purged(self) -> None:
        """Each is done once and counted."""

        async def scenario() -> None:
            node = Node()
            session_id = (await node.service.create(NewSession())).session.id
            assert await node.reaper.pass_once() == ReapReport(seen=1)
            node.clock.advance(30.0)
            assert await node.reaper.pass_once() == ReapReport(seen=1, expired=1, tickets=1)
            assert await status(node, session_id) is Status.EXPIRED
            node.clock.advance(900.0)
            assert await node.reaper.pass_once() == ReapReport(seen=1, purged=1)
            assert node.purged == [session_id]
            assert await node.reaper.pass_once() == ReapReport()
            assert node.told == []

        run(scenario())

    @pytest.mark.parametrize(
        ("heard_s", "reason", "expected"),
        [(0.0, Input.IDLE, Status.CLOSED), (86_399.0, Input.TOTAL_EXPIRED, Status.CLOSED)],
    )
    def test_a_live_session_is_drained_and_closed(
        self, heard_s: float, reason: Input, expected: Status
    ) -> None:
        """What is live is told why, and sums up."""

        async def scenario() -> None:
            node = Node()
            session_id = await live(node)
            node.clock.advance(heard_s)
            node.hear(session_id)
            node.clock.advance(300.0)
            report = await node.reaper.pass_once()
            assert (report.expired, report.collected) == (1, 1)
            assert node.told == [(session_id, reason)]
            session = await node.service.get(session_id)
            assert (session.status, session.end_reason) == (expected, reason)
            assert session.counts["next_sample"] == 32_000

        run(scenario())

    def test_a_detached_session_is_expired_and_its_live_part_told(self) -> None:
        """Observers that came and went, and the ring and the log, are let go."""

        async def scenario() -> None:
            node = Node()
            session_id = await live(node)
            await node.service.lose(session_id)
            node.hear(session_id, subscribers=0)
            node.clock.advance(90.0)
            assert (await node.reaper.pass_once()).collected == 1
            assert node.told == [(session_id, Input.DETACHED_EXPIRED)]
            assert await status(node, session_id) is Status.EXPIRED

        run(scenario())

    def test_what_an_access_expired_is_collected_by_the_next_pass(self) -> None:
        """Lazily expired sessions don't stay live."""

        async def scenario() -> None:
            node = Node()
            session_id = await live(node)
            await node.service.lose(session_id)
            node.hear(session_id, subscribers=0)
            node.clock.advance(90.0)
            assert (await node.service.get(session_id)).status is Status.EXPIRED
            report = await node.reaper.pass_once()
            assert (report.expired, report.collected) == (0, 1)
            assert node.told == [(session_id, Input.DETACHED_EXPIRED)]

        run(scenario())

    def test_an_idle_session_with_nothing_live_is_closed(self) -> None:
        """An attach that died half way leaves no session behind."""

        async def scenario() -> None:
            node = Node()
            session_id = await live(node)
            del node.live[session_id]
            node.clock.advance(300.0)
            await node.reaper.pass_once()
            assert await status(node, session_id) is Status.CLOSED

        run(scenario())

    def test_a_draining_session_with_nothing_live_is_closed(self) -> None:
        """Whatever was to drain it is gone."""

        async def scenario() -> None:
            node = Node()
            session_id = await live(node)
            await node.service.drain(session_id)
            del node.live[session_id]
            assert (await node.reaper.pass_once()).closed == 1
            assert await status(node, session_id) is Status.CLOSED

        run(scenario())

    @pytest.mark.parametrize(("subscribers", "expected"), [(1, Status.LIVE), (0, Status.DETACHED)])
    def test_a_session_that_speaks_just_in_time_lives_on(self, subscribers: int, expected: Status) -> None:
        """Heard between the decision and the store's answer, it is revived, with or without its owner."""

        async def scenario() -> None:
            node = Node(store=HearingStore())
            assert isinstance(node.store, HearingStore)
            session_id = await live(node)
            node.clock.advance(300.0)
            node.store.on_update = lambda: node.hear(session_id, subscribers)
            report = await node.reaper.pass_once()
            assert (report.revived, report.expired) == (1, 0)
            assert node.told == []
            session = await node.service.get(session_id)
            assert (session.status, session.end_reason) == (expected, None)

        run(scenario())

    def test_the_end_of_the_total_time_is_not_put_off_by_speaking(self) -> None:
        """24 h are 24 h."""

        async def scenario() -> None:
            node = Node(store=HearingStore())
            assert isinstance(node.store, HearingStore)
            session_id = await live(node)
            node.clock.advance(86_400.0)
            node.store.on_update = lambda: node.hear(session_id)
            await node.reaper.pass_once()
            assert node.told == [(session_id, Input.TOTAL_EXPIRED)]

        run(scenario())

    def test_an_observer_that_comes_too_late_is_told_with_the_rest(self) -> None:
        """What is expired stays expired: only idleness is taken back."""

        async def scenario() -> None:
            node = Node(store=HearingStore())
            assert isinstance(node.store, HearingStore)
            session_id = await live(node)
            await node.service.lose(session_id)
            node.hear(session_id, subscribers=0)
            node.clock.advance(90.0)
            node.store.on_update = lambda: node.hear(session_id)
            report = await node.reaper.pass_once()
            assert (report.expired, report.revived, report.collected) == (1, 0, 1)

        run(scenario())

    def test_a_session_that_changed_while_being_decided_about_is_left_alone(self) -> None:
        """An owner that comes back at the last moment is not expired by an old decision."""

        async def scenario() -> None:
            node = Node(store=HearingStore())
            assert isinstance(node.store, HearingStore)
            session_id = await live(node)
            await node.service.lose(session_id)
            node.hear(session_id, subscribers=0)
            node.clock.advance(89.0)
            read_before = list(await node.store.list())
            await node.service.observe(session_id)
            node.store.pages = [read_before]
            node.clock.advance(1.0)
            assert (await node.reaper.pass_once()).conflicts == 1
            assert await status(node, session_id) is Status.DETACHED

        run(scenario())

    def test_a_watched_session_lives_on_and_its_timer_follows(self) -> None:
        """After hours of watching, 90 s are counted from about when the observer went, told or not."""

        async def scenario() -> None:
            node = Node()
            session_id = await live(node)
            await node.service.lose(session_id)
            for _ in range(100):
                node.hear(session_id)
                node.clock.advance(45.0)
                await node.reaper.pass_once()
            node.hear(session_id, subscribers=0)
            node.clock.advance(89.0)
            await node.reaper.pass_once()
            assert await status(node, session_id) is Status.DETACHED
            node.clock.advance(1.0)
            await node.reaper.pass_once()
            assert await status(node, session_id) is Status.EXPIRED

        run(scenario())

    def test_a_lively_session_is_noted_and_otherwise_left_alone(self) -> None:
        """Twelve hours of talk end nothing, and the heartbeat follows."""

        async def scenario() -> None:
            node = Node()
            session_id = await live(node)
            node.clock.advance(43_200.0)
            node.hear(session_id)
            assert await node.reaper.pass_once() == ReapReport(seen=1, kept=1, tickets=1)
            session = await node.service.get(session_id)
            assert (session.status, session.seen_mono) == (Status.LIVE, node.clock.monotonic())

        run(scenario())

    def test_one_that_fails_to_end_keeps_no_other_from_ending(self, caplog: pytest.LogCaptureFixture) -> None:
        """It is logged with a short id, counted, and tried again by the next pass."""

        async def scenario() -> None:
            node = Node()
            bad, good = await live(node), await live(node)
            node.clock.advance(300.0)

            async def failing(session: Session, reason: Input) -> None:
                if session.id == bad:
                    raise RuntimeError("no")
                await node.decided(session, reason)

            first = Reaper(node.service, node.clock, TIMERS, activity=node.live.get, on_decision=failing)
            report = await first.pass_once()
            assert (report.collected, report.failed) == (1, 1)
            assert await status(node, good) is Status.CLOSED
            assert await status(node, bad) is Status.DRAINING
            assert caplog.records[0].__dict__["session_id"] == bad[:8]
            assert bad not in caplog.text
            await node.reaper.pass_once()
            assert await status(node, bad) is Status.CLOSED

        run(scenario())

    def test_one_that_hangs_is_given_up_for_this_pass(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """The reaper's patience is bounded, and the next pass tries again."""
        monkeypatch.setattr(reaper_module, "_PATIENCE_S", 0.0)

        async def scenario() -> None:
            node = Node()
            session_id = await live(node)
            node.clock.advance(300.0)

            async def hanging(session: Session, reason: Input) -> None:
                await asyncio.Event().wait()

            stuck = Reaper(node.service, node.clock, TIMERS, activity=node.live.get, on_decision=hanging)
            assert (await stuck.pass_once()).failed == 1
            await node.reaper.pass_once()
            assert await status(node, session_id) is Status.CLOSED

        run(scenario())

    def test_a_cancelled_pass_is_made_up_for_by_the_next(self) -> None:
        """What was decided but not told is told; nothing is half done."""

        async def scenario() -> None:
            node = Node()
            sessions = [await live(node) for _ in range(3)]
            node.clock.advance(300.0)
            begun = asyncio.Event()

            async def hanging(session: Session, reason: Input) -> None:
                begun.set()
                await asyncio.Event().wait()

            cut = Reaper(node.service, node.clock, TIMERS, activity=node.live.get, on_decision=hanging)
            passing = asyncio.create_task(cut.pass_once())
            await begun.wait()
            passing.cancel()
            await asyncio.gather(passing, return_exceptions=True)
            assert {await status(node, one) for one in sessions} == {Status.DRAINING}
            assert (await node.reaper.pass_once()).collected == 3
            assert {await status(node, one) for one in sessions} == {Status.CLOSED}

        run(scenario())

    def test_more_sessions_than_fit_a_page_are_all_seen(self) -> None:
        """And the loop is given away between pages."""

        async def scenario() -> None:
            node = Node()
            for _ in range(1_201):
                await node.service.create(NewSession())
            node.clock.advance(30.0)
            turns = 0

            async def neighbour() -> None:
                nonlocal turns
                while True:
                    turns += 1
                    await asyncio.sleep(0)

            task = asyncio.create_task(neighbour())
            report = await node.reaper.pass_once()
            task.cancel()
            assert (report.seen, report.expired) == (1_201, 1_201)
            assert turns >= 2
            node.clock.advance(900.0)
            report = await node.reaper.pass_once()
            assert (report.seen, report.purged) == (1_201, 1_201)
            assert await node.store.count(_ANY) == 0

        run(scenario())

    def test_a_cursor_that_is_deleted_ends_the_pass_early(self) -> None:
        """The rest is for the next one."""

        async def scenario() -> None:
            node = Node(store=HearingStore())
            assert isinstance(node.store, HearingStore)
            node.store.pages = [[in_status(Status.CLOSED)] * reaper_module._PAGE]
            assert (await node.reaper.pass_once()).seen == reaper_module._PAGE

        run(scenario())

    def test_purging_forgets_events_and_tells_whoever_reads_them(self) -> None:
        """After its retention nothing of a session is left."""

        async def scenario() -> None:
            node = Node()
            session_id = await live(node)
            node.events.open(session_id, lambda _: None)
            await node.service.end(session_id, summary(session_id))
            del node.live[session_id]
            grant = TicketGrant(session_id, Role.OBSERVER, 1e9)
            await node.tickets.issue("t", grant)
            node.clock.advance(900.0)
            assert (await node.reaper.pass_once()).purged == 1
            with pytest.raises(NotFound):
                await node.events.record(session_id)
            assert (len(node.tickets), node.purged) == (0, [session_id])

        run(scenario())


class HearingStore(MemorySessionStore):
    """A store during whose updates something happens, and whose pages may be old."""

    def __init__(self) -> None:
        super().__init__()
        self.on_update: Callable[[], None] = lambda: None
        self.pages: list[list[Session]] = []

    async def update(self, session: Session, expected_version: int) -> Session:
        updated = await super().update(session, expected_version)
        self.on_update()
        return updated

    async def list(
        self, wanted: SessionFilter = _ANY, limit: int = 100, after: str | None = None
    ) -> Sequence[Session]:
        return self.pages.pop(0) if self.pages else await super().list(wanted, limit, after)


class Damaged(MemorySessionStore):
    """One of its sessions can't be read any more; lists have it as it was read before."""

    broken = ""

    async def get(self, session_id: str) -> Session | None:
        if session_id == self.broken:
            raise BadDocument("by hand")
        return await super().get(session_id)


class TestDamage:
    @pytest.mark.parametrize("held", [True, False])
    @pytest.mark.parametrize("gone_node", [True, False])
    def test_one_that_can_not_be_read_keeps_nobody_from_the_others(
        self, held: bool, gone_node: bool, caplog: pytest.LogCaptureFixture
    ) -> None:
        """Each pass looks after the others, and the log tells it once."""

        async def scenario() -> None:
            store = Damaged()
            node = Node(store=store)
            made = [in_status(Status.LIVE, node="gone") for _ in range(3)]
            for one in made:
                await store.create(one)
                node.hear(one.id)
            store.broken = made[1].id
            reaper = Reaper(
                node.service,
                node.clock,
                node.timers,
                activity=node.live.get,
                on_decision=node.decided,
                on_purged=node.purged.append,
                whose=lambda _: Whose.ORPHANED if gone_node else Whose.OURS,
                held=lambda: [one.id for one in made] if held else None,
            )
            for _ in range(2):
                node.clock.advance(TIMERS.stale_ttl_s / 4)
                for one in made:
                    node.hear(one.id)
                report = await reaper.pass_once()
                assert report.seen == (2 if held else 3)
            assert node.purged == []
            for one in (made[0], made[2]):
                found = await store.get(one.id)
                assert found is not None
                assert found != one

        with caplog.at_level(logging.WARNING):
            run(scenario())
        assert len([one for one in caplog.records if "by hand" in one.getMessage()]) <= 1


class Stop(Exception):
    """Ends a loop from within."""


class TestRunning:
    @pytest.mark.parametrize(
        ("error", "told"),
        [
            (ConnectionError("away"), "a reaper's pass failed"),
            (StoreUnavailable("away"), None),
            (StoreUnsuitable("no"), None),
        ],
        ids=["defect", "away", "refused"],
    )
    def test_it_passes_at_its_interval_and_survives_a_pass_that_fails(
        self, error: Exception, told: str | None, caplog: pytest.LogCaptureFixture
    ) -> None:
        """A store that is away for a moment does not end the reaper; that it is, is told elsewhere."""
        caplog.set_level(logging.ERROR)

        class Away(MemorySessionStore):
            async def list(
                self, wanted: SessionFilter = _ANY, limit: int = 100, after: str | None = None
            ) -> Sequence[Session]:
                raise error

        async def scenario() -> None:
            slept: list[float] = []

            async def sleep(seconds: float) -> None:
                slept.append(seconds)
                if len(slept) == 3:
                    raise Stop

            node = Node(store=Away())
            reaper = Reaper(
                node.service,
                ManualClock(),
                TIMERS,
                activity=lambda _: None,
                on_decision=node.decided,
                sleep=sleep,
            )
            with pytest.raises(Stop):
                await reaper.run()
            assert slept == [15.0, 15.0, 15.0]

        run(scenario())
        assert [record.message for record in caplog.records] == [told] * 2 * bool(told)

    def test_cancelling_it_ends_it(self) -> None:
        """The application's lifespan owns the loop."""

        async def scenario() -> None:
            task = asyncio.create_task(Node().reaper.run())
            await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

        run(scenario())

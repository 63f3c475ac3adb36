"""The use cases of sessions, in memory, with time moved by hand."""

import asyncio

import pytest

from gateway.errors import LimitExceeded, NotFound, SessionGone
from gateway.sessions.lifecycle import Activity
from gateway.sessions.model import Status, Timers
from gateway.sessions.ports import SessionFilter, UnknownSession
from gateway.sessions.service import NewSession, SessionService
from gateway.sessions.tickets import Role
from protocol.audio import AudioFormat
from protocol.control import SessionConfig
from tests.gateway.sessions.kit import Node, YieldingSessionStore, entry, run, summary

PHONE = NewSession(
    namespace_id="n",
    user_id="u",
    device_type="phone",
    client_version="1.2",
    audio=AudioFormat(sample_rate=8_000),
    config=SessionConfig(elcor=True),
)


async def new(node: Node) -> str:
    return (await node.service.create(NewSession())).session.id


async def status(node: Node, session_id: str) -> Status:
    return (await node.service.get(session_id)).status


class TestCreating:
    def test_a_new_session_is_what_was_asked_for(self) -> None:
        """All fields are kept, and it waits for its owner."""

        async def scenario() -> None:
            node = Node()
            session = (await node.service.create(PHONE)).session
            assert session == await node.service.get(session.id)
            assert (session.namespace_id, session.user_id, session.device_type) == ("n", "u", "phone")
            assert (session.audio, session.config) == (PHONE.audio, PHONE.config)
            assert (session.status, session.created_at) == (Status.CREATED, node.clock.time())

        run(scenario())

    def test_a_thousand_simultaneous_creations_at_a_limit_of_five(self) -> None:
        """Five succeed, 995 are told when to try again, over a store that lets everybody race."""

        async def scenario() -> None:
            node = Node(store=YieldingSessionStore(), max_sessions_per_user=5)
            wanted = NewSession(user_id="u")
            results = await asyncio.gather(
                *(node.service.create(wanted) for _ in range(1_000)), return_exceptions=True
            )
            refused = [result for result in results if isinstance(result, LimitExceeded)]
            assert len(refused) == 995
            assert {error.retry_after_s for error in refused} == {30.0}
            assert await node.service.count() == 5

        run(scenario())

    def test_sessions_that_are_over_make_room_before_anybody_collects_them(self) -> None:
        """A limit counts what is there, not what the reaper has not seen yet."""

        async def scenario() -> None:
            node = Node(max_sessions_per_user=1)
            wanted = NewSession(user_id="u")
            await node.service.create(wanted)
            node.clock.advance(29.0)
            with pytest.raises(LimitExceeded):
                await node.service.create(wanted)
            node.clock.advance(1.0)
            await node.service.create(wanted)
            assert await node.service.count() == 2

        run(scenario())

    def test_those_that_are_over_make_room_among_however_many(self) -> None:
        """A hundred that go on are in front of those to which nobody came."""

        async def scenario() -> None:
            node = Node(max_sessions_per_user=150)
            wanted = NewSession(user_id="u")
            for index in range(150):
                made = (await node.service.create(wanted)).session.id
                if index < 100:
                    await node.service.attach(made, Role.OWNER)
                    node.live[made] = Activity(1, node.clock.monotonic())
            with pytest.raises(LimitExceeded):
                await node.service.create(wanted)
            node.clock.advance(30.0)
            for _ in range(50):
                await node.service.create(wanted)
            with pytest.raises(LimitExceeded):
                await node.service.create(wanted)

        run(scenario())

    def test_without_a_user_or_a_limit_nothing_is_counted(self) -> None:
        """Open mode has no session limit unless one is set, and then only for named users."""

        async def scenario() -> None:
            limited, unlimited = Node(max_sessions_per_user=1), Node()
            for _ in range(3):
                await limited.service.create(NewSession())
                await unlimited.service.create(NewSession(user_id="u"))

        run(scenario())


class TestFinding:
    def test_foreign_and_absent_sessions_can_not_be_told_apart(self) -> None:
        """The same error with the same words, for every use case that names a session."""

        async def scenario() -> None:
            node = Node()
            session_id = (await node.service.create(PHONE)).session.id
            told = set()
            for one, namespace in ((session_id, "other"), ("absent", "n"), ("absent", None)):
                for call in (
                    node.service.get(one, namespace=namespace),
                    node.service.attach(one, namespace=namespace),
                    node.service.observe(one, namespace=namespace),
                    node.service.delete(one, namespace=namespace),
                ):
                    with pytest.raises(NotFound) as caught:
                        await call
                    told.add((caught.value.code, str(caught.value)))
            assert len(told) == 1
            assert await node.service.get(session_id, namespace="n")

        run(scenario())

    def test_expiry_is_seen_at_each_access(self) -> None:
        """Nobody has to wait for the reaper to learn that a session is over."""

        async def scenario() -> None:
            node = Node()
            session_id = await new(node)
            node.clock.advance(29.999)
            assert await status(node, session_id) is Status.CREATED
            node.clock.advance(0.001)
            assert await status(node, session_id) is Status.EXPIRED
            with pytest.raises(SessionGone) as caught:
                await node.service.attach(session_id)
            assert (caught.value.status, caught.value.code) == (Status.EXPIRED, "session_expired")

        run(scenario())

    def test_a_session_that_is_over_can_be_read_until_its_retention_is(self) -> None:
        """900 s after the end it is as if it had never been."""

        async def scenario() -> None:
            node = Node()
            session_id = await new(node)
            await node.service.attach(session_id)
            await node.service.end(session_id, summary(session_id))
            node.clock.advance(899.0)
            assert (await node.service.observe(session_id)).over
            node.clock.advance(1.0)
            with pytest.raises(NotFound):
                await node.service.get(session_id)

        run(scenario())

    def test_a_detached_session_expires_at_access_unless_somebody_watches(self) -> None:
        """The service asks who subscribes before it gives up on an owner."""

        async def scenario() -> None:
            node = Node()
            watched, alone = await new(node), await new(node)
            for session_id in (watched, alone):
                await node.service.attach(session_id)
                await node.service.lose(session_id)
            node.live[watched] = Activity(1, None)
            node.clock.advance(90.0)
            assert await status(node, watched) is Status.DETACHED
            assert await status(node, alone) is Status.EXPIRED

        run(scenario())

    def test_a_service_that_is_not_told_who_watches_leaves_detached_sessions_to_the_reaper(self) -> None:
        """It never ends a session that may have observers."""

        async def scenario() -> None:
            node = Node()
            service = SessionService(node.store, node.tickets, node.events, node.clock, Timers())
            session_id = (await service.create(NewSession())).session.id
            await service.attach(session_id)
            await service.lose(session_id)
            node.clock.advance(1_000.0)
            assert (await service.get(session_id)).status is Status.DETACHED

        run(scenario())

    def test_listing_shows_what_time_has_brought(self) -> None:
        """Overdue sessions are listed as expired, those past retention not at all, and pages stay full."""

        async def scenario() -> None:
            node = Node()
            old = [await new(node) for _ in range(3)]
            await node.service.list()
            node.clock.advance(30.0)
            assert {one.status for one in await node.service.list()} == {Status.EXPIRED}
            node.clock.advance(900.0)
            fresh = [await new(node) for _ in range(2)]
            assert [one.id for one in await node.service.list(limit=2)] == fresh[::-1]
            assert [one.id for one in await node.service.list(limit=5)] == fresh[::-1]
            assert await node.service.list(after=fresh[0]) == []
            assert await node.service.count() == len(old) + len(fresh)

        run(scenario())

    def test_a_page_is_filled_past_sessions_that_don_t_belong_in_it(self) -> None:
        """A short page always means that there is no more."""

        async def scenario() -> None:
            node = Node()
            first = [await new(node) for _ in range(2)]
            await node.service.attach(first[0])
            await node.service.attach(first[1])
            late = [await new(node) for _ in range(4)]
            node.clock.advance(30.0)
            assert await node.service.list(SessionFilter(status=Status.CREATED), limit=2) == []
            assert {await status(node, one) for one in late} == {Status.EXPIRED}
            node.clock.advance(900.0)
            assert [one.id for one in await node.service.list(limit=2)] == first[::-1]

        run(scenario())

    def test_a_page_goes_on_where_a_session_was_deleted_meanwhile(self) -> None:
        """The last one of what was looked at may go while others have their turn."""

        async def scenario() -> None:
            node = Node()
            first = [await new(node) for _ in range(2)]
            late = [await new(node) for _ in range(150)]
            for one in first:
                await node.service.attach(one)
                node.live[one] = Activity(1, node.clock.monotonic() + 1_000.0)
            node.clock.advance(30.0)
            await node.service.list(limit=1_000)
            node.clock.advance(900.0)
            listing = asyncio.create_task(node.service.list(limit=150))
            await asyncio.sleep(0)
            for one in late[:3]:
                await node.store.delete(one)
            assert [one.id for one in await listing] == first[::-1]

        run(scenario())


class TestEnding:
    def test_the_end_keeps_the_counts(self) -> None:
        """Sample counts and statistics can be read after the end; the event's own fields can't."""

        async def scenario() -> None:
            node = Node()
            session_id = await new(node)
            await node.service.attach(session_id)
            closed = await node.service.end(session_id, summary(session_id), {"message_count": 7})
            assert closed is not None
            assert (closed.status, closed.end_reason) == (Status.CLOSED, "end")
            assert closed.counts["message_count"] == 7
            assert closed.counts["next_sample"] == 32_000
            assert closed.counts["client_gap_samples"] == 1_000
            assert closed.summary is not None
            assert closed.summary["speakers"] == ("Speaker A",)
            assert not {"seq", "session_id", "timestamp"} & closed.summary.keys()

        run(scenario())

    def test_it_ends_once(self) -> None:
        """A second end changes nothing, and the end of an expired session only adds its counts."""

        async def scenario() -> None:
            node = Node()
            session_id = await new(node)
            first = await node.service.end(session_id, summary(session_id))
            assert await node.service.end(session_id, summary(session_id)) == first
            expired = await new(node)
            node.clock.advance(30.0)
            assert await status(node, expired) is Status.EXPIRED
            ended = await node.service.end(expired, summary(expired))
            assert ended is not None
            assert (ended.status, ended.counts["next_sample"]) == (Status.EXPIRED, 32_000)

        run(scenario())

    def test_a_node_closes_no_session_that_goes_on_elsewhere(self) -> None:
        """It drained what it still took for its own; the end that its owner elsewhere asks for is one."""

        async def scenario() -> None:
            node = Node()
            here, there = (
                SessionService(node.store, node.tickets, node.events, node.clock, node.timers, node=name)
                for name in ("here", "there")
            )
            session_id = await new(node)
            await here.attach(session_id)
            await there.attach(session_id)
            await here.end(session_id, summary(session_id))
            assert await status(node, session_id) is Status.LIVE
            await there.lose(session_id)
            await here.end(session_id, summary(session_id))
            assert await status(node, session_id) is Status.DETACHED
            await there.drain(session_id)
            await here.end(session_id, summary(session_id))
            assert await status(node, session_id) is Status.CLOSED

        run(scenario())

    def test_deleting_forgets_events_and_tickets_at_once(self) -> None:
        """Nothing can be read, and nobody gets in, with whatever ticket."""

        async def scenario() -> None:
            node = Node()
            created = await node.service.create(NewSession())
            session_id = created.session.id
            node.events.open(session_id, lambda _: None)
            node.events.append(session_id, entry(1))
            await node.service.delete(session_id)
            with pytest.raises(NotFound):
                await node.service.get(session_id)
            with pytest.raises(UnknownSession):
                await node.events.record(session_id)
            assert len(node.tickets) == 0

        run(scenario())

    def test_only_idleness_is_taken_back(self) -> None:
        """A session whose owner wants it to end is not revived by a late word."""

        async def scenario() -> None:
            node = Node()
            session_id = await new(node)
            await node.service.attach(session_id)
            await node.service.drain(session_id)
            await node.service.revive(session_id, owned=True)
            assert await status(node, session_id) is Status.DRAINING

        run(scenario())

    @pytest.mark.parametrize("over", [True, False], ids=["over", "deleted"])
    def test_late_words_about_a_session_that_is_no_more_are_nothing(self, over: bool) -> None:
        """Sockets that close after the end don't fail."""

        async def scenario() -> None:
            node = Node()
            session_id = await new(node)
            await node.service.attach(session_id)
            if over:
                await node.service.end(session_id, summary(session_id))
            else:
                await node.service.delete(session_id)
            before = await node.store.get(session_id)
            await node.service.lose(session_id)
            await node.service.unobserve(session_id)
            await node.service.confirm(session_id)
            await node.service.configure(session_id, SessionConfig(elcor=True))
            await node.service.heartbeat(session_id)
            await node.service.drain(session_id)
            await node.service.drained(session_id)
            await node.service.revive(session_id, owned=True)
            assert await node.store.get(session_id) == before

        run(scenario())


class TestKeeping:
    def test_the_settings_in_force_are_kept(self) -> None:
        """A change of configuration outlives the socket."""

        async def scenario() -> None:
            node = Node()
            session_id = await new(node)
            await node.service.configure(session_id, SessionConfig(window_ms=2_000))
            assert (await node.service.get(session_id)).config.window_ms == 2_000

        run(scenario())

    def test_a_heartbeat_keeps_a_session_from_being_taken_for_lost(self) -> None:
        """48 h are counted from the last one."""

        async def scenario() -> None:
            node = Node(timers=Timers(session_ttl_s=1e9, idle_ttl_s=1e9))
            session_id = await new(node)
            await node.service.attach(session_id)
            node.clock.advance(172_000.0)
            await node.service.heartbeat(session_id)
            node.clock.advance(172_000.0)
            assert await status(node, session_id) is Status.LIVE
            node.clock.advance(800.0)
            assert await status(node, session_id) is Status.FAILED

        run(scenario())


@pytest.mark.parametrize("hours", [-1, 1])
def test_steps_of_the_wall_clock_end_nothing_early_and_nothing_late(hours: int) -> None:
    """An hour's correction in either direction moves no timer."""

    async def scenario() -> None:
        node = Node()
        created, detached = await new(node), await new(node)
        await node.service.attach(detached)
        await node.service.lose(detached)
        node.clock.step_wall(hours * 3_600.0)
        await node.reaper.pass_once()
        assert await status(node, created) is Status.CREATED
        assert await status(node, detached) is Status.DETACHED
        node.clock.advance(30.0)
        assert await status(node, created) is Status.EXPIRED
        node.clock.advance(60.0)
        assert await status(node, detached) is Status.EXPIRED

    run(scenario())

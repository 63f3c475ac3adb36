"""What a node does from time to time for what it reads and holds."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import pytest

from gateway.errors import BadDocument, StoreUnavailable, StoreUnsuitable
from gateway.live.session import ENDED, Farewell
from gateway.live.sharing import GONE
from gateway.live.upkeep import CHECK_S, INTERVAL_S, TRAIL_S, Upkeep
from gateway.sessions.model import Session, Status, Timers
from gateway.sessions.reaper import Reaper
from gateway.sessions.shared import Whose
from tests.gateway.sessions.kit import Node, in_status, run


class Audit:
    """Counts what it is asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    async def heartbeat(self, session_ids: Sequence[str], at: float) -> None:
        self.asked.append("heartbeat")

    async def cleanup_stale(self, max_age_s: float) -> int:
        self.asked.append("stale")
        return 1

    async def expire(self, retention_s: float) -> int:
        self.asked.append("expire")
        return 0


class Followed:
    """A session that is read here."""

    def __init__(self, session_id: str, readers: int = 1) -> None:
        self.session_id = session_id
        self.audience = SimpleNamespace(count=readers, dismiss=self._dismiss)
        self.told: list[Farewell] = []

    def _dismiss(self, farewell: Farewell) -> None:
        self.told.append(farewell)


class Stage:
    def __init__(self) -> None:
        self.node, self.audit = Node(), Audit()
        self.followed: list[Followed] = []
        self.rechecks = 0
        self.reconciling: Callable[[], None] = lambda: None
        self.presence = SimpleNamespace(leads=False, returned=False)
        self.held: list[Any] = []
        self.ticks = asyncio.Semaphore(0)

        class Live:
            followed = self.followed

            def __iter__(live) -> Any:  # noqa: N805
                return iter(self.held)

        self.upkeep = Upkeep(
            self.node.service,
            cast("Any", Live()),
            cast("Any", self.presence),
            self.node.clock,
            audit=cast("Any", self.audit),
            reconcile=self._reconcile,
            recheck=self._recheck,
            retention_s=1.0,
            sleep=self._sleep,
        )

    async def _reconcile(self) -> None:
        self.reconciling()

    def _recheck(self) -> None:
        self.rechecks += 1

    async def _sleep(self, seconds: float) -> None:
        assert seconds == INTERVAL_S
        await self.ticks.acquire()


def play(scenario: Callable[[Stage], Awaitable[None]]) -> None:
    async def steps() -> None:
        await scenario(Stage())

    run(steps())


def test_who_follows_hears_of_the_end_and_keeps_the_session() -> None:
    """Whoever deleted or ended it; a detached one that is watched here doesn't expire."""

    async def scenario(on: Stage) -> None:
        half = Timers().detached_ttl_s / 2
        watched, over = in_status(Status.DETACHED), in_status(Status.CLOSED)
        alone, live = in_status(Status.DETACHED), in_status(Status.LIVE)
        for one in (watched, over, alone, live):
            await on.node.store.create(one)
        on.followed += [Followed(one.id) for one in (watched, over, live)]
        on.followed += [Followed("deleted"), Followed(alone.id, readers=0)]
        on.node.clock.advance(half + 1)
        await on.upkeep.round()
        assert [one.told for one in on.followed] == [[], [ENDED], [], [GONE], []]
        kept, left = await on.node.store.get(watched.id), await on.node.store.get(alone.id)
        assert kept is not None
        assert left is not None
        assert (kept.detached_mono, left.detached_mono) == (1_000.0 + half + 1, 1_000.0)

    play(scenario)


def test_the_trail_is_looked_after_by_the_node_that_leads() -> None:
    """Now and then; each node says that it is there. Quiet sessions are asked about more often."""

    async def scenario(on: Stage) -> None:
        await on.upkeep.round()
        await on.upkeep.round()
        assert (on.audit.asked, on.rechecks) == (["heartbeat"], 1)
        on.node.clock.advance(CHECK_S)
        await on.upkeep.round()
        assert (len(on.audit.asked), on.rechecks) == (1, 2)
        on.presence.leads = True
        on.node.clock.advance(TRAIL_S)
        await on.upkeep.round()
        assert on.audit.asked[1:] == ["heartbeat", "stale", "expire"]

    play(scenario)


def test_a_round_that_fails_is_not_the_last(caplog: pytest.LogCaptureFixture) -> None:
    """Because the store is away, or of anything else."""

    async def scenario(on: Stage) -> None:
        running = asyncio.create_task(on.upkeep.run())
        for error in (StoreUnavailable("by hand"), StoreUnsuitable("by hand"), RuntimeError("by hand"), None):

            def fail(error: Exception | None = error) -> None:
                if error is not None:
                    raise error

            on.reconciling = fail
            on.ticks.release()
            for _ in range(10):
                await asyncio.sleep(0)
        assert on.rechecks == 1
        assert not running.done()
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)

    play(scenario)
    assert [one.getMessage() for one in caplog.records] == ["a round of upkeep failed"]


def test_one_that_can_not_be_read_keeps_nobody_from_the_others(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether it is read or held here; the log tells it once."""

    async def scenario(on: Stage) -> None:
        on.node.service._node = "me"
        made = [in_status(Status.LIVE, node=None) for _ in range(2)]
        over = [in_status(Status.CLOSED) for _ in range(2)]
        for one in (*made, *over):
            await on.node.store.create(one)
        on.followed += [Followed(one.id) for one in over]
        on.held = [
            SimpleNamespace(session_id=one.id, audience=SimpleNamespace(owner=object())) for one in made
        ]
        get = on.node.store.get

        async def broken(session_id: str) -> Session | None:
            if session_id in (made[0].id, over[0].id):
                raise BadDocument("by hand")
            return await get(session_id)

        monkeypatch.setattr(on.node.store, "get", broken)
        on.presence.returned = True
        await on.upkeep.round()
        await on.upkeep.round()
        found = await on.node.store.get(made[1].id)
        assert found is not None
        assert found.node == "me"
        assert [bool(one.told) for one in on.followed] == [False, True]
        assert on.rechecks == 1

    with caplog.at_level(logging.WARNING):
        play(scenario)
    assert len(caplog.records) == 2


def test_sessions_of_a_node_that_is_gone_are_taken_over() -> None:
    """Live ones wait for their owner, what drained has failed, and what is over goes when its time comes."""

    async def scenario(on: Stage) -> None:
        node, made = on.node, {one: replace(in_status(one), node="gone") for one in Status}
        theirs = replace(in_status(Status.LIVE), node="alive")
        for one in (*made.values(), theirs):
            await node.store.create(one)

        def whose(session: Any) -> Whose:
            return {"gone": Whose.ORPHANED, "alive": Whose.OTHERS}.get(session.node, Whose.OURS)

        reaper = Reaper(
            node.service,
            node.clock,
            node.timers,
            activity=node.live.get,
            on_decision=node.decided,
            on_purged=node.purged.append,
            whose=whose,
        )
        report = await reaper.pass_once()
        assert (report.orphaned, report.conflicts) == (4, 0)
        for before, after in (
            (Status.CREATED, Status.CREATED),
            (Status.LIVE, Status.DETACHED),
            (Status.DETACHED, Status.DETACHED),
            (Status.DRAINING, Status.FAILED),
        ):
            found = await node.store.get(made[before].id)
            assert found is not None
            assert (found.status, found.node) == (after, None)
        assert await node.store.get(theirs.id) == theirs
        node.clock.advance(node.timers.closed_retention_s + 1)
        await reaper.pass_once()
        assert set(node.purged) >= {made[Status.CLOSED].id, made[Status.EXPIRED].id, made[Status.FAILED].id}
        assert await node.store.get(theirs.id) == theirs

    play(scenario)


def test_a_node_that_was_taken_for_gone_takes_its_sessions_back() -> None:
    """What is live here is live again, and this node's: nobody lets it expire under its owner."""

    async def scenario(on: Stage) -> None:
        service, store = on.node.service, on.node.store
        service._node = "me"
        now = on.node.clock.monotonic()
        orphans = [
            in_status(Status.DETACHED, node=None, detached_mono=now),
            in_status(Status.DETACHED, node=None, detached_mono=now),
            in_status(Status.LIVE, node="other"),
        ]
        for one in orphans:
            await store.create(one)
        owners: list[object | None] = [object(), None, object()]
        on.held = [
            SimpleNamespace(session_id=one.id, audience=SimpleNamespace(owner=owner))
            for one, owner in zip(orphans, owners, strict=True)
        ]
        await on.upkeep.round()
        assert [one and one.node for one in [await store.get(one.id) for one in orphans]] == [
            None,
            None,
            "other",
        ]
        on.presence.returned = True
        await on.upkeep.round()
        found = [await store.get(one.id) for one in orphans]
        assert [(one.node, one.status) for one in found if one] == [
            ("me", Status.LIVE),
            ("me", Status.DETACHED),
            ("other", Status.LIVE),
        ]

    play(scenario)

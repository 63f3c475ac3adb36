"""Who is there, and whose sessions are whose."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import cast

import pytest

from gateway.clock import ManualClock
from gateway.errors import BadDocument, StoreUnavailable
from gateway.live.presence import BEAT_S, LATE_S, RETURN_S, Presence
from gateway.sessions.clusterclock import ClusterClock
from gateway.sessions.shared import Beat, Node, Whose
from tests.gateway.sessions.kit import run, session


@dataclass
class Nodes:
    """A node store that answers what the test says."""

    alive: frozenset[str] = frozenset({"me"})
    leads: bool = False
    lost: Sequence[str] = ()
    error: Exception | None = None
    deaf: bool = False
    now: float = 5_000.0
    told: list[Mapping[str, Sequence[str]]] = field(default_factory=list)
    left: list[str] = field(default_factory=list)

    async def beat(self, node: Node, estimate: float | None) -> Beat:
        if self.error is not None:
            raise self.error
        return Beat(self.now, self.alive, self.leads, self.lost)

    async def leave(self, node_id: str) -> None:
        if self.error is not None:
            raise self.error
        self.left.append(node_id)

    async def tell_lost(self, losses: Mapping[str, Sequence[str]]) -> None:
        if self.deaf:
            raise StoreUnavailable("by hand")
        self.told.append(losses)


class Stage:
    def __init__(self) -> None:
        self.nodes, self.lost = Nodes(), list[str]()
        self.clock = ClusterClock(ManualClock())
        self.ticks = asyncio.Semaphore(0)
        self.presence = Presence(
            self.nodes, lambda: Node("me", "me"), self.clock, self.lost.extend, sleep=self._sleep
        )

    async def _sleep(self, seconds: float) -> None:
        assert seconds == BEAT_S
        await self.ticks.acquire()

    async def beat(self, times: int = 1) -> None:
        for _ in range(times):
            self.ticks.release()
            for _turn in range(5):
                await asyncio.sleep(0)


def play(scenario: Callable[[Stage], Awaitable[None]]) -> None:
    async def steps() -> None:
        on = Stage()
        await on.presence.start()
        running = asyncio.create_task(on.presence.run())
        try:
            await scenario(on)
            assert not running.done()
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)

    run(steps())


def test_whose_a_session_is() -> None:
    """One's own always; those that nobody living holds are the leader's."""

    async def scenario(on: Stage) -> None:
        ours, free, theirs = session(node="me"), session(node=None), session(node="other")
        on.nodes.alive = frozenset({"me", "other"})
        for leads, alive, expected in (
            (False, {"me", "other"}, (Whose.OURS, Whose.OTHERS, Whose.OTHERS)),
            (True, {"me", "other"}, (Whose.OURS, Whose.OURS, Whose.OTHERS)),
            (True, {"me"}, (Whose.OURS, Whose.OURS, Whose.ORPHANED)),
            (False, {"me"}, (Whose.OURS, Whose.OTHERS, Whose.OTHERS)),
        ):
            on.nodes.leads, on.nodes.alive = leads, frozenset(alive)
            await on.beat()
            assert tuple(map(on.presence.whose, (ours, free, theirs))) == expected
            assert (on.presence.leads, on.presence.nodes) == (leads, len(alive))

    play(scenario)


def test_a_node_that_has_just_come_is_not_taken_for_gone() -> None:
    """It may have come, and got a session, after the last beat here; the next one tells."""

    async def scenario(on: Stage) -> None:
        on.nodes.leads = True
        await on.beat()
        come, gone = session(node="come"), session(node="gone")
        assert [on.presence.whose(one) for one in (come, gone)] == [Whose.OTHERS] * 2
        on.nodes.alive = frozenset({"me", "come"})
        await on.beat()
        assert [on.presence.whose(one) for one in (come, gone)] == [Whose.OTHERS, Whose.ORPHANED]

    play(scenario)


def test_who_cannot_reach_the_store_takes_nobody_for_gone() -> None:
    """And leads nobody, until it is back."""

    async def scenario(on: Stage) -> None:
        on.nodes.leads = True
        await on.beat()
        orphan = session(node="gone")
        on.presence.whose(orphan)
        await on.beat()
        assert on.presence.whose(orphan) is Whose.ORPHANED
        on.nodes.error = StoreUnavailable("by hand")
        await on.beat()
        assert on.presence.whose(orphan) is Whose.OTHERS
        assert not on.presence.leads
        on.nodes.error = None
        await on.beat()
        assert on.presence.whose(orphan) is Whose.ORPHANED

    play(scenario)


def test_a_beat_that_fails_is_not_the_last_one(caplog: pytest.LogCaptureFixture) -> None:
    """Whatever it failed of."""

    async def scenario(on: Stage) -> None:
        on.nodes.error = BadDocument("by hand")
        await on.beat(2)
        on.nodes.error = None
        on.nodes.lost = ["s"]
        await on.beat()
        assert on.lost == ["s"]

    with caplog.at_level(logging.CRITICAL + 1):
        play(scenario)


def test_nodes_are_told_what_was_taken_from_them() -> None:
    """With the next beat that gets through, and once."""

    async def scenario(on: Stage) -> None:
        for one, previous in (("s", "a"), ("t", "b"), ("u", "a")):
            on.presence.took(one, previous)
        on.nodes.deaf = True
        await on.beat()
        on.nodes.deaf = False
        await on.beat(2)
        assert on.nodes.told == [{"a": ["s", "u"], "b": ["t"]}]

    play(scenario)


def test_it_leaves_in_good_order() -> None:
    """Where the store can be reached; its lease runs out otherwise."""

    async def scenario(on: Stage) -> None:
        await on.presence.aclose()
        on.nodes.error = StoreUnavailable("by hand")
        await on.presence.aclose()
        assert on.nodes.left == ["me"]

    play(scenario)


def test_a_node_knows_when_it_was_taken_for_gone() -> None:
    """A beat that comes late may have come too late; that is seen to for a while."""

    async def scenario(on: Stage) -> None:
        local, seen = cast("ManualClock", on.clock.local), [on.presence.returned]
        await on.beat()
        seen.append(on.presence.returned)
        local.advance(LATE_S + 0.1)
        on.nodes.now += LATE_S + 0.1
        await on.beat()
        seen.append(on.presence.returned)
        local.advance(RETURN_S)
        seen.append(on.presence.returned)
        assert seen == [False, False, True, False]

    play(scenario)

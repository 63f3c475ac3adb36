"""Which nodes are known to be gone."""

import asyncio
from collections.abc import Mapping, Sequence

import pytest

from gateway.clock import ManualClock
from gateway.errors import StoreUnavailable
from gateway.live.presence import Presence
from gateway.sessions.clusterclock import ClusterClock
from gateway.sessions.shared import Beat, Node
from tests.gateway.sessions.kit import run


class Nodes:
    """Answers with what the test says."""

    def __init__(self) -> None:
        self.alive: frozenset[str] | None = frozenset({"me", "other"})

    async def beat(self, node: Node, estimate: float | None) -> Beat:
        if self.alive is None:
            raise StoreUnavailable("away")
        return Beat(1.0, self.alive, False, ())

    async def leave(self, node_id: str) -> None: ...

    async def tell_lost(self, losses: Mapping[str, Sequence[str]]) -> None: ...


def test_nobody_is_gone_unless_the_store_says_so() -> None:
    """Before the first beat, and while the store is away, nobody is."""

    async def scenario() -> None:
        nodes, turns = Nodes(), asyncio.Semaphore(0)

        async def sleep(_: float) -> None:
            await turns.acquire()

        presence = Presence(nodes, lambda: Node("me", ""), ClusterClock(ManualClock()), lambda _: None, sleep)
        assert not presence.is_gone("third")
        await presence.start()
        assert [presence.is_gone(one) for one in ("me", "other", "third")] == [False, False, True]
        running = asyncio.create_task(presence.run())
        for alive, gone in ((None, False), (frozenset({"me"}), True)):
            nodes.alive = alive
            turns.release()
            for _ in range(5):
                await asyncio.sleep(0)
            assert presence.is_gone("other") is gone
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running

    run(scenario())

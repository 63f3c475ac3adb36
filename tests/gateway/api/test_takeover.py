"""Somebody takes a session over while its owner speaks, or its application deletes it: each on one node, as
it sees what another one did to the store."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from gateway.live.session import LiveSession
from gateway.sessions.model import Session, Status
from protocol.events import Configured, Summary
from tests.gateway.inprocess import Node, Peer, node, settle

SESSIONS = "/api/v1/sessions"


@dataclass
class Scene:
    """A node, a session, and its owner who is attached there."""

    on: Node
    client: httpx.AsyncClient
    owner: Peer

    @property
    def session_id(self) -> str:
        return self.owner.welcome.session_id

    @property
    def live(self) -> LiveSession:
        found = self.on.gateway.live.get(self.session_id)
        assert found is not None
        return found

    async def stored(self) -> Session:
        """The session as the store has it."""
        return await self.on.gateway.service.get(self.session_id)

    async def elsewhere(self) -> None:
        """An owner attaches, and has its place at another node: this one hasn't heard of it yet."""
        await self.on.gateway.service.attach(self.session_id)


def play(scenario: Callable[[Scene], Awaitable[None]], **settings: Any) -> None:
    """Run `scenario` on a node of its own."""

    async def main() -> None:
        on = node(**settings)
        transport = httpx.ASGITransport(app=on.app)
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8522") as client:
            try:
                async with asyncio.timeout(10):
                    await scenario(Scene(on, client, await on.connect(Peer())))
            finally:
                await on.aclose()

    asyncio.run(main())


@pytest.mark.parametrize(
    "message", ['{"type": "end"}', '{"type": "configure", "hop_ms": 300}'], ids=["end", "configure"]
)
def test_what_a_replaced_owner_asks_leaves_its_successors_session_alone(message: str) -> None:
    """It is told 4005, once."""

    async def scenario(at: Scene) -> None:
        await at.elsewhere()
        before = await at.stored()
        await at.owner.speak('{"type": "ping"}', message)
        assert (list(at.owner.errors), at.owner.closed) == (["replaced"], 4005)
        after = await at.stored()
        assert (after.status, after.config) == (Status.LIVE, before.config)
        assert not at.live.ending
        assert not any(isinstance(event, Summary) for event in at.owner.said)

    play(scenario)


def test_what_was_configured_just_before_the_successor_came_is_kept() -> None:
    """It is in force, so it is what others are told, too."""

    async def scenario(at: Scene) -> None:
        await at.elsewhere()
        at.owner.lane.sink('{"type": "configure", "hop_ms": 300}')
        successor = await at.on.connect(Peer(f"session_id={at.session_id}"))
        assert successor.welcome.hop_ms == 300
        assert (await at.stored()).config.hop_ms == 300

    play(scenario)


def test_an_owner_that_ends_its_own_session_is_told_its_summary() -> None:
    """And loses nothing by going right after that."""

    async def scenario(at: Scene) -> None:
        await at.owner.speak('{"type": "configure", "hop_ms": 300}', '{"type": "end"}')
        assert any(isinstance(event, Configured) for event in at.owner.said)
        assert isinstance(at.owner.durable[-1], Summary)
        assert at.owner.closed == 1000
        stored = await at.stored()
        assert (stored.status, stored.config.hop_ms) == (Status.CLOSED, 300)

    play(scenario)


@pytest.mark.parametrize("taken_over", [False, True])
def test_a_session_that_is_taken_over_while_it_is_deleted_is_deleted(taken_over: bool) -> None:
    """Whoever has it by now finds out; the one who asked is answered as ever."""

    async def scenario(at: Scene) -> None:
        answer = asyncio.Event()

        async def truncated() -> bool:
            await answer.wait()
            return False

        live, session_id = at.live, at.session_id
        live._truncated = truncated
        deleting = asyncio.create_task(at.client.delete(f"{SESSIONS}/{session_id}"))
        await settle()
        assert not deleting.done()
        if taken_over:
            await at.elsewhere()
            live.abandon()
        else:
            answer.set()
        answered = await deleting
        assert (answered.status_code, answered.json()["session_id"]) == (200, session_id)
        assert (await at.client.get(f"{SESSIONS}/{session_id}")).status_code == 404

    play(scenario)


def test_whoever_is_attached_to_a_session_that_is_found_deleted_is_told() -> None:
    """It was deleted elsewhere while its owner came here; nothing more is heard of it."""

    async def scenario(at: Scene) -> None:
        live = at.live
        await at.owner.speak(bytes(3_200))
        await at.on.gateway.service.delete(at.session_id)
        at.on.gateway.live.discard(at.session_id)
        await settle()
        assert (list(at.owner.errors), at.owner.closed) == (["session_not_found"], 4004)
        assert live.pipeline.ended
        assert await live.finish() is None

    play(scenario)


def test_the_older_route_ends_a_session_that_is_taken_over_meanwhile() -> None:
    """As it ends one that is live elsewhere."""

    async def scenario(at: Scene) -> None:
        started = (await at.client.post("/session/start", json={})).json()["session_id"]
        await at.on.gateway.service.attach(started)
        live = at.on.gateway.live.open(await at.on.gateway.service.get(started))
        live.pipeline.feed(bytes(3_200))
        ending = asyncio.create_task(at.client.delete(f"/session/{started}/end"))
        await settle()
        assert not ending.done()
        live.abandon()
        answered = await ending
        assert (answered.status_code, answered.json()["state"]) == (200, "stopped")
        assert (await at.on.gateway.service.get(started)).over

    play(scenario)

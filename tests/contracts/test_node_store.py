"""What every store of nodes must do. A new adapter adds a factory to `STORES`, and nothing else."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import TypeAlias

import pytest

from gateway.sessions.shared import Node, NodeStore
from gateway.stores.valkey.nodes import ValkeyNodes
from tests.contracts import postgres
from tests.gateway.sessions.kit import run
from tests.stores import connected

LEASE_S = 0.3

Factory: TypeAlias = Callable[[], AbstractAsyncContextManager[NodeStore]]
Scenario: TypeAlias = Callable[[NodeStore], Awaitable[None]]
Play: TypeAlias = Callable[[Scenario], None]


@asynccontextmanager
async def valkey() -> AsyncIterator[NodeStore]:
    async with connected() as connection:
        yield ValkeyNodes(connection, lease_s=LEASE_S)


STORES: dict[str, Factory] = {"valkey": valkey, "postgres": lambda: postgres.nodes(LEASE_S)}
"""Each has a lease of `LEASE_S` seconds."""


@pytest.fixture(params=STORES.values(), ids=list(STORES), scope="module")
def play(request: pytest.FixtureRequest) -> Play:
    """Plays a scenario on a fresh store."""

    def play(scenario: Scenario) -> None:
        async def on_stage() -> None:
            async with request.param() as store:
                await scenario(store)

        run(on_stage())

    return play


A, B = Node("a", "host a", 3), Node("b", 'a "name" of\nits own', 0)


def test_nodes_hear_of_each_other(play: Play) -> None:
    """Everybody who has beaten is alive, oneself included, and time never goes back."""

    async def scenario(store: NodeStore) -> None:
        first = await store.beat(A, None)
        assert (first.alive, first.leads, list(first.lost)) == (frozenset({"a"}), True, [])
        second = await store.beat(B, None)
        assert (second.alive, second.leads) == (frozenset({"a", "b"}), False)
        third = await store.beat(A, first.now)
        assert third.alive == {"a", "b"}
        assert first.now <= second.now <= third.now

    play(scenario)


def test_one_of_many_leads(play: Play) -> None:
    """Also where all come at once; and it is the same one in the next beat."""

    async def scenario(store: NodeStore) -> None:
        nodes = [Node(f"n{number}", "") for number in range(20)]
        for _ in range(2):
            beats = await asyncio.gather(*(store.beat(one, None) for one in nodes))
            leaders = [one.id for one, beat in zip(nodes, beats, strict=True) if beat.leads]
            assert len(leaders) == 1
            nodes.sort(key=lambda one: one.id != leaders[0])
        assert (await store.beat(nodes[0], None)).leads

    play(scenario)


def test_a_node_that_says_nothing_is_gone_after_its_lease(play: Play) -> None:
    """Its lead goes to the next one that beats, and it may come back."""

    async def scenario(store: NodeStore) -> None:
        assert (await store.beat(A, None)).leads
        for _ in range(100):
            beat = await store.beat(B, None)
            if beat.alive == {"b"}:
                break
            await asyncio.sleep(LEASE_S / 10)
        assert (beat.alive, beat.leads) == (frozenset({"b"}), True)
        back = await store.beat(A, None)
        assert (back.alive, back.leads) == (frozenset({"a", "b"}), False)

    play(scenario)


def test_a_node_that_leaves_is_gone_at_once(play: Play) -> None:
    """And so is its lead; who leaves without having come changes nothing."""

    async def scenario(store: NodeStore) -> None:
        await store.beat(A, None)
        await store.leave("b")
        await store.leave("a")
        beat = await store.beat(B, None)
        assert (beat.alive, beat.leads) == (frozenset({"b"}), True)

    play(scenario)


def test_losses_are_told_once(play: Play) -> None:
    """To whom they were addressed, in order; what nobody fetches is bounded, and the newest stay."""

    async def scenario(store: NodeStore) -> None:
        await store.tell_lost({"a": ["one", "two"], "b": ["three"], "c": []})
        await store.tell_lost({"a": ["four"]})
        assert list((await store.beat(A, None)).lost) == ["one", "two", "four"]
        assert list((await store.beat(A, None)).lost) == []
        assert list((await store.beat(B, None)).lost) == ["three"]
        for first in range(0, 5_000, 500):
            await store.tell_lost({"a": [f"s{number}" for number in range(first, first + 500)]})
        lost = list((await store.beat(A, None)).lost)
        assert len(lost) < 5_000
        assert lost == [f"s{number}" for number in range(5_000 - len(lost), 5_000)]

    play(scenario)


def test_an_estimate_moves_nothing_while_the_clock_runs_evenly(play: Play) -> None:
    """A node that is wrong about the time is told it, and tells nobody."""

    async def scenario(store: NodeStore) -> None:
        first = await store.beat(A, None)
        for estimate in (first.now + 10_000.0, first.now - 10_000.0, 0.0):
            beat = await store.beat(B, estimate)
            assert first.now <= beat.now < first.now + 60.0

    play(scenario)

"""One time for all nodes, whatever the server's clock does."""

import asyncio

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from gateway.sessions.clusterclock import agreed
from gateway.sessions.shared import Node
from gateway.stores.valkey.connection import ValkeyConnection
from gateway.stores.valkey.nodes import ValkeyNodes
from tests.gateway.sessions.kit import run
from tests.stores import connected

_seconds = st.floats(0.0, 4e9, allow_subnormal=False)


@settings(max_examples=20, deadline=None)
@given(
    cases=st.lists(st.tuples(_seconds, st.floats(-10.0, 10.0), _seconds, st.none() | _seconds), min_size=20)
)
@example(cases=[(100.0, 5.0, 7.0, 50.0), (100.0, 0.0, 7.0, 50.0), (100.0, -0.001, 7.0, None)])
def test_the_server_agrees_with_us(cases: list[tuple[float, float, float, float | None]]) -> None:
    """Its arithmetic is that of `agreed`, to the last bit."""

    async def scenario() -> None:
        async with connected() as connection:
            for kept_server, passed, kept_cluster, estimate in cases:
                server = kept_server + passed
                given = [repr(one).encode() for one in (server, kept_server, kept_cluster)]
                given.append(b"" if estimate is None else repr(estimate).encode())
                said = await connection.call("agreed", [b""], *given, read=True)
                assert float(said) == agreed(server, kept_server, kept_cluster, estimate)

    run(scenario())


async def set_clock(connection: ValkeyConnection, by: float) -> None:
    """As if the server's clock had been set by so much since the last beat."""
    key = connection.keys.time
    (kept,) = await connection.many([(key, (b"HGET", key, b"server"))])
    await connection.many([(key, (b"HSET", key, b"server", repr(float(kept) - by).encode()))])


@pytest.mark.parametrize("by", [3_600.0, -3_600.0])
def test_a_clock_that_is_set_moves_nobodys_time(by: float) -> None:
    """The first node that beats says how far time really went, and nobody is lost by it."""

    async def scenario() -> None:
        async with connected() as connection:
            nodes = ValkeyNodes(connection, lease_s=10.0)
            await nodes.beat(Node("a", ""), None)
            before = (await nodes.beat(Node("b", ""), None)).now
            await set_clock(connection, by)
            after = await nodes.beat(Node("a", ""), before + 0.5)
            assert after.now == before + 0.5
            assert after.alive == {"a", "b"}
            assert before + 0.5 <= (await nodes.beat(Node("b", ""), before)).now < before + 60.0

    run(scenario())


def test_time_goes_on_after_the_store_lost_it() -> None:
    """A node that was there knows what time it is."""

    async def scenario() -> None:
        async with connected() as connection:
            nodes = ValkeyNodes(connection)
            assert (await nodes.beat(Node("a", ""), 123.25)).now == 123.25
            assert 123.25 <= (await nodes.beat(Node("b", ""), None)).now < 183.0

    run(scenario())


def test_a_node_that_lapsed_leaves_nothing_behind() -> None:
    """What it said of itself goes with its lease."""

    async def scenario() -> None:
        async with connected() as connection:
            nodes = ValkeyNodes(connection, lease_s=0.05)
            await nodes.beat(Node("a", "", 7), None)
            await asyncio.sleep(0.1)
            await nodes.beat(Node("b", "", 0), None)
            (about,) = await connection.many([(connection.keys.about, (b"HKEYS", connection.keys.about))])
            assert about == [b"b"]

    run(scenario())


def test_an_id_that_is_none() -> None:
    """Ids are made here, so this is somebody's mistake."""

    async def scenario() -> None:
        async with connected() as connection:
            for call in (
                ValkeyNodes(connection).beat(Node("{x}", ""), None),
                ValkeyNodes(connection).leave("a b"),
                ValkeyNodes(connection).tell_lost({"": ["s"]}),
            ):
                with pytest.raises(ValueError, match="base64url"):
                    await call

    run(scenario())

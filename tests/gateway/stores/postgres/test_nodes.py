"""Nodes in PostgreSQL: time that agrees with every other store's, and clocks that are set."""

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.sessions.clusterclock import agreed
from gateway.sessions.shared import Node
from gateway.stores.postgres.connection import Database
from gateway.stores.postgres.nodes import PostgresNodeStore
from tests.gateway.sessions.kit import run
from tests.postgres import database, emptied, settled

A, B = Node("a", "host a", 3), Node("b", "host b")
times = st.floats(0, 1e10) | st.sampled_from([0.0, 5.0, 5.000001, 1_000.0, 1_005.0, 1_005.5])


@settings(max_examples=20, deadline=None)
@given(cases=st.lists(st.tuples(times, times, times, st.none() | times), min_size=1, max_size=20))
def test_time_is_agreed_upon_as_everywhere(cases: list[tuple[float, float, float, float | None]]) -> None:
    """The database's function says what `agreed` says."""

    async def scenario() -> None:
        async with emptied() as made:
            for case in cases:
                assert await made.fetchval(f"SELECT {made.schema}.agreed($1, $2, $3, $4)", *case) == agreed(
                    *case
                )

    run(scenario())


async def set_clock(made: Database, at: float) -> None:
    """From now on the server's clock stands at `at`."""
    sql = f"CREATE OR REPLACE FUNCTION {made.schema}.server_time() RETURNS double precision LANGUAGE sql AS"
    await made.run(lambda one: one.execute(f"{sql} 'SELECT {at}::double precision'"))


def test_a_server_whose_clock_is_set_moves_nobody() -> None:
    """An hour either way: time goes on as the node that beats reckons, and nobody's lease is over."""

    async def scenario() -> None:
        async with database() as made:
            store = PostgresNodeStore(made, lease_s=10.0)
            await set_clock(made, 50_000.0)
            assert (await store.beat(A, None)).now == 50_000.0
            await store.beat(B, None)
            for wall in (53_600.0, 46_400.0):
                await set_clock(made, wall)
                beat = await store.beat(A, 50_001.0)
                assert (beat.now, beat.leads) == (50_001.0, True)
                assert beat.alive == {"a", "b"}
                assert (await store.beat(B, 49_000.0)).now == 50_001.0
            await set_clock(made, 46_403.0)
            assert (await store.beat(A, None)).now == 50_004.0

    run(scenario())


def test_a_store_that_lost_everything_takes_the_time_from_its_nodes() -> None:
    """So that no stamp of theirs lies in the future."""

    async def scenario() -> None:
        async with emptied() as made:
            store = PostgresNodeStore(made)
            for node, estimate in ((A, 123_456.0), (B, None)):
                assert 123_456.0 <= (await store.beat(node, estimate)).now < 123_600.0

    run(scenario())


def test_letters_are_bounded_and_grow_old() -> None:
    """For each node by itself."""

    async def scenario() -> None:
        async with emptied() as made:
            store = PostgresNodeStore(made, max_losses=3)
            await store.tell_lost({"a": [f"s{n}" for n in range(9)], "b\0": ["it's", "nul\0"]})
            assert list((await store.beat(A, None)).lost) == ["s6", "s7", "s8"]
            assert list((await store.beat(Node("b\0", "\0"), None)).lost) == ["it's", "nul\0"]
            await store.tell_lost({"gone": ["s"]})
            await made.execute(f"UPDATE {made.schema}.losses SET at = now() - interval '2 hours'")
            await store.tell_lost({"a": ["t"]})
            assert await made.fetchval(f"SELECT count(*) FROM {made.schema}.losses") == 1
            await store.tell_lost({"a": []})

    run(scenario())


def test_a_leader_that_falls_silent_is_followed_by_whoever_beats() -> None:
    """Its lease is counted in the cluster's time."""

    async def scenario() -> None:
        async with emptied() as made:
            store = PostgresNodeStore(made, lease_s=0.05)
            assert (await store.beat(A, None)).leads

            async def other_leads() -> bool:
                return (await store.beat(B, None)).leads

            await settled(other_leads)
            beat = await store.beat(A, None)
            assert not beat.leads
            assert "b" in beat.alive

    run(scenario())

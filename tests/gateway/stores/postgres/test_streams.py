"""Streams in PostgreSQL: what the contract doesn't ask of every store."""

import asyncio
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.clock import ManualClock
from gateway.sessions.ports import Entry, Tail
from gateway.sessions.shared import Commit, Committed, StreamBounds
from gateway.stores.memory import MemoryEventStore
from gateway.stores.postgres import bell
from gateway.stores.postgres.connection import Database
from gateway.stores.postgres.streams import PostgresStreamStore
from tests.gateway.sessions.kit import entry, run, transcript
from tests.postgres import database, emptied, settled

SIZE = entry(1).size
CLOCK = ManualClock(1_000.0)
FOREVER_S = 60.0


def made_at(seq: int, at: float, final: bool, label: str) -> Entry:
    if final:
        return entry(seq, at, label)
    return Entry(seq, "transcript", False, float(seq), at, transcript(seq, is_final=False))


steps = st.lists(
    st.tuples(st.integers(0, 4), st.floats(0, 80), st.booleans(), st.sampled_from(["Calm", "Tense" * 40])),
    max_size=25,
)


@settings(max_examples=40, deadline=None)
@given(steps=steps)
def test_tail_and_record_are_bounded_as_in_memory(steps: list[tuple[int, float, bool, str]]) -> None:
    """By number, bytes, age and the record's bytes, after any commits of any sizes; the newest stays."""

    async def scenario() -> None:
        async with emptied() as made:
            clock = ManualClock(1_000.0)
            bounds = StreamBounds(events=5, bytes=6 * SIZE, seconds=100.0, record_bytes=9 * SIZE)
            store = PostgresStreamStore(made, clock, bounds=bounds)
            memory = MemoryEventStore(
                clock,
                record_bytes=bounds.record_bytes,
                tail_events=bounds.events,
                tail_bytes=bounds.bytes,
                tail_s=bounds.seconds,
            )
            memory.open("s", lambda _: None)
            gen = (await store.claim("s", "a")).gen
            for count, pause, final, label in steps:
                clock.advance(pause)
                top = memory.committed("s")
                entries = [made_at(top + n, clock.monotonic(), final, label) for n in range(1, count + 1)]
                for one in entries:
                    memory.append("s", one)
                assert await store.commit([Commit("s", gen, entries)]) == [Committed.DONE]
                ours, theirs = await store.tail("s", 0), await memory.tail("s", 0)
                assert ours.top == theirs.top
                if theirs.entries or not theirs.top:  # in memory age takes the newest too
                    assert numbers(ours) == numbers(theirs)
                    assert ours.oldest == theirs.oldest
                else:
                    assert numbers(ours) == [ours.top]
                assert await store.record("s", 2, 4) == await memory.record("s", 2, 4)

    run(scenario())


def test_what_grew_old_is_deleted_and_not_only_hidden() -> None:
    """By the next commit, unless it is in the record."""

    async def scenario() -> None:
        async with emptied() as made:
            clock = ManualClock(1_000.0)
            store = PostgresStreamStore(made, clock)
            await store.claim("s", "a")
            interim = [made_at(seq, 1_000.0, False, "") for seq in range(1, 6)]
            await store.commit([Commit("s", 1, [*interim, entry(6, 1_000.0)])])
            clock.advance(200.0)
            await store.commit([Commit("s", 1, [entry(7, 1_200.0)])])
            rows = await made.fetch(f"SELECT seq FROM {made.schema}.entries ORDER BY seq")
            assert [row["seq"] for row in rows] == [6, 7]
            assert numbers(await store.tail("s", 0)) == [7]

    run(scenario())


def numbers(tail: Tail | None) -> list[int]:
    assert tail is not None
    return [one.seq for one in tail.entries]


def test_batches_that_overlap_don_t_wait_for_each_other() -> None:
    """Two nodes, the same sessions in any order, claims in between: every event is there once."""

    async def scenario() -> None:
        ids = [f"s{number}" for number in range(20)]
        async with emptied() as one, database("emptied") as two:
            nodes = [PostgresStreamStore(made, CLOCK) for made in (one, two)]

            async def node(number: int) -> None:
                chance = random.Random(number)
                for _ in range(10):
                    mine = chance.sample(ids, 10)
                    claims = await asyncio.gather(*(nodes[number % 2].claim(i, f"n{number}") for i in mine))
                    batch = [
                        Commit(i, claim.gen, [entry(claim.tail.top + 1)])
                        for i, claim in zip(mine, claims, strict=True)
                    ]
                    outcomes = await nodes[number % 2].commit(batch)
                    assert set(outcomes) <= {Committed.DONE, Committed.FENCED}

            await asyncio.gather(*(node(number) for number in range(6)))
            for one_id in ids:
                page = await nodes[0].record(one_id)
                assert [kept.seq for kept in page.entries] == list(range(1, page.top + 1))

    run(scenario())


def test_each_commit_of_a_call_is_for_itself() -> None:
    """Also two of one session, more than one statement takes, and one with a hole in it."""

    async def scenario() -> None:
        async with emptied() as made:
            store = PostgresStreamStore(made, CLOCK)
            await store.claim("s", "a")
            many = [Commit("s", 1, [entry(seq)], b"%d" % seq) for seq in range(1, 601)]
            many.insert(300, Commit("s", 1, [entry(301), entry(303)]))
            many.insert(301, Commit("x", 1, [entry(1)]))
            many.insert(302, Commit("s", 2, [entry(301)]))
            outcomes = list(await store.commit(many))
            assert outcomes[300:303] == [Committed.MISPLACED, Committed.UNKNOWN, Committed.REVERTED]
            assert outcomes.count(Committed.DONE) == 600
            assert await store.snapshot("s") == b"600"
            assert await store.commit([]) == []

    run(scenario())


async def heard(store: PostgresStreamStore, made: Database) -> None:
    """Return once the store's listener listens."""

    async def listens() -> bool:
        return store._bell.hears

    await store.newer({"s": 10**6}, 0.0)
    await settled(listens)


def test_readers_are_told_and_don_t_look(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of what is committed and of what is forgotten, on one connection for all; not of other streams."""
    monkeypatch.setattr(bell, "HEARING_S", FOREVER_S)

    async def scenario() -> None:
        async with emptied() as one, database("emptied") as two:
            here, there = PostgresStreamStore(one, CLOCK), PostgresStreamStore(two, CLOCK)
            try:
                await here.claim("s", "a")
                await there.claim("t", "a")
                await heard(there, two)
                looks = 0
                look = there._look

                async def counted(*args: object) -> object:
                    nonlocal looks
                    looks += 1
                    return await look(*args)  # type: ignore[arg-type]

                monkeypatch.setattr(there, "_look", counted)
                for seq in range(1, 6):
                    waiting = asyncio.create_task(there.newer({"s": seq - 1}, FOREVER_S))
                    await asyncio.sleep(0.01)
                    await there.commit([Commit("t", 1, [entry(seq)])])
                    await here.commit([Commit("s", 1, [entry(seq)])])
                    assert numbers((await waiting)["s"]) == [seq]
                assert looks <= 15
                waiting = asyncio.create_task(there.newer({"s": 5}, FOREVER_S))
                await asyncio.sleep(0.01)
                await here.forget("s")
                assert await waiting == {"s": None}
                listeners = await one.fetchval(
                    "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'LISTEN%'"
                )
                assert listeners == 1
            finally:
                await there.close()

    run(scenario())


def test_a_batch_too_long_to_name_wakes_everybody(monkeypatch: pytest.MonkeyPatch) -> None:
    """PostgreSQL tells at most 8,000 bytes at once."""
    monkeypatch.setattr(bell, "HEARING_S", FOREVER_S)

    async def scenario() -> None:
        async with emptied() as made:
            store = PostgresStreamStore(made, CLOCK)
            try:
                ids = [f"{'long' * 25}{number}" for number in range(100)]
                for one in ids:
                    await store.claim(one, "a")
                await heard(store, made)
                waiting = asyncio.create_task(store.newer({ids[-1]: 0}, FOREVER_S))
                await asyncio.sleep(0.01)
                await store.commit([Commit(one, 1, [entry(1)]) for one in ids])
                assert numbers((await waiting)[ids[-1]]) == [1]
            finally:
                await store.close()

    run(scenario())


@pytest.mark.parametrize("pooler", [False, True])
def test_readers_that_nobody_tells_look_by_themselves(pooler: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Through a pooler always, else when the listener's connection was lost; then it listens again."""
    monkeypatch.setattr(bell, "HEARING_S", FOREVER_S)

    async def scenario() -> None:
        async with emptied(pooler=pooler) as made:
            store = PostgresStreamStore(made, CLOCK)
            try:
                await store.claim("s", "a")
                if not pooler:
                    await heard(store, made)
                    waiting = asyncio.create_task(store.newer({"s": 0}, FOREVER_S))
                    await asyncio.sleep(0.01)
                    await made.fetch(
                        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'LISTEN%'"
                    )
                else:
                    looked, look = asyncio.Event(), store._look

                    async def seen(*args: object) -> object:
                        found = await look(*args)  # type: ignore[arg-type]
                        looked.set()
                        return found

                    monkeypatch.setattr(store, "_look", seen)
                    waiting = asyncio.create_task(store.newer({"s": 0}, FOREVER_S))
                    await looked.wait()
                await store.commit([Commit("s", 1, [entry(1)])])
                assert numbers((await waiting)["s"]) == [1]
                assert not (pooler and store._bell.hears)
                if not pooler:
                    monkeypatch.setattr(bell, "_AGAIN_S", 0.0)
                    await heard(store, made)
            finally:
                await store.close()
            assert not store._bell._waiting

    run(scenario())

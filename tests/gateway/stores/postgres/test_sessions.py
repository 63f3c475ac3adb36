"""Sessions in PostgreSQL: what the contract doesn't ask of every store."""

import asyncio
import logging
from dataclasses import replace
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.errors import AlreadyExists, BadDocument, Conflict, UnknownCursor
from gateway.sessions.document import encode_session
from gateway.sessions.model import Session, Status
from gateway.sessions.ports import Quota, QuotaReached, SessionFilter
from gateway.stores.memory import MemorySessionStore
from gateway.stores.postgres.sessions import PostgresSessionStore
from gateway.stores.postgres.tickets import PostgresTicketStore
from tests.gateway.sessions.kit import run, session
from tests.postgres import database, emptied, settled

HOSTILE = [
    "x'; DROP TABLE sessions; --",
    "$1",
    "%s\\-\\",
    "nul\0inside",
    "\ud800 lone",
    "line\nbreak",
    "long" * 5_000,
    "🙂" * 3_000,
    "",
    "\\-",
    "\\*",
]
hostile = st.sampled_from(HOSTILE) | st.text(max_size=20)
metadata = st.recursive(
    st.none() | st.booleans() | st.text(max_size=5) | st.just("a\0b"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
)


def writable(text: str) -> bool:
    """Whether JSON can say it."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


@pytest.mark.parametrize("text", [one for one in HOSTILE if writable(one)])
def test_any_name_is_only_a_name(text: str) -> None:
    """Of a session, a namespace, a user, a device; nobody is taken for somebody else."""

    async def scenario() -> None:
        async with emptied() as made:
            store, quota = PostgresSessionStore(made), Quota(text, text, 1)
            one = session(id=f"id {text}", namespace_id=text, user_id=text, device_type=text)
            other = session(namespace_id=f"{text}!", user_id=None)
            await store.create(other)
            await store.create(one, quota)
            with pytest.raises(QuotaReached) as reached:
                await store.create(session(namespace_id=text, user_id=text), quota)
            assert reached.value.counted == [one]
            with pytest.raises(AlreadyExists):
                await store.create(one)
            assert await store.get(one.id) == one
            for wanted in (SessionFilter(text), SessionFilter(None, text), SessionFilter(None, None, text)):
                assert await store.list(wanted) == [one]
                assert await store.count(wanted) == 1
            assert await store.list(after=other.id) == []
            assert await store.update(one, one.version) == replace(one, version=one.version + 1)
            assert await store.delete(one.id)
            assert await store.list() == [other]

    run(scenario())


def test_what_json_can_not_say_is_refused_or_absent() -> None:
    """Lone surrogates, in every place that takes text."""

    async def scenario() -> None:
        async with emptied() as made:
            store, bad = PostgresSessionStore(made), "\ud800"
            for broken in (session(id=bad), session(user_id=bad), session(metadata={"a": bad})):
                with pytest.raises(BadDocument):
                    await store.create(broken)
            assert await store.get(bad) is None
            assert not await store.delete(bad)
            assert await store.list(SessionFilter(bad, bad, bad)) == []
            assert await store.count(SessionFilter(bad, bad)) == 0
            with pytest.raises(UnknownCursor):
                await store.list(after=bad)
            tickets = PostgresTicketStore(made)
            assert await tickets.redeem(bad, 1.0) is None
            await tickets.revoke(bad)

    run(scenario())


def test_numbers_out_of_range_are_only_numbers() -> None:
    """A version or a limit that no column can hold, times at the end of time."""

    async def scenario() -> None:
        async with emptied() as made:
            store = PostgresSessionStore(made)
            one = session(created_at=1e300, updated_at=-1e300)
            await store.create(one)
            with pytest.raises(Conflict):
                await store.update(one, 2**63 - 2)
            assert await store.list(limit=2**80) == [one]
            assert await store.list(limit=0) == []

    run(scenario())


@settings(max_examples=30, deadline=None)
@given(data=metadata)
def test_metadata_comes_back_whatever_it_holds(data: Any) -> None:
    """NUL in a string among it, which PostgreSQL's own JSON refuses."""

    async def scenario() -> None:
        async with emptied() as made:
            store, one = PostgresSessionStore(made), session(metadata={"a\0": data})
            await store.create(one)
            assert await store.get(one.id) == one
            assert await store.list() == [one]

    run(scenario())


def test_a_document_that_can_not_be_read_is_passed_over(caplog: pytest.LogCaptureFixture) -> None:
    """Damaged, or newer: pages stay full, the log has eight characters of its id; asking for it tells."""

    async def scenario() -> None:
        async with emptied() as made:
            store = PostgresSessionStore(made)
            made_ones = [session(namespace_id="n", user_id="u") for _ in range(9)]
            for one in made_ones:
                await store.create(one)
            newer = orjson.dumps({**orjson.loads(encode_session(made_ones[2])), "v": 99}).decode()
            for number, document in ((2, newer), (4, "{"), (5, "[]"), (8, '{"v": 1}')):
                await made.execute(
                    f"UPDATE {made.schema}.sessions SET document = $2 WHERE id = $1",
                    made_ones[number].id,
                    document,
                )
            left = [made_ones[number] for number in (7, 6, 3, 1, 0)]
            for size in (1, 2, 3, 100):
                found: list[Session] = []
                page = await store.list(limit=size)
                while page:
                    assert len(page) == min(size, 5 - len(found))
                    found += page
                    page = await store.list(limit=size, after=found[-1].id)
                assert found == left
            with pytest.raises(QuotaReached) as reached:
                await store.create(session(namespace_id="n", user_id="u"), Quota("n", "u", 9))
            assert len(reached.value.counted) == 5
            with pytest.raises(BadDocument):
                await store.get(made_ones[4].id)
            assert await store.delete(made_ones[4].id)
            said = {record.__dict__["session_id"] for record in caplog.records}
            assert said == {made_ones[number].id[:8] for number in (2, 4, 5, 8)}
            assert all(len(one) == 8 for one in said)

    with caplog.at_level(logging.WARNING):
        run(scenario())


def test_counting_is_spared_for_a_while() -> None:
    """What others do is seen when the time is over; what is done here, at once."""

    async def scenario() -> None:
        now = 0.0
        async with emptied() as made:
            here = PostgresSessionStore(made, counted_s=2.0, clock=lambda: now)
            there = PostgresSessionStore(made)
            one = session(namespace_id="n")
            await here.create(one)
            assert await here.count() == 1
            await there.create(session(namespace_id="m"))
            assert (await here.count(), await here.count(SessionFilter("m"))) == (1, 0)
            now = 2.0
            assert (await here.count(), await here.count(SessionFilter("m"))) == (2, 1)
            moved = await here.update(replace(one, status=Status.LIVE), 1)
            assert await here.count(SessionFilter(status=Status.LIVE)) == 1
            await here.update(replace(moved, user_id="u"), 2)
            await here.delete(one.id)
            assert await here.count() == 1

    run(scenario())


def test_a_deleted_session_s_row_stays_unless_told_otherwise() -> None:
    """Nobody finds it here; its id may be used again, and it counts for nobody."""

    async def scenario() -> None:
        async with emptied() as made:
            rows = f"SELECT count(*) FROM {made.schema}.sessions"
            for keep in (True, False):
                store, one = PostgresSessionStore(made, keep_deleted=keep), session(user_id="u")
                await store.create(one, Quota(None, "u", 1))
                assert await store.delete(one.id)
                assert await made.fetchval(rows) == 1
                with pytest.raises(Conflict):
                    await store.update(one, one.version)
                await store.create(one, Quota(None, "u", 1))
                assert await made.fetchval(rows) == 1 + (not keep)
                await store.delete(one.id)

    run(scenario())


def test_a_tenant_that_creates_without_end_leaves_room_for_others() -> None:
    """Those that wait for one quota hold one connection together."""

    async def scenario() -> None:
        async with emptied(connections=3) as made:
            store = PostgresSessionStore(made)
            holder = await made.alone()
            transaction = holder.transaction()
            await transaction.start()
            locked = f"SELECT {made.schema}.create_session('x', 1, 'n', 'u', NULL, 'created', false, NULL,"
            await holder.execute(f"{locked} 0, 0, '{{}}', '{{n}}', '{{u}}', '{{f}}', '{{9}}')")
            quota = Quota("n", "u", 5)
            waiting = [
                asyncio.create_task(store.create(session(namespace_id="n", user_id="u"), quota))
                for _ in range(50)
            ]
            await asyncio.sleep(0)
            for _ in range(20):
                await store.create(session(namespace_id="m", user_id="u"), Quota("m", "u", 50))
            assert not any(one.done() for one in waiting)
            await transaction.rollback()
            await holder.close()
            results = await asyncio.gather(*waiting, return_exceptions=True)
            assert sum(result is None for result in results) == 5

    run(scenario())


def test_quotas_hold_across_nodes() -> None:
    """Four nodes, a user's quota and the tenant's, in whatever order each names them."""

    async def scenario() -> None:
        async with emptied() as one, database("emptied") as two, database("emptied") as three:
            stores = [PostgresSessionStore(made) for made in (one, two, three)]
            mine = [Quota("n", f"u{number}", 3) for number in range(4)]
            everybody = Quota("n", None, 7, everybody=True)

            async def attempt(number: int) -> None:
                quotas = (mine[number % 4], everybody)[:: 1 if number % 2 else -1]
                made = session(namespace_id="n", user_id=f"u{number % 4}")
                await stores[number % 3].create(made, *quotas)

            results = await asyncio.gather(*(attempt(n) for n in range(120)), return_exceptions=True)
            assert sum(result is None for result in results) == 7
            assert all(isinstance(result, QuotaReached) for result in results if result is not None)
            for number in range(4):
                assert await stores[0].count(SessionFilter("n", f"u{number}")) <= 3

    run(scenario())


def test_whoever_counts_waits_for_who_is_counting() -> None:
    """Two nodes at the very same time: the later one finds what the earlier one made."""

    async def scenario() -> None:
        async with emptied() as made:
            other = await made.alone()
            transaction = other.transaction()
            await transaction.start()
            theirs = f"SELECT {made.schema}.create_session('x', 1, 'n', 'u', NULL, 'created', false, NULL,"
            await other.execute(f"{theirs} 0, 0, '{{}}', '{{n}}', '{{u}}', '{{f}}', '{{1}}')")
            ours = PostgresSessionStore(made).create(
                session(namespace_id="n", user_id="u"), Quota("n", "u", 1)
            )
            creating = asyncio.create_task(ours)
            locks = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"

            async def waits() -> bool:
                return creating.done() or await made.fetchval(locks) > 0

            await settled(waits)
            await transaction.commit()
            await other.close()
            with pytest.raises(QuotaReached):
                await creating

    run(scenario())


steps = st.lists(
    st.tuples(
        st.sampled_from(["create", "update", "stale", "delete", "list"]), st.integers(0, 3), st.integers(0, 2)
    ),
    max_size=25,
)


@settings(max_examples=40, deadline=None)
@given(steps=steps, keep=st.booleans())
def test_any_mix_of_two_nodes_changes_is_as_in_memory(steps: list[tuple[str, int, int]], keep: bool) -> None:
    """Whoever read an old version conflicts, and both see what is there."""

    async def scenario() -> None:
        async with emptied() as one, database("emptied") as two:
            nodes = [PostgresSessionStore(made, keep_deleted=keep) for made in (one, two)]
            model = MemorySessionStore()
            ids = [f"session-{number}" for number in range(4)]
            for turn, (what, which, user) in enumerate(steps):
                node, name = nodes[turn % 2], f"u{user}"
                results = []
                for store in (node, model):
                    try:
                        results.append(await play(store, what, ids[which], name))
                    except (AlreadyExists, Conflict, QuotaReached) as error:
                        results.append(type(error))
                assert results[0] == results[1], (what, which)
            assert await nodes[0].list() == await nodes[1].list() == await model.list()

    async def play(store: Any, what: str, session_id: str, user: str) -> Any:
        if what == "create":
            return await store.create(session(id=session_id, user_id=user), Quota(None, user, 2))
        if what == "delete":
            return await store.delete(session_id)
        if what == "list":
            return list(await store.list(SessionFilter(user_id=user), limit=2))
        kept = await store.get(session_id) or session(id=session_id)
        behind = 1 if what == "stale" else 0
        changed = replace(kept, user_id=user, status=Status.LIVE)
        return await store.update(changed, kept.version - behind)

    run(scenario())

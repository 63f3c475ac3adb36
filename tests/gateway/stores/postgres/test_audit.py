"""The audit trail in PostgreSQL."""

import asyncio
import random
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.clock import ManualClock
from gateway.errors import BadDocument, StoreUnavailable
from gateway.sessions.model import Session, Status
from gateway.sessions.ports import TicketGrant, UnknownSession
from gateway.sessions.shared import (
    AuditRow,
    DeletedRow,
    EventRow,
    Recovered,
    SessionRow,
    SnapshotRow,
    TaskRow,
)
from gateway.sessions.tickets import Role
from gateway.stores.postgres.audit import PostgresAuditStore
from gateway.stores.postgres.connection import Database
from gateway.stores.postgres.sessions import PostgresSessionStore
from gateway.stores.postgres.streams import PostgresStreamStore
from gateway.stores.postgres.tickets import PostgresTicketStore
from tests.gateway.sessions.kit import entry, in_status, run, session
from tests.postgres import emptied

TABLES = ("sessions", "snapshots", "history", "tasks", "tickets", "streams", "entries")
DAY_S = 86_400.0


async def counts(made: Database) -> dict[str, int]:
    """Rows of each table that has any."""
    found = {one: await made.fetchval(f"SELECT count(*) FROM {made.schema}.{one}") for one in TABLES}
    return {name: many for name, many in found.items() if many}


async def contents(made: Database) -> Any:
    """All that is kept, but for when."""
    sql = {
        "sessions": "id, version, status, over, deleted_at IS NULL, document",
        "snapshots": "session_id, gen, seq, snapshot",
        "history": "session_id, seq, data",
        "tasks": "session_id, task_id, state, at",
    }
    return {
        name: [
            tuple(row.values())
            for row in await made.fetch(f"SELECT {what} FROM {made.schema}.{name} ORDER BY 1, 2")
        ]
        for name, what in sql.items()
    }


def told(one: Session) -> list[AuditRow]:
    """A bit of everything."""
    later = replace(one, version=2, status=Status.LIVE, metadata={"a": "\0"})
    return [
        SessionRow(one),
        SessionRow(later),
        SnapshotRow(one.id, 1, 5, b"old"),
        SnapshotRow(one.id, 2, 3, b"new"),
        EventRow(one.id, entry(1)),
        EventRow(one.id, entry(2)),
        TaskRow(one.id, "t", "export", "queued", 1.0),
        TaskRow(one.id, "t", "export", "running", 2.0),
        TaskRow(one.id, "t", "export", "ready", 2.0),
    ]


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32), deleted=st.booleans())
def test_the_newest_wins_in_whatever_order_and_however_often(seed: int, deleted: bool) -> None:
    """Batches cut anywhere, written again and late, leave the same as one batch in order."""
    chance = random.Random(seed)
    made_ones = [session(id=f"s{number}") for number in range(3)]
    rows: list[AuditRow] = [row for one in made_ones for row in told(one)]
    if deleted:
        rows.append(DeletedRow("s1", 3.0))
    mixed = rows * 2
    chance.shuffle(mixed)

    async def scenario() -> None:
        async with emptied() as made:
            store = PostgresAuditStore(made)
            await store.write(rows)
            expected = await contents(made)
            recovered = [await store.recover(one.id) for one in made_ones]
        assert recovered[1] is None if deleted else recovered[1] is not None
        async with emptied() as made:
            store, start = PostgresAuditStore(made), 0
            while start < len(mixed):
                size = chance.randint(1, 6)
                await store.write(mixed[start : start + size])
                start += size
            assert await contents(made) == expected
            assert [await store.recover(one.id) for one in made_ones] == recovered

    run(scenario())


def test_a_session_and_where_it_could_go_on_come_back() -> None:
    """Without a snapshot, with one, and not at all once it is deleted."""

    async def scenario() -> None:
        async with emptied() as made:
            store, one = PostgresAuditStore(made), in_status(Status.LIVE, metadata={"a\0b": "\0"})
            await store.write([])
            assert await store.recover(one.id) is None
            await store.write([SessionRow(one)])
            assert await store.recover(one.id) == Recovered(one, None)
            await store.write([SnapshotRow(one.id, 1, 7, b"\x00\xff")])
            assert await store.recover(one.id) == Recovered(one, SnapshotRow(one.id, 1, 7, b"\x00\xff"))
            await store.write([DeletedRow(one.id, 5.0)])
            assert await store.recover(one.id) is None
            await store.write([SessionRow(replace(one, version=9)), SnapshotRow(one.id, 9, 9, b"x")])
            assert await store.recover(one.id) is None
            assert await counts(made) == {"sessions": 1}
            broken = session()
            await store.write([SessionRow(broken)])
            await made.execute(f"UPDATE {made.schema}.sessions SET document = '{{' WHERE id = $1", broken.id)
            with pytest.raises(BadDocument):
                await store.recover(broken.id)

    run(scenario())


def test_a_batch_is_written_whole_or_not_at_all() -> None:
    """Its last row fails, so its first isn't there either."""

    async def scenario() -> None:
        async with emptied() as made:
            store, one = PostgresAuditStore(made), session()
            deny = f"ALTER TABLE {made.schema}.tasks ADD CONSTRAINT deny CHECK (state <> 'failed') NOT VALID"
            await made.run(lambda connection: connection.execute(deny))
            with pytest.raises(Exception, match="23514"):
                await store.write([SessionRow(one), TaskRow(one.id, "t", "export", "failed", 1.0)])
            assert await counts(made) == {}
            await made.run(lambda c: c.execute(f"ALTER TABLE {made.schema}.tasks DROP CONSTRAINT deny"))

    run(scenario())


def test_writers_at_once_don_t_stop_each_other() -> None:
    """The same sessions in the batches of many, while somebody cleans up, expires and erases."""

    async def scenario() -> None:
        async with emptied() as made:
            store, made_ones = PostgresAuditStore(made), [session(namespace_id="n") for _ in range(20)]
            rows: list[AuditRow] = [row for one in made_ones for row in told(one)]

            async def write(number: int) -> None:
                mine = list(rows)
                random.Random(number).shuffle(mine)
                await store.write(mine)
                await store.heartbeat([one.id for one in made_ones], 1e9)

            await asyncio.gather(
                *(write(number) for number in range(12)),
                store.cleanup_stale(DAY_S),
                store.expire(0.0),
                store.erase("other"),
            )
            assert (await counts(made))["history"] == 40

    run(scenario())


def test_what_has_no_heartbeat_has_failed() -> None:
    """In its columns and its document, by a version more; not what is over, nor what was heard of."""

    async def scenario() -> None:
        async with emptied() as made:
            store, hot = PostgresAuditStore(made), PostgresSessionStore(made)
            now = await made.fetchval("SELECT extract(epoch FROM now())::float8")
            long_ago = {"created_at": now - 4 * DAY_S, "updated_at": now - 3 * DAY_S}
            stale, heard, over, damaged, drains = (
                in_status(status, **long_ago)
                for status in (Status.LIVE, Status.LIVE, Status.CLOSED, Status.LIVE, Status.DRAINING)
            )
            fresh = session(created_at=now, updated_at=now)
            await store.write([SessionRow(one) for one in (stale, heard, over, damaged, drains, fresh)])
            await made.execute(f"UPDATE {made.schema}.sessions SET document = '{{' WHERE id = $1", damaged.id)
            await store.heartbeat([heard.id, over.id, "unknown"], now)
            await store.heartbeat([heard.id], now - 9 * DAY_S)
            await store.heartbeat([], now)
            assert await store.cleanup_stale(2 * DAY_S) == 3
            assert await store.cleanup_stale(2 * DAY_S) == 0
            for one in (stale, drains):
                failed = await hot.get(one.id)
                assert failed is not None
                assert (failed.status, failed.end_reason, failed.version) == (Status.FAILED, "stale", 2)
                assert failed.ended_mono == one.seen_mono + 2 * DAY_S
                assert (
                    await made.fetchval(f"SELECT status FROM {made.schema}.sessions WHERE id = $1", one.id)
                    == "failed"
                )
            for one in (heard, over, fresh):
                assert await hot.get(one.id) == one
            await store.write([SessionRow(stale)])  # late, from before
            assert (await hot.get(stale.id)) != stale

    run(scenario())


def test_many_stale_sessions_are_failed_in_portions() -> None:
    """More than one transaction takes."""

    async def scenario() -> None:
        async with emptied() as made:
            store = PostgresAuditStore(made)
            await store.write([SessionRow(session(id=f"s{number}")) for number in range(1_203)])
            assert await store.cleanup_stale(DAY_S) == 1_203
            await made.execute(f"UPDATE {made.schema}.sessions SET updated_at = now() - interval '2 days'")
            assert await store.expire(DAY_S) == 1_203

    run(scenario())


async def lively(made: Database, one: Session) -> None:
    """A session with something in every table."""
    await PostgresSessionStore(made).create(one)
    await PostgresTicketStore(made).issue(f"t {one.id}", TicketGrant(one.id, Role.OWNER, 5.0))
    await PostgresStreamStore(made, ManualClock()).claim(one.id, "a")
    await PostgresAuditStore(made).write(told(one)[2:])


def test_what_was_over_longer_ago_than_is_kept_is_deleted_for_good() -> None:
    """With all it had; what is not over stays, however old, and what is just over too."""

    async def scenario() -> None:
        async with emptied() as made:
            store, hot = PostgresAuditStore(made), PostgresSessionStore(made)
            old = in_status(Status.CLOSED, updated_at=1.0)
            await lively(made, old)
            deleted, alive = session(), session(updated_at=1.0)
            for one in (deleted, alive):
                await hot.create(one)
            await hot.delete(deleted.id)
            await store.write([EventRow("never told of", entry(1))])
            assert await store.expire(DAY_S) == 1
            assert await counts(made) == {"sessions": 3, "history": 1}
            assert await store.expire(-1.0) == 2
            assert await counts(made) == {"sessions": 1}
            assert await hot.list() == [alive]

    run(scenario())


def test_erasing_leaves_nothing_and_nothing_comes_back() -> None:
    """Of a user, then of the whole namespace, hot and deleted alike; others keep what they have."""

    async def scenario() -> None:
        async with emptied() as made:
            store, hot = PostgresAuditStore(made), PostgresSessionStore(made)
            streams = PostgresStreamStore(made, ManualClock())
            mine, deleted = (session(namespace_id="n", user_id="u\0") for _ in range(2))
            hers, theirs, nobodys = (
                session(namespace_id="n"),
                session(namespace_id="m", user_id="u\0"),
                session(),
            )
            for one in (mine, deleted, hers, theirs, nobodys):
                await lively(made, one)
            await hot.delete(deleted.id)
            assert set(await store.erase("n", "u\0")) == {mine.id, deleted.id}
            assert await store.erase("n", "u\0") == []
            left = {name: 3 for name in TABLES if name != "entries"} | {"history": 6}
            assert await counts(made) == left
            with pytest.raises(UnknownSession):
                await streams.tail(mine.id, 0)
            await store.write([*told(mine), DeletedRow(mine.id, 1.0), SessionRow(deleted)])
            assert await counts(made) == left
            assert await store.erase("n") == [hers.id]
            assert await store.erase(None) == [nobodys.id]
            assert await hot.list() == [theirs]
            assert await store.erase("n'; DROP TABLE sessions; --", "x") == []
            await store.expire(-1.0)
            assert await made.fetchval(f"SELECT count(*) FROM {made.schema}.erased") == 0

    run(scenario())


def test_a_writer_on_its_way_is_waited_for() -> None:
    """Erasing sees what was being written, whenever that began."""

    async def scenario() -> None:
        async with emptied() as made:
            store, one = PostgresAuditStore(made), session(namespace_id="n")
            held = await made.alone()
            transaction = held.transaction()
            await transaction.start()
            await held.execute(store._sql.share)
            erasing = asyncio.create_task(store.erase("n"))
            writing = asyncio.create_task(PostgresSessionStore(made).create(one))
            await writing
            assert not erasing.done()
            await transaction.commit()
            await held.close()
            assert await erasing == [one.id]

    run(scenario())


def test_without_a_connection_nothing_is_pretended() -> None:
    """Every call says so."""

    async def scenario() -> None:
        store = PostgresAuditStore(Database("postgresql://u@127.0.0.1:1/d"))
        for call in (
            store.write([SessionRow(session())]),
            store.recover("s"),
            store.heartbeat(["s"], 1.0),
            store.cleanup_stale(1.0),
            store.expire(1.0),
            store.erase("n"),
        ):
            with pytest.raises(StoreUnavailable):
                await call

    run(scenario())

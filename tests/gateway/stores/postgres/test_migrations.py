"""The schema's versions: from nothing, from every earlier one, by many at once, and never backwards."""

import asyncio
import os
from pathlib import Path
from typing import Any

import pytest

from gateway.clock import ManualClock
from gateway.errors import StoreUnsuitable
from gateway.sessions.ports import TicketGrant
from gateway.sessions.tickets import Role
from gateway.stores.postgres.connection import Database, migrate
from gateway.stores.postgres.migrate import Migration, known, migrate_on
from gateway.stores.postgres.rows import values
from gateway.stores.postgres.sessions import PostgresSessionStore
from gateway.stores.postgres.streams import PostgresStreamStore
from gateway.stores.postgres.tickets import PostgresTicketStore
from tests.gateway.sessions.kit import run, session
from tests.postgres import database, fresh_schema, server

VERSIONS = known()


async def applied(made: Database) -> list[int]:
    rows = await made.fetch(f"SELECT version FROM {made.schema}.versions ORDER BY 1")
    return [row["version"] for row in rows]


async def shape(made: Database) -> list[tuple[Any, ...]]:
    """Every column, index and function of the schema."""
    name = made.schema.strip('"')
    found = await made.fetch(
        "SELECT table_name AS a, column_name AS b, data_type AS c, is_nullable AS d"
        " FROM information_schema.columns WHERE table_schema = $1 UNION ALL"
        " SELECT 'index', indexname, replace(indexdef, $1, '-'), '' FROM pg_indexes WHERE schemaname = $1"
        " UNION ALL SELECT 'function', p.proname, md5(replace(p.prosrc, $1, '-')), '' FROM pg_proc AS p"
        " JOIN pg_namespace AS n ON n.oid = p.pronamespace WHERE n.nspname = $1 ORDER BY 1, 2, 3",
        name,
    )
    return [tuple(row.values()) for row in found]


def test_versions_are_numbered_without_holes() -> None:
    """They are package data, and each file's number is its version."""
    assert [one.version for one in VERSIONS] == list(range(1, len(VERSIONS) + 1))
    assert len(VERSIONS) >= 2


@pytest.mark.parametrize("before", [one.version for one in VERSIONS[:-1]])
def test_an_earlier_version_becomes_the_newest_and_keeps_what_it_has(before: int) -> None:
    """The same schema as from nothing, and sessions, tickets and streams are still there."""

    async def scenario() -> None:
        schema, one = fresh_schema(), session(namespace_id="n")
        old = Database(server().url(), schema=schema)
        async with database() as anew:
            # Prepared by hand: starting would bring it up to date.
            made = await anew.alone()
            await migrate_on(made, schema, VERSIONS[:before])
            sql = f"SELECT {schema}.create_session($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13,"
            empty: list[Any] = []
            await made.fetchval(f"{sql} $14, $15)", *values(one), empty, empty, empty, empty)
            await made.fetchval(f"SELECT {schema}.issue_ticket('t', 's', 'owner', 5, 9)")
            await made.fetchval(f"SELECT {schema}.claim_stream('s', 'a', 0, 'e', 0)")
            await made.close()
            try:
                await old.start()
                assert await applied(old) == [one.version for one in VERSIONS]
                assert await shape(old) == await shape(anew)
                assert await PostgresSessionStore(old).list() == [one]
                granted = await PostgresTicketStore(old).redeem("t", 1.0)
                assert granted == TicketGrant("s", Role.OWNER, 5.0)
                claim = await PostgresStreamStore(old, ManualClock()).claim("s", "b")
                assert (claim.epoch, claim.gen, claim.previous) == ("e", 2, "a")
            finally:
                await old.close()

    run(scenario())


def test_many_nodes_may_start_at_once() -> None:
    """Eight on an empty database: each version is applied once, and all of them serve."""

    async def scenario() -> None:
        schema = fresh_schema()
        nodes = [Database(server().url(), schema=schema, connections=2) for _ in range(8)]
        try:
            await asyncio.gather(*(one.start() for one in nodes))
            assert await applied(nodes[0]) == [one.version for one in VERSIONS]
            assert await asyncio.gather(*(PostgresSessionStore(one).count() for one in nodes)) == [0] * 8
        finally:
            await asyncio.gather(*(one.close() for one in nodes))

    run(scenario())


def test_a_version_that_fails_leaves_nothing_behind() -> None:
    """Each is one transaction: the next attempt begins where the last whole version ended."""

    async def scenario() -> None:
        schema = fresh_schema()
        broken = Migration(2, "0002_broken", "CREATE TABLE @schema@.half (one int); SELECT 1 / 0;")
        async with database() as other:
            connection = await other.alone()
            with pytest.raises(Exception, match="division"):
                await migrate_on(connection, schema, (VERSIONS[0], broken))
            assert await connection.fetchval("SELECT to_regclass($1)", f"{schema}.half") is None
            await connection.close()
        async with database(schema) as made:
            assert await applied(made) == [one.version for one in VERSIONS]

    run(scenario())


def test_a_newer_or_another_schema_is_refused() -> None:
    """Told with both numbers, and nothing is changed."""

    async def scenario() -> None:
        schema = fresh_schema()
        async with database(schema) as made:
            await made.execute(
                f"INSERT INTO {schema}.versions (version, name, checksum) VALUES (99, 'x', 'x')"
            )
            with pytest.raises(StoreUnsuitable, match=f"version 99, this gateway knows {len(VERSIONS)}"):
                await migrate(server().url(), schema=schema)
            await made.execute(f"DELETE FROM {schema}.versions WHERE version = 99")
            await made.execute(f"UPDATE {schema}.versions SET checksum = 'x' WHERE version = 1")
            with pytest.raises(StoreUnsuitable, match="not this gateway's"):
                await migrate(server().url(), schema=schema)

    run(scenario())


def test_a_release_may_migrate_for_nodes_that_may_not() -> None:
    """A user with no right to create anything serves from a schema that is up to date, and no other."""

    async def scenario() -> None:
        schema, user = fresh_schema(), f"plain_{os.getpid()}"
        async with database() as admin:
            await admin.run(lambda one: one.execute(f"CREATE ROLE {user} LOGIN"))
            with pytest.raises(StoreUnsuitable, match="42501"):
                await migrate(server().url(user=user), schema=schema)
            await migrate(server().url(), schema=schema)
            everything = f"ON ALL TABLES IN SCHEMA {schema} TO {user}"
            await admin.run(lambda one: one.execute(f"GRANT USAGE ON SCHEMA {schema} TO {user}"))
            with pytest.raises(StoreUnsuitable, match="42501"):
                await migrate(server().url(user=user), schema=schema)
            rights = f"GRANT SELECT, INSERT, UPDATE, DELETE {everything}"
            await admin.run(lambda one: one.execute(rights))
        async with database(schema, server().url(user=user)) as made:
            await PostgresSessionStore(made).create(session())

    run(scenario())


def test_the_files_lie_beside_the_code() -> None:
    """Where a wheel takes everything from."""
    import gateway.stores.postgres as package

    folder = Path(package.__file__).parent / "migrations"
    assert {one.stem for one in folder.iterdir()} == {one.name for one in VERSIONS}

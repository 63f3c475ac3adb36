"""The edge to PostgreSQL: what is refused, what is told of it, and what comes back by itself."""

import asyncio
import os
import re
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from certifi import where as certifi_where

from gateway.clock import ManualClock
from gateway.errors import StoreUnavailable, StoreUnsuitable
from gateway.sessions.shared import Commit, Committed
from gateway.stores.postgres.connection import Connection, Database
from gateway.stores.postgres.sessions import PostgresSessionStore
from gateway.stores.postgres.streams import PostgresStreamStore
from gateway.stores.postgres.tickets import PostgresTicketStore
from tests.gateway.sessions.kit import entry, run, session
from tests.postgres import Server, database, fresh_schema, server, settled

SECRET = "s3cr3t-pass"


@pytest.fixture(scope="module")
def own() -> Iterator[Server]:
    """A server that may be stopped, that asks some for a password, and that has a replica's rights."""
    made = Server("wal_level=replica", "max_wal_senders=2", "ssl=on")
    made.certify()
    hba = made.data / "pg_hba.conf"
    hba.write_text(f"host all locked 127.0.0.1/32 scram-sha-256\n{hba.read_text()}")
    made.start()
    yield made
    made.close()


async def refused(url: str, **options: object) -> str:
    """What a start says that fails, having told no secret anywhere."""
    made = Database(url, schema=fresh_schema(), **options)  # type: ignore[arg-type]
    with pytest.raises((StoreUnavailable, StoreUnsuitable)) as failed:
        await made.start()
    error = failed.value
    said = f"{type(error).__name__}: {error} {made!r} {error.__cause__!r} {error.__suppress_context__}"
    assert SECRET not in said
    assert error.__suppress_context__ or error.__context__ is None
    with pytest.raises(StoreUnavailable):
        await made.fetchval("SELECT 1")
    return said


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        (f"postgresql://u:{SECRET}@127.0.0.1:1/x", "StoreUnavailable: PostgreSQL can't be reached"),
        (f"postgresql://u:{SECRET}@no-such-host.invalid/x", "StoreUnavailable: PostgreSQL can't be reached"),
        (f"postgresql://u:{SECRET}@127.0.0.1:port/x", "StoreUnsuitable: the URL"),
        (f"postgresql://u:{SECRET}/@[::1/x", "StoreUnsuitable: the URL"),
        (f"mysql://u:{SECRET}@127.0.0.1/x", "StoreUnsuitable: the URL"),
        (f"postgresql://u:{SECRET}@127.0.0.1/x?sslmode=perhaps", "StoreUnsuitable: the URL"),
        (f"postgresql://u:{SECRET}@127.0.0.1/x?sslmode=perhaps", "`sslmode` parameter must be one of"),
        (f"postgresql://u:{SECRET}@127.0.0.1/x?sslmode=require&sslrootcert=/none", "sslrootcert in the URL"),
        (f"postgresql://u:{SECRET}@127.0.0.1/x?sslmode=require&sslrootcert=/etc/passwd", "no certificate"),
    ],
)
def test_what_can_t_be_reached_or_read_is_told_without_secrets(url: str, expected: str) -> None:
    """In a message, in a repr, in the chain of errors."""
    assert expected in run(refused(url))


def test_one_that_is_alone_tells_the_same() -> None:
    """As `migrate` does before all else."""

    async def scenario() -> None:
        for url in (f"postgresql://u:{SECRET}@127.0.0.1:port/x", f"postgresql://u:{SECRET}@127.0.0.1/x?x"):
            with pytest.raises(StoreUnsuitable, match=r"the URL of PostgreSQL can't be used$"):
                await Database(url).alone()

    run(scenario())


def test_what_a_server_refuses_is_told_without_secrets(own: Server) -> None:
    """A wrong password, a missing database, a user that isn't there, no TLS, no free connection."""

    async def scenario() -> None:
        async with database(url=own.url()) as made:
            for sql in (
                f"CREATE ROLE locked LOGIN PASSWORD '{SECRET}'",
                "CREATE ROLE narrow LOGIN CONNECTION LIMIT 0",
                "CREATE DATABASE latin ENCODING 'LATIN1' TEMPLATE template0",
            ):
                await made.run(lambda one, sql=sql: one.execute(sql))
        where = f"127.0.0.1:{own.port}/postgres"
        told = {
            f"postgresql://locked:{SECRET}-no@{where}": "StoreUnsuitable: .*28P01",
            f"postgresql://locked@{where}": "Store",
            f"postgresql://nobody_here:{SECRET}@{where}": "StoreUnsuitable: .*28000",
            f"postgresql://postgres:{SECRET}@127.0.0.1:{own.port}/none": "StoreUnsuitable: .*3D000",
            f"postgresql://postgres:{SECRET}@127.0.0.1:{server().port}/postgres?sslmode=require": ".*TLS",
            f"postgresql://postgres:{SECRET}@{where}?sslmode=verify-ca&sslrootcert={certifi_where()}": (
                "StoreUnsuitable: .*certificate"
            ),
            f"postgresql://postgres:{SECRET}@{where}?bogus=1": "StoreUnsuitable: .*option.*42704",
            f"postgresql://postgres:{SECRET}@{where}?connect_timeout=abc": "StoreUnsuitable: .*option.*42704",
            f"postgresql://postgres:{SECRET}@{where}?work_mem=abc": "StoreUnsuitable: .*value.*22023",
            f"postgresql://postgres:{SECRET}@{where}?max_connections=2": "StoreUnsuitable: .*itself.*55P02",
            f"postgresql://narrow:{SECRET}@{where}": "StoreUnavailable: .*53300",
            own.url("latin"): "StoreUnsuitable: .*UTF8",
        }
        for url, pattern in told.items():
            said = await refused(url)
            assert re.match(pattern, said), (pattern, said)

    run(scenario())


def test_tls_is_a_matter_of_the_url(own: Server) -> None:
    """Verified to the name where that is asked for."""

    async def scenario() -> None:
        for mode, host in (("require", "127.0.0.1"), ("verify-full", "localhost")):
            url = own.url().replace("127.0.0.1", host)
            root = f"?sslmode={mode}&sslrootcert={own.data / 'server.crt'}"
            async with database(url=f"{url}{root}") as made:
                assert await made.fetchval("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()")

    run(scenario())


def test_a_schema_s_name_is_an_identifier() -> None:
    """Nothing else gets into a statement."""
    for name in ('x"; DROP SCHEMA public; --', "", "Über", "a" * 41, "1a", "pg_catalog", "a b"):
        with pytest.raises(StoreUnsuitable):
            Database("postgresql://u@h/d", schema=name)


@pytest.mark.parametrize(
    ("state", "error"),
    [
        *((one, StoreUnavailable) for one in ("53100", "53200", "53300", "25006", "57P01", "57P03", "58030")),
        *((one, StoreUnavailable) for one in ("40001", "40P01", "55P03", "57014", "XX000", "08006")),
        *((one, StoreUnsuitable) for one in ("42501", "42P01", "28000", "22003", "23505", "54000", "P0001")),
    ],
)
def test_whatever_the_server_says_is_one_of_two_errors(state: str, error: type[Exception]) -> None:
    """A full disk among them; two that only came in each other's way are tried again before."""

    async def scenario() -> None:
        async with database() as made:
            schema = made.schema
            await made.run(
                lambda one: one.execute(
                    f"CREATE SEQUENCE {schema}.asked; CREATE FUNCTION {schema}.no() RETURNS trigger"
                    f" LANGUAGE plpgsql AS $$ BEGIN PERFORM nextval('{schema}.asked');"
                    f" RAISE EXCEPTION '{SECRET}' USING ERRCODE = '{state}'; END $$;"
                    f" CREATE TRIGGER no BEFORE INSERT ON {schema}.sessions FOR EACH ROW"
                    f" EXECUTE FUNCTION {schema}.no()"
                )
            )
            store = PostgresSessionStore(made)
            with pytest.raises(error) as failed:
                await store.create(session())
            assert SECRET not in str(failed.value)
            asked = await made.fetchval(f"SELECT last_value FROM {schema}.asked")
            assert asked == (5 if state.startswith("40") else 1)
            await made.run(lambda one: one.execute(f"DROP TRIGGER no ON {schema}.sessions"))
            await store.create(session())

    run(scenario())


def test_a_storm_of_first_uses_waits_its_turn() -> None:
    """Two hundred at once on ten connections; there are never more."""

    async def scenario() -> None:
        async with database() as made:
            most = 0

            async def look(connection: Connection) -> None:
                nonlocal most
                found = await connection.fetchval(
                    "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'undertone'"
                    " AND pid <> ALL ($1::int[])",
                    others,
                )
                most = max(most, found)

            others = [
                row["pid"]
                for row in await made.fetch("SELECT pid FROM pg_stat_activity WHERE pid <> pg_backend_pid()")
            ]
            await asyncio.gather(*(made.run(look) for _ in range(200)))
            assert 1 <= most <= 10

    run(scenario())


def test_somebody_who_is_cancelled_leaves_the_connection_to_others() -> None:
    """Half a transaction is rolled back."""

    async def scenario() -> None:
        async with database(connections=1) as made:
            inside = asyncio.Event()

            async def work(connection: Connection) -> None:
                await connection.execute(f"DELETE FROM {made.schema}.sessions")
                inside.set()
                await asyncio.Event().wait()

            store, one = PostgresSessionStore(made), session()
            await store.create(one)
            task = asyncio.create_task(made.run(work, atomic=True))
            await inside.wait()
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            assert await store.get(one.id) == one

    run(scenario())


def test_a_read_only_server_is_told_at_start_and_later() -> None:
    """By its default, as an administrator or a full disk's guard sets it."""

    async def scenario() -> None:
        async with database() as admin:
            user = f"reader_{os.getpid()}"
            await admin.run(lambda one: one.execute(f"CREATE ROLE {user} LOGIN SUPERUSER"))
            read_only = f"ALTER ROLE {user} SET default_transaction_read_only ="
            schema = admin.schema.strip('"')
            async with database(schema, server().url(user=user), connections=1) as made:
                store = PostgresSessionStore(made)
                await store.create(session())
                await admin.run(lambda one: one.execute(f"{read_only} on"))
                await made.run(lambda one: one.execute("SET default_transaction_read_only = on"))
                with pytest.raises(StoreUnavailable, match="25006"):
                    await store.create(session())
                assert "read-only" in await refused(server().url(user=user))
                await admin.run(lambda one: one.execute(f"{read_only} off"))

                async def writes() -> bool:  # each attempt gives up a connection that takes none
                    try:
                        await store.create(session())
                    except StoreUnavailable:
                        return False
                    return True

                await settled(writes)

    run(scenario())


def test_a_full_disk_is_told_and_gone_when_there_is_room(tmp_path: Path) -> None:
    """A real one, in memory; what is there can be read meanwhile, and nothing of a batch is half written."""
    disk = tmp_path / "disk"
    disk.mkdir()
    small = ["mount", "-t", "tmpfs", "-o", "size=2m,mode=0777", "tmpfs", str(disk)]
    if subprocess.run(small, capture_output=True, check=False).returncode != 0:
        pytest.skip("a small disk can't be mounted here")
    try:
        shared = server()
        for folder in (tmp_path, *tmp_path.parents):
            if folder.owner() == "root" and folder.is_relative_to(tempfile.gettempdir()):
                folder.chmod(0o755)
        place = disk / "place"
        place.mkdir(mode=0o777)
        if shared.user is not None:
            shutil.chown(place, shared.user)
        place.chmod(0o700)

        async def scenario() -> None:
            async with database() as made:
                await made.run(lambda one: one.execute(f"CREATE TABLESPACE small LOCATION '{place}'"))
                await made.run(
                    lambda one: one.execute(f"ALTER TABLE {made.schema}.entries SET TABLESPACE small")
                )
                filler, store = disk / "filler", PostgresStreamStore(made, ManualClock())
                filler.write_bytes(bytes(1_200_000))
                await store.claim("s", "a")
                top = 0

                async def fill() -> None:
                    nonlocal top
                    while top < 50_000:
                        await store.commit([Commit("s", 1, [entry(top + n) for n in range(1, 101)])])
                        top += 100

                with pytest.raises(StoreUnavailable, match="53100"):
                    await fill()
                assert (await store.record("s")).top == (await store.tail("s", 0)).top == top
                filler.unlink()
                assert await store.commit([Commit("s", 1, [entry(top + 1)])]) == [Committed.DONE]
                await made.run(lambda one: one.execute(f"DROP TABLE {made.schema}.entries CASCADE"))
                await made.run(lambda one: one.execute("DROP TABLESPACE small"))

        run(scenario())
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)


def test_a_replica_is_refused_until_it_is_promoted(own: Server) -> None:
    """A real one, that follows its primary."""
    replica = own.copied()
    try:
        assert "StoreUnavailable" in run(refused(replica.url()))
        assert "is a replica" in run(refused(replica.url()))
        replica.run("pg_ctl", "promote", "-w", "-D", f"{replica.data}")

        async def scenario() -> None:
            async with database(url=replica.url()) as made:
                await PostgresSessionStore(made).create(session())

        run(scenario())
    finally:
        replica.close()


def test_a_server_that_comes_back_is_found_again(own: Server) -> None:
    """Stopped as in a crash: errors meanwhile, the same store serves afterwards, and nothing was lost."""

    async def scenario() -> None:
        async with database(url=own.url(), connections=3) as made:
            store, tickets, one = PostgresSessionStore(made), PostgresTicketStore(made), session()
            await asyncio.gather(*(store.create(session()) for _ in range(20)))
            await store.create(one)
            await asyncio.to_thread(own.stop, signal.SIGQUIT)
            for call in (store.get(one.id), store.delete(one.id), tickets.purge(1.0), store.count()):
                with pytest.raises(StoreUnavailable):
                    await call
            await asyncio.to_thread(own.start)

            # Connections that broke are noticed by their first use, at the latest.
            async def serves() -> bool:
                try:
                    return await store.get(one.id) == one
                except StoreUnavailable:
                    return False

            await settled(serves)
            assert await store.count() == 21

    run(scenario())


def test_through_a_pooler_nothing_is_prepared() -> None:
    """Each call is a transaction of its own, and no statement outlives it."""

    async def scenario() -> None:
        async with database(pooler=True, connections=1) as made:
            store, one = PostgresSessionStore(made), session()
            await store.create(one)
            assert await store.list() == [one]
            assert await made.fetchval("SELECT count(*) FROM pg_prepared_statements WHERE name <> ''") <= 1

    run(scenario())

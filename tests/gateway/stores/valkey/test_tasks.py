"""Tickets of tasks in Valkey, beyond the contract: nothing stays, and nobody chooses a key."""

import pytest

from gateway.stores.valkey.connection import ValkeyConnection
from gateway.stores.valkey.sessions import ValkeySessionStore
from gateway.stores.valkey.tasks import ValkeyTaskTickets
from gateway.tasks.model import State
from tests.contracts.test_task_tickets import HOSTILE, ticket
from tests.gateway.sessions.kit import run, session
from tests.stores import connected


async def keys(connection: ValkeyConnection) -> list[bytes]:
    """All of this connection, but the documents of sessions and their index."""
    prefix = connection.keys.index.partition(b"{")[0]
    (found,) = await connection.many([(prefix, (b"KEYS", prefix + b"*"))])
    return sorted(one.removeprefix(prefix) for one in found if b"doc" not in one and b"all" not in one)


def test_everything_goes_by_itself() -> None:
    """Every key has a time to live, which is renewed; and those of a session are on its server."""

    async def scenario() -> None:
        async with connected() as connection:
            await ValkeySessionStore(connection).create(session(id="s"))
            store = ValkeyTaskTickets(connection, ttl_s=100.0)
            await store.add(ticket(), 8)
            assert await keys(connection) == [b"{k:t}:session", b"{s:s}:tasks"]
            key, sign = connection.keys.tasks("s"), connection.keys.task_sign("t")
            await connection.many([(key, (b"PEXPIRE", key, b"5000"))])
            await store.move("s", "t", "n1", State.RUNNING, 1.0, None)
            lives = await connection.many([(one, (b"PTTL", one)) for one in (key, sign)])
            assert 90_000 < lives[0] <= 100_000
            assert lives[0] < lives[1]
            await connection.many([(key, (b"PEXPIRE", key, b"5000"))])
            kept = await store.get("t")
            assert kept is not None
            await store.adopt(kept, "n2", 2.0)
            assert (await connection.many([(key, (b"PTTL", key))]))[0] > 90_000

    run(scenario())


def test_nothing_is_left_of_what_is_gone() -> None:
    """Refused, crowded out, removed, or discarded with its session."""

    async def scenario() -> None:
        async with connected() as connection:
            await ValkeySessionStore(connection).create(session(id="s"))
            store = ValkeyTaskTickets(connection)
            await store.add(ticket("a"), 2)
            await store.add(ticket("b"), 2)
            assert not await store.add(ticket("c"), 2)
            await store.move("s", "a", "n1", State.FAILED, 1.0, "no")
            assert await store.add(ticket("d"), 2)
            await store.remove("s", "d")
            assert await keys(connection) == [b"{k:b}:session", b"{s:s}:tasks"]
            await store.discard("s")
            assert await keys(connection) == []

    run(scenario())


def test_no_id_reaches_a_key_as_it_is() -> None:
    """Ids of tasks and nodes are this gateway's own; anything else is a mistake."""

    async def scenario() -> None:
        async with connected() as connection:
            await ValkeySessionStore(connection).create(session(id="s"))
            store = ValkeyTaskTickets(connection)
            for name in HOSTILE:
                if name == "nobody":
                    continue
                with pytest.raises(ValueError, match="base64url"):
                    await store.add(ticket(name), 8)
                with pytest.raises(ValueError, match="base64url"):
                    await store.add(ticket(node=name), 8)
            assert await keys(connection) == []

    run(scenario())

"""What one commit costs by the size of its batch, and what it costs to look at a session's document.

    python -m benchmarks.micro_sharing

One client on uvloop and one Redis, warm, with nothing else to do: two events of 280 bytes and a snapshot of
350 for each session in a commit; documents as the reaper reads them, a page after the other.
"""

import os
import secrets
import time
from collections.abc import Iterator
from typing import Final

import msgpack  # type: ignore[import-untyped]
import uvloop

from benchmarks.rows import Row, table
from benchmarks.sharing_servers import Reading, Valkey, there_is_valkey, valkey
from gateway.clock import SystemClock
from gateway.sessions.model import Session
from gateway.sessions.ports import Entry
from gateway.sessions.shared import Claim, Commit
from gateway.stores.valkey.connection import ValkeyConnection
from gateway.stores.valkey.sessions import ValkeySessionStore
from gateway.stores.valkey.streams import ValkeyStreamStore

SIZES: Final = (1, 5, 20, 60)
COMMITS: Final = 2_400
SESSIONS: Final = 2_000
PAGE: Final = 250
_EVENT: Final[bytes] = msgpack.packb({"type": "tone", "timestamp": 1.0, "text": "x" * 240})
_SNAPSHOT: Final = b"s" * 350


def rows() -> list[Row]:
    """Takes some seconds; nothing where there is no Redis."""
    if not there_is_valkey():
        return []
    with valkey(max(os.sched_getaffinity(0))) as one:
        return uvloop.run(_measured(one))


async def _measured(server: Valkey) -> list[Row]:
    connection = ValkeyConnection(server.url)
    await connection.start()
    try:
        found = [row for size in SIZES for row in await _commits(server, connection, size)]
        return [*found, *await _documents(server, connection)]
    finally:
        await connection.close()


async def _commits(server: Valkey, connection: ValkeyConnection, size: int) -> list[Row]:
    streams = ValkeyStreamStore(connection, SystemClock())
    claims = {one: await streams.claim(one, "node") for one in _ids(size)}
    batches = [_batch(claims, 2 * number) for number in range(COMMITS // size)]
    for batch in batches[:10]:
        await streams.commit(batch)
    used, before = time.process_time(), server.read()
    measured = batches[10:]
    for batch in measured:
        await streams.commit(batch)
    used, after = time.process_time() - used, server.read()
    count = len(measured) * size
    name, unit = f"commit, {size} at once", "µs/commit"
    return [
        Row(f"{name}: CPU of the gateway", 1e6 * used / count, unit),
        Row(f"{name}: CPU of Valkey", 1e6 * (after.cpu_s - before.cpu_s) / count, unit),
    ]


def _batch(claims: dict[str, Claim], after: int) -> list[Commit]:
    events = [Entry.kept(after + n, True, time.monotonic(), _EVENT) for n in (1, 2)]
    return [Commit(name, one.gen, events, _SNAPSHOT, one.epoch) for name, one in claims.items()]


async def _documents(server: Valkey, connection: ValkeyConnection) -> list[Row]:
    sessions = ValkeySessionStore(connection)
    empty = server.read()
    for one in _ids(SESSIONS):
        await sessions.create(_session(one))
    used, before = time.process_time(), server.read()
    page = await sessions.list(limit=PAGE)
    while page:
        page = await sessions.list(limit=PAGE, after=page[-1].id)
    used, after = time.process_time() - used, server.read()
    return list(_of_documents(used, empty, before, after))


def _of_documents(used: float, empty: Reading, before: Reading, after: Reading) -> Iterator[Row]:
    unit = "/session"
    yield Row("document, read by pages: CPU of the gateway", 1e6 * used / SESSIONS, f"µs{unit}")
    yield Row("document: CPU of Valkey", 1e6 * (after.cpu_s - before.cpu_s) / SESSIONS, f"µs{unit}")
    told = after.figures["bytes out"] - before.figures["bytes out"]
    yield Row("document: bytes from Valkey", told / SESSIONS, f"bytes{unit}")
    held = before.figures["memory"] - empty.figures["memory"]
    yield Row("document: memory of Valkey, indexes included", held / SESSIONS / 1024, f"KiB{unit}")


def _session(name: str) -> Session:
    now, mono = time.time(), time.monotonic()
    return Session(
        id=name, user_id="somebody", created_at=now, updated_at=now, created_mono=mono, seen_mono=mono
    )


def _ids(count: int) -> list[str]:
    return [secrets.token_urlsafe(16) for _ in range(count)]


if __name__ == "__main__":
    print(table(rows()))

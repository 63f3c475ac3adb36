"""What is done to the stores from outside a node: tried, brought up to date, emptied of somebody."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from gateway.clock import SystemClock
from gateway.sessions.ports import SessionStore, TicketStore
from gateway.sessions.shared import AuditStore, StreamStore
from gateway.settings import Settings
from gateway.stores.configured import configured_stores
from gateway.tasks.tickets import TaskTickets
from gateway.telemetry.sharing import SharingCounts

if TYPE_CHECKING:
    from gateway.stores.postgres.connection import Database

AGAIN_S: Final = 2.0
"""What nodes have said already is in the database by then."""
_ROUNDS: Final = 10


@dataclass(frozen=True, slots=True)
class Whom:
    """Whose sessions are meant."""

    namespace: str | None
    """None: sessions of no namespace."""
    user: str | None = None
    """None: every user's."""


@dataclass(slots=True)
class Eraser:
    """Deletes for good what is kept of somebody, in every store.

    All methods raise StoreUnavailable and StoreUnsuitable.
    """

    sessions: SessionStore
    tickets: TicketStore
    streams: StreamStore
    tasks: TaskTickets
    audit: AuditStore | None
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    _erased: set[str] = field(default_factory=set)

    async def found(self, whom: Whom) -> Sequence[str]:
        """The ids of the sessions that the store has now."""
        return await self.sessions.ids(whom.namespace, whom.user)

    async def erase(self, whom: Whom) -> int:
        """How many sessions were deleted.

        Nodes may have more to write of a live session until they hear that it is gone, so it is looked again
        until nothing is left.
        """
        for number in range(_ROUNDS):
            if number:
                await self.sleep(AGAIN_S)
            before = len(self._erased)
            for session_id in await self.found(whom):
                await self._forget(session_id)
            if self.audit is not None:
                self._erased.update(await self.audit.erase(whom.namespace, whom.user))
            if number and len(self._erased) == before:
                break
        return len(self._erased)

    async def _forget(self, session_id: str) -> None:
        # Before the session, or nobody would know of what is left where the store goes away in between; and
        # after it, when nobody can enter any more.
        await self._empty(session_id)
        await self.sessions.delete(session_id)
        await self.tickets.revoke(session_id)
        await self._empty(session_id)
        self._erased.add(session_id)

    async def _empty(self, session_id: str) -> None:
        await self.streams.forget(session_id)
        await self.tasks.discard(session_id)


@contextlib.asynccontextmanager
async def connected(settings: Settings) -> AsyncIterator[Eraser]:
    """The stores of these settings, connected as a node would; its database is up to date then.

    Raises:
        SettingsError: a driver is missing.
        StoreUnavailable, StoreUnsuitable: see `gateway.errors`.
    """
    stores = configured_stores(settings, SystemClock(), SharingCounts())
    shared = stores.shared
    assert shared is not None  # callers have looked
    try:
        await shared.start()
        if shared.start_trail is not None:
            await shared.start_trail()
        yield Eraser(stores.sessions, stores.tickets, shared.streams, shared.tasks, shared.audit)
    finally:
        await shared.close()


async def migrate(settings: Settings) -> tuple[int, int]:
    """Bring the database's schema up to date; its version before and after, 0 where there was none.

    Raises:
        StoreUnavailable, StoreUnsuitable: see `gateway.errors`.
    """
    from gateway.stores.postgres.connection import Database

    assert settings.database_url is not None
    database = Database(
        settings.database_url,
        schema=settings.database_schema,
        pooler=settings.database_pooler,
        connections=1,
    )
    before = await _version(database)
    try:
        await database.start()
        return before, await database.fetchval(f"SELECT max(version) FROM {database.schema}.versions")
    finally:
        await database.close()


async def _version(database: "Database") -> int:
    from gateway.stores.postgres.failures import DRIVER_ERRORS, translated

    connection = await database.alone()
    try:
        table = f"{database.schema}.versions"
        if await connection.fetchval("SELECT to_regclass($1) IS NULL", table):
            return 0
        return int(await connection.fetchval(f"SELECT coalesce(max(version), 0) FROM {table}"))
    except DRIVER_ERRORS as error:
        raise translated(error) from None
    finally:
        with contextlib.suppress(*DRIVER_ERRORS):
            await connection.close()

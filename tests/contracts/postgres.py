"""PostgreSQL for the contract suites: each a line in their `STORES`."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from gateway.clock import Clock
from gateway.sessions.ports import SessionStore, TicketStore
from gateway.sessions.shared import NodeStore, StreamBounds, StreamStore
from gateway.tasks.tickets import TaskTickets
from tests.postgres import emptied


@asynccontextmanager
async def sessions() -> AsyncIterator[SessionStore]:
    from gateway.stores.postgres.sessions import PostgresSessionStore

    async with emptied() as database:
        yield PostgresSessionStore(database)


@asynccontextmanager
async def tickets(capacity: int, per_session: int) -> AsyncIterator[TicketStore]:
    from gateway.stores.postgres.tickets import PostgresTicketStore

    async with emptied() as database:
        yield PostgresTicketStore(database, capacity=capacity, per_session=per_session)


@asynccontextmanager
async def streams(clock: Clock, bounds: StreamBounds) -> AsyncIterator[StreamStore]:
    from gateway.stores.postgres.streams import PostgresStreamStore

    async with emptied() as database:
        store = PostgresStreamStore(database, clock, bounds=bounds)
        try:
            yield store
        finally:
            await store.close()


@asynccontextmanager
async def nodes(lease_s: float) -> AsyncIterator[NodeStore]:
    from gateway.stores.postgres.nodes import PostgresNodeStore

    async with emptied() as database:
        yield PostgresNodeStore(database, lease_s)


@asynccontextmanager
async def tasks() -> AsyncIterator[tuple[SessionStore, TaskTickets]]:
    from gateway.stores.postgres.sessions import PostgresSessionStore
    from gateway.stores.postgres.tasks import PostgresTaskTickets

    async with emptied() as database:
        yield PostgresSessionStore(database), PostgresTaskTickets(database)

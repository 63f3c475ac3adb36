"""What tickets of tasks in PostgreSQL do beyond the contract."""

import pytest

from gateway.errors import NotFound
from gateway.stores.postgres.audit import PostgresAuditStore
from gateway.stores.postgres.sessions import PostgresSessionStore
from gateway.stores.postgres.tasks import PostgresTaskTickets
from tests.contracts.test_task_tickets import ticket
from tests.gateway.sessions.kit import run, session
from tests.postgres import emptied


def test_tickets_go_with_the_row_of_their_session() -> None:
    """Whoever deletes it for good; and one that is deleted, but for its row, takes no more."""

    async def scenario() -> None:
        async with emptied() as database:
            sessions, store = PostgresSessionStore(database), PostgresTaskTickets(database)
            for session_id in ("s", "other"):
                await sessions.create(session(id=session_id, namespace_id=session_id))
                await store.add(ticket(session_id, session_id), 8)
            await sessions.delete("s")
            with pytest.raises(NotFound):
                await store.add(ticket("t"), 8)
            await PostgresAuditStore(database).erase("other")
            assert await store.get("other") is None
            assert await store.get("s") is not None
            await PostgresAuditStore(database).expire(0.0)
            assert await store.get("s") is None

    run(scenario())

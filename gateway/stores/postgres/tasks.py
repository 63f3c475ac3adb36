"""Tickets of tasks in PostgreSQL: rows that go with their session's."""

import logging
from collections.abc import Mapping, Sequence
from typing import Final

from gateway.errors import BadDocument, NotFound
from gateway.stores.postgres.columns import column, maybe_column, original
from gateway.stores.postgres.connection import Database, Row
from gateway.tasks.model import State
from gateway.tasks.tickets import TaskTicket, Told, decode_ticket, encode_fixed

logger = logging.getLogger(__name__)

_COLUMNS: Final = "task_id, session_id, fixed, state, node, updated_at, error_message"


class PostgresTaskTickets:
    """Tickets by task, and by session."""

    def __init__(self, database: Database) -> None:
        self._database = database
        table = f"{database.schema}.task_tickets"
        self._add_sql = f"SELECT {database.schema}.take_task($1, $2, $3, $4, $5, $6, $7)"
        self._get_sql = f"SELECT {_COLUMNS} FROM {table} WHERE task_id = $1"
        self._list_sql = f"SELECT {_COLUMNS} FROM {table} WHERE session_id = $1 ORDER BY place"
        self._move_sql = (
            f"UPDATE {table} SET state = $4, updated_at = $5, error_message = $6"
            " WHERE task_id = $1 AND session_id = $2 AND node = $3"
        )
        self._there_sql = f"SELECT EXISTS (SELECT FROM {table} WHERE task_id = $1 AND session_id = $2)"
        self._adopt_sql = (
            f"UPDATE {table} SET node = $5, state = $6, updated_at = $7, error_message = NULL"
            " WHERE task_id = $1 AND session_id = $2 AND node = $3 AND state = $4"
        )
        self._remove_sql = f"DELETE FROM {table} WHERE task_id = $1 AND session_id = $2"
        self._discard_sql = f"DELETE FROM {table} WHERE session_id = $1"
        self._ids_sql = f"SELECT session_id, task_id FROM {table} WHERE session_id = ANY($1::text[])"

    async def add(self, ticket: TaskTicket, at_most: int) -> bool:
        said = await self._database.fetchval(
            self._add_sql,
            column(ticket.id),
            column(ticket.session_id),
            encode_fixed(ticket).decode(),
            ticket.state.value,
            column(ticket.node),
            ticket.updated_at,
            at_most,
        )
        if said == "gone":
            raise NotFound
        return bool(said == "done")

    async def get(self, task_id: str) -> TaskTicket | None:
        row = await self._database.fetchrow(self._get_sql, column(task_id))
        return None if row is None else _ticket(row)

    async def list(self, session_id: str) -> Sequence[TaskTicket]:
        found: list[TaskTicket] = []
        for row in await self._database.fetch(self._list_sql, column(session_id)):
            try:
                found.append(_ticket(row))
            except BadDocument:
                logger.warning("a task's ticket can't be read", extra={"session_id": session_id[:8]})
        return found

    async def move(
        self, session_id: str, task_id: str, node: str, state: State, at: float, error_message: str | None
    ) -> Told:
        which = column(task_id), column(session_id)
        said = state.value, at, maybe_column(error_message)
        if await self._database.execute(self._move_sql, *which, column(node), *said):
            return Told.DONE
        return Told.OTHERS if await self._database.fetchval(self._there_sql, *which) else Told.GONE

    async def adopt(self, ticket: TaskTicket, node: str, at: float) -> bool:
        which = column(ticket.id), column(ticket.session_id), column(ticket.node), ticket.state.value
        said = column(node), State.QUEUED.value, at
        return await self._database.execute(self._adopt_sql, *which, *said) > 0

    async def remove(self, session_id: str, task_id: str) -> bool:
        return await self._database.execute(self._remove_sql, column(task_id), column(session_id)) > 0

    async def discard(self, session_id: str) -> None:
        await self._database.execute(self._discard_sql, column(session_id))

    async def there(self, session_ids: Sequence[str]) -> Mapping[str, frozenset[str]]:
        rows = await self._database.fetch(self._ids_sql, [column(one) for one in session_ids])
        found: dict[str, set[str]] = {}
        for row in rows:
            found.setdefault(original(row["session_id"]), set()).add(original(row["task_id"]))
        return {session_id: frozenset(ids) for session_id, ids in found.items()}


def _ticket(row: Row) -> TaskTicket:
    message = row["error_message"]
    return decode_ticket(
        original(row["task_id"]),
        original(row["session_id"]),
        row["fixed"],
        node=original(row["node"]),
        state=row["state"],
        updated_at=row["updated_at"],
        error_message=None if message is None else original(message),
    )

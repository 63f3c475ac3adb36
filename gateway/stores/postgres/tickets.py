"""Tickets in PostgreSQL."""

from gateway.sessions.ports import TicketGrant
from gateway.sessions.tickets import Role
from gateway.stores.postgres.columns import column, original
from gateway.stores.postgres.connection import Database

_SLACK = 64
"""At the bound, one in so many goes at once, so that not every issue has to count."""


class PostgresTicketStore:
    """Tickets by hash, at most `capacity` for all nodes together, `per_session` of one session.

    Only what many nodes issue at the very same time may pass a bound, until the next is issued.
    """

    def __init__(self, database: Database, capacity: int = 65_536, per_session: int = 256) -> None:
        self._database = database
        self._capacity = capacity
        self._per_session = per_session
        # Places count everybody's tickets: no more than `_counted` and those issued since can be there.
        self._counted = 0
        self._counted_at: int | None = None
        self.evicted = 0
        """Tickets that this node drove out because a bound was reached."""
        table = f"{database.schema}.tickets"
        self._issue_sql = f"SELECT place, evicted FROM {database.schema}.issue_ticket($1, $2, $3, $4, $5)"
        self._redeem_sql = f"DELETE FROM {table} WHERE hash = $1 RETURNING session_id, role, expires"
        self._revoke_sql = f"DELETE FROM {table} WHERE session_id = $1"
        self._purge_sql = f"DELETE FROM {table} WHERE expires <= $1"
        self._count_sql = f"SELECT count(*) FROM {table}"
        self._trim_sql = (
            f"DELETE FROM {table} WHERE place IN (SELECT place FROM {table} ORDER BY place LIMIT $1)"
        )

    async def issue(self, ticket_hash: str, grant: TicketGrant) -> None:
        row = await self._database.fetchrow(
            self._issue_sql,
            column(ticket_hash),
            column(grant.session_id),
            grant.role.value,
            grant.expires_mono,
            self._per_session,
        )
        assert row is not None
        self.evicted += row["evicted"]
        place = row["place"]
        if self._counted_at is None or self._counted + place - self._counted_at > self._capacity:
            await self._trim(place)

    async def redeem(self, ticket_hash: str, now: float) -> TicketGrant | None:
        row = await self._database.fetchrow(self._redeem_sql, column(ticket_hash))
        if row is None or now >= row["expires"]:
            return None
        return TicketGrant(original(row["session_id"]), Role(row["role"]), row["expires"])

    async def revoke(self, session_id: str) -> None:
        await self._database.execute(self._revoke_sql, column(session_id))

    async def purge(self, now: float) -> int:
        return await self._database.execute(self._purge_sql, now)

    async def _trim(self, place: int) -> None:
        counted = await self._database.fetchval(self._count_sql)
        if counted > self._capacity:
            surplus = counted - self._capacity + self._capacity // _SLACK
            gone = await self._database.execute(self._trim_sql, surplus)
            self.evicted += gone
            counted -= gone
        self._counted, self._counted_at = counted, place

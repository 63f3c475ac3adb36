"""Nodes in PostgreSQL: leases, one who leads, and letters to those who lost a session."""

from collections.abc import Mapping, Sequence

from gateway.sessions.shared import Beat, Node
from gateway.stores.postgres.columns import column, original, whole
from gateway.stores.postgres.connection import Connection, Database

MAX_LOSSES = 1_000
"""Kept for one node: the newest."""
_KEPT = "interval '1 hour'"
"""Whoever comes back later finds out by its commits."""


class PostgresNodeStore:
    """Who is there, what time it is, and who leads: whoever beats first once nobody does."""

    def __init__(self, database: Database, lease_s: float = 10.0, *, max_losses: int = MAX_LOSSES) -> None:
        self._database = database
        self._lease_s = lease_s
        self._max_losses = max_losses
        schema = database.schema
        self._beat_sql = f"SELECT * FROM {schema}.beat($1, $2, $3, $4, $5)"
        self._leave_sql = (
            # The lead first: a beat takes its locks in this order.
            f"UPDATE {schema}.cluster SET leader = NULL WHERE leader = $1",
            f"DELETE FROM {schema}.nodes WHERE id = $1",
            f"DELETE FROM {schema}.losses WHERE node_id = $1",
        )
        self._tell_sql = (
            f"INSERT INTO {schema}.losses (node_id, session_id)"
            " SELECT n, s FROM unnest($1::text[], $2::text[]) WITH ORDINALITY AS given(n, s, i)"
            " ORDER BY n, i ON CONFLICT DO NOTHING"
        )
        self._bound_sql = (
            f"DELETE FROM {schema}.losses AS l WHERE l.at < now() - {_KEPT}"
            " OR l.node_id = $1 AND l.place <= ("
            f"SELECT o.place FROM {schema}.losses AS o WHERE o.node_id = $1"
            " ORDER BY o.place DESC OFFSET $2 LIMIT 1)"
        )

    async def beat(self, node: Node, estimate: float | None) -> Beat:
        row = await self._database.fetchrow(
            self._beat_sql, column(node.id), column(node.name), whole(node.sessions), estimate, self._lease_s
        )
        assert row is not None
        return Beat(
            row["now"],
            frozenset(map(original, row["alive"])),
            row["leads"],
            tuple(map(original, row["lost"])),
        )

    async def leave(self, node_id: str) -> None:
        async def work(connection: Connection) -> None:
            for sql in self._leave_sql:
                await connection.execute(sql, column(node_id))

        await self._database.run(work, atomic=True)

    async def tell_lost(self, losses: Mapping[str, Sequence[str]]) -> None:
        pairs = [(column(node), column(one)) for node, theirs in losses.items() for one in theirs]
        if not pairs:
            return

        async def work(connection: Connection) -> None:
            await connection.execute(self._tell_sql, [one for one, _ in pairs], [one for _, one in pairs])
            for node in sorted({one for one, _ in pairs}):
                await connection.execute(self._bound_sql, node, self._max_losses)

        await self._database.run(work, atomic=True)

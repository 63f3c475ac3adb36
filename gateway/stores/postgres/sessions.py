"""Sessions in PostgreSQL. A deleted one is gone for all who ask here; its row stays for the audit trail."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from time import monotonic
from typing import TypeAlias

from gateway.errors import AlreadyExists, Conflict, UnknownCursor
from gateway.sessions.model import Session, Status
from gateway.sessions.ports import MAX_COUNTED, Quota, QuotaReached, SessionFilter
from gateway.sessions.unreadable import Unreadable
from gateway.stores.postgres.columns import column, maybe_column, original, whole
from gateway.stores.postgres.connection import Database
from gateway.stores.postgres.rows import THERE, readable, session_of, values

_ANY = SessionFilter()
_STRIPES = 64
_EXISTS = -1

_Group: TypeAlias = tuple[str | None, str | None, str]
"""Namespace, device type and status, as the columns have them."""


class PostgresSessionStore:
    """Sessions by id.

    Args:
        keep_deleted: whether a deleted session's row is only marked, until `AuditStore.expire` deletes it.
        counted_s: seconds for which sessions need not be counted anew. What this node creates, deletes and
            moves itself counts at once.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        database: Database,
        *,
        keep_deleted: bool = True,
        counted_s: float = 2.0,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._database = database
        self._keep_deleted = keep_deleted
        self._counted_s = counted_s
        self._clock = clock
        self._counts: Counter[_Group] = Counter()
        self._counted_at: float | None = None
        self._changes = 0
        self._unreadable = Unreadable()
        # Of those who wait for the same quota one has a connection: the others leave them to everybody else.
        self._turns = tuple(asyncio.Lock() for _ in range(_STRIPES))
        self._write_sql(database.schema)

    def _write_sql(self, schema: str) -> None:
        self._table = f"{schema}.sessions"
        self._create_sql = (
            f"SELECT {schema}.create_session($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11,"
            " $12, $13, $14, $15)"
        )
        self._get_sql = f"SELECT id, version, document FROM {self._table} WHERE id = $1 AND {THERE}"
        self._update_sql = (
            f"UPDATE {self._table} AS s SET version = $2, namespace_id = $3, user_id = $4, device_type = $5,"
            " status = $6, over = $7, node = $8, created_at = to_timestamp($9),"
            " updated_at = to_timestamp($10), document = $11, heartbeat_at = now()"
            f" FROM (SELECT status FROM {self._table} WHERE id = $1) AS old"
            f" WHERE id = $1 AND version = $12 AND {THERE} RETURNING old.status <> s.status"
        )
        self._delete_sql = (
            f"UPDATE {self._table} SET deleted_at = now(), over = true WHERE id = $1 AND {THERE}"
            if self._keep_deleted
            else f"DELETE FROM {self._table} WHERE id = $1 AND {THERE}"
        )
        self._counted_sql = (
            f"SELECT id, version, document FROM {self._table} WHERE NOT over"
            " AND coalesce(namespace_id, '\\-') = coalesce($1, '\\-')"
            " AND ($2 OR coalesce(user_id, '\\-') = coalesce($3, '\\-'))"
            " ORDER BY status NOT IN ('created', 'detached'), place LIMIT $4"
        )

        self._ids_sql = (
            f"SELECT id FROM {self._table} WHERE coalesce(namespace_id, '\\-') = coalesce($1::text, '\\-')"
            f" AND ($2::text IS NULL OR user_id = $2) AND {THERE}"
        )

    async def create(self, session: Session, *quotas: Quota) -> None:
        said = values(session)
        counting = [one for one in quotas if _counts(one)]
        for quota in quotas:
            if quota.at_most <= 0 and not _counts(quota):
                raise QuotaReached((), quota)
        async with self._turn(counting):
            outcome = await self._database.fetchval(
                self._create_sql,
                *said,
                [maybe_column(one.namespace_id) for one in counting],
                [maybe_column(one.user_id) for one in counting],
                [one.everybody for one in counting],
                [whole(one.at_most) for one in counting],
            )
        if outcome == _EXISTS:
            raise AlreadyExists("there is a session with this id")
        if outcome:
            quota = counting[outcome - 1]
            raise QuotaReached(await self._counted(quota), quota)
        self._changed()

    async def get(self, session_id: str) -> Session | None:
        row = await self._database.fetchrow(self._get_sql, column(session_id))
        return None if row is None else session_of(row)

    async def update(self, session: Session, expected_version: int) -> Session:
        updated = replace(session, version=expected_version + 1)
        moved = await self._database.fetchval(self._update_sql, *values(updated), whole(expected_version))
        if moved is None:
            raise Conflict("the session was changed or deleted meanwhile")
        if moved:
            self._changed()
        return updated

    async def delete(self, session_id: str) -> bool:
        there = await self._database.execute(self._delete_sql, column(session_id)) > 0
        if there:
            self._changed()
        return there

    async def list(
        self, wanted: SessionFilter = _ANY, limit: int = 100, after: str | None = None
    ) -> Sequence[Session]:
        below = None if after is None else await self._place(after, wanted)
        found: list[Session] = []
        while len(found) < limit:
            # What can't be read leaves no hole in a page: a short one would be taken for the last.
            short = min(limit - len(found), 2**31)
            where, args = _where(wanted, below)
            rows = await self._database.fetch(
                f"SELECT id, version, place, document FROM {self._table} WHERE {where}"
                f" ORDER BY place DESC LIMIT {short}",
                *args,
            )
            found += readable(rows, self._unreadable)
            if len(rows) < short:
                break
            below = rows[-1]["place"]
        return found

    async def count(self, wanted: SessionFilter = _ANY) -> int:
        if wanted.user_id is not None:
            where, args = _where(wanted, None)
            found = await self._database.fetchval(f"SELECT count(*) FROM {self._table} WHERE {where}", *args)
            return int(found)
        if self._counted_at is None or self._clock() - self._counted_at >= self._counted_s:
            await self._count()
        namespace, device = maybe_column(wanted.namespace_id), maybe_column(wanted.device_type)
        return sum(
            many
            for (theirs, kind, status), many in self._counts.items()
            if (namespace is None or namespace == theirs)
            and (device is None or device == kind)
            and (wanted.status is None or wanted.status.value == status)
        )

    async def ids(self, namespace_id: str | None, user_id: str | None = None) -> Sequence[str]:
        rows = await self._database.fetch(self._ids_sql, maybe_column(namespace_id), maybe_column(user_id))
        return [original(row["id"]) for row in rows]

    async def _count(self) -> None:
        changes = self._changes
        rows = await self._database.fetch(
            f"SELECT namespace_id, device_type, status, count(*) AS many FROM {self._table}"
            f" WHERE {THERE} GROUP BY 1, 2, 3"
        )
        self._counts = Counter(
            {(row["namespace_id"], row["device_type"], row["status"]): row["many"] for row in rows}
        )
        # What changed while it was counted may be in it or not: it is good for this once.
        self._counted_at = self._clock() if changes == self._changes else None

    def _changed(self) -> None:
        self._changes += 1
        self._counted_at = None

    async def _place(self, session_id: str, wanted: SessionFilter) -> int:
        within, args = "", [column(session_id)]
        if wanted.namespace_id is not None:  # a foreign session is no place to go on from
            within, args = " AND namespace_id = $2", [*args, column(wanted.namespace_id)]
        place = await self._database.fetchval(
            f"SELECT place FROM {self._table} WHERE id = $1 AND {THERE}{within}", *args
        )
        if place is None:
            raise UnknownCursor
        return int(place)

    async def _counted(self, quota: Quota) -> Sequence[Session]:
        rows = await self._database.fetch(
            self._counted_sql,
            maybe_column(quota.namespace_id),
            quota.everybody,
            maybe_column(quota.user_id),
            MAX_COUNTED,
        )
        return readable(rows, self._unreadable)

    @asynccontextmanager
    async def _turn(self, quotas: Sequence[Quota]) -> AsyncIterator[None]:
        names = {(one.namespace_id, None if one.namespace_id is not None else one.user_id) for one in quotas}
        async with AsyncExitStack() as stack:
            for stripe in sorted({hash(one) % _STRIPES for one in names}):
                await stack.enter_async_context(self._turns[stripe])
            yield


def _counts(quota: Quota) -> bool:
    """Whether any session counts against it: those that name neither namespace nor user count for nobody."""
    return quota.namespace_id is not None or (quota.user_id is not None and not quota.everybody)


def _where(wanted: SessionFilter, below: int | None) -> tuple[str, list[object]]:
    args: list[object] = []
    conditions = [THERE]
    status = wanted.status.value if isinstance(wanted.status, Status) else None
    for name, value in (
        ("namespace_id", maybe_column(wanted.namespace_id)),
        ("user_id", maybe_column(wanted.user_id)),
        ("device_type", maybe_column(wanted.device_type)),
        ("status", status),
    ):
        if value is not None:
            args.append(value)
            conditions.append(f"{name} = ${len(args)}")
    if below is not None:
        args.append(below)
        conditions.append(f"place < ${len(args)}")
    return " AND ".join(conditions), args

"""The audit trail in PostgreSQL: batches in, one transaction each; out comes what is needed to go on, or
nothing at all once it is erased."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from hashlib import sha256
from typing import Any, Final, TypeVar

from gateway.errors import BadDocument
from gateway.sessions.document import decode_session, encode_session
from gateway.sessions.lifecycle import Input, advance
from gateway.sessions.model import Session
from gateway.sessions.shared import (
    AuditRow,
    DeletedRow,
    EventRow,
    Recovered,
    SessionRow,
    SnapshotRow,
    TaskRow,
)
from gateway.stores.postgres.audit_sql import AuditSql
from gateway.stores.postgres.columns import column, original, seconds, whole
from gateway.stores.postgres.connection import Connection, Database, Row
from gateway.stores.postgres.rows import values
from gateway.tasks.model import TERMINAL
from protocol.version import Encoding

_AT_ONCE: Final = 500
"""Sessions in one transaction of cleaning up."""
_ENDED: Final = frozenset(one.value for one in TERMINAL)

T = TypeVar("T")


class PostgresAuditStore:
    """Rows by session. Deleting a session deletes all that was written of it."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._sql = AuditSql.of(database.schema)

    async def write(self, rows: Sequence[AuditRow]) -> None:
        if not rows:
            return
        told = _Told(rows)

        async def work(connection: Connection) -> None:
            # Erasing waits for who is writing, and who writes then knows of it.
            await connection.execute(self._sql.share)
            gone = {row["digest"] for row in await connection.fetch(self._sql.erased, told.digests)}
            await self._write(connection, told.without(gone))

        await self._database.run(work, atomic=True)

    async def _write(self, connection: Connection, told: "_Told") -> None:
        sql = self._sql
        if told.sessions:
            columns = list(map(list, zip(*map(values, told.sessions), strict=True)))
            await connection.execute(sql.sessions, *columns, [_alive_at(one) for one in told.sessions])
        others = sorted({column(one.session_id) for one in told.others})
        if others:
            await connection.execute(sql.places, others)
        for statement, columns in (
            (sql.deleted, told.deleted_columns()),
            (sql.snapshots, told.snapshot_columns()),
            (sql.history, told.event_columns()),
            (sql.tasks, told.task_columns()),
        ):
            if columns:
                await connection.execute(statement, *columns)

    async def recover(self, session_id: str) -> Recovered | None:
        """Also raises BadDocument: the session is there, and can't be read."""
        row = await self._database.fetchrow(self._sql.recover, column(session_id))
        if row is None:
            return None
        kept = row["snapshot"]
        snapshot = None if kept is None else SnapshotRow(session_id, row["gen"], row["seq"], kept)
        return Recovered(decode_session(row["document"]), snapshot)

    async def heartbeat(self, session_ids: Sequence[str], at: float) -> None:
        if session_ids:
            await self._database.execute(self._sql.heartbeat, sorted(map(column, session_ids)), seconds(at))

    async def cleanup_stale(self, max_age_s: float) -> int:
        failed = 0
        while True:
            rows = await self._database.fetch(self._sql.stale, max_age_s, _AT_ONCE)
            ended = [_failed(row, max_age_s) for row in rows]
            if not ended:
                return failed
            columns = list(map(list, zip(*ended, strict=True)))
            marked = await self._database.execute(self._sql.failed, *columns, max_age_s)
            failed += marked
            if len(rows) < _AT_ONCE or not marked:
                return failed

    async def expire(self, retention_s: float) -> int:
        gone = 0
        while True:
            rows = await self._delete(self._sql.expired, retention_s, _AT_ONCE)
            gone += len(rows)
            if len(rows) < _AT_ONCE:
                await self._database.execute(self._sql.forget_erased, retention_s)
                return gone

    async def erase(self, namespace_id: str | None, user_id: str | None = None) -> Sequence[str]:
        namespace = None if namespace_id is None else column(namespace_id)
        user = None if user_id is None else column(user_id)
        rows = await self._delete(self._sql.erase, namespace, user, erased=True)
        return [_id_of(row) for row in rows]

    async def _delete(self, statement: str, *args: object, erased: bool = False) -> Sequence[Row]:
        async def work(connection: Connection) -> Sequence[Row]:
            if erased:
                await connection.execute(self._sql.exclude)
            rows = await connection.fetch(statement, *args)
            ids = sorted(row["id"] for row in rows)
            if erased and ids:
                await connection.execute(self._sql.keep_erased, list(map(_digest, ids)))
            for beside in (self._sql.tickets, self._sql.streams) if ids else ():
                await connection.execute(beside, ids)
            return rows

        return await self._database.run(work, atomic=True)


class _Told:
    """A batch, of each thing the newest only, and in one order for all who write."""

    def __init__(self, rows: Iterable[AuditRow]) -> None:
        rows = tuple(rows)
        self.sessions = [
            one.session
            for one in _newest(rows, SessionRow, lambda one: one.session.id, lambda one: one.session.version)
        ]
        self.deleted = _newest(rows, DeletedRow, lambda one: one.session_id, lambda one: -one.at)
        self.snapshots = _newest(
            rows, SnapshotRow, lambda one: one.session_id, lambda one: (one.gen, one.seq)
        )
        self.events = _newest(
            rows, EventRow, lambda one: (one.session_id, one.entry.seq), lambda one: -one.entry.at
        )
        self.tasks = _newest(
            rows,
            TaskRow,
            lambda one: (one.session_id, one.task_id),
            lambda one: (one.at, one.state in _ENDED),
        )

    @property
    def others(self) -> Sequence[DeletedRow | SnapshotRow | EventRow | TaskRow]:
        """All but sessions."""
        return [*self.deleted, *self.snapshots, *self.events, *self.tasks]

    @property
    def digests(self) -> list[bytes]:
        """What these sessions would be erased as."""
        ids = {one.id for one in self.sessions} | {one.session_id for one in self.others}
        return [_digest(column(one)) for one in ids]

    def without(self, gone: set[bytes]) -> "_Told":
        """The same, but for sessions that were erased."""
        if gone:
            self.sessions = [one for one in self.sessions if _digest(column(one.id)) not in gone]
            self.deleted = _left(self.deleted, gone)
            self.snapshots = _left(self.snapshots, gone)
            self.events = _left(self.events, gone)
            self.tasks = _left(self.tasks, gone)
        return self

    def deleted_columns(self) -> list[list[Any]]:
        return _columns((column(one.session_id), seconds(one.at)) for one in self.deleted)

    def snapshot_columns(self) -> list[list[Any]]:
        return _columns(
            (column(one.session_id), whole(one.gen), whole(one.seq), one.snapshot) for one in self.snapshots
        )

    def event_columns(self) -> list[list[Any]]:
        return _columns(
            (
                column(one.session_id),
                whole(one.entry.seq),
                column(one.entry.type),
                one.entry.timestamp,
                one.entry.encoded(Encoding.MSGPACK),
            )
            for one in self.events
        )

    def task_columns(self) -> list[list[Any]]:
        return _columns(
            (
                column(one.session_id),
                column(one.task_id),
                column(one.task_type),
                column(one.state),
                seconds(one.at),
                one.state in _ENDED,
            )
            for one in self.tasks
        )


def _newest(
    rows: Sequence[AuditRow], kind: type[T], key: Callable[[T], Any], rank: Callable[[T], Any]
) -> list[T]:
    """Of each key the row that ranks highest, sorted by key."""
    newest: dict[Any, T] = {}
    for row in rows:
        if isinstance(row, kind):
            known = newest.get(key(row))
            if known is None or rank(row) > rank(known):
                newest[key(row)] = row
    return [newest[one] for one in sorted(newest)]


def _left(rows: list[Any], gone: set[bytes]) -> list[Any]:
    return [one for one in rows if _digest(column(one.session_id)) not in gone]


def _columns(rows: Iterable[tuple[Any, ...]]) -> list[list[Any]]:
    return list(map(list, zip(*rows, strict=True)))


def _digest(session_id: str) -> bytes:
    return sha256(session_id.encode()).digest()


def _alive_at(session: Session) -> float:
    return seconds(max(session.created_at, session.updated_at, session.beat_at or 0.0))


def _failed(row: Row, max_age_s: float) -> tuple[str, int, str, float]:
    """Id and version of a stale session, its document when it has failed, and when that was.

    A document that can't be read is left as it is.
    """
    try:
        session = decode_session(row["document"])
        # Time as the session has it, whoever keeps that: no earlier than this.
        over = advance(session, Input.STALE, now=session.seen_mono + max_age_s, wall=row["now"])
        over = replace(over, end_reason=Input.STALE.value, version=row["version"] + 1)
        document = encode_session(over).decode()
    except BadDocument:
        document = row["document"]
    return row["id"], row["version"], document, row["now"]


def _id_of(row: Row) -> str:
    try:
        return decode_session(row["document"] or "").id
    except BadDocument:
        return original(row["id"])

"""Streams in PostgreSQL: fencing, bounds and the record are functions there (`0001_shared.sql`)."""

import asyncio
from collections.abc import Mapping, Sequence
from secrets import token_urlsafe

from gateway.clock import Clock
from gateway.sessions.ports import Entry, Recorded, RecordPage, Tail, UnknownSession
from gateway.sessions.shared import Claim, Commit, Committed, StreamBounds, Superseded
from gateway.stores.postgres.bell import Bell
from gateway.stores.postgres.columns import column, original, whole
from gateway.stores.postgres.connection import Database, Row
from protocol.version import Encoding

_OUTCOMES = (
    Committed.DONE,
    Committed.FENCED,
    Committed.GONE,
    Committed.MISPLACED,
    Committed.UNKNOWN,
    Committed.REVERTED,
)
_BOUNDS = StreamBounds()
_AT_ONCE = 250
"""Commits in one transaction: tens of milliseconds for the server."""


class PostgresStreamStore:
    """Streams by session. `clock` tells the cluster's time, by which events grow old."""

    def __init__(self, database: Database, clock: Clock, *, bounds: StreamBounds = _BOUNDS) -> None:
        self._database = database
        self._clock = clock
        self._bounds = bounds
        self._bell = Bell(database)
        self._epochs: dict[str, str | None] = {}  # of those that were looked at last
        schema = database.schema
        self._claim_sql = f"SELECT * FROM {schema}.claim_stream($1, $2, $3, $4, $5)"
        self._commit_sql = f"SELECT {schema}.commit_streams({', '.join(f'${n}' for n in range(1, 16))})"
        self._tail_sql = f"SELECT * FROM {schema}.tail_of($1, $2, $3)"
        self._newer_sql = (
            "SELECT c.id, s.epoch AS known, t.*"
            " FROM unnest($1::text[], $2::bigint[], $4::text[]) AS c(id, after, epoch)"
            f" LEFT JOIN {schema}.streams AS s ON s.session_id = c.id"
            f" LEFT JOIN LATERAL {schema}.tail_of(c.id, c.after, $3) AS t"
            " ON s.top <> c.after OR s.epoch <> c.epoch"
            " WHERE s.session_id IS NULL OR s.top <> c.after OR s.epoch IS DISTINCT FROM c.epoch"
        )
        self._record_sql = (
            "SELECT s.record_top, s.truncated, e.seqs, e.datas"
            f" FROM {schema}.streams AS s,"
            " LATERAL (SELECT array_agg(o.seq) AS seqs, array_agg(o.data) AS datas"
            f" FROM (SELECT seq, data FROM {schema}.entries"
            " WHERE session_id = $1 AND recorded AND seq > $2 ORDER BY seq LIMIT $3) AS o) AS e"
            " WHERE s.session_id = $1"
        )
        self._snapshot_sql = f"SELECT snapshot FROM {schema}.streams WHERE session_id = $1"
        self._forget_sql = f"SELECT {schema}.forget_stream($1)"

    async def close(self) -> None:
        """Listen for no more commits."""
        await self._bell.close()

    async def claim(self, session_id: str, node_id: str, turn: int = 0, epoch: str | None = None) -> Claim:
        row = await self._database.fetchrow(
            self._claim_sql,
            *(column(session_id), column(node_id), whole(turn), epoch or token_urlsafe(9), self._horizon),
        )
        assert row is not None
        if row["gen"] is None:
            raise Superseded
        previous = row["previous"]
        return Claim(
            row["epoch"],
            row["gen"],
            _tail(row),
            row["snapshot"],
            None if previous is None else original(previous),
        )

    async def commit(self, commits: Sequence[Commit]) -> Sequence[Committed]:
        outcomes: list[Committed] = []
        for start in range(0, len(commits), _AT_ONCE):
            outcomes += await self._commit(commits[start : start + _AT_ONCE])
        return outcomes

    async def _commit(self, commits: Sequence[Commit]) -> Sequence[Committed]:
        ids: list[str] = []
        epochs: list[str | None] = []
        nodes: list[str | None] = []
        gens: list[int] = []
        snapshots: list[bytes | None] = []
        firsts: list[int] = []
        counts: list[int] = []
        holes: list[bool] = []
        finals: list[bool] = []
        ats: list[float] = []
        datas: list[bytes] = []
        for one in commits:
            entries = one.entries
            ids.append(column(one.session_id))
            epochs.append(one.epoch)
            nodes.append(None if one.node is None else column(one.node))
            gens.append(whole(one.gen))
            snapshots.append(one.snapshot)
            firsts.append(_first(entries))
            counts.append(len(entries))
            holes.append(one.after_hole)
            for entry in entries:
                finals.append(entry.final)
                ats.append(entry.at)
                datas.append(entry.encoded(Encoding.MSGPACK))
        bounds = self._bounds
        results = await self._database.fetchval(
            self._commit_sql,
            *(ids, epochs, nodes, gens, snapshots, firsts, counts, holes, finals, ats, datas),
            *(bounds.events, bounds.bytes, self._horizon, bounds.record_bytes),
        )
        return [_OUTCOMES[one] for one in results]

    @property
    def _horizon(self) -> float:
        return self._clock.monotonic() - self._bounds.seconds

    async def tail(self, session_id: str, after: int) -> Tail:
        row = await self._database.fetchrow(self._tail_sql, column(session_id), whole(after), self._horizon)
        if row is None:
            raise UnknownSession
        return _tail(row)

    async def newer(self, cursors: Mapping[str, int], wait_s: float) -> Mapping[str, Tail | None]:
        names = {column(one): one for one in cursors}
        places = [whole(one) for one in cursors.values()]
        loop = asyncio.get_running_loop()
        until = loop.time() + wait_s
        while True:
            async with self._bell.expecting(names) as news:
                found = await self._look(names, places)
                left = until - loop.time()
                if found or left <= 0:
                    return found
                await self._bell.wait(news, left)

    async def _look(self, names: Mapping[str, str], places: Sequence[int]) -> Mapping[str, Tail | None]:
        """A top before the cursor, or another epoch than at the last look, is news too: history was lost."""
        if not names:
            return {}
        epochs = {one: self._epochs.get(one) for one in names}
        rows = await self._database.fetch(
            self._newer_sql, list(names), places, self._horizon, list(epochs.values())
        )
        found: dict[str, Tail | None] = {}
        for row in rows:
            name = row["id"]
            epochs[name] = row["known"]
            if row["known"] is None:
                found[names[name]] = None
            elif row["epoch"] is not None:
                found[names[name]] = _tail(row)
        self._epochs = epochs
        return found

    async def record(self, session_id: str, after: int = 0, limit: int = 1_000) -> RecordPage:
        row = await self._database.fetchrow(
            self._record_sql, column(session_id), whole(after), max(whole(limit), 0)
        )
        if row is None:
            raise UnknownSession
        kept = map(Recorded, row["seqs"] or (), row["datas"] or ())
        return RecordPage(list(kept), row["record_top"], row["truncated"])

    async def snapshot(self, session_id: str) -> bytes | None:
        found: bytes | None = await self._database.fetchval(self._snapshot_sql, column(session_id))
        return found

    async def forget(self, session_id: str) -> None:
        await self._database.fetchval(self._forget_sql, column(session_id))


def _first(entries: Sequence[Entry]) -> int:
    """Number of the first; what has holes begins nowhere."""
    if not entries:
        return 0
    first = entries[0].seq
    contiguous = all(entry.seq == first + n for n, entry in enumerate(entries))
    return whole(first) if contiguous else -1


def _tail(row: Row) -> Tail:
    first = row["first"]
    entries: list[Entry] = []
    if first is not None:
        together = zip(row["finals"], row["ats"], row["datas"], strict=True)
        entries = [Entry.kept(first + n, *one) for n, one in enumerate(together)]
    return Tail(row["epoch"], row["oldest"], row["top"], entries)

"""Streams: each has one writer, which the server itself fences, and any number of readers."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from secrets import token_urlsafe
from typing import Any, Final

from gateway.clock import Clock
from gateway.sessions.ports import Recorded, RecordPage, Tail, UnknownSession
from gateway.sessions.shared import Claim, Commit, Committed, StreamBounds, Superseded
from gateway.stores.valkey import rows
from gateway.stores.valkey.connection import Request, ValkeyConnection, request
from gateway.stores.valkey.follower import Follower
from gateway.stores.valkey.keys import safe
from gateway.stores.valkey.reading import Reader

_BOUNDS: Final = StreamBounds()
_RECORDED: Final = 200
"""Events of a record read at once: some 100 KB."""
_REMEMBERED_MS: Final = 3_600_000
"""For so long the writer of a forgotten stream is told that it was."""
_COMMITS: Final = 200
"""Commits sent at once: some 400 KB, and two milliseconds of the loop."""


class ValkeyStreamStore:
    """Streams by session, with a time to live that claims and commits renew.

    `clock` tells the cluster's time, by which events grow old.
    """

    def __init__(
        self,
        connection: ValkeyConnection,
        clock: Clock,
        *,
        bounds: StreamBounds = _BOUNDS,
        ttl_s: float = 86_400.0,
    ) -> None:
        self._connection = connection
        self._keys = connection.keys
        self._clock = clock
        self._bounds = bounds
        self._ttl_ms = int(ttl_s * 1_000)
        self._reader = Reader(connection, clock, bounds.seconds)
        self._follower = Follower(connection, self._reader)

    async def claim(self, session_id: str, node_id: str, turn: int = 0, epoch: str | None = None) -> Claim:
        if not safe(session_id):
            raise ValueError("a session's id must be base64url")
        reply = await self._connection.call(
            "claim",
            self._keys.stream(session_id),
            node_id.encode(),
            b"%d" % turn,
            (epoch or token_urlsafe(9)).encode(),
            b"%d" % self._ttl_ms,
            *self._reader.bounds(),
        )
        if reply is None:
            raise Superseded
        gen, node, snapshot, said = reply
        tail = (await self._reader.whole(session_id, 0, said)).tail
        return Claim(tail.epoch, gen, tail, snapshot, node.decode() or None)

    async def commit(self, commits: Sequence[Commit]) -> Sequence[Committed]:
        """As the port says, with one round trip for each `_COMMITS` of them."""
        now = self._clock.monotonic()
        done: list[Committed] = []
        for first in range(0, len(commits), _COMMITS):
            done += await self._commit(commits[first : first + _COMMITS], now)
        return done

    async def _commit(self, commits: Sequence[Commit], now: float) -> Sequence[Committed]:
        done = [Committed.UNKNOWN] * len(commits)
        requests: list[Request] = []
        asked: list[int] = []
        for number, one in enumerate(commits):
            if any(later.seq != earlier.seq + 1 for earlier, later in pairwise(one.entries)):
                done[number] = Committed.MISPLACED
            elif safe(one.session_id):
                asked.append(number)
                requests.append(self._request(one, now))
        for number, reply in zip(asked, await self._connection.many(requests), strict=True):
            done[number] = Committed(reply.decode())
        return done

    async def tail(self, session_id: str, after: int) -> Tail:
        if not safe(session_id):
            raise UnknownSession
        (found,) = await self._reader.tails({session_id: after})
        if found is None:
            raise UnknownSession
        return found.tail

    async def newer(self, cursors: Mapping[str, int], wait_s: float) -> Mapping[str, Tail | None]:
        return await self._follower.newer(cursors, wait_s)

    async def record(self, session_id: str, after: int = 0, limit: int = 1_000) -> RecordPage:
        found: list[Recorded] = []
        while True:
            wanted = min(limit - len(found), _RECORDED)
            full, top, some = await self._record(session_id, found[-1].seq if found else after, wanted)
            found += rows.recorded(some)
            if len(some) < wanted or len(found) >= limit:
                return RecordPage(found, int(top), full == b"1")

    async def snapshot(self, session_id: str) -> bytes | None:
        if not safe(session_id):
            return None
        _, meta, _ = self._keys.stream(session_id)
        (kept,) = await self._connection.many([(meta, (b"HGET", meta, b"snap"))])
        found: bytes | None = kept
        return found

    async def forget(self, session_id: str) -> None:
        if safe(session_id):
            keys = self._keys.stream(session_id)
            await self._connection.call("forget", keys, b"%d" % _REMEMBERED_MS)

    def _request(self, commit: Commit, now: float) -> Request:
        return request(
            "commit",
            self._keys.stream(commit.session_id),
            rows.commit_head(commit, now, self._ttl_ms, self._bounds),
            commit.snapshot or b"",
            (commit.epoch or "").encode(),
            (commit.node or "").encode(),
            *map(rows.packed, commit.entries),
        )

    async def _record(self, session_id: str, after: int, limit: int) -> Any:
        if not safe(session_id):
            raise UnknownSession
        _, meta, record = self._keys.stream(session_id)
        args = b"%d" % max(after, 0), b"%d" % limit
        said = await self._connection.call("record", [meta, record], *args, read=True)
        if said is None:
            raise UnknownSession
        return said

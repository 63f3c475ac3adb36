"""Waiting for what is new in many streams at once."""

import asyncio
from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

from gateway.sessions.ports import Tail
from gateway.stores.valkey.connection import Request, ValkeyConnection
from gateway.stores.valkey.keys import safe
from gateway.stores.valkey.reading import Reader

CHECK_S: Final = 2.0
"""A stream that is gone, which no server tells of by itself, is found out within so many seconds."""
POLL_S: Final = 0.1
"""On a cluster no command waits for keys of many slots: each is asked so often, in seconds."""
_PACE_S: Final = 0.01
"""Between two waits, so that events of many streams come together: each costs the server a step a stream."""
_MOST: Final = 10_000


class _Place(NamedTuple):
    """Where a stream was left."""

    epoch: str
    cursor: int
    place: bytes
    """The id to wait behind."""
    looked_at: float


class Follower:
    """Waits on one connection for all the readers of a node, and reads only those streams that have moved."""

    def __init__(self, connection: ValkeyConnection, reader: Reader) -> None:
        self._connection = connection
        self._reader = reader
        self._places: dict[str, _Place] = {}
        self._last = float("-inf")

    async def newer(self, cursors: Mapping[str, int], wait_s: float) -> Mapping[str, Tail | None]:
        """As `StreamStore.newer`."""
        clock = asyncio.get_running_loop()
        deadline = clock.time() + wait_s
        unknown: dict[str, Tail | None] = dict.fromkeys(one for one in cursors if not safe(one))
        if unknown:
            return unknown
        while True:
            found = await self._look(cursors, self._due(cursors, clock.time()))
            left = deadline - clock.time()
            if found or left <= 0:
                return found
            if not cursors:
                await asyncio.sleep(left)
                continue
            await self._paced(min(left, _PACE_S))
            moved = await self._moved(cursors, min(max(deadline - clock.time(), 0.001), CHECK_S))
            self._last = clock.time()
            found = await self._look(cursors, moved)
            if found:
                return found

    def _due(self, cursors: Mapping[str, int], now: float) -> Iterable[str]:
        """Those to look at now: where the cursor isn't where it was left, or that was too long ago."""
        for session_id, cursor in cursors.items():
            kept = self._places.get(session_id)
            if kept is None or kept.cursor != cursor or now - kept.looked_at >= CHECK_S:
                yield session_id

    async def _look(self, cursors: Mapping[str, int], whom: Iterable[str]) -> dict[str, Tail | None]:
        """What is new in some streams."""
        asked = {one: cursors[one] for one in whom}
        if not asked:
            return {}
        now = asyncio.get_running_loop().time()
        found: dict[str, Tail | None] = {}
        if len(self._places) > _MOST + len(cursors):
            self._places = {one: kept for one, kept in self._places.items() if one in cursors}
        for (session_id, cursor), stretch in zip(asked.items(), await self._reader.tails(asked), strict=True):
            if stretch is None:
                self._places.pop(session_id, None)
                found[session_id] = None
                continue
            tail = stretch.tail
            kept = self._places.get(session_id)
            self._places[session_id] = _Place(tail.epoch, max(cursor, tail.top), stretch.place, now)
            # A top before the cursor, or another epoch: history was lost, and the reader must hear of it.
            if tail.top != cursor or (kept is not None and kept.epoch != tail.epoch):
                found[session_id] = tail
        return found

    async def _moved(self, cursors: Mapping[str, int], wait_s: float) -> list[str]:
        """Which streams have something behind the ids kept; none where nothing came in time."""
        ahead = list(self._due(cursors, float("-inf")))
        if ahead:
            return ahead  # somebody else, who follows the same streams, has looked meanwhile
        if self._connection.clustered:
            await asyncio.sleep(min(wait_s, POLL_S))
            asked = [self._request([one]) for one in cursors]
            replies = await self._connection.many(asked)
            return [one for one, reply in zip(cursors, replies, strict=True) if reply]
        waiting = self._request(list(cursors), b"BLOCK", b"%d" % max(1, round(wait_s * 1_000)))
        (reply,) = await self._connection.wait([waiting], wait_s)
        logs = {self._connection.keys.stream(one)[0]: one for one in cursors}
        return [logs[log] for log, _ in reply or ()]

    def _request(self, session_ids: list[str], *options: bytes) -> Request:
        logs = [self._connection.keys.stream(one)[0] for one in session_ids]
        places = [self._places[one].place for one in session_ids]
        return logs[0], (b"XREAD", b"COUNT", b"1", *options, b"STREAMS", *logs, *places)

    async def _paced(self, most_s: float) -> None:
        wait_s = self._last + _PACE_S - asyncio.get_running_loop().time()
        if wait_s > 0:
            await asyncio.sleep(min(wait_s, most_s))

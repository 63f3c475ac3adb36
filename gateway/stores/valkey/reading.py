"""Reading stretches of streams, a slice at a time: no reply is long, and no turn of the loop either."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from gateway.clock import Clock
from gateway.sessions.ports import Tail
from gateway.stores.valkey import rows
from gateway.stores.valkey.connection import Request, ValkeyConnection, request

_SLICE: Final = 100
"""Rows of one stream read at once: some 50 KB, and half a millisecond of decoding."""
_STREAMS: Final = 100
_FIRST: Final = 10
"""Streams asked at once, and rows of each for a beginning: most have none or one."""

_BEGINNING: Final = b"0-0"


@dataclass(frozen=True, slots=True)
class Stretch:
    """What was read of a stream."""

    tail: Tail
    place: bytes
    """The id of the newest row, which to wait behind."""


class Reader:
    """Reads streams; events older than `seconds` of the cluster's time count as gone, but for the newest."""

    def __init__(self, connection: ValkeyConnection, clock: Clock, seconds: float) -> None:
        self._connection = connection
        self._clock = clock
        self._seconds = seconds

    def bounds(self, limit: int = _SLICE) -> tuple[bytes, bytes]:
        """What each call that reads is told: how many rows, and the oldest time that counts."""
        return b"%d" % limit, repr(self._clock.monotonic() - self._seconds).encode()

    async def tails(self, cursors: Mapping[str, int]) -> list[Stretch | None]:
        """What is held after each session's cursor, in their order; None where there is no stream."""
        found: list[Stretch | None] = []
        asked = list(cursors.items())
        limit = _SLICE if len(asked) == 1 else _FIRST
        for first in range(0, len(asked), _STREAMS):
            some = asked[first : first + _STREAMS]
            replies = await self._connection.many([self._request(*one, limit) for one in some])
            for (session_id, after), said in zip(some, replies, strict=True):
                found.append(None if said is None else await self.whole(session_id, after, said))
            await asyncio.sleep(0)
        return found

    async def whole(self, session_id: str, after: int, said: Any) -> Stretch:
        """The stretch after `after` whose beginning is `said`, up to what was the top then."""
        epoch, oldest, top, place, some = said
        found = list(rows.entries(some, after, top))
        wanted = max(after + 1, oldest)
        if found and found[0].seq != wanted:
            oldest = found[0].seq
        reached = found[-1].seq if found else max(after, oldest - 1)
        while some and reached < top:
            (said,) = await self._connection.many([self._request(session_id, reached)])
            if said is None or said[0] != epoch:
                break  # forgotten meanwhile: the next look will tell
            some = said[4]
            more = list(rows.entries(some, reached, top))
            if more and more[0].seq != reached + 1:
                # Trimmed away faster than it was read.
                found, oldest = [], more[0].seq
            found += more
            reached = found[-1].seq if found else top
        if reached < top:
            top, place = reached, _BEGINNING
        return Stretch(Tail(epoch.decode(), oldest, top, found), place)

    def _request(self, session_id: str, after: int, limit: int = _SLICE) -> Request:
        log, meta, _ = self._connection.keys.stream(session_id)
        return request("tail", [log, meta], b"%d" % max(after, 0), *self.bounds(limit), read=True)

"""Where the stories come from: a session and its record, read whole from the stores."""

import asyncio
from collections.abc import Callable, Mapping
from typing import TypeAlias

from gateway.sessions.ports import EventStore, Recorded, UnknownSession
from gateway.sessions.service import SessionService
from gateway.tasks.worker import Material

_PAGE = 1_000

CountsOf: TypeAlias = Callable[[str], Mapping[str, int] | None]
"""The statistics of a session that is live here, by id; None where it is not."""


class Archive:
    """Reads sessions as they are now, live ones too."""

    def __init__(self, service: SessionService, events: EventStore, counts_of: CountsOf) -> None:
        self._service = service
        self._events = events
        self._counts_of = counts_of

    async def read(self, session_id: str) -> Material:
        """The session's record so far; nothing is decoded here. One that nobody came to has none.

        Raises:
            NotFound: there is no such session any more.
        """
        session = await self._service.get(session_id)
        entries: list[Recorded] = []
        truncated = False
        try:
            while True:
                page = await self._events.record(session_id, entries[-1].seq if entries else 0, _PAGE)
                entries += page.entries
                truncated = page.truncated
                if len(page.entries) < _PAGE:
                    break
                await asyncio.sleep(0)
        except UnknownSession:
            pass
        # Last, so that the counts cover what was read.
        counts = self._counts_of(session_id) or session.counts
        return Material(session, tuple(entries), counts, truncated)

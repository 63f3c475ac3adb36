"""Where the stories come from: a session and its record, read whole from the stores."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Final, TypeAlias

from gateway.sessions.model import Session
from gateway.sessions.ports import EventStore, Recorded, UnknownSession
from gateway.sessions.service import SessionService
from gateway.tasks.tickets import Basis
from gateway.tasks.worker import Material

_PAGE = 1_000
_END: Final = 2**53
"""After any event."""

CountsOf: TypeAlias = Callable[[str], Mapping[str, int] | None]
"""The statistics of a session that is live here, by id; None where it is not."""


class Archive:
    """Reads sessions as they are now, live ones too."""

    def __init__(self, service: SessionService, events: EventStore, counts_of: CountsOf) -> None:
        self._service = service
        self._events = events
        self._counts_of = counts_of

    async def read(self, session_id: str, basis: Basis | None = None) -> Material:
        """The session's record so far; nothing is decoded here. One that nobody came to has none.

        Args:
            basis: read the session as it was then, not as it is now.

        Raises:
            NotFound: there is no such session any more.
        """
        session = await self._service.get(session_id)
        entries, truncated = await self._record(session_id, _END if basis is None else basis.upto)
        if basis is not None:
            session = replace(session, status=basis.status, config=basis.config)
            return Material(session, tuple(entries), basis.counts, basis.truncated)
        # Last, so that the counts cover what was read.
        counts = self._counts_of(session_id) or session.counts
        return Material(session, tuple(entries), counts, truncated)

    async def _record(self, session_id: str, upto: int) -> tuple[list[Recorded], bool]:
        entries: list[Recorded] = []
        truncated = False
        try:
            while True:
                page = await self._events.record(session_id, entries[-1].seq if entries else 0, _PAGE)
                entries += (entry for entry in page.entries if entry.seq <= upto)
                truncated = page.truncated
                if len(page.entries) < _PAGE or page.entries[-1].seq >= upto:
                    break
                await asyncio.sleep(0)
        except UnknownSession:
            pass
        return entries, truncated


async def basis_of(
    session: Session, events: EventStore, counts_now: Callable[[Session], Awaitable[Mapping[str, int]]]
) -> Basis:
    """What a task of `session` is to be made out of that is taken on now.

    Args:
        counts_now: the statistics of a session, wherever it is live.
    """
    try:
        page = await events.record(session.id, _END, 1)
    except UnknownSession:
        upto, truncated = 0, False
    else:
        upto, truncated = page.top, page.truncated
    # Last, so that they cover what was read.
    counts = await counts_now(session)
    return Basis(upto, truncated, session.status, session.config, dict(counts))

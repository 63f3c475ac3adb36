"""Tickets in the store that nodes share; while that is away, in this node's memory, and good for it only."""

import contextlib
from typing import Final

from gateway.errors import StoreUnavailable
from gateway.sessions.ports import TicketGrant, TicketStore


class HybridTicketStore:
    """Tickets of a shared store, with another one for the time that it is away.

    A ticket lives in one of them, so it is used once whichever is asked.
    """

    def __init__(self, shared: TicketStore, meanwhile: TicketStore) -> None:
        self._shared: Final = shared
        self._meanwhile: Final = meanwhile

    async def issue(self, ticket_hash: str, grant: TicketGrant) -> None:
        try:
            await self._shared.issue(ticket_hash, grant)
        except StoreUnavailable:
            await self._meanwhile.issue(ticket_hash, grant)

    async def redeem(self, ticket_hash: str, now: float) -> TicketGrant | None:
        found = await self._meanwhile.redeem(ticket_hash, now)
        if found is None:
            return await self._shared.redeem(ticket_hash, now)
        with contextlib.suppress(StoreUnavailable):  # it may have it, too, and only the answer got lost
            await self._shared.redeem(ticket_hash, now)
        return found

    async def revoke(self, session_id: str) -> None:
        await self._meanwhile.revoke(session_id)
        await self._shared.revoke(session_id)

    async def purge(self, now: float) -> int:
        return await self._meanwhile.purge(now) + await self._shared.purge(now)

"""Tickets by hash. All of them are one hash tag's: issuing and redeeming are rare, and each is one step."""

from typing import Final

from gateway.sessions.ports import TicketGrant
from gateway.sessions.tickets import Role
from gateway.stores.valkey.connection import ValkeyConnection
from gateway.stores.valkey.keys import safe

_PURGED_AT_ONCE: Final = 1_000


class ValkeyTicketStore:
    """At most `capacity` tickets, `per_session` of one session; past either the oldest goes.

    They expire by the cluster's time, which the callers bring along, not by the server's clock; what nobody
    purges goes `ttl_s` after the last ticket was issued.
    """

    def __init__(
        self,
        connection: ValkeyConnection,
        *,
        capacity: int = 65_536,
        per_session: int = 256,
        ttl_s: float = 86_400.0,
    ) -> None:
        self._connection = connection
        keys = connection.keys
        self._keys = (keys.grants, keys.issued, keys.expiring, keys.by_session)
        self._bounds = (b"%d" % capacity, b"%d" % per_session, b"%d" % (ttl_s * 1_000))
        self.evicted = 0
        """Tickets that went because of a bound."""

    async def issue(self, ticket_hash: str, grant: TicketGrant) -> None:
        if not safe(ticket_hash) or not safe(grant.session_id):
            raise ValueError("a ticket's hash and session must be base64url or hexadecimal")
        session = grant.session_id.encode()
        expires = repr(grant.expires_mono).encode()
        said = b" ".join((session, grant.role.value.encode(), expires))
        self.evicted += await self._connection.call(
            "issue", self._keys, ticket_hash.encode(), said, expires, session, *self._bounds
        )

    async def redeem(self, ticket_hash: str, now: float) -> TicketGrant | None:
        if not safe(ticket_hash):
            return None
        said = await self._connection.call("redeem", self._keys, ticket_hash.encode())
        if said is None:
            return None
        session_id, role, expires = said.decode().split(" ")
        grant = TicketGrant(session_id, Role(role), float(expires))
        return grant if now < grant.expires_mono else None

    async def revoke(self, session_id: str) -> None:
        if safe(session_id):
            await self._connection.call("revoke", self._keys, session_id.encode())

    async def purge(self, now: float) -> int:
        purged = 0
        while True:
            some: int = await self._connection.call(
                "purge", self._keys, repr(now).encode(), b"%d" % _PURGED_AT_ONCE
            )
            purged += some
            if some < _PURGED_AT_ONCE:
                return purged

"""Where tickets are given out and taken in."""

from gateway.clock import Clock
from gateway.errors import Unauthorized
from gateway.sessions.model import Session
from gateway.sessions.ports import TicketGrant, TicketStore
from gateway.sessions.tickets import Role, digest, new_secret, resumes

_NOT_GOOD = "this ticket or token is not good for this session, or not any more"


class TicketDesk:
    """Issues and redeems tickets."""

    def __init__(self, tickets: TicketStore, clock: Clock) -> None:
        self._tickets = tickets
        self._clock = clock

    async def issue(self, session_id: str, role: Role, ttl_s: float) -> str:
        """A ticket, told once: good for one use within `ttl_s` seconds."""
        ticket = new_secret()
        expires = self._clock.monotonic() + ttl_s
        await self._tickets.issue(digest(ticket), TicketGrant(session_id, role, expires))
        return ticket

    async def redeem(self, presented: str, session_id: str, role: Role) -> None:
        """Use up the ticket of this digest.

        Raises:
            Unauthorized: it is none, none of this session, or none for this role.
        """
        grant = await self._tickets.redeem(presented, self._clock.monotonic())
        if grant is None or grant.session_id != session_id:
            raise Unauthorized(_NOT_GOOD)
        if role is Role.OWNER and grant.role is not Role.OWNER:
            raise Unauthorized("this ticket only lets an observer in")

    async def prove(
        self, session: Session | None, session_id: str, role: Role, credential: str
    ) -> str | None:
        """Check a credential where one is needed, before anything is told about the session.

        Returns what is still to be presented at the attach: a resume token, which is replaced there; None for
        a ticket, which is used up by now.

        Raises:
            Unauthorized: it is not good; said of a session that isn't there (`session` is None) in the same
                words.
        """
        presented = digest(credential)
        if session is not None and resumes(session, presented):
            return credential
        await self.redeem(presented, session_id, role)
        return None

    async def purge(self) -> int:
        """Forget tickets that have expired; returns how many that were."""
        return await self._tickets.purge(self._clock.monotonic())

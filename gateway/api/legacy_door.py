"""Who may use the older routes, and which sessions they see."""

from dataclasses import dataclass

from gateway.api import auth
from gateway.api.context import Gateway
from gateway.errors import NotFound
from gateway.sessions.model import Session, Status


@dataclass(frozen=True, slots=True)
class LegacyDoor:
    """The way from an older route to a session."""

    gateway: Gateway

    async def running(self, session_id: str) -> Session:
        """The session, as long as it is not about to end: older clients take any answer for a sign of life.

        Raises:
            Unauthorized: as `auth.legacy`.
            NotFound: there is none, it has ended or begun to, or it is another tenant's.
        """
        session = await self.known(session_id)
        if ended(session):
            raise NotFound
        return session

    async def known(self, session_id: str) -> Session:
        """The session, also where it has ended and can still be read.

        Raises:
            Unauthorized: as `auth.legacy`.
            NotFound: there is none, or it is another tenant's; where keys are on, also one that was made with
                a key: to who only knows its id (an observer, say) it must not become their own.
        """
        who = await auth.legacy(self.gateway)
        session = await self.gateway.service.get(session_id, namespace=who.namespace_id)
        if who.namespace_id is not None and not session.legacy:
            raise NotFound
        return session


def ended(session: Session) -> bool:
    """Whether older clients are told that it is gone."""
    return session.over or session.status is Status.DRAINING

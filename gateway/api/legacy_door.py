"""Who may use the older routes, and which sessions they see."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from gateway.api.context import Gateway
from gateway.errors import NotFound, Unauthorized
from gateway.sessions.model import Session, Status

Tenant: TypeAlias = Callable[[], str | None]
"""The namespace that the older routes serve; None where the gateway needs no keys.

Raises:
    Unauthorized: it needs keys, and the older routes, which know none, serve nobody.
"""


def anybody() -> str | None:
    """The tenant of a gateway without keys."""
    return None


def tenant_of(*, keyed: bool, namespace: str | None) -> Tenant:
    """Whom the older routes serve.

    Args:
        keyed: whether the gateway needs keys.
        namespace: the tenant named for them, if one is; of no effect without keys.
    """

    def named() -> str | None:
        if namespace is None:
            raise Unauthorized("these routes know no keys, and no tenant is named that they serve")
        return namespace

    return named if keyed else anybody


@dataclass(frozen=True, slots=True)
class LegacyDoor:
    """The way from an older route to a session."""

    gateway: Gateway
    tenant: Tenant = anybody

    async def running(self, session_id: str) -> Session:
        """The session, as long as it is not about to end: older clients take any answer for a sign of life.

        Raises:
            Unauthorized: as `Tenant`.
            NotFound: there is none, it has ended or begun to, or it is another tenant's.
        """
        session = await self.known(session_id)
        if ended(session):
            raise NotFound
        return session

    async def known(self, session_id: str) -> Session:
        """The session, also where it has ended and can still be read.

        Raises:
            Unauthorized: as `Tenant`.
            NotFound: there is none, or it is another tenant's.
        """
        return await self.gateway.service.get(session_id, namespace=self.tenant())


def ended(session: Session) -> bool:
    """Whether older clients are told that it is gone."""
    return session.over or session.status is Status.DRAINING

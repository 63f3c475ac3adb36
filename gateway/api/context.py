"""What every route needs, made once by the composition root; and who is let in."""

import math
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from http import HTTPStatus

from gateway.api.origin import OriginPolicy
from gateway.api.problems import Problem
from gateway.clock import Clock
from gateway.live.registry import LiveRegistry
from gateway.sessions.keys import Keyring
from gateway.sessions.limits import Limits
from gateway.sessions.ports import EventStore
from gateway.sessions.service import Created, NewSession, SessionService
from gateway.settings import Settings
from gateway.tasks.desk import TaskDesk
from gateway.tasks.service import TaskService
from gateway.telemetry.metrics import Telemetry

RETRY_S = 5
"""Seconds over which refused clients are asked to come back."""
MOST_RETRY_S = 10
"""The same for a node that has been overloaded for long."""

_NO_LIMITS = Limits()


@dataclass(frozen=True, slots=True)
class Readiness:
    """Whether this node should be sent anybody.

    One that is merely overloaded is ready: it refuses new sessions by itself, and whoever comes back to one
    of its sessions must find it.
    """

    ready: bool
    checks: dict[str, str]
    """What was looked at, and what it said."""


@dataclass(frozen=True, slots=True)
class Gateway:
    """The running gateway, as its routes see it."""

    settings: Settings
    clock: Clock
    service: SessionService
    events: EventStore
    live: LiveRegistry
    tasks: TaskService
    """Those of this node, and what they made."""
    desk: TaskDesk
    """Those of all nodes."""
    telemetry: Telemetry
    origins: OriginPolicy
    readiness: Callable[[], Readiness]
    census: Callable[[], Awaitable[None]]
    """Looks at what is there now, so that the metrics can tell."""
    lateness: Callable[[], float]
    """For how many seconds windows have waited too long for the classifier, until now; where namespaces have
    several, for the one that is best in time."""
    lateness_of: Callable[[str | None], float] = lambda _: 0.0
    """The same for the classifier of a namespace's new sessions."""
    draining: Callable[[], bool] = lambda: False
    """Whether the node is going away."""
    keys: Callable[[], Awaitable[Keyring]] | None = None
    """Who is let in, as of now; None in open mode, where a session's id is the permission."""
    jitter: random.Random = field(default_factory=random.Random)

    def refusal_of_new(self) -> Problem | None:
        """Why a new session is not let in now, if so. Coming back to one is refused only while draining."""
        if self.draining():
            return self._come_later("draining", "this node is going away", RETRY_S)
        if self.live.places.full:
            return self._come_later("overloaded", "this node holds as many sessions as it may", RETRY_S)
        return self._refusal_of_late(self.lateness())

    def _refusal_of_late(self, late: float) -> Problem | None:
        if late >= self.settings.admission_late_s:
            # The longer it has been late, the longer it will be: who is refused comes back over a wider span.
            within_s = max(RETRY_S, min(math.ceil(late), MOST_RETRY_S))
            return self._come_later("overloaded", "this node has more to listen to than it can", within_s)
        return None

    def refusal_of_task(self) -> Problem | None:
        """Why background work is not taken on now, if so: it would go with the node before it is fetched."""
        if self.draining():
            return self._come_later("draining", "this node is going away", RETRY_S)
        return None

    async def create(self, wanted: NewSession, limits: Limits = _NO_LIMITS) -> Created:
        """Make a session, if there is room: its place is taken before anything is awaited.

        Raises:
            Problem: it is not let in.
            LimitExceeded: its user, or its namespace, has as many as the limit allows.
        """
        refusal = self.refusal_of_new() or self._refusal_of_late(self.lateness_of(wanted.namespace_id))
        if refusal is not None:
            raise refusal
        with self.live.places.promise() as promised_to:
            created = await self.service.create(wanted, limits)
            promised_to(created.session.id)
        return created

    def _come_later(self, code: str, detail: str, within_s: int) -> Problem:
        """When to try again is spread, or all who are refused come back at once."""
        after = str(self.jitter.randint(1, within_s))
        return Problem(HTTPStatus.SERVICE_UNAVAILABLE, code, detail, headers={"retry-after": after})

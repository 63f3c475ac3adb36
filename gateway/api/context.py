"""What every route needs, made once by the composition root."""

import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from http import HTTPStatus

from gateway.api.origin import OriginPolicy
from gateway.api.problems import Problem
from gateway.clock import Clock
from gateway.live.registry import LiveRegistry
from gateway.sessions.ports import EventStore
from gateway.sessions.service import SessionService
from gateway.settings import Settings
from gateway.telemetry.metrics import Telemetry


@dataclass(frozen=True, slots=True)
class Readiness:
    """Whether this node takes new sessions."""

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
    telemetry: Telemetry
    origins: OriginPolicy
    readiness: Callable[[], Readiness]
    census: Callable[[], Awaitable[None]]
    """Looks at what is there now, so that the metrics can tell."""
    jitter: random.Random = field(default_factory=random.Random)

    @property
    def full(self) -> bool:
        """Whether the node holds as many live sessions as it is set to."""
        return len(self.live) >= self.settings.max_sessions

    def no_room(self) -> Problem:
        """What a new session is told by a full node; when to try again is spread, or all come at once."""
        return Problem(
            HTTPStatus.SERVICE_UNAVAILABLE,
            "overloaded",
            "this node holds as many sessions as it may",
            headers={"retry-after": str(self.jitter.randint(1, 5))},
        )

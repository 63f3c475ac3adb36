"""What every route needs, made once by the composition root."""

import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from gateway.api.origin import OriginPolicy
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

    def retry_after(self) -> int:
        """Seconds after which a refused client may try again, spread so that they don't come all at once."""
        return self.jitter.randint(1, 5)

"""How many sessions a user and a namespace may have. Counting and creating are one atomic step of the store
(`Quota`)."""

from collections.abc import Iterable
from dataclasses import dataclass

from gateway.sessions.model import Session, Status, Timers
from gateway.sessions.ports import Quota

_SOONEST_S = 1.0
"""Seconds: nobody is asked to come back sooner."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How many sessions that are not over there may be at once; None means any number."""

    max_sessions: int | None = None
    """Of a namespace, whoever its users are."""
    max_sessions_per_user: int | None = None
    """Of one `user_id` in a namespace; those without one are one user together."""

    def or_else(self, default: "Limits") -> "Limits":
        """These, and `default` where they leave something open."""
        return Limits(
            self.max_sessions if self.max_sessions is not None else default.max_sessions,
            self.max_sessions_per_user
            if self.max_sessions_per_user is not None
            else default.max_sessions_per_user,
        )


def quotas_for(session: Session, limits: Limits) -> tuple[Quota, ...]:
    """What a new session has to fit in; nothing without a limit, or with nobody to count for."""
    quotas: list[Quota] = []
    somebody = session.namespace_id is not None or session.user_id is not None
    if limits.max_sessions_per_user is not None and somebody:
        quotas.append(Quota(session.namespace_id, session.user_id, limits.max_sessions_per_user))
    if limits.max_sessions is not None and session.namespace_id is not None:
        quotas.append(Quota(session.namespace_id, None, limits.max_sessions, everybody=True))
    return tuple(quotas)


def retry_after(sessions: Iterable[Session], now: float, timers: Timers) -> float:
    """Seconds until the first of a user's `sessions` may be over by itself; at least one second."""
    waits = [left for one in sessions if (left := _left(one, now, timers)) is not None]
    return max(min(waits, default=_SOONEST_S), _SOONEST_S)


def _left(session: Session, now: float, timers: Timers) -> float | None:
    match session.status:
        case Status.CREATED:
            return session.created_mono + timers.connect_deadline_s - now
        case Status.DETACHED:
            return (session.detached_mono or session.created_mono) + timers.detached_ttl_s - now
        case Status.LIVE:
            return timers.idle_ttl_s
        case Status.DRAINING:
            return _SOONEST_S
        case _:
            return None

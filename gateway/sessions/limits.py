"""How many sessions a user may have. Counting and creating are one atomic step of the store (`Quota`)."""

from collections.abc import Iterable

from gateway.sessions.model import Session, Status, Timers
from gateway.sessions.ports import Quota

_SOONEST_S = 1.0
"""Seconds: nobody is asked to come back sooner."""


def quota_for(session: Session, max_sessions_per_user: int | None) -> Quota | None:
    """What a new session has to fit in; nothing without a limit, or without a user to count for."""
    if max_sessions_per_user is None or session.user_id is None:
        return None
    return Quota(session.namespace_id, session.user_id, max_sessions_per_user)


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

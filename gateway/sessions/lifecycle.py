"""The life of a session, as one table.

A session is *created* and waits for its owner. With an owner it is *live*; without one, but with somebody
who watches or may come back, it is *detached*. Both go on where they were: audio position, events and
settings are the session's, not the socket's. When it is to end, by the client's wish, because nothing was
heard for too long or because its time is up, it is *draining*: no more audio is taken, and what was taken is
classified. Then it is *closed*. A session that nobody came to, or back to, is *expired*; one whose node was
lost is *failed*. These three are terminal: nothing leads out of them.

Draining is left backwards in one case only. Idleness is decided first and acted upon after the store has it,
and in between somebody may have spoken: then the session is live again (`revive`).

Whoever attaches to a draining session may read what is still to come, the summary included, so neither that
nor losing a socket changes its status. Deletion is no transition: the session and all it held are gone.

All of it is pure. `step` moves a status, `advance` a whole session, and `due` says what time has brought.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from types import MappingProxyType
from typing import Any

from gateway.sessions.model import TERMINAL, Session, Status, Timers


class Input(StrEnum):
    """What can happen to a session."""

    ATTACH = "attach"
    """An owner attached, in the place of one that was there."""
    LOSE = "lose"
    """The owner's socket is gone."""
    OBSERVE = "observe"
    """An observer came."""
    UNOBSERVE = "unobserve"
    """An observer went."""
    END = "end"
    """Its owner wants it to end."""
    IDLE = "idle"
    """Live, and nothing was heard for too long."""
    REVIVE = "revive"
    """Something was heard before the decision that it is idle was acted upon."""
    DRAINED = "drained"
    """All that was taken has been classified or declared."""
    CONNECT_DEADLINE = "connect_deadline"
    """Nobody attached in time."""
    DETACHED_EXPIRED = "detached_expired"
    """Nobody subscribed for too long."""
    TOTAL_EXPIRED = "total_expired"
    """Its time is up, however lively it is."""
    STALE = "stale"
    """The node that held it has not been heard of for too long."""
    FAIL = "fail"
    """The node that held it is lost."""


TRANSITIONS: Mapping[tuple[Status, Input], Status] = MappingProxyType(
    {
        (Status.CREATED, Input.ATTACH): Status.LIVE,
        (Status.CREATED, Input.OBSERVE): Status.DETACHED,
        (Status.CREATED, Input.END): Status.DRAINING,
        (Status.CREATED, Input.CONNECT_DEADLINE): Status.EXPIRED,
        (Status.CREATED, Input.TOTAL_EXPIRED): Status.EXPIRED,
        (Status.CREATED, Input.STALE): Status.FAILED,
        (Status.CREATED, Input.FAIL): Status.FAILED,
        (Status.LIVE, Input.ATTACH): Status.LIVE,
        (Status.LIVE, Input.LOSE): Status.DETACHED,
        (Status.LIVE, Input.OBSERVE): Status.LIVE,
        (Status.LIVE, Input.UNOBSERVE): Status.LIVE,
        (Status.LIVE, Input.END): Status.DRAINING,
        (Status.LIVE, Input.IDLE): Status.DRAINING,
        (Status.LIVE, Input.TOTAL_EXPIRED): Status.DRAINING,
        (Status.LIVE, Input.STALE): Status.FAILED,
        (Status.LIVE, Input.FAIL): Status.FAILED,
        (Status.DETACHED, Input.ATTACH): Status.LIVE,
        (Status.DETACHED, Input.OBSERVE): Status.DETACHED,
        (Status.DETACHED, Input.UNOBSERVE): Status.DETACHED,
        (Status.DETACHED, Input.END): Status.DRAINING,
        (Status.DETACHED, Input.DETACHED_EXPIRED): Status.EXPIRED,
        (Status.DETACHED, Input.TOTAL_EXPIRED): Status.EXPIRED,
        (Status.DETACHED, Input.STALE): Status.FAILED,
        (Status.DETACHED, Input.FAIL): Status.FAILED,
        (Status.DRAINING, Input.ATTACH): Status.DRAINING,
        (Status.DRAINING, Input.LOSE): Status.DRAINING,
        (Status.DRAINING, Input.OBSERVE): Status.DRAINING,
        (Status.DRAINING, Input.UNOBSERVE): Status.DRAINING,
        (Status.DRAINING, Input.END): Status.DRAINING,
        (Status.DRAINING, Input.REVIVE): Status.LIVE,
        (Status.DRAINING, Input.DRAINED): Status.CLOSED,
        (Status.DRAINING, Input.STALE): Status.FAILED,
        (Status.DRAINING, Input.FAIL): Status.FAILED,
    }
)
"""Where each input leads; what is not here can't happen."""


class IllegalTransition(Exception):
    """An input came that the status has no place for."""

    def __init__(self, status: Status, given: Input) -> None:
        super().__init__(f"{given} can't happen to a session that is {status}")
        self.status = status
        self.given = given


@dataclass(frozen=True, slots=True)
class Activity:
    """What is known of a session that is held here, now."""

    subscribers: int
    """Sockets and observers attached."""
    last_activity: float | None
    """Monotonic seconds: the last audio, ping or control message."""


def step(status: Status, given: Input) -> Status:
    """The status after `given`.

    Raises:
        IllegalTransition: the table has no such edge.
    """
    try:
        return TRANSITIONS[status, given]
    except KeyError:
        raise IllegalTransition(status, given) from None


def advance(session: Session, given: Input, *, now: float, wall: float) -> Session:
    """The session after `given`, its stamps set; the same object where there is nothing to note.

    `now` is monotonic seconds, `wall` seconds since the Unix epoch.

    Raises:
        IllegalTransition: the table has no such edge.
    """
    status = step(session.status, given)
    changes: dict[str, Any] = {}
    if given is Input.ATTACH:
        changes = {"live_mono": now, "attaches": session.attaches + 1}
    elif status is Status.DETACHED:
        changes = {"detached_mono": now}
    elif given is Input.REVIVE:
        changes = {"end_reason": None}
    elif status in TERMINAL:
        changes = {"ended_mono": now, "end_reason": session.end_reason or given.value}
    elif status is Status.DRAINING and session.status is not Status.DRAINING:
        changes = {"end_reason": given.value}
    elif status is session.status:
        return session
    return replace(session, status=status, updated_at=wall, seen_mono=now, **changes)


def due(
    session: Session, now: float, *, subscribers: int, last_activity: float | None, timers: Timers
) -> Input | None:
    """What time has brought to the session by `now` (monotonic seconds), if anything.

    `subscribers` and `last_activity` are those of `Activity`. A draining or terminal session is left alone by
    every timer but the one for lost nodes.
    """
    if session.over:
        return None
    if now - session.seen_mono >= timers.stale_ttl_s:
        return Input.STALE
    if session.status is Status.DRAINING:
        return None
    age = now - session.created_mono
    if session.status is Status.CREATED and age >= timers.connect_deadline_s:
        return Input.CONNECT_DEADLINE
    if age >= timers.session_ttl_s:
        return Input.TOTAL_EXPIRED
    if session.status is Status.DETACHED and not subscribers:
        since = _latest(session, session.detached_mono)
        return Input.DETACHED_EXPIRED if now - since >= timers.detached_ttl_s else None
    if session.status is Status.LIVE:
        since = _latest(session, session.live_mono, session.beat_mono, last_activity)
        return Input.IDLE if now - since >= timers.idle_ttl_s else None
    return None


def expired(session: Session, now: float, *, subscribers: int, timers: Timers) -> Input | None:
    """The timer that ended the session for good by `now`, if one did: tested at each access.

    What only begins to drain a session is not for those who look at it to decide.
    """
    found = due(session, now, subscribers=subscribers, last_activity=now, timers=timers)
    return found if found is not None and step(session.status, found) in TERMINAL else None


def retention_over(session: Session, now: float, timers: Timers) -> bool:
    """Whether a session has been over for so long that it can't be read any more."""
    if not session.over or session.ended_mono is None:
        return False
    return now - session.ended_mono >= timers.closed_retention_s


def diagram() -> str:
    """The table as a Mermaid state diagram. Inputs that leave the status as it is are not drawn."""
    edges: dict[tuple[Status, Status], list[str]] = {}
    for (before, given), after in TRANSITIONS.items():
        if before is not after:
            edges.setdefault((before, after), []).append(given.value)
    lines = ["stateDiagram-v2", f"    [*] --> {Status.CREATED}"]
    lines += [f"    {before} --> {after}: {', '.join(given)}" for (before, after), given in edges.items()]
    lines += [f"    {status} --> [*]" for status in Status if status in TERMINAL]
    return "\n".join(lines) + "\n"


def _latest(session: Session, *stamps: float | None) -> float:
    return max(session.created_mono, *(stamp for stamp in stamps if stamp is not None))

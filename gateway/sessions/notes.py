"""What is noted of a session on its way: checkpoints, and the signs of life of the client's application.

The gateway notes by itself when a session was `created` and `connected`, and each time it was `detached` and
`resumed`; the application notes what it likes, under names of its own. Both are bounded. Of the gateway's own
the first two stay and the newest others; the application is told when there is no more room for its own.
"""

from collections.abc import Mapping
from dataclasses import replace
from enum import StrEnum
from typing import Any

from gateway.clock import Clock
from gateway.errors import Conflict, SessionGone
from gateway.sessions.editor import Editor
from gateway.sessions.model import Checkpoint, Session

MAX_OWN = 32
"""Checkpoints of the gateway's that are kept of one session."""
MAX_GIVEN = 64
"""Checkpoints that an application may set in one session."""
_STAY = 2


class Milestone(StrEnum):
    """What the gateway notes by itself; no name for an application's checkpoint."""

    CREATED = "created"
    CONNECTED = "connected"
    """Its owner came for the first time."""
    DETACHED = "detached"
    """Its owner's socket is gone."""
    RESUMED = "resumed"
    """An owner came again."""


class TooManyCheckpoints(Conflict):
    """The application has set as many as it may."""

    code = "too_many_checkpoints"


def passed(session: Session, milestone: Milestone, wall: float) -> Session:
    """The session with one more milestone behind it; `wall` is seconds since the Unix epoch."""
    points = (*session.checkpoints, Checkpoint(milestone.value, wall))
    own = [one for one in points if one.name in set(Milestone)]
    if len(own) > MAX_OWN:
        oldest = own[_STAY]
        points = tuple(one for one in points if one is not oldest)
    return replace(session, checkpoints=points)


def attached(session: Session, wall: float) -> Session:
    """The session, `attaches` counted already, with its owner's coming noted."""
    first = session.attaches == 1
    return passed(session, Milestone.CONNECTED if first else Milestone.RESUMED, wall)


class Notes:
    """What a client's application has to note."""

    def __init__(self, editor: Editor, clock: Clock) -> None:
        self._editor = editor
        self._clock = clock

    async def mark(
        self, session_id: str, name: str, data: Mapping[str, Any] | None, sample: int | None
    ) -> Checkpoint:
        """Set a checkpoint, at `sample` of the session's audio where that is known.

        Raises:
            NotFound: there is no such session.
            SessionGone: it is over.
            TooManyCheckpoints: there is no room for more.
        """
        made = Checkpoint(name, self._clock.time(), sample, data)

        def decide(session: Session) -> Session:
            if session.over:
                raise SessionGone(session.status)
            given = sum(one.name not in set(Milestone) for one in session.checkpoints)
            if given >= MAX_GIVEN:
                raise TooManyCheckpoints(f"this session has {MAX_GIVEN} checkpoints, as many as allowed")
            return replace(session, checkpoints=(*session.checkpoints, made), updated_at=made.at)

        await self._editor.change(session_id, decide)
        return made

    async def beat(self, session_id: str) -> Session:
        """The client's application is there.

        Raises:
            NotFound: there is no such session.
            SessionGone: it is over.
        """

        def decide(session: Session) -> Session:
            if session.over:
                raise SessionGone(session.status)
            now = self._clock.monotonic()
            return replace(session, beat_at=self._clock.time(), beat_mono=now, seen_mono=now)

        return await self._editor.change(session_id, decide)

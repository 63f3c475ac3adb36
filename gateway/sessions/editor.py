"""Changing sessions in a store that others change too: read, decide, write, and again on conflict."""

import logging
from collections.abc import Callable
from typing import TypeAlias

from gateway.clock import Clock
from gateway.errors import Conflict, NotFound
from gateway.sessions.lifecycle import TRANSITIONS, Input, advance
from gateway.sessions.model import Session
from gateway.sessions.ports import SessionStore

log = logging.getLogger(__name__)

_ATTEMPTS = 100
"""Somebody else gets on with each conflict, so only a defect comes near this."""

Decide: TypeAlias = Callable[[Session], Session]
"""What a session is to become, decided without waiting; what it was given where nothing is to change."""


class Editor:
    """The one way in which sessions are changed."""

    def __init__(self, store: SessionStore, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def change(self, session_id: str, decide: Decide) -> Session:
        """The session as it is now in the store. `decide` is asked anew whenever somebody else wrote first.

        Raises:
            NotFound: there is no such session.
            Conflict: somebody else always wrote first.
            Whatever `decide` raises; nothing is changed then.
        """
        for _ in range(_ATTEMPTS):
            session = await self._store.get(session_id)
            if session is None:
                raise NotFound
            decided = decide(session)
            if decided is session:
                return session
            try:
                return await self._store.update(decided, session.version)
            except Conflict:
                continue
        log.error("a session could not be changed", extra={"session_id": session_id[:8]})
        raise Conflict("too many changes at the same time")

    async def change_if_there(self, session_id: str, decide: Decide) -> Session | None:
        """The same; None where there is no such session."""
        try:
            return await self.change(session_id, decide)
        except NotFound:
            return None

    async def try_advance(self, session: Session, given: Input) -> Session | None:
        """Advance `session` exactly as it was read; None where it has changed since."""
        return await self.try_change(session, self.advance(session, given))

    async def try_change(self, session: Session, changed: Session) -> Session | None:
        """Make of `session`, exactly as it was read, what is `changed`; None where it has changed since."""
        try:
            return await self._store.update(changed, session.version)
        except Conflict:
            return None

    def advance(self, session: Session, given: Input) -> Session:
        """The session after `given`, stamped with the present.

        Raises:
            IllegalTransition: its status has no place for that.
        """
        return advance(session, given, now=self._clock.monotonic(), wall=self._clock.time())

    def if_able(self, given: Input) -> Decide:
        """Decides for `given` where the session's status has a place for it, else for no change."""

        def decide(session: Session) -> Session:
            return self.advance(session, given) if (session.status, given) in TRANSITIONS else session

        return decide

"""Sessions that can't be read, which must keep nobody from the others."""

import contextlib
import logging
from collections.abc import Iterator

from gateway.errors import BadDocument
from gateway.seldom import Seldom

log = logging.getLogger(__name__)


class Unreadable:
    """Passes over what can't be read, and tells each such session once."""

    def __init__(self) -> None:
        self._told = Seldom()

    @contextlib.contextmanager
    def passed_over(self, session_id: str) -> Iterator[None]:
        """What is done within, to one session, ends where it can't be read."""
        try:
            yield
        except BadDocument as error:
            if self._told.due(session_id):
                log.warning("a session was passed over: %s", error, extra={"session_id": session_id[:8]})

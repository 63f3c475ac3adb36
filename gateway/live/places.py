"""Places for sessions on a node: exactly as many as are set, however many clients come at once.

A place is taken before the making of a session begins, since others come while it is waited for. From then on
it is promised to that session for as long as a new one may wait for its first attach, and once that has
happened the session holds it by being live.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from gateway.clock import Clock

GRACE_S = 1.0
"""A promise outlives its session's deadline by so much: an attach at the last moment has its place, too."""


class Places:
    """Counts places. Everything is synchronous, and constant in time but for the promises that lapse.

    Args:
        at_most: sessions.
        patience_s: how long a new session waits for its first attach before it expires.
        live: how many sessions are live.
    """

    def __init__(self, at_most: int, patience_s: float, live: Callable[[], int], clock: Clock) -> None:
        self._at_most = at_most
        self._patience_s = patience_s
        self._live = live
        self._clock = clock
        self._making = 0
        self._promised: OrderedDict[str, float] = OrderedDict()

    @property
    def taken(self) -> int:
        """Places that are promised or held."""
        self._lapse()
        return self._making + len(self._promised) + self._live()

    @property
    def full(self) -> bool:
        """Whether there is none left."""
        return self.taken >= self._at_most

    @contextmanager
    def promise(self) -> Iterator[Callable[[str], None]]:
        """Hold a place while a session is made; yields what to tell its id, or the place is free again.

        Whoever asks looks at `full` first, with nothing awaited in between.
        """
        self._making += 1
        try:
            yield self._keep
        finally:
            self._making -= 1

    def release(self, session_id: str) -> None:
        """The promise is kept, or not needed any more: the session is live, or gone."""
        self._promised.pop(session_id, None)

    def _keep(self, session_id: str) -> None:
        self._promised[session_id] = self._clock.monotonic() + self._patience_s + GRACE_S

    def _lapse(self) -> None:
        """Drop promises that nobody came for. Patience is the same for all, so they stand in order."""
        now = self._clock.monotonic()
        while self._promised:
            session_id, until = next(iter(self._promised.items()))
            if until > now:
                return
            del self._promised[session_id]

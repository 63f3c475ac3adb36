"""A breaker in front of a peer: after failures in a row it is left alone for a while, then tried once.

Everything is decided synchronously, with time out of a clock; there is no task and no timer.
"""

from dataclasses import dataclass

from gateway.clock import Clock


@dataclass(frozen=True, slots=True)
class Permit:
    """A call that was admitted; handed back with what became of it."""

    era: int
    """Which opening or closing it belongs to: what comes later than that says nothing any more."""


class Breaker:
    """Closed (calls pass), open (none do), or half open (one does, and decides).

    Args:
        clock: its monotonic time.
        failures: so many in a row open it.
        rest_s: seconds that the peer is left alone; twice as many each time that the call after it fails.
        longest_s: seconds, the most that it is left alone.
    """

    def __init__(
        self, clock: Clock, *, failures: int = 5, rest_s: float = 2.0, longest_s: float = 30.0
    ) -> None:
        self._clock = clock
        self._most = failures
        self._first_s = rest_s
        self._longest_s = longest_s
        self._failures = 0
        self._rest_s = rest_s
        self._until: float | None = None
        self._probe: Permit | None = None
        self._era = 0

    @property
    def open(self) -> bool:
        """Whether the peer has failed too often, and has not been heard to work since."""
        return self._until is not None

    def admit(self) -> Permit | None:
        """A call may be made now; or None. Each permit is handed back by one of the three calls below."""
        if self._until is None:
            return Permit(self._era)
        if self._probe is not None or self._clock.monotonic() < self._until:
            return None
        self._probe = self._next()
        return self._probe

    def succeeded(self, permit: Permit) -> None:
        """The peer answered."""
        if permit.era != self._era:
            return
        self._failures, self._rest_s = 0, self._first_s
        if self._probe is not None:
            self._until = self._probe = None
            self._next()

    def failed(self, permit: Permit) -> None:
        """The call failed."""
        if permit.era != self._era:
            return
        self._failures += 1
        if self._probe is not None:
            self._rest_s = min(self._longest_s, 2 * self._rest_s)
        elif self._failures < self._most:
            return
        self._until, self._probe = self._clock.monotonic() + self._rest_s, None
        self._next()

    def release(self, permit: Permit) -> None:
        """The call was given up, and says nothing about the peer."""
        if permit is self._probe:
            self._probe = None
            self._next()

    def _next(self) -> Permit:
        """A new era begins."""
        self._era += 1
        return Permit(self._era)

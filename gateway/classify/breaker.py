"""When a peer is not asked any more: after half of its calls failed, until one of them succeeds again.

    closed ──≥ 50 % of ≥ 20 calls in 10 s failed, or tripped──► open ──a second passed──► half-open
      ▲                                                           ▲                          │
      └──────────────────────the probe succeeded──────────────────┼──the probe failed, or────┘
                                                                  │  nobody knows
A probe is one call, and there is one a second at most. Calls are counted by the second. Everything here is
decided synchronously, with time handed in.
"""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

WINDOW_S: Final = 10
"""Seconds that are looked at."""
CALLS: Final = 20
"""Calls in that time below which nothing is decided."""
SHARE: Final = 0.5
"""Share of failures from which on the peer is not asked."""
PROBE_S: Final = 1.0
"""Seconds from one probe to the next."""


class State(StrEnum):
    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


@dataclass(frozen=True, slots=True)
class Permit:
    """A call that was allowed; handed back with what became of it."""

    era: int
    """Which closing or opening it belongs to: what comes later than that counts for nothing."""
    probe: bool = False


@dataclass(slots=True)
class _Second:
    number: int = -1
    calls: int = 0
    failures: int = 0


@dataclass(slots=True)
class Breaker:
    """One peer's."""

    state: State = State.CLOSED
    _era: int = 0
    _probe_at: float = 0.0
    _seconds: list[_Second] = field(default_factory=lambda: [_Second() for _ in range(WINDOW_S)])

    def admits(self, now: float) -> bool:
        """Whether a call may be made now."""
        return self.state is State.CLOSED or (self.state is State.OPEN and now >= self._probe_at)

    def probes(self, now: float) -> bool:
        """Whether a call that is made now is a probe."""
        return self.state is State.OPEN and now >= self._probe_at

    def begin(self, now: float) -> Permit:
        """A call is made; only where `admits`."""
        assert self.admits(now)
        if self.state is State.CLOSED:
            return Permit(self._era)
        self.state = State.HALF_OPEN
        self._probe_at = now + PROBE_S
        return Permit(self._era, probe=True)

    def succeeded(self, permit: Permit, now: float) -> None:
        """The call was answered."""
        if permit.era != self._era:
            return
        if permit.probe:
            self._turn(State.CLOSED)
        elif self.state is State.CLOSED:
            self._second(now).calls += 1

    def failed(self, permit: Permit, now: float) -> None:
        """The call was not answered, or with something that is no answer."""
        if permit.era != self._era:
            return
        if permit.probe:
            self._turn(State.OPEN)
            return
        second = self._second(now)
        second.calls += 1
        second.failures += 1
        calls, failures = self.counted(now)
        if calls >= CALLS and failures >= SHARE * calls:
            self.trip(now)

    def abandoned(self, permit: Permit) -> None:
        """The call was given up before anybody could know."""
        if permit.era == self._era and permit.probe:
            self._turn(State.OPEN)

    def trip(self, now: float) -> None:
        """Open: something else shows that nobody answers there."""
        if self.state is State.CLOSED:
            self._turn(State.OPEN)
            self._probe_at = now + PROBE_S

    def probe_now(self, now: float) -> None:
        """Something else shows that somebody is there again: the next probe needs no waiting."""
        if self.state is State.OPEN:
            self._probe_at = min(self._probe_at, now)

    def counted(self, now: float) -> tuple[int, int]:
        """Calls and failures of the last seconds."""
        oldest = int(now) - WINDOW_S
        recent = [second for second in self._seconds if second.number > oldest]
        return sum(second.calls for second in recent), sum(second.failures for second in recent)

    def _turn(self, state: State) -> None:
        self.state = state
        self._era += 1
        if state is State.CLOSED:
            self._seconds = [_Second() for _ in range(WINDOW_S)]

    def _second(self, now: float) -> _Second:
        number = int(now)
        second = self._seconds[number % WINDOW_S]
        if second.number != number:
            second.number, second.calls, second.failures = number, 0, 0
        return second

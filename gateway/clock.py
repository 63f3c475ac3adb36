"""Time as a dependency: production code never calls `time` itself, so lifecycle tests never sleep."""

import time
from typing import Protocol


class Clock(Protocol):
    """Two clocks: one that only moves forward, one that tells people the date."""

    def monotonic(self) -> float:
        """Seconds from an arbitrary origin; never steps back. Every timer and age is taken from it."""
        ...

    def time(self) -> float:
        """Seconds since the Unix epoch; may step. Only for showing to people."""
        ...


class SystemClock:
    """The operating system's clocks."""

    def monotonic(self) -> float:
        return time.monotonic()

    def time(self) -> float:
        return time.time()


class ManualClock:
    """A clock that moves only when told to."""

    def __init__(self, monotonic: float = 1_000.0, time: float = 1_700_000_000.0) -> None:
        self._monotonic = monotonic
        self._time = time

    def monotonic(self) -> float:
        return self._monotonic

    def time(self) -> float:
        return self._time

    def advance(self, seconds: float) -> None:
        """Move both clocks forward by `seconds`; raises ValueError for a negative step."""
        if seconds < 0:
            raise ValueError("a monotonic clock does not go back")
        self._monotonic += seconds
        self._time += seconds

    def step_wall(self, seconds: float) -> None:
        """Step only the wall clock, as an NTP correction would."""
        self._time += seconds

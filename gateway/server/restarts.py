"""When a process that ended by itself is started again, and when that has no more point."""

from typing import Final

STEADY_S: Final = 60.0
"""Seconds after which a process counts as well, whatever became of those before it."""
MOST: Final = 5
"""Processes at one place that may end sooner, one after the other."""
FIRST_S: Final = 0.5
"""Before the first is replaced; then twice as long each time."""


class Restarts:
    """Of the processes at one place, one after the other."""

    def __init__(self) -> None:
        self._short = 0

    def after(self, lived_s: float) -> float | None:
        """Seconds until the next is started, now that one has ended; None where it has no more point."""
        if lived_s >= STEADY_S:
            self._short = 0
        self._short += 1
        return None if self._short > MOST else FIRST_S * 2.0 ** (self._short - 1)

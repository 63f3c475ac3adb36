"""How often may be asked again: at most once a call, and over all calls at most one time in ten.

A peer that is down or overloaded gets no second helping of the load that it can't take.
"""

from dataclasses import dataclass
from typing import Final

EVERY: Final = 10
"""Calls that earn one retry."""
SAVED: Final = 10
"""Retries that may be saved up."""


@dataclass(slots=True)
class RetryBudget:
    """Earned by calls, spent by retries: never more than a tenth of the calls, and what it began with."""

    _tenths: int = 0

    @classmethod
    def full(cls) -> "RetryBudget":
        """One that begins with as many retries as may be saved up."""
        return cls(EVERY * SAVED)

    def earn(self) -> None:
        """A call is made, the first of its kind."""
        self._tenths = min(self._tenths + 1, EVERY * SAVED)

    def spend(self) -> bool:
        """Whether a call may be made again now; counted if so."""
        if self._tenths < EVERY:
            return False
        self._tenths -= EVERY
        return True

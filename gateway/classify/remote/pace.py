"""How long a sidecar takes for a window, and so how many of them a call may ask about.

One that is slower than its windows come is asked about as many as it can answer in time, and no more: a call
that runs out of time takes all of its windows along, and the sidecar's work on them was for nothing.
"""

import math
from typing import Final

SHARE: Final = 0.5
"""Of the deadline: what a call may be expected to take."""
SLOWER: Final = 0.5
FASTER: Final = 0.125
"""How much of a new observation counts, when it is slower and when it is faster than was thought."""


class Pace:
    """Smoothed seconds a window, as calls to one sidecar took them. Decides only.

    Args:
        deadline_s: how long a batch may take.
    """

    def __init__(self, deadline_s: float) -> None:
        self._share_s = SHARE * deadline_s
        self.window_s = 0.0
        """Seconds; 0 before anything is known."""
        self._fits = 0
        """Windows of the last call, if that was answered well in time."""

    def took(self, windows: int, seconds: float) -> None:
        """A call about so many windows was answered after so long, or had not been by then."""
        self._fits = windows if seconds <= self._share_s else 0
        each = seconds / windows
        weight = SLOWER if each > self.window_s else FASTER
        self.window_s += weight * (each - self.window_s)

    def room(self, left_s: float) -> float:
        """How many windows may be asked about when so many seconds are left; one always, while there is time
        for it.

        Where calls take long however little they ask, more is tried as long as it goes well.
        """
        if not self.window_s:
            return math.inf
        if left_s < min(self.window_s, self._share_s):
            return 0
        fitting = max(1, math.floor(min(self._share_s, left_s) / self.window_s))
        return max(fitting, self._fits + 1) if self._fits and left_s >= self._share_s else fitting

"""How long to wait before trying again: exponential back-off with full jitter.

After M. Brooker, "Exponential Backoff And Jitter" (AWS Architecture Blog, 2015): of the variants compared
there, a wait drawn from all of [0, bound] spreads a crowd of clients best.
"""

from collections.abc import Callable
from random import random

BASE_S = 0.25
"""Seconds; bound of the first wait."""
CAP_S = 10.0
"""Seconds; no wait is longer."""


class Backoff:
    """The waits between attempts. `draw` yields numbers in [0, 1), for tests."""

    def __init__(
        self, *, base_s: float = BASE_S, cap_s: float = CAP_S, draw: Callable[[], float] = random
    ) -> None:
        self._base_s = base_s
        self._cap_s = cap_s
        self._draw = draw
        self._bound_s = base_s

    def next(self) -> float:
        """Seconds to wait now: uniform in [0, min(cap, base · 2^n)) at the n-th call since the last reset."""
        bound_s = min(self._bound_s, self._cap_s)
        self._bound_s = min(self._bound_s * 2, self._cap_s)
        return self._draw() * bound_s

    def jitter(self, seconds: float) -> float:
        """`seconds` and up to a quarter more, as others were told to come at the same moment."""
        return seconds * (1 + self._draw() / 4)

    def reset(self) -> None:
        """An attempt came to something: begin anew."""
        self._bound_s = self._base_s

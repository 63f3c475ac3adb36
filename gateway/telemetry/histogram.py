"""A histogram cheap enough for the hot path: one bisection and two additions an observation."""

from bisect import bisect_left
from collections.abc import Iterator, Sequence


class Histogram:
    """Counts of values by upper bound.

    Args:
        bounds: ascending upper bounds, each inclusive; +Inf is added.
    """

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: Sequence[float]) -> None:
        if list(bounds) != sorted(set(bounds)):
            raise ValueError("bounds must ascend")
        self.bounds = tuple(bounds)
        self.counts = [0] * (len(self.bounds) + 1)
        """Values between one bound and the next; the last entry holds those above all bounds."""
        self.total = 0.0
        """Sum of all values."""

    def observe(self, value: float) -> None:
        """Count one value."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value

    def cumulative(self) -> Iterator[tuple[str, int]]:
        """(upper bound as text, values up to it), as the Prometheus exposition format has it."""
        running = 0
        for bound, count in zip((*self.bounds, float("inf")), self.counts, strict=True):
            running += count
            yield ("+Inf" if bound == float("inf") else repr(float(bound))), running

"""One time for all nodes, which no clock that is set can move.

A session's stamps are compared on whatever node looks at it, so they are taken from a timeline that the
store keeps: a pair of its own wall clock and the cluster's time, renewed by each beat of each node. While
beats come and the store's clock runs evenly, both advance alike. A leap between two beats is the store's
clock being set; then the beating node's own reckoning, by its monotonic clock, says how far time really went.
A node that has just come has no reckoning, and takes what it is told.
"""

from dataclasses import dataclass, field

from gateway.clock import Clock

LEAP_S = 5.0
"""Seconds: more than this between two beats, or less than none, is a clock being set, or nobody there."""
SLEW = 0.001
"""Seconds that a node's reckoning is corrected by per second, so that it never steps back."""


def agreed(server: float, kept_server: float, kept_cluster: float, estimate: float | None) -> float:
    """The cluster's time at a beat.

    Args:
        server: the store's wall clock now, in seconds.
        kept_server: the same at the beat before.
        kept_cluster: the cluster's time then.
        estimate: the beating node's own reckoning; None where it has none.
    """
    passed = server - kept_server
    if 0.0 <= passed <= LEAP_S or estimate is None:
        return kept_cluster + max(0.0, passed)
    return max(kept_cluster, estimate)


@dataclass(slots=True)
class ClusterClock:
    """A clock whose `monotonic` is the cluster's time, once it was told that; before, about that."""

    local: Clock
    _offset: float = field(init=False)
    _adopted_at: float | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        # A store's timeline begins with its wall clock: what is kept before the first beat is close to it.
        self._offset = self.local.time() - self.local.monotonic()

    def monotonic(self) -> float:
        return self.local.monotonic() + self._offset

    def time(self) -> float:
        return self.local.time()

    @property
    def estimate(self) -> float | None:
        """The node's own reckoning; None before it was told once."""
        return None if self._adopted_at is None else self.monotonic()

    def adopt(self, now: float) -> None:
        """It is `now` for the cluster. At first, or where this clock was left behind, it goes there at once;
        where it is ahead, it is slowed down until the others have caught up."""
        local = self.local.monotonic()
        behind = now - (local + self._offset)
        if self._adopted_at is None or behind > LEAP_S:
            self._offset += behind
        else:
            most = SLEW * (local - self._adopted_at)
            self._offset += min(max(behind, -most), most)
        self._adopted_at = local

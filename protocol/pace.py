"""How fast a realtime client may send audio without being taken for a flood."""

from dataclasses import dataclass

SHARE = 0.75
"""The part of what the server allows that is used: the network bunches what was sent evenly."""
BURST = 0.45
"""Of its burst less than half: a network that stalled delivers what it held, and as much may follow."""
PIECE_S = 0.25
"""Seconds of audio that a message may have."""


@dataclass(slots=True)
class Pace:
    """A token bucket in samples. A fresh connection starts with a full one, as the server's does.

    While there are tokens a message may go, and take a `piece` at most. What the server allows at once is
    kept to if no more than a `burst` is under way, too: twice that and a piece are no more.
    """

    per_s: float
    """Samples a second."""
    burst: int | None
    """Samples at once; None: no bounds."""
    piece: int | None
    """Samples that one message may have, likewise."""
    tokens: float = 0.0
    updated: float | None = None
    """Monotonic seconds."""

    @classmethod
    def of(cls, sample_rate: int, factor: float | None, burst_s: float | None) -> "Pace":
        """The pace that keeps to `welcome.limits`; without end where the server names no limit."""
        if not factor or not burst_s:
            return cls(0.0, None, None)
        most = burst_s * sample_rate
        burst = max(1, int(BURST * most))
        piece = max(1, int(min(PIECE_S * sample_rate, (1 - 2 * BURST) * most)))
        return cls(SHARE * factor * sample_rate, burst, piece, burst)

    def wait(self, now: float) -> float:
        """Seconds until audio may go; 0 where it may go now."""
        if self.burst is None:
            return 0.0
        if self.updated is not None:
            self.tokens = min(self.burst, self.tokens + max(0.0, now - self.updated) * self.per_s)
        self.updated = now
        return 0.0 if self.tokens > 0 else (1 - self.tokens) / self.per_s

    def spend(self, samples: int) -> None:
        """So many are sent."""
        self.tokens -= samples

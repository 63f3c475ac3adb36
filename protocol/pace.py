"""How fast a realtime client may send audio again without being taken for a flood."""

from dataclasses import dataclass

SHARE = 0.75
"""The part of what the server allows that is used: the network bunches what was sent evenly."""


@dataclass(slots=True)
class Pace:
    """A token bucket in samples. A fresh connection starts with a full one, as the server's does."""

    per_s: float
    """Samples a second."""
    burst: float
    """Samples at once."""
    tokens: float
    updated: float | None = None
    """Monotonic seconds."""

    @classmethod
    def of(cls, sample_rate: int, factor: float | None, burst_s: float | None) -> "Pace":
        """The pace that keeps to `welcome.limits`; without end where the server names no limit."""
        if factor is None or burst_s is None:
            return cls(0.0, float("inf"), float("inf"))
        burst = SHARE * burst_s * sample_rate
        return cls(SHARE * factor * sample_rate, burst, burst)

    def spend(self, samples: int, now: float) -> float:
        """Take `samples`; returns the seconds to wait before they may be sent."""
        since = 0.0 if self.updated is None else now - self.updated
        self.tokens = min(self.burst, self.tokens + since * self.per_s) - samples
        self.updated = now
        return 0.0 if self.tokens >= 0 or self.per_s <= 0 else -self.tokens / self.per_s

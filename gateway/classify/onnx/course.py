"""Where a session's tone is going: the last minute of its dimensions, as plain values in its state.

Two averages of arousal, over about 1.5 and 8 seconds; their difference is the shift, as the embedded
classifier measures it. A session has one course, whoever speaks: the model says nothing of speakers.
"""

import math
from dataclasses import dataclass, field
from itertools import combinations
from statistics import median
from typing import Any

FAST_S, SLOW_S = 1.5, 8.0
"""Time constants, seconds."""
SHIFT_SCALE = 3.0
"""Shift magnitude per difference: 0.33 is as large as sudden changes get."""
STABLE = 0.06
"""Difference under which nothing shifts."""
MOST_RECENT, TREND_POINTS = 6, 3
"""Points kept for the trend, and needed for it."""
TREND_APART_S = 0.45
"""Seconds between two of them: overlapping windows count no more than others."""
TREND_PER_S = 0.02
"""Arousal a second from which it rises or falls."""


@dataclass(frozen=True, slots=True)
class Moved:
    """What is told of the course at one window; None where it is too early to tell."""

    shift_magnitude: float | None = None
    shift_direction: str | None = None
    arousal_delta: float | None = None
    valence_delta: float | None = None
    trend: str | None = None


@dataclass(slots=True)
class Course:
    """What is remembered."""

    fast: float | None = None
    slow: float = 0.5
    arousal: float | None = None
    """The last one told."""
    valence: float | None = None
    """Likewise."""
    recent: list[list[float]] = field(default_factory=list)
    """[session time in seconds, arousal], oldest first."""

    def follow(self, arousal: float, valence: float | None, end_s: float, seconds: float) -> Moved:
        """Take in one window that ends at `end_s` and has `seconds` of its own."""
        shift = self._shift(arousal, seconds)
        moved = Moved(
            shift_magnitude=None if shift is None else round(min(1.0, SHIFT_SCALE * abs(shift)), 3),
            shift_direction=None if shift is None else _direction(shift),
            arousal_delta=None if self.arousal is None else round(arousal - self.arousal, 3),
            valence_delta=None
            if valence is None or self.valence is None
            else round(valence - self.valence, 3),
            trend=self._trend(arousal, round(float(end_s), 3)),
        )
        self.arousal, self.valence = arousal, valence
        return moved

    def pack(self) -> list[Any]:
        return [self.fast, self.slow, self.arousal, self.valence, self.recent]

    @classmethod
    def unpack(cls, packed: Any) -> "Course":
        """What `pack` gave; new where that was nothing, or is anything else."""
        match packed:
            case [fast, slow, arousal, valence, [*recent]]:
                known = all(one is None or _is_part(one) for one in (fast, arousal, valence))
                if known and _is_part(slow) and _is_past(recent):
                    return cls(fast, slow, arousal, valence, [list(point) for point in recent])
        return cls()

    def _shift(self, arousal: float, seconds: float) -> float | None:
        if self.fast is None:
            self.fast = self.slow = arousal
            return None
        self.fast += (arousal - self.fast) * (1.0 - math.exp(-seconds / FAST_S))
        self.slow += (arousal - self.slow) * (1.0 - math.exp(-seconds / SLOW_S))
        return self.fast - self.slow

    def _trend(self, arousal: float, now: float) -> str | None:
        points = [point for point in self.recent if point[0] < now]
        if len(points) > 1 and points[-1][0] - points[-2][0] < TREND_APART_S:
            points.pop()
        self.recent = [*points, [now, round(arousal, 3)]][-MOST_RECENT:]
        if len(self.recent) < TREND_POINTS:
            return None
        # Theil-Sen: the median of the slopes of all pairs.
        slope = median((b - a) / (t - s) for (s, a), (t, b) in combinations(self.recent, 2))
        if abs(slope) < TREND_PER_S:
            return "steady"
        return "rising" if slope > 0.0 else "falling"


def _is_part(value: object) -> bool:
    """Whether it is a number from 0 to 1, as all dimensions and their averages are."""
    return type(value) in (float, int) and 0.0 <= value <= 1.0  # type: ignore[operator]


def _is_past(recent: list[Any]) -> bool:
    """Whether these are points of a trend: times that rise, and an arousal each."""
    before = -1.0
    for point in recent:
        match point:
            case [float(at), was] if before < at < math.inf and _is_part(was):
                before = at
            case _:
                return False
    return len(recent) <= MOST_RECENT


def _direction(shift: float) -> str:
    if abs(shift) < STABLE:
        return "stable"
    return "escalating" if shift > 0.0 else "de-escalating"

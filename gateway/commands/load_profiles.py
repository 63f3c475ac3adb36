"""When sessions of a load run start, how long each lasts, and when it is measured: decided before it begins.

Starts don't wait for what came before (an open model): a server that is slow to end sessions gets the next
ones all the same, as it would from the world outside.
"""

import heapq
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

_SEED = 1
_LEAST_S = 1.0
"""Shorter sessions are not started"""
_SETTLING = 0.5
"""Share of a step of a ramp that is not measured: sessions start in its first third"""


class Profile(StrEnum):
    """The shape of a load."""

    HOLD = "hold"
    RAMP = "ramp"
    SOAK = "soak"
    STORM = "storm"


@dataclass(frozen=True, slots=True)
class Start:
    """One session."""

    at_s: float
    """Seconds from the run's begin"""
    audio_s: float
    """Seconds of audio it sends"""


@dataclass(frozen=True, slots=True)
class Stretch:
    """A time that is measured, in seconds from the run's begin."""

    sessions: int
    """Wanted by then"""
    from_s: float
    """Since when its sessions start"""
    begin_s: float
    end_s: float


@dataclass(frozen=True, slots=True)
class Shape:
    """What a profile needs to know."""

    profile: Profile
    sessions: int
    """Most at a time"""
    duration_s: float
    """Seconds of audio of each session; in a ramp and a soak, of the whole run"""
    ramp_s: float
    """Seconds over which the first sessions start; a ramp has its steps instead"""
    steps: int = 5
    lifetime_s: float = 60.0
    """Mean, in a soak"""

    def starts(self) -> Iterator[Start]:
        """The sessions, in order of time; always the same ones."""
        if self.profile is Profile.RAMP:
            return self._climb()
        if self.profile is Profile.SOAK:
            return self._churn()
        return iter([Start(at, self.duration_s) for at in spread(self.sessions, self.ramp_s)])

    def stretches(self) -> Sequence[Stretch]:
        """What is measured, in order of time."""
        if self.profile is not Profile.RAMP:
            return [Stretch(self.sessions, 0.0, self.ramp_s, max(self.ramp_s + 0.1, self.duration_s))]
        step_s = self.duration_s / self.steps
        return [
            Stretch(wanted, index * step_s, (index + _SETTLING) * step_s, (index + 1) * step_s)
            for index, wanted in enumerate(self._levels())
        ]

    def _levels(self) -> list[int]:
        return [math.ceil(self.sessions * step / self.steps) for step in range(1, self.steps + 1)]

    def _climb(self) -> Iterator[Start]:
        step_s, before = self.duration_s / self.steps, 0
        for index, level in enumerate(self._levels()):
            for at in spread(level - before, step_s / 3):
                yield Start(index * step_s + at, self.duration_s - index * step_s - at)
            before = level

    def _churn(self) -> Iterator[Start]:
        """Each session is followed by another the moment its audio ends; lifetimes are exponential."""
        random = np.random.default_rng(_SEED)
        due = spread(self.sessions, self.ramp_s)
        heapq.heapify(due)
        while due:
            at = heapq.heappop(due)
            left_s = self.duration_s - at
            audio_s = min(max(_LEAST_S, float(random.exponential(self.lifetime_s))), left_s)
            yield Start(at, audio_s)
            if left_s - audio_s >= _LEAST_S:
                heapq.heappush(due, at + audio_s)


def spread(count: int, seconds: float) -> list[float]:
    """`count` jittered times, always the same ones, evenly over `seconds`; the first is 0."""
    if not count:
        return []
    random = np.random.default_rng(_SEED)
    rest = np.sort((np.arange(count - 1) + random.random(count - 1)) * seconds / max(1, count - 1))
    return [0.0, *map(float, rest)]

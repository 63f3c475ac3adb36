"""Sending audio as a microphone would: each frame when its last sample would have been captured."""

import asyncio
from collections.abc import Awaitable, Callable

from gateway.clock import Clock, SystemClock

Sleep = Callable[[float], Awaitable[None]]

SLIP_S = 1.0
"""Seconds; later than this (a suspended laptop, a stalled pipe) we start afresh instead of hurrying"""


class Pacer:
    """A schedule on the monotonic clock: due times are computed from the start, so no error accumulates."""

    def __init__(self, sample_rate: int, *, clock: Clock | None = None, sleep: Sleep = asyncio.sleep) -> None:
        self._rate = sample_rate
        self._clock = clock or SystemClock()
        self._sleep = sleep
        self._origin: float | None = None
        self.slipped_s = 0.0
        """Seconds the schedule was moved because the source or the machine stalled"""

    def since(self, sample: int) -> float | None:
        """Seconds since the audio before `sample` would have been heard; None before the start."""
        if self._origin is None:
            return None
        return self._clock.monotonic() - self._origin - sample / self._rate

    async def until(self, sample: int) -> None:
        """Wait until the audio before `sample` would have been heard; the first call starts the schedule."""
        now = self._clock.monotonic()
        if self._origin is None:
            self._origin = now
        due = self._origin + sample / self._rate
        if now < due:
            await self._sleep(due - now)
        elif now - due > SLIP_S:
            self._origin += now - due
            self.slipped_s += now - due

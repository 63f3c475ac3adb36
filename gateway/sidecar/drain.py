"""How a sidecar goes away: nobody is let in any more, and what was let in is answered."""

import asyncio
import logging
from dataclasses import dataclass

from gateway.clock import Clock
from gateway.sidecar.desk import Desk

log = logging.getLogger(__name__)

WORK_SHARE = 0.75
"""Of the time of grace, for windows; the rest is for answers to be read."""
HURRY_S = 1.0
"""Seconds that windows have after a second signal."""
QUIET_S = 1.0
"""Seconds without a call after which callers are taken to know. Each is told to close its connection; one
that is closed under a call on its way leaves its caller in doubt."""
STEP_S = 0.05


@dataclass(frozen=True, slots=True)
class Timetable:
    """By when the process is gone; monotonic seconds."""

    end: float


class SidecarDrain:
    """What `gateway.server.run` asks of an application that goes away."""

    def __init__(self, desk: Desk, clock: Clock, *, grace_s: float) -> None:
        self._desk = desk
        self._clock = clock
        self._grace_s = max(grace_s, HURRY_S)
        self._timetable: Timetable | None = None

    @property
    def draining(self) -> bool:
        """Whether it goes away."""
        return self._timetable is not None

    def begin(self) -> Timetable:
        """From now on calls are refused, and the time runs. May be called again."""
        if self._timetable is None:
            self._desk.closed = True
            self._timetable = Timetable(self._clock.monotonic() + self._grace_s)
            log.info("draining", extra={"windows": self._desk.held})
        return self._timetable

    async def run(self, hurry: asyncio.Event) -> None:
        """Until every window that was let in has its answer and nobody calls, or their time is over."""
        now = self._clock.monotonic()
        deadline = now + WORK_SHARE * (self.begin().end - now)
        hurried = False
        while not self._over(deadline, hurried):
            if hurry.is_set() and not hurried:
                hurried, deadline = True, min(deadline, self._clock.monotonic() + HURRY_S)
            await asyncio.sleep(STEP_S)
        log.info("drained", extra={"left": self._desk.held})

    def _over(self, deadline: float, hurried: bool) -> bool:
        now = self._clock.monotonic()
        quiet = hurried or now - self._desk.called_at >= QUIET_S
        return now >= deadline or (quiet and not self._desk.held)

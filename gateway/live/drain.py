"""How a node goes away: everybody is told, what was heard is finished, and nobody is sent off in a crowd.

    begin ──► told ──► settled ──► closed with 1012 ──► gone
              `drain`   last events

Each session goes through this by itself, and no stage waits for all sessions: they are told in batches, so
that the classifier isn't handed all their last windows at once, and closed in batches, so that whoever takes
over isn't handed all of them. Each stage is over by a set time, whoever is slow; a hurry ends them now.
"""

import asyncio
import contextlib
import logging
import math
import random
from dataclasses import dataclass

from gateway.clock import Clock
from gateway.live.reader import Reader
from gateway.live.registry import LiveRegistry, Tasks
from gateway.live.session import LiveSession, say
from protocol.close import CloseCode
from protocol.events import Drain

log = logging.getLogger(__name__)

STEP_S = 0.05
"""Seconds from one batch to the next."""
BATCH = 50
"""Sessions told, and readers closed, in each; more where there are too many for the time."""
HURRY_S = 1.0
"""Seconds that readers have, after a hurry, to read what was left to say."""

RETRY_MS = 250
"""The soonest anybody is asked to come back."""
RETRY_PER_SESSION_MS = 5
"""How much wider each session makes the span over which they come back: 200 a second."""
MAX_RETRY_MS = 10_000
"""The latest anybody is asked to come back."""


@dataclass(frozen=True, slots=True)
class Timetable:
    """By when each stage is over; monotonic seconds."""

    tell_by: float
    """Everybody has their `drain`, and no audio is taken in any more."""
    settle_by: float
    """What has no answer is a gap."""
    close_by: float
    """Every connection was told to end."""
    leave_by: float
    """Nobody is waited for any more."""
    end: float
    """The process is gone."""

    @classmethod
    def of(cls, now: float, grace_s: float) -> "Timetable":
        """That of a drain which begins `now`."""
        tell, settle, close, leave = (now + share * grace_s for share in (0.2, 0.6, 0.75, 0.9))
        return cls(tell, settle, close, leave, now + grace_s)

    def hurried(self, now: float) -> "Timetable":
        """The same, with no answer waited for any more: what is left is said, and read."""
        return Timetable(
            tell_by=min(self.tell_by, now),
            settle_by=min(self.settle_by, now),
            close_by=min(self.close_by, now + HURRY_S / 2),
            leave_by=min(self.leave_by, now + HURRY_S),
            end=min(self.end, now + 2 * HURRY_S),
        )


def batch_size(waiting: int, left_s: float) -> int:
    """How many of those that wait are done with in this step, so that all are within `left_s`."""
    if left_s <= STEP_S:
        return waiting
    return max(BATCH, math.ceil(waiting * STEP_S / left_s))


def retry_after_ms(sessions: int, jitter: random.Random) -> int:
    """When one client of a node with so many sessions is to come back: any time within their span."""
    return RETRY_MS + jitter.randint(0, min(sessions * RETRY_PER_SESSION_MS, MAX_RETRY_MS - RETRY_MS))


class NodeDrain:
    """Sends everybody away in good order. Sessions that come up meanwhile are sent away like the others.

    Args:
        grace_s: seconds until the process is to be gone.
        reconnect_url: where clients are to go on; None for the same address.
    """

    def __init__(
        self,
        live: LiveRegistry,
        clock: Clock,
        *,
        grace_s: float,
        reconnect_url: str | None = None,
        jitter: random.Random | None = None,
    ) -> None:
        self._live = live
        self._clock = clock
        self._grace_s = grace_s
        self._reconnect_url = reconnect_url
        self._jitter = jitter or random.Random()
        self._timetable: Timetable | None = None
        self._sessions = 0
        self._departures: dict[LiveSession, asyncio.Task[None]] = {}
        self._told: set[Reader] = set()

    @property
    def draining(self) -> bool:
        """Whether the node is going away: nobody is let in any more."""
        return self._timetable is not None

    def begin(self) -> Timetable:
        """From now on nobody is let in, and the time runs; returns how it runs. May be called again."""
        if self._timetable is None:
            # Where there is no time at all, there is still that of a hurry.
            self._timetable = Timetable.of(self._clock.monotonic(), max(self._grace_s, HURRY_S))
            self._sessions = len(self._live)
            log.info("draining", extra={"sessions": self._sessions})
        return self._timetable

    async def run(self, hurry: asyncio.Event) -> None:
        """Until everybody is gone, or their time is over. After a `hurry` that is a second."""
        timetable, tasks = self.begin(), Tasks()
        try:
            while self._step(timetable, tasks):
                await _pause(hurry)
                if hurry.is_set():
                    timetable = self._timetable = timetable.hurried(self._clock.monotonic())
        finally:
            await tasks.aclose()
        log.info("drained", extra={"sessions": len(self._departures), "left": self._attached})

    def _step(self, timetable: Timetable, tasks: Tasks) -> bool:
        """Do what is due now; whether that leaves anything to be waited for."""
        now = self._clock.monotonic()
        self._send_off(timetable, now, tasks)
        if now >= timetable.settle_by:
            for live in self._departures:
                live.hurry()
        self._close(timetable, now)
        return now < timetable.leave_by and not self._all_gone()

    def _send_off(self, timetable: Timetable, now: float, tasks: Tasks) -> None:
        """Tell the next sessions' readers, and have what these sessions heard finished."""
        waiting = [live for live in self._live if live not in self._departures]
        for live in waiting[: batch_size(len(waiting), timetable.tell_by - now)]:
            for reader in live.audience.readers:
                self._tell(reader)
            self._departures[live] = tasks.spawn(live.depart(max(0.0, timetable.settle_by - now)))

    def _close(self, timetable: Timetable, now: float) -> None:
        """End the next connections of sessions that have said what they had to say."""
        late = now >= timetable.close_by
        ready = [
            reader
            for live, departure in self._departures.items()
            # One whose end has begun closes with its summary.
            if late or (departure.done() and not live.ending)
            for reader in live.audience.readers
            if reader.farewell is None
        ]
        for reader in ready[: batch_size(len(ready), timetable.close_by - now)]:
            self._tell(reader)
            reader.finish(CloseCode.SERVICE_RESTART, "restart")

    def _tell(self, reader: Reader) -> None:
        if reader not in self._told:
            self._told.add(reader)
            wait_ms = retry_after_ms(self._sessions, self._jitter)
            say(reader, Drain(retry_after_ms=wait_ms, reconnect_url=self._reconnect_url))

    def _all_gone(self) -> bool:
        settled = all(departure.done() for departure in self._departures.values())
        return settled and not self._attached and all(live in self._departures for live in self._live)

    @property
    def _attached(self) -> int:
        return sum(live.audience.count for live in self._departures)


async def _pause(hurry: asyncio.Event) -> None:
    """One step's time; a hurry comes at once."""
    if hurry.is_set():
        await asyncio.sleep(STEP_S)
        return
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(STEP_S):
            await hurry.wait()

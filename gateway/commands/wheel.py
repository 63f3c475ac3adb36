"""One timer for any number of paced sessions: a wheel of slots, turned every few milliseconds."""

import asyncio
from collections.abc import Callable
from typing import Protocol

SLOT_S = 0.005
"""Seconds; sessions within one slot are sent to in one wake-up"""


class Paced(Protocol):
    """What the wheel turns."""

    def beat(self, due: float) -> bool:
        """Do what is due at `due` (monotonic seconds); False when there is nothing more to come."""
        ...


class Wheel:
    """Calls each member's `beat` once a turn, always with the time it was due, however late it is.

    That the due time is handed on, not the time of the call, is what keeps latencies honest when the machine
    stalls (Gil Tene's "coordinated omission").
    """

    def __init__(self, turn_s: float, now: Callable[[], float]) -> None:
        self.slots: list[list[Paced]] = [[] for _ in range(max(1, round(turn_s / SLOT_S)))]
        self.late = 0
        """Beats called more than a whole turn after they were due"""
        self.worst_late_s = 0.0
        self._slot_s = turn_s / len(self.slots)
        self._turn_s = turn_s
        self._now = now
        self._start = now()
        self._tick = 0

    def add(self, member: Paced) -> None:
        """Give `member` a place in the emptiest of the next slots; its first beat comes within a turn."""
        ahead = (self._tick + 1 + step for step in range(len(self.slots)))
        tick = min(ahead, key=lambda one: len(self.slots[one % len(self.slots)]))
        self.slots[tick % len(self.slots)].append(member)

    def advance(self) -> float:
        """Do all that is due by now; returns the seconds until something is due again."""
        while (due := self._start + self._tick * self._slot_s) <= (now := self._now()):
            members = self.slots[self._tick % len(self.slots)]
            if members:
                late_s = now - due
                self.worst_late_s = max(self.worst_late_s, late_s)
                if late_s > self._turn_s:
                    self.late += len(members)
                members[:] = [member for member in members if member.beat(due)]
            self._tick += 1
        return due - now

    async def turn(self) -> None:
        """Turn for ever; whoever awaits this ends it by cancelling."""
        while True:
            rest_s = self.advance()
            await asyncio.sleep(rest_s)

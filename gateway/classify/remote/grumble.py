"""Tells of failures in the log, without filling it: once a minute for each sidecar and kind."""

import logging
from typing import Final

from gateway.classify.remote.http import CallFailed, Kind
from gateway.clock import Clock

log = logging.getLogger(__name__)

EVERY_S: Final = 60.0


class Grumbler:
    """Keeps count of what it holds back. There are few kinds, and as many sidecars as the settings name."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._told: dict[tuple[int, Kind], float] = {}
        self._held_back: dict[tuple[int, Kind], int] = {}

    def grumble(self, replica: int, failure: CallFailed) -> None:
        """A call to this sidecar failed."""
        which = (replica, failure.kind)
        now = self._clock.monotonic()
        if now - self._told.get(which, -EVERY_S) < EVERY_S:
            self._held_back[which] = self._held_back.get(which, 0) + 1
            return
        self._told[which] = now
        more = self._held_back.pop(which, 0)
        log.warning(
            "sidecar %d: %s (%s)%s",
            replica,
            failure.kind.value,
            failure.detail,
            f", and {more} times more since this was told last" if more else "",
        )

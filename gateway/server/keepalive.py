"""Whether the peer is still there: pings, and the pong that each must bring (RFC 6455 section 5.5.2)."""

import os
from asyncio import TimerHandle
from collections.abc import Callable
from typing import Protocol

_PAYLOAD_BYTES = 4
"""Enough that no peer answers a ping that it has not read."""


class Timers(Protocol):
    """What is needed of an event loop."""

    def call_later(self, delay: float, callback: Callable[[], object]) -> TimerHandle:
        """Call `callback` in `delay` seconds."""
        ...


class Keepalive:
    """Pings every `interval_s`, and gives the peer up where the pong isn't there `timeout_s` later.

    A peer that stopped reading is noticed after at most `interval_s + timeout_s`, whatever it still sends:
    only a pong with the ping's own, random payload counts.

    Args:
        timers: the event loop.
        interval_s: seconds from one ping to the next.
        timeout_s: seconds for the pong; None waits for ever.
        ping: sends one.
        silent: called once, when the peer is given up.
    """

    __slots__ = ("_interval_s", "_payload", "_ping", "_silent", "_timeout_s", "_timer", "_timers")

    def __init__(
        self,
        timers: Timers,
        interval_s: float,
        timeout_s: float | None,
        ping: Callable[[bytes], None],
        silent: Callable[[], None],
    ) -> None:
        self._timers = timers
        self._interval_s = interval_s
        self._timeout_s = timeout_s
        self._ping = ping
        self._silent = silent
        self._payload: bytes | None = None
        self._timer: TimerHandle | None = None

    def start(self) -> None:
        """The first ping comes after one interval; called again, it starts over."""
        self.stop()
        self._timer = self._timers.call_later(self._interval_s, self._due)

    def stop(self) -> None:
        """No more pings. May be called twice."""
        self._payload = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def ponged(self, payload: bytes) -> None:
        """A pong came; unasked-for and late ones are ignored."""
        if payload == self._payload:
            self.start()

    def _due(self) -> None:
        self._payload = os.urandom(_PAYLOAD_BYTES)
        self._ping(self._payload)
        if self._timeout_s is None:
            self._timer = self._timers.call_later(self._interval_s, self._due)
        else:
            self._timer = self._timers.call_later(self._timeout_s, self._give_up)

    def _give_up(self) -> None:
        self._timer = None
        self._silent()

"""One sidecar of several: its connections, its breaker, what it tells of itself, and its calls in flight."""

import asyncio
import logging
from collections.abc import Callable
from typing import Final

from gateway.classify.breaker import Breaker, Permit, State
from gateway.classify.remote.http import CallFailed, Endpoint, Kind
from gateway.classify.remote.pace import Pace
from gateway.classify.sidecar import health
from gateway.classify.sidecar.health import Offer, SidecarHealth
from gateway.clock import Clock

log = logging.getLogger(__name__)

POLL_S: Final = 2.0
"""Seconds from one look at a sidecar's health to the next."""
POLL_DOWN_S: Final = 1.0
"""The same while it is away."""
POLL_WAIT_S: Final = 1.5
"""How long one look may take."""
JITTER: Final = 0.2
"""Share by which these times vary, so that gateways don't look all at once."""
MISSES: Final = 2
"""Looks in a row without an answer, and no call answered in between, after which it counts as away."""
MAX_REST_S: Final = 5.0
"""The longest pause that a sidecar may ask for."""


class Replica:
    """Decides synchronously; `watch` alone does I/O by itself.

    Args:
        index: its place in the settings, from 0.
        calls: most calls in flight.
        pace: how long windows take there.
        looked: called after each look at its health, with whatever result.
        changed: called when what people should know of it has changed.
        spread: a random number from 0 to 1.
    """

    def __init__(
        self,
        index: int,
        endpoint: Endpoint,
        clock: Clock,
        *,
        calls: int,
        pace: Pace,
        looked: Callable[[], None],
        changed: Callable[[], None],
        spread: Callable[[], float],
    ) -> None:
        self.index = index
        self.endpoint = endpoint
        self.breaker = Breaker()
        self.told: SidecarHealth | None = None
        """What it told last; None before it ever did."""
        self.away = False
        """Whether nobody answers there."""
        self.in_flight = 0
        self.pace = pace
        self._clock = clock
        self._calls = calls
        self._looked = looked
        self._changed = changed
        self._spread = spread
        self._misses = 0
        self._rests_until = 0.0

    @property
    def offer(self) -> Offer | None:
        """The batch contract, where it is offered."""
        return self.told.offer if self.told is not None else None

    @property
    def ready(self) -> bool:
        """Whether it says that it can answer; one that says nothing is believed to."""
        return self.told is None or self.told.ready

    def usable(self, now: float) -> bool:
        """Whether it can be expected to answer: a probe is not risked while nobody is there."""
        return self.breaker.admits(now) and not (self.away and self.breaker.state is not State.CLOSED)

    @property
    def free(self) -> bool:
        """Whether it has room for a call."""
        return self.in_flight < self._calls

    def rank(self, now: float) -> int:
        """How gladly it is asked, 0 the most: well, on probation, asking for a pause, not ready."""
        if not self.ready:
            return 3
        if self.away or now < self._rests_until:
            return 2
        return 1 if self.breaker.state is not State.CLOSED else 0

    def room(self, now: float) -> int:
        """Windows that a call may take now. A probe risks one."""
        offer = self.offer
        return 1 if offer is None or self.breaker.probes(now) else offer.max

    # Calls ---------------------------------------------------------------------------------------------

    def begin(self, now: float) -> Permit:
        """A call is made; only where it is usable and free."""
        permit = self.breaker.begin(now)
        self.in_flight += 1
        return permit

    def succeeded(self, permit: Permit) -> None:
        """The call was answered."""
        self.in_flight -= 1
        self.breaker.succeeded(permit, self._clock.monotonic())
        self._alive()
        if permit.probe:
            self._changed()

    def failed(self, permit: Permit, failure: CallFailed) -> None:
        """The call was not answered."""
        now = self._clock.monotonic()
        self.in_flight -= 1
        self.breaker.failed(permit, now)
        if failure.retry_after_s is not None:
            self._rests_until = now + min(failure.retry_after_s, MAX_REST_S)
        if self.breaker.state is State.OPEN:
            self._changed()

    def abandoned(self, permit: Permit) -> None:
        """The call was given up."""
        self.in_flight -= 1
        self.breaker.abandoned(permit)

    # Health --------------------------------------------------------------------------------------------

    async def watch(self) -> None:
        """Look at its health until cancelled."""
        while True:
            try:
                await self.look()
            except Exception:
                # A defect here must not leave a sidecar unwatched for good.
                log.exception("looking at sidecar %d failed unexpectedly", self.index)
            self._looked()
            pause = POLL_DOWN_S if self.away or self._misses else POLL_S
            await asyncio.sleep(pause * (1 + JITTER * (2 * self._spread() - 1)))

    async def look(self) -> None:
        """Ask once how it is."""
        deadline = asyncio.get_running_loop().time() + POLL_WAIT_S
        try:
            answer = await self.endpoint.get(health.PATH, limit=health.MAX_BYTES, deadline=deadline)
        except CallFailed as failure:
            self._missed(failure)
            return
        before = self.told
        self.told = health.read_health(answer.status, answer.body)
        self._alive()
        if self.told != before:
            self._changed()

    def _missed(self, failure: CallFailed) -> None:
        self._misses += 1
        # One that never answered, or whose address nobody listens at, needs no second look.
        enough = 1 if self.told is None or failure.kind in (Kind.UNREACHABLE, Kind.TLS) else MISSES
        if self._misses >= enough and not self.away:
            self.away = True
            self._changed()
        if self._misses >= MISSES and self.breaker.state is State.CLOSED:
            self.breaker.trip(self._clock.monotonic())
            self._changed()

    def _alive(self) -> None:
        self._misses = 0
        if self.away:
            self.away = False
            self.breaker.probe_now(self._clock.monotonic())
            self._changed()

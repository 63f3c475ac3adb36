"""The replicas together: who is asked next, and who waits for whom. Decides synchronously."""

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from gateway.classify.breaker import Permit
from gateway.classify.remote.choice import Draw, choose
from gateway.classify.remote.http import CallFailed
from gateway.classify.remote.replica import Replica
from gateway.clock import Clock

NOBODY: Final = "no sidecar can be asked now"


class NobodyThere(Exception):
    """No replica may be asked: waiting would not help."""


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to make one call; ended by exactly one of `Pool.settle`, `Pool.abandon`."""

    replica: Replica
    permit: Permit
    room: int
    """Windows that the call may take."""


class Pool:
    """Hands out calls to replicas, a bounded number at once to each.

    Those who wait are as many as the callers let them be (the scheduler's concurrency), and are served in
    their order.
    """

    def __init__(self, replicas: Sequence[Replica], clock: Clock, draw: Draw) -> None:
        self.replicas = replicas
        self._clock = clock
        self._draw = draw
        self._waiting: deque[asyncio.Future[None]] = deque()

    def take(self, avoid: Replica | None = None) -> Lease | None:
        """A call to the best replica that has room, if one has.

        Args:
            avoid: not this one, unless there is no other.

        Raises:
            NobodyThere: not one of them may be asked.
        """
        now = self._clock.monotonic()
        usable = [one for one in self.replicas if one.usable(now)]
        if not usable:
            raise NobodyThere(NOBODY)
        others = [one for one in usable if one is not avoid] or usable
        free = [one for one in others if one.free]
        if not free:
            return None
        if len(free) > 1:
            best = min(one.rank(now) for one in free)
            free = [one for one in free if one.rank(now) == best]
        chosen = free[choose([one.in_flight for one in free], self._draw)]
        room = chosen.room(now)
        return Lease(chosen, chosen.begin(now), room)

    async def lease(self, avoid: Replica | None = None) -> Lease:
        """A call, as soon as there is room for one.

        Raises:
            NobodyThere: not one of them may be asked, or not any more.
        """
        while (found := self.take(avoid)) is None:
            turn = asyncio.get_running_loop().create_future()
            self._waiting.append(turn)
            try:
                await turn
            except asyncio.CancelledError:
                if turn.done() and not turn.cancelled():
                    self._next()  # the turn was given to somebody who has left
                elif turn in self._waiting:  # else it was passed over already
                    self._waiting.remove(turn)
                raise
        return found

    def settle(self, lease: Lease, failure: CallFailed | None) -> None:
        """The call is over."""
        if failure is None:
            lease.replica.succeeded(lease.permit)
        else:
            lease.replica.failed(lease.permit, failure)
        self._next()

    def abandon(self, lease: Lease) -> None:
        """The call was given up, or never made."""
        lease.replica.abandoned(lease.permit)
        self._next()

    def wake(self) -> None:
        """Something has changed: whoever waits looks again."""
        while self._waiting:
            self._next()

    def _next(self) -> None:
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                return

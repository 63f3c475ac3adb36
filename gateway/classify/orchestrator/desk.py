"""Which sidecars are asked for, used and given back: decisions only, with time handed in.

    wanted ──ask──► granted ──► in use ──renew_at──► a new one is asked for, the old one serves on
       ▲               │                              └─► the new one answers, or the old one's time is over:
       └── refused ◄───┘ unusable, or its sidecar fails    the old one is given back once nobody uses it

Whoever wants one (the node, or a session: a *scope*) has at most one that windows are sent to. The contract
has no verb for a renewal, so before one ends a new one is asked for. That one is coming until it answers, and
the old one is given back when the last call that went to it is over: meanwhile two are held, one is used.

Failures are the orchestrator's, not a scope's: after one all that have none wait, longer each time, and then
a single scope tries for all of them. Renewals go first, wait for nobody, and are tried again each by itself.
"""

import heapq
import random
from collections import OrderedDict
from dataclasses import dataclass, field

from gateway.classify.orchestrator.grant import Sidecar

MOST_ASKS = 16
"""Requests for a sidecar under way."""
RELEASE_TRIES = 5
"""Times that giving one back is tried; after that its time runs out by itself."""
FIRST_PAUSE_S = 1.0
LONGEST_PAUSE_S = 60.0
"""Pauses after failures double from the one to the other, each shortened by up to a half at random."""
RENEWAL = (0.5, 0.7)
"""Shares of its time between which an allocation is renewed."""
_MOMENT_S = 1e-3
"""Sums of times are rounded: who waits exactly until something is due may come too early."""


@dataclass(slots=True, eq=False)
class Allocation:
    """A sidecar that the orchestrator holds for us."""

    id: str
    sidecar: Sidecar | None
    """None where it can't be used."""
    expires_at: float
    """Monotonic seconds; counted from before it was asked for, so never too late."""
    renew_at: float
    scopes: set[str] = field(default_factory=set)
    """Who sends windows there now."""
    users: int = 0
    """Calls that are under way there."""
    failures: int = 0
    """Calls in a row that it had no answer to."""
    tries: int = 0
    release_at: float = float("-inf")
    releasing: bool = False


@dataclass(slots=True)
class _Place:
    """What one scope has."""

    live: Allocation | None = None
    """Where its windows go."""
    coming: Allocation | None = None
    """Where they will go; only beside a live one."""
    asking: bool = False
    failures: int = 0
    """Renewals in a row that came to nothing."""
    look_at: float = float("-inf")
    """When it may be time for a new one, or its time be over."""


@dataclass(frozen=True, slots=True)
class Due:
    """What is to be done now."""

    ask: tuple[str, ...] = ()
    """Scopes to ask for; each is answered by `granted` or `refused`."""
    release: tuple[Allocation, ...] = ()
    """Allocations to give back; each is answered by `released` or `kept`."""
    gone: tuple[Allocation, ...] = ()
    """Allocations whose time ran out before they could be given back."""


class Desk:
    """Keeps the books. Every method is synchronous.

    Args:
        ttl_s: for how long an allocation is asked for.
    """

    def __init__(self, ttl_s: float, jitter: random.Random | None = None) -> None:
        self._ttl_s = ttl_s
        self._jitter = jitter or random.Random()
        self._places: dict[str, _Place] = {}
        self._waiting: OrderedDict[str, None] = OrderedDict()
        self._renewing: OrderedDict[str, None] = OrderedDict()
        self._renewals: list[tuple[float, str]] = []
        self._held: dict[str, Allocation] = {}
        self._leaving: list[Allocation] = []
        self._asking = 0
        self._failures = 0
        self._retry_at = float("-inf")
        self._closed = False

    @property
    def failing(self) -> bool:
        """Whether the latest attempt to have a sidecar, where there was none, failed."""
        return self._failures > 0

    @property
    def held(self) -> int:
        """Allocations that are not given back yet."""
        return len(self._held)

    @property
    def settled(self) -> bool:
        """Whether nothing is asked for and nothing is held."""
        return not self._held and not self._asking

    # Who wants one -------------------------------------------------------------------------------------

    def want(self, scope: str) -> bool:
        """`scope` is to have one. Whether that is new."""
        if scope in self._places or self._closed:
            return False
        self._places[scope] = _Place()
        self._waiting[scope] = None
        return True

    def drop(self, scope: str) -> None:
        """`scope` needs none any more."""
        place = self._places.pop(scope, None)
        self._unlist(scope)
        for one in (place.live, place.coming) if place is not None else ():
            self._retire(one, scope)

    def close(self) -> None:
        """Nobody needs any, now and later. What is asked for still is given back when it is granted."""
        self._closed = True
        for scope in tuple(self._places):
            self.drop(scope)

    # What it is used for -------------------------------------------------------------------------------

    def route(self, scope: str, now: float) -> Allocation | None:
        """Where windows of `scope` go; None where it has none, or its time is over."""
        place = self._places.get(scope)
        if place is None or place.live is None or now >= place.live.expires_at:
            return None
        return place.live

    def coming(self, scope: str) -> Allocation | None:
        """Where they will go as soon as it answers; that is told by `change_over`."""
        place = self._places.get(scope)
        return None if place is None else place.coming

    def change_over(self, scope: str) -> None:
        """Windows of `scope` go to the coming one from now on, and its old one is given back."""
        place = self._places[scope]
        before, place.live, place.coming = place.live, place.coming, None
        self._retire(before, scope)

    def enter(self, allocation: Allocation) -> None:
        """A call to it begins."""
        allocation.users += 1

    def leave(self, allocation: Allocation) -> None:
        """That call is over."""
        allocation.users -= 1

    def suspect(self, allocation: Allocation, now: float) -> None:
        """Its sidecar doesn't answer: it is given back. Another, if none is coming, is asked for after a
        pause."""
        alone = False
        for scope in tuple(allocation.scopes):
            place = self._places[scope]
            if place.live is allocation:
                self.change_over(scope)
            else:
                place.coming = None
                self._retire(allocation, scope)
            if place.live is None:
                self._wait(scope)
                alone = True
            elif place.live.renew_at <= now:
                self._again(scope, now)
        if alone:
            self._pause(now)

    # What is to be done --------------------------------------------------------------------------------

    def due(self, now: float) -> Due:
        """What to ask for and to give back now; it is taken as begun."""
        while self._renewals and self._renewals[0][0] <= now:
            at, scope = heapq.heappop(self._renewals)
            place = self._places.get(scope)
            if place is not None and place.look_at == at:
                self._renew(place, scope, now)
        ask: list[str] = []
        while self._renewing and self._asking < MOST_ASKS:
            ask.append(self._ask(self._renewing))
        while self._waiting and self._may_ask(now):
            ask.append(self._ask(self._waiting))
        gone = [one for one in self._leaving if not one.users and not one.releasing and now >= one.expires_at]
        for one in gone:
            self._forget(one)
        release = [one for one in self._leaving if self._may_release(one) and now >= one.release_at]
        for one in release:
            one.releasing = True
        return Due(tuple(ask), tuple(release), tuple(gone))

    def wait_s(self, now: float) -> float | None:
        """Seconds until something is due, and a moment, where nothing else happens; None where nothing is."""
        times = [max(one.release_at, now) for one in self._leaving if self._may_release(one)]
        if self._renewals:
            times.append(self._renewals[0][0])
        if self._waiting and not self._asking:
            times.append(max(self._retry_at, now))
        return max(0.0, min(times) - now) + _MOMENT_S if times else None

    # What became of it ---------------------------------------------------------------------------------

    def granted(self, scope: str, allocation: Allocation, now: float) -> bool:
        """The orchestrator gave `allocation`, for `scope` where that still wants it; else it is given back.

        One that is held already may be given again: then its time is longer, or several scopes share it.

        Returns:
            Whether it could be taken.
        """
        self._asked(scope)
        known = self._held.get(allocation.id)
        if known is not None and (known.releasing or known.sidecar != allocation.sidecar):
            self._again(scope, now)  # it is gone in a moment, or not what it was
            return False
        if known is None:
            known = self._held[allocation.id] = allocation
        else:
            known.expires_at, known.renew_at = allocation.expires_at, allocation.renew_at
        place = self._places.get(scope)
        if not _served(place, now):
            self._failures, self._retry_at = 0, float("-inf")
        if place is None:
            self._retire(known, scope)
            return True
        self._unlist(scope)
        place.failures = 0
        live = place.live
        if live is None or live is known or not _served(place, now):
            old = (live, place.coming)
            place.live, place.coming = known, None
        else:
            old = (place.coming, None)
            place.coming = known
        known.scopes.add(scope)
        if known in self._leaving:
            self._leaving.remove(known)
        for one in old:
            if one is not known:
                self._retire(one, scope)
        self._look(place, scope, known.renew_at)
        return True

    def unusable(self, scope: str, allocation: Allocation, now: float) -> None:
        """The orchestrator gave one that can't be used: it is given back."""
        self._asked(scope)
        if allocation.id not in self._held:
            self._held[allocation.id] = allocation
            self._retire(allocation, scope)
        self._again(scope, now)

    def refused(self, scope: str, now: float) -> None:
        """The orchestrator gave none."""
        self._asked(scope)
        self._again(scope, now)

    def released(self, allocation: Allocation) -> None:
        """It was given back."""
        self._forget(allocation)

    def kept(self, allocation: Allocation, now: float) -> bool:
        """It could not be given back. Whether that is tried again."""
        allocation.releasing = False
        allocation.tries += 1
        if allocation.tries >= RELEASE_TRIES:
            self._forget(allocation)
            return False
        allocation.release_at = now + self._pause_s(1 if self._closed else allocation.tries)
        return True

    def made(self, id: str, sidecar: Sidecar | None, asked_at: float) -> Allocation:
        """An allocation that was asked for at `asked_at`."""
        share = self._jitter.uniform(*RENEWAL)
        return Allocation(id, sidecar, asked_at + self._ttl_s, asked_at + share * self._ttl_s)

    # Inside --------------------------------------------------------------------------------------------

    def _renew(self, place: _Place, scope: str, now: float) -> None:
        """It may be time for a new one; what has run out isn't used any more."""
        while place.live is not None and place.live.expires_at <= now:
            self.change_over(scope)
        newest = place.coming or place.live
        if newest is None or newest.renew_at <= now:
            self._wait(scope)
        self._look(place, scope, newest.renew_at if newest and newest.renew_at > now else None)

    def _look(self, place: _Place, scope: str, at: float | None) -> None:
        """Look after `scope` at that time, or when its live one is over; sooner than that nothing is due."""
        if place.live is not None:
            place.look_at = place.live.expires_at if at is None else min(at, place.live.expires_at)
            heapq.heappush(self._renewals, (place.look_at, scope))

    def _ask(self, line: "OrderedDict[str, None]") -> str:
        scope, _ = line.popitem(last=False)
        self._places[scope].asking = True
        self._asking += 1
        return scope

    def _may_ask(self, now: float) -> bool:
        if self._failures:
            return now >= self._retry_at and not self._asking
        return self._asking < MOST_ASKS

    def _may_release(self, allocation: Allocation) -> bool:
        return not allocation.users and not allocation.releasing

    def _asked(self, scope: str) -> None:
        self._asking -= 1
        if scope in self._places:
            self._places[scope].asking = False

    def _wait(self, scope: str) -> None:
        place = self._places.get(scope)
        if place is None or place.asking:
            return
        if place.live is None:
            self._renewing.pop(scope, None)
            self._waiting.setdefault(scope)
        else:
            self._renewing.setdefault(scope)

    def _unlist(self, scope: str) -> None:
        self._waiting.pop(scope, None)
        self._renewing.pop(scope, None)

    def _again(self, scope: str, now: float) -> None:
        """It came to nothing. Who has one that serves tries for itself, the others wait together."""
        place = self._places.get(scope)
        if place is not None and _served(place, now):
            place.failures += 1
            self._look(place, scope, now + self._pause_s(place.failures))
        else:
            self._wait(scope)
            self._pause(now)

    def _retire(self, allocation: Allocation | None, scope: str) -> None:
        if allocation is None:
            return
        allocation.scopes.discard(scope)
        if not allocation.scopes and allocation not in self._leaving:
            self._leaving.append(allocation)

    def _forget(self, allocation: Allocation) -> None:
        self._held.pop(allocation.id, None)
        if allocation in self._leaving:
            self._leaving.remove(allocation)

    def _pause(self, now: float) -> None:
        self._failures += 1
        self._retry_at = now + self._pause_s(self._failures)

    def _pause_s(self, failures: int) -> float:
        longest = min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2.0 ** min(failures - 1, 16))
        return longest * self._jitter.uniform(0.5, 1.0)


def _served(place: _Place | None, now: float) -> bool:
    return place is not None and place.live is not None and now < place.live.expires_at

"""Which sidecars are asked for, used and given back: decisions only, with time handed in.

    wanted ──ask──► granted ──► in use ──renew_at──► a new one is asked for, the old one serves on
       ▲               │                              └─► the old one is given back once nobody uses it
       └── refused ◄───┘ unusable, or its sidecar fails

Whoever wants one (the node, or a session: a *scope*) has at most one that windows are sent to. The contract
has no verb for a renewal, so before one ends a new one is asked for, and the old one is given back when the
last call that went to it is over: for a moment two are held, and only the newer one is used anew.

Failures are the orchestrator's, not a scope's: after one all wait, longer each time, and then a single scope
tries for all of them.
"""

import heapq
import random
from collections import OrderedDict
from dataclasses import dataclass, field

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
    url: str
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
    asking: bool = False


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
        self._renewals: list[tuple[float, str]] = []
        self._held: dict[str, Allocation] = {}
        self._leaving: list[Allocation] = []
        self._asking = 0
        self._failures = 0
        self._retry_at = float("-inf")
        self._closed = False

    @property
    def failing(self) -> bool:
        """Whether the latest attempt to have a sidecar failed."""
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
        self._waiting.pop(scope, None)
        if place is not None and place.live is not None:
            self._retire(place.live, scope)

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

    def enter(self, allocation: Allocation) -> None:
        """A call to it begins."""
        allocation.users += 1

    def leave(self, allocation: Allocation) -> None:
        """That call is over."""
        allocation.users -= 1

    def suspect(self, allocation: Allocation, now: float) -> None:
        """Its sidecar doesn't answer: it is given back, and another is asked for after a pause."""
        for scope in tuple(allocation.scopes):
            self._places[scope].live = None
            self._wait(scope)
            self._retire(allocation, scope)
        self._pause(now)

    # What is to be done --------------------------------------------------------------------------------

    def due(self, now: float) -> Due:
        """What to ask for and to give back now; it is taken as begun."""
        while self._renewals and self._renewals[0][0] <= now:
            _, scope = heapq.heappop(self._renewals)
            self._renew(scope, now)
        ask: list[str] = []
        while self._waiting and self._may_ask(now):
            scope, _ = self._waiting.popitem(last=False)
            self._places[scope].asking = True
            self._asking += 1
            ask.append(scope)
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

    def granted(self, scope: str, allocation: Allocation, now: float) -> None:
        """The orchestrator gave `allocation`, for `scope` where that still wants it; else it is given back.

        One that is held already may be given again: then its time is longer, or several scopes share it.
        """
        self._asked(scope)
        known = self._held.get(allocation.id)
        if known is not None and (known.releasing or known.url != allocation.url):
            self._wait(scope)  # it is gone in a moment, or not what it was
            self._pause(now)
            return
        if known is None:
            known = self._held[allocation.id] = allocation
        else:
            known.expires_at, known.renew_at = allocation.expires_at, allocation.renew_at
        self._failures, self._retry_at = 0, float("-inf")
        place = self._places.get(scope)
        if place is None:
            self._retire(known, scope)
            return
        self._waiting.pop(scope, None)
        before, place.live = place.live, known
        known.scopes.add(scope)
        if known in self._leaving:
            self._leaving.remove(known)
        if before is not None and before is not known:
            self._retire(before, scope)
        for at in (known.renew_at, known.expires_at):
            heapq.heappush(self._renewals, (at, scope))

    def unusable(self, scope: str, allocation: Allocation, now: float) -> None:
        """The orchestrator gave one that can't be used: it is given back."""
        self._asked(scope)
        if allocation.id not in self._held:
            self._held[allocation.id] = allocation
            self._retire(allocation, scope)
        self._wait(scope)
        self._pause(now)

    def refused(self, scope: str, now: float) -> None:
        """The orchestrator gave none."""
        self._asked(scope)
        self._wait(scope)
        self._pause(now)

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

    def made(self, id: str, url: str, asked_at: float) -> Allocation:
        """An allocation that was asked for at `asked_at`."""
        share = self._jitter.uniform(*RENEWAL)
        return Allocation(id, url, asked_at + self._ttl_s, asked_at + share * self._ttl_s)

    # Inside --------------------------------------------------------------------------------------------

    def _renew(self, scope: str, now: float) -> None:
        """It may be time for a new one; what has run out isn't used any more."""
        place = self._places.get(scope)
        if place is None or place.live is None or place.live.renew_at > now:
            return
        self._wait(scope)
        if place.live.expires_at <= now:
            before, place.live = place.live, None
            self._retire(before, scope)

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
        if place is not None and not place.asking:
            self._waiting.setdefault(scope)

    def _retire(self, allocation: Allocation, scope: str) -> None:
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

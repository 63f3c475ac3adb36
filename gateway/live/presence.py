"""That this node is there, which others are, and whose sessions are whose."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable
from typing import Final

from gateway.errors import STORE_ERRORS
from gateway.sessions.clusterclock import ClusterClock
from gateway.sessions.model import Session
from gateway.sessions.shared import Beat, Node, NodeStore, Whose

log = logging.getLogger(__name__)

LATE_S: Final = 2.0
"""Seconds between two beats after which others may have taken this node for gone: no lease is shorter."""
RETURN_S: Final = 30.0
"""For so long it sees to what they may have done meanwhile."""
BEAT_S: Final = 1.0
"""Seconds between beats; a lease lasts several."""
_MOST_STRANGE: Final = 10_000
_MOST_TAKEN: Final = 10_000
"""Sessions claimed from other nodes that these are still to be told of; they find out by themselves, too."""


class Presence:
    """Beats, and knows what the last beat said. Everything but the ends is synchronous.

    Args:
        describe: what to say of this node, now.
        on_lost: told of sessions that others claimed from this node.
    """

    def __init__(
        self,
        nodes: NodeStore,
        describe: Callable[[], Node],
        clock: ClusterClock,
        on_lost: Callable[[Iterable[str]], None],
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._nodes = nodes
        self._describe = describe
        self._id = describe().id
        self._clock = clock
        self._on_lost = on_lost
        self._sleep = sleep
        self._alive: frozenset[str] = frozenset()
        self._leads = False
        self._known = False
        self._beaten_at: float | None = None
        self._returned_at: float | None = None
        self._taken: dict[str, str] = {}
        self._beats = 0
        self._strange: dict[str, int] = {}
        """Nodes that nobody heard of yet and whose sessions were seen, and the beat before that."""
        self._met: set[str] = set()

    @property
    def leads(self) -> bool:
        """Whether this node looks after what nobody living holds."""
        return self._leads

    @property
    def returned(self) -> bool:
        """Whether others may have taken this node for gone, lately."""
        return self._returned_at is not None and self._clock.monotonic() - self._returned_at < RETURN_S

    @property
    def nodes(self) -> int:
        """How many nodes there are, this one included."""
        return len(self._alive)

    def is_gone(self, node_id: str) -> bool:
        """Whether a node is known not to be there; while the store is away nobody is known to be gone."""
        return self._known and node_id not in self._alive

    async def start(self) -> None:
        """The first beat, from which the clock is the cluster's.

        Raises:
            StoreUnavailable, StoreUnsuitable: it can't be.
        """
        await self._beat()

    async def run(self) -> None:
        """Beat until cancelled. Who can't reach the store leads nobody, and takes nobody for gone."""
        while True:
            await self._sleep(BEAT_S)
            try:
                await self._beat()
            except STORE_ERRORS:
                self._known = self._leads = False
            except Exception:
                self._known = self._leads = False
                log.exception("a beat failed")

    async def aclose(self) -> None:
        """This node is gone."""
        if not self._alive:
            return  # nobody knows of it
        try:
            await self._nodes.leave(self._id)
        except STORE_ERRORS:
            log.warning("the store could not be told that this node is gone")

    def took(self, session_id: str, previous: str) -> None:
        """A session was claimed here from the node `previous`, which is told with the next beat."""
        if len(self._taken) < _MOST_TAKEN:
            self._taken[session_id] = previous

    def whose(self, session: Session) -> Whose:
        """Who looks after `session`, as far as is known."""
        if session.node == self._id:
            return Whose.OURS
        if not self._known or not self._leads or session.node in self._alive:
            return Whose.OTHERS
        if session.node is None:
            return Whose.OURS
        return Whose.ORPHANED if self._gone(session.node) else Whose.OTHERS

    def _gone(self, node: str) -> bool:
        """Whether a node that isn't there was there, or has not been heard of in a beat since it was first
        asked about: it may have come after the last one."""
        if node in self._met:
            return True
        if node not in self._strange and len(self._strange) >= _MOST_STRANGE:
            self._strange.clear()
        return self._beats > self._strange.setdefault(node, self._beats)

    async def _beat(self) -> None:
        taken, self._taken = self._taken, {}
        if taken:
            losses: dict[str, list[str]] = {}
            for session_id, previous in taken.items():
                losses.setdefault(previous, []).append(session_id)
            try:
                await self._nodes.tell_lost(losses)
            except BaseException:
                self._taken = taken | self._taken
                raise
        beat = await self._nodes.beat(self._describe(), self._clock.estimate)
        self._clock.adopt(beat.now)
        now = self._clock.monotonic()
        if self._beaten_at is not None and now - self._beaten_at > LATE_S:
            self._returned_at = now
        self._beaten_at = now
        self._note(beat)
        if beat.lost:
            self._on_lost(beat.lost)

    def _note(self, beat: Beat) -> None:
        if self._known:
            for gone in self._alive - beat.alive:
                log.warning("a node is gone", extra={"node": gone[:8]})
        if beat.leads and not self._leads:
            log.info("this node looks after what no living node holds")
        if len(self._met) > _MOST_STRANGE:
            self._met.clear()
        self._met |= beat.alive
        self._beats += 1
        self._alive, self._leads, self._known = beat.alive, beat.leads, True

"""A node among others: it joins them, says that it is there, and leaves.

Part of the composition root, which alone makes one; where sessions are in one process's memory there is none.
"""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass, replace
from typing import Any

from gateway.classify.port import Health, HealthStatus
from gateway.errors import StoreUnavailable
from gateway.live.presence import Presence
from gateway.live.registry import LiveRegistry
from gateway.live.upkeep import Upkeep
from gateway.sessions.service import SessionService
from gateway.sessions.shared import Node
from gateway.settings import DAY_S, Settings
from gateway.stores.configured import Shared
from gateway.stores.hybrid.trail import Trail
from gateway.tasks.archive import basis_of
from gateway.tasks.service import TaskService
from gateway.tasks.sharing import SharedDesk
from gateway.tasks.teller import Teller
from gateway.telemetry.sharing import SharingCounts

log = logging.getLogger(__name__)

_AGAIN_S = 2.0
"""Before a node that started without its store, or without the audit trail, looks for it again."""
_AWAY = Health(HealthStatus.WARNING, "the store is away: what is said is kept on this node only, for now")
_BACK = Health(HealthStatus.READY, "the store is back")


@dataclass(frozen=True, slots=True)
class Cluster:
    """What a node has to do with others."""

    shared: Shared
    presence: Presence
    upkeep: Upkeep
    live: LiveRegistry
    desk: SharedDesk
    """Tasks that other nodes can be asked for, too."""
    teller: Teller
    counts: SharingCounts
    required: bool
    """Don't start without the store and the audit trail."""

    @classmethod
    def of(
        cls,
        shared: Shared,
        service: SessionService,
        live: LiveRegistry,
        tasks: TaskService,
        teller: Teller,
        counts: SharingCounts,
        settings: Settings,
    ) -> "Cluster":
        """That of a node with these parts."""
        node = Node(shared.node_id, shared.node_name)
        presence = Presence(
            shared.nodes, lambda: replace(node, sessions=len(live)), shared.clock, shared.events.lose
        )
        shared.events.on_taken = presence.took
        shared.events.on_away = lambda away: live.notices.tell("store", _AWAY if away else _BACK)
        upkeep = Upkeep(
            service,
            live,
            presence,
            shared.clock,
            audit=shared.audit,
            reconcile=shared.sessions.reconcile,
            recheck=shared.events.recheck,
            retention_s=settings.audit_retention_days * DAY_S,
        )
        if shared.trail is not None:
            shared.trail.on_away = counts.trail_away
        desk = SharedDesk(
            tasks,
            shared.tasks,
            teller,
            shared.node_id,
            presence.is_gone,
            lambda session: basis_of(session, shared.events, live.counts_now),
            shared.clock,
            per_session=settings.tasks_per_session,
        )
        return cls(shared, presence, upkeep, live, desk, teller, counts, settings.store_required)

    @property
    def nodes(self) -> int:
        """Nodes that share their sessions, this one included."""
        return self.presence.nodes

    @property
    def rows_waiting(self) -> int:
        """Rows that the audit trail does not have yet."""
        return 0 if self.shared.trail is None else len(self.shared.trail)

    def held(self) -> Sequence[str] | None:
        """The sessions that this node looks after; None for all: it leads."""
        return None if self.presence.leads else self.live.held

    async def start(self, run: Callable[[str, Coroutine[Any, Any, None]], None]) -> None:
        """Join the others.

        Raises:
            StoreUnavailable, StoreUnsuitable: it can't be done.
        """
        joined = await self._tried("the store", self.shared.start)
        trailed = await self._tried("the audit trail", self.shared.start_trail)
        joined = joined and await self._tried("the store", self.presence.start)
        self.shared.events.start()
        run("presence", self._stay(joined))
        run("upkeep", self.upkeep.run())
        if self.shared.trail is not None:
            run("trail", self._record(self.shared.trail, trailed))
        run("tasks", self.desk.run())
        run("teller", self.teller.run())

    async def _tried(self, what: str, start: Callable[[], Awaitable[None]] | None) -> bool:
        """Whether it is there, or there is nothing to start."""
        try:
            if start is not None:
                await start()
        except StoreUnavailable as error:
            if self.required:
                raise
            log.warning("starting without %s", what, extra={"reason": str(error)})
            return False
        return True

    async def _stay(self, joined: bool) -> None:
        self.counts.store_away(not joined)
        while not joined:
            await asyncio.sleep(_AGAIN_S)
            with contextlib.suppress(StoreUnavailable):
                await self.shared.start()
                await self.presence.start()
                joined = True
        self.counts.store_away(self.shared.events.is_away)
        await self.presence.run()

    async def _record(self, trail: Trail, started: bool) -> None:
        """Rows wait until the trail is there; sessions don't."""
        start = self.shared.start_trail
        trail.note(away=not started)
        while start is not None and not started:
            await asyncio.sleep(_AGAIN_S)
            with contextlib.suppress(StoreUnavailable):
                await start()
                started = True
        trail.note(away=False)
        await trail.run()

    def checks(self) -> dict[str, str]:
        """How the stores are. A node whose store is away is ready: who comes back to it must find it."""
        away = self.shared.events.is_away
        told = {"store": "away" if away else "ok" if self.nodes else "waiting"}
        for task in self.shared.events.tasks:
            told[task.get_name()] = "stopped" if task.done() else "ok"
        if self.shared.trail is not None:
            told["trail"] = "away" if self.shared.trail.is_away else "ok"
        return told

    async def aclose(self) -> None:
        """Give the store what is left, and leave."""
        await self.shared.events.aclose()
        if self.shared.trail is not None:
            await self.shared.trail.aclose()
        await self.presence.aclose()
        await self.shared.close()

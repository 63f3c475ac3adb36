"""What a node that shares its sessions does from time to time, beside the reaper."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Final

from gateway.clock import Clock
from gateway.errors import STORE_ERRORS, NotFound
from gateway.live.presence import Presence
from gateway.live.registry import LiveRegistry
from gateway.live.session import ENDED, LiveSession
from gateway.live.sharing import GONE
from gateway.sessions.model import Status
from gateway.sessions.service import SessionService
from gateway.sessions.shared import AuditStore
from gateway.sessions.unreadable import Unreadable

log = logging.getLogger(__name__)

INTERVAL_S: Final = 10.0
"""Between two rounds."""
CHECK_S: Final = 60.0
"""Between two looks at sessions that are quiet."""
TRAIL_S: Final = 600.0
"""Between two looks at the audit trail."""


class Upkeep:
    """Rounds, until cancelled; one that fails is logged, and the next one makes up for it.

    Args:
        audit: looked after by the node that leads; None where there is none.
        reconcile: gives the store what was changed here while it was away.
        recheck: finds out about sessions here that were quiet, which others may have deleted or claimed.
        retention_s: how long the trail keeps what is over.
    """

    def __init__(
        self,
        service: SessionService,
        live: LiveRegistry,
        presence: Presence,
        clock: Clock,
        *,
        audit: AuditStore | None,
        reconcile: Callable[[], Awaitable[None]],
        recheck: Callable[[], None] = lambda: None,
        retention_s: float,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._service = service
        self._live = live
        self._presence = presence
        self._clock = clock
        self._audit = audit
        self._reconcile = reconcile
        self._recheck = recheck
        self._retention_s = retention_s
        self._sleep = sleep
        self._unreadable = Unreadable()
        self._trail_due = self._check_due = clock.monotonic()

    async def run(self) -> None:
        """Round after round."""
        while True:
            await self._sleep(INTERVAL_S)
            try:
                await self.round()
            except STORE_ERRORS:
                continue
            except Exception:
                log.exception("a round of upkeep failed")

    async def round(self) -> None:
        """Do what is due.

        Raises:
            StoreUnavailable, StoreUnsuitable: the rest is for the next round.
        """
        await self._reconcile()
        if self._presence.returned:
            for live in tuple(self._live):
                with self._unreadable.passed_over(live.session_id):
                    await self._service.readopt(live.session_id, owned=live.audience.owner is not None)
        for live in self._live.followed:
            with self._unreadable.passed_over(live.session_id):
                await self._look_after(live)
        now = self._clock.monotonic()
        if now >= self._check_due:
            self._check_due = now + CHECK_S
            self._recheck()
        if self._audit is not None and now >= self._trail_due:
            self._trail_due = now + TRAIL_S
            await self._keep_trail(self._audit)

    async def _look_after(self, live: LiveSession) -> None:
        """Who reads a session from here keeps it from expiring, and hears of its end."""
        try:
            session = await self._service.get(live.session_id)
        except NotFound:
            live.audience.dismiss(GONE)
            return
        if session.over:
            live.audience.dismiss(ENDED)
        elif session.status is Status.DETACHED and live.audience.count:
            since = self._clock.monotonic() - (session.detached_mono or 0.0)
            if since >= self._service.timers.detached_ttl_s / 2:
                await self._service.observe(session.id)

    async def _keep_trail(self, audit: AuditStore) -> None:
        here = [live.session_id for live in self._live]
        await audit.heartbeat(here, self._clock.time())
        if not self._presence.leads:
            return
        stale = await audit.cleanup_stale(self._service.timers.stale_ttl_s)
        expired = await audit.expire(self._retention_s)
        if stale or expired:
            log.info("looked after the audit trail", extra={"stale": stale, "expired": expired})

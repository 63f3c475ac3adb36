"""The audit trail for those who can't wait for it."""

import asyncio
from collections.abc import Coroutine, Sequence
from typing import Any, Final, TypeVar

from gateway.clock import Clock
from gateway.errors import StoreUnavailable
from gateway.sessions.shared import AuditRow, AuditStore, Recovered

PATIENCE_S: Final = 2.0
"""Seconds without an answer after which the trail counts as away."""
PAUSE_S: Final = 10.0
"""Seconds for which it isn't asked again then."""

T = TypeVar("T")


class PromptAudit:
    """Answers soon, or not at all: a silent connection keeps a driver waiting for longer than somebody would
    who wants to begin. What is on its way then goes on by itself."""

    def __init__(self, store: AuditStore, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._silent_until = 0.0
        self._late: set[asyncio.Task[Any]] = set()

    async def recover(self, session_id: str) -> Recovered | None:
        """As the store says.

        Raises:
            StoreUnavailable: the trail can't be reached, or is silent.
        """
        return await self._within(self._store.recover(session_id))

    async def write(self, rows: Sequence[AuditRow]) -> None:
        """As the store does. Where it is silent the rows may be written all the same.

        Raises:
            StoreUnavailable: the trail can't be reached, or is silent.
        """
        await self._within(self._store.write(rows))

    async def _within(self, work: Coroutine[Any, Any, T]) -> T:
        if self._clock.monotonic() < self._silent_until:
            work.close()
            raise StoreUnavailable("the audit trail is silent")
        task = asyncio.ensure_future(work)
        self._late.add(task)
        task.add_done_callback(self._done)
        # Not cancelled: drivers wait for the server's word about that, too.
        done, _ = await asyncio.wait({task}, timeout=PATIENCE_S)
        if not done:
            self._silent_until = self._clock.monotonic() + PAUSE_S
            raise StoreUnavailable("the audit trail is silent")
        return task.result()

    def _done(self, task: asyncio.Task[Any]) -> None:
        self._late.discard(task)
        if not task.cancelled():
            task.exception()  # whoever still waits is told; nobody else wants to know

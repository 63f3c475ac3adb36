"""Connections to the sidecars that were allocated: one a URL and token, shared by the allocations there."""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass

from gateway.classify.notices import Notices
from gateway.classify.orchestrator.grant import Sidecar
from gateway.classify.port import Classifier, HealthStatus, room_of

log = logging.getLogger(__name__)

ANSWERING = (HealthStatus.READY, HealthStatus.WARNING)

Connect = Callable[[Sidecar], Classifier]
"""Makes a classifier for a sidecar; it is started and closed here."""


@dataclass(slots=True, eq=False)
class _Connection:
    classifier: Classifier
    starting: "asyncio.Future[None]"
    allocations: int = 0


class Connections:
    """What is connected to.

    Args:
        connect: how to reach one.
        notices: where what one of them tells of itself goes to, the one that is followed.
    """

    def __init__(self, connect: Connect, notices: Notices) -> None:
        self._connect = connect
        self._notices = notices
        self._open: dict[Sidecar, _Connection] = {}
        self._followed: Sidecar | None = None
        self._unlisten: Callable[[], None] = lambda: None

    @property
    def room(self) -> int | None:
        """As of the sidecar that has most, among those that answer."""
        rooms = [room_of(one.classifier) for sidecar, one in self._open.items() if self.answers(sidecar)]
        return max((room for room in rooms if room is not None), default=None)

    def to(self, sidecar: Sidecar | None) -> Classifier:
        """The one there, which was opened."""
        assert sidecar is not None
        return self._open[sidecar].classifier

    def answers(self, sidecar: Sidecar | None) -> bool:
        """Whether it does, as far as it knows."""
        return self.to(sidecar).health().status in ANSWERING

    def forget(self, session: str) -> None:
        """The session is over."""
        for one in self._open.values():
            one.classifier.forget(session)

    def follow(self, sidecar: Sidecar | None) -> None:
        """Pass on what that sidecar tells of itself, and nobody else's any more."""
        if sidecar == self._followed:
            return
        before = self._of(self._followed)
        self._unlisten()
        self._unlisten, self._followed = lambda: None, sidecar
        now = self._of(sidecar)
        for part in before.current:
            if part not in now.current:
                self._notices.forget(part)
        for part, health in tuple(now.current.items()):
            self._notices.tell(part, health)
        if sidecar is not None:
            self._unlisten = now.listen(self._notices.tell)

    async def open(self, sidecar: Sidecar) -> None:
        """One allocation more is there."""
        found = self._open.get(sidecar)
        if found is None:
            classifier = self._connect(sidecar)
            starting = asyncio.ensure_future(classifier.start())
            found = self._open[sidecar] = _Connection(classifier, starting)
        found.allocations += 1
        try:
            await asyncio.shield(found.starting)
        except BaseException:
            await self.part_with(sidecar)
            raise

    async def part_with(self, sidecar: Sidecar | None) -> None:
        """One allocation less is there."""
        found = None if sidecar is None else self._open.get(sidecar)
        if sidecar is None or found is None:
            return
        found.allocations -= 1
        if not found.allocations:
            await self._close(sidecar)

    async def aclose(self) -> None:
        """Close all."""
        for sidecar in tuple(self._open):
            await self._close(sidecar)

    async def _close(self, sidecar: Sidecar) -> None:
        if sidecar == self._followed:
            self.follow(None)
        found = self._open.pop(sidecar)
        found.starting.cancel()
        try:
            await found.classifier.aclose()
        except Exception:
            log.exception("a sidecar's connections could not be closed")

    def _of(self, sidecar: Sidecar | None) -> Notices:
        return Notices() if sidecar is None else self.to(sidecar).notices

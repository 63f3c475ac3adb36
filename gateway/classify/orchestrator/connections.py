"""Connections to the sidecars that were allocated: one a URL, shared by the allocations there."""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass

from gateway.classify.notices import Notices
from gateway.classify.port import Classifier, HealthStatus, room_of

log = logging.getLogger(__name__)

ANSWERING = (HealthStatus.READY, HealthStatus.WARNING)

Connect = Callable[[str], Classifier]
"""Makes a classifier for the sidecar at a URL; it is started and closed here."""


@dataclass(slots=True, eq=False)
class _Sidecar:
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
        self._sidecars: dict[str, _Sidecar] = {}
        self._followed: str | None = None
        self._unlisten: Callable[[], None] = lambda: None

    @property
    def room(self) -> int | None:
        """As of the sidecar that has most, among those that answer."""
        rooms = [room_of(one.classifier) for url, one in self._sidecars.items() if self.answers(url)]
        return max((room for room in rooms if room is not None), default=None)

    def to(self, url: str) -> Classifier:
        """The one there, which was opened."""
        return self._sidecars[url].classifier

    def answers(self, url: str) -> bool:
        """Whether it does, as far as it knows."""
        return self.to(url).health().status in ANSWERING

    def forget(self, session: str) -> None:
        """The session is over."""
        for sidecar in self._sidecars.values():
            sidecar.classifier.forget(session)

    def follow(self, url: str | None) -> None:
        """Pass on what the sidecar there tells of itself, and nobody else's any more."""
        if url == self._followed:
            return
        before = self._of(self._followed)
        self._unlisten()
        self._unlisten, self._followed = lambda: None, url
        now = self._of(url)
        for part in before.current:
            if part not in now.current:
                self._notices.forget(part)
        for part, health in tuple(now.current.items()):
            self._notices.tell(part, health)
        if url is not None:
            self._unlisten = now.listen(self._notices.tell)

    async def open(self, url: str) -> None:
        """One allocation more is at that URL."""
        sidecar = self._sidecars.get(url)
        if sidecar is None:
            classifier = self._connect(url)
            starting = asyncio.ensure_future(classifier.start())
            sidecar = self._sidecars[url] = _Sidecar(classifier, starting)
        sidecar.allocations += 1
        try:
            await asyncio.shield(sidecar.starting)
        except BaseException:
            await self.part_with(url)
            raise

    async def part_with(self, url: str) -> None:
        """One allocation less is at that URL."""
        sidecar = self._sidecars.get(url)
        if sidecar is None:
            return
        sidecar.allocations -= 1
        if not sidecar.allocations:
            await self._close(url)

    async def aclose(self) -> None:
        """Close all."""
        for url in tuple(self._sidecars):
            await self._close(url)

    async def _close(self, url: str) -> None:
        if url == self._followed:
            self.follow(None)
        sidecar = self._sidecars.pop(url)
        sidecar.starting.cancel()
        try:
            await sidecar.classifier.aclose()
        except Exception:
            log.exception("a sidecar's connections could not be closed")

    def _of(self, url: str | None) -> Notices:
        return Notices() if url is None else self.to(url).notices

"""How the parts of a session's backend are, told to its readers: what is worth telling, and when.

Many sessions hear of one part, and a part may flap. So a change is told at once, and further ones of the same
part no sooner than `QUIET_S` after, as it is then; a session is never told twice in a row that something is
the same, nor that something is ready which it never heard to be otherwise.
"""

import asyncio
import contextlib
import logging
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from gateway.classify.notices import Notices
from gateway.classify.port import Health, HealthStatus
from gateway.clock import Clock
from gateway.live.announcer import Announcer
from protocol.events import ServiceStatus

log = logging.getLogger(__name__)

QUIET_S = 5.0
"""Seconds between two pieces of news of one part."""
MAX_PARTS = 64
"""Parts of one backend that are told of; a sidecar can't make up more."""
MAX_DETAIL = 200
"""Characters."""
SLICE = 10
"""Sessions told before others have their turn at the event loop: about a millisecond, readers included."""

_MOMENT_S = 1e-3
"""Sums of times are rounded: who waits exactly until something is due may come too early."""
_BLANKS = re.compile(r"\s+")


def sentence(part: str, health: Health) -> str:
    """One line for people; what a peer wrote is shortened, and rid of what isn't text."""
    told = health.detail or f"{part} is {_WORDS[health.status]}"
    clean = "".join(char if char.isprintable() else " " for char in told[: 4 * MAX_DETAIL])
    line = _BLANKS.sub(" ", clean).strip()
    return line if len(line) <= MAX_DETAIL else line[: MAX_DETAIL - 1] + "…"


_WORDS = {
    HealthStatus.LOADING: "loading",
    HealthStatus.READY: "ready",
    HealthStatus.WARNING: "not quite well",
    HealthStatus.ERROR: "not working",
}


class Bulletin:
    """What one session was told so far.

    Args:
        position: the sample at which the session's audio stands.
        over: whether its end has begun: nothing comes after a summary.
    """

    def __init__(
        self, announcer: Announcer, position: Callable[[], int], over: Callable[[], bool] = lambda: False
    ) -> None:
        self._announcer = announcer
        self._position = position
        self._over = over
        self._told: dict[tuple[Notices, str], Health] = {}

    def tell(self, source: Notices, part: str, health: Health) -> bool:
        """How `part` is, if that is news to this session. Whether it was."""
        if self._over():
            return False
        before = self._told.get((source, part))
        if health.status is HealthStatus.READY:
            if before is None:
                return False
            del self._told[source, part]
        elif before == health:
            return False
        else:
            self._told[source, part] = health
        status = ServiceStatus(health.status.value)
        self._announcer.service(status, sentence(part, health), self._position())
        return True

    def tell_all(self, sources: Iterable[Notices]) -> None:
        """How everything is that isn't ready, to a session that begins."""
        for source in sources:
            for part, health in tuple(source.current.items())[:MAX_PARTS]:
                self.tell(source, part, health)


@dataclass(slots=True)
class _News:
    """A part that has changed, or did lately."""

    told_at: float
    waiting: bool


class Pace:
    """Which parts' changes are due. Decides only, with time handed in."""

    def __init__(self, quiet_s: float = QUIET_S) -> None:
        self._quiet_s = quiet_s
        self._parts: dict[tuple[Notices, str], _News] = {}

    def note(self, source: Notices, part: str) -> None:
        """It has changed."""
        news = self._parts.get((source, part))
        if news is not None:
            news.waiting = True
        elif sum(known is source for known, _ in self._parts) < MAX_PARTS:
            self._parts[source, part] = _News(float("-inf"), waiting=True)

    def due(self, now: float) -> list[tuple[Notices, str]]:
        """What to tell now; it is taken as told. Parts that were calm for long enough are forgotten."""
        found = []
        for key, news in tuple(self._parts.items()):
            if now - news.told_at < self._quiet_s:
                continue
            if news.waiting:
                news.told_at, news.waiting = now, False
                found.append(key)
            else:
                del self._parts[key]
        return found

    def wait_s(self, now: float) -> float | None:
        """Seconds until something is due, and a moment; None where nothing waits."""
        times = [news.told_at for news in self._parts.values() if news.waiting]
        return max(0.0, min(times) + self._quiet_s - now) + _MOMENT_S if times else None


class NoticeBoard:
    """Hears of changes from every part, and tells the sessions that have it.

    Args:
        audience: the bulletins of the sessions that hear of these notices, all of the moment at which the
            first is asked for.
        on_told: called for each event that was said, with its status.
    """

    def __init__(
        self,
        audience: Callable[[Notices], Iterable[Bulletin]],
        clock: Clock,
        on_told: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._audience = audience
        self._clock = clock
        self._on_told = on_told
        self._pace = Pace()
        self._changed = asyncio.Event()

    def watch(self, source: Notices) -> None:
        """Hear of the changes of `source` from now on."""

        def note(part: str, _: Health) -> None:
            self._pace.note(source, part)
            self._changed.set()

        source.listen(note)

    async def run(self) -> None:
        """Tell, until cancelled."""
        while True:
            wait_s = self._pace.wait_s(self._clock.monotonic())
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait_s):
                    await self._changed.wait()
            self._changed.clear()
            for source, part in self._pace.due(self._clock.monotonic()):
                await self._tell(source, part)

    async def _tell(self, source: Notices, part: str) -> None:
        """Tell everybody, a few at a time; those that come meanwhile were told when they came."""
        for count, bulletin in enumerate(self._audience(source), 1):
            # A part that went troubles nobody: who heard of it hears that.
            health = source.current.get(part) or Health(HealthStatus.READY, f"{part} is over")
            try:
                if bulletin.tell(source, part, health):
                    self._on_told(health.status.value)
            except Exception:
                # One session's defect, or its being purged just now, stays in that session.
                log.exception("a session could not be told of its backend")
            if count % SLICE == 0:
                await asyncio.sleep(0)

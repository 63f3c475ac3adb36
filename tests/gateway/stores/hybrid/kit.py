"""What the tests of the hybrid stores share: nodes over one fake store, in virtual time."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

from gateway.live.log import EventLog
from gateway.sessions.ports import Entry, Tail
from gateway.sessions.shared import Loss, StreamBounds
from gateway.sessions.tail import BoundedTail
from gateway.stores.hybrid.events import HybridEventStore
from gateway.stores.hybrid.outbox import Own
from gateway.telemetry.sharing import SharingCounts
from protocol.events import Service, ServiceStatus
from tests.streams import FakeStreamStore
from tests.virtual_time import VirtualLoop

LOOSE = StreamBounds(10_000, 2**30)
ROOMY = StreamBounds(events=10_000, bytes=2**30, seconds=1e9)


@dataclass(eq=False)
class Scribe:
    """Writes one session on one node, as a live session does."""

    log: EventLog
    broken: bool = False
    told: list[tuple[Loss, bool]] = field(default_factory=list)
    """How it was lost, and whether `unseen`."""

    def snapshot(self) -> bytes:
        if self.broken:
            raise TypeError("an analysis that can't be packed")
        return str(self.log.top).encode()

    def history(self) -> Sequence[Entry]:
        return self.log.held()

    def lost(self, loss: Loss, *, unseen: bool) -> None:
        self.told.append((loss, unseen))
        self.log.give_up()

    def say(self, times: int = 1, detail: str = "") -> None:
        for _ in range(times):
            self.log.append(
                Service(
                    seq=self.log.next_seq,
                    session_id=self.log.session_id,
                    timestamp=float(self.log.next_seq),
                    status=ServiceStatus.READY,
                    detail=detail,
                )
            )


class Node:
    """One node's end of the store."""

    def __init__(
        self,
        streams: FakeStreamStore,
        loop: VirtualLoop,
        name: str = "a",
        bounds: StreamBounds = LOOSE,
    ) -> None:
        self.counts = SharingCounts()
        self.kept: list[int] = []
        """Numbers of events that the trail was told of."""
        self._loop = loop
        self.events = HybridEventStore(
            streams, name, loop, self.counts, bounds=bounds, on_stored=self._stored
        )

    def _stored(self, own: Own, entries: Sequence[Entry], snapshot: bytes | None) -> None:
        self.kept += [entry.seq for entry in entries]

    def new_log(self, session_id: str = "s") -> EventLog:
        return EventLog(session_id, None, self._loop, BoundedTail(10_000, 2**30, 1e9))

    async def claim(self, session_id: str = "s", turn: int = 1) -> Scribe:
        """Become the writer of a session, and go on with it."""
        held = await self.events.claim(session_id, turn)
        scribe = Scribe(self.new_log(session_id))
        scribe.log.adopt(self.events, held.tail)
        self.events.attend(session_id, scribe)
        return scribe

    async def follow(self, session_id: str = "s") -> tuple[EventLog, list[Tail | None]]:
        """Read what another node says: what is there by now, and all that was told."""
        event_log, told = self.new_log(session_id), list[Tail | None]()

        def sink(tail: Tail | None) -> None:
            told.append(tail)
            if tail is not None:
                event_log.receive(tail)

        await self.events.follow(session_id, sink)
        return event_log, told


async def rest(seconds: float = 0.01) -> None:
    """Everybody gets as far as they get in virtual time."""
    await asyncio.sleep(seconds)


def numbers(event_log: EventLog, after: int = 0) -> list[int]:
    """What readers may see."""
    return [entry.seq for entry in event_log.read(after, 100_000)]

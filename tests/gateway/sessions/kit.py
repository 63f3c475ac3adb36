"""What the tests of sessions share: builders, a store that provokes races, a node moved by hand."""

import asyncio
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from gateway.clock import ManualClock
from gateway.sessions.lifecycle import Activity, Input
from gateway.sessions.model import Session, Status, Timers, new_session_id
from gateway.sessions.ports import Entry, Quota, SessionFilter
from gateway.sessions.reaper import Reaper
from gateway.sessions.service import SessionService
from gateway.stores.memory import MemoryEventStore, MemorySessionStore, MemoryTicketStore
from protocol.events import Summary, Tone, Transcript

T = TypeVar("T")

_ANY = SessionFilter()


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run `work` to its end on a loop of its own."""
    return asyncio.run(work)


def session(**given: Any) -> Session:
    """A session made at monotonic 1,000 s, unless told otherwise."""
    stamps = {"created_at": 0.0, "updated_at": 0.0, "created_mono": 1_000.0, "seen_mono": 1_000.0}
    return Session(**{"id": new_session_id(), **stamps, **given})


def in_status(status: Status, **given: Any) -> Session:
    """A session in `status` with the stamps that go with it, all at monotonic 1,000 s."""
    stamps: dict[Status, dict[str, Any]] = {
        Status.CREATED: {},
        Status.LIVE: {"live_mono": 1_000.0},
        Status.DETACHED: {"detached_mono": 1_000.0},
        Status.DRAINING: {"live_mono": 1_000.0, "end_reason": "end"},
        Status.CLOSED: {"ended_mono": 1_000.0, "end_reason": "end"},
        Status.EXPIRED: {"ended_mono": 1_000.0, "end_reason": "connect_deadline"},
        Status.FAILED: {"ended_mono": 1_000.0, "end_reason": "fail"},
    }
    return session(status=status, **{**stamps[status], **given})


def tone(seq: int, label: str = "Calm", session_id: str = "s") -> Tone:
    """A tone event."""
    return Tone(
        seq=seq,
        session_id=session_id,
        timestamp=float(seq),
        start_sample=0,
        end_sample=16_000,
        label=label,
        confidence=0.5,
    )


def transcript(seq: int, *, is_final: bool) -> Transcript:
    """A transcript event."""
    return Transcript(
        seq=seq,
        session_id="s",
        timestamp=float(seq),
        start_sample=0,
        end_sample=16_000,
        text="well",
        is_final=is_final,
        revision=0,
    )


def entry(seq: int, at: float = 1_000.0, label: str = "Calm") -> Entry:
    """A log entry that holds a tone."""
    return Entry(seq, "tone", True, float(seq), at, tone(seq, label))


def summary(session_id: str, seq: int = 1) -> Summary:
    """A summary whose counts add up."""
    return Summary(
        seq=seq,
        session_id=session_id,
        timestamp=2.0,
        next_sample=32_000,
        classified_samples=16_000,
        gap_samples=16_000,
        client_gap_samples=1_000,
        received_samples=31_000,
        events={"tone": 1},
        duration_s=2.0,
        speakers=("Speaker A",),
        record_truncated=False,
    )


class YieldingSessionStore(MemorySessionStore):
    """A store that lets everybody else go first before and after each call, as one over a network would."""

    async def create(self, session: Session, *quotas: Quota) -> None:
        await asyncio.sleep(0)
        await super().create(session, *quotas)
        await asyncio.sleep(0)

    async def get(self, session_id: str) -> Session | None:
        await asyncio.sleep(0)
        found = await super().get(session_id)
        await asyncio.sleep(0)
        return found

    async def update(self, session: Session, expected_version: int) -> Session:
        await asyncio.sleep(0)
        updated = await super().update(session, expected_version)
        await asyncio.sleep(0)
        return updated

    async def delete(self, session_id: str) -> bool:
        await asyncio.sleep(0)
        return await super().delete(session_id)

    async def list(
        self, wanted: SessionFilter = _ANY, limit: int = 100, after: str | None = None
    ) -> Sequence[Session]:
        await asyncio.sleep(0)
        return await super().list(wanted, limit, after)


@dataclass
class Node:
    """A node without sockets: a service, a reaper, and what is live, moved by hand."""

    timers: Timers = field(default_factory=Timers)
    store: MemorySessionStore = field(default_factory=MemorySessionStore)
    max_sessions_per_user: int | None = None

    def __post_init__(self) -> None:
        self.clock = ManualClock()
        self.tickets = MemoryTicketStore()
        self.events = MemoryEventStore(self.clock)
        self.live: dict[str, Activity] = {}
        self.told: list[tuple[str, Input]] = []
        self.purged: list[str] = []
        self.service = SessionService(
            self.store,
            self.tickets,
            self.events,
            self.clock,
            self.timers,
            max_sessions_per_user=self.max_sessions_per_user,
            activity=self.live.get,
        )
        self.reaper = Reaper(
            self.service,
            self.clock,
            self.timers,
            activity=self.live.get,
            on_decision=self.decided,
            on_purged=self.purged.append,
        )

    async def decided(self, session: Session, reason: Input) -> None:
        """End what is live, as a live session does: its summary closes it."""
        self.told.append((session.id, reason))
        await self.service.end(session.id, summary(session.id))
        self.live.pop(session.id, None)

    def hear(self, session_id: str, subscribers: int = 1) -> None:
        """Something was heard in the session just now, and so many subscribe to it."""
        self.live[session_id] = Activity(subscribers, self.clock.monotonic())

"""Erasing somebody from every store, with stores in memory."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest

from gateway.errors import StoreUnavailable
from gateway.sessions.model import Session
from gateway.sessions.ports import SessionFilter, TicketGrant
from gateway.sessions.tickets import Role
from gateway.stores.memory import MemorySessionStore, MemoryTicketStore
from gateway.stores.upkeep import Eraser, Whom
from tests.gateway.sessions.kit import run, session

_ANY = SessionFilter()


@dataclass
class Streams:
    """Streams by session; away after so many calls."""

    there: set[str]
    calls_left: int = 1_000

    async def forget(self, session_id: str) -> None:
        """Delete one."""
        if not self.calls_left:
            raise StoreUnavailable("away")
        self.calls_left -= 1
        self.there.discard(session_id)


@dataclass
class Tasks:
    """Sessions that have tickets of tasks."""

    there: set[str] = field(default_factory=set)

    async def discard(self, session_id: str) -> None:
        """Forget all of one."""
        self.there.discard(session_id)


@dataclass
class Trail:
    """Rows of the audit trail; `late` come when it was asked for the first time."""

    rows: dict[str, Session]
    late: list[Session] = field(default_factory=list)

    async def erase(self, namespace_id: str | None, user_id: str | None = None) -> Sequence[str]:
        """Delete theirs."""
        found = [
            one.id
            for one in self.rows.values()
            if one.namespace_id == namespace_id and user_id in (None, one.user_id)
        ]
        for one in found:
            del self.rows[one]
        self.rows |= {one.id: one for one in self.late}
        self.late = []
        return found


class Stage:
    """Sessions of several tenants, each with a stream, a ticket and a row."""

    def __init__(self) -> None:
        self.sessions = MemorySessionStore()
        self.tickets = MemoryTicketStore()
        self.streams = Streams(set())
        self.tasks = Tasks()
        self.trail = Trail({})
        self.slept: list[float] = []

    async def add(self, namespace: str | None, user: str | None) -> Session:
        """One more."""
        one = session(namespace_id=namespace, user_id=user)
        await self.sessions.create(one)
        await self.tickets.issue(f"ticket-{one.id}", TicketGrant(one.id, Role.OWNER, 2_000.0))
        self.streams.there.add(one.id)
        self.tasks.there.add(one.id)
        self.trail.rows[one.id] = one
        return one

    @property
    def eraser(self) -> Eraser:
        """Of all of these."""

        async def sleep(seconds: float) -> None:
            self.slept.append(seconds)

        return Eraser(
            self.sessions,
            self.tickets,
            self.streams,  # type: ignore[arg-type]
            self.tasks,  # type: ignore[arg-type]
            self.trail,  # type: ignore[arg-type]
            sleep,
        )

    async def left(self) -> set[str]:
        """The ids of which anything is there."""
        kept = {one.id for one in await self.sessions.list(SessionFilter(), 100)}
        return kept | self.streams.there | self.tasks.there | set(self.trail.rows)


@pytest.mark.parametrize(
    ("whom", "gone"),
    [
        (Whom("acme"), {0, 1, 2}),
        (Whom("acme", "ann"), {0, 1}),
        (Whom(None, "ann"), {3}),
        (Whom("nobody"), set()),
    ],
)
def test_all_of_somebody_goes_and_nobody_elses(whom: Whom, gone: set[int]) -> None:
    """In each store; without a namespace only sessions that have none are meant."""

    async def main() -> None:
        stage = Stage()
        whose = [("acme", "ann"), ("acme", "ann"), ("acme", "bob"), (None, "ann"), ("other", "ann")]
        made = [await stage.add(*one) for one in whose]
        assert set(await stage.eraser.found(whom)) == {made[n].id for n in gone}
        assert await stage.eraser.erase(whom) == len(gone)
        assert await stage.left() == {one.id for n, one in enumerate(made) if n not in gone}
        for n, one in enumerate(made):
            assert (await stage.tickets.redeem(f"ticket-{one.id}", 1_000.0) is None) is (n in gone)

    run(main())


def test_what_nodes_still_had_to_write_goes_too() -> None:
    """A row that came to the trail meanwhile is found by looking again."""

    async def main() -> None:
        stage = Stage()
        await stage.add("acme", "ann")
        stage.trail.late = [session(namespace_id="acme")]
        assert await stage.eraser.erase(Whom("acme")) == 2
        assert await stage.left() == set()
        assert len(stage.slept) == 2

    run(main())


def test_what_can_not_be_read_goes_too() -> None:
    """It is in no list, and somebody's all the same."""

    class Listless(MemorySessionStore):
        async def list(
            self, wanted: SessionFilter = _ANY, limit: int = 100, after: str | None = None
        ) -> Sequence[Session]:
            return []

    async def main() -> None:
        stage = Stage()
        stage.sessions = Listless()
        stage.trail.rows = {}
        made = await stage.add("acme", "ann")
        stage.trail.rows = {}
        assert await stage.eraser.erase(Whom("acme", "ann")) == 1
        assert await stage.sessions.get(made.id) is None

    run(main())


def test_where_a_store_goes_away_the_session_can_still_be_found() -> None:
    """Erasing again does the rest."""

    async def main() -> None:
        stage = Stage()
        made = await stage.add("acme", "ann")
        stage.streams.calls_left = 0
        with pytest.raises(StoreUnavailable):
            await stage.eraser.erase(Whom("acme"))
        stage.streams.calls_left = 10
        assert await stage.eraser.found(Whom("acme")) == [made.id]
        assert await stage.eraser.erase(Whom("acme")) == 1
        assert await stage.left() == set()

    run(main())

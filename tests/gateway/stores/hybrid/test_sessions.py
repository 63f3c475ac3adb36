"""Sessions held here while the store comes and goes."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace

import pytest

from gateway.clock import ManualClock
from gateway.errors import BadDocument, Conflict, StoreUnavailable
from gateway.sessions.model import Session, Status
from gateway.sessions.shared import AuditRow, DeletedRow, Recovered, SessionRow
from gateway.stores.hybrid.sessions import FRESH_S, HybridSessionStore
from gateway.stores.memory import MemorySessionStore
from tests.gateway.sessions.kit import run, session


class Behind(MemorySessionStore):
    """A store that can be away, and whose answers can get lost."""

    def __init__(self) -> None:
        super().__init__()
        self.away = False
        self.unanswered = 0
        self.reads = 0
        self.broken = ""

    async def _reach(self) -> None:
        await asyncio.sleep(0)
        if self.away:
            raise StoreUnavailable("by hand")

    async def get(self, session_id: str) -> Session | None:
        self.reads += 1
        await self._reach()
        if session_id == self.broken:
            raise BadDocument("by hand")
        return await super().get(session_id)

    async def update(self, session: Session, expected_version: int) -> Session:
        await self._reach()
        if session.id == self.broken:
            raise BadDocument("by hand")
        updated = await super().update(session, expected_version)
        if self.unanswered:
            self.unanswered -= 1
            raise StoreUnavailable("no answer")
        return updated

    async def delete(self, session_id: str) -> bool:
        await self._reach()
        return await super().delete(session_id)


class Trail:
    """An audit store that only remembers."""

    def __init__(self) -> None:
        self.known: dict[str, Session] = {}
        self.written: list[AuditRow] = []
        self.away = False

    async def write(self, rows: Sequence[AuditRow]) -> None:
        if self.away:
            raise StoreUnavailable("by hand")
        self.written += rows

    async def recover(self, session_id: str) -> Recovered | None:
        found = self.known.get(session_id)
        return None if found is None else Recovered(found, None)


class Stage:
    def __init__(self, audit: Trail | None = None) -> None:
        self.clock, self.behind = ManualClock(), Behind()
        self.rows: list[AuditRow] = []
        self.store = HybridSessionStore(
            self.behind,
            "me",
            self.clock,
            audit=audit,  # type: ignore[arg-type]
            record=self.rows.append,
        )

    async def held(self, **given: object) -> Session:
        one = session(node="me", **given)
        await self.store.create(one)
        return one

    def later(self) -> None:
        self.clock.advance(FRESH_S + 0.1)


Scenario = Callable[[Stage], Awaitable[None]]


def play(scenario: Scenario, audit: Trail | None = None) -> None:
    async def steps() -> None:
        await scenario(Stage(audit))

    run(steps())


def test_a_session_held_here_is_believed_for_a_moment() -> None:
    """Others are always asked about."""

    async def scenario(on: Stage) -> None:
        mine = await on.held()
        others = session(node="other")
        await on.store.create(others)
        for _ in range(2):
            assert await on.store.get(mine.id) == mine
            assert await on.store.get(others.id) == others
        assert on.behind.reads == 2
        on.later()
        assert await on.store.get(mine.id) == mine
        assert on.behind.reads == 3

    play(scenario)


def test_it_goes_on_while_the_store_is_away_and_is_given_back() -> None:
    """Change after change; others, and new ones, have to wait."""

    async def scenario(on: Stage) -> None:
        mine, others = await on.held(), session(node="other")
        await on.store.create(others)
        on.behind.away = True
        on.later()
        current = await on.store.get(mine.id)
        assert current == mine
        for user in ("a", "b", "c"):
            current = await on.store.update(replace(current, user_id=user), current.version)
        assert (await on.store.get(mine.id)) == current
        for call in (on.store.get(others.id), on.store.update(others, 1), on.store.reconcile()):
            with pytest.raises(StoreUnavailable):
                await call
        on.behind.away = False
        await on.store.reconcile()
        found = await on.behind.get(mine.id)
        assert found is not None
        assert (found.user_id, found.version) == ("c", 2)
        assert await on.store.get(mine.id) == found

    play(scenario)


def test_a_change_whose_answer_got_lost_is_no_one_elses() -> None:
    """What was changed here after it is not thrown away."""

    async def scenario(on: Stage) -> None:
        mine = await on.held()
        on.behind.unanswered = 1
        current = await on.store.update(replace(mine, user_id="first"), 1)
        on.behind.away = True
        current = await on.store.update(replace(current, resume_hash="token"), current.version)
        on.behind.away, on.behind.unanswered = False, 1
        with pytest.raises(StoreUnavailable):
            await on.store.reconcile()
        await on.store.reconcile()
        found = await on.behind.get(mine.id)
        assert found is not None
        assert (found.user_id, found.resume_hash) == ("first", "token")

    play(scenario)


def test_what_others_changed_meanwhile_is_the_truth() -> None:
    """What was decided here without them is gone."""

    async def scenario(on: Stage) -> None:
        mine = await on.held()
        on.behind.away = True
        await on.store.update(replace(mine, user_id="here"), 1)
        on.behind.away = False
        theirs = await on.behind.update(replace(mine, node="other", user_id="there"), 1)
        await on.store.reconcile()
        await on.store.reconcile()
        assert await on.store.get(mine.id) == theirs

    play(scenario)


def test_a_conflict_while_the_store_is_away_loses_nothing() -> None:
    """Who decided on what is no longer so is told, and the change before it stays."""

    async def scenario(on: Stage) -> None:
        mine = await on.held()
        on.store.is_away = lambda: on.behind.away
        on.behind.away = True
        current = await on.store.update(replace(mine, user_id="first"), 1)
        with pytest.raises(Conflict):
            await on.store.update(replace(mine, user_id="second"), 1)
        assert await on.store.get(mine.id) == current
        on.behind.away = False
        with pytest.raises(Conflict):
            await on.store.update(replace(mine, user_id="third"), 1)
        await on.store.reconcile()
        found = await on.store.get(mine.id)
        assert found is not None
        assert found.user_id == "first"

    play(scenario)


def test_many_who_give_it_back_at_once_give_it_once() -> None:
    """And it is not mistaken for a change elsewhere."""

    async def scenario(on: Stage) -> None:
        mine = await on.held()
        on.behind.away = True
        await on.store.update(replace(mine, user_id="here"), 1)
        on.behind.away = False
        on.later()
        await asyncio.gather(on.store.reconcile(), on.store.get(mine.id), on.store.reconcile())
        found = await on.behind.get(mine.id)
        assert found is not None
        assert (found.user_id, found.version) == ("here", 2)

    play(scenario)


def test_a_change_made_while_the_store_was_asked_stays() -> None:
    """An answer from before it does not take its place."""

    async def scenario(on: Stage) -> None:
        mine = await on.held()
        on.later()
        reading = asyncio.ensure_future(on.store.get(mine.id))
        await asyncio.sleep(0)
        on.store.is_away = lambda: True
        changed = await on.store.update(replace(mine, user_id="here"), 1)
        assert await reading == changed
        assert await on.store.get(mine.id) == changed

    play(scenario)


def test_what_the_store_lost_is_given_back_by_who_writes_it() -> None:
    """Also where somebody asked for it in between, which finds out."""

    async def scenario(on: Stage) -> None:
        mine = await on.held()
        missing: list[str] = []
        on.store.is_writer = lambda _: True
        on.store.on_missing = missing.append
        await on.behind.delete(mine.id)
        on.later()
        assert await on.store.get(mine.id) is None
        with pytest.raises(Conflict):
            await on.store.update(replace(mine, user_id="u"), 1)
        assert missing == [mine.id]
        assert await on.store.restore(mine.id)
        assert await on.store.get(mine.id) == mine
        assert await on.store.restore(mine.id)
        assert not await on.store.restore("nobody's")

    play(scenario)


def test_what_the_store_lost_comes_back_from_the_trail() -> None:
    """Once for all; what the trail doesn't know is not there."""
    trail = Trail()

    async def scenario(on: Stage) -> None:
        one = session(node="other", status=Status.DETACHED)
        trail.known[one.id] = one
        assert await on.store.get(one.id) == one
        assert await on.behind.get(one.id) == one
        assert await on.store.get("nobody's") is None

    play(scenario, trail)


@pytest.mark.parametrize("away", [False, True])
def test_what_was_deleted_does_not_come_back(away: bool) -> None:
    """The trail hears of it at once, or late, where it is away."""
    trail = Trail()
    trail.away = away

    async def scenario(on: Stage) -> None:
        mine = await on.held()
        trail.known[mine.id] = mine
        assert await on.store.delete(mine.id)
        assert await on.store.get(mine.id) is None
        assert [type(row) for row in on.rows] == [SessionRow] + [DeletedRow] * away
        assert [type(row) for row in trail.written] == [DeletedRow] * (not away)

    play(scenario, trail)


def test_what_could_not_be_deleted_is_still_there() -> None:
    """It goes on here, and the trail hears nothing."""

    async def scenario(on: Stage) -> None:
        mine = await on.held()
        on.behind.away = True
        with pytest.raises(StoreUnavailable):
            await on.store.delete(mine.id)
        await on.store.update(replace(mine, user_id="u"), 1)
        assert not any(isinstance(row, DeletedRow) for row in on.rows)

    play(scenario)


def test_copies_are_bounded_and_unsaved_ones_stay() -> None:
    """The oldest go first."""

    async def scenario(on: Stage) -> None:
        store = HybridSessionStore(on.behind, "me", on.clock, copies=2)
        made = [session(node="me") for _ in range(4)]
        await store.create(made[0])
        on.behind.away = True
        await store.update(replace(made[0], user_id="u"), 1)
        on.behind.away = False
        for one in made[1:]:
            await store.create(one)
        on.behind.away = True
        for one, kept in zip(made, (True, False, False, True), strict=True):
            if kept:
                assert await store.get(one.id)
            else:
                with pytest.raises(StoreUnavailable):
                    await store.get(one.id)

    play(scenario)


def test_what_can_not_be_read_any_more_keeps_no_other_from_being_given_back() -> None:
    """What was changed here of it is given up, and whoever asks for it is told."""

    async def scenario(on: Stage) -> None:
        broken, other = await on.held(), await on.held()
        on.behind.away = True
        for one in (broken, other):
            await on.store.update(replace(one, user_id="changed"), one.version)
        on.behind.away = False
        on.behind.broken = broken.id
        await on.store.reconcile()
        found = await on.behind.get(other.id)
        assert found is not None
        assert found.user_id == "changed"
        with pytest.raises(BadDocument):
            await on.store.get(broken.id)
        await on.store.reconcile()

    play(scenario)

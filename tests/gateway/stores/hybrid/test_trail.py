"""Rows on their way to the audit trail: the newest of each, bounded, in order, whatever the store does."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence

import pytest

from gateway.errors import BadDocument, StoreUnavailable
from gateway.sessions.shared import AuditRow, DeletedRow, EventRow, SessionRow, SnapshotRow, TaskRow
from gateway.stores.hybrid.trail import AT_ONCE, INTERVAL_S, Trail
from tests.gateway.sessions.kit import entry, session
from tests.virtual_time import VirtualLoop, run


class Audit:
    """Keeps batches as they come."""

    def __init__(self) -> None:
        self.batches: list[list[AuditRow]] = []
        self.error: Exception | None = None
        self.gate = asyncio.Event()
        self.gate.set()

    async def write(self, rows: Sequence[AuditRow]) -> None:
        await self.gate.wait()
        if self.error is not None:
            raise self.error
        self.batches.append(list(rows))

    @property
    def rows(self) -> list[AuditRow]:
        return [row for batch in self.batches for row in batch]


Play = Callable[[Audit, Trail, list[int]], Awaitable[None]]


def play(scenario: Play, capacity: int = 20_000) -> None:
    async def steps(_: VirtualLoop) -> None:
        audit, dropped = Audit(), list[int]()
        trail = Trail(audit, on_dropped=dropped.append, capacity=capacity)  # type: ignore[arg-type]
        running = asyncio.create_task(trail.run())
        try:
            await scenario(audit, trail, dropped)
            assert not running.done()
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)

    run(steps)


def snapshot(session_id: str, seq: int) -> SnapshotRow:
    return SnapshotRow(session_id, 1, seq, b"")


async def soon() -> None:
    await asyncio.sleep(INTERVAL_S + 0.1)


def test_of_each_thing_only_the_newest_is_written() -> None:
    """What became of tasks and what was said is each a thing of its own."""

    async def scenario(audit: Audit, trail: Trail, _: list[int]) -> None:
        one = session(id="s")
        rows: list[AuditRow] = [
            EventRow("s", entry(1)),
            EventRow("s", entry(2)),
            TaskRow("s", "t", "x", "queued", 0.0),
        ]
        rows += [TaskRow("s", "t", "x", "done", 1.0), DeletedRow("s", 2.0)]
        for seq in (1, 2):
            trail.record(SessionRow(one))
            trail.record(snapshot("s", seq))
        for row in rows:
            trail.record(row)
        await soon()
        assert audit.batches == [[SessionRow(one), snapshot("s", 2), *rows]]
        assert len(trail) == 0

    play(scenario)


def test_what_has_no_room_goes_oldest_first_and_is_counted() -> None:
    """It is bounded however long the store is away."""

    async def scenario(audit: Audit, trail: Trail, dropped: list[int]) -> None:
        told: list[bool] = []
        trail.on_away = told.append
        audit.error = StoreUnavailable("by hand")
        for n in range(5):
            trail.record(snapshot(f"s{n}", 1))
        await soon()
        assert (trail.is_away, len(trail), sum(dropped)) == (True, 3, 2)
        trail.record(snapshot("s2", 2))
        audit.error = None
        await asyncio.sleep(10.0)
        assert audit.batches == [[snapshot("s3", 1), snapshot("s4", 1), snapshot("s2", 2)]]
        assert told == [True, False]

    play(scenario, capacity=3)


def test_what_could_not_be_written_comes_first_the_next_time() -> None:
    """In its order, but for what was said anew meanwhile."""

    async def scenario(audit: Audit, trail: Trail, _: list[int]) -> None:
        for n in range(3):
            trail.record(snapshot(f"s{n}", 1))
        audit.gate.clear()
        await soon()
        trail.record(snapshot("s1", 2))
        trail.record(snapshot("s9", 1))
        audit.error = StoreUnavailable("by hand")
        audit.gate.set()
        await asyncio.sleep(0.1)
        audit.error = None
        await asyncio.sleep(10.0)
        assert audit.rows == [snapshot("s0", 1), snapshot("s2", 1), snapshot("s1", 2), snapshot("s9", 1)]

    play(scenario)


@pytest.mark.parametrize("error", [BadDocument("by hand"), OverflowError("by hand")])
def test_rows_that_no_store_takes_hold_up_nobody(error: Exception, caplog: pytest.LogCaptureFixture) -> None:
    """They go, and are counted; whatever the store made of them."""

    async def scenario(audit: Audit, trail: Trail, dropped: list[int]) -> None:
        trail.record(snapshot("poison", 1))
        audit.error = error
        await soon()
        audit.error = None
        trail.record(snapshot("well", 1))
        await soon()
        assert (audit.rows, dropped) == ([snapshot("well", 1)], [1])

    with caplog.at_level(logging.CRITICAL + 1):
        play(scenario)


def test_many_rows_are_several_batches() -> None:
    """One after the other, without a pause."""

    async def scenario(audit: Audit, trail: Trail, _: list[int]) -> None:
        for n in range(AT_ONCE + 1):
            trail.record(snapshot(f"s{n}", 1))
        await soon()
        assert [len(batch) for batch in audit.batches] == [AT_ONCE, 1]

    play(scenario)


def test_at_the_end_what_is_left_is_written() -> None:
    """Also what was being written when the node had to go."""

    async def steps(_: VirtualLoop) -> None:
        audit = Audit()
        trail = Trail(audit)  # type: ignore[arg-type]
        running = asyncio.create_task(trail.run())
        trail.record(snapshot("s", 1))
        audit.gate.clear()
        await soon()
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        audit.gate.set()
        trail.record(snapshot("t", 1))
        await trail.aclose()
        assert audit.rows == [snapshot("s", 1), snapshot("t", 1)]

    run(steps)

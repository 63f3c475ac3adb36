"""What sessions are told of the parts of their backend, when, and how little the event loop notices."""

import asyncio
from collections.abc import Iterator
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.classify.notices import Notices
from gateway.classify.port import Health, HealthStatus
from gateway.live.bulletin import (
    MAX_DETAIL,
    MAX_PARTS,
    QUIET_S,
    SLICE,
    Bulletin,
    NoticeBoard,
    Pace,
    sentence,
)
from protocol.events import Service, ServiceStatus
from tests import virtual_time
from tests.fakes import Bench, bench
from tests.virtual_time import VirtualLoop

READY, LOADING = Health(HealthStatus.READY), Health(HealthStatus.LOADING)
GONE = Health(HealthStatus.ERROR, "the sidecar can't be reached")


class Told:
    """A session, and what it was told."""

    def __init__(self) -> None:
        self.bench: Bench = bench()
        self.over = False
        self.bulletin = Bulletin(self.bench.pipeline.announcer, lambda: 16_000, lambda: self.over)

    @property
    def events(self) -> list[tuple[ServiceStatus, str]]:
        return [(one.status, one.detail) for one in self.bench.events if isinstance(one, Service)]


def test_nothing_is_told_where_nothing_is_wrong() -> None:
    """Neither at the beginning nor when something becomes ready that was never heard of."""
    notices, told = Notices(), Told()
    notices.tell("model", READY)
    told.bulletin.tell_all([notices])
    assert not told.bulletin.tell(notices, "model", READY)
    assert told.events == []


def test_a_session_that_begins_hears_of_what_is_not_ready_and_then_of_what_becomes_of_it() -> None:
    """Each piece of news once, and the same from another backend is another piece."""
    notices, other, told = Notices(), Notices(), Told()
    notices.tell("model", LOADING)
    other.tell("model", GONE)
    told.bulletin.tell_all([notices, other])
    for health in (LOADING, READY, READY):
        told.bulletin.tell(notices, "model", health)
    assert told.events == [
        (ServiceStatus.LOADING, "model is loading"),
        (ServiceStatus.ERROR, "the sidecar can't be reached"),
        (ServiceStatus.READY, "model is ready"),
    ]


def test_a_session_whose_end_has_begun_is_told_nothing() -> None:
    """Its summary is the last word."""
    notices, told = Notices(), Told()
    told.over = True
    assert not told.bulletin.tell(notices, "model", GONE)
    assert told.events == []


@given(st.text(max_size=30), st.text(max_size=3_000), st.sampled_from(HealthStatus))
def test_what_is_told_is_one_short_clean_line(part: str, detail: str, status: HealthStatus) -> None:
    """Whatever a peer wrote."""
    line = sentence(part, Health(status, detail))
    assert len(line) <= MAX_DETAIL
    assert line.isprintable()
    assert line == line.strip()


@given(st.lists(st.tuples(st.floats(0, 3), st.booleans()), max_size=60))
def test_a_part_is_told_of_at_most_once_in_a_while_and_in_the_end(steps: list[tuple[float, bool]]) -> None:
    """However it flaps; nothing that has changed is left untold."""
    pace, source, now = Pace(), Notices(), 100.0
    told: list[float] = []
    changed = float("-inf")
    for wait_s, changes in steps:
        now += wait_s
        if changes:
            pace.note(source, "model")
            changed = now
        told += [now for _ in pace.due(now)]
    wait = pace.wait_s(now)
    if wait is not None:
        told += [now + wait for _ in pace.due(now + wait)]
    assert all(after - before >= QUIET_S - 1e-6 for before, after in pairwise(told))
    assert changed == float("-inf") or told[-1] >= changed
    assert pace.wait_s(now + 1e6) is None


def test_parts_are_bounded_and_forgotten_when_calm() -> None:
    """A peer that makes up names is not heard of beyond a number of them, until others went quiet."""
    pace, source = Pace(), Notices()
    for number in range(10 * MAX_PARTS):
        pace.note(source, str(number))
    assert len(pace.due(0.0)) == MAX_PARTS
    assert pace.due(2 * QUIET_S) == []
    pace.note(source, "late")
    assert pace.due(2 * QUIET_S) == [(source, "late")]


def test_a_flapping_part_is_told_as_it_is_at_last() -> None:
    """The first change at once, the others as one, and none at all where it came back meanwhile."""

    async def steps(loop: VirtualLoop) -> None:
        notices, told = Notices(), Told()
        board = NoticeBoard(lambda _: [told.bulletin], loop)
        board.watch(notices)
        running = asyncio.create_task(board.run())
        for _ in range(20):
            notices.tell("model", GONE)
            await asyncio.sleep(0.01)
            notices.tell("model", READY)
            await asyncio.sleep(0.01)
        assert [status for status, _ in told.events] == ["error"]
        await asyncio.sleep(QUIET_S)
        assert [status for status, _ in told.events] == ["error", "ready"]
        notices.tell("model", GONE)
        notices.tell("model", READY)
        await asyncio.sleep(3 * QUIET_S)
        assert [status for status, _ in told.events] == ["error", "ready"]
        running.cancel()

    virtual_time.run(steps)


def test_a_thousand_sessions_are_told_a_few_at_a_time() -> None:
    """Between two turns of the event loop no more than a slice; one session's defect stays its own."""

    class Counting(Bulletin):
        def __init__(self, broken: bool) -> None:
            self.broken, self.heard = broken, 0

        def tell(self, source: Notices, part: str, health: Health) -> bool:
            if self.broken:
                raise ValueError("a defect")
            self.heard += 1
            return True

    async def steps(loop: VirtualLoop) -> None:
        notices, statuses = Notices(), list[str]()
        crowd = [Counting(broken=number == 500) for number in range(1_000)]
        board = NoticeBoard(lambda _: crowd, loop, statuses.append)
        board.watch(notices)
        running = asyncio.create_task(board.run())
        await asyncio.sleep(0)
        notices.tell("model", GONE)
        most, before = 0, 0
        while before < 999:
            await asyncio.sleep(0)
            heard = sum(one.heard for one in crowd)
            most, before = max(most, heard - before), heard
        assert 0 < most <= SLICE
        assert statuses == ["error"] * 999
        running.cancel()

    virtual_time.run(steps)


@pytest.fixture(autouse=True)
def _quiet(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """What a defect logs is no output of these tests."""
    with caplog.at_level("CRITICAL"):
        yield

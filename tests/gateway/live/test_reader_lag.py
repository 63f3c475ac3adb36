"""A reader that falls too far behind is told so and let go; what it came back for doesn't count."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.clock import ManualClock
from gateway.live.log import EventLog
from gateway.live.reader import MAX_LAG_BYTES, MAX_LAG_EVENTS, Reader
from gateway.sessions.ports import Entry
from gateway.sessions.tail import BoundedTail
from gateway.stores.memory import MemoryEventStore
from protocol.close import CloseCode
from protocol.events import Error, Service, ServiceStatus


def make() -> EventLog:
    clock = ManualClock()
    return EventLog("s" * 22, MemoryEventStore(clock), clock, BoundedTail(10_000, 2**30, 1e9))


def say(log: EventLog, times: int = 1, detail: str = "") -> None:
    for _ in range(times):
        status = ServiceStatus.READY
        seq, session_id = log.next_seq, log.session_id
        log.append(Service(seq=seq, session_id=session_id, timestamp=0.0, status=status, detail=detail))


def told_to_end(reader: Reader) -> bool:
    return reader.farewell is not None


def test_too_many_events_behind() -> None:
    """The bound itself is fine; the next event is one too many. All that was said can still be read."""
    log = make()
    reader = Reader(log, 0, bounded=True)
    say(log, MAX_LAG_EVENTS)
    assert not told_to_end(reader)
    say(log)
    assert reader.farewell is not None
    assert reader.farewell.code is CloseCode.READER_TOO_SLOW
    items = []
    while taken := reader.take():
        items += list(taken)
    assert [item.seq for item in items if isinstance(item, Entry)] == list(range(1, log.top + 1))
    assert isinstance(items[-1], Error)
    assert items[-1].code == "reader_too_slow"
    assert reader.done


def test_too_many_bytes_behind() -> None:
    """Few long events are as much as many short ones."""
    log = make()
    reader = Reader(log, 0, bounded=True)
    say(log, 3, "x" * (MAX_LAG_BYTES // 4))
    assert not told_to_end(reader)
    say(log, 1, "x" * (MAX_LAG_BYTES // 4))
    assert told_to_end(reader)


def test_the_replay_is_not_held_against_it() -> None:
    """Who comes back from a long tunnel has hundreds of events to read before the first new one."""
    log = make()
    say(log, 4 * MAX_LAG_EVENTS)
    reader = Reader(log, 0, bounded=True)
    say(log, MAX_LAG_EVENTS)
    assert not told_to_end(reader)
    say(log)
    assert told_to_end(reader)


def test_an_unbounded_reader_costs_nothing_and_is_left_alone() -> None:
    """An observer over server-sent events falls out of the log in the end, and is told then."""
    log = make()
    reader = Reader(log, 0)
    say(log, 4 * MAX_LAG_EVENTS)
    assert not told_to_end(reader)


@given(
    before=st.integers(0, 5),
    steps=st.lists(st.tuples(st.sampled_from(["say", "take", "ack"]), st.integers(0, 400)), max_size=30),
)
def test_the_lag_is_what_was_said_and_not_taken(before: int, steps: list[tuple[str, int]]) -> None:
    """However saying, taking and acknowledging mix, in events and in bytes."""
    log = make()
    say(log, before)
    reader = Reader(log, 0)
    for action, size in steps:
        if action == "say":
            say(log, 1, "x" * size)
        elif action == "take":
            reader.take(limit=1 + size % 3)
        else:
            reader.skip_to(min(log.top, reader.after + size % 4))
        left = [entry for entry in log.read(reader.after, 1_000) if entry.seq > before]
        assert reader.lag_events == len(left)
        assert reader.lag_bytes == sum(entry.size for entry in left)


@pytest.mark.parametrize("bounded", [True, False])
def test_a_reader_that_keeps_up_stays(bounded: bool) -> None:
    """However much is said in all."""
    log = make()
    reader = Reader(log, 0, bounded=bounded)
    for _ in range(10):
        say(log, MAX_LAG_EVENTS // 2, "some detail")
        while reader.take():
            pass
    assert not told_to_end(reader)

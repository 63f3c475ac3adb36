"""An event log that is written here, there, and here again."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.clock import ManualClock
from gateway.live.log import EventLog, Evicted
from gateway.sessions.ports import Entry, Tail, UnknownSession
from gateway.sessions.tail import BoundedTail
from gateway.stores.memory import MemoryEventStore
from tests.gateway.sessions.kit import entry, tone


def followed(events: int = 100, seconds: float = 1e9, clock: ManualClock | None = None) -> EventLog:
    return EventLog("s", None, clock or ManualClock(), BoundedTail(events, 2**30, seconds))


def tail(first: int, top: int, epoch: str = "e") -> Tail:
    return Tail(epoch, first, top, [entry(seq) for seq in range(first, top + 1)])


def seqs(event_log: EventLog, after: int = 0) -> list[int]:
    return [one.seq for one in event_log.read(after, 1_000)]


def test_what_another_node_says_is_read_once() -> None:
    """However much of it is told again; nothing can be said here meanwhile."""
    log, woken = followed(), list[int]()
    log.listen(lambda: woken.append(log.committed))
    for first, top in ((1, 3), (2, 3), (3, 5), (1, 5)):
        assert log.receive(tail(first, top))
    assert (seqs(log), log.epoch, log.top, log.written_here) == ([1, 2, 3, 4, 5], "e", 5, False)
    assert woken == [3, 3, 5, 5]
    with pytest.raises(UnknownSession):
        log.append(tone(6))


def test_a_hole_is_told_to_whoever_is_before_it() -> None:
    """And to nobody else: it is the same history."""
    log = followed()
    log.receive(tail(1, 3))
    assert log.receive(tail(7, 8))
    assert (seqs(log, 6), log.oldest) == ([7, 8], 7)
    with pytest.raises(Evicted):
        log.read(3)


@pytest.mark.parametrize(
    ("again", "fits"), [(tail(1, 2), False), (tail(1, 5, "f"), False), (tail(4, 4), True)]
)
def test_history_that_was_lost_is_told(again: Tail, fits: bool) -> None:
    """Another epoch, or less than was read."""
    log = followed()
    log.receive(tail(1, 3))
    assert log.receive(again) is fits
    assert (log.epoch, log.committed, log.next_seq) == (again.epoch, again.top, again.top + 1)


def test_what_was_read_long_ago_may_come_again() -> None:
    """Nothing is held any more, and a tail from the beginning comes."""
    clock = ManualClock()
    log = followed(seconds=10.0, clock=clock)
    log.receive(Tail("e", 1, 2, [entry(1, 1_000.0), entry(2, 1_000.0)]))
    clock.advance(60.0)
    assert log.oldest == 3
    log.receive(Tail("e", 2, 3, [entry(2, 1_000.0), entry(3, 1_060.0)]))
    assert seqs(log, 2) == [3]


def test_it_is_written_here_after_what_is_held() -> None:
    """Numbers go on; it can't be told from elsewhere any more until it is given up."""
    clock = ManualClock()
    store, log = MemoryEventStore(clock), followed(clock=clock)
    store.open("s", lambda _: None)
    for seq in (1, 2):
        store.append("s", entry(seq))
    log.receive(Tail(store.open("s", lambda _: None), 1, 1, [entry(1)]))
    assert log.adopt(store, Tail(log.epoch, 1, 2, [entry(1), entry(2)]))
    assert (log.written_here, log.next_seq) == (True, 3)
    log.append(tone(3))
    assert seqs(log) == [1, 2, 3]
    with pytest.raises(ValueError, match="written here"):
        log.receive(tail(4, 4))
    log.give_up()
    assert log.receive(Tail(log.epoch, 4, 4, [entry(4)]))
    assert seqs(log) == [1, 2, 3, 4]


class Slow(MemoryEventStore):
    """Commits nothing."""

    def append(self, session_id: str, entry: Entry) -> None: ...


@given(st.integers(2, 6), st.integers(0, 12), st.integers(0, 6))
def test_what_was_not_committed_was_not_said(bound: int, said: int, committed: int) -> None:
    """Whoever goes on elsewhere gives other events those numbers."""
    committed = min(said, committed)
    log = EventLog("s", Slow(ManualClock()), ManualClock(), BoundedTail(bound, 2**30, 1e9))
    for seq in range(1, said + 1):
        log.append(tone(seq))
    before = log.volume
    log._on_commit(committed)
    log.give_up()
    assert (log.top, log.committed, log.volume <= before) == (committed, committed, True)
    assert log.receive(
        Tail(log.epoch, committed + 1, committed + 2, tail(committed + 1, committed + 2).entries)
    )
    assert seqs(log, committed) == [committed + 1, committed + 2]
    assert log.next_seq == committed + 3


@given(st.integers(1, 5), st.integers(0, 12), st.integers(0, 14))
def test_dropping_the_end_of_a_tail(bound: int, count: int, after: int) -> None:
    """What is before it stays, its bytes are told, and numbers go on from there."""
    kept = BoundedTail(bound, 2**30, 1e9)
    for seq in range(1, count + 1):
        kept.append(entry(seq), 1_000.0)
    held, size = [one.seq for one in kept.since(0)], kept.bytes
    dropped = kept.drop_after(after)
    assert [one.seq for one in kept.since(0)] == [seq for seq in held if seq <= after]
    assert (kept.bytes, kept.top) == (size - dropped, min(count, after))
    kept.append(entry(kept.top + 1), 1_000.0)
    kept.restart()
    assert (len(kept), kept.bytes, kept.top) == (0, 0, 0)
    kept.append(entry(40), 1_000.0)
    assert (kept.oldest, kept.top) == (40, 40)


def test_a_listener_that_leaves_keeps_nobody_from_hearing() -> None:
    """Those after it are woken by the same commit."""
    clock = ManualClock()
    log, woken = EventLog("s", MemoryEventStore(clock), clock, BoundedTail(9, 2**30, 1e9)), list[int]()
    leave = log.listen(lambda: leave())
    log.listen(lambda: woken.append(log.committed))
    log.append(tone(1))
    assert woken == [1]

"""The event log and its readers: contiguous, bounded, committed only."""

import asyncio
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.clock import ManualClock
from gateway.live.log import EventLog, Evicted
from gateway.live.reader import MAX_REPLIES, Reader, RepliesOverflow
from gateway.sessions.ports import Entry, OnCommit
from gateway.sessions.tail import BoundedTail
from gateway.stores.memory import MemoryEventStore
from protocol.close import CloseCode
from protocol.events import Event, Flow, FlowState, Pong, Service, ServiceStatus


class SlowStore(MemoryEventStore):
    """Commits only when told to, as a store over a network does."""

    def open(self, session_id: str, on_commit: OnCommit) -> str:
        self.late = on_commit
        return super().open(session_id, lambda _: None)


def make(
    store: MemoryEventStore | None = None, events: int = 512, clock: ManualClock | None = None
) -> EventLog:
    clock = clock or ManualClock()
    return EventLog("s" * 22, store or MemoryEventStore(clock), clock, BoundedTail(events, 2**20, 120.0))


def say(log: EventLog, times: int = 1) -> None:
    for _ in range(times):
        log.append(
            Service(
                seq=log.next_seq,
                session_id=log.session_id,
                timestamp=0.0,
                status=ServiceStatus.READY,
                detail="",
            )
        )


def flow(received: int) -> Flow:
    return Flow(received=received, classified=0, limit=None, lag_ms=0.0, dropped_ms=0.0, state=FlowState.OK)


def numbers(items: object) -> list[int]:
    return [item.seq for item in items if isinstance(item, Entry)]  # type: ignore[attr-defined]


def test_numbers_must_follow() -> None:
    """An event with a number of its own making is a defect, not an event."""
    log = make()
    say(log)
    with pytest.raises(ValueError, match="event 3 where 2 was due"):
        log.append(Service(seq=3, session_id="", timestamp=0.0, status=ServiceStatus.READY, detail=""))


def test_readers_see_only_what_is_committed() -> None:
    """A store that has not committed yet holds its readers back, and wakes them when it has."""
    store = SlowStore(ManualClock())
    log = make(store)
    woken: list[int] = []
    log.listen(lambda: woken.append(log.committed))
    say(log, 3)
    assert (numbers(log.read(0)), woken) == ([], [])
    store.late(2)
    assert (numbers(log.read(0)), woken) == ([1, 2], [2])


@given(st.integers(1, 30), st.integers(0, 60), st.integers(0, 70))
def test_a_cursor_gets_what_follows_or_is_told_that_it_is_gone(bound: int, said: int, after: int) -> None:
    """Never a hole, never a repeat, never a silent jump."""
    log = make(events=bound)
    say(log, said)
    oldest = max(1, said - bound + 1)
    if after < said and after + 1 < oldest:
        with pytest.raises(Evicted) as gone:
            log.read(after, 1_000)
        assert gone.value.oldest == oldest
    else:
        assert numbers(log.read(after, 1_000)) == list(range(after + 1, said + 1))


def test_old_events_go_with_time() -> None:
    """Two minutes later the log is empty, and its numbers go on."""
    clock = ManualClock()
    log = make(clock=clock)
    say(log, 2)
    clock.advance(121)
    assert log.oldest == 3
    with pytest.raises(Evicted):
        log.read(0)
    say(log)
    assert numbers(log.read(2)) == [3]


def take_all(reader: Reader) -> list[Event | int]:
    taken: list[Event | int] = []
    while items := reader.take(limit=2):
        taken += [item.seq if isinstance(item, Entry) else item for item in items]
    return taken


def test_replies_keep_their_place_among_the_events() -> None:
    """A reader sees a reply after exactly the events that came before it."""
    log = make()
    reader = Reader(log, 0)
    say(log, 3)
    reader.reply(Pong(t=1))
    reader.reply(Pong(t=2))
    say(log, 2)
    assert take_all(reader) == [1, 2, 3, Pong(t=1), Pong(t=2), 4, 5]


def test_a_newer_flow_replaces_one_not_yet_taken() -> None:
    """Only the present pressure is of interest."""
    reader = Reader(make(), 0)
    reader.reply(flow(1))
    reader.reply(Pong())
    reader.reply(flow(2))
    assert take_all(reader) == [Pong(), flow(2)]


def test_replies_are_bounded() -> None:
    """A peer that asks and never reads is found out."""
    reader = Reader(make(), 0)
    for _ in range(MAX_REPLIES):
        reader.reply(Pong())
    with pytest.raises(RepliesOverflow):
        reader.reply(Pong())


def test_the_farewell_waits_for_what_was_said_before_it() -> None:
    """Done means: everything said before was taken; what came later is not waited for."""
    log = make()
    reader = Reader(log, 0)
    say(log, 2)
    reader.finish(CloseCode.NORMAL)
    reader.finish(CloseCode.REPLACED)
    before = reader.done
    take_all(reader)
    assert (before, reader.done) == (False, True)
    assert reader.farewell is not None
    assert reader.farewell.code is CloseCode.NORMAL


def test_a_waiting_reader_wakes_for_events_replies_and_the_end() -> None:
    """And for nothing it has seen already."""

    async def main() -> None:
        log = make()
        reader = Reader(log, 0)
        pieces: list[Callable[[], None]] = [
            lambda: say(log),
            lambda: reader.reply(Pong()),
            lambda: reader.finish(CloseCode.NORMAL),
        ]
        for news in pieces:
            assert not reader.take()
            waiting = asyncio.ensure_future(reader.wait())
            await asyncio.sleep(0)
            assert not waiting.done()
            news()
            await waiting
            take_all(reader)

    asyncio.run(main())


def test_a_closed_reader_costs_the_log_nothing() -> None:
    """Its place among the listeners is free again, once."""
    log = make()
    reader = Reader(log, 0)
    reader.close()
    reader.close()
    say(log)
    assert log._listeners == []

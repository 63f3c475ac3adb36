"""What every event store must do. A new adapter adds a factory to `STORES`, and nothing else."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import TypeAlias

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.clock import ManualClock
from gateway.sessions.ports import Entry, EventStore, UnknownSession
from gateway.stores.memory import MemoryEventStore
from protocol.version import Encoding
from tests.gateway.sessions.kit import entry, run, transcript

SIZE = entry(1).size

Factory: TypeAlias = Callable[[ManualClock], AbstractAsyncContextManager[EventStore]]
Scenario: TypeAlias = Callable[[EventStore, ManualClock], Awaitable[None]]
Play: TypeAlias = Callable[[Scenario], None]


@asynccontextmanager
async def memory(clock: ManualClock) -> AsyncIterator[EventStore]:
    yield MemoryEventStore(clock, record_bytes=8 * SIZE, tail_events=4, tail_bytes=100 * SIZE, tail_s=120.0)


STORES: dict[str, Factory] = {"memory": memory}
"""Each holds 4 events or 120 s in its tail, and 8 tone events in a record."""


@pytest.fixture(params=STORES.values(), ids=list(STORES), scope="module")
def play(request: pytest.FixtureRequest) -> Play:
    """Plays a scenario on a fresh store."""

    def play(scenario: Scenario) -> None:
        async def on_stage() -> None:
            clock = ManualClock(monotonic=1_000.0)
            async with request.param(clock) as store:
                await scenario(store, clock)

        run(on_stage())

    return play


def fill(store: EventStore, session_id: str, count: int, first: int = 1) -> None:
    for seq in range(first, first + count):
        store.append(session_id, entry(seq))


class TestStreams:
    def test_a_stream_begins_empty(self, play: Play) -> None:
        """Nothing is committed, nothing is held, and the epoch is not empty."""

        async def scenario(store: EventStore, _: ManualClock) -> None:
            epoch = store.open("s", lambda _: None)
            assert epoch
            assert store.committed("s") == 0
            tail = await store.tail("s", 0)
            assert (tail.epoch, tail.oldest, tail.top, list(tail.entries)) == (epoch, 1, 0, [])
            page = await store.record("s")
            assert (list(page.entries), page.top, page.truncated) == ([], 0, False)

        play(scenario)

    def test_streams_don_t_mix(self, play: Play) -> None:
        """Each session has its own epoch, numbers and watermark."""

        async def scenario(store: EventStore, _: ManualClock) -> None:
            heard: list[str] = []
            one = store.open("one", lambda _: heard.append("one"))
            two = store.open("two", lambda _: heard.append("two"))
            fill(store, "one", 2)
            assert one != two
            assert (store.committed("one"), store.committed("two")) == (2, 0)
            assert set(heard) == {"one"}

        play(scenario)

    def test_opening_again_goes_on_in_the_same_epoch(self, play: Play) -> None:
        """Whoever takes a stream over keeps its history, and is the one who is told."""

        async def scenario(store: EventStore, _: ManualClock) -> None:
            before: list[int] = []
            after: list[int] = []
            epoch = store.open("s", before.append)
            fill(store, "s", 2)
            assert store.open("s", after.append) == epoch
            fill(store, "s", 1, first=store.committed("s") + 1)
            assert (before, after) == ([1, 2], [3])
            assert [one.seq for one in (await store.tail("s", 0)).entries] == [1, 2, 3]

        play(scenario)

    def test_purging_forgets_everything_and_a_new_stream_has_a_new_epoch(self, play: Play) -> None:
        """History that was lost is never mistaken for history that is there."""

        async def scenario(store: EventStore, _: ManualClock) -> None:
            epoch = store.open("s", lambda _: None)
            fill(store, "s", 2)
            await store.purge("s")
            await store.purge("s")
            for call in (store.tail("s", 0), store.record("s")):
                with pytest.raises(UnknownSession):
                    await call
            assert store.open("s", lambda _: None) != epoch
            assert store.committed("s") == 0

        play(scenario)

    def test_a_stream_that_is_not_open_is_unknown(self, play: Play) -> None:
        """Every call says so, in the one way the port names."""

        async def scenario(store: EventStore, _: ManualClock) -> None:
            with pytest.raises(UnknownSession):
                store.append("s", entry(1))
            with pytest.raises(UnknownSession):
                store.committed("s")
            with pytest.raises(UnknownSession):
                await store.tail("s", 0)
            with pytest.raises(UnknownSession):
                await store.record("s")

        play(scenario)


class TestAppending:
    def test_each_event_is_committed_and_told_in_order(self, play: Play) -> None:
        """By the time an event is told it can be read."""

        async def scenario(store: EventStore, _: ManualClock) -> None:
            told: list[tuple[int, int]] = []
            store.open("s", lambda seq: told.append((seq, store.committed("s"))))
            fill(store, "s", 3)
            assert told == [(1, 1), (2, 2), (3, 3)]

        play(scenario)

    @given(wrong=st.integers(-1, 9).filter(lambda seq: seq != 3))
    def test_a_number_that_does_not_follow_is_refused_and_changes_nothing(
        self, play: Play, wrong: int
    ) -> None:
        """Neither holes nor duplicates get in, the first event included."""

        async def scenario(store: EventStore, _: ManualClock) -> None:
            told: list[int] = []
            store.open("s", told.append)
            with pytest.raises(ValueError, match="1 was due"):
                store.append("s", entry(2))
            fill(store, "s", 2)
            with pytest.raises(ValueError, match="3 was due"):
                store.append("s", entry(wrong))
            assert (store.committed("s"), told) == (2, [1, 2])
            assert [one.seq for one in (await store.record("s")).entries] == [1, 2]

        play(scenario)


class TestTail:
    def test_it_gives_what_follows_the_cursor_and_says_what_is_held(self, play: Play) -> None:
        """A reader can tell from `oldest` whether it missed something."""

        async def scenario(store: EventStore, _: ManualClock) -> None:
            store.open("s", lambda _: None)
            fill(store, "s", 6)
            for after, expected in ((0, [3, 4, 5, 6]), (2, [3, 4, 5, 6]), (4, [5, 6]), (6, []), (9, [])):
                tail = await store.tail("s", after)
                assert [one.seq for one in tail.entries] == expected
                assert (tail.oldest, tail.top) == (3, 6)

        play(scenario)

    def test_old_events_go_with_time_alone(self, play: Play) -> None:
        """The bound in age holds when nothing is appended either."""

        async def scenario(store: EventStore, clock: ManualClock) -> None:
            store.open("s", lambda _: None)
            fill(store, "s", 2)
            clock.advance(121.0)
            tail = await store.tail("s", 0)
            assert (list(tail.entries), tail.oldest, tail.top) == ([], 3, 2)

        play(scenario)


class TestRecord:
    def test_it_keeps_final_events_only_and_long_after_the_tail(self, play: Play) -> None:
        """Interim transcripts are not history; everything else is."""

        async def scenario(store: EventStore, clock: ManualClock) -> None:
            store.open("s", lambda _: None)
            store.append("s", entry(1))
            for seq, final in ((2, False), (3, True)):
                event = transcript(seq, is_final=final)
                store.append("s", Entry(seq, event.type, final, 0.0, 1_000.0, event))
            clock.advance(10_000.0)
            page = await store.record("s")
            assert [one.seq for one in page.entries] == [1, 3]
            assert (page.top, page.truncated) == (3, False)

        play(scenario)

    @pytest.mark.parametrize("encoding", Encoding)
    def test_it_gives_the_bytes_of_the_log(self, play: Play, encoding: Encoding) -> None:
        """History and live stream show the same event alike."""

        async def scenario(store: EventStore, _: ManualClock) -> None:
            store.open("s", lambda _: None)
            fill(store, "s", 1)
            page = await store.record("s")
            assert page.entries[0].encoded(encoding) == entry(1).encoded(encoding)

        play(scenario)

    def test_pages_put_together_are_the_record(self, play: Play) -> None:
        """Whatever the page's size, nothing is left out or given twice."""

        async def scenario(store: EventStore, _: ManualClock) -> None:
            store.open("s", lambda _: None)
            fill(store, "s", 7)
            for size in (1, 3, 7, 50):
                found: list[int] = []
                while entries := (await store.record("s", found[-1] if found else 0, size)).entries:
                    found += [one.seq for one in entries]
                assert found == list(range(1, 8))

        play(scenario)

    def test_at_its_bound_it_takes_no_more_and_says_so(self, play: Play) -> None:
        """It is a beginning without holes, also where a smaller event would still fit."""

        async def scenario(store: EventStore, _: ManualClock) -> None:
            store.open("s", lambda _: None)
            fill(store, "s", 7)
            store.append("s", entry(8, label="a label too long to fit"))
            store.append("s", entry(9))
            page = await store.record("s")
            assert [one.seq for one in page.entries] == list(range(1, 8))
            assert (page.top, page.truncated) == (7, True)
            assert store.committed("s") == 9

        play(scenario)

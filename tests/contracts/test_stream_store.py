"""What every stream store must do. A new adapter adds a factory to `STORES`, and nothing else."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import TypeAlias

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.clock import ManualClock
from gateway.sessions.ports import Entry, Tail, UnknownSession
from gateway.sessions.shared import Claim, Commit, Committed, StreamBounds, StreamStore, Superseded
from gateway.stores.valkey.streams import ValkeyStreamStore
from protocol.version import Encoding
from tests.contracts import postgres
from tests.gateway.sessions.kit import entry, run, transcript
from tests.stores import connected
from tests.streams import FakeStreamStore

SIZE = entry(1).size
BOUNDS = StreamBounds(events=4, bytes=100 * SIZE, seconds=120.0, record_bytes=8 * SIZE)

HOSTILE = ["", "{s:other}", "a}b", "../a", "a b", "a\r\nFLUSHALL", "a:b", "a*", "é", "a\x00b", "a" * 500]

Factory: TypeAlias = Callable[[ManualClock, StreamBounds], AbstractAsyncContextManager[StreamStore]]
Scenario: TypeAlias = Callable[[StreamStore, ManualClock], Awaitable[None]]
Play: TypeAlias = Callable[..., None]


@asynccontextmanager
async def valkey(clock: ManualClock, bounds: StreamBounds) -> AsyncIterator[StreamStore]:
    async with connected() as connection:
        yield ValkeyStreamStore(connection, clock, bounds=bounds)


@asynccontextmanager
async def fake(clock: ManualClock, bounds: StreamBounds) -> AsyncIterator[StreamStore]:
    """What other tests build upon; here it is seen to keep its word."""
    yield FakeStreamStore(clock, bounds)


STORES: dict[str, Factory] = {"valkey": valkey, "postgres": postgres.streams, "fake": fake}
"""Each takes the cluster's clock and its bounds."""


@pytest.fixture(params=STORES.values(), ids=list(STORES), scope="module")
def play(request: pytest.FixtureRequest) -> Play:
    """Plays a scenario on a fresh store, with `BOUNDS` unless told otherwise."""

    def play(scenario: Scenario, bounds: StreamBounds = BOUNDS) -> None:
        async def on_stage() -> None:
            clock = ManualClock(monotonic=1_000.0)
            async with request.param(clock, bounds) as store:
                await scenario(store, clock)

        run(on_stage())

    return play


def seqs(tail: Tail | None) -> list[int]:
    assert tail is not None
    return [one.seq for one in tail.entries]


async def write(
    store: StreamStore,
    claim: Claim,
    seq: int,
    count: int = 1,
    at: float = 1_000.0,
    snapshot: bytes | None = None,
) -> Committed:
    """Commit so many events from number `seq` on."""
    entries = [entry(one, at) for one in range(seq, seq + count)]
    (done,) = await store.commit([Commit("s", claim.gen, entries, snapshot)])
    return done


class TestClaiming:
    def test_a_stream_begins_with_its_first_claim(self, play: Play) -> None:
        """It has an epoch and nothing else, and its gen is 1."""

        async def scenario(store: StreamStore, _: ManualClock) -> None:
            claim = await store.claim("s", "a")
            assert (claim.gen, claim.snapshot, claim.previous) == (1, None, None)
            assert claim.epoch
            assert claim.tail == Tail(claim.epoch, 1, 0, [])
            assert await store.tail("s", 0) == claim.tail
            assert list((await store.record("s")).entries) == []
            assert await store.snapshot("s") is None

        play(scenario)

    def test_a_new_writer_goes_on_where_the_last_one_was(self, play: Play) -> None:
        """It gets the epoch, the events held, the snapshot, and who had it; its gen is one more."""

        async def scenario(store: StreamStore, _: ManualClock) -> None:
            first = await store.claim("s", "a")
            await write(store, first, 1, 3, snapshot=b"\x00state")
            second = await store.claim("s", "b")
            assert (second.gen, second.epoch, second.previous) == (2, first.epoch, "a")
            assert second.snapshot == b"\x00state"
            assert (second.tail.oldest, second.tail.top, seqs(second.tail)) == (1, 3, [1, 2, 3])
            assert await write(store, second, 4) is Committed.DONE
            assert (await store.claim("s", "b")).previous == "b"

        play(scenario)

    def test_of_many_simultaneous_claims_the_last_one_writes(self, play: Play) -> None:
        """Each has a gen of its own, and all but the greatest are fenced."""

        async def scenario(store: StreamStore, _: ManualClock) -> None:
            claims = await asyncio.gather(*(store.claim("s", f"n{number}") for number in range(20)))
            assert sorted(one.gen for one in claims) == list(range(1, 21))
            assert len({one.epoch for one in claims}) == 1
            done = [await write(store, one, 1) for one in claims]
            assert [one.gen for one, end in zip(claims, done, strict=True) if end is Committed.DONE] == [20]

        play(scenario)

    def test_a_later_attach_keeps_the_stream(self, play: Play) -> None:
        """Claims in the other order are told so and change nothing; the same turn may come again."""

        async def scenario(store: StreamStore, _: ManualClock) -> None:
            await store.claim("s", "a", 2)
            claim = await store.claim("s", "b", 5)
            for turn in (0, 2, 4):
                with pytest.raises(Superseded):
                    await store.claim("s", "c", turn)
            assert await write(store, claim, 1) is Committed.DONE
            again = await store.claim("s", "b", 5)
            assert (again.gen, again.previous) == (3, "b")
            with pytest.raises(Superseded):
                await store.claim("s", "c", 4)
            assert (await store.claim("s", "c", 6)).gen == 4
            await store.forget("s")
            assert (await store.claim("s", "c", 1)).gen == 1

        play(scenario)

    def test_claims_alone_fill_nothing(self, play: Play) -> None:
        """After many takeovers between two events both are there, and nothing else is."""

        async def scenario(store: StreamStore, _: ManualClock) -> None:
            claim = await store.claim("s", "a")
            await write(store, claim, 1)
            for _number in range(300):
                claim = await store.claim("s", "a")
            await write(store, claim, 2)
            assert seqs(await store.tail("s", 0)) == [1, 2]
            assert seqs(await store.tail("s", 1)) == [2]

        play(scenario)


class TestCommitting:
    def test_what_comes_back_is_what_went_in(self, play: Play) -> None:
        """The same bytes, the cluster's time, and whether it is final."""

        async def scenario(store: StreamStore, _: ManualClock) -> None:
            claim = await store.claim("s", "a")
            interim = transcript(2, is_final=False)
            given = [entry(1, 999.123456789), Entry(2, interim.type, False, 2.0, 1_000.5, interim)]
            await store.commit([Commit("s", claim.gen, given)])
            for kept, sent in zip((await store.tail("s", 0)).entries, given, strict=True):
                for encoding in Encoding:
                    assert kept.encoded(encoding) == sent.encoded(encoding)
                assert (kept.at, kept.final, kept.type) == (sent.at, sent.final, sent.type)
                assert (kept.timestamp, kept.size) == (sent.timestamp, sent.size)

        play(scenario)

    def test_each_of_many_commits_is_for_itself(self, play: Play) -> None:
        """Those that are refused leave the others alone, and what became of each is told in order."""

        async def scenario(store: StreamStore, _: ManualClock) -> None:
            mine, lost = await store.claim("mine", "a"), await store.claim("lost", "a")
            await store.claim("lost", "b")
            assert list(
                await store.commit(
                    [
                        Commit("lost", lost.gen, [entry(1)]),
                        Commit("mine", mine.gen, [entry(1), entry(2)], b"two"),
                        Commit("never", 1, [entry(1)]),
                        Commit("mine", mine.gen, [entry(4)], b"four"),
                        Commit("mine", mine.gen, [entry(3), entry(5)], b"five"),
                        Commit("mine", mine.gen, [entry(3)]),
                    ]
                )
            ) == [
                Committed.FENCED,
                Committed.DONE,
                Committed.UNKNOWN,
                Committed.MISPLACED,
                Committed.MISPLACED,
                Committed.DONE,
            ]
            assert seqs(await store.tail("mine", 0)) == [1, 2, 3]
            assert seqs(await store.tail("lost", 0)) == []
            assert await store.snapshot("mine") == b"two"
            assert list(await store.commit([])) == []

        play(scenario)

    def test_a_claim_that_the_store_has_lost_is_told(self, play: Play) -> None:
        """Its count is behind the writer's. Of two with one count that one writes whom the store names."""

        async def scenario(store: StreamStore, _: ManualClock) -> None:
            claim = await store.claim("s", "b")
            commits = [
                Commit("s", claim.gen + 1, [entry(1)], b"later", claim.epoch, "a"),
                Commit("s", claim.gen + 1, [entry(1)], b"later", "another", "a"),
                Commit("s", claim.gen, [entry(1)], b"other", claim.epoch, "a"),
            ]
            refused = [Committed.REVERTED, Committed.FENCED, Committed.FENCED]
            assert list(await store.commit(commits)) == refused
            assert (seqs(await store.tail("s", 0)), await store.snapshot("s")) == ([], None)
            commit = Commit("s", claim.gen, [entry(1)], b"mine", claim.epoch, "b")
            assert list(await store.commit([commit])) == [Committed.DONE]

        play(scenario)

    def test_a_snapshot_goes_with_its_events_or_alone(self, play: Play) -> None:
        """None leaves the one before; an empty one is one."""

        async def scenario(store: StreamStore, _: ManualClock) -> None:
            claim = await store.claim("s", "a")
            for snapshot, kept in (
                (b"one", b"one"),
                (None, b"one"),
                (b"", b""),
                (bytes(range(256)) * 16,) * 2,
            ):
                await store.commit([Commit("s", claim.gen, snapshot=snapshot)])
                assert await store.snapshot("s") == kept
            assert (await store.claim("s", "b")).snapshot == bytes(range(256)) * 16
            assert await store.commit([Commit("s", claim.gen, snapshot=b"late")]) == [Committed.FENCED]
            assert await store.snapshot("s") != b"late"

        play(scenario)

    @settings(max_examples=30, deadline=None)
    @given(wrong=st.integers(-1, 9).filter(lambda seq: seq != 3))
    def test_a_number_that_does_not_follow_changes_nothing(self, play: Play, wrong: int) -> None:
        """Neither holes nor duplicates get in, the first event included."""

        async def scenario(store: StreamStore, _: ManualClock) -> None:
            claim = await store.claim("s", "a")
            assert await write(store, claim, 2) is Committed.MISPLACED
            await write(store, claim, 1, 2, snapshot=b"kept")
            assert await write(store, claim, wrong, snapshot=b"wrong") is Committed.MISPLACED
            assert seqs(await store.tail("s", 0)) == [1, 2]
            assert [one.seq for one in (await store.record("s")).entries] == [1, 2]
            assert await store.snapshot("s") == b"kept"

        play(scenario)

    def test_what_was_lost_while_the_store_was_away_is_a_hole(self, play: Play) -> None:
        """What was held goes, the numbers go on further up, and the record ends there, and says so."""

        async def scenario(store: StreamStore, _: ManualClock) -> None:
            claim = await store.claim("s", "a")
            await write(store, claim, 1, 3)
            assert await store.newer({"s": 3}, 0.0) == {}
            late = Commit("s", claim.gen, [entry(3)], after_hole=True)
            assert await store.commit([late]) == [Committed.MISPLACED]
            lost = Commit("s", claim.gen, [entry(7), entry(8)], b"eight", after_hole=True)
            assert await store.commit([lost]) == [Committed.DONE]
            for tail in (
                await store.tail("s", 0),
                await store.tail("s", 5),
                (await store.newer({"s": 3}, 5.0))["s"],
            ):
                assert tail is not None
                assert (seqs(tail), tail.oldest, tail.top, tail.epoch) == ([7, 8], 7, 8, claim.epoch)
            assert await write(store, claim, 9) is Committed.DONE
            assert seqs((await store.claim("s", "b")).tail) == [7, 8, 9]
            page = await store.record("s")
            assert ([one.seq for one in page.entries], page.top, page.truncated) == ([1, 2, 3], 3, True)
            assert await store.snapshot("s") == b"eight"

        play(scenario)

    def test_a_stream_may_begin_with_a_hole(self, play: Play) -> None:
        """The store was away from the beginning."""

        async def scenario(store: StreamStore, _: ManualClock) -> None:
            claim = await store.claim("s", "a")
            lost = Commit("s", claim.gen, [entry(4)], after_hole=True)
            assert await store.commit([lost, Commit("s", claim.gen, [entry(5)])]) == [Committed.DONE] * 2
            assert seqs(await store.tail("s", 0)) == [4, 5]
            page = await store.record("s")
            assert (list(page.entries), page.top, page.truncated) == ([], 0, True)

        play(scenario)


class TestReading:
    def test_it_gives_what_follows_the_cursor_and_says_what_is_held(self, play: Play) -> None:
        """A reader can tell from `oldest` whether it missed something."""

        async def scenario(store: StreamStore, _: ManualClock) -> None:
            claim = await store.claim("s", "a")
            await write(store, claim, 1, 6)
            for after, expected in ((0, [3, 4, 5, 6]), (2, [3, 4, 5, 6]), (4, [5, 6]), (6, []), (9, [])):
                tail = await store.tail("s", after)
                assert (seqs(tail), tail.oldest, tail.top) == (expected, 3, 6)

        play(scenario)

    def test_stretches_of_several_writers_are_one(self, play: Play) -> None:
        """A cursor may be in anybody's stretch, also where the oldest are gone."""

        async def scenario(store: StreamStore, _: ManualClock) -> None:
            for seq in range(1, 8):
                claim = await store.claim("s", f"node-{seq}")
                assert await write(store, claim, seq) is Committed.DONE
            for after in range(9):
                assert seqs(await store.tail("s", after)) == list(range(max(after + 1, 4), 8))

        play(scenario)

    def test_the_bytes_are_bounded_and_the_newest_stays(self, play: Play) -> None:
        """Also where it alone is too big."""

        async def scenario(store: StreamStore, _: ManualClock) -> None:
            claim = await store.claim("s", "a")
            await write(store, claim, 1, 4)
            assert seqs(await store.tail("s", 0)) == [3, 4]
            await store.commit([Commit("s", claim.gen, [entry(5, label="x" * 5 * SIZE)])])
            tail = await store.tail("s", 0)
            assert (seqs(tail), tail.oldest) == ([5], 5)
            await write(store, claim, 6, 2)
            assert seqs(await store.tail("s", 0)) == [6, 7]

        play(scenario, StreamBounds(events=10, bytes=2 * SIZE))

    def test_old_events_go_with_time_and_the_newest_stays(self, play: Play) -> None:
        """Whether something is written meanwhile or not."""

        async def scenario(store: StreamStore, clock: ManualClock) -> None:
            claim = await store.claim("s", "a")
            for seq in (1, 2, 3):
                await write(store, claim, seq, at=clock.monotonic())
                clock.advance(50.0)
            for held in ([2, 3], [3], [3]):
                tail = await store.tail("s", 0)
                assert (seqs(tail), tail.oldest, tail.top) == (held, held[0], 3)
                clock.advance(50.0)
            assert seqs((await store.claim("s", "b")).tail) == [3]

        play(scenario)

    def test_a_long_stretch_comes_whole(self, play: Play) -> None:
        """However the store reads it."""

        async def scenario(store: StreamStore, _: ManualClock) -> None:
            for first in range(1, 1_001, 250):
                claim = await store.claim("s", f"n{first}")
                await write(store, claim, first, 250)
            assert seqs(await store.tail("s", 3)) == list(range(4, 1_001))
            found = await store.newer({"s": 500}, 0.0)
            assert seqs(found["s"]) == list(range(501, 1_001))
            assert seqs((await store.claim("s", "b")).tail) == list(range(1, 1_001))
            page = await store.record("s", 10, 900)
            assert [one.seq for one in page.entries] == list(range(11, 911))

        play(scenario, StreamBounds(events=2_000, bytes=10_000_000))

    def test_a_stream_that_is_not_there(self, play: Play) -> None:
        """Every call says so, in the way the port names; ids from a URL may be anything."""

        async def scenario(store: StreamStore, _: ManualClock) -> None:
            for session_id in ("s", *HOSTILE):
                for call in (store.tail(session_id, 0), store.record(session_id)):
                    with pytest.raises(UnknownSession):
                        await call
                assert await store.snapshot(session_id) is None
                assert await store.commit([Commit(session_id, 1, [entry(1)])]) == [Committed.UNKNOWN]
                assert await store.newer({session_id: 0}, 5.0) == {session_id: None}
                await store.forget(session_id)

        play(scenario)

    def test_a_node_that_has_its_history_keeps_its_epoch(self, play: Play) -> None:
        """A stream that the store has lost is begun in the epoch that readers know; one that is there keeps
        its own, and a writer of another epoch is fenced even where the `gen` is the same."""

        async def scenario(store: StreamStore, _: ManualClock) -> None:
            claim = await store.claim("s", "a", 1, "known")
            assert (claim.epoch, claim.gen) == ("known", 1)
            assert (await store.claim("s", "a", 1, "other")).epoch == "known"
            (done,) = await store.commit([Commit("s", 2, [entry(1)], epoch="other")])
            assert done is Committed.FENCED
            (done,) = await store.commit([Commit("s", 2, [entry(1)], epoch="known")])
            assert done is Committed.DONE

        play(scenario)

    def test_forgetting_is_for_good_and_a_new_stream_has_a_new_epoch(self, play: Play) -> None:
        """History that was lost is never mistaken for what is there, and the old writer has nothing."""

        async def scenario(store: StreamStore, _: ManualClock) -> None:
            old = await store.claim("s", "a")
            await write(store, old, 1, 2, snapshot=b"old")
            await store.forget("s")
            assert await write(store, old, 3) is Committed.GONE
            new = await store.claim("s", "b")
            assert new.epoch != old.epoch
            assert (new.snapshot, new.previous, seqs(new.tail)) == (None, None, [])
            assert (await store.record("s")).top == 0

        play(scenario)


class TestNewer:
    def test_it_returns_at_once_where_there_is_something(self, play: Play) -> None:
        """Only those streams that have something are in it."""

        async def scenario(store: StreamStore, _: ManualClock) -> None:
            claim = await store.claim("s", "a")
            await store.claim("quiet", "a")
            await write(store, claim, 1, 3)
            found = await store.newer({"s": 1, "quiet": 0}, 20.0)
            assert list(found) == ["s"]
            assert seqs(found["s"]) == [2, 3]

        play(scenario)

    def test_it_returns_with_nothing_in_the_end(self, play: Play) -> None:
        """Also for nobody at all, and after a takeover that wrote nothing."""

        async def scenario(store: StreamStore, _: ManualClock) -> None:
            claim = await store.claim("s", "a")
            await write(store, claim, 1)
            await store.claim("s", "b")
            assert await store.newer({"s": 1}, 0.05) == {}
            assert await store.newer({"s": 1}, 0.0) == {}
            assert await store.newer({}, 0.05) == {}

        play(scenario)

    @pytest.mark.parametrize("takeover", [False, True])
    def test_it_wakes_up_for_what_is_written(self, play: Play, takeover: bool) -> None:
        """By whoever writes then; call after call nothing is left out or given twice."""

        async def scenario(store: StreamStore, _: ManualClock) -> None:
            claim = await store.claim("s", "a")
            read: list[int] = []

            async def follow() -> None:
                while len(read) < 20:
                    tail = (await store.newer({"s": len(read), "t": 0} if read else {"s": 0}, 20.0)).get("s")
                    read.extend(seqs(tail) if tail else ())

            await store.claim("t", "a")
            following = asyncio.create_task(follow())
            for seq in range(1, 21):
                if takeover and seq % 5 == 0:
                    claim = await store.claim("s", f"n{seq}")
                assert await write(store, claim, seq) is Committed.DONE
                await asyncio.sleep(0)
            await following
            assert read == list(range(1, 21))

        play(scenario, StreamBounds())

    def test_it_tells_that_a_stream_is_gone(self, play: Play) -> None:
        """Also one that went while somebody waited."""

        async def scenario(store: StreamStore, _: ManualClock) -> None:
            await store.claim("s", "a")
            waiting = asyncio.create_task(_told(store, {"s": 0}))
            await asyncio.sleep(0.05)
            await store.forget("s")
            assert await waiting == {"s": None}

        play(scenario)

    def test_it_tells_that_history_was_lost(self, play: Play) -> None:
        """A cursor beyond the newest event belongs to a stream that is no more."""

        async def scenario(store: StreamStore, _: ManualClock) -> None:
            old = await store.claim("s", "a")
            await write(store, old, 1, 3)
            assert await store.newer({"s": 3}, 0.0) == {}
            await store.forget("s")
            new = await store.claim("s", "a")
            assert (await store.newer({"s": 5}, 20.0))["s"] == Tail(new.epoch, 1, 0, [])
            found = await _told(store, {"s": 3})
            tail = found["s"]
            assert tail is not None
            assert (tail.epoch, tail.top) == (new.epoch, 0)

        play(scenario)

    def test_a_reader_that_stops_waiting_harms_nobody(self, play: Play) -> None:
        """The store goes on as before."""

        async def scenario(store: StreamStore, _: ManualClock) -> None:
            claim = await store.claim("s", "a")
            for seq in range(1, 13):
                waiting = asyncio.create_task(_told(store, {"s": seq - 1}))
                await asyncio.sleep(0.01)
                waiting.cancel()
                await asyncio.gather(waiting, return_exceptions=True)
                assert await write(store, claim, seq) is Committed.DONE
            assert seqs((await store.newer({"s": 11}, 20.0))["s"]) == [12]

        play(scenario)


async def _told(store: StreamStore, cursors: dict[str, int]) -> dict[str, Tail | None]:
    """What `newer` says as soon as it says anything."""
    while not (found := dict(await store.newer(cursors, 20.0))):
        pass
    return found


class TestRecord:
    def test_it_keeps_final_events_only_and_long_after_the_tail(self, play: Play) -> None:
        """Interim transcripts are not history; everything else is."""

        async def scenario(store: StreamStore, clock: ManualClock) -> None:
            claim = await store.claim("s", "a")
            made = [entry(1)]
            for seq, final in ((2, False), (3, True)):
                event = transcript(seq, is_final=final)
                made.append(Entry(seq, event.type, final, 0.0, 1_000.0, event))
            await store.commit([Commit("s", claim.gen, made)])
            clock.advance(10_000.0)
            page = await store.record("s")
            assert [one.seq for one in page.entries] == [1, 3]
            assert (page.top, page.truncated) == (3, False)
            assert page.entries[0].encoded(Encoding.JSON) == entry(1).encoded(Encoding.JSON)

        play(scenario)

    def test_pages_put_together_are_the_record(self, play: Play) -> None:
        """Whatever the page's size, nothing is left out or given twice."""

        async def scenario(store: StreamStore, _: ManualClock) -> None:
            await write(store, await store.claim("s", "a"), 1, 7)
            for size in (1, 3, 7, 50):
                found: list[int] = []
                while entries := (await store.record("s", found[-1] if found else 0, size)).entries:
                    assert len(entries) <= size
                    found += [one.seq for one in entries]
                assert found == list(range(1, 8))

        play(scenario)

    def test_at_its_bound_it_takes_no_more_and_says_so(self, play: Play) -> None:
        """It is a beginning without holes, also where a smaller event would fit, and for the next writer."""

        async def scenario(store: StreamStore, _: ManualClock) -> None:
            claim = await store.claim("s", "a")
            await write(store, claim, 1, 7)
            await store.commit([Commit("s", claim.gen, [entry(8, label="a label too long to fit")])])
            claim = await store.claim("s", "b")
            await write(store, claim, 9)
            page = await store.record("s")
            assert [one.seq for one in page.entries] == list(range(1, 8))
            assert (page.top, page.truncated) == (7, True)
            assert (await store.tail("s", 0)).top == 9

        play(scenario)


class TestFencing:
    @settings(max_examples=60, deadline=None)
    @given(steps=st.lists(st.tuples(st.sampled_from("acb"), st.integers(0, 2)), min_size=5, max_size=40))
    def test_whoever_lost_the_stream_writes_nothing(
        self, play: Play, steps: Sequence[tuple[str, int]]
    ) -> None:
        """Three nodes in any order: no number twice, no hole, and only the last to claim gets anything in.

        `c` claims, `a` commits one event, `b` two.
        """

        async def scenario(store: StreamStore, _: ManualClock) -> None:
            claims: dict[int, tuple[int, int]] = {}  # by node: its gen, its next number
            owner: int | None = None
            kept: list[str] = []
            for step, node in steps:
                gen, due = claims.get(node, (0, 1))
                if step == "c":
                    claim = await store.claim("s", f"n{node}")
                    assert claim.tail.top == len(kept)
                    assert claim.previous == (None if owner is None else f"n{owner}")
                    assert claim.snapshot == (f"{len(kept)}".encode() if kept else None)
                    claims[node], owner = (claim.gen, claim.tail.top + 1), node
                else:
                    count = 1 if step == "a" else 2
                    label = f"n{node}"
                    entries = [entry(due + more, label=label) for more in range(count)]
                    snapshot = f"{due + count - 1}".encode()
                    (done,) = await store.commit([Commit("s", gen, entries, snapshot)])
                    if owner != node:
                        assert done is (Committed.FENCED if claims else Committed.UNKNOWN)
                        continue
                    assert done is Committed.DONE
                    kept += [label] * count
                    claims[node] = gen, due + count
            if claims:
                tail = await store.tail("s", 0)
                assert seqs(tail) == list(range(1, len(kept) + 1))
                assert [getattr(one.event(), "label", None) for one in tail.entries] == kept

        play(scenario, StreamBounds())

    @settings(max_examples=15, deadline=None)
    @given(data=st.data())
    def test_nodes_that_run_at_once_leave_one_history(self, play: Play, data: st.DataObject) -> None:
        """Each claims, writes until it is fenced, and claims again: what was confirmed is all there, once."""
        plans = data.draw(
            st.lists(st.lists(st.integers(1, 6), min_size=1, max_size=4), min_size=2, max_size=5)
        )

        async def scenario(store: StreamStore, _: ManualClock) -> None:
            confirmed: dict[int, str] = {}

            async def node(name: str, plan: list[int]) -> None:
                for stay in plan:
                    claim = await store.claim("s", name)
                    due = claim.tail.top + 1
                    for _turn in range(stay):
                        (done,) = await store.commit([Commit("s", claim.gen, [entry(due, label=name)])])
                        if done is not Committed.DONE:
                            assert done is Committed.FENCED
                            break
                        assert due not in confirmed
                        confirmed[due] = name
                        due += 1

            await asyncio.gather(*(node(f"n{number}", plan) for number, plan in enumerate(plans)))
            found = {one.seq: getattr(one.event(), "label", "") for one in (await store.tail("s", 0)).entries}
            assert found == confirmed
            assert sorted(found) == list(range(1, len(found) + 1))

        play(scenario, StreamBounds())

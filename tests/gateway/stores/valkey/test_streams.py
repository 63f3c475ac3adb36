"""What streams in Valkey do beyond the contract: what is lost by itself, and how much is read at once."""

import asyncio

import pytest

from gateway.clock import ManualClock
from gateway.errors import BadDocument
from gateway.sessions.ports import Entry
from gateway.sessions.shared import Commit, Committed, StreamBounds
from gateway.stores.valkey import pool
from gateway.stores.valkey.connection import ValkeyConnection
from gateway.stores.valkey.reading import Reader
from gateway.stores.valkey.streams import ValkeyStreamStore
from tests.gateway.sessions.kit import entry, run, tone
from tests.stores import connected


def store_on(connection: ValkeyConnection, bounds: StreamBounds = StreamBounds()) -> ValkeyStreamStore:  # noqa: B008
    return ValkeyStreamStore(connection, ManualClock(), bounds=bounds, ttl_s=100.0)


async def command(connection: ValkeyConnection, *words: bytes) -> object:
    (reply,) = await connection.many([(words[1], words)])
    return reply


def test_a_log_that_was_deleted_by_itself_is_a_hole() -> None:
    """An evicting server, or somebody's hand: what is missing is told, and the numbers go on."""

    async def scenario() -> None:
        async with connected() as connection:
            streams = store_on(connection)
            claim = await streams.claim("s", "a")
            await streams.commit([Commit("s", claim.gen, [entry(1), entry(2)])])
            await command(connection, b"DEL", connection.keys.stream("s")[0])
            tail = await streams.tail("s", 0)
            assert (list(tail.entries), tail.oldest, tail.top, tail.epoch) == ([], 3, 2, claim.epoch)
            assert await streams.commit([Commit("s", claim.gen, [entry(3)])]) == [Committed.DONE]
            tail = await streams.tail("s", 0)
            assert ([one.seq for one in tail.entries], tail.oldest, tail.top) == ([3], 3, 3)
            again = await streams.claim("s", "b")
            assert (again.gen, again.tail.oldest, again.tail.top) == (2, 3, 3)

    run(scenario())


def test_a_log_that_was_cut_by_itself_is_a_hole() -> None:
    """The oldest that is really there is told."""

    async def scenario() -> None:
        async with connected() as connection:
            streams = store_on(connection)
            claim = await streams.claim("s", "a")
            await streams.commit([Commit("s", claim.gen, [entry(1), entry(2), entry(3)])])
            await command(connection, b"XTRIM", connection.keys.stream("s")[0], b"MAXLEN", b"1")
            tail = await streams.tail("s", 0)
            assert ([one.seq for one in tail.entries], tail.oldest, tail.top) == ([3], 3, 3)

    run(scenario())


def test_what_is_known_of_a_stream_was_deleted_by_itself() -> None:
    """Then all of it is gone: the writer hears so, and the next claim begins anew."""

    async def scenario() -> None:
        async with connected() as connection:
            streams = store_on(connection)
            claim = await streams.claim("s", "a")
            await streams.claim("s", "a")
            await streams.commit([Commit("s", 2, [entry(1), entry(2)])])
            await command(connection, b"DEL", connection.keys.stream("s")[1])
            assert await streams.commit([Commit("s", 2, [entry(3)])]) == [Committed.UNKNOWN]
            again = await streams.claim("s", "a")
            assert again.epoch != claim.epoch
            assert (again.tail.oldest, again.tail.top, (await streams.record("s")).top) == (1, 0, 0)

    run(scenario())


def test_the_log_itself_refuses_an_older_writer() -> None:
    """Where what is known of the stream was set back, its ids weren't."""

    async def scenario() -> None:
        async with connected() as connection:
            streams = store_on(connection)
            for _ in range(3):
                claim = await streams.claim("s", "a")
            await streams.commit([Commit("s", claim.gen, [entry(1)])])
            meta = connection.keys.stream("s")[1]
            await command(connection, b"HSET", meta, b"gen", b"2")
            assert await streams.commit([Commit("s", 2, [entry(2)], b"late")]) == [Committed.FENCED]
            assert await streams.snapshot("s") is None
            assert (await streams.tail("s", 0)).top == 1

    run(scenario())


def test_a_damaged_record_is_cut_short() -> None:
    """The events go on; the record says that it lacks something."""

    async def scenario() -> None:
        async with connected() as connection:
            streams = store_on(connection)
            claim = await streams.claim("s", "a")
            await streams.commit([Commit("s", claim.gen, [entry(1)])])
            record = connection.keys.stream("s")[2]
            await command(connection, b"SET", record, b"nonsense")
            for seq in (2, 3):
                commit = Commit("s", claim.gen, [entry(seq)])
                assert await streams.commit([commit]) == [Committed.DONE]
            page = await streams.record("s")
            assert (page.entries, page.truncated) == ([], True)
            assert (await streams.tail("s", 0)).top == 3

    run(scenario())


def test_what_passes_a_bound_leaves_the_memory() -> None:
    """Not only the readers' sight: the log has what is held, and the last writer's mark."""

    async def scenario() -> None:
        async with connected() as connection:
            clock = ManualClock(monotonic=1_000.0)
            streams = ValkeyStreamStore(connection, clock, bounds=StreamBounds(events=50, seconds=10.0))
            log = connection.keys.stream("s")[0]
            for _ in range(200):
                claim = await streams.claim("s", "a")
            assert await command(connection, b"XLEN", log) == 1
            await streams.commit([Commit("s", claim.gen, [entry(seq) for seq in range(1, 81)])])
            assert await command(connection, b"XLEN", log) == 50
            clock.advance(11.0)
            await streams.commit([Commit("s", claim.gen, [entry(81, clock.monotonic())])])
            assert await command(connection, b"XLEN", log) == 1

    run(scenario())


def test_two_that_follow_the_same_stream_miss_nothing() -> None:
    """From different places, at the same time."""

    async def scenario() -> None:
        async with connected() as connection:
            streams = store_on(connection)
            claim = await streams.claim("s", "a")

            async def follow(step: int) -> list[int]:
                read: list[int] = []
                while len(read) < 60:
                    tail = (await streams.newer({"s": len(read)}, 20.0)).get("s")
                    read += [one.seq for one in tail.entries[:step]] if tail else []
                return read

            following = [asyncio.create_task(follow(step)) for step in (1, 2, 100)]
            for seq in range(1, 61):
                await streams.commit([Commit("s", claim.gen, [entry(seq)])])
            for one in following:
                assert await one == list(range(1, 61))

    run(scenario())


def test_all_keys_of_a_stream_go_in_the_end() -> None:
    """Claims and commits renew their time to live, once a tenth of it has passed: replicas are told, too."""

    async def scenario() -> None:
        async with connected() as connection:
            streams = store_on(connection)
            claim = await streams.claim("s", "a")
            await streams.commit([Commit("s", claim.gen, [entry(1)])])
            keys = connection.keys.stream("s")
            for key in keys:
                await command(connection, b"PEXPIRE", key, b"5000")
            await streams.commit([Commit("s", claim.gen, [entry(2)])])
            for key in keys:
                left_ms = await command(connection, b"PTTL", key)
                assert isinstance(left_ms, int)
                assert left_ms > 99_000
            for key in keys:
                await command(connection, b"PEXPIRE", key, b"95000")
            await streams.commit([Commit("s", claim.gen, [entry(3)], b"snapshot")])
            for key in keys:
                left_ms = await command(connection, b"PTTL", key)
                assert isinstance(left_ms, int)
                assert left_ms <= 95_000

    run(scenario())


def test_keys_that_are_made_late_go_in_the_end_too() -> None:
    """A record's, and a log's that was deleted by itself, while the others' time was renewed just now."""

    async def scenario() -> None:
        async with connected() as connection:
            streams = store_on(connection)
            claim = await streams.claim("s", "a")
            interim = Entry(1, "transcript", False, 1.0, 1_000.0, tone(1))
            await streams.commit([Commit("s", claim.gen, [interim])])
            log, _, record = connection.keys.stream("s")
            await streams.commit([Commit("s", claim.gen, [entry(2)])])
            for seq, hole in ((3, False), (5, True)):
                await command(connection, b"DEL", log)
                commit = Commit("s", claim.gen, [entry(seq)], after_hole=hole)
                assert await streams.commit([commit]) == [Committed.DONE]
                for key in (log, record):
                    left_ms = await command(connection, b"PTTL", key)
                    assert isinstance(left_ms, int)
                    assert left_ms > 90_000

    run(scenario())


def test_an_event_that_can_not_be_read_is_an_error() -> None:
    """Nobody is told that it was never there."""

    async def scenario() -> None:
        async with connected() as connection:
            streams = store_on(connection)
            claim = await streams.claim("s", "a")
            damaged = entry(1)
            damaged._msgpack = b"\xc1"
            await streams.commit([Commit("s", claim.gen, [damaged])])
            with pytest.raises(BadDocument):
                await streams.tail("s", 0)

    run(scenario())


def test_no_reply_is_long(monkeypatch: pytest.MonkeyPatch) -> None:
    """However much is held, and however many streams have moved, it comes in slices."""
    longest = 0
    plain = pool.Pool.exchange

    async def watched(self: pool.Pool, commands: list[pool.Command], wait_s: float = 0.0) -> list[object]:
        nonlocal longest
        replies = await plain(self, commands, wait_s)
        longest = max(longest, _size(replies))
        return replies

    async def scenario() -> None:
        bounds = StreamBounds(events=1_000, bytes=10_000_000)
        async with connected() as connection:
            streams = store_on(connection, bounds)
            ids = [f"s{number}" for number in range(30)]
            for one in ids:
                claim = await streams.claim(one, "a")
                await streams.commit([Commit(one, claim.gen, [entry(seq) for seq in range(1, 501)])])
            monkeypatch.setattr(pool.Pool, "exchange", watched)
            found = await streams.newer(dict.fromkeys(ids, 0), 5.0)
            assert [len(tail.entries) for tail in found.values() if tail] == [500] * 30
            assert len((await streams.record("s1")).entries) == 500
            assert len((await streams.claim("s1", "b")).tail.entries) == 500

    run(scenario())
    assert 0 < longest < 600_000


def _size(reply: object) -> int:
    if isinstance(reply, list):
        return sum(map(_size, reply))
    return len(reply) if isinstance(reply, bytes) else 8


def test_a_thousand_cursors_wait_on_one_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    """One of them moves, and one alone is read."""
    read: list[int] = []
    plain = Reader.tails

    async def watched(self: Reader, cursors: dict[str, int]) -> object:
        read.append(len(cursors))
        return await plain(self, cursors)

    monkeypatch.setattr(Reader, "tails", watched)

    async def scenario() -> None:
        async with connected() as connection:
            streams = store_on(connection)
            ids = [f"s{number}" for number in range(1_000)]
            claims = await asyncio.gather(*(streams.claim(one, "a") for one in ids))
            cursors = dict.fromkeys(ids, 0)
            assert await streams.newer(cursors, 0.0) == {}
            waiting = asyncio.create_task(streams.newer(cursors, 1.0))
            await asyncio.sleep(0.05)
            await streams.commit([Commit("s500", claims[500].gen, [entry(1)])])
            assert list(await waiting) == ["s500"]

    run(scenario())
    assert read == [1_000, 1]

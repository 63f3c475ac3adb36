"""The bounded tail of a log."""

from collections.abc import Sequence

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.sessions.ports import Entry
from gateway.sessions.tail import BoundedTail
from tests.gateway.sessions.kit import entry

SIZE = entry(1).size


def numbers(entries: Sequence[Entry]) -> list[int]:
    return [one.seq for one in entries]


def test_an_empty_tail() -> None:
    """Before the first event nothing is held, and the first will be number 1."""
    tail = BoundedTail(4, 10_000, 120.0)
    assert (len(tail), tail.top, tail.oldest, tail.bytes) == (0, 0, 1, 0)
    assert not tail.since(0)


def test_a_number_that_does_not_follow_is_refused_and_changes_nothing() -> None:
    """A log has no holes and no duplicates."""
    tail = BoundedTail(4, 10_000, 120.0)
    tail.append(entry(1), 0.0)
    for wrong in (1, 3, 0):
        with pytest.raises(ValueError, match="where 2 was due"):
            tail.append(entry(wrong), 0.0)
    assert (tail.top, tail.bytes, len(tail)) == (1, SIZE, 1)


def test_a_tail_may_begin_anywhere() -> None:
    """A log that goes on after a takeover keeps its numbers."""
    tail = BoundedTail(4, 10_000, 120.0)
    tail.append(entry(41), 0.0)
    assert (tail.oldest, tail.top) == (41, 41)


def test_the_newest_event_is_kept_whatever_its_size() -> None:
    """A bound in bytes below one event leaves that one event."""
    tail = BoundedTail(4, 1, 120.0)
    for seq in (1, 2, 3):
        tail.append(entry(seq, at=0.0), 0.0)
    assert numbers(tail.since(0)) == [3]


def test_age_empties_it_without_an_append() -> None:
    """What is older than the bound goes when time is told, to the last event."""
    tail = BoundedTail(4, 10_000, 120.0)
    tail.append(entry(1, at=1_000.0), 1_000.0)
    tail.append(entry(2, at=1_060.0), 1_060.0)
    tail.expire(1_120.0)
    assert numbers(tail.since(0)) == [1, 2]
    tail.expire(1_120.5)
    assert numbers(tail.since(0)) == [2]
    tail.expire(2_000.0)
    assert (len(tail), tail.oldest, tail.top, tail.bytes) == (0, 3, 2, 0)


@given(
    gaps=st.lists(st.floats(0, 50), min_size=1, max_size=60),
    max_events=st.integers(1, 20),
    max_sizes=st.integers(1, 20),
    max_age_s=st.floats(1, 200),
)
def test_it_holds_the_longest_contiguous_end_within_all_three_bounds(
    gaps: list[float], max_events: int, max_sizes: int, max_age_s: float
) -> None:
    """After every append: what is held is exactly what a list cut by hand would hold."""
    tail = BoundedTail(max_events, max_sizes * SIZE, max_age_s)
    everything: list[Entry] = []
    now = 0.0
    for seq, gap in enumerate(gaps, 1):
        now += gap
        everything.append(entry(seq, at=now))
        tail.append(everything[-1], now)
        expected = [one for one in everything[-max_events:] if one.at >= now - max_age_s]
        while len(expected) > 1 and sum(one.size for one in expected) > max_sizes * SIZE:
            expected.pop(0)
        assert list(tail.since(0)) == expected
        assert tail.bytes == sum(one.size for one in expected)
        assert (tail.oldest, tail.top) == (seq + 1 - len(expected), seq)


@example(count=10, max_events=30, after=8, limit=1)
@given(
    count=st.integers(0, 30),
    max_events=st.integers(1, 30),
    after=st.integers(0, 35),
    limit=st.none() | st.integers(0, 35),
)
def test_since_gives_what_follows_the_cursor(
    count: int, max_events: int, after: int, limit: int | None
) -> None:
    """From the cursor, or the oldest held, in order and at most `limit`, from either end of the deque."""
    tail = BoundedTail(max_events, 1_000_000, 120.0)
    for seq in range(1, count + 1):
        tail.append(entry(seq), 1_000.0)
    held = list(range(max(1, count - max_events + 1), count + 1))
    assert numbers(tail.since(after, limit)) == [seq for seq in held if seq > after][:limit]

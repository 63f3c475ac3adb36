"""What is decided about a drain: by when each stage is over, how many go at a time, when they come back."""

import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.live.drain import (
    BATCH,
    MAX_RETRY_MS,
    RETRY_MS,
    STEP_S,
    Timetable,
    batch_size,
    retry_after_ms,
)


@given(st.floats(0, 1e6), st.floats(0, 3_600))
def test_each_stage_ends_before_the_next(now: float, grace_s: float) -> None:
    """Whatever the grace; and a hurry brings each nearer, never back."""
    table = Timetable.of(now, grace_s)
    stages = [table.tell_by, table.settle_by, table.close_by, table.leave_by, table.end]
    assert stages == sorted(stages)
    assert now <= stages[0]
    assert table.end == now + grace_s
    hurried = table.hurried(now)
    assert (hurried.tell_by, hurried.settle_by) == (now, now)
    assert hurried.close_by <= now + 0.5
    assert now <= hurried.leave_by <= min(table.leave_by, now + 1)
    assert hurried.end <= min(table.end, now + 2)
    assert hurried.hurried(now + 0.5) == hurried, "a hurry counts once"


@given(st.integers(0, 100_000), st.floats(0, 60))
def test_all_are_done_with_in_time(waiting: int, left_s: float) -> None:
    """Batch by batch, of fifty at least, nobody is left when the time is over."""
    while waiting > 0 and left_s > STEP_S:
        size = batch_size(waiting, left_s)
        assert size >= min(waiting, BATCH)
        waiting, left_s = waiting - size, left_s - STEP_S
    assert waiting <= 0 or batch_size(waiting, left_s) == waiting


@pytest.mark.parametrize(("sessions", "span"), [(0, 0), (1, 5), (200, 1_000), (100_000, 9_750)])
def test_clients_come_back_over_a_span(sessions: int, span: int) -> None:
    """It grows with their number up to a bound, and all of it is used evenly."""
    jitter = random.Random(1)
    drawn = [retry_after_ms(sessions, jitter) for _ in range(4_000)]
    assert min(drawn) >= RETRY_MS
    assert max(drawn) <= RETRY_MS + span <= MAX_RETRY_MS
    if span >= 1_000:
        quarters = Counter((wait - RETRY_MS) * 4 // (span + 1) for wait in drawn)
        assert sorted(quarters) == [0, 1, 2, 3]
        assert min(quarters.values()) > 850

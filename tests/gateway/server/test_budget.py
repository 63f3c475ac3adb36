"""Budgets let every honest client through, and no other for longer than its burst."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.server.budget import (
    ALL_BYTES,
    CONTROL_FRAMES,
    SMALL_FRAMES,
    TEXT_BYTES,
    TEXT_MESSAGES,
    Bucket,
    Budgets,
    Rate,
)

RATE = Rate(10, 25, "things")
steps = st.lists(st.tuples(st.floats(0, 5, allow_nan=False), st.integers(0, 30)), min_size=1, max_size=60)


@given(steps)
def test_no_stretch_of_time_brings_more_than_its_allowance(steps: list[tuple[float, int]]) -> None:
    """Between any two moments at most the burst and what the rate gives in between may pass."""
    bucket, now = Bucket(RATE, 0.0), 0.0
    passed: list[tuple[float, int]] = []
    for pause, amount in steps:
        now += pause
        if bucket.take(amount, now):
            passed.append((now, amount))
    for i, (begin, _) in enumerate(passed):
        for j in range(i, len(passed)):
            total = sum(amount for _, amount in passed[i : j + 1])
            assert total <= RATE.burst + (passed[j][0] - begin) * RATE.per_s + 1e-6


@given(steps)
def test_what_fits_into_the_rate_passes(steps: list[tuple[float, int]]) -> None:
    """A sender that spends only what time gave it meets no limit, however it groups it."""
    bucket, now = Bucket(RATE, 0.0), 0.0
    for pause, _ in steps:
        now += pause
        assert bucket.take(max(0.0, min(RATE.burst, pause * RATE.per_s) - 1e-6), now)


def test_a_refusal_costs_nothing() -> None:
    """What was too much doesn't count against what comes next."""
    bucket = Bucket(RATE, 0.0)
    assert not bucket.take(26, 0.0)
    assert bucket.take(25, 0.0)
    assert not bucket.take(1, 0.05)
    assert bucket.take(1, 0.1)


def test_the_smallest_useful_frames_pass_at_four_times_real_time() -> None:
    """10 ms of 8 kHz mu-law: 5 s sent again at once, then a minute at 400 frames a second."""
    budgets, now = Budgets(0.0), 0.0
    assert not [over for _ in range(500) if (over := budgets.small_frame())]
    for _ in range(24_000):
        now += 1 / 400
        assert budgets.arrived(86, now) is None
        assert budgets.small_frame() is None


def test_a_recording_as_fast_as_the_loopback_passes() -> None:
    """Lossless: a thousand frames of 100 ms within a tenth of a second."""
    budgets = Budgets(0.0)
    assert not [over for n in range(1_000) if (over := budgets.arrived(3_208, n / 10_000))]


@pytest.mark.parametrize(
    ("spend", "rate", "size"),
    [
        (lambda budgets: budgets.small_frame(), SMALL_FRAMES, 1),
        (lambda budgets: budgets.control_frame(), CONTROL_FRAMES, 1),
        (lambda budgets: budgets.text(1), TEXT_MESSAGES, 1),
        (lambda budgets: budgets.text(16_384), TEXT_BYTES, 16_384),
        (lambda budgets: budgets.arrived(1 << 20, budgets.now), ALL_BYTES, 1 << 20),
    ],
)
def test_each_flood_is_named(spend: object, rate: Rate, size: int) -> None:
    """After exactly its burst each kind is refused, by the name that goes into the error."""
    budgets = Budgets(0.0)
    assert callable(spend)
    for _ in range(int(rate.burst) // size):
        assert spend(budgets) is None
    assert spend(budgets) is rate
    assert rate.what in str(rate)

"""What a load run adds up to."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.commands.load_stats import Histogram, Samples, Tally, latency_of, percentile_points


def test_distribution_of_known_latencies() -> None:
    """Percentiles of 1 to 100 ms, each second's p99 apart."""
    tally = Tally(sessions=1)
    for one in range(1, 101):
        tally.record("tone", one / 1_000, at_s=one / 10)
    told = tally.latency("tone")
    assert told is not None
    assert told.count == 100
    assert told.max == pytest.approx(100)
    assert told.p50 == pytest.approx(50, rel=0.001)
    assert told.p99 == pytest.approx(99, rel=0.001)
    assert told.calm_p99 < 60


def test_one_stall_does_not_set_the_calm_p99() -> None:
    """A single bad second dominates the p99, not the median of the seconds' p99s."""
    samples = Samples()
    for second in range(20):
        for _ in range(10):
            samples.add(2.0 if second == 7 else 0.03, at_s=float(second))
    told = samples.distribution()
    assert told is not None
    assert told.p99 == pytest.approx(2_000, rel=0.001)
    assert told.calm_p99 == pytest.approx(30)


def test_all_is_every_type_together() -> None:
    """The distribution of all events counts those of each type."""
    tally = Tally(sessions=2, finished=1)
    assert tally.latency() is None
    assert tally.latency("tone") is None
    tally.record("tone", 0.1, 0)
    tally.record("queue", 0.3, 0)
    told = tally.latency()
    assert told is not None
    assert told.count == 2
    assert told.p50 == pytest.approx(100, rel=0.001)
    assert tally.failed == 1


@given(st.lists(st.floats(0.02, 60_000), min_size=1, max_size=300), st.sampled_from([50, 90, 99, 99.9, 100]))
def test_percentiles_are_told_to_one_part_in_a_thousand(milliseconds: list[float], share: float) -> None:
    """Whatever was counted, a percentile is that of the values themselves, but for the width of a bucket."""
    seen = Histogram()
    seen.add(np.array(milliseconds))
    exact = float(np.percentile(milliseconds, share, method="inverted_cdf"))
    assert seen.percentile(share) == pytest.approx(exact, rel=0.001)
    assert seen.count == len(milliseconds)
    assert seen.max == max(milliseconds)


def test_what_came_since_is_told_apart() -> None:
    """The distribution of a step holds what came in it, not what came before."""
    seen = Histogram()
    seen.add(np.array([500.0, 600.0]))
    before = seen.copy()
    seen.add(np.array([10.0, 20.0]))
    told = latency_of(seen.since(before), 0.0)
    assert told is not None
    assert told.count == 2
    assert told.max == pytest.approx(20, rel=0.001)
    assert latency_of(before.since(before), 0.0) is None


def test_memory_does_not_grow_with_events() -> None:
    """A long run keeps a histogram and a few numbers a second, not each latency."""
    samples = Samples()
    for one in range(5_000):
        samples.add(0.05, at_s=one / 1_000)
    assert [second.count for second in samples.seconds] == [1_000] * 4
    assert len(samples) == 5_000
    assert samples.all_seconds()[-1].count == 1_000


def test_percentiles_are_told_in_ever_finer_steps() -> None:
    """Ten steps to 90 %, ten more to 99 %; none that fewer than one value is above."""
    seen = Histogram()
    seen.add(np.arange(1.0, 101.0))
    points = percentile_points(seen)
    assert list(points)[:11] == ["0", "10", "20", "30", "40", "50", "60", "70", "80", "90", "91"]
    assert list(points)[-2:] == ["99.8", "99.9"]
    assert points["50"] == pytest.approx(50, rel=0.002)
    assert points["99"] == pytest.approx(99, rel=0.002)
    assert percentile_points(Histogram()) == {}


def test_groups_are_told_apart() -> None:
    """A session of a group counts in it, and among all; others only among all."""
    tally = Tally.grouped("a", "b")
    tally.record("tone", 0.01, 1.0, "a")
    tally.record("tone", 0.02, 1.0)
    counts = {name: told.count for name in tally.latencies if (told := tally.latency(name)) is not None}
    assert counts == {"tone": 2, "all": 2, "a": 1}

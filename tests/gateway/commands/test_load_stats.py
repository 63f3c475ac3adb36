"""What a load run adds up to."""

import pytest

from gateway.commands.load_stats import Samples, Tally


def test_distribution_of_known_latencies() -> None:
    """Percentiles of 1 to 100 ms, each second's p99 apart."""
    tally = Tally(sessions=1)
    for one in range(1, 101):
        tally.latencies["tone"].add(one / 1_000, at_s=one / 10)
    told = tally.latency("tone")
    assert told is not None
    assert told.count == 100
    assert told.max == pytest.approx(100)
    assert told.p50 == pytest.approx(50.5)
    assert told.p99 == pytest.approx(99.01)
    assert told.calm_p99 < 60


def test_one_stall_does_not_set_the_calm_p99() -> None:
    """A single bad second dominates the p99, not the median of the seconds' p99s."""
    samples = Samples()
    for second in range(20):
        for _ in range(10):
            samples.add(2.0 if second == 7 else 0.03, at_s=float(second))
    told = samples.distribution()
    assert told is not None
    assert told.p99 == pytest.approx(2_000)
    assert told.calm_p99 == pytest.approx(30)


def test_all_is_every_type_together() -> None:
    """The distribution of all events counts those of each type."""
    tally = Tally(sessions=2, finished=1)
    assert tally.latency() is None
    assert tally.latency("tone") is None
    tally.latencies["tone"].add(0.1, 0)
    tally.latencies["queue"].add(0.3, 0)
    told = tally.latency()
    assert told is not None
    assert told.count == 2
    assert told.p50 == pytest.approx(200)
    assert tally.failed == 1

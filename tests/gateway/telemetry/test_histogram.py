"""The histogram counts each value under the first bound that holds it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.telemetry.histogram import Histogram


def test_bounds_are_inclusive() -> None:
    """A value equal to a bound belongs to it (Prometheus `le`)."""
    histogram = Histogram((1, 2))
    for value in (0.5, 1, 1.5, 2, 3):
        histogram.observe(value)
    assert list(histogram.cumulative()) == [("1.0", 2), ("2.0", 4), ("+Inf", 5)]
    assert histogram.total == 8


@given(st.lists(st.floats(0, 10)), st.lists(st.floats(0, 10), unique=True).map(sorted))
def test_cumulative_counts_are_what_they_say(values: list[float], bounds: list[float]) -> None:
    """For any values and bounds, each bucket holds the number of values up to its bound."""
    histogram = Histogram(bounds)
    for value in values:
        histogram.observe(value)
    for text, count in histogram.cumulative():
        assert count == sum(value <= float(text) for value in values)


def test_bounds_must_ascend() -> None:
    """Bisection on unsorted bounds would miscount in silence."""
    with pytest.raises(ValueError, match="ascend"):
        Histogram((2, 1))

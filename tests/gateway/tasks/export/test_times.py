"""Times: each from its own sample, to the nearest unit, however late."""

from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from gateway.tasks.export.times import decimal, milliseconds, timecode

RATES = st.integers(8_000, 48_000)
SAMPLES = st.integers(0, 2**53)


@given(SAMPLES, RATES)
def test_a_millisecond_is_the_nearest(sample: int, rate: int) -> None:
    """Never more than half of one away, even after thousands of years: nothing drifts."""
    assert abs(milliseconds(sample, rate) - Fraction(sample * 1_000, rate)) <= Fraction(1, 2)


@given(SAMPLES, st.integers(0, 10**9), RATES)
def test_order_is_kept(sample: int, more: int, rate: int) -> None:
    """What comes later in samples doesn't come earlier in time."""
    assert milliseconds(sample, rate) <= milliseconds(sample + more, rate)


@given(SAMPLES, RATES, st.sampled_from([3, 6]))
def test_decimals_are_exact_to_their_last_place(sample: int, rate: int, places: int) -> None:
    """The text, read as a fraction, is the nearest that so many places can write."""
    text = decimal(sample, rate, places)
    assert len(text.partition(".")[2]) == places
    assert abs(Fraction(text) - Fraction(sample, rate)) <= Fraction(1, 2 * 10**places)


@given(st.integers(0, 10**12))
def test_a_timecode_is_read_back(ms: int) -> None:
    """Hours, minutes, seconds and milliseconds add up to what was written."""
    hours, minutes, rest = timecode(ms, ",").split(":")
    seconds, _, thousandths = rest.partition(",")
    assert ((int(hours) * 60 + int(minutes)) * 60 + int(seconds)) * 1_000 + int(thousandths) == ms
    assert (len(minutes), len(seconds), len(thousandths)) == (2, 2, 3)

"""Times, shares and names, in words."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.tasks.report.words import clock, count, length, listed, percent, short, tone_name


@pytest.mark.parametrize(
    ("seconds", "shown", "exact"),
    [
        (0, "0:00", "0:00.0"),
        (65.39, "1:05", "1:05.3"),
        (3_723, "1:02:03", "1:02:03.0"),
        (-1, "0:00", "0:00.0"),
        (float("inf"), "0:00", "0:00.0"),
        (1e308, "277777777:46:40", "277777777:46:40.0"),
        (0.3, "0:00", "0:00.3"),
    ],
)
def test_places_on_the_clock(seconds: float, shown: str, exact: str) -> None:
    """Minutes and seconds, hours where there are any, rounded down so that nothing is told before it was."""
    assert (clock(seconds), clock(seconds, tenths=True)) == (shown, exact)


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (0.04, "0.0 s"),
        (9.94, "9.9 s"),
        (9.96, "10 s"),
        (60, "1 min"),
        (312, "5 min 12 s"),
        (7_380, "2 h 3 min"),
    ],
)
def test_lengths(seconds: float, shown: str) -> None:
    """Tenths where something is short, no more than two units where it is long."""
    assert length(seconds) == shown


def test_shares_don_t_flatter() -> None:
    """A little is not nothing, and nearly all is not all."""
    assert [percent(share) for share in (0, 0.004, 0.5, 0.996, 1)] == [
        "0 %",
        "under 1 %",
        "50 %",
        "over 99 %",
        "100 %",
    ]


def test_counts_and_lists() -> None:
    """Numbers with their nouns, and lists as one says them."""
    assert [count(1, "gap"), count(1_200, "gap"), count(2, "entry", "entries")] == [
        "1 gap",
        "1,200 gaps",
        "2 entries",
    ]
    assert [listed(["a"]), listed(["a", "b"]), listed(["a", "b", "c"])] == ["a", "a and b", "a, b and c"]


@given(st.text(), st.integers(min_value=2, max_value=50))
def test_short_is_short(text: str, limit: int) -> None:
    """No text comes out longer than its limit, or on more than one line."""
    line = short(text, limit)
    assert len(line) <= limit
    assert len(line.splitlines()) <= 1


def test_labels_are_made_readable() -> None:
    """Open vocabularies look like words; a label of nothing has a name all the same."""
    assert [tone_name("Warmly_Impatient"), tone_name("Calm"), tone_name("\x00")] == [
        "Warmly impatient",
        "Calm",
        "Unnamed",
    ]

"""What a client chose, as a column has it."""

import math

from hypothesis import given
from hypothesis import strategies as st

from gateway.stores.postgres.columns import MAX_BYTES, column, original, seconds, whole

any_text = st.text(st.characters(exclude_categories=())) | st.text("\\\0\nu0n-#\ud800", max_size=8)


@given(any_text)
def test_text_comes_back(text: str) -> None:
    """Whatever it holds, as long as it isn't cut; and nothing is in it that PostgreSQL refuses."""
    kept = column(text)
    assert "\0" not in kept
    assert len(kept.encode()) <= MAX_BYTES
    if len(text) * 6 <= MAX_BYTES:
        assert original(kept) == text


@given(any_text, any_text)
def test_different_text_stays_different(one: str, other: str) -> None:
    """Nobody is taken for somebody else."""
    assert (column(one) == column(other)) == (one == other)


def test_long_text_is_cut_and_still_its_own() -> None:
    """However much of it is the same."""
    long = "é" * 10_000
    assert column(long + "a") != column(long + "b")
    assert len(column("\0" * 10_000).encode()) <= MAX_BYTES


def test_plain_text_is_left_alone() -> None:
    """For people who look with SQL."""
    assert column("O042VOQEmNSoLDJXddv_WQ") == "O042VOQEmNSoLDJXddv_WQ"
    assert column("naïve 🙂 user") == "naïve 🙂 user"


@given(st.floats(allow_nan=True, allow_infinity=True), st.integers())
def test_numbers_fit(at: float, number: int) -> None:
    """Into a timestamp and a bigint, whatever they were."""
    assert math.isfinite(seconds(at))
    assert -(2**63) <= whole(number) < 2**63

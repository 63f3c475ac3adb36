"""The pauses between attempts."""

from hypothesis import given
from hypothesis import strategies as st

from protocol.backoff import BASE_S, CAP_S, Backoff


@given(st.lists(st.floats(0, 1, exclude_max=True), min_size=1, max_size=20))
def test_each_pause_is_drawn_from_all_below_a_bound_that_doubles(draws: list[float]) -> None:
    """Full jitter: anything from nothing to min(cap, base · 2^n)."""
    values = iter(draws)
    backoff = Backoff(draw=lambda: next(values))
    for attempt, draw in enumerate(draws):
        assert backoff.next() == draw * min(CAP_S, BASE_S * 2**attempt)


def test_success_begins_anew() -> None:
    """After a reset the first bound is the base again."""
    backoff = Backoff(draw=lambda: 0.5)
    waited = [backoff.next() for _ in range(9)]
    assert waited[-1] == CAP_S / 2
    backoff.reset()
    assert backoff.next() == BASE_S / 2


def test_a_pause_asked_for_is_never_shortened() -> None:
    """Those who were told the same are spread after it, by up to a quarter."""
    assert Backoff(draw=lambda: 0.0).jitter(4) == 4
    assert Backoff(draw=lambda: 0.5).jitter(4) == 4.5

"""The budget of second tries."""

from hypothesis import given
from hypothesis import strategies as st

from gateway.classify.retry import EVERY, SAVED, RetryBudget


@given(st.lists(st.booleans(), max_size=400))
def test_never_more_than_a_tenth(story: list[bool]) -> None:
    """At no moment, whatever the order of calls (True) and wishes to try again."""
    budget, calls, retries = RetryBudget(), 0, 0
    for called in story:
        if called:
            budget.earn()
            calls += 1
        else:
            retries += budget.spend()
        assert EVERY * retries <= calls


def test_what_is_saved_is_bounded() -> None:
    """A long calm pays for no storm."""
    budget = RetryBudget()
    for _ in range(10_000):
        budget.earn()
    assert sum(budget.spend() for _ in range(100)) == SAVED


def test_one_may_begin_with_all_that_can_be_saved() -> None:
    """For peers that are asked rarely."""
    budget = RetryBudget.full()
    assert sum(budget.spend() for _ in range(100)) == SAVED

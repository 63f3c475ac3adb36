"""Quotas, and when a refused user may try again."""

import pytest

from gateway.sessions.limits import Limits, quotas_for, retry_after
from gateway.sessions.model import TERMINAL, Status, Timers
from gateway.sessions.ports import Quota
from tests.gateway.sessions.kit import in_status, session


def test_a_quota_needs_a_limit_and_somebody_to_count_for() -> None:
    """Without either nothing is counted; those of a namespace that name no user are one user's."""
    five = Limits(max_sessions_per_user=5)
    assert quotas_for(session(namespace_id="n", user_id="u"), Limits()) == ()
    assert quotas_for(session(), Limits(3, 5)) == ()
    assert quotas_for(session(user_id="u"), five) == (Quota(None, "u", 5),)
    assert quotas_for(session(namespace_id="n", user_id="u"), five) == (Quota("n", "u", 5),)
    assert quotas_for(session(namespace_id="n"), five) == (Quota("n", None, 5),)


def test_a_namespace_has_a_limit_of_its_own() -> None:
    """Whoever its users are, and beside that of each."""
    everybody = Quota("n", None, 3, everybody=True)
    assert quotas_for(session(namespace_id="n", user_id="u"), Limits(3, 5)) == (Quota("n", "u", 5), everybody)
    assert quotas_for(session(namespace_id="n"), Limits(max_sessions=3)) == (everybody,)


def test_what_a_namespace_leaves_open_the_settings_say() -> None:
    """Each limit by itself."""
    assert Limits(3).or_else(Limits(9, 5)) == Limits(3, 5)
    assert Limits().or_else(Limits()) == Limits()


@pytest.mark.parametrize(
    ("status", "wait_s"),
    [(Status.CREATED, 20.0), (Status.DETACHED, 80.0), (Status.LIVE, 300.0), (Status.DRAINING, 1.0)],
)
def test_the_wait_is_until_the_session_may_be_over_by_itself(status: Status, wait_s: float) -> None:
    """Ten seconds on, each status has what is left of its timer."""
    assert retry_after([in_status(status)], 1_010.0, Timers()) == wait_s


def test_the_first_to_be_over_counts_and_nobody_waits_less_than_a_second() -> None:
    """Sessions that are over say nothing about when there will be room."""
    sessions = [in_status(one) for one in (Status.LIVE, Status.DETACHED, Status.CREATED, *sorted(TERMINAL))]
    assert retry_after(sessions, 1_010.0, Timers()) == 20.0
    assert retry_after(sessions, 1_029.9, Timers()) == 1.0
    assert retry_after([], 1_010.0, Timers()) == 1.0

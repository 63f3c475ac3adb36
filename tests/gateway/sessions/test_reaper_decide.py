"""What the reaper decides: a pure function of sessions, time and activity."""

import pytest

from gateway.sessions.lifecycle import Activity, Input
from gateway.sessions.model import Session, Status, Timers
from gateway.sessions.reaper import Action, Decision, decide, interval
from tests.gateway.sessions.kit import in_status

TIMERS = Timers()


def decision(session: Session, after_s: float, activity: Activity | None = None) -> Decision | None:
    """What is decided about one session `after_s` seconds after 1,000, the moment of its stamps."""
    found = decide([session], 1_000.0 + after_s, lambda _: activity, TIMERS)
    return found[0] if found else None


@pytest.mark.parametrize("status", Status)
def test_nothing_is_due_at_first(status: Status) -> None:
    """A session that has just changed is left alone, but for one that drains with nothing live."""
    found = decision(in_status(status), 1.0)
    assert (None if found is None else found.action) == (Action.CLOSE if status is Status.DRAINING else None)


@pytest.mark.parametrize(
    ("status", "after_s", "reason"),
    [
        (Status.CREATED, 30.0, Input.CONNECT_DEADLINE),
        (Status.DETACHED, 90.0, Input.DETACHED_EXPIRED),
        (Status.LIVE, 300.0, Input.IDLE),
        (Status.LIVE, 86_400.0, Input.TOTAL_EXPIRED),
        (Status.DETACHED, 172_800.0, Input.STALE),
    ],
)
def test_a_timer_that_rang_is_acted_upon(status: Status, after_s: float, reason: Input) -> None:
    """Every timer of the design reaches a decision."""
    session = in_status(status)
    assert decision(session, after_s) == Decision(session, Action.EXPIRE, reason)


@pytest.mark.parametrize("status", [Status.CLOSED, Status.EXPIRED, Status.FAILED, Status.DRAINING])
def test_what_is_still_live_of_an_ended_session_is_collected(status: Status) -> None:
    """Whoever ended it, and whether a pass was cut short: it is told again, and not purged before."""
    session = in_status(status)
    found = decision(session, 10_000.0, Activity(0, None))
    assert found == Decision(session, Action.COLLECT, Input(session.end_reason or ""))


def test_a_reason_that_is_not_known_is_as_good_as_another() -> None:
    """A newer gateway may have written it."""
    newer = in_status(Status.DRAINING, end_reason="boredom")
    assert decision(newer, 0.0) == Decision(newer, Action.CLOSE, Input.END)


def test_a_session_past_its_retention_is_purged() -> None:
    """And not a moment sooner."""
    assert decision(in_status(Status.CLOSED), 899.0) is None
    found = decision(in_status(Status.CLOSED), 900.0)
    assert found is not None
    assert found.action is Action.PURGE


def test_sessions_held_here_are_noted_from_time_to_time() -> None:
    """Four heartbeats fit in the time after which a session counts as lost, and few writes are made."""
    live = in_status(Status.LIVE)
    assert decision(live, 200.0, Activity(1, 1_200.0)) is None
    observed = in_status(Status.DETACHED)
    assert decision(observed, 44.0, Activity(1, None)) is None
    assert decision(observed, 45.0, Activity(1, None)) == Decision(observed, Action.WATCH)
    old = in_status(Status.LIVE, seen_mono=1_000.0 - 43_200.0)
    assert decision(old, 0.0, Activity(1, 1_000.0)) == Decision(old, Action.KEEP)


@pytest.mark.parametrize(
    ("timers", "seconds"),
    [
        (Timers(), 15.0),
        (Timers(detached_ttl_s=1.0), 1.0),
        (Timers(closed_retention_s=10.0), 5.0),
        (Timers(900.0, 900.0, 900.0), 30.0),
    ],
)
def test_passes_are_half_the_shortest_timer_apart(timers: Timers, seconds: float) -> None:
    """Within 1 to 30 s."""
    assert interval(timers) == seconds

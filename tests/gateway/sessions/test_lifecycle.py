"""The lifecycle table and the timers, every state by every input."""

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.sessions.lifecycle import (
    TRANSITIONS,
    IllegalTransition,
    Input,
    advance,
    diagram,
    due,
    expired,
    retention_over,
    step,
)
from gateway.sessions.model import TERMINAL, Session, Status, Timers
from tests.gateway.sessions.kit import in_status

TIMERS = Timers()
ALL = sorted(product(Status, Input))

# Written out a second time on purpose: one row per status, in the order of the columns.
COLUMNS = [
    *("attach", "lose", "observe", "unobserve", "end", "idle", "revive", "drained"),
    *("connect_deadline", "detached_expired", "total_expired", "stale", "fail"),
]
TABLE = {
    "created": "live - detached - draining - - - expired - expired failed failed",
    "live": "live detached live live draining draining - - - - draining failed failed",
    "detached": "live - detached detached draining - - - - expired expired failed failed",
    "draining": "draining draining draining draining draining - live closed - - - failed failed",
    "closed": "- - - - - - - - - - - - -",
    "expired": "- - - - - - - - - - - - -",
    "failed": "- - - - - - - - - - - - -",
}


@pytest.mark.parametrize(("status", "given_input"), ALL, ids=lambda one: str(one))
def test_every_status_by_every_input(status: Status, given_input: Input) -> None:
    """Each of the pairs leads where the table above says, or raises."""
    expected = TABLE[status].split()[COLUMNS.index(given_input)]
    if expected == "-":
        with pytest.raises(IllegalTransition) as caught:
            step(status, given_input)
        assert (caught.value.status, caught.value.given) == (status, given_input)
    else:
        assert step(status, given_input) == expected


def test_nothing_leads_out_of_a_terminal_status_and_everything_else_leads_to_one() -> None:
    """No session lives for ever, and none rises from the dead."""
    assert not [before for before, _ in TRANSITIONS if before in TERMINAL]
    reaching = set(TERMINAL)
    for _ in Status:
        reaching |= {before for (before, _), after in TRANSITIONS.items() if after in reaching}
    assert reaching == set(Status)


def test_every_status_can_be_reached() -> None:
    """The table has no dead rows."""
    reached = {Status.CREATED}
    for _ in Status:
        reached |= {after for (before, _), after in TRANSITIONS.items() if before in reached}
    assert reached == set(Status)


def test_the_diagram_draws_each_edge_of_the_table_and_no_other() -> None:
    """What is generated for the documentation says what the code does."""
    drawn = set()
    for line in diagram().splitlines()[1:]:
        if "[*]" not in line:
            edge, _, inputs = line.strip().partition(": ")
            before, _, after = edge.partition(" --> ")
            drawn |= {(before, one, after) for one in inputs.split(", ")}
    table = {(before, one, after) for (before, one), after in TRANSITIONS.items() if before is not after}
    assert drawn == table
    assert diagram().startswith("stateDiagram-v2\n    [*] --> created\n")
    assert diagram().count("--> [*]") == len(TERMINAL)


@pytest.mark.parametrize(("status", "given_input"), sorted(TRANSITIONS), ids=lambda one: str(one))
def test_advance_moves_as_step_does_and_keeps_the_stamps_consistent(
    status: Status, given_input: Input
) -> None:
    """A session is over if and only if it has the moment and the reason of its end."""
    before = in_status(status)
    after = advance(before, given_input, now=1_007.0, wall=7.0)
    assert after.status is step(status, given_input)
    assert after.over == (after.ended_mono is not None)
    assert after.version == before.version
    if after.over or after.status is Status.DRAINING:
        assert after.end_reason is not None
    if after.status is Status.DETACHED:
        assert after.detached_mono == 1_007.0
    if after is not before:
        assert (after.seen_mono, after.updated_at) == (1_007.0, 7.0)


def test_an_attach_is_counted_and_stamped() -> None:
    """Each owner has a number, by which a late word of an earlier one is known."""
    after = advance(in_status(Status.LIVE, attaches=3), Input.ATTACH, now=1_007.0, wall=0.0)
    assert (after.attaches, after.live_mono) == (4, 1_007.0)


def test_the_first_reason_to_end_stands() -> None:
    """A session that was drained for idleness is closed for idleness, unless it came alive in between."""
    idle = advance(in_status(Status.LIVE), Input.IDLE, now=1_300.0, wall=0.0)
    asked_too = advance(idle, Input.END, now=1_301.0, wall=0.0)
    assert advance(asked_too, Input.DRAINED, now=1_302.0, wall=0.0).end_reason == "idle"
    assert advance(idle, Input.REVIVE, now=1_301.0, wall=0.0).end_reason is None


def test_an_observer_of_a_live_session_changes_nothing() -> None:
    """Observers come and go without a write."""
    live = in_status(Status.LIVE)
    assert advance(live, Input.OBSERVE, now=1_007.0, wall=0.0) is live
    assert advance(live, Input.UNOBSERVE, now=1_007.0, wall=0.0) is live


def what_is_due(
    session: Session, after_s: float, subscribers: int = 0, heard_after_s: float | None = None
) -> Input | None:
    """What is due `after_s` seconds after 1,000, the moment of all stamps."""
    heard = None if heard_after_s is None else 1_000.0 + heard_after_s
    return due(session, 1_000.0 + after_s, subscribers=subscribers, last_activity=heard, timers=TIMERS)


@pytest.mark.parametrize(
    ("status", "limit_s", "expected"),
    [
        (Status.CREATED, 30.0, Input.CONNECT_DEADLINE),
        (Status.DETACHED, 90.0, Input.DETACHED_EXPIRED),
        (Status.LIVE, 300.0, Input.IDLE),
    ],
)
def test_each_timer_rings_at_its_limit_and_not_before(
    status: Status, limit_s: float, expected: Input
) -> None:
    """30 s to connect, 90 s detached, 300 s idle."""
    assert what_is_due(in_status(status), limit_s - 0.001) is None
    assert what_is_due(in_status(status), limit_s) is expected


def test_the_detached_timer_waits_for_as_long_as_somebody_subscribes() -> None:
    """An observer keeps a session without an owner."""
    assert what_is_due(in_status(Status.DETACHED), 80_000.0, subscribers=1) is None


def test_the_idle_timer_counts_from_the_last_thing_heard() -> None:
    """Audio, ping and control keep a session, and so does a new attach."""
    assert what_is_due(in_status(Status.LIVE), 599.0, heard_after_s=300.0) is None
    assert what_is_due(in_status(Status.LIVE), 600.0, heard_after_s=300.0) is Input.IDLE
    attached_later = in_status(Status.LIVE, live_mono=1_300.0)
    assert what_is_due(attached_later, 599.0, heard_after_s=0.0) is None


def test_the_applications_heartbeat_counts_whichever_node_was_told() -> None:
    """The session itself says so, not the node where its socket is; without a socket it keeps nothing."""
    beaten = in_status(Status.LIVE, beat_mono=1_300.0)
    assert what_is_due(beaten, 599.0, heard_after_s=0.0) is None
    assert what_is_due(beaten, 600.0, heard_after_s=0.0) is Input.IDLE
    assert what_is_due(in_status(Status.DETACHED, beat_mono=1_080.0), 90.0) is Input.DETACHED_EXPIRED


@pytest.mark.parametrize("status", [Status.LIVE, Status.DETACHED])
def test_after_a_day_a_session_is_over_however_lively(status: Status) -> None:
    """24 h in total, with subscribers and audio up to the last moment."""
    one = in_status(status)
    assert what_is_due(one, 86_399.0, subscribers=2, heard_after_s=86_398.0) is None
    assert what_is_due(one, 86_400.0, subscribers=2, heard_after_s=86_399.0) is Input.TOTAL_EXPIRED


@pytest.mark.parametrize("status", [one for one in Status if one not in TERMINAL])
def test_a_session_of_a_lost_node_is_stale_after_two_days_without_a_heartbeat(status: Status) -> None:
    """Whatever it was doing, it is found."""
    assert what_is_due(in_status(status), 172_799.0) is not Input.STALE
    assert what_is_due(in_status(status), 172_800.0) is Input.STALE
    assert what_is_due(in_status(status, seen_mono=100_000.0), 172_800.0) is not Input.STALE


@given(
    status=st.sampled_from(list(Status)),
    after_s=st.floats(0, 400_000),
    subscribers=st.integers(0, 2),
    heard=st.none() | st.floats(0, 400_000),
)
def test_whatever_is_due_can_happen(
    status: Status, after_s: float, subscribers: int, heard: float | None
) -> None:
    """A timer never asks for an edge that the table lacks, and `expired` only for one that ends."""
    one = in_status(status)
    found = what_is_due(one, after_s, subscribers, heard)
    assert found is None or (status, found) in TRANSITIONS
    ended = expired(one, 1_000.0 + after_s, subscribers=subscribers, timers=TIMERS)
    assert ended is None or TRANSITIONS[status, ended] in TERMINAL


def test_looking_at_a_live_session_never_drains_it() -> None:
    """Idleness and old age of a live session are the reaper's business."""
    assert expired(in_status(Status.LIVE), 1_000.0 + 90_000.0, subscribers=0, timers=TIMERS) is None
    assert expired(in_status(Status.CREATED), 1_030.0, subscribers=0, timers=TIMERS) is not None


@pytest.mark.parametrize("status", Status)
def test_retention_is_counted_from_the_end(status: Status) -> None:
    """Reads work for 900 s after a session is over, and for as long as it is not."""
    one = in_status(status)
    assert not retention_over(one, 1_899.0, TIMERS)
    assert retention_over(one, 1_900.0, TIMERS) == one.over
